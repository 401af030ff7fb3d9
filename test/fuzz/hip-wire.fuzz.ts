/**
 * Any bytes as a HIP packet or the contents of a parameter: a value that encodes and decodes to itself, or a WireError. Runs I3_FUZZ_SECONDS
 * (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";
import { sameBytes, toHex, WireError } from "@i3/common";
import { coveredBytes, decodeHipPacket, decodeParameters, encodeHipPacket, encodeParameters, hipChecksum, MAX_HIP_PACKET_BYTES, PARAMETER, type HipPacket } from "@i3/hip";
import { expect, it } from "vitest";
import { mutated, Random } from "@i3/common/testing";
import { hex, PACKET_ROWS } from "../../packages/hip/test/wire/packet-rows.js";
import { PARAMETER_ROWS } from "../../packages/hip/test/wire/parameter-rows.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
const ROWS = PARAMETER_ROWS.map((row) => ({ ...row, contents: hex(row.hex) }));
const PACKETS = PACKET_ROWS.map((row) => hex(row.hex));
const TYPES = [...Object.values(PARAMETER), 0, 66, 1_000, 1_001, 2_048, 65_535];
const LIKELY = [0, 1, 2, 4, 5, 7, 8, 0x10, 0x20, 0x21, 0x3b, 0x80, 0xff];

const orWireError = <T>(decode: () => T): T | null => {
  try {
    return decode();
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
};

/** Some packet whose header length is its own more often than not. */
function packet(random: Random): Uint8Array {
  let bytes: Uint8Array;
  if (random.below(8) === 0) bytes = random.bytes(random.below(100));
  else if (random.below(4) === 0) bytes = random.pick(PACKETS);
  else {
    const types = Array.from({ length: random.below(8) }, () => random.pick(TYPES)).sort((a, b) => a - b);
    const header = { type: random.below(128), version: 2, controls: random.below(65_536), senderHit: random.bytes(16), receiverHit: random.bytes(16) };
    const parameters = [...new Set(types)].map((type) => ({ type, contents: ROWS.find((row) => row.type === type && random.below(2) === 0)?.contents ?? random.bytes(random.below(40)) }));
    bytes = encodeHipPacket(header, parameters);
  }
  bytes = mutated(random, bytes, LIKELY);
  if (bytes.length > 1 && random.below(4) > 0) {
    bytes = Uint8Array.from([...bytes, ...new Uint8Array(-bytes.length & 7)]);
    bytes[1] = bytes.length / 8 - 1;
  }
  return bytes;
}

function checkPacket(random: Random, bytes: Uint8Array): boolean {
  const before = bytes.slice();
  const plain = orWireError(() => decodeParameters("ENCRYPTED", bytes));
  if (plain !== null) expect(bytesAgain(plain)).toBe(bytes.length);
  const decoded = orWireError(() => decodeHipPacket(bytes));
  expect(sameBytes(bytes, before)).toBe(true);
  if (decoded === null) return false;
  expect(bytes.length).toBeLessThanOrEqual(MAX_HIP_PACKET_BYTES);
  checkRead(random, decoded);
  expect(sameBytes(bytes, before)).toBe(true);
  return true;
}

/** Total length of parameters, written again one by one. */
const bytesAgain = (parameters: HipPacket["parameters"]): number => parameters.reduce((sum, found) => sum + encodeParameters([found]).length, 0);

function checkRead(random: Random, decoded: HipPacket): void {
  const sorted = decoded.parameters.every(({ type }, i) => i === 0 || type >= (decoded.parameters[i - 1]?.type ?? 0));
  if (sorted) {
    const again = decodeHipPacket(encodeHipPacket(decoded.header, decoded.parameters));
    expect({ ...again, bytes: null, checksum: 0 }).toEqual({ ...decoded, bytes: null, checksum: 0 });
  }
  const offset = random.pick([decoded.bytes.length, ...decoded.parameters.map((found) => found.offset)]);
  const covered = coveredBytes(decoded, offset, { zeroPuzzle: random.below(2) === 0, zeroReceiverHit: random.below(2) === 0 });
  const again = decodeHipPacket(covered);
  expect([again.checksum, again.parameters.length]).toEqual([0, decoded.parameters.filter((found) => found.offset < offset).length]);
  expect(hipChecksum(covered, random.bytes(4), random.bytes(4))).toBeLessThan(65_536);
  for (const { type, contents } of decoded.parameters) for (const row of ROWS) if (row.type === type) checkContents(row, contents);
}

function checkContents(row: (typeof ROWS)[number], contents: Uint8Array): boolean {
  const value = orWireError(() => row.decode(contents));
  if (value === null) return false;
  // Only totals that a packet can have are written.
  if (row.type === PARAMETER.i3Padding && contents.length % 8 !== 4) return true;
  const again = row.again(contents);
  // An echo is returned whole, a list is cut, reserved fields are cleared: what is read again is the same.
  expect(JSON.stringify(row.decode(again), known)).toBe(JSON.stringify(value, known));
  return true;
}

/** Bytes and bigints as text; the count of skipped locators does not survive, since they are not kept. */
function known(key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value === "bigint") return value.toString();
  return key === "skipped" ? 0 : value;
}

it(`HIP packets, seed ${SEED}`, { timeout: (SECONDS + 60) * 1000 }, () => {
  console.log(`hip-wire fuzz: I3_FUZZ_SEED=${SEED}`);
  const random = new Random(SEED);
  const end = performance.now() + SECONDS * 1000;
  const counts = { cases: 0, packets: 0, contents: 0 };
  for (; performance.now() < end || counts.cases < 1_000; counts.cases++) {
    const bytes = packet(random);
    const row = random.pick(ROWS);
    const contents = random.below(4) === 0 ? random.bytes(random.below(120)) : mutated(random, row.contents, LIKELY);
    try {
      if (checkPacket(random, bytes)) counts.packets++;
      if (checkContents(row, contents)) counts.contents++;
    } catch (error) {
      const texts = [bytes, contents].map((part) => Buffer.from(part).toString("hex"));
      throw new Error(`case ${counts.cases} of seed ${SEED}: packet ${texts[0]}, ${row.name} ${texts[1]}`, { cause: error });
    }
  }
  console.log(`hip-wire fuzz: ${counts.cases} packets, ${counts.packets} understood, ${counts.contents} contents understood`);
  for (const understood of [counts.packets, counts.contents]) {
    expect(understood).toBeGreaterThan(counts.cases / 10);
    expect(understood).toBeLessThan(counts.cases);
  }
});

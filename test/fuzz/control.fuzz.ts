/**
 * Any bytes as a control datagram or a MessagePack body: a value that encodes and decodes to itself, or a WireError. Runs
 * I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";
import { CONTROL_TYPES, decodeBody, decodeControl, decodeDetourFrame, decodeLocator, encodeControl, encodeDetourFrame, encodeLocator, MAX_CONTROL_BYTES, WireError } from "@i3/common";
import fc from "fast-check";
import { expect, it } from "vitest";
import { anyControlMessage } from "../../packages/common/test/wire/any-control-message.js";
import { CONTROL_ROWS, hex } from "../../packages/common/test/wire/control-rows.js";
import { mutated, Random } from "@i3/common/testing";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
const ROWS = CONTROL_ROWS.map((row) => hex(row.hex));
const TYPES = Object.values(CONTROL_TYPES);
/** MessagePack tokens that announce something. */
const TOKENS = [0x80, 0x90, 0x91, 0x9f, 0xa1, 0xbf, 0xc0, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff];

const orWireError = <T>(decode: () => T): T | null => {
  try {
    return decode();
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
};

function datagram(random: Random, valid: readonly Uint8Array[]): Uint8Array {
  switch (random.below(4)) {
    case 0: return random.bytes(random.below(80));
    case 1: {
      const body = Uint8Array.from({ length: random.below(60) }, (_, i) => (i === 0 ? 0x90 + random.below(16) : random.below(2) === 0 ? random.pick(TOKENS) : random.below(256)));
      return Uint8Array.from([0x19, random.pick(TYPES), random.below(2), 0, 0, body.length, 0, 0, ...random.bytes(8), ...body, ...random.bytes(random.below(40))]);
    }
    case 2: return mutated(random, random.pick(ROWS), TOKENS);
    default: return mutated(random, random.pick(valid), TOKENS);
  }
}

/** How many were understood. */
function check(bytes: Uint8Array): boolean {
  const before = bytes.slice();
  orWireError(() => decodeBody(bytes));
  orWireError(() => decodeBody(bytes.subarray(16)));
  const locator = orWireError(() => decodeLocator(bytes));
  if (locator !== null) expect(decodeLocator(encodeLocator(locator))).toEqual(locator);
  const decoded = orWireError(() => decodeControl(bytes));
  expect(bytes).toEqual(before);
  if (decoded === null) return false;
  const again = encodeControl(decoded.message, decoded.nonce);
  expect(again.length).toBeLessThanOrEqual(MAX_CONTROL_BYTES);
  expect(decodeControl(again)).toEqual({ ...decoded, mac: null });
  return true;
}

/** The same bytes as a WebSocket's message, some behind the length of a locator. */
function checkFrame(random: Random, bytes: Uint8Array): void {
  const message = random.below(2) === 0 ? bytes : Uint8Array.from([random.pick([6, 18]), ...bytes]);
  const frame = orWireError(() => decodeDetourFrame(message));
  if (frame !== null && frame.locator.address.length + 2 === message[0]) expect(encodeDetourFrame(frame)).toEqual(message);
}

it(`control messages, seed ${SEED}`, { timeout: (SECONDS + 60) * 1000 }, () => {
  console.log(`control fuzz: I3_FUZZ_SEED=${SEED}`);
  const random = new Random(SEED);
  const valid = fc.sample(anyControlMessage, { seed: SEED | 0, numRuns: 100 }).map((message) => encodeControl(message, random.bytes(8)));
  const end = performance.now() + SECONDS * 1000;
  let cases = 0;
  let understood = 0;
  for (; performance.now() < end || cases < 1_000; cases++) {
    const bytes = datagram(random, valid);
    checkFrame(random, bytes);
    try {
      if (check(bytes)) understood++;
    } catch (error) {
      throw new Error(`case ${cases} of seed ${SEED}: ${Buffer.from(bytes).toString("hex")}`, { cause: error });
    }
  }
  console.log(`control fuzz: ${cases} datagrams, ${understood} understood`);
  expect(understood).toBeGreaterThan(cases / 100);
  expect(understood).toBeLessThan(cases);
});

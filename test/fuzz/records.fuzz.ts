/**
 * Any bytes as a signed record or a server list: a value that encodes to the same bytes, or a WireError; and no changed bit of a signed
 * record is signed still. Runs I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";

import { expect, it } from "vitest";

import { concatBytes, decodeRecord, decodeServerList, encodeRecordFields, encodeServerList, makeLocator, MAX_RECORD_BYTES, RECORD_KIND, sameBytes, WireError, type SignedRecord } from "@i3/common";
import { mutated, Random } from "@i3/common/testing";
import { isRecordSigned, signRecord, triggerKeyFromSeed } from "@i3/hip";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
/** Bytes that are lengths, kinds and versions. */
const TOKENS = [0, 1, 2, 3, 6, 16, 18, 23, 32, 63, 64, 128, 255];

function orWireError<T>(decode: () => T): T | null {
  try {
    return decode();
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}

function someRecord(random: Random): SignedRecord {
  const key = triggerKeyFromSeed(random.bytes(32));
  const common = { sequence: random.below(1e9), notAfterS: 1 + random.below(2e9), label: "abc.d-e_f".slice(0, 1 + random.below(8)) };
  if (random.below(2) === 0) return signRecord(key, { ...common, kind: RECORD_KIND.name, value: Uint8Array.from([0x20, 1, 0, 0x2f, ...random.bytes(12)]) });
  const servers = Array.from({ length: 1 + random.below(20) }, (_, i) => ({ key: random.bytes(16), locator: makeLocator(Uint8Array.from([...random.bytes(random.below(2) === 0 ? 3 : 15), i]), 1 + random.below(65_535)) }));
  return signRecord(key, { ...common, kind: RECORD_KIND.serverList, value: encodeServerList(servers) });
}

/** How many were understood. */
function check(bytes: Uint8Array, valid: readonly SignedRecord[]): boolean {
  const before = bytes.slice();
  const list = orWireError(() => decodeServerList(bytes));
  if (list !== null) expect(sameBytes(encodeServerList(list), bytes)).toBe(true);
  const record = orWireError(() => decodeRecord(bytes));
  expect(sameBytes(bytes, before)).toBe(true);
  if (record === null) return false;
  expect(record.bytes.length).toBeLessThanOrEqual(MAX_RECORD_BYTES);
  expect(sameBytes(concatBytes(encodeRecordFields(record), record.signature), bytes)).toBe(true);
  expect(isRecordSigned(record)).toBe(valid.some((known) => sameBytes(known.bytes, bytes)));
  return true;
}

it(`records, seed ${SEED}`, { timeout: (SECONDS + 60) * 1000 }, () => {
  console.log(`records fuzz: I3_FUZZ_SEED=${SEED}`);
  const random = new Random(SEED);
  const valid = Array.from({ length: 30 }, () => someRecord(random));
  const end = performance.now() + SECONDS * 1000;
  let cases = 0;
  let understood = 0;
  for (; performance.now() < end || cases < 1_000; cases++) {
    const bytes = random.below(6) === 0 ? random.bytes(random.below(300)) : mutated(random, random.pick(valid).bytes, TOKENS);
    try {
      if (check(bytes, valid)) understood++;
    } catch (error) {
      throw new Error(`case ${cases} of seed ${SEED}: ${Buffer.from(bytes).toString("hex")}`, { cause: error });
    }
  }
  console.log(`records fuzz: ${cases} records, ${understood} understood`);
  expect(understood).toBeGreaterThan(cases / 100);
  expect(understood).toBeLessThan(cases);
});

/** A subscriber of IPv6 has a /56 or a /48, of real addresses in 256 or 65,536 sources: what all of them together get of a server (docs/wire.md §4.1, 13). */
import { describe, expect, it } from "vitest";

import { encodeControl, makeLocator, RECORD_KIND, type Locator } from "@i3/common";
import { generateTriggerKey, signRecord } from "@i3/hip";

import { RATED_SOURCES_PER_NETWORK, SOURCES_PER_NETWORK } from "../../src/triggers/constants.js";
import { hitOf, nameRecord } from "../records/some-records.js";
import { CLIENT, idOf, NONCE, ServerBench, WALL_MS } from "../server-bench.js";

const PER_SOURCE = 4;
/** /64 number `i` of /48 number `network`. */
const subnet = (i: number, network = 7): Locator => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, network, i >> 8, i, 0, 0, 0, 0, 0, 0, 0, 1), 5_000);
const ipv4 = (i: number): Locator => makeLocator(Uint8Array.of(198, 51, 100, i), 5_000);

describe("a /48 takes the places of eight sources", () => {
  const zone = generateTriggerKey();
  const put = (bench: ServerBench, from: Locator, record: ReturnType<typeof nameRecord>): boolean => {
    const cookie = bench.answer("CHALLENGE", { type: "RECORD_PUT", flags: 0, cookie: new Uint8Array(24), record: record.bytes }, from).cookie;
    return bench.ask({ type: "RECORD_PUT", flags: 0, cookie, record: record.bytes }, from)?.type === "RECORD_OK";
  };
  const numbered = (i: number, sequence = 1) => signRecord(zone, { kind: RECORD_KIND.name, label: `a${i}`, sequence, notAfterS: WALL_MS / 1_000 + 86_400, value: hitOf(i) });

  /** As the defaults are, all divided by 64. */
  it("for records", () => {
    const bench = new ServerBench({ records: { records: 256, perSource: PER_SOURCE } });
    let taken = 0;
    for (let i = 0; i < 256; i += 1) if (put(bench, subnet(i >> 2), numbered(i))) taken += 1;
    expect(taken).toBe(SOURCES_PER_NETWORK * PER_SOURCE);
    expect([put(bench, CLIENT, nameRecord()), put(bench, subnet(1, 8), numbered(300)), put(bench, subnet(200), numbered(301))]).toEqual([true, true, false]);
    // What is there is renewed, also from another source of the network.
    expect([put(bench, subnet(0), numbered(0, 2)), put(bench, subnet(99), numbered(1, 2))]).toEqual([true, true]);
  });

  const insert = (bench: ServerBench, from: Locator, n: number, { key = generateTriggerKey(), counter = 1 } = {}): boolean =>
    bench.ask(bench.trigger({ id: idOf(key, n), signer: { kind: "private", key }, from, counter }), from)?.type === "TRIGGER_OK";

  /** As the defaults are, all divided by 1,024. */
  it("for triggers", () => {
    const bench = new ServerBench({ limits: { triggers: 1_024, perSource: PER_SOURCE }, verify: () => true });
    const key = generateTriggerKey();
    expect(insert(bench, subnet(0), 9, { key })).toBe(true);
    let taken = 1;
    for (let i = 0; i < 256; i += 1) for (let n = 0; n < PER_SOURCE; n += 1) if (insert(bench, subnet(i), n)) taken += 1;
    expect(taken).toBe(SOURCES_PER_NETWORK * PER_SOURCE);
    expect([insert(bench, CLIENT, 1), insert(bench, subnet(1, 8), 1), insert(bench, subnet(200), 1)]).toEqual([true, true, false]);
    // A host that has moved within the network keeps its trigger; and a place that is free is for all.
    expect(insert(bench, subnet(200), 9, { key, counter: 2 })).toBe(true);
    bench.advance(200_000);
    expect(insert(bench, subnet(200), 1)).toBe(true);
  });

  it("in IPv4 each address has its own", () => {
    const bench = new ServerBench({ limits: { triggers: 1_024, perSource: PER_SOURCE }, verify: () => true });
    let taken = 0;
    for (let i = 0; i < 64; i += 1) for (let n = 0; n <= PER_SOURCE; n += 1) if (insert(bench, ipv4(i), n)) taken += 1;
    expect(taken).toBe(64 * PER_SOURCE);
  });
});

describe("a /48 has the signatures of four sources checked", () => {
  const SECONDS = 3;
  /** Two forged TRIGGERs a millisecond of each source, and an honest one each 100 ms of each of `honest`. */
  function flood(from: readonly Locator[], honest: readonly Locator[]): { readonly checked: number; readonly taken: number; readonly tries: number } {
    const [good, bad] = [generateTriggerKey(), generateTriggerKey()];
    let [checked, taken, tries] = [0, 0, 0];
    const bench = new ServerBench({ limits: { triggers: 100_000, perSource: 4_096 }, verify: ({ publicKey }) => Buffer.from(publicKey).equals(good.publicKey) || (checked += 1) < 0 });
    const forged = from.map((locator, i) => ({ locator, bytes: encodeControl(bench.trigger({ id: idOf(bad, i), signer: { kind: "private", key: bad }, from: locator }), NONCE) }));
    for (let ms = 0; ms < SECONDS * 1_000; ms += 1, bench.advance(1)) {
      for (let twice = 0; twice < 2; twice += 1) for (const { locator, bytes } of forged) bench.sendBytes(bytes, locator);
      if (ms % 100 !== 99) continue;
      for (const locator of honest) {
        tries += 1;
        if (bench.ask(bench.trigger({ id: idOf(good, tries), signer: { kind: "private", key: good }, from: locator }), locator)?.type === "TRIGGER_OK") taken += 1;
      }
    }
    return { checked, taken, tries };
  }

  it("however many sources flood, and others, in the network too, are not kept out", () => {
    const { checked, taken, tries } = flood(Array.from({ length: 32 }, (_, i) => subnet(i)), [CLIENT, subnet(1, 8), subnet(99)]);
    expect(checked).toBeLessThanOrEqual((SECONDS + 1) * RATED_SOURCES_PER_NETWORK * 1_000);
    expect(checked).toBeGreaterThan(SECONDS * RATED_SOURCES_PER_NETWORK * 900);
    expect({ taken, tries }).toEqual({ taken: 90, tries: 90 });
  }, 60_000);

  it("in IPv4 each address has its own thousand", () => {
    const { checked, taken, tries } = flood(Array.from({ length: 8 }, (_, i) => ipv4(i)), [CLIENT]);
    expect(checked).toBeGreaterThan(8 * SECONDS * 900);
    expect(taken).toBe(tries);
  }, 60_000);
});

import { describe, expect, it } from "vitest";

import { publicId } from "@i3/common";
import { Random } from "@i3/common/testing";

import { MappingTable } from "../../src/mappings/mapping-table.js";
import type { Mapping } from "../../src/mappings/mapping.js";
import { VirtualAddresses } from "../../src/mappings/virtual-addresses.js";
import { UNNAMED_POLICY } from "../../src/policy/policy.js";

const LIFETIME_MS = 120_000;

/** Packets that have gone to each. */
const sent = new Map<Mapping, number>();

function table(max: number): MappingTable {
  const random = new Random(1);
  const randomBytes = (length: number): Uint8Array => random.bytes(length);
  return new MappingTable({
    limits: { max, maxUnproven: 10, lifetimeMs: 10 * LIFETIME_MS, unprovenLifetimeMs: LIFETIME_MS }, sharedPrefix: () => new Uint8Array(16), randomBytes,
    addresses: new VirtualAddresses({ range: { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 }, isTaken: () => false, randomBytes }),
    hooks: { allocated: () => undefined, released: () => undefined, changed: () => undefined, removed: () => undefined }, packetsOut: (mapping) => sent.get(mapping) ?? 0,
  });
}

let nextHit = 0;
function add(mappings: MappingTable, atMs: number, wanted = false): Mapping | null {
  const hit = new Uint8Array(16);
  new DataView(hit.buffer).setUint32(12, ++nextHit);
  return mappings.create(atMs, { peerId: publicId(hit), peerHit: hit, privateId: null, name: null, ownTrigger: false, wanted, policy: UNNAMED_POLICY });
}

describe("strangers' places", () => {
  it("are a quarter of the table, and it tells how many are taken", () => {
    const mappings = table(80);
    expect(mappings.strangersPart).toBe(0);
    for (let n = 1; n <= 20; n++) {
      expect(add(mappings, 0)).not.toBeNull();
      expect(mappings.strangersPart).toBe(n / 20);
    }
    expect([add(mappings, 0), add(mappings, 0, true) === null]).toEqual([null, false]);
  });

  it("of which there are 4,096: those that are answered keep theirs, whatever comes, and the others go by age", () => {
    const mappings = table(65_536);
    const all = Array.from({ length: 4_096 }, () => add(mappings, 0) as Mapping);
    const [spoken, silent] = [all.slice(0, 96), all.slice(96)];
    for (const mapping of spoken) sent.set(mapping, 1);
    let nowMs = 0;
    const newcomer = { peerId: new Uint8Array(32), policy: UNNAMED_POLICY };
    const ended = new Set<Mapping>();
    // Five a second for 15 minutes; each of the spoken with is answered once in 40 s.
    for (let n = 0; n < 4_500; n += 1) {
      nowMs += 200;
      if (n % 20 === 0) mappings.lookAtStrangers(nowMs);
      const answered = spoken[Math.floor(n / 2) % 100];
      if (answered !== undefined) sent.set(answered, n + 2);
      expect(add(mappings, nowMs)).toBeNull();
      const inTheWay = mappings.strangerInTheWay(nowMs, newcomer) as Mapping;
      if (n < silent.length) expect(inTheWay).toBe(silent[n]);
      ended.add(inTheWay);
      mappings.remove(inTheWay);
      expect(add(mappings, nowMs)).not.toBeNull();
    }
    expect([spoken.filter((mapping) => ended.has(mapping)), silent.filter((mapping) => !ended.has(mapping)), ended.size]).toEqual([[], [], 4_500]);
    // Nobody's place is to be had while all are in use, nor by those who have a share of their own.
    for (const mapping of mappings.all()) sent.set(mapping, 100_000);
    expect(mappings.strangerInTheWay(nowMs, newcomer)).toBeNull();
    expect(mappings.strangerInTheWay(nowMs + 59_999, newcomer)).toBeNull();
    expect(mappings.strangerInTheWay(nowMs + 60_000, newcomer)).not.toBeNull();
    expect(mappings.strangerInTheWay(nowMs + 60_000, { ...newcomer, peerId: null })).toBeNull();
  });

  it("are left four times as soon when half of them are taken, by those that carry nothing", () => {
    const mappings = table(80);
    for (let n = 0; n < 9; n++) add(mappings, 0);
    const friend = add(mappings, 0, true);
    expect(mappings.expired(LIFETIME_MS)).toEqual([]);
    const busy = add(mappings, LIFETIME_MS) as Mapping;
    const soonMs = LIFETIME_MS + LIFETIME_MS / 4;
    expect(mappings.expired(soonMs)).toHaveLength(9);
    for (const mapping of mappings.expired(soonMs)) mappings.remove(mapping);
    // Not crowded any more.
    expect([mappings.expired(soonMs + 1), friend !== null]).toEqual([[], true]);
    busy.lastUseMs = soonMs;
    expect(mappings.expired(soonMs + LIFETIME_MS)).toEqual([]);
    expect(mappings.expired(soonMs + LIFETIME_MS + 1)).toEqual([busy]);
  });
});

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
    limits: { max, maxUnproven: 10, lifetimeMs: 10 * LIFETIME_MS, unprovenLifetimeMs: LIFETIME_MS }, sharedPrefix: new Uint8Array(16), randomBytes,
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

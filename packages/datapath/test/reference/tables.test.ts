import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS, type TriggerEntry } from "../../src/datapath.js";
import { DatapathError } from "../../src/errors.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { ReferenceEngine } from "../../src/reference/engine.js";
import { TriggerTable, commonPrefixBits, matchId } from "../../src/reference/trigger-table.js";
import { Harness, dataPacket, locator } from "./harness.js";
import { bytes, makeId } from "./packets.js";

const RING_KEY = new Uint8Array(16).fill(9);
const numbered = (length: number, i: number): Uint8Array => {
  const out = new Uint8Array(length);
  new DataView(out.buffer).setUint32(length - 4, i);
  return out;
};

/** What the trigger table must do, said with numbers: of what shares 128 bits the id with the least XOR, which is the longest common prefix and more. */
function oracle(triggers: readonly TriggerEntry[], id: Uint8Array): readonly TriggerEntry[] {
  const number = (value: Uint8Array): bigint => BigInt(`0x${Buffer.from(value).toString("hex")}`);
  const distance = (trigger: TriggerEntry): bigint => number(trigger.id) ^ number(id);
  const near = triggers.filter((trigger) => distance(trigger) < 1n << 128n);
  return near.filter((trigger) => near.every((other) => distance(trigger) <= distance(other)));
}

describe("trigger table", () => {
  const portOf = (endpoint: Uint8Array): number => (endpoint[16] ?? 0) * 256 + (endpoint[17] ?? 0);
  const suffix = fc.oneof(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    // Close neighbours, so that prefixes of many lengths occur.
    fc.tuple(fc.nat(15), fc.constantFrom(0, 1, 2, 0x40, 0x80, 0xff)).map(([at, value]) => new Uint8Array(16).fill(value, at, at + 1)),
  );

  it("equals a linear scan", () => {
    fc.assert(
      fc.property(fc.array(suffix, { maxLength: 20 }), suffix, fc.constantFrom(9, 9, 9, 8), (suffixes, wanted, key) => {
        const triggers = suffixes.map((value, i): TriggerEntry => ({ id: makeId(9, ...value), target: { kind: "locator", locator: locator("192.0.2.1", i + 1) } }));
        const table = new TriggerTable();
        table.set(RING_KEY, triggers);
        const id = makeId(key, ...wanted);
        const found = matchId(table, id).map((target) => (target.kind === "locator" ? portOf(target.endpoint) : 0));
        const expected = oracle(triggers, id).map(({ target }) => (target.kind === "locator" ? target.locator.port : 0));
        expect(found.toSorted((a, b) => a - b)).toEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it("serves all triggers of the nearest id, in the order given, also when others share as many bits", () => {
    const table = new TriggerTable();
    const at = (id: Uint8Array, port: number): TriggerEntry => ({ id, target: { kind: "locator", locator: locator("192.0.2.1", port) } });
    table.set(RING_KEY, [at(makeId(9, 0xc0), 1), at(makeId(9, 0x80), 2), at(makeId(9, 0xc0), 3)]);
    const portsFor = (id: Uint8Array): number[] => matchId(table, id).map((target) => (target.kind === "locator" ? portOf(target.endpoint) : 0));
    expect([portsFor(makeId(9, 0x01)), portsFor(makeId(9, 0x41)), portsFor(makeId(9, 0xc1))]).toEqual([[2], [1, 3], [1, 3]]);
  });

  it("counts common bits", () => {
    const [a, b] = [new Uint8Array(32), new Uint8Array(32)];
    expect(commonPrefixBits(a, 0, b, 0)).toBe(256);
    for (let bit = 0; bit < 256; bit++) {
      b.fill(0)[bit >> 3] = 0x80 >> (bit & 7);
      expect(commonPrefixBits(a, 0, b, 0)).toBe(bit);
    }
  });

  it("replaces and removes a ring key's triggers, and copies them", () => {
    const table = new TriggerTable();
    const id = makeId(9, 1);
    const stack = [makeId(8)];
    table.set(RING_KEY, [{ id, target: { kind: "stack", ids: stack } }]);
    id.fill(0);
    stack[0]?.fill(0);
    expect(matchId(table, makeId(9, 1))).toEqual([{ kind: "stack", ids: Buffer.from(makeId(8)) }]);
    table.set(RING_KEY, [{ id: makeId(9, 2), target: { kind: "locator", locator: locator("192.0.2.1") } }]);
    expect(matchId(table, makeId(9, 1))).toEqual([{ kind: "locator", endpoint: encodeEndpoint(locator("192.0.2.1")) }]);
    table.set(RING_KEY, []);
    expect(matchId(table, makeId(9, 1))).toEqual([]);
  });
});

describe("full tables", () => {
  const full = expect.objectContaining({ code: "ERR_I3_TABLE_FULL", name: "DatapathError" }) as Error;
  const refused = (action: () => void): void => {
    expect(action).toThrow(DatapathError);
    expect(action).toThrow(full);
  };

  it("flows: what is there stays and can be replaced", () => {
    const engine = new ReferenceEngine();
    for (let i = 0; i < LIMITS.flows; i++) engine.setFlow(numbered(i % 2 === 0 ? 4 : 16, i), { action: "setup" });
    refused(() => engine.setFlow(numbered(4, 1_000_000), { action: "setup" }));
    engine.setFlow(numbered(4, 0), { action: "refuse" });
    engine.setFlow(numbered(16, 1), null);
    engine.setFlow(numbered(4, 1_000_000), { action: "setup" });
  });

  it("inbound", () => {
    const engine = new ReferenceEngine();
    for (let i = 0; i < LIMITS.inbound; i++) engine.setInbound(numbered(32, i), { action: "upcall" });
    refused(() => engine.setInbound(numbered(32, 1_000_000), { action: "upcall" }));
    engine.setInbound(numbered(32, 0), { action: "upcall" });
    engine.setInbound(numbered(32, 0), null);
    engine.setInbound(numbered(32, 1_000_000), { action: "upcall" });
  });

  it("next servers", () => {
    const engine = new ReferenceEngine();
    for (let i = 0; i < LIMITS.nextServers; i++) engine.setNextServer(numbered(16, i), locator("192.0.2.1"));
    refused(() => engine.setNextServer(numbered(16, 1_000_000), locator("192.0.2.1")));
    engine.setNextServer(numbered(16, 0), locator("192.0.2.2"));
    engine.setNextServer(numbered(16, 0), null);
    engine.setNextServer(numbered(16, 1_000_000), locator("192.0.2.1"));
  });

  it("triggers of one ring key, and the old ones stay", () => {
    const harness = new Harness();
    harness.engine.setResponsibility({ kind: "all" });
    const entry: TriggerEntry = { id: makeId(9, 1), target: { kind: "locator", locator: locator("192.0.2.1") } };
    harness.engine.setTriggers(RING_KEY, [entry]);
    refused(() => harness.engine.setTriggers(RING_KEY, Array.from({ length: LIMITS.triggersPerRingKey + 1 }, () => entry)));
    expect(harness.fromUdp(locator("192.0.2.9"), dataPacket({ ids: [entry.id] })).udp).toHaveLength(1);
    harness.engine.setTriggers(RING_KEY, Array.from({ length: LIMITS.triggersPerRingKey }, () => entry));
  });

  it("triggers in all", () => {
    const engine = new ReferenceEngine();
    const fill = (key: number, count: number): void => {
      const ringKey = numbered(16, key);
      const id = new Uint8Array(32);
      id.set(ringKey);
      engine.setTriggers(ringKey, Array.from({ length: count }, () => ({ id, target: { kind: "locator", locator: locator("192.0.2.1") } })));
    };
    const groups = LIMITS.triggers / LIMITS.triggersPerRingKey;
    for (let i = 0; i < groups; i++) fill(i, LIMITS.triggersPerRingKey);
    refused(() => fill(groups, 1));
    fill(0, LIMITS.triggersPerRingKey);
    fill(0, LIMITS.triggersPerRingKey - 1);
    fill(groups, 1);
    refused(() => fill(groups, 2));
  });
});

describe("arguments of a wrong shape are RangeErrors and change nothing", () => {
  const engine = new ReferenceEngine();
  const at = locator("192.0.2.1");
  const pair = { from: bytes(1, 2, 3, 4), to: bytes(1, 2, 3, 4) };
  const tun = { action: "tun", flow: bytes(1, 2, 3, 4), source4: pair, destination4: pair, source6: null, destination6: null } as const;
  it.each<readonly [string, () => void]>([
    ["address", () => engine.setFlow(bytes(1, 2, 3), { action: "setup" })],
    ["header", () => engine.setFlow(bytes(1, 2, 3, 4), { action: "tunnel", header: bytes(0x11), source: bytes(1, 2, 3, 4) })],
    ["header of another kind", () => engine.setFlow(bytes(1, 2, 3, 4), { action: "tunnel", header: dataPacket({}).fill(0x19, 0, 1), source: bytes(1, 2, 3, 4) })],
    ["source of the other family", () => engine.setFlow(bytes(1, 2, 3, 4), { action: "tunnel", header: dataPacket({}), source: new Uint8Array(16) })],
    ["inbound id", () => engine.setInbound(bytes(1), { action: "upcall" })],
    ["inbound flow", () => engine.setInbound(makeId(1), { ...tun, flow: bytes(1) })],
    ["rewrite", () => engine.setInbound(makeId(1), { ...tun, source4: { from: pair.from, to: new Uint8Array(16) } })],
    ["ring key", () => engine.setNextServer(bytes(1), at)],
    ["locator port", () => engine.setDefaultServer({ address: bytes(1, 2, 3, 4), port: 0 })],
    ["locator address", () => engine.setDefaultServer({ address: bytes(1, 2, 3), port: 1 })],
    ["trigger of another ring key", () => engine.setTriggers(RING_KEY, [{ id: makeId(8), target: { kind: "locator", locator: at } }])],
    ["empty stack", () => engine.setTriggers(RING_KEY, [{ id: makeId(9), target: { kind: "stack", ids: [] } }])],
    ["short stack id", () => engine.setTriggers(RING_KEY, [{ id: makeId(9), target: { kind: "stack", ids: [bytes(1)] } }])],
    ["range", () => engine.setResponsibility({ kind: "range", from: bytes(1), to: RING_KEY })],
  ])("%s", (_, action) => {
    expect(action).toThrow(RangeError);
    expect(engine.lastUse(bytes(1, 2, 3, 4))).toBeUndefined();
  });
});

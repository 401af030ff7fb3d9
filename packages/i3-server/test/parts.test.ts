/** Rules of single parts that a whole ring hides, because it mends itself. */
import { describe, expect, it } from "vitest";

import { makeLocator, parseServerConfig, type RingNode } from "@i3/common";
import { LIMITS } from "@i3/datapath";

import type { Chord, ChordOutput } from "../src/chord/chord.js";
import { Lookups, type Lookup, type LookupHost } from "../src/chord/lookups.js";
import { orderSuccessors } from "../src/chord/neighbours.js";
import { inHalfOpen, inOpen, minusOne, plusPowerOfTwo } from "../src/chord/ring-key.js";
import { Routes } from "../src/server/routes.js";
import { TriggerTable } from "../src/triggers/trigger-table.js";
import { keyOf, RingNet } from "./ring-net.js";

const node = (byte: number): RingNode => ({ key: new Uint8Array(16).fill(byte), locator: makeLocator(Uint8Array.of(10, 9, 0, byte), 4_000) });
const key = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const last = (...bytes: number[]): Uint8Array => Uint8Array.from([...new Uint8Array(16 - bytes.length), ...bytes]);

/** Of a server that is responsible for all, and nobody has joined. */
const HOST = { serves: () => true, isNew: () => false, isHandingOver: () => false };

describe("keys on the circle", () => {
  it.each<[string, Uint8Array, number, Uint8Array]>([
    ["carries", last(0xff, 0xff), 0, last(1, 0, 0)],
    ["adds inside a byte", last(0x01), 4, last(0x11)],
    ["wraps", key(0xff), 0, key(0)],
    ["wraps the highest bit", key(0x80), 127, Uint8Array.from([0, ...key(0x80).slice(1)])],
  ])("adding a power of two %s", (_name, from, bit, sum) => {
    const before = from.slice();
    expect(plusPowerOfTwo(from, bit)).toEqual(sum);
    expect(from).toEqual(before);
    if (bit === 0) expect(minusOne(sum)).toEqual(from);
  });

  it("leaves a Buffer as it was", () => {
    const buffer = Buffer.from(last(0xff));
    plusPowerOfTwo(buffer, 0);
    minusOne(buffer);
    expect(new Uint8Array(buffer)).toEqual(last(0xff));
  });

  it("intervals wrap, and one from a key to itself is the whole circle", () => {
    expect([inOpen(key(1), key(2), key(3)), inOpen(key(3), key(1), key(2)), inOpen(key(1), key(3), key(2))]).toEqual([true, true, false]);
    expect([inOpen(key(1), key(2), key(1)), inOpen(key(1), key(1), key(1)), inHalfOpen(key(1), key(1), key(1))]).toEqual([true, false, true]);
    expect([inHalfOpen(key(1), key(2), key(2)), inHalfOpen(key(1), key(1), key(2))]).toEqual([true, false]);
  });
});

describe("successor lists", () => {
  const nobody = (): boolean => false;
  it("end where they come back to the node itself, pass over the dead and report who stands out of order", () => {
    const self = node(1);
    expect(orderSuccessors(self, [self, node(2)], nobody)).toEqual({ list: [], nearer: null });
    expect(orderSuccessors(self, [node(2), node(5), self, node(3)], nobody)).toEqual({ list: [node(2), node(5)], nearer: null });
    expect(orderSuccessors(self, [node(2), node(5)], ({ key: k }) => k[0] === 2)).toEqual({ list: [node(5)], nearer: null });
    expect(orderSuccessors(self, [node(5), node(9), node(3)], nobody)).toEqual({ list: [node(5), node(9)], nearer: node(3) });
  });
});

describe("lookups", () => {
  /** Keys 0x10 … : self 0x10, knows 0x20 and 0x30; looks for 0x50. */
  function start() {
    const asked: RingNode[] = [];
    const found: RingNode[] = [];
    let lookup: Lookup | undefined;
    const host: LookupHost = {
      self: node(0x10),
      answer: () => ({ final: false, node: node(0x30) }),
      nonce: () => new Uint8Array(8),
      nearest: (_nowMs, _key, skip) => [node(0x30), node(0x20)].find((other) => !skip(other)) ?? null,
      isDead: () => false,
      ask: (_nowMs, running, _to, to) => ((lookup = running), asked.push(to as RingNode)),
      route: () => false,
      found: (_nowMs, _lookup, result) => found.push(result),
      notFound: () => undefined,
    };
    const lookups = new Lookups(host);
    lookups.start(0, key(0x50), { kind: "caller", id: 1 });
    return { asked, found, lookups, lookup: lookup as unknown as Lookup };
  }

  it("do not believe a final answer that cannot be, nor follow one that leads away; they ask another", () => {
    const { asked, found, lookups, lookup } = start();
    lookups.answered(0, lookup, node(0x30), { final: true, node: node(0x40) });
    expect(found).toEqual([]);
    expect(asked).toEqual([node(0x30), node(0x20)]);
    lookups.answered(0, lookup, node(0x20), { final: false, node: node(0x60) });
    expect(asked).toHaveLength(2);
    expect(lookups.size).toBe(1);
  });

  it("believe one that can, once the node that it names says so too", () => {
    const { asked, found, lookups, lookup } = start();
    lookups.answered(0, lookup, node(0x30), { final: true, node: node(0x55) });
    expect(found).toEqual([]);
    expect(asked.at(-1)).toEqual(node(0x55));
    lookups.answered(0, lookup, node(0x55), { final: true, node: node(0x55) });
    expect(found).toEqual([node(0x55)]);
    expect(lookups.size).toBe(0);
  });
});

describe("neighbours", () => {
  const outputsOf = (chord: Chord): ChordOutput[] => {
    const outputs: ChordOutput[] = [];
    for (let o = chord.pollOutput(); o !== undefined; o = chord.pollOutput()) outputs.push(o);
    return outputs;
  };

  it("a leaving predecessor's keys are ours when the one before it notifies us, and not by what it says", () => {
    const { chord, node: self } = new RingNet(1).add([]);
    const leaver = { ...node(1), key: minusOne(self.key) };
    const before = { ...node(2), key: minusOne(leaver.key) };
    chord.handleMessage(0, new Uint8Array(8), { type: "NOTIFY", from: leaver });
    chord.handleMessage(1, new Uint8Array(8), { type: "LEAVING", from: leaver, predecessor: before, successors: [self] });
    const took: ChordOutput = { kind: "responsibility", range: { kind: "range", from: before.key, to: self.key } };
    expect(outputsOf(chord)).not.toContainEqual(took);
    chord.handleMessage(2, new Uint8Array(8), { type: "NOTIFY", from: before });
    expect(keyOf(chord.predecessor)).toBe(keyOf(before));
    expect(outputsOf(chord)).toContainEqual(took);
  });

  it("a node that joins has the member it joined through as its predecessor at once (Zave)", () => {
    const net = new RingNet(2);
    const first = net.add([]);
    const { chord } = net.add([0]);
    net.passes = (_from, to) => chord.successors.length === 0 || to === first.index;
    net.runUntil(() => chord.successors.length > 0, 1_000);
    expect(chord.successors.map(keyOf)).toEqual([keyOf(first.node)]);
    expect(keyOf(chord.predecessor)).toBe(keyOf(first.node));
  });

  it("nodes lost in a partition are tried again although nobody has them configured", () => {
    const net = new RingNet(3);
    for (let i = 0; i < 6; i += 1) net.add(i === 0 ? [] : [0]);
    net.run(8_000);
    for (const { chord } of net.members) chord.setMembers(net.nowMs, []);
    net.passes = (from, to) => from < 3 === to < 3;
    net.run(30_000);
    expect(net.fault()).not.toBeNull();
    net.passes = () => true;
    expect(net.runUntil(() => net.fault() === null, 60_000)).toBeLessThan(20_000);
  });
});

describe("routes", () => {
  it("their servers are watched from the first to the last of them", () => {
    const watched: string[] = [];
    const watcher = { watch: (n: RingNode) => void watched.push(`+${n.key[0]}`), unwatch: (n: RingNode) => void watched.push(`-${n.key[0]}`) };
    const routes = new Routes({ setNextServer: () => undefined }, watcher);
    routes.set(0, key(50), node(1), true);
    routes.set(10, key(51), node(1), true);
    expect(watched).toEqual(["+1"]);
    routes.expire(30_000);
    expect(watched).toEqual(["+1"]);
    routes.expire(30_010);
    expect(watched).toEqual(["+1", "-1"]);
  });
});

const NO_LEASES = { setLease: () => undefined, takeRefreshed: () => [] };

describe("the trigger table", () => {
  it("holds as many triggers of one ring key as the engine can", () => {
    const table = new TriggerTable({ ...NO_LEASES, setTriggers: () => undefined }, { triggers: 10_000, perSource: 10_000 }, HOST);
    const idOf = (i: number): Uint8Array => Uint8Array.from([...key(1), ...new Uint8Array(14), i >> 8, i & 0xff]);
    const { locator: target } = node(1);
    for (let i = 0; i < LIMITS.triggersPerRingKey; i += 1) table.insert(0, { id: idOf(i), target, counter: 1, commitment: key(0), isClaim: false, stack: null, member: null, lastMs: Infinity, isReplica: false, shortcut: false });
    const isFull = (id: Uint8Array): boolean => table.isFull({ id, target, isClaim: false, member: null, isReplica: false });
    expect([isFull(idOf(5_000)), isFull(idOf(7)), isFull(Uint8Array.from([...key(2), ...key(0)]))]).toEqual([true, false, false]);
  });

  it("is never configured to be larger than the engine's", () => {
    const configured = (triggers: number): number =>
      parseServerConfig(`<i3-server version="1"><identity key-file="k"/><limits triggers="${triggers}"/></i3-server>`, "x.xml").limits.triggers;
    expect(configured(LIMITS.triggers)).toBe(LIMITS.triggers);
    expect(() => configured(LIMITS.triggers + 1)).toThrow("is out of range");
  });

  it("tells the engine once about a ring key whose triggers end together", () => {
    const told: number[] = [];
    const table = new TriggerTable({ ...NO_LEASES, setTriggers: (_key, triggers) => void told.push(triggers.length) }, { triggers: 100, perSource: 100 }, HOST);
    for (let i = 0; i < 5; i += 1) table.insert(0, { id: Uint8Array.from([...key(1), ...key(i)]), target: node(1).locator, counter: 1, commitment: key(0), isClaim: false, stack: null, member: null, lastMs: Infinity, isReplica: false, shortcut: false });
    expect(table.expire(30_000)).toBe(5);
    expect(told).toEqual([1, 2, 3, 4, 5, 0]);
  });
});

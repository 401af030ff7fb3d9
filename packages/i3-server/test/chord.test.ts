import { describe, expect, it } from "vitest";

import { sameLocator, toHex, type RingNode } from "@i3/common";

import { Chord } from "../src/chord/chord.js";
import { keyOf, randomBytesFrom, RingNet, seeded } from "./ring-net.js";

/** A ring of `size`, members started 10 ms apart, each knowing the first (the first knows the last). */
function ringOf(size: number, seed: number, loss = 0): RingNet {
  const net = new RingNet(seed);
  net.loss = loss;
  for (let i = 0; i < size; i += 1) {
    net.add(size === 1 ? [] : [i === 0 ? size - 1 : 0]);
    net.run(10);
  }
  return net;
}

const settled = (net: RingNet) => () => net.fault() === null;

function expectLookupsRight(net: RingNet, times: number): void {
  for (let i = 0; i < times; i += 1) {
    const live = net.live();
    const key = net.randomKey();
    const asker = live[i % live.length];
    const owner = net.ownerOf(key);
    expect(keyOf(net.lookup(asker?.index ?? 0, key)), `key ${toHex(key)}`).toBe(keyOf(owner.node));
    expect(owner.chord.owns(key)).toBe(true);
    expect(live.filter(({ chord }) => chord.owns(key))).toHaveLength(1);
  }
}

describe("forming", () => {
  it.each([1, 2, 3, 8, 32])("%i nodes become one ordered ring with right lookups", (size) => {
    const net = ringOf(size, 1_000 + size);
    expect(net.runUntil(settled(net), 10_000)).toBeLessThan(6_000);
    net.run(20_000);
    expect(net.fault()).toBeNull();
    expectLookupsRight(net, 50);
  });

  it.each([1, 2, 3, 4, 5])("nodes that start at once and know each other are a ring within 3 s (seed %i)", (seed) => {
    const net = new RingNet(seed);
    for (let i = 0; i < 5; i += 1) net.add([0, 1, 2, 3, 4]);
    expect(net.runUntil(settled(net), 10_000)).toBeLessThan(3_000);
  });

  it("fills the successor lists of a large ring with the next eight", () => {
    const net = ringOf(32, 5);
    net.run(15_000);
    const sorted = net.live().map(({ node }) => keyOf(node)).sort();
    for (const { chord, node } of net.live()) {
      const at = sorted.indexOf(keyOf(node));
      expect(chord.successors.map(keyOf)).toEqual(Array.from({ length: 8 }, (_, i) => sorted[(at + 1 + i) % 32]));
    }
  });

  it("is known to the node before it at once when it has joined, not only when that one asks its successor the next time", () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const net = ringOf(6, seed);
      net.run(15_000 + seed * 37);
      const { node, chord, outputs } = net.add([0]);
      net.runUntil(() => outputs.some(({ kind }) => kind === "joined"), 5_000);
      net.run(200);
      const before = net.live().find((member) => keyOf(member.node) === keyOf(chord.predecessor));
      expect(keyOf(before?.chord.successors[0] ?? null), `seed ${seed}`).toBe(keyOf(node));
    }
  });

  it("joins under 20 % loss", () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const net = ringOf(8, seed, 0.2);
      expect(net.runUntil(settled(net), 60_000), `seed ${seed}`).toBeLessThan(20_000);
      net.loss = 0;
      net.run(5_000);
      expectLookupsRight(net, 10);
    }
  });

  it("claims nothing until members had their time to answer, then everything, and says so once", () => {
    const net = new RingNet(3);
    const { chord, outputs } = net.add([7]);
    net.run(1_900);
    expect(chord.owns(net.randomKey())).toBe(false);
    expect(outputs.some(({ kind }) => kind === "alone")).toBe(false);
    net.run(20_000);
    expect(chord.owns(net.randomKey())).toBe(true);
    expect(outputs.filter(({ kind }) => kind === "alone")).toHaveLength(1);
    expect(outputs.at(-1)).toEqual({ kind: "responsibility", range: { kind: "all" } });
  });
});

it.each([1, 2, 3, 4, 5])("nodes that are 150 ms apart are a ring in 30 s, though most are awaiting an answer when they are asked (seed %i)", (seed) => {
  const net = new RingNet(seed);
  net.delayMs = () => 140 + Math.floor(net.random() * 20);
  for (let i = 0; i < 24; i += 1) {
    net.add(i === 0 ? [] : [Math.floor(net.random() * Math.min(i, 4))]);
    net.run(i < 4 ? 1_500 : 10);
  }
  expect(net.runUntil(settled(net), 60_000)).toBeLessThan(30_000);
});

describe("failures", () => {
  it.each([2, 3, 8, 32])("a crash among %i heals within 4 s", (size) => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const net = ringOf(size, seed);
      net.run(12_000);
      net.crash(Math.floor(net.random() * size));
      expect(net.runUntil(settled(net), 20_000), `seed ${seed}`).toBeLessThan(4_000);
      expectLookupsRight(net, 10);
    }
  });

  it("a node that was taken for dead by mistake is told of once when it is heard again", () => {
    const net = ringOf(8, 4);
    net.run(12_000);
    const { node } = net.member(3);
    net.passes = (from, to) => from !== 3 && to !== 3;
    net.run(3_000);
    net.passes = () => true;
    net.run(5_000);
    const told = net.live().filter(({ index }) => index !== 3).map(({ outputs }) => outputs.flatMap((output) => ((output.kind === "gone" || output.kind === "back") && keyOf(output.node) === keyOf(node) ? [output.kind] : [])));
    expect(told.some((kinds) => kinds.join() === "gone,back")).toBe(true);
    expect(told.filter((kinds) => kinds.length > 0 && kinds.join() !== "gone,back")).toEqual([]);
  });

  it("claims nothing while members answer, though all that are next to its place crashed a moment before", () => {
    const net = ringOf(12, 3);
    const lonely = net.members.length;
    net.passes = (from, to) => lonely !== from || to === 0; // who asks reaches only that one
    const { chord, outputs } = net.add([0]);
    net.run(10_000);
    expect(outputs.filter(({ kind }) => kind === "alone")).toEqual([]);
    expect(chord.owns(net.member(lonely).node.key)).toBe(false);
    net.passes = () => true;
    net.run(3_000);
    expect(chord.owns(net.member(lonely).node.key)).toBe(true);
    expect(outputs.filter(({ kind }) => kind === "alone")).toEqual([]);
  });

  it("serves alone after half a minute, and says so, when members answer and none lets it in", () => {
    const net = ringOf(12, 3);
    const lonely = net.members.length;
    net.passes = (from, to) => lonely !== from || to === 0;
    const { chord, outputs } = net.add([0]);
    net.run(29_000);
    expect(chord.owns(net.member(lonely).node.key)).toBe(false);
    net.run(2_000);
    expect(chord.owns(net.member(lonely).node.key)).toBe(true);
    expect(outputs.filter(({ kind }) => kind === "alone")).toHaveLength(1);
  });

  it("three neighbours that crash together heal", () => {
    const net = ringOf(12, 77);
    net.run(12_000);
    const sorted = net.live().sort((a, b) => (keyOf(a.node) < keyOf(b.node) ? -1 : 1));
    for (const { index } of sorted.slice(4, 7)) net.crash(index);
    expect(net.runUntil(settled(net), 20_000)).toBeLessThan(8_000);
    expectLookupsRight(net, 10);
  });

  it("a node cut off silently is dropped and comes back by itself", () => {
    const net = ringOf(5, 9);
    net.run(10_000);
    net.passes = (from, to) => from !== 2 && to !== 2;
    const others = net.live().filter(({ index }) => index !== 2);
    expect(net.runUntil(() => net.fault(others) === null, 20_000)).toBeLessThan(4_000);
    net.run(10_000);
    expect(net.fault([net.member(2)])).toBeNull();
    net.passes = () => true;
    expect(net.runUntil(settled(net), 20_000)).toBeLessThan(6_000);
  });

  it.each([1, 2, 3])("two halves of a partition each form a ring and merge when it ends (seed %i)", (seed) => {
    const net = ringOf(8, seed);
    net.run(12_000);
    net.passes = (from, to) => from < 4 === to < 4;
    const halves = [net.live().filter(({ index }) => index < 4), net.live().filter(({ index }) => index >= 4)];
    expect(net.runUntil(() => halves.every((half) => net.fault(half) === null), 30_000)).toBeLessThan(15_000);
    net.run(20_000);
    net.passes = () => true;
    expect(net.runUntil(settled(net), 60_000)).toBeLessThan(15_000);
    expectLookupsRight(net, 20);
  });

  it("a ring whose members all restart in another order forms again", () => {
    const net = ringOf(6, 21);
    net.run(8_000);
    for (let i = 0; i < 6; i += 1) net.crash(i);
    net.run(3_000);
    for (const index of [4, 1, 5, 3, 0, 2]) {
      net.restart(index, [index === 0 ? 5 : 0]);
      net.run(700);
    }
    expect(net.runUntil(settled(net), 30_000)).toBeLessThan(10_000);
    expectLookupsRight(net, 20);
  });

  it("a node that restarts at once takes its old place", () => {
    const net = ringOf(5, 33);
    net.run(8_000);
    net.crash(3);
    net.run(300);
    net.restart(3, [0]);
    expect(net.runUntil(settled(net), 20_000)).toBeLessThan(4_000);
  });

  it("two rings of one that ask each other at once, and far from each other, are one within 3 s", () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const net = new RingNet(seed);
      net.delayMs = (from) => (from === 0 ? 73 : 75) + Math.floor(net.random() * 5);
      net.add([1]);
      net.run(8_000 + seed * 13);
      net.add([0]);
      expect(net.runUntil(settled(net), 20_000), `seed ${seed}`).toBeLessThan(3_000);
    }
  });

  it("two rings of one of which only one knows the other merge", () => {
    const net = new RingNet(4);
    net.add([]);
    net.run(3_000);
    net.add([0]);
    expect(net.runUntil(settled(net), 10_000)).toBeLessThan(2_000);
  });
});

describe("leaving", () => {
  it.each([2, 3, 8])("of %i nodes one leaves, and the ring is whole in 300 ms", (size) => {
    const net = ringOf(size, 50 + size);
    net.run(10_000);
    net.leave(1);
    expect(net.runUntil(settled(net), 10_000)).toBeLessThan(300);
    net.run(5_000);
    expect(net.fault()).toBeNull();
    expectLookupsRight(net, 10);
  });
});

describe("Zave's rules", () => {
  const node = (byte: number, port = 4_000): RingNode => ({ key: new Uint8Array(16).fill(byte), locator: { address: Uint8Array.of(10, 9, 0, byte), port } });
  const NONCE = new Uint8Array(8);

  it("says response pending while it awaits the answer to a state query, says that it lives all the same, and answers again afterwards", () => {
    const net = new RingNet(8);
    const { chord } = net.add([]);
    const asker = node(1);
    chord.handleMessage(0, NONCE, { type: "NOTIFY", from: asker });
    const outputs = [];
    for (let o = chord.pollOutput(); o !== undefined; o = chord.pollOutput()) outputs.push(o);
    const query = outputs.find((o) => o.kind === "send" && o.message.type === "STATE");
    if (query?.kind !== "send") throw new Error("no state query");
    chord.handleMessage(1, NONCE, { type: "STATE", from: asker });
    expect(chord.pollOutput()).toMatchObject({ message: { type: "STATE_IS", pending: true, predecessor: null, successors: [] } });
    chord.handleMessage(1, NONCE, { type: "ALIVE", from: asker });
    expect(chord.pollOutput()).toMatchObject({ nonce: NONCE, message: { type: "ALIVE_YES" } });
    chord.handleMessage(2, query.nonce, { type: "STATE_IS", from: asker, pending: false, predecessor: null, successors: [] });
    while (chord.pollOutput() !== undefined);
    chord.handleMessage(3, NONCE, { type: "STATE", from: asker });
    expect(chord.pollOutput()).toMatchObject({ message: { pending: false, successors: [asker], predecessor: asker } });
  });

  it("keeps a live predecessor against a farther node, and asks whether it lives", () => {
    const net = new RingNet(8);
    const near = net.add([]);
    const far = net.add([0]);
    net.run(3_000);
    const self = net.add([0]);
    net.run(5_000);
    const predecessor = self.chord.predecessor;
    const [other] = [near, far].filter((m) => keyOf(m.node) !== keyOf(predecessor));
    self.chord.handleMessage(net.nowMs, NONCE, { type: "NOTIFY", from: (other as typeof near).node });
    net.run(400);
    expect(keyOf(self.chord.predecessor)).toBe(keyOf(predecessor));
  });

  it("asks a predecessor that is cut off at once when a farther node notifies it, and takes that one 0.8 s later, before it notifies again", () => {
    const [self, head, predecessor, other] = [node(0x40), node(0x50), node(0x30), node(0x20)];
    const chord = new Chord({ self, members: [], random: randomBytesFrom(seeded(1)) });
    const asked: string[] = [];
    /** The head answers, nobody else does. */
    const drain = (nowMs: number): void => {
      for (let o = chord.pollOutput(); o !== undefined; o = chord.pollOutput()) {
        if (o.kind !== "send") continue;
        if (sameLocator(o.to, predecessor.locator)) asked.push(`${nowMs} ${o.message.type}`);
        else if (o.message.type === "STATE") chord.handleMessage(nowMs, o.nonce, { type: "STATE_IS", from: head, pending: false, predecessor: self, successors: [predecessor] });
      }
    };
    const runTo = (untilMs: number): void => {
      for (let nowMs = chord.deadlineMs(); nowMs <= untilMs; nowMs = chord.deadlineMs()) {
        chord.handleTimer(nowMs);
        drain(nowMs);
      }
    };
    chord.start(0);
    chord.handleMessage(0, NONCE, { type: "NOTIFY", from: head });
    drain(0);
    chord.handleMessage(0, NONCE, { type: "NOTIFY", from: predecessor });
    runTo(2_000);
    chord.handleMessage(2_000, NONCE, { type: "NOTIFY", from: predecessor });
    drain(2_000);
    expect([chord.predecessor, chord.successors[0]]).toEqual([predecessor, head]);
    asked.length = 0;

    runTo(2_100);
    chord.handleMessage(2_100, NONCE, { type: "NOTIFY", from: other });
    drain(2_100);
    expect(asked).toContain("2100 ALIVE");
    runTo(2_899);
    expect(chord.predecessor).toEqual(predecessor);
    expect(chord.isPredecessorDead).toBe(false);
    runTo(2_900);
    expect(chord.predecessor).toEqual(other);
    expect(chord.isPredecessorDead).toBe(false);
  });

  it("ignores answers to questions that it did not ask, and from others than those it asked", () => {
    const net = new RingNet(8);
    const { chord } = net.add([]);
    chord.handleMessage(0, NONCE, { type: "STATE_IS", from: node(1), pending: false, predecessor: null, successors: [node(2)] });
    expect(chord.successors).toHaveLength(0);
    chord.handleMessage(0, NONCE, { type: "NOTIFY", from: node(1) });
    const outputs = [];
    for (let o = chord.pollOutput(); o !== undefined; o = chord.pollOutput()) outputs.push(o);
    const query = outputs.find((o) => o.kind === "send" && o.message.type === "STATE");
    if (query?.kind !== "send") throw new Error("no state query");
    chord.handleMessage(0, query.nonce, { type: "STATE_IS", from: node(2), pending: false, predecessor: null, successors: [] });
    expect(chord.successors).toHaveLength(0);
  });

  describe("a successor list never skips members", () => {
    /** A node at 0x10 with one configured member, and what it asked in its last output. */
    const started = (member = 0x08): { chord: Chord; asked: (type: string, to: RingNode) => Uint8Array } => {
      const chord = new Chord({ self: node(0x10), members: [node(member).locator], random: randomBytesFrom(seeded(1)) });
      chord.start(0);
      chord.handleTimer(0);
      const asked = (type: string, to: RingNode): Uint8Array => {
        for (let o = chord.pollOutput(); o !== undefined; o = chord.pollOutput()) {
          if (o.kind === "send" && o.message.type === type && o.to.address[3] === to.locator.address[3]) return o.nonce;
        }
        throw new Error(`no ${type} for ${to.locator.address[3]}`);
      };
      return { chord, asked };
    };
    const state = (from: RingNode, successors: readonly RingNode[], predecessor: RingNode | null = null) => ({ type: "STATE_IS", from, pending: false, predecessor, successors }) as const;

    it("when it joins through one whose list is short: that one does not come behind it", () => {
      const { chord, asked } = started();
      chord.handleMessage(1, asked("FIND", node(0x08)), { type: "FOUND", from: node(0x08), final: true, node: node(0x20) });
      chord.handleMessage(2, asked("STATE", node(0x08)), state(node(0x08), [node(0x20), node(0x30)], node(0x70)));
      expect(chord.successors).toEqual([node(0x20), node(0x30)]);
      expect(chord.predecessor).toEqual(node(0x08));
    });

    it("when others have joined before its place since it asked: it goes on through them", () => {
      const { chord, asked } = started();
      chord.handleMessage(1, asked("FIND", node(0x08)), { type: "FOUND", from: node(0x08), final: true, node: node(0x20) });
      chord.handleMessage(2, asked("STATE", node(0x08)), state(node(0x08), [node(0x0a), node(0x0c), node(0x20)], node(0x70)));
      expect(chord.successors).toEqual([]);
      chord.handleMessage(3, asked("STATE", node(0x0c)), state(node(0x0c), [node(0x20), node(0x30)], node(0x0a)));
      expect(chord.successors).toEqual([node(0x20), node(0x30)]);
      expect(chord.predecessor).toEqual(node(0x0c));
    });

    it("when others have joined behind its place: it goes back through them, and asks again where that is after 32", () => {
      const { chord, asked } = started(0x80);
      chord.handleMessage(1, asked("FIND", node(0x80)), { type: "FOUND", from: node(0x80), final: true, node: node(0x80) });
      for (let key = 0x80; key >= 0x60; key -= 1) chord.handleMessage(2, asked("STATE", node(key)), state(node(key), [node(key + 1)], node(key - 1)));
      expect(chord.successors).toEqual([]);
      chord.handleTimer(90);
      chord.handleMessage(91, asked("FIND", node(0x80)), { type: "FOUND", from: node(0x80), final: false, node: node(0x08) });
      chord.handleMessage(92, asked("FIND", node(0x08)), { type: "FOUND", from: node(0x08), final: true, node: node(0x20) });
      chord.handleMessage(93, asked("STATE", node(0x08)), state(node(0x08), [node(0x20)]));
      expect(chord.successors).toEqual([node(0x20)]);
    });

    it("when the one that its place belonged to has lost its predecessor: it comes before that one", () => {
      const { chord, asked } = started(0x20);
      chord.handleMessage(1, asked("FIND", node(0x20)), { type: "FOUND", from: node(0x20), final: true, node: node(0x20) });
      chord.handleMessage(2, asked("STATE", node(0x20)), state(node(0x20), [node(0x30)]));
      expect(chord.successors).toEqual([node(0x20), node(0x30)]);
      expect(chord.predecessor).toBeNull();
    });

    it("when 32 nodes and more are nearer: it looks for its place through the nearest of them", () => {
      const { chord, asked } = started();
      chord.handleMessage(1, asked("FIND", node(0x08)), { type: "FOUND", from: node(0x08), final: true, node: node(0x80) });
      chord.handleMessage(2, asked("STATE", node(0x08)), state(node(0x08), [node(0x80)]));
      for (let key = 0x80; key >= 0x60; key -= 1) chord.handleMessage(3, asked("STATE", node(key)), state(node(key), [node(key + 1)], node(key - 1)));
      expect(chord.successors[0]).toEqual(node(0x60));
      chord.handleMessage(4, asked("FIND", node(0x5f)), { type: "FOUND", from: node(0x5f), final: false, node: node(0x0c) });
      chord.handleMessage(5, asked("FIND", node(0x0c)), { type: "FOUND", from: node(0x0c), final: true, node: node(0x18) });
      chord.handleMessage(6, asked("STATE", node(0x18)), state(node(0x18), [node(0x20)], node(0x0c)));
      expect(chord.successors).toEqual([node(0x18), node(0x20)]);
    });

    it("when a nearer node is alone: what it had stays behind that", () => {
      const { chord, asked } = started();
      chord.handleMessage(1, asked("FIND", node(0x08)), { type: "FOUND", from: node(0x08), final: true, node: node(0x40) });
      chord.handleMessage(2, asked("STATE", node(0x08)), state(node(0x08), [node(0x40), node(0x50)]));
      chord.handleMessage(3, asked("STATE", node(0x40)), state(node(0x40), [node(0x50), node(0x60)], node(0x20)));
      chord.handleMessage(4, asked("STATE", node(0x20)), state(node(0x20), []));
      expect(chord.successors).toEqual([node(0x20), node(0x40), node(0x50), node(0x60)]);
    });

    it("when its only successor died, and the one before it names nobody else: it takes that one, and goes back to the next one behind itself", () => {
      const { chord, asked } = started();
      chord.handleMessage(1, asked("FIND", node(0x08)), { type: "FOUND", from: node(0x08), final: true, node: node(0x20) });
      chord.handleMessage(2, asked("STATE", node(0x08)), state(node(0x08), [node(0x20)]));
      expect(chord.successors).toEqual([node(0x20)]);
      chord.handleMessage(3, NONCE, { type: "LEAVING", from: node(0x20), predecessor: null, successors: [] });
      expect(chord.successors).toEqual([]);
      chord.handleMessage(4, asked("STATE", node(0x08)), state(node(0x08), [node(0x10), node(0x20)], node(0x04)));
      chord.handleMessage(5, asked("STATE", node(0x04)), state(node(0x04), [node(0x08), node(0x10), node(0x20)], node(0x20)));
      expect(chord.successors).toEqual([node(0x04), node(0x08)]);
    });

    it("when it is alone and notified: it takes the list of its predecessor", () => {
      const { chord, asked } = started();
      chord.handleMessage(1, NONCE, { type: "NOTIFY", from: node(0x08) });
      chord.handleMessage(2, asked("STATE", node(0x08)), state(node(0x08), [node(0x10), node(0x20), node(0x30)], node(0x70)));
      expect(chord.successors).toEqual([node(0x20), node(0x30)]);
      expect(chord.predecessor).toEqual(node(0x08));
    });
  });

  it("reports another node under its own key once", () => {
    const net = new RingNet(8);
    const { chord, node: self } = net.add([]);
    const double = { key: self.key, locator: node(7).locator };
    for (let i = 0; i < 3; i += 1) chord.handleMessage(0, NONCE, { type: "NOTIFY", from: double });
    const outputs = [];
    for (let o = chord.pollOutput(); o !== undefined; o = chord.pollOutput()) outputs.push(o.kind);
    expect(outputs).toEqual(["duplicate-key"]);
  });
});

it("the same seed gives the same ring, another seed another", () => {
  const digest = (seed: number): string => {
    const net = ringOf(8, seed, 0.1);
    net.run(10_000);
    return net.digest();
  };
  expect(digest(1)).toBe(digest(1));
  expect(digest(1)).not.toBe(digest(2));
});

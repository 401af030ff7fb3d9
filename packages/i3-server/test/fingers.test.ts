import { describe, expect, it } from "vitest";

import { makeLocator, type RingNode } from "@i3/common";

import { Fingers } from "../src/chord/fingers.js";
import { RingState } from "../src/chord/ring-state.js";
import { partBetween, plusPowerOfTwo, zeroBitsBetween } from "../src/chord/ring-key.js";
import { keyOf, RingNet, seeded } from "./ring-net.js";

const SELF: RingNode = { key: Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i), locator: makeLocator(Uint8Array.of(10, 0, 0, 1), 1) };

/** 2^`bit` after SELF, and `beyond` more. */
const nodeAt = (bit: number, beyond = 0): RingNode => {
  const key = plusPowerOfTwo(SELF.key, bit);
  for (let i = 0; i < 8; i += 1) if ((beyond >> i) & 1) key.set(plusPowerOfTwo(key, i));
  return { key, locator: makeLocator(Uint8Array.of(10, 0, 1, bit), beyond + 1) };
};

describe("distances on the ring", () => {
  it.each([
    [127, 0, 0.5], [126, 1, 0.25], [100, 27, 2 ** -28], [97, 30, 2 ** -31], [96, 31, 2 ** -32], [95, 32, 2 ** -33],
  ])("2^%i has %i zero bits before it and is %d of the ring, round the end of the keys as well", (bit, zeros, part) => {
    for (const from of [new Uint8Array(16), new Uint8Array(16).fill(0xff), SELF.key]) {
      expect(zeroBitsBetween(from, plusPowerOfTwo(from, bit))).toBe(zeros);
      expect(partBetween(from, plusPowerOfTwo(from, bit))).toBeCloseTo(part, 15);
    }
    expect(zeroBitsBetween(SELF.key, SELF.key)).toBe(32);
  });
});

describe("fingers", () => {
  it("keep of the nodes of a range the two with the shortest round trips, and change only for one that is clearly nearer", () => {
    const fingers = new Fingers(SELF);
    fingers.measured(nodeAt(120, 1), 80);
    fingers.measured(nodeAt(121, 1), 5);
    fingers.measured(nodeAt(120, 9), 10);
    fingers.measured(nodeAt(120, 2), 75);
    expect(fingers.nodes()).toEqual([nodeAt(121, 1), nodeAt(120, 9), nodeAt(120, 1)]);
    fingers.measured(nodeAt(120, 3), 20);
    fingers.measured(nodeAt(120, 1), 40);
    expect(fingers.nodes()).toEqual([nodeAt(121, 1), nodeAt(120, 9), nodeAt(120, 3)]);
    fingers.measured(nodeAt(120, 9), 200);
    expect(fingers.nodes()).toEqual([nodeAt(121, 1), nodeAt(120, 3), nodeAt(120, 9)]);
    fingers.measured(nodeAt(120, 1), 40);
    expect(fingers.nodes()).toEqual([nodeAt(121, 1), nodeAt(120, 3), nodeAt(120, 1)]);
  });

  it("take any node for a range that has none, and give way to those that were timed", () => {
    const fingers = new Fingers(SELF);
    fingers.offer(nodeAt(110, 1));
    fingers.offer(nodeAt(110, 2));
    expect(fingers.nodes()).toEqual([nodeAt(110, 1)]);
    fingers.measured(nodeAt(110, 2), 900);
    fingers.measured(nodeAt(110, 3), 800);
    expect(fingers.of(17)).toEqual([{ node: nodeAt(110, 3), rttMs: 800 }, { node: nodeAt(110, 2), rttMs: 900 }]);
    expect(fingers.remove(nodeAt(110, 1))).toBe(false);
    expect(fingers.remove(nodeAt(110, 2))).toBe(true);
    expect(fingers.nodes()).toEqual([nodeAt(110, 3)]);
  });

  it("have no range for what the successor list covers, or for what is nearer than all", () => {
    const fingers = new Fingers(SELF);
    expect(fingers.rangeOf(SELF.key)).toBeNull();
    fingers.offer(nodeAt(90));
    expect(fingers.nodes()).toEqual([]);
    for (const bit of [127, 120, 119]) fingers.offer(nodeAt(bit));
    fingers.measured(nodeAt(126, 1), 5);
    fingers.measured(nodeAt(126, 2), 6);
    const turns = Array.from({ length: 9 }, () => fingers.next(nodeAt(120)));
    expect(turns.map((turn) => turn?.range)).toEqual([0, 1, 1, 2, 3, 4, 5, 6, 7]);
    expect(turns.slice(0, 4).map((turn) => turn?.node)).toEqual([nodeAt(127), nodeAt(126, 1), nodeAt(126, 2), null]);
    expect(fingers.next(nodeAt(120))?.range).toBe(0);
    expect(fingers.nodes(), "covered ranges are emptied").toEqual([nodeAt(127), nodeAt(126, 1), nodeAt(126, 2), nodeAt(120)]);
  });

  it("draw keys within a range only, all over it", () => {
    const fingers = new Fingers(SELF);
    const random = seeded(1);
    for (const range of [0, 7, 23]) {
      const parts = Array.from({ length: 200 }, () => {
        const key = fingers.keyIn(range, Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256)));
        expect(fingers.rangeOf(key)).toBe(range);
        return partBetween(SELF.key, key) * 2 ** (range + 1) - 1;
      });
      expect(parts.filter((part) => part < 0.25).length).toBeGreaterThan(25);
      expect(parts.filter((part) => part > 0.75).length).toBeGreaterThan(25);
    }
  });

  it("follow a node to another address", () => {
    const fingers = new Fingers(SELF);
    fingers.offer(nodeAt(120));
    const moved = { key: nodeAt(120).key, locator: makeLocator(Uint8Array.of(10, 9, 9, 9), 9) };
    fingers.renewLocator(moved);
    expect(fingers.nodes()).toEqual([moved]);
  });
});

it("of fingers on the way the one is chosen by which the whole way takes least time: its round trip counts as well as how far it leads", () => {
  const ring = new RingState(SELF);
  ring.adoptSuccessors(0, Array.from({ length: 8 }, (_, i) => nodeAt(100 + i)));
  const [further, nearer] = [nodeAt(126), nodeAt(125)];
  const hop = (furtherMs: number, nearerMs: number) => {
    ring.fingers.measured(further, furtherMs);
    ring.fingers.measured(nearer, nearerMs);
    return ring.nextHop(0, nodeAt(127).key);
  };
  // 19 halvings are left behind the one, 19.6 behind the other: 11.7 ms.
  expect(hop(40, 2)).toEqual({ node: nearer, last: false });
  expect(hop(20, 2)).toEqual({ node: further, last: false });
  expect(hop(40, 30)).toEqual({ node: further, last: false });
});

describe("in a ring of two places, 5 ms within and 100 ms between", () => {
  /** Members with even numbers are in one place. */
  function ringOf(size: number): RingNet {
    const net = new RingNet(11);
    net.delayMs = (from, to) => (from % 2 === to % 2 ? 5 : 100);
    for (let i = 0; i < size; i += 1) {
      net.add(i === 0 ? [] : [0]);
      net.run(50);
    }
    net.run(25_000);
    return net;
  }

  it("fingers come to be in the own place, where it has a node in their range", () => {
    const net = ringOf(24);
    expect(net.fault()).toBeNull();
    let [near, far] = [0, 0];
    for (const { chord, index, node } of net.live()) {
      const fingers = new Set(chord.inspect().fingers.map(keyOf));
      for (let range = 0; range < 24; range += 1) {
        const others = net.live().filter((member) => member.index !== index && zeroBitsBetween(node.key, member.node.key) === range);
        const chosen = others.filter((member) => fingers.has(keyOf(member.node)));
        if (chosen.length === 0 || !others.some((member) => member.index % 2 === index % 2)) continue;
        if (chosen.some((member) => member.index % 2 === index % 2)) near += 1;
        else far += 1;
      }
    }
    expect(near).toBeGreaterThan(12);
    expect(far).toBeLessThan(near / 10);
  });

  it("a finger that dies is left, and another one of its range found", () => {
    const net = ringOf(24);
    const member = net.member(3);
    const [finger] = member.chord.inspect().fingers;
    const dead = net.live().find(({ node }) => keyOf(node) === keyOf(finger as RingNode));
    net.crash(dead?.index ?? 0);
    net.run(20_000);
    const [next] = member.chord.inspect().fingers;
    expect(keyOf(next as RingNode)).not.toBe(keyOf(finger as RingNode));
    expect(net.live().some(({ node }) => keyOf(node) === keyOf(next as RingNode))).toBe(true);
  });
});

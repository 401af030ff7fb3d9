/** Which nodes a server looks for when it has lost them, so that a partition heals: those that it has heard, and nobody that others have only named. */
import { describe, expect, it } from "vitest";

import { makeLocator, sameLocator, type Locator, type RingNode } from "@i3/common";

import { Chord, type RingMessage } from "../src/chord/chord.js";
import { MAX_REMEMBERED, REMEMBERED_MS } from "../src/chord/constants.js";
import { KnownMembers } from "../src/chord/known-members.js";
import { RingNet } from "./ring-net.js";

const node = (first: number, last: number, address: Uint8Array): RingNode => ({ key: Uint8Array.of(first, ...new Uint8Array(14), last), locator: makeLocator(address, 4_000) });
const SELF = node(0x10, 0, Uint8Array.of(10, 0, 0, 1));
const CONFIGURED = node(0x80, 0, Uint8Array.of(10, 0, 0, 9));

describe("a server whose first successor, or whose configured member, names nodes that there are not", () => {
  const HEAD = node(0x20, 0, Uint8Array.of(10, 0, 0, 2));
  const LOST = node(0x30, 0, Uint8Array.of(10, 0, 0, 3));
  /** Nobody's servers: a third party's machine. */
  const madeUp = (i: number): RingNode => node(0x18, i, Uint8Array.of(203, 0, 113, i));

  /** To whom it says FIND in two minutes, after a neighbour was lost, and then a minute of made-up names. */
  function finds(liar: RingNode | null): { readonly configured: number; readonly lost: number; readonly strangers: number } {
    let [seed, nowMs, told] = [1, 0, 0];
    const chord = new Chord({ self: SELF, members: [CONFIGURED.locator], random: (length) => Uint8Array.from({ length }, () => (seed = (seed * 48_271) % 0x7fffffff) & 0xff) });
    let asked: Locator[] = [];
    let [isLostUp, lies] = [true, false];
    const answerTo = (to: RingNode, message: RingMessage): RingMessage | null => {
      const name = lies && to === liar && told < 40 ? madeUp((told += 1)) : null;
      if (message.type === "STATE") return { type: "STATE_IS", from: to, pending: false, predecessor: name ?? SELF, successors: to === HEAD && isLostUp ? [LOST, SELF] : [SELF] };
      if (message.type === "FIND" && to === CONFIGURED) return { type: "FOUND", from: to, final: true, node: name ?? HEAD };
      return message.type === "ALIVE" ? { type: "ALIVE_YES", from: to } : null;
    };
    const drain = (): void => {
      for (let output = chord.pollOutput(); output !== undefined; output = chord.pollOutput()) {
        if (output.kind !== "send") continue;
        const { message, nonce, to, toKey } = output;
        if (message.type === "FIND" && toKey === null) asked.push(to);
        const asks = [HEAD, CONFIGURED, ...(isLostUp ? [LOST] : [])].find(({ locator }) => sameLocator(locator, to));
        const answer = asks === undefined ? null : answerTo(asks, message as RingMessage);
        if (answer !== null) chord.handleMessage(nowMs, nonce, answer);
      }
    };
    const run = (forMs: number): void => {
      for (const endMs = nowMs + forMs; nowMs < endMs; nowMs += 10) {
        if (nowMs % 500 === 0) chord.handleMessage(nowMs, new Uint8Array(8), { type: "NOTIFY", from: isLostUp ? LOST : HEAD });
        chord.handleTimer(nowMs);
        drain();
      }
    };
    chord.start(0);
    chord.handleMessage(0, new Uint8Array(8), { type: "NOTIFY", from: HEAD });
    drain();
    run(5_000);
    isLostUp = false;
    run(5_000);
    lies = true;
    run(60_000);
    lies = false;
    asked = [];
    run(120_000);
    if (liar !== null) expect(told).toBeGreaterThanOrEqual(20);
    const to = (isIt: (locator: Locator) => boolean): number => asked.filter(isIt).length;
    return { configured: to((locator) => sameLocator(locator, CONFIGURED.locator)), lost: to((locator) => sameLocator(locator, LOST.locator)), strangers: to(({ address }) => address[0] === 203) };
  }

  it.each([["first successor", HEAD], ["configured member", CONFIGURED]])("goes on looking for its lost neighbour and its configured member as often, and for nobody else (%s)", (_who, liar) => {
    const calm = finds(null);
    expect(calm.lost).toBeGreaterThan(20);
    expect(calm.configured).toBeGreaterThan(20);
    const { configured, lost, strangers } = finds(liar);
    expect(strangers).toBe(0);
    expect(Math.abs(lost - calm.lost)).toBeLessThanOrEqual(2);
    expect(Math.abs(configured - calm.configured)).toBeLessThanOrEqual(2);
  });
});

it("a newcomer whose only configured member goes, after naming one that cannot let it in yet, joins through that one", () => {
  const before = node(0x08, 0, Uint8Array.of(10, 0, 0, 2));
  let [seed, nowMs, states] = [1, 0, 0];
  const chord = new Chord({ self: SELF, members: [CONFIGURED.locator], random: (length) => Uint8Array.from({ length }, () => (seed = (seed * 48_271) % 0x7fffffff) & 0xff) });
  const said: string[] = [];
  const answerTo = (to: RingNode, { type }: RingMessage): RingMessage | null => {
    if (type === "FIND") return { type: "FOUND", from: to, final: to === before, node: to === before ? CONFIGURED : before };
    if (type !== "STATE") return type === "ALIVE" ? { type: "ALIVE_YES", from: to } : null;
    states += 1;
    return { type: "STATE_IS", from: to, pending: states === 1, predecessor: null, successors: [CONFIGURED] };
  };
  chord.start(0);
  for (; nowMs < 5_000 && !said.includes("joined"); nowMs += 10) {
    chord.handleTimer(nowMs);
    for (let output = chord.pollOutput(); output !== undefined; output = chord.pollOutput()) {
      said.push(output.kind);
      if (output.kind !== "send") continue;
      const { message, nonce, to } = output;
      const asks = [before, ...(states === 0 ? [CONFIGURED] : [])].find(({ locator }) => sameLocator(locator, to));
      const answer = asks === undefined ? null : answerTo(asks, message as RingMessage);
      if (answer !== null) chord.handleMessage(nowMs, nonce, answer);
    }
  }
  expect(states).toBe(2);
  expect(said.filter((kind) => kind === "joined" || kind === "alone")).toEqual(["joined"]);
});

it.each([1, 2, 3, 4, 5, 6])("two halves of a partition without a configured member in common find each other by whom they have heard and lost (seed %i)", (seed) => {
  const net = new RingNet(seed);
  for (let i = 0; i < 16; i += 1) {
    net.add([i === 0 ? 15 : 0]);
    net.run(10);
  }
  net.run(20_000);
  for (const { chord } of net.live()) chord.setMembers(net.nowMs, []);
  net.passes = (from, to) => from < 8 === to < 8;
  net.run(60_000);
  const halves = [net.live().filter(({ index }) => index < 8), net.live().filter(({ index }) => index >= 8)];
  expect(halves.map((half) => net.fault(half))).toEqual([null, null]);
  net.passes = () => true;
  expect(net.runUntil(() => net.fault() === null, 60_000)).toBeLessThan(20_000);
});

describe("a lost node", () => {
  const at = (i: number): Locator => makeLocator(Uint8Array.of(10, 0, 1, i), 4_000);
  const key = (i: number): Uint8Array => new Uint8Array(16).fill(i);
  const all = (members: KnownMembers, nowMs: number): Locator[] => [...members.next(nowMs, 99, [])].sort((a, b) => (a.address[3] ?? 0) - (b.address[3] ?? 0));

  it("is looked for where it was heard last, for a day, unless others were lost after it", () => {
    const members = new KnownMembers(SELF.locator, []);
    for (let i = 0; i < 40; i += 1) members.remember(i, key(1), at(i));
    members.remember(1_000, key(2), at(50));
    expect(all(members, 2_000)).toEqual([at(39), at(50)]);
    expect(all(members, 38 + REMEMBERED_MS)).toEqual([at(39), at(50)]);
    expect(all(members, 39 + REMEMBERED_MS)).toEqual([at(50)]);
    for (let i = 0; i < MAX_REMEMBERED; i += 1) members.remember(3_000, key(100 + i), at(100 + i));
    expect(all(members, 4_000)).toEqual(Array.from({ length: MAX_REMEMBERED }, (_, i) => at(100 + i)));
  });
});

/** Who says that it leaves is believed that, and nothing about who comes before its successor then (docs/wire.md §4.2, "Who is trusted with what"). */
import { describe, expect, it } from "vitest";

import { makeLocator, type RingNode } from "@i3/common";

import type { RingMessage } from "../src/chord/chord.js";
import { minusOne, plusPowerOfTwo } from "../src/chord/ring-key.js";
import { keyOf, RingNet, type Member } from "./ring-net.js";

function ringOf(size: number, seed: number): RingNet {
  const net = new RingNet(seed);
  for (let i = 0; i < size; i += 1) {
    net.add([i === 0 ? size - 1 : 0]);
    net.run(10);
  }
  net.run(20_000);
  expect(net.fault()).toBeNull();
  return net;
}

const before = (net: RingNet, member: Member): Member => net.live().find(({ node }) => keyOf(node) === keyOf(member.chord.predecessor)) as Member;

const madeUp = (key: Uint8Array): RingNode => ({ key, locator: makeLocator(Uint8Array.of(203, 0, 113, 9), 53) });

describe("LEAVING of the member before a server, which stays with all others and is silent to that one, moves no keys when the predecessor in it is", () => {
  it.each<readonly [string, (server: Member) => RingNode]>([
    ["made up and close behind the server", ({ node }) => madeUp(plusPowerOfTwo(node.key, 0))],
    ["made up and close before the server", ({ node }) => madeUp(minusOne(minusOne(node.key)))],
    ["the server's own successor, which lives", ({ chord }) => chord.successors[0] as RingNode],
  ])("%s", (_what, named) => {
    const net = ringOf(12, 7);
    const server = net.member(3);
    const leaver = before(net, server);
    const keys = Array.from({ length: 200 }, () => net.randomKey());
    const own = keys.filter((key) => net.ownerOf(key) === server);
    expect(own.length).toBeGreaterThan(5);
    net.inject(leaver.index, server.index, { type: "LEAVING", from: leaver.node, predecessor: named(server), successors: [] });
    net.run(30);
    net.passes = (from, to) => !(from === leaver.index && to === server.index);
    for (const forMs of [1, 970, 4_000, 55_000, 180_000]) {
      net.run(forMs);
      expect(keys.filter((key) => server.chord.owns(key))).toEqual(own);
    }
    const asker = net.live().findIndex((member) => member !== server && member !== leaver);
    for (const key of own.slice(0, 5)) expect(keyOf(net.lookup(asker, key))).toBe(keyOf(server.node));
  });
});

it("who leaves in order is told of once, and its keys are its successor's as soon as the one before it has heard of it, and notified that one", () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const net = ringOf(12, seed);
    const heir = net.member(3);
    const leaver = before(net, heir);
    const first = before(net, leaver);
    const said = heir.outputs.length;
    net.delayMs = () => 20;
    net.leave(leaver.index);
    net.run(21);
    expect(heir.chord.isPredecessorDead, `seed ${seed}`).toBe(true);
    net.run(20);
    expect(keyOf(heir.chord.predecessor), `seed ${seed}`).toBe(keyOf(first.node));
    expect(heir.chord.owns(leaver.node.key)).toBe(true);
    net.run(2_000);
    expect(heir.outputs.slice(said).flatMap((output) => (output.kind === "gone" ? [[keyOf(output.node), output.left]] : []))).toEqual([[keyOf(leaver.node), true]]);
  }
});

it("who leaves has left, though what it said before arrives behind the first LEAVING", () => {
  const net = ringOf(12, 2);
  const heir = net.member(3);
  const leaver = before(net, heir);
  net.delayMs = () => 10;
  net.leave(leaver.index);
  net.run(11);
  heir.chord.handleMessage(net.nowMs, new Uint8Array(8), { type: "NOTIFY", from: leaver.node });
  net.run(560);
  expect(net.fault()).toBeNull();
});

it("who could not hear it at first, since a session had to be begun anew, hears it before the silence tells", () => {
  const net = ringOf(12, 2);
  const heir = net.member(3);
  const leaver = before(net, heir);
  net.passes = (from, to) => from !== leaver.index || to !== heir.index;
  net.leave(leaver.index);
  net.run(200);
  net.passes = () => true;
  net.run(2_000);
  expect(heir.outputs.flatMap((output) => (output.kind === "gone" ? [[keyOf(output.node), output.left]] : []))).toEqual([[keyOf(leaver.node), true]]);
});

describe("LEAVING and ALIVE in turn, a hundred times a second, cost a server neither its answers to others nor a line in the log each, when they are said by", () => {
  /** For 20 s. */
  function costs(choose: (net: RingNet, server: Member) => Member, isSaid: boolean) {
    const net = ringOf(24, 9);
    const server = net.member(5);
    const member = choose(net, server);
    let [pending, answers, asked] = [0, 0, 0];
    net.seen = (from, message: RingMessage) => {
      if (from !== server.index) return;
      if (message.type === "STATE") asked += 1;
      if (message.type !== "STATE_IS") return;
      answers += 1;
      if (message.pending) pending += 1;
    };
    const said = server.outputs.length;
    for (let ms = 0; ms < 20_000; ms += 10) {
      if (isSaid) {
        net.inject(member.index, server.index, { type: "ALIVE", from: member.node });
        net.inject(member.index, server.index, { type: "LEAVING", from: member.node, predecessor: null, successors: [...member.chord.successors] });
      }
      net.run(10);
    }
    net.run(1_000);
    return { asked, pendingPart: pending / answers, lines: server.outputs.slice(said).filter(({ kind }) => kind === "gone" || kind === "back").length, fault: net.fault() };
  }
  const called = (net: RingNet, node: RingNode | undefined | null): Member => net.live().find((member) => keyOf(member.node) === keyOf(node ?? null)) as Member;

  it.each<readonly [string, (net: RingNet, server: Member) => Member]>([
    ["a member far away", (net, server) => called(net, server.chord.successors[7]).chord.successors.map((node) => called(net, node))[3] as Member],
    ["its predecessor", (net, server) => before(net, server)],
    ["its first successor", (net, server) => called(net, server.chord.successors[0])],
    ["its third successor", (net, server) => called(net, server.chord.successors[2])],
  ])("%s", (_who, choose) => {
    const [calm, disturbed] = [costs(choose, false), costs(choose, true)];
    expect([calm.fault, calm.lines]).toEqual([null, 0]);
    expect(disturbed.fault).toBeNull();
    expect(disturbed.lines).toBeLessThanOrEqual(2 * 3 * 7);
    expect(disturbed.pendingPart).toBeLessThan(calm.pendingPart + 0.1);
    expect(disturbed.asked).toBeLessThan(calm.asked + 3 * 7 * 3);
  });
});

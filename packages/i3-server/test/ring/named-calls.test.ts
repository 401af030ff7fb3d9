/** Servers that others have named are called with few HELLOs, and hold up nobody (docs/wire.md §4.2). */
import { describe, expect, it } from "vitest";

import { sameLocator, type RingNode } from "@i3/common";

import { CALLS } from "../../src/ring/constants.js";
import { againOf, ChannelNet, THIEF, type ChannelNode, type Datagram } from "./channel-net.js";

const KEY = new Uint8Array(16).fill(9);

describe("calls to whom others have named", () => {
  const madeUp = (i: number): RingNode => ({ key: new Uint8Array(16).fill(i), locator: ChannelNet.locatorOf(500 + i) });
  const hellosTo = (net: ChannelNet, { locator }: Pick<RingNode, "locator">): number[] => net.sent("HELLO").filter(({ to }) => sameLocator(to, locator)).map(({ atMs }) => atMs);
  const find = (net: ChannelNet, from: ChannelNode, node: RingNode): void => from.channel.send(net.nowMs, node.locator, node.key, net.bytes(8), { type: "FIND", from: from.node, ringKey: KEY }, Infinity);

  it("are few at once and short; what is more is counted, and holds up nobody else", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    const nodes = Array.from({ length: 100 }, (_, i) => madeUp(i));
    for (const node of nodes) find(net, a, node);
    const { atOnce, attempts } = CALLS.lookup;
    expect([net.wire.length, a.counters.get("calls-refused")]).toEqual([atOnce, 100 - atOnce]);
    for (const node of nodes.slice(30, 30 + CALLS.own.atOnce - 1)) a.channel.send(0, node.locator, node.key, net.bytes(8), { type: "STATE", from: a.node }, Infinity);
    a.notify(b);
    net.run(740);
    expect(b.heard.map(({ type }) => type)).toEqual(["NOTIFY"]);
    expect(nodes.slice(0, atOnce).map((node) => hellosTo(net, node).length)).toEqual(new Array(atOnce).fill(attempts));
    find(net, a, madeUp(200));
    net.run(20);
    expect(a.counters.get("waiting-dropped")).toBe(atOnce);
    find(net, a, madeUp(201));
    expect([hellosTo(net, madeUp(200)), hellosTo(net, madeUp(201))]).toEqual([[], [760]]);
  });

  it("at a wrong place do not keep a neighbour from being called where it is", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    find(net, a, { key: b.node.key, locator: madeUp(1).locator });
    a.channel.setNeighbours(0, [b.node]);
    net.run(100);
    expect([a.channel.sessionCount, hellosTo(net, b)]).toEqual([1, [0]]);
  });

  it("become our own when we need them ourselves, and stay so", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    b.up = false;
    find(net, a, b.node);
    net.run(100);
    for (let i = 1; i < CALLS.lookup.atOnce; i += 1) find(net, a, madeUp(i));
    a.notify(b);
    find(net, a, b.node);
    for (const i of [50, 51]) find(net, a, madeUp(i)); // b's call has left its place among those of lookups
    net.run(5_000);
    expect([hellosTo(net, b), hellosTo(net, madeUp(50)), hellosTo(net, madeUp(51))]).toEqual([[0, 250, 500, 750, 1_000, 1_250], [100, 350, 600], []]);
    expect([a.counters.get("waiting-dropped"), a.counters.get("calls-refused"), a.channel.deadlineMs()]).toEqual([3 + CALLS.lookup.atOnce, 1, Infinity]);
  });

  it.each(["FIND", "ROUTED"] as const)("are the same when they say that they could not take a %s", (type) => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    const since = net.wire.length;
    const message = type === "FIND" ? ({ type, from: a.node, ringKey: KEY } as const) : ({ type, from: a.node, hops: 1, credential: null } as const);
    a.channel.send(net.nowMs, THIEF, b.node.key, net.bytes(8), message, Infinity);
    const [sent] = net.sent(type, since) as [Datagram];
    a.take({ from: THIEF, bytes: againOf(sent) });
    net.run(5_000);
    expect(hellosTo(net, { locator: THIEF })).toHaveLength(CALLS.lookup.attempts);
  });

  it("reach a server that is there", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    find(net, a, b.node);
    net.run(100);
    expect(b.heard.map(({ type }) => type)).toEqual(["FIND"]);
  });
});

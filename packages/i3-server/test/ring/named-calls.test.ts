/** Servers that others have named are called with few HELLOs, and hold up nobody (docs/wire.md §4.2). */
import { describe, expect, it } from "vitest";

import { sameLocator, type RingNode } from "@i3/common";

import { CALLS } from "../../src/ring/constants.js";
import { againOf, ChannelNet, THIEF, type ChannelNode, type Datagram } from "./channel-net.js";

const KEY = new Uint8Array(16).fill(9);

describe("calls to whom others have named", () => {
  const madeUp = (i: number): RingNode => ({ key: new Uint8Array(16).fill(i), locator: ChannelNet.locatorOf(500 + i) });
  const hellosTo = (net: ChannelNet, { locator }: Pick<RingNode, "locator">): number[] => net.sent("HELLO").filter(({ to }) => sameLocator(to, locator)).map(({ atMs }) => atMs);
  const answer = (net: ChannelNet, from: ChannelNode, asker: RingNode, nonce = net.bytes(8)): void =>
    from.channel.send(net.nowMs, asker.locator, asker.key, nonce, { type: "ROUTED", from: from.node, hops: 1 }, Infinity);
  const find = (net: ChannelNet, from: ChannelNode, node: RingNode): void => from.channel.send(net.nowMs, node.locator, node.key, net.bytes(8), { type: "FIND", from: from.node, ringKey: KEY }, Infinity);

  it.each([["as askers", answer, 1, "asker"], ["in lookups", find, 3, "lookup"]] as const)("%s are few at once and short; what is more is counted, and holds up nobody else", (_name, send, attempts, purpose) => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    const nodes = Array.from({ length: 100 }, (_, i) => madeUp(i));
    for (const node of nodes) send(net, a, node);
    const { atOnce } = CALLS[purpose];
    expect([net.wire.length, a.counters.get("calls-refused")]).toEqual([atOnce, 100 - atOnce]);
    for (const node of nodes.slice(30, 30 + CALLS.own.atOnce - 1)) a.channel.send(0, node.locator, node.key, net.bytes(8), { type: "STATE", from: a.node }, Infinity);
    a.notify(b);
    net.run(740);
    expect(b.heard.map(({ type }) => type)).toEqual(["NOTIFY"]);
    expect(nodes.slice(0, atOnce).map((node) => hellosTo(net, node).length)).toEqual(new Array(atOnce).fill(attempts));
    send(net, a, madeUp(200));
    net.run(20);
    expect(a.counters.get("waiting-dropped")).toBe(atOnce);
    send(net, a, madeUp(201));
    expect([hellosTo(net, madeUp(200)), hellosTo(net, madeUp(201))]).toEqual([[], [760]]);
  });

  it("at a wrong place do not keep a neighbour from being called where it is", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    answer(net, a, { key: b.node.key, locator: madeUp(1).locator });
    a.channel.setNeighbours(0, [b.node]);
    net.run(100);
    expect([a.channel.sessionCount, hellosTo(net, b)]).toEqual([1, [0]]);
  });

  it("become our own when we need them ourselves, and stay so", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    b.up = false;
    answer(net, a, b.node);
    net.run(100);
    for (let i = 1; i < CALLS.asker.atOnce; i += 1) answer(net, a, madeUp(i));
    a.notify(b);
    answer(net, a, b.node);
    for (const i of [50, 51]) answer(net, a, madeUp(i)); // b's call has left its place among those of askers
    net.run(5_000);
    expect([hellosTo(net, b), hellosTo(net, madeUp(50)), hellosTo(net, madeUp(51))]).toEqual([[0, 350, 600, 850, 1_100, 1_350], [100], []]);
    expect([a.counters.get("waiting-dropped"), a.counters.get("calls-refused"), a.channel.deadlineMs()]).toEqual([3 + CALLS.asker.atOnce, 1, Infinity]);
  });

  it("are the same when they say that they could not take it", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    const since = net.wire.length;
    answer(net, a, { key: b.node.key, locator: THIEF });
    const [routed] = net.sent("ROUTED", since) as [Datagram];
    a.take({ from: THIEF, bytes: againOf(routed) });
    net.run(5_000);
    expect(hellosTo(net, { locator: THIEF })).toHaveLength(1);
  });

  it("reach a server that is there", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    answer(net, a, b.node);
    net.run(100);
    expect(b.heard.map(({ type }) => type)).toEqual(["ROUTED"]);
  });
});

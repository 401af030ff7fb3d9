/** Replicas of triggers (docs/wire.md §4.1): taken for another server's keys, used when that is gone, and not before. */
import { makeLocator, REFUSAL, sameLocator, toHex, TRIGGER_ACTION, TRIGGER_FLAG, type ControlMessage } from "@i3/common";
import { generateTriggerKey, type TriggerKey } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { inHalfOpen } from "../src/chord/ring-key.js";
import type { TriggerLimits } from "../src/triggers/trigger-table.js";
import { anyMember, memberWhere, RingPeer } from "./ring-peer.js";
import { CLIENT, idOf, KEY, NONCE, ServerBench, THIEF, tokenAt } from "./server-bench.js";

const RING = anyMember();
const PREFIX = idOf(KEY).slice(0, 16);
const refused = (code: number, subject = idOf(KEY)) => ({ type: "REFUSED", code, subject });
const replica = (bench: ServerBench, change: Parameters<ServerBench["trigger"]>[0] = {}): ControlMessage | null => bench.ask(bench.trigger({ flags: TRIGGER_FLAG.replica, ...change }), change.from ?? CLIENT);
const refresh = (bench: ServerBench, index: number): ControlMessage | null => bench.ask({ type: "REFRESH", id: idOf(KEY), index, token: tokenAt(index), member: null });

/** Without what it says to the ring meanwhile. */
function pass(bench: ServerBench, durationMs: number): void {
  bench.advance(durationMs);
  bench.engine.take();
}

/** What it says to another server in a while. */
function heardBy(bench: ServerBench, peer: RingPeer, durationMs: number): readonly ReturnType<RingPeer["take"]>[] {
  bench.advance(durationMs);
  return bench.engine.take().map(({ bytes }) => peer.take(bench.nowMs, bench.self.locator, bytes));
}

/** A server whose predecessor has the key of the tests' id. */
function successor(limits: TriggerLimits = { triggers: 1_000, perSource: 100 }): { bench: ServerBench; peer: RingPeer } {
  const bench = new ServerBench({ ring: RING, limits });
  const peer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000), memberWhere((key) => !inHalfOpen(key, PREFIX, bench.self.key)));
  bench.ring(peer, { type: "NOTIFY", from: peer.node });
  bench.engine.take();
  return { bench, peer };
}

describe("a replica", () => {
  it("is kept and refreshed for another server's key, and packets do not go by it", () => {
    const { bench } = successor();
    expect(replica(bench)).toEqual({ type: "TRIGGER_OK", action: 1, id: idOf(KEY), lifeMs: 30_000, replica: null });
    expect(bench.core.inspect()).toMatchObject({ triggers: 0, replicas: 1 });
    expect(bench.targets()).toEqual([]);
    expect(refresh(bench, 1)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
    expect(replica(bench, { counter: 2, action: TRIGGER_ACTION.remove })).toMatchObject({ type: "TRIGGER_OK", lifeMs: 0 });
    expect(bench.core.inspect()).toMatchObject({ triggers: 0, replicas: 0 });
    expect(refresh(bench, 2)).toEqual(refused(REFUSAL.notResponsible));
  });

  it("delivers at once when the responsible server leaves", () => {
    const { bench, peer } = successor();
    replica(bench);
    bench.ring(peer, { type: "LEAVING", from: peer.node, predecessor: null, successors: [bench.self] });
    expect(bench.targets()).toEqual([CLIENT]);
    expect(bench.core.counters.get("replicas-taken-over")).toBe(1);
    expect(refresh(bench, 1)).toMatchObject({ type: "TRIGGER_OK" });
  });

  it("delivers when the responsible server is found dead, and ends like any trigger", () => {
    const { bench } = successor();
    replica(bench);
    pass(bench, 3_000);
    expect(bench.targets()).toEqual([CLIENT]);
    bench.advance(27_000);
    expect(bench.targets()).toEqual([]);
  });

  it("delivers while the responsible server is dead and nobody has its place, and not once it is heard again", () => {
    const { bench, peer } = successor();
    replica(bench);
    const other = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 4), 4_000), memberWhere((key) => inHalfOpen(peer.node.key, key, bench.self.key)));
    const [state] = heardBy(bench, peer, 500).filter(({ message }) => message?.type === "STATE");
    if (state === undefined) throw new Error("no STATE");
    bench.ring(peer, { type: "STATE_IS", from: peer.node, pending: false, predecessor: null, successors: [other.node] }, state.nonce);
    bench.ring(peer, { type: "LEAVING", from: peer.node, predecessor: null, successors: [other.node] });
    expect(bench.ask(bench.trigger({ flags: TRIGGER_FLAG.replica, counter: 2 }))).toMatchObject({ type: "TRIGGER_OK" }); // The key is not its own.
    expect(bench.targets()).toEqual([CLIENT]);
    bench.ring(peer, { type: "ALIVE", from: peer.node });
    bench.engine.take();
    expect(bench.targets()).toEqual([]);
  });

  it("goes out of use when a nearer server takes its key again, and gives way to the owner's insert", () => {
    const { bench } = successor();
    replica(bench);
    pass(bench, 3_000);
    expect(bench.targets()).toEqual([CLIENT]);
    expect(bench.ask(bench.trigger({ counter: 2, from: CLIENT }))).toMatchObject({ type: "TRIGGER_OK" });
    expect(bench.core.inspect()).toMatchObject({ triggers: 1, replicas: 0 });
    const again = successor();
    replica(again.bench);
    pass(again.bench, 3_000);
    const nearer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 3), 4_000), memberWhere((key) => !inHalfOpen(key, PREFIX, again.bench.self.key)));
    again.bench.ring(nearer, { type: "NOTIFY", from: nearer.node });
    expect(again.bench.targets()).toEqual([]);
  });

  it("is signed for: a trigger is none, nor the other way round, and each goes to its server", () => {
    const { bench } = successor();
    const message = bench.trigger({ flags: TRIGGER_FLAG.replica });
    expect(bench.ask({ ...message, flags: 0 })).toEqual(refused(REFUSAL.notResponsible));
    expect(bench.ask({ type: "CHALLENGE_REQUEST", ringKey: PREFIX, flags: 0 })).toEqual(refused(REFUSAL.notResponsible, PREFIX));
    const alone = new ServerBench();
    const own = alone.trigger();
    expect(alone.ask({ ...own, flags: TRIGGER_FLAG.replica })).toEqual(refused(REFUSAL.responsible));
    expect(alone.ask({ type: "CHALLENGE_REQUEST", ringKey: PREFIX, flags: TRIGGER_FLAG.replica })).toEqual(refused(REFUSAL.responsible, PREFIX));
    expect(bench.ask({ ...message, signature: new Uint8Array(64) })).toEqual(refused(REFUSAL.badSignature));
    expect(bench.ask(message, THIEF)).toEqual(refused(REFUSAL.badCookie));
    expect(bench.core.inspect().replicas).toBe(0);
  });

  it("comes into use with some others at a time, at once when a packet comes for it, and goes out of it as well", () => {
    const { bench, peer } = successor({ triggers: 10_000, perSource: 1_000 });
    const keys: TriggerKey[] = [];
    while (keys.length < 600) {
      const key = generateTriggerKey();
      if (!inHalfOpen(peer.node.key, key.prefix, bench.self.key)) keys.push(key);
    }
    keys.forEach((key, i) => {
      expect(replica(bench, { id: idOf(key), signer: { kind: "private", key }, from: makeLocator(CLIENT.address, 6_000 + (i % 8)) })).toMatchObject({ type: "TRIGGER_OK" });
    });
    const inUse = (): number => bench.engine.triggers.size;
    const isSome = (count: number): boolean => count > 100 && count < 500;
    const leaving = { type: "LEAVING", from: peer.node, predecessor: null, successors: [bench.self] } as const;
    bench.ring(peer, leaving);
    const first = inUse();
    expect(isSome(first)).toBe(true);
    expect(bench.core.deadlineMs()).toBeLessThanOrEqual(bench.nowMs);
    const [last, lastButOne] = [keys[599], keys[598]] as [TriggerKey, TriggerKey];
    bench.core.handleUpcalls(bench.nowMs, [
      { kind: "no-trigger", id: idOf(last), from: THIEF, nonce: NONCE, requestBytes: 1_000, forwarded: false }, { kind: "route-miss", ringKey: lastButOne.prefix, from: THIEF },
    ]);
    expect([...bench.engine.triggers.keys()].slice(first, first + 2)).toEqual([last, lastButOne].map(({ prefix }) => toHex(prefix)));
    expect(bench.engine.discarded).toEqual([lastButOne.prefix]);
    expect(bench.engine.take().filter(({ locator }) => sameLocator(locator, THIEF))).toEqual([]);
    bench.advance(0);
    expect([inUse(), bench.core.counters.get("replicas-taken-over")]).toEqual([600, 600]);
    expect(bench.core.deadlineMs()).toBeGreaterThan(bench.nowMs);
    bench.ring(peer, { type: "NOTIFY", from: peer.node });
    expect(isSome(inUse())).toBe(true);
    bench.ring(peer, leaving);
    bench.ring(peer, { type: "NOTIFY", from: peer.node });
    bench.advance(0);
    expect(inUse()).toBe(0);
  });

  it("has bounds of its own: half of the server, and a source's quota once more", () => {
    const { bench } = successor({ triggers: 4, perSource: 1 });
    expect(replica(bench, { id: idOf(KEY, 1) })).toMatchObject({ type: "TRIGGER_OK" });
    expect(replica(bench, { id: idOf(KEY, 2) })).toEqual(refused(REFUSAL.quota, idOf(KEY, 2)));
    expect(replica(bench, { id: idOf(KEY, 2), from: THIEF })).toMatchObject({ type: "TRIGGER_OK" });
    const third = makeLocator(Uint8Array.of(203, 0, 113, 1), 1);
    expect(replica(bench, { id: idOf(KEY, 3), from: third })).toEqual(refused(REFUSAL.quota, idOf(KEY, 3)));
    pass(bench, 3_000); // Now it owns the key, and its owner has the rest of the quota.
    expect(bench.ask(bench.trigger({ id: idOf(KEY, 3) }))).toMatchObject({ type: "TRIGGER_OK" });
  });
});

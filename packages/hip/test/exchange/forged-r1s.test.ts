/** R1s that others made, among that of the host that was called: #I is not signed, and where no HIT is called anybody may sign (docs/wire.md §9.5). */
import { publicId, sameBytes } from "@i3/common";
import { beforeEach, describe, expect, it, vi } from "vitest";

import type { HipEnvironment } from "../../src/exchange/events.js";
import { MAX_ANSWERED_R1S, MAX_OPEN_R1S, MAX_R1_CHECKS, MAX_TRIES, MAX_WAITING_R1S } from "../../src/exchange/limits.js";
import type * as Signatures from "../../src/identity/host-signature.js";
import { WaitingR1s } from "../../src/exchange/waiting-r1s.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, parameter } from "../../src/wire/packet.js";
import { identity, Network, pairMatches, suites, type Node } from "./bed.js";

const checked = vi.hoisted(() => ({ signatures: 0 }));
vi.mock("../../src/identity/host-signature.js", async (original) => {
  const real = await original<typeof Signatures>();
  return {
    ...real,
    verifyHip: (...parameters: Parameters<typeof real.verifyHip>) => {
      checked.signatures++;
      return real.verifyHip(...parameters);
    },
  };
});
beforeEach(() => {
  checked.signatures = 0;
});

const { i1, r1, i2 } = HIP_PACKET;
const ID = new Uint8Array(32).fill(0x77);
const RETURN_ID = new Uint8Array(32).fill(0x55);
const offsetOf = (bytes: Uint8Array, type: number): number => parameter(decodeHipPacket(bytes), type)?.offset ?? 0;

/** The same R1 with another #I. */
function withPuzzle(bytes: Uint8Array, n: number): Uint8Array {
  const out = bytes.slice();
  new DataView(out.buffer).setUint32(offsetOf(bytes, PARAMETER.puzzle) + 8, n);
  return out;
}
const withSignature = (bytes: Uint8Array, n: number): Uint8Array => {
  const out = bytes.slice();
  new DataView(out.buffer).setUint32(offsetOf(bytes, PARAMETER.hipSignature2) + 12, n);
  return out;
};

/** A call by HIT, straight. With each genuine R1, just before and just behind it, arrive `count` made by `forge`. */
function straight(seed: number, count: number, forge: (genuine: Uint8Array, n: number) => Uint8Array, loss = 0) {
  const network = new Network({ seed, loss });
  const [a, b] = [0, 1].map((n) => network.add("ab"[n] as string, identity("ecdsa-p256", n))) as [Node, Node];
  let n = 0;
  network.middlebox = ({ bytes }) => {
    if (bytes[2] === r1) for (let more = 0; more < count; more++) network.inject(a, forge(bytes, ++n), b, more === 0 ? 5 : 5 + network.random.below(11));
    return bytes;
  };
  network.connect(a, b);
  return { network, a, b };
}

/** A call to whoever answers at an id, over i3, where liars with keys of their own hear each I1 first. */
function open(seed: number, count: number, ofLiars: Partial<HipEnvironment> = {}, canHear = false) {
  const network = new Network({ seed });
  const node = (name: string, n: number, more: Partial<HipEnvironment> = {}): Node =>
    network.add(name, identity("ecdsa-p256", n), { ownPublicId: publicId(identity("ecdsa-p256", n).hit), isOpen: (id) => sameBytes(id, ID), ...more });
  const [a, b] = [node("a", 0), node("b", 1)];
  // Newer than anything, as they say.
  const liars = Array.from({ length: count }, (_, n) => node(`liar ${n}`, n + 2, { r1Generation: 1n << 60n, ...ofLiars }));
  if (!canHear) for (const liar of liars) liar.ids.length = 0;
  a.ids.push(RETURN_ID);
  b.ids.push(ID);
  network.middlebox = ({ from, bytes }) => {
    if (from === a && bytes[2] === i1) for (const liar of liars) network.deliver(liar, bytes, { kind: "i3", id: ID });
    return bytes;
  };
  a.host.connect(network.nowMs, { hit: null, path: { kind: "i3", id: ID }, returnId: RETURN_ID });
  return { network, a, b, liars };
}

const SEEDS = Array.from({ length: 12 }, (_, n) => n + 1);

describe("a call to a HIT", () => {
  it.each([1, 3, 5, 7])("among %d forged R1s a round trip comes about within two and a half seconds", (count) => {
    for (const seed of SEEDS) {
      const { network, a, b } = straight(seed, count, withPuzzle);
      network.run(2_500);
      expect(pairMatches(a.last("established"), b.last("established")), `seed ${seed}`).toBe(true);
    }
  });

  it("comes about among five forged ones where every fifth packet is lost, mostly", () => {
    const outcomes = Array.from({ length: 40 }, (_, seed) => {
      const { network, a, b } = straight(seed, 5, withPuzzle, 0.2);
      network.run(20_000);
      // Never with other keys than the peer's.
      if (a.of("established").length > 0) expect(pairMatches(a.last("established"), b.last("established")), `seed ${seed}`).toBe(true);
      return a.of("established").length;
    });
    // 91 of 100 seeds, where all do without the forged ones.
    expect(outcomes.filter((count) => count === 1).length).toBeGreaterThanOrEqual(32);
  });

  it("comes about behind more bad signatures than are looked at at once", () => {
    const { network, a, b } = straight(1, MAX_R1_CHECKS + MAX_WAITING_R1S - 1, withSignature);
    network.run(3_000);
    expect([pairMatches(a.last("established"), b.last("established")), network.types(a).filter((type) => type === i1).length <= 3]).toEqual([true, true]);
  });

  it.each([["#I", withPuzzle], ["signatures", withSignature]] as const)("under a thousand R1s a second with other %s costs a few signatures, and no more time", (_, forge) => {
    const { network, a } = straight(1, 0, withPuzzle);
    network.middlebox = ({ bytes }) => (bytes[2] === i2 ? null : bytes);
    network.run(20);
    const genuine = network.packet(r1);
    let n = 0;
    for (const endMs = network.nowMs + 40_000; a.of("failed").length === 0 && network.nowMs < endMs; network.run(1)) network.deliver(a, forge(genuine, ++n), network.nodes[1] as Node);
    // I1-SENT and I2-SENT last 15.5 s each, with four looks a second; each I1 may cost some at once.
    expect(n).toBeLessThanOrEqual(31_100);
    expect(checked.signatures).toBeLessThanOrEqual((n / 1_000) * 4 + 2 * MAX_TRIES * MAX_R1_CHECKS);
    const sent = network.types(a);
    expect(sent.filter((type) => type === i1).length).toBeLessThanOrEqual(2 * MAX_TRIES);
    expect(sent.filter((type) => type === i2).length).toBeLessThanOrEqual(MAX_ANSWERED_R1S + MAX_TRIES * MAX_OPEN_R1S);
    const { received, drops } = a.host.counters;
    // The genuine one was answered; of the forged ones each counts, those that were answered aside.
    expect(received - Object.values<number>({ ...drops }).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(MAX_ANSWERED_R1S);
  });

  it("does not look at R1s of other hosts once it has one of its own", () => {
    const { network, a } = straight(1, 0, withPuzzle);
    network.middlebox = ({ bytes }) => (bytes[2] === i2 ? null : bytes);
    network.run(50);
    const other = identity("ecdsa-p256", 5).hit;
    const before = checked.signatures;
    network.deliver(a, Uint8Array.from([...network.packet(r1).subarray(0, 8), ...other, ...network.packet(r1).subarray(24)]), network.nodes[1] as Node);
    expect([a.host.counters.drops.hit, checked.signatures - before]).toEqual([1, 0]);
  });
});

describe("a call to whoever has an id", () => {
  it.each([1, 3, 5])("comes about among %d liars that say they are newest and answer nothing more", (count) => {
    for (const seed of SEEDS) {
      const { network, a, b } = open(seed, count);
      network.run(2_500);
      expect(pairMatches(a.last("established"), b.last("established")), `seed ${seed}`).toBe(true);
    }
  });

  it("is not ended by a liar that has nothing in common with it", () => {
    const { network, a, b } = open(1, 1, { espSuites: [7] });
    a.offer = suites(13);
    network.run(2_500);
    expect([a.of("failed"), pairMatches(a.last("established"), b.last("established"))]).toEqual([[], true]);
  });

  it("is not ended by a liar that refuses its I2", () => {
    const { network, a, b } = open(1, 1, { admits: () => false }, true);
    network.run(2_500);
    expect([a.of("failed"), pairMatches(a.last("established"), b.last("established"))]).toEqual([[], true]);
  });

  it.each([["incompatible", { espSuites: [7] }], ["refused", { admits: () => false }]] as const)("ends as %s half a second later when nobody else answers", (code, ofLiars) => {
    const { network, a, b } = open(1, 1, ofLiars, true);
    network.middlebox = ({ from, bytes }) => (from === b ? null : bytes);
    network.run(600);
    expect([a.of("failed").map((event) => event.code), a.host.sizes.attempts]).toEqual([[code], 0]);
  });

  it("goes on beside a puzzle that somebody made too hard", () => {
    const { network, a, b } = open(1, 1);
    const liar = network.nodes[2] as Node;
    a.host.abandon({ hit: null, path: { kind: "i3", id: ID }, returnId: RETURN_ID });
    network.run(6_000);
    // 20 bits: a second of one core; some 700 turns of the loop.
    liar.host.load(network.nowMs, 0, 2 ** 40);
    a.host.connect(network.nowMs, { hit: null, path: { kind: "i3", id: ID }, returnId: RETURN_ID });
    const from = { kind: "i3", id: RETURN_ID } as const;
    const call = network.packet(i1);
    for (const node of [liar, b]) network.deliver(node, call, { kind: "i3", id: ID });
    const [hard, easy] = [liar, b].map((node) => network.wire.findLast((sent) => sent.from === node)?.bytes as Uint8Array) as [Uint8Array, Uint8Array];
    network.deliver(a, hard, from);
    network.nowMs += 1;
    network.deliver(a, easy, from);
    const isSentToB = (): boolean => network.wire.some((sent) => sent.from === a && sent.bytes[2] === i2 && sameBytes(sent.bytes.subarray(24, 40), b.env.identity.hit));
    let turns = 0;
    for (; turns < 60 && !isSentToB(); turns++) a.host.tick((network.nowMs += 20));
    expect([isSentToB(), turns * 20 < 700]).toEqual([true, true]);
  });
});

describe("what waits", () => {
  const path = { kind: "i3", id: ID } as const;
  const packet = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 0xff);

  it("is a fair sample of what came, wherever in the row it stood", () => {
    const { random } = new Network({ seed: 5 });
    const [rounds, came] = [4_000, 40];
    const kept = Array.from({ length: came }, () => 0);
    for (let round = 0; round < rounds; round++) {
      const waiting = new WaitingR1s((bytes) => random.bytes(bytes));
      for (let n = 0; n < came; n++) waiting.add(packet(n), path);
      expect(waiting.size).toBe(MAX_WAITING_R1S);
      for (let r1s = waiting.take(); r1s !== undefined; r1s = waiting.take()) kept[r1s.bytes[1] as number]!++;
    }
    // 800 each, with a standard deviation of 25.
    for (const count of kept) expect(Math.abs(count - (rounds * MAX_WAITING_R1S) / came)).toBeLessThan(150);
  });

  it("is drawn by lot, is there once, and says what was dropped", () => {
    const { random } = new Network({ seed: 6 });
    const waiting = new WaitingR1s((bytes) => random.bytes(bytes));
    const said = Array.from({ length: 10 }, (_, n) => waiting.add(packet(n), path));
    expect([said.filter((what) => what === "kept").length, said.filter((what) => what === "dropped").length]).toEqual([MAX_WAITING_R1S, 2]);
    const first = waiting.take() as { readonly bytes: Uint8Array };
    expect([waiting.add(first.bytes, path), waiting.add(first.bytes, path), waiting.clear(), waiting.take()]).toEqual(["kept", "again", MAX_WAITING_R1S, undefined]);
  });
});

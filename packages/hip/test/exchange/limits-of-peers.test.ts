/** What a peer, or somebody who copies what others said, can make a host do: ends no call, costs few signatures, holds no association that is closed. Virtual time. */
import { concatBytes } from "@i3/common";
import { describe, expect, it } from "vitest";

import type { DhGroup } from "../../src/crypto/diffie-hellman.js";
import { makeI1 } from "../../src/exchange/initiator-packets.js";
import { headerOf, sealPacket } from "../../src/exchange/seal.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { encodeEcho } from "../../src/wire/parameters/echo.js";
import { identity, Network, type Node } from "./bed.js";
import { Forger } from "./forger.js";

const CRITICAL_BEHIND_ALL = 65_001;
const CLOSED_S = 30;

/** A packet with one more parameter behind everything, signatures too. */
function withTail(bytes: Uint8Array, type: number): Uint8Array {
  const out = concatBytes(bytes, Uint8Array.of(type >> 8, type & 0xff, 0, 4, 0, 0, 0, 0));
  out[1] = out.length / 8 - 1;
  return out.fill(0, 4, 6);
}

describe("a copy of a genuine R1", () => {
  it.each([["as it is", (r1: Uint8Array) => r1], ["with an unknown critical parameter behind the signature", (r1: Uint8Array) => withTail(r1, CRITICAL_BEHIND_ALL)]])("ends no call: %s", (_, spoil) => {
    const network = new Network({ seed: 5 });
    const [caller, called] = [0, 1].map((n) => network.add("ab"[n] as string, identity("ecdsa-p256", n))) as [Node, Node];
    // Everybody gets one.
    const thief = identity("ecdsa-p256", 5);
    network.deliver(called, makeI1(thief.hit, called.env.identity.hit, [7], null), { kind: "udp", locator: { address: Uint8Array.of(203, 0, 113, 9), port: 10_500 } });
    const r1 = network.packet(HIP_PACKET.r1).slice();
    r1.set(caller.env.identity.hit, 24);
    network.connect(caller, called);
    network.inject(caller, spoil(r1), called, 1);
    network.run(20_000);
    expect([caller.of("established").length, caller.of("failed").length]).toEqual([1, 0]);
  });
});

describe("CLOSEs of a peer, different ones", () => {
  it("are answered a few times, and put off no end", () => {
    const network = new Network({ seed: 3 });
    const own = identity("ecdsa-p256", 0);
    const host = network.add("a", own);
    const forger = new Forger(network, host);
    forger.callWith((packet) => packet);
    const integrity = forger.keys?.out.integrity ?? new Uint8Array();
    const closes = [1, 2].map((n) => sealPacket(forger.own, headerOf(HIP_PACKET.close, forger.own.hit, own.hit), [{ type: PARAMETER.echoRequestSigned, contents: encodeEcho(new Uint8Array(4).fill(n)) }], { rhash: forger.rhash, key: integrity }));
    network.wire.length = 0;
    for (let n = 0; n < 300; n += 1) network.deliver(host, (closes[n % 2] as Uint8Array).slice(), forger.path);
    expect(network.wire.length).toBeGreaterThan(0);
    expect(network.wire.length).toBeLessThanOrEqual(20);
    expect(host.host.counters.drops.rate).toBeGreaterThan(100);
    for (let s = 0; s < 2 * CLOSED_S; s += 10) {
      network.run(10_000);
      network.deliver(host, (closes[(s / 10) % 2] as Uint8Array).slice(), forger.path);
    }
    expect(host.host.sizes.associations).toBe(0);
  });
});

describe("I2s with groups that cost more than a puzzle counts", () => {
  it.each([4, 8, 9] as const)("are computed 40 at once and 20 a second, each with a right puzzle: group %i", (group) => {
    const network = new Network({ seed: 4 });
    const host = network.add("a", identity("ecdsa-p256", 0), { dhGroups: [7, 4, 8, 9] });
    const forger = new Forger(network, host);
    const { counters } = host.host;
    const call = (n: number, dhGroup: DhGroup): { readonly established: number; readonly rate: number } => {
      const before = [counters.established, counters.drops.rate] as const;
      for (let i = 0; i < n; i += 1) forger.callWith((packet) => packet, { group: dhGroup });
      return { established: counters.established - before[0], rate: counters.drops.rate - before[1] };
    };
    expect(call(43, group)).toEqual({ established: 40, rate: 3 });
    expect(call(2, 7)).toEqual({ established: 2, rate: 0 });
    network.run(1_000);
    expect(call(22, group)).toEqual({ established: 20, rate: 2 });
  });
});

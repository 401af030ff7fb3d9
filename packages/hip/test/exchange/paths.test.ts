/** Where answers come from, and where packets go when a peer seems to have moved (RFC 7401 §8, RFC 8046 §5.4). */
import { describe, expect, it } from "vitest";

import { makeLocator, type Locator } from "@i3/common";

import { CHECK_BURST, MAX_RETIRING, PEER_REKEY_BURST, PEER_UPDATE_BURST, PEER_UPDATES_PER_SECOND, RETIRE_MS } from "../../src/exchange/limits.js";
import type { HipPath } from "../../src/exchange/paths.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket } from "../../src/wire/packet.js";
import { encodeSeq } from "../../src/wire/parameters/sequence.js";
import { identity, Network, pairMatches, type Node } from "./bed.js";
import { Forger } from "./forger.js";

const { r1, i2, update } = HIP_PACKET;
const udp = (locator: Locator): HipPath => ({ kind: "udp", locator });
const elsewhere = makeLocator(Uint8Array.of(203, 0, 113, 9), 10_500);
const typeOf = (bytes: Uint8Array): number => bytes[2] ?? 0;

function two(): { readonly network: Network; readonly a: Node; readonly b: Node } {
  const network = new Network();
  const [a, b] = [0, 1].map((n) => network.add("ab"[n] as string, identity("ecdsa-p256", n))) as [Node, Node];
  return { network, a, b };
}

function established(): ReturnType<typeof two> {
  const bed = two();
  bed.network.connect(bed.a, bed.b);
  bed.network.run(1_000);
  expect(pairMatches(bed.a.last("established"), bed.b.last("established"))).toBe(true);
  return bed;
}

const rekey = (network: Network, node: Node): void => node.host.rekey(network.nowMs, node.last("established").association);
/** The machine has another address from now on. */
const move = (node: Node, locator: Locator): Node => Object.assign(node, { locator });
/** Packets to an address. */
const sentTo = (network: Network, { address }: Locator): number[] =>
  network.wire.filter(({ path }) => path.kind === "udp" && path.locator.address.join() === address.join()).map(({ bytes }) => typeOf(bytes));

describe("an R1", () => {
  it("is taken from the address that was called alone, from any port of it", () => {
    for (const [from, isTaken] of [[elsewhere, false], [makeLocator(Uint8Array.of(192, 0, 2, 2), 4_000), true]] as const) {
      const { network, a, b } = two();
      const held: Uint8Array[] = [];
      network.middlebox = ({ bytes }) => (typeOf(bytes) === r1 && held.push(bytes) > 0 ? null : bytes);
      network.connect(a, b);
      network.run(100);
      network.deliver(a, held[0] as Uint8Array, udp(from));
      network.run(100);
      expect([network.types(a).includes(i2), a.host.counters.drops.unexpected]).toEqual([isTaken, isTaken ? 0 : 1]);
    }
  });

  it("with a puzzle that somebody else made costs a call one try, not its end", () => {
    const { network, a, b } = two();
    network.middlebox = ({ bytes }) => {
      if (typeOf(bytes) !== r1 || network.types(a).includes(i2)) return bytes;
      const forged = bytes.slice();
      const puzzle = decodeHipPacket(bytes).parameters.find(({ type }) => type === PARAMETER.puzzle);
      // #I is not signed: it is another one for every initiator.
      if (puzzle !== undefined) forged[puzzle.offset + 4 + 4] = (forged[puzzle.offset + 4 + 4] ?? 0) ^ 1;
      network.inject(a, bytes, b, 30);
      return forged;
    };
    network.connect(a, b);
    network.run(700);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
    // The forged one's I2, and the same again; the genuine R1 again.
    expect([b.host.counters.drops.stale, a.host.counters.drops.replayed]).toEqual([2, 1]);
  });
});

describe("a peer that seems to have moved", () => {
  it("is followed when it answers where it seems to be", () => {
    const { network, a, b } = established();
    move(a, makeLocator(Uint8Array.of(198, 51, 100, 77), 4_500));
    rekey(network, a);
    network.run(2_000);
    expect([b.of("moved").length, b.last("moved").path, b.host.counters.moved]).toEqual([1, udp(a.locator), 1]);
    expect([a.of("rekeyed").length, b.of("rekeyed").length, a.of("moved")]).toEqual([1, 1, []]);
    network.wire.length = 0;
    rekey(network, b);
    network.run(1_000);
    expect([sentTo(network, a.locator).length > 0, b.of("rekeyed").length]).toEqual([true, 2]);
  });

  it("is not followed to where somebody else sent its packet from: one answer and a few questions are all that goes there", () => {
    const { network, a, b } = established();
    // On the way from a to b a packet is taken, and arrives from elsewhere.
    network.middlebox = ({ from, bytes }) => {
      if (from !== a || typeOf(bytes) !== update) return bytes;
      network.deliver(b, bytes, udp(elsewhere));
      return null;
    };
    rekey(network, a);
    network.run(10);
    network.middlebox = ({ bytes }) => bytes;
    network.run(60_000);
    expect([b.of("moved"), b.host.counters.moved]).toEqual([[], 0]);
    // The answer, and the question twice.
    expect(sentTo(network, elsewhere).length).toBeLessThanOrEqual(3);
    expect([a.of("rekeyed").length, b.of("rekeyed").length, a.of("closed"), b.of("closed")]).toEqual([1, 1, [], []]);
    network.wire.length = 0;
    rekey(network, b);
    network.run(1_000);
    expect([sentTo(network, elsewhere), sentTo(network, a.locator).length]).toEqual([[], 2]);
  });

  it("that acknowledges without the number stays where it was", () => {
    const { network, a, b } = established();
    const old = a.locator;
    move(a, makeLocator(Uint8Array.of(198, 51, 100, 77), 4_500));
    network.middlebox = ({ from, bytes }) => (from === b && decodeHipPacket(bytes).parameters.some(({ type }) => type === PARAMETER.echoRequestSigned) ? null : bytes);
    rekey(network, a);
    network.run(60_000);
    expect(b.of("moved")).toEqual([]);
    network.wire.length = 0;
    rekey(network, b);
    network.run(100);
    expect(sentTo(network, old)).toEqual([update]);
  });
});

describe("somebody who caught one packet", () => {
  /** What comes to `place` is passed on to the other of the two. */
  function caught(place: (network: Network) => Node): ReturnType<typeof established> & { readonly x: Node; readonly passed: () => number } {
    const { network, a, b } = established();
    const x = place(network);
    let passed = 0;
    let isCaught = false;
    network.middlebox = (sent) => {
      if (sent.from === b && typeOf(sent.bytes) === update && !isCaught) {
        isCaught = true;
        network.inject(a, sent.bytes, x, 10);
        return null;
      }
      if (sent.path.kind !== "udp" || sent.path.locator.address.join() !== x.locator.address.join()) return sent.bytes;
      passed++;
      network.inject(sent.from === a ? b : a, sent.bytes, x, 20);
      return null;
    };
    rekey(network, a);
    network.run(30_000);
    return { network, a, b, x, passed: () => passed };
  }

  it("does not get between two hosts by passing on what comes to it", () => {
    const { network, a, b, passed } = caught((n) => n.add("x", identity("ecdsa-p256", 2)));
    expect([a.of("moved"), b.of("moved"), passed() <= 12]).toEqual([[], [], true]);
    expect([a.of("rekeyed").length, b.of("rekeyed").length]).toEqual([1, 1]);
    const before = passed();
    rekey(network, b);
    network.run(5_000);
    expect([passed() - before, b.of("rekeyed").length]).toEqual([0, 2]);
  });

  it("does not move a host to a third party by bringing the answer from elsewhere", () => {
    const { network, a, b } = established();
    const third = network.add("third", identity("ecdsa-p256", 2));
    let isCaught = false;
    network.middlebox = (sent) => {
      if (sent.from === b && typeOf(sent.bytes) === update && !isCaught) {
        isCaught = true;
        network.inject(a, sent.bytes, third, 10);
        return null;
      }
      if (sent.path.kind !== "udp" || sent.path.locator.address.join() !== third.locator.address.join()) return sent.bytes;
      // The question gets to b as if a had sent it the usual way.
      if (sent.from === a) network.inject(b, sent.bytes, a, 20);
      return null;
    };
    rekey(network, a);
    network.run(30_000);
    expect([isCaught, a.of("moved"), b.of("moved")]).toEqual([true, [], []]);
  });
});

describe("a peer that sends UPDATEs all the time", () => {
  it("has a few looked at each second, and cannot aim answers at others", () => {
    const network = new Network();
    const victim = network.add("victim");
    const forger = new Forger(network, victim);
    forger.callWith((parameters) => parameters);
    network.run(1_000);
    const before = network.wire.length;
    for (let n = 0; n < 1_000; n++) {
      network.nowMs += 1;
      Object.assign(forger, { path: { kind: "ip", address: Uint8Array.of(203, 0, n >> 8, n & 0xff) } });
      forger.say(update, [{ type: PARAMETER.seq, contents: encodeSeq(n) }]);
    }
    const looked = 1_000 - victim.host.counters.drops.rate - victim.host.counters.drops.replayed;
    expect(looked).toBeLessThanOrEqual(PEER_UPDATE_BURST + PEER_UPDATES_PER_SECOND + 1);
    network.run(10_000);
    // An answer to each, and few questions.
    expect(network.wire.length - before).toBeLessThanOrEqual(looked + 2 * (CHECK_BURST + 1));
  });
});

describe("a peer that wants new keys all the time", () => {
  it("gets them a few times, then as often as is allowed; few of the old ones live on", () => {
    const { network, a, b } = established();
    let most = 0;
    for (let n = 0; n < 100; n++) {
      rekey(network, a);
      network.run(100);
      most = Math.max(most, b.sas.inbound.size);
    }
    expect(b.of("rekeyed").length).toBeLessThanOrEqual(PEER_REKEY_BURST + 11);
    expect([b.of("rekeyed").length > PEER_REKEY_BURST, b.host.counters.drops.rate > 0, most]).toEqual([true, true, MAX_RETIRING + 1]);
    network.run(2 * RETIRE_MS);
    expect([a.of("closed"), b.of("closed"), b.sas.inbound.size]).toEqual([[], [], 1]);
  });
});

import { publicId } from "@i3/common";
import { describe, expect, it } from "vitest";

import { headerOf, notifiedHash, sealPacket } from "../../src/exchange/seal.js";
import { puzzlePathBytes } from "../../src/exchange/paths.js";
import { answerI1 } from "../../src/exchange/r1-pool.js";
import { ALL_TRIES_MS, CLOSED_MS, CROSSED_I2_MS, MAX_USED_SOLUTIONS } from "../../src/exchange/limits.js";
import type { HostIdentity } from "../../src/identity/host-identity.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket } from "../../src/wire/packet.js";
import { encodeNotification, notifyName, NOTIFY_CODE } from "../../src/wire/parameters/notification.js";
import { identity, Network, orderedIdentities, pairMatches, suites, type Node } from "./bed.js";

const { i1, r1, i2, r2, notify, close, closeAck } = HIP_PACKET;

/** Two hosts with an association that a began. */
function established(network: Network): readonly [Node, Node] {
  const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1))];
  network.connect(a, b);
  network.run(1_000);
  expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
  return [a, b];
}

describe("both call at once", () => {
  it("the greater HIT responds, and both have one association", () => {
    const [small, great] = orderedIdentities();
    const network = new Network();
    const [a, b] = [network.add("small", small), network.add("great", great)];
    network.connect(a, b);
    network.connect(b, a);
    network.run(2_000);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
    expect([a.of("established").length, b.of("established").length]).toEqual([1, 1]);
    expect([a.last("established").role, b.last("established").role]).toEqual(["initiator", "responder"]);
    expect([a.host.sizes, b.host.sizes]).toEqual([{ attempts: 0, associations: 1 }, { attempts: 0, associations: 1 }]);
  });

  it("also when engines answer every I1, so that both send I2", () => {
    const [small, great] = orderedIdentities();
    const network = new Network();
    const [a, b] = [network.add("small", small), network.add("great", great)];
    // An engine answers for its host, which does not see the I1.
    network.middlebox = ({ from, bytes }) => {
      if (bytes[2] !== i1) return bytes;
      const to = from === a ? b : a;
      const { responder } = to.host;
      if (responder === null) throw new Error("no responder");
      network.inject(from, answerI1(responder, to.host.responder?.puzzles[0] ?? { epoch: 0, secret: new Uint8Array(0) }, bytes, puzzlePathBytes({ kind: "udp", locator: from.locator })), to, 20);
      return null;
    };
    network.connect(a, b);
    network.run(5);
    network.connect(b, a);
    network.run(3_000);
    expect([network.types(a), network.types(b)]).toEqual([[i1, i2], [i1, i2, r2]]);
    expect(a.host.counters.drops.crossed).toBe(1);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
    expect([a.of("established").length, b.of("established").length]).toEqual([1, 1]);
  });

  it("whatever is lost, doubled or overtaken: what one sends, the other can read", () => {
    const [small, great] = orderedIdentities();
    let bothBegan = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const network = new Network({ seed, loss: seed % 3 === 0 ? 0.2 : 0, duplicates: 0.2, jitterMs: 10 + (seed % 5) * 100 });
      const [a, b] = [network.add("small", small), network.add("great", great)];
      network.connect(a, b);
      network.run(network.random.below(100));
      network.connect(b, a);
      network.run(40_000);
      expect(a.of("failed").length + b.of("failed").length, `seed ${seed}`).toBeLessThanOrEqual(seed % 3 === 0 ? 2 : 0);
      if (a.of("established").length === 0 || b.of("established").length === 0) continue;
      expect(pairMatches(a.last("established"), b.last("established")), `seed ${seed}`).toBe(true);
      if (network.types(a).includes(i2) && network.types(b).includes(i2)) bothBegan++;
    }
    expect(bothBegan).toBeGreaterThan(10);
  });
});

describe("a fresh exchange in the place of an old association", () => {
  it("a caller that restarted is taken, with keys that never were used", () => {
    const network = new Network();
    const [a, b] = established(network);
    network.run(CROSSED_I2_MS);
    network.restart(a);
    network.connect(a, b);
    network.run(1_000);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
    expect(b.last("established").replaces).toBe(b.of("established")[0]?.association);
    expect(b.host.sizes.associations).toBe(1);
  });

  it("an answerer that restarted is called anew, while the old association stays until then", () => {
    const network = new Network();
    const [a, b] = established(network);
    network.run(60_000);
    network.restart(b);
    network.connect(a, b);
    network.run(15);
    expect(a.of("established")).toHaveLength(1);
    expect(a.host.sizes).toEqual({ attempts: 1, associations: 1 });
    network.run(1_000);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
    expect(a.last("established").replaces).toBe(a.of("established")[0]?.association);
  });

  it("an answerer that restarts between R1 and I2 is called again by the same attempt", () => {
    const network = new Network();
    const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1))];
    network.middlebox = ({ bytes }) => (bytes[2] === i2 && network.nowMs < 2_000 ? null : bytes);
    network.connect(a, b);
    network.run(1_000);
    network.restart(b);
    network.run(10_000);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
    expect(b.host.counters.drops.stale).toBeGreaterThan(0);
    expect(network.types(a).filter((type) => type === i1).length).toBeGreaterThan(1);
  });

  it("an I2 that comes again later makes nothing, though its puzzle is still good: the keys would be the old ones", () => {
    const network = new Network();
    const [a, b] = established(network);
    const packet = network.packet(i2);
    network.deliver(b, packet, a);
    expect(b.host.counters.repeated).toBe(1);
    network.run(ALL_TRIES_MS);
    network.deliver(b, packet, a);
    expect([b.host.counters.drops.used, b.of("established").length]).toEqual([1, 1]);
    b.host.close(network.nowMs, b.last("established").association);
    network.run(CLOSED_MS + 1_000);
    expect(b.host.sizes.associations).toBe(0);
    network.nowMs = 1_000 + 60_000;
    network.deliver(b, packet, a);
    expect([b.host.counters.drops.used, b.of("established").length]).toEqual([2, 1]);
    network.run(120_000);
    network.deliver(b, packet, a);
    expect([b.host.counters.drops.stale, b.of("established").length]).toEqual([1, 1]);
    expect(MAX_USED_SOLUTIONS).toBeGreaterThan(60 * 1_000);
  });

  it("an I2 that lost to the other side's does not come back as a new association", () => {
    const [small, great] = orderedIdentities();
    const network = new Network();
    const [a, b] = [network.add("small", small), network.add("great", great)];
    // Their I1s do not meet: each sends R1 from I2-SENT or before it calls.
    network.connect(a, b);
    network.run(15);
    network.connect(b, a);
    network.middlebox = ({ from, bytes }) => (from === a && bytes[2] === i2 && network.nowMs < 40 + 1_000 ? null : bytes);
    network.run(5_000);
    const lost = network.wire.find(({ bytes, from }) => bytes[2] === i2 && from === b)?.bytes as Uint8Array;
    expect(a.host.counters.drops.crossed).toBeGreaterThan(0);
    const before = [a.of("established").length, b.of("established").length];
    network.deliver(a, lost, b);
    expect(a.host.counters.drops.used).toBeGreaterThan(0);
    expect([a.of("established").length, b.of("established").length]).toEqual(before);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
  });
});

describe("CLOSE", () => {
  it("ends both sides, and the state goes in the end", () => {
    const network = new Network();
    const [a, b] = established(network);
    a.host.close(network.nowMs, a.last("established").association);
    expect(a.last("closed")).toMatchObject({ code: "asked", association: a.last("established").association });
    network.run(1_000);
    expect(b.last("closed")).toMatchObject({ code: "peer", association: b.last("established").association });
    expect(network.types().slice(4)).toEqual([close, closeAck]);
    expect([a.host.sizes.associations, b.host.sizes.associations]).toEqual([0, 1]);
    network.run(CLOSED_MS);
    expect(b.host.sizes.associations).toBe(0);
    expect([a.sas.inbound.size, b.sas.inbound.size]).toEqual([0, 0]);
  });

  it("is repeated until answered; the answer too", () => {
    const network = new Network();
    const [a, b] = established(network);
    const lost = new Set<number | undefined>();
    network.middlebox = ({ bytes }) => {
      if (bytes[2] !== close && bytes[2] !== closeAck) return bytes;
      const isFirst = !lost.has(bytes[2]);
      lost.add(bytes[2]);
      return isFirst ? null : bytes;
    };
    a.host.close(network.nowMs, a.last("established").association);
    network.run(20_000);
    expect(network.types().slice(4)).toEqual([close, close, closeAck, close, closeAck]);
    expect(a.host.sizes.associations).toBe(0);
    expect([a.of("closed").length, b.of("closed").length]).toEqual([1, 1]);
  });

  it("from both sides at once", () => {
    const network = new Network();
    const [a, b] = established(network);
    for (const node of [a, b]) node.host.close(network.nowMs, node.last("established").association);
    network.run(1_000);
    expect([a.of("closed").length, b.of("closed").length]).toEqual([1, 1]);
    network.run(CLOSED_MS);
    expect([a.host.sizes.associations, b.host.sizes.associations]).toEqual([0, 0]);
  });

  it("of a peer that is gone is given up", () => {
    const network = new Network();
    const [a] = established(network);
    network.loss = 1;
    a.host.close(network.nowMs, a.last("established").association);
    network.run(ALL_TRIES_MS - 1);
    expect(a.host.sizes.associations).toBe(1);
    network.run(1);
    expect(a.host.sizes.associations).toBe(0);
  });

  it("of a stranger, of an older association, or answered for another CLOSE changes nothing", () => {
    const network = new Network();
    const [a, b] = established(network);
    network.middlebox = ({ bytes }) => (bytes[2] === close ? null : bytes);
    a.host.close(network.nowMs, a.last("established").association);
    const old = network.packet(close);
    network.run(20_000);
    network.connect(a, b);
    network.run(1_000);
    network.deliver(b, old, a);
    expect([b.of("closed").length, b.host.counters.drops.mac]).toEqual([0, 1]);
    network.middlebox = ({ bytes }) => (bytes[2] === closeAck ? null : bytes);
    a.host.close(network.nowMs, a.last("established").association);
    network.run(100);
    const ack = network.packet(closeAck);
    ack.set(network.random.bytes(4), 48);
    network.deliver(a, ack, b);
    expect(a.host.sizes.associations).toBe(1);
  });

  it("a new call goes through while the old association is closing or closed", () => {
    const network = new Network();
    const [a, b] = established(network);
    a.host.close(network.nowMs, a.last("established").association);
    network.connect(a, b);
    network.run(1_000);
    expect(a.of("established")).toHaveLength(2);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
    expect(a.last("established").replaces).toBeNull();
  });
});

describe("NOTIFY", () => {
  const callers = (): { readonly network: Network; readonly a: Node; readonly b: Node } => {
    const network = new Network();
    return { network, a: network.add("a", identity("ecdsa-p256", 0)), b: network.add("b", identity("ecdsa-p256", 1)) };
  };
  const signed = (own: HostIdentity, peer: HostIdentity, code: number, data: Uint8Array): Uint8Array =>
    sealPacket(own, headerOf(notify, own.hit, peer.hit), [{ type: PARAMETER.notification, contents: encodeNotification({ code, data }) }], null);

  it("ends a refused call at once, with its reason, over UDP and over i3", () => {
    for (const isOverI3 of [false, true]) {
      const network = new Network();
      const [own, peer] = [identity("ecdsa-p256", 0), identity("ecdsa-p256", 1)];
      const [a, b] = [network.add("a", own, isOverI3 ? { ownPublicId: publicId(own.hit) } : {}), network.add("b", peer, isOverI3 ? { ownPublicId: publicId(peer.hit) } : {})];
      b.admits = () => false;
      if (isOverI3) network.connectI3(a, b);
      else network.connect(a, b);
      network.run(45);
      expect(a.last("failed")).toMatchObject({ code: "refused" });
      expect(a.last("failed").reason).toContain("the peer says BLOCKED_BY_POLICY");
      expect([a.host.sizes, b.host.sizes.associations]).toEqual([{ attempts: 0, associations: 0 }, 0]);
      network.run(20_000);
      expect([network.types(), a.of("failed").length]).toEqual([[i1, r1, i2, notify], 1]);
      expect(network.packet(notify).length).toBeLessThanOrEqual(network.packet(i2).length);
    }
  });

  it("of an earlier call, of an I2 that was changed on its way, or about nothing ends nothing", () => {
    const { network, a, b } = callers();
    b.admits = () => false;
    network.connect(a, b);
    network.run(45);
    const old = network.packet(notify);
    expect(a.of("failed")).toHaveLength(1);
    // Somebody on the way changes the second I2, and b says so.
    const changed: Uint8Array[] = [];
    network.middlebox = ({ bytes }) => {
      if (bytes[2] !== i2) return bytes;
      changed.push(bytes);
      return bytes.map((byte, n) => (n === bytes.length - 9 ? byte ^ 1 : byte));
    };
    b.admits = () => true;
    network.connect(a, b);
    network.run(45);
    expect([network.types(b).slice(-1), a.host.counters.notifyReceived]).toEqual([[notify], 2]);
    for (const packet of [old, signed(b.env.identity, a.env.identity, 42, new Uint8Array(0)), signed(b.env.identity, a.env.identity, 42, new Uint8Array(32))]) network.deliver(a, packet, b);
    expect([a.of("failed").length, a.host.sizes.attempts]).toEqual([1, 1]);
    network.middlebox = ({ bytes }) => bytes;
    network.run(1_000);
    expect([pairMatches(a.last("established"), b.last("established")), changed.length]).toEqual([true, 1]);
  });

  it("of one that is only busy, or of another HIP host, is noted, and the call goes on to its end", () => {
    for (const data of ["of this I2", "none"] as const) {
      const { network, a, b } = callers();
      network.middlebox = ({ bytes }) => (bytes[2] === i2 ? null : bytes);
      network.connect(a, b);
      network.run(30);
      const code = data === "none" ? NOTIFY_CODE.BLOCKED_BY_POLICY : NOTIFY_CODE.RESPONDER_BUSY_PLEASE_RETRY;
      network.deliver(a, signed(b.env.identity, a.env.identity, code, data === "none" ? new Uint8Array(0) : notifiedHash(decodeHipPacket(network.packet(i2)))), b);
      expect(a.of("failed")).toEqual([]);
      network.run(20_000);
      expect(a.last("failed")).toMatchObject({ code: "silent" });
      expect(a.last("failed").reason).toContain(`the peer says ${notifyName(code)}`);
    }
  });

  it("comes in the place of an R2 when there is no room for one more peer", () => {
    const network = new Network();
    const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1), { offerFor: () => null })];
    network.connect(a, b);
    network.run(100);
    expect([network.types(), b.host.counters.drops.full, b.events.filter(({ kind }) => kind !== "responder")]).toEqual([[i1, r1, i2, notify], 1, []]);
  });

  it("of a host that then calls itself does not keep the two apart, and the refused call does not come in behind it", () => {
    for (const [caller, callee] of [orderedIdentities(), [...orderedIdentities()].reverse()] as const) {
      const network = new Network();
      const [a, b] = [network.add("a", caller), network.add("b", callee)];
      // Its list is about those who call: whom it calls itself may answer.
      b.admits = () => b.host.sizes.attempts > 0;
      network.connect(a, b);
      network.run(32);
      expect(network.types(b)).toEqual([r1, notify]);
      network.connect(b, a);
      network.run(3_000);
      expect(a.of("failed")).toHaveLength(1);
      expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
      expect([a.of("established").length, b.of("established").length]).toEqual([1, 1]);
      expect([a.last("established").role, b.last("established").role]).toEqual(["responder", "initiator"]);
    }
  });

  it("the access list is asked before anything is spent, and again with the key", () => {
    for (const refusesKeys of [false, true]) {
      const network = new Network();
      const a = network.add("a", identity("ecdsa-p256", 0));
      const asked: boolean[] = [];
      const b = network.add("b", identity("ecdsa-p256", 1), {
        admits: (_hit, key) => {
          asked.push(key !== undefined);
          return refusesKeys && key === undefined;
        },
      });
      network.connect(a, b);
      network.run(100);
      expect([asked, b.host.counters.drops.refused, b.of("established").length]).toEqual([refusesKeys ? [false, true] : [false], 1, 0]);
    }
  });

  it("is not believed from anybody else, and ends nothing", () => {
    const network = new Network();
    const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1))];
    b.admits = () => false;
    network.middlebox = ({ bytes }) => (bytes[2] === notify ? bytes.map((byte, n) => (n === 60 ? byte ^ 1 : byte)) : bytes);
    network.connect(a, b);
    network.run(100);
    expect([a.host.counters.notifyReceived, a.host.counters.drops.signature, a.host.sizes.attempts]).toEqual([1, 1, 1]);
    b.admits = () => true;
    network.run(1_000);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
    network.deliver(a, network.packet(notify), b);
    expect([a.of("closed").length, a.host.sizes.associations]).toEqual([0, 1]);
  });

  it("of somebody else is not in the reason of a failure", () => {
    const network = new Network();
    const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1))];
    b.admits = () => false;
    network.middlebox = ({ bytes }) => (bytes[2] === notify ? bytes.map((byte, n) => (n === 60 ? byte ^ 1 : byte)) : bytes);
    network.connect(a, b);
    network.run(20_000);
    expect(a.last("failed")).toMatchObject({ code: "silent" });
    expect(a.last("failed").reason).toContain("nothing answered the second packet of the exchange");
  });

  it("goes out a few times a second at most", () => {
    const network = new Network();
    const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1))];
    b.admits = () => false;
    network.connect(a, b);
    network.run(100);
    const packet = network.packet(i2);
    const before = b.host.counters.notifySent;
    for (let n = 0; n < 1_000; n++) network.deliver(b, packet, a);
    // After SPOILT_LIMIT it is not even looked at.
    expect(b.host.counters.notifySent - before).toBe(2);
    expect(b.host.counters.drops.used).toBe(998);
  });

  it("security wanted and security offered must meet", () => {
    const network = new Network();
    const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1))];
    a.offer = suites(7);
    network.connect(a, b);
    network.run(20_000);
    expect(a.last("failed")).toMatchObject({ code: "refused" });
    expect(a.last("failed").reason).toContain("INVALID_ESP_TRANSFORM_CHOSEN");
    expect(b.host.counters.drops.proposal).toBeGreaterThan(0);
    const c = network.add("c", identity("ecdsa-p384", 0), { espSuites: [7] });
    network.connect(b, c);
    network.run(1_000);
    expect(b.last("failed")).toMatchObject({ code: "incompatible" });
    expect(b.last("failed").reason).toContain("no common ESP suite: the peer has 7");
    expect(network.types().slice(-3)).toEqual([i1, r1, notify]);
  });
});

it("bounds what is under way", () => {
  const network = new Network({ loss: 1 });
  const a = network.add("a", identity("ecdsa-p256", 0));
  const path = { kind: "ip", address: Uint8Array.of(192, 0, 2, 9) } as const;
  for (let n = 0; n < 4_097; n++) a.host.connect(network.nowMs, { hit: Uint8Array.of(0x20, 1, 0, 0x22, ...network.random.bytes(12)), path, returnId: null });
  expect(a.host.sizes.attempts).toBe(4_096);
  expect(a.last("failed")).toMatchObject({ code: "busy" });
  network.run(16_000);
  expect([a.host.sizes.attempts, a.of("failed").length, r2]).toEqual([0, 4_097, 4]);
});

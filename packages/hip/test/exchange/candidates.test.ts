/** Where two hosts that speak i3 say that they may be reached straight (docs/wire.md §9.7). */
import { concatBytes, makeLocator, toHex } from "@i3/common";
import { describe, expect, it } from "vitest";

import { hipMac } from "../../src/crypto/hip-mac.js";
import type { PeerLocator } from "../../src/exchange/candidates.js";
import { wipeEventKeys } from "../../src/exchange/events.js";
import { ALL_TRIES_MS, ANNOUNCE_EVERY_MS } from "../../src/exchange/limits.js";
import { hostIdOf } from "../../src/exchange/r1-pool.js";
import { encrypted, pathKeysOf } from "../../src/exchange/association-keys.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, parameter } from "../../src/wire/packet.js";
import { encodeI3Preferences, I3_PREFERENCE_FLAG, type I3Preferences } from "../../src/wire/parameters/i3.js";
import { encodeLocatorSet, LOCATOR_KIND, MAX_LOCATORS, PROTOCOL_UDP, TRAFFIC_TYPE, type HipLocator } from "../../src/wire/parameters/locator-set.js";
import { encodeSeq } from "../../src/wire/parameters/sequence.js";
import type { ParameterContents } from "../../src/wire/tlv.js";
import { identity, Network, pairMatches, type NetworkOptions, type Node } from "./bed.js";
import { Forger } from "./forger.js";

const { update } = HIP_PACKET;
const preferences = (flags: number): I3Preferences => ({ flags, own4: new Uint8Array(4), own6: new Uint8Array(16), peer4: new Uint8Array(4), peer6: new Uint8Array(16) });
const willing = preferences(I3_PREFERENCE_FLAG.shortcuts);
const at = (n: number): PeerLocator => ({ kind: "host", priority: n, locator: makeLocator(Uint8Array.of(198, 51, n >> 8, n & 0xff), 5_610) });
const both: readonly PeerLocator[] = [at(1), { kind: "server", priority: 0xffff_ffff, locator: makeLocator(new Uint8Array(16).fill(0x20), 65_535) }, { kind: "peer", priority: 0, locator: at(2).locator }];

interface Bed {
  readonly network: Network;
  readonly a: Node;
  readonly b: Node;
}

/** Two that have an association over i3. */
function overI3({ flags = [1, 1], ...options }: NetworkOptions & { readonly flags?: readonly [number, number] } = {}): Bed {
  const network = new Network(options);
  const [a, b] = [0, 1].map((n) => {
    const ownPublicId = network.random.bytes(32);
    const node = network.add("ab"[n] as string, identity("ecdsa-p256", n), { ownPublicId });
    const privateId = network.random.bytes(32);
    node.ids.push(privateId);
    node.offer = { ...node.offer, privateId, preferences: preferences(flags[n] as number) };
    return node;
  }) as [Node, Node];
  network.connectI3(a, b, b.env.ownPublicId as Uint8Array);
  network.run(1_000);
  expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
  network.wire.length = 0;
  return { network, a, b };
}

const say = ({ network }: Pick<Bed, "network">, node: Node, locators: readonly PeerLocator[]): void => node.host.setLocators(network.nowMs, node.last("established").association, locators);
const updatesOf = ({ network }: Bed, node: Node): Uint8Array[] => network.wire.filter(({ from, bytes }) => from === node && bytes[2] === update).map(({ bytes }) => bytes);
const asks = (bytes: Uint8Array): boolean => parameter(decodeHipPacket(bytes), PARAMETER.seq) !== undefined;
const heard = (node: Node): (readonly PeerLocator[])[] => node.of("locators").map(({ locators }) => locators);
const dropsOf = (node: Node): number => Object.values<number>({ ...node.host.counters.drops }).reduce((sum, count) => sum + count, 0);

describe("candidates", () => {
  it("reach the other host encrypted, by its private id, and are acknowledged", () => {
    const bed = overI3();
    say(bed, bed.a, both);
    bed.network.run(100);
    expect(heard(bed.b)).toEqual([both]);
    expect(bed.b.last("locators").association).toBe(bed.b.last("established").association);
    const [said, ...more] = updatesOf(bed, bed.a);
    expect(more).toEqual([]);
    expect(decodeHipPacket(said as Uint8Array).parameters.map(({ type }) => type).filter((type) => type < PARAMETER.hipMac)).toEqual([PARAMETER.espInfo, PARAMETER.seq, PARAMETER.encrypted]);
    expect(bed.network.wire.every(({ path }) => path.kind === "i3")).toBe(true);
    expect(toHex(said as Uint8Array)).not.toContain(toHex(at(1).locator.address));
    bed.network.run(60_000);
    expect([updatesOf(bed, bed.a).length, updatesOf(bed, bed.b).length, dropsOf(bed.a), dropsOf(bed.b)]).toEqual([1, 1, 0, 0]);
  });

  it("are taken back by an empty set; the same ones are not said again", () => {
    const bed = overI3();
    for (const locators of [[], both, both, [], []]) {
      say(bed, bed.a, locators);
      bed.network.run(1_000);
    }
    expect(heard(bed.b)).toEqual([both, []]);
  });

  it("are said by both at once", () => {
    const bed = overI3();
    say(bed, bed.a, [at(1)]);
    say(bed, bed.b, [at(2)]);
    bed.network.run(5_000);
    expect([heard(bed.a), heard(bed.b)]).toEqual([[[at(2)]], [[at(1)]]]);
    expect([updatesOf(bed, bed.a).filter(asks).length, updatesOf(bed, bed.b).filter(asks).length]).toEqual([1, 1]);
  });

  it("can be said as soon as there is an association: not before R2", () => {
    const network = new Network();
    const [a, b] = [0, 1].map((n) => network.add(`${n}`, identity("ecdsa-p256", n), { ownPublicId: network.random.bytes(32) })) as [Node, Node];
    for (const node of [a, b]) node.offer = { ...node.offer, preferences: willing };
    const take = b.sas.take.bind(b.sas);
    b.sas.take = (event) => {
      take(event);
      if (event.kind === "established") b.host.setLocators(network.nowMs, event.association, both);
    };
    network.connect(a, b);
    network.run(200);
    expect([heard(a), dropsOf(a)]).toEqual([[both], 0]);
  });

  it.each([[0, 1], [1, 0], [0, 0]] as const)("are not said where flags are %i and %i, nor taken", (own, peer) => {
    const bed = overI3({ flags: [own, peer] });
    for (const node of [bed.a, bed.b]) say(bed, node, both);
    bed.network.run(10_000);
    expect([bed.network.wire.length, heard(bed.a), heard(bed.b), bed.a.last("established").shortcuts]).toEqual([0, [], [], false]);
  });

  it("are at most 16, with priorities of 32 bits", () => {
    const bed = overI3();
    const many = Array.from({ length: MAX_LOCATORS + 1 }, (_, n) => at(n));
    for (const wrong of [many, [{ ...at(1), priority: 2 ** 32 }], [{ ...at(1), priority: -1 }]]) expect(() => say(bed, bed.a, wrong)).toThrow(RangeError);
    say(bed, bed.a, many.slice(1));
    bed.network.run(100);
    expect(heard(bed.b)).toEqual([many.slice(1)]);
  });
});

describe("candidates that change", () => {
  it("1,000 times in a minute make at most 300 UPDATEs, and the last ones arrive", () => {
    const bed = overI3();
    for (let n = 0; n < 1_000; n++) {
      say(bed, bed.a, [at(n)]);
      bed.network.run(59);
    }
    bed.network.run(1_000);
    const count = updatesOf(bed, bed.a).filter(asks).length;
    expect(count).toBeLessThanOrEqual(300);
    expect(count).toBeGreaterThan(250);
    expect(heard(bed.b).at(-1)).toEqual([at(999)]);
    expect([dropsOf(bed.b), bed.a.of("closed"), bed.b.of("closed")]).toEqual([0, [], []]);
  });

  it("while nothing gets through: the last ones arrive when something does, however many were lost", () => {
    const bed = overI3();
    bed.network.loss = 1;
    for (let n = 0; n < 300; n++) {
      say(bed, bed.a, [at(n)]);
      bed.network.run(ANNOUNCE_EVERY_MS);
    }
    bed.network.loss = 0;
    bed.network.run(ALL_TRIES_MS);
    expect(heard(bed.b)).toEqual([[at(299)]]);
    expect(bed.a.of("closed")).toEqual([]);
  });

  it("a newer UPDATE overtakes an older one, which then changes nothing", () => {
    const bed = overI3();
    const held: Uint8Array[] = [];
    bed.network.middlebox = ({ from, bytes }) => (from === bed.a && held.push(bytes) === 1 ? null : bytes);
    say(bed, bed.a, [at(1)]);
    bed.network.run(50);
    say(bed, bed.a, [at(2)]);
    bed.network.run(400);
    bed.network.deliver(bed.b, held[0] as Uint8Array, { kind: "i3", id: bed.b.ids.at(-1) as Uint8Array });
    expect([heard(bed.b), bed.b.host.counters.locatorSetsIgnored, bed.b.host.counters.locatorSets]).toEqual([[[at(2)]], 1, 2]);
  });

  it("arrive in whatever loss, each side's last ones", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const bed = overI3({ seed, duplicates: 0.2, jitterMs: 100 });
      bed.network.loss = 0.3;
      for (let n = 0; n < 10; n++) {
        say(bed, n % 3 === 0 ? bed.b : bed.a, [at(n)]);
        bed.network.run(bed.network.random.below(400));
      }
      bed.network.run(ALL_TRIES_MS);
      bed.network.loss = 0;
      // Should all tries have been lost, the next packet of the peer brings it up again.
      for (const node of [bed.a, bed.b]) node.host.rekey(bed.network.nowMs, node.last("established").association);
      bed.network.run(ALL_TRIES_MS);
      expect([heard(bed.a).at(-1), heard(bed.b).at(-1)], `seed ${seed}`).toEqual([[at(9)], [at(8)]]);
    }
  });

  it.each(["UPDATE", "ACK"] as const)("a lost %s costs half a second, and the set is told once", (what) => {
    const bed = overI3();
    let isLost = false;
    bed.network.middlebox = ({ from, bytes }) => {
      if (isLost || from !== (what === "UPDATE" ? bed.a : bed.b)) return bytes;
      isLost = true;
      return null;
    };
    say(bed, bed.a, both);
    bed.network.run(600);
    expect([isLost, heard(bed.b), updatesOf(bed, bed.a).length]).toEqual([true, [both], 2]);
    bed.network.run(60_000);
    expect([updatesOf(bed, bed.a).length, heard(bed.b).length]).toEqual([2, 1]);
  });

  it("a peer that is silent keeps its association, and hears of them with its next packet", () => {
    const bed = overI3();
    bed.network.middlebox = ({ from, bytes }) => (from === bed.a ? null : bytes);
    say(bed, bed.a, both);
    bed.network.run(60_000);
    expect([updatesOf(bed, bed.a).length, bed.a.of("closed")]).toEqual([5, []]);
    bed.network.middlebox = ({ bytes }) => bytes;
    say(bed, bed.b, [at(1)]);
    bed.network.run(100);
    expect([heard(bed.a), heard(bed.b)]).toEqual([[[at(1)]], [both]]);
  });
});

describe("what a peer may say of its candidates", () => {
  const random = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(7);
  const candidate: HipLocator = {
    trafficType: TRAFFIC_TYPE.both, preferred: false, lifetimeSeconds: 1, spi: 4_096, address: Uint8Array.of(198, 51, 100, 1),
    transport: { port: 5_610, protocol: PROTOCOL_UDP, kind: LOCATOR_KIND.serverReflexive, priority: 5 },
  };

  function forged(flags = 1, isOverI3 = false): { readonly network: Network; readonly b: Node; readonly forger: Forger; readonly sayInside: (id: number, contents: Uint8Array, signer?: Forger["own"]) => void } {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 1));
    b.offer = { ...b.offer, preferences: willing };
    const forger = new Forger(network, b);
    if (isOverI3) forger.callOverI3(new Uint8Array(32).fill(3));
    forger.callWith(isOverI3 ? (all) => [...all, { type: PARAMETER.i3ReturnId, contents: new Uint8Array(32).fill(3) }].sort((x, y) => x.type - y.type) : (all) => all, { inside: [{ type: PARAMETER.hostId, contents: hostIdOf(forger.own) }, { type: PARAMETER.i3Preferences, contents: encodeI3Preferences(preferences(flags)) }] });
    expect(b.of("established")).toHaveLength(1);
    const sayInside = (id: number, contents: Uint8Array, signer = forger.own): void => {
      const hidden = encrypted(4, forger.keys?.out.encryption as Uint8Array, random, [{ type: PARAMETER.locatorSet, contents }]);
      forger.say(update, [{ type: PARAMETER.seq, contents: encodeSeq(id) }, hidden], signer);
    };
    return { network, b, forger, sayInside };
  }

  it("others than UDP, of unknown kind, relayed, without a port or of other types are skipped and counted", () => {
    const { b, sayInside } = forged();
    const { transport, ...bare } = candidate as HipLocator & { transport: NonNullable<HipLocator["transport"]> };
    const others: HipLocator[] = [
      { ...bare, transport: { ...transport, protocol: 6 } }, { ...bare, transport: { ...transport, kind: LOCATOR_KIND.relayed } }, { ...bare, transport: { ...transport, kind: 4 } },
      { ...bare, transport: { ...transport, port: 0 } }, bare, { ...bare, spi: null }, { ...candidate, trafficType: TRAFFIC_TYPE.signaling },
    ];
    const later = Uint8Array.of(0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    sayInside(0, concatBytes(encodeLocatorSet([...others, candidate]), later));
    expect(heard(b)).toEqual([[{ kind: "server", priority: 5, locator: makeLocator(candidate.address, 5_610) }]]);
    expect([b.host.counters.locatorsSkipped, b.host.counters.locatorSets, dropsOf(b)]).toEqual([others.length + 1, 1, 0]);
  });

  it("a set that is none is malformed, and changes nothing", () => {
    const { network, b, sayInside } = forged();
    const sent = network.wire.length;
    sayInside(0, new Uint8Array(9).fill(2));
    expect([b.host.counters.drops.malformed, heard(b), network.wire.length]).toEqual([1, [], sent]);
    sayInside(0, encodeLocatorSet([candidate]));
    expect(heard(b)).toHaveLength(1);
  });

  it("with a right MAC and the signature of another key nothing changes", () => {
    const { network, b, sayInside } = forged();
    const sent = network.wire.length;
    sayInside(0, encodeLocatorSet([candidate]), identity("ecdsa-p256", 1));
    expect([b.host.counters.drops.signature, heard(b), network.wire.length, b.host.counters.locatorSets]).toEqual([1, [], sent, 0]);
    sayInside(0, encodeLocatorSet([candidate]));
    expect(heard(b)).toHaveLength(1);
  });

  it("ENCRYPTED that does not open is refused", () => {
    const { b, forger } = forged();
    const hidden: ParameterContents = { type: PARAMETER.encrypted, contents: new Uint8Array(36).fill(1) };
    forger.say(update, [{ type: PARAMETER.seq, contents: encodeSeq(0) }, hidden]);
    expect([b.host.counters.drops.encrypted, heard(b)]).toEqual([1, []]);
  });

  it("who allows no shortcuts is not listened to", () => {
    const { b, sayInside } = forged(0);
    sayInside(0, encodeLocatorSet([candidate]));
    expect([heard(b), b.host.counters.locatorSets, dropsOf(b)]).toEqual([[], 0, 0]);
  });

  it("in clear of a peer over i3 they are ignored and counted", () => {
    const { b, forger } = forged(1, true);
    forger.say(update, [{ type: PARAMETER.locatorSet, contents: encodeLocatorSet([{ ...candidate, preferred: true }]) }, { type: PARAMETER.seq, contents: encodeSeq(0) }]);
    expect([heard(b), b.host.counters.locatorSets, b.host.counters.locatorSetsIgnored, b.of("moved"), dropsOf(b)]).toEqual([[], 1, 1, [], 0]);
  });
});

describe("path keys", () => {
  it("are the same on both sides, one for each direction, and wiped with the event", () => {
    const { a, b } = overI3();
    const [own, peer] = [a.last("established").pathKeys, b.last("established").pathKeys];
    expect([toHex(own.in), toHex(own.out)]).toEqual([toHex(peer.out), toHex(peer.in)]);
    expect([own.in.length, own.out.length, toHex(own.in) === toHex(own.out)]).toEqual([32, 32, false]);
    wipeEventKeys(a.last("established"));
    expect([own.in, own.out].every((key) => key.every((byte) => byte === 0))).toBe(true);
  });

  it("are HMAC-SHA-256 of the integrity keys", () => {
    const keys = { in: { encryption: new Uint8Array(0), integrity: new Uint8Array(48).fill(1) }, out: { encryption: new Uint8Array(0), integrity: new Uint8Array(32).fill(2) } };
    const { in: inbound, out } = pathKeysOf(keys);
    expect(toHex(out)).toBe(toHex(hipMac("sha256", keys.out.integrity, new TextEncoder().encode("i3/1 path key\0"))));
    expect([inbound.length, toHex(inbound) === toHex(out)]).toEqual([32, false]);
  });
});

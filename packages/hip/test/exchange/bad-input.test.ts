/** Packets that are wrong: none throws, none changes anything, each is counted once, and the right packet behind it still does its work. */
import { concatBytes, publicId } from "@i3/common";
import { describe, expect, it } from "vitest";

import { dhKeyPair } from "../../src/crypto/diffie-hellman.js";
import type { HostIdentity } from "../../src/identity/host-identity.js";
import type { HipDrop } from "../../src/exchange/counters.js";
import { hostIdOf } from "../../src/exchange/r1-pool.js";
import { signatureOf } from "../../src/exchange/seal.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, encodeHipPacket, parameter } from "../../src/wire/packet.js";
import { encodeDhGroupList, encodeDiffieHellman } from "../../src/wire/parameters/diffie-hellman.js";
import { encodeEspInfo } from "../../src/wire/parameters/esp-info.js";
import { encodeHostId } from "../../src/wire/parameters/host-id.js";
import { encodeR1Counter } from "../../src/wire/parameters/r1-counter.js";
import { encodeSeq } from "../../src/wire/parameters/sequence.js";
import { encodeEspTransform, encodeHipCipher, encodeHitSuiteList, encodeTransportFormatList } from "../../src/wire/parameters/suites.js";
import type { HipPath } from "../../src/exchange/paths.js";
import { encodeParameters, type ParameterContents } from "../../src/wire/tlv.js";
import { identity, Network, pairMatches, type Node } from "./bed.js";
import { Forger, FORGER_SPI, mutatedParameter, replaced, resigned, without, type Change } from "./forger.js";

const { r1, i2, r2, update, close, closeAck } = HIP_PACKET;
const HOWS = ["truncated", "oversized", "repeated", "misordered", "dropped", "emptied"] as const;

const dropsOf = (node: Node): number => Object.values<number>({ ...node.host.counters.drops }).reduce((sum, count) => sum + count, 0);
const stateOf = (node: Node): string => JSON.stringify([node.host.sizes, node.events.filter(({ kind }) => kind !== "responder").length]);

/** A network that stands where `type` is about to arrive for the first time: whom it is for, from whom, and what comes next if all is well. */
function before(type: number): { readonly network: Network; readonly to: Node; readonly from: Node; readonly genuine: Uint8Array; readonly succeeds: () => boolean } {
  const network = new Network();
  const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1))];
  let genuine: Uint8Array | null = null;
  let from: Node | null = null;
  network.middlebox = (sent) => {
    if (genuine !== null || sent.bytes[2] !== type) return genuine === null ? sent.bytes : null;
    genuine = sent.bytes;
    from = sent.from;
    return null;
  };
  network.connect(a, b);
  network.run(100);
  if (type === update) a.host.rekey(network.nowMs, a.last("established").association);
  if (type === close || type === closeAck) a.host.close(network.nowMs, a.last("established").association);
  network.run(100);
  if (genuine === null || from === null) throw new Error(`no packet of type ${type}`);
  network.middlebox = ({ bytes }) => bytes;
  const succeeds = (): boolean => {
    network.run(2_000);
    if (type === update) return a.of("rekeyed").length === 1 && b.of("rekeyed").length === 1;
    if (type === close) return b.of("closed").length === 1;
    if (type === closeAck) return a.host.sizes.associations === 0;
    return pairMatches(a.last("established"), b.last("established"));
  };
  return { network, to: from === a ? b : a, from, genuine, succeeds };
}

function expectIgnored(type: number, mutant: (genuine: Uint8Array) => Uint8Array | null): boolean {
  const { network, to, from, genuine, succeeds } = before(type);
  const bytes = mutant(genuine);
  if (bytes === null) return false;
  const [state, drops, sent] = [stateOf(to), dropsOf(to), network.wire.length];
  network.deliver(to, bytes, from);
  expect([stateOf(to), dropsOf(to)]).toEqual([state, drops + 1]);
  for (const { bytes: answer } of network.wire.slice(sent)) expect([answer[2], answer.length <= bytes.length]).toEqual([HIP_PACKET.notify, true]);
  network.deliver(to, genuine, from);
  expect(succeeds()).toBe(true);
  return true;
}

for (const [name, type] of [["R1", r1], ["I2", i2], ["R2", r2], ["UPDATE", update], ["CLOSE", close], ["CLOSE_ACK", closeAck]] as const) {
  describe(name, () => {
    for (const how of HOWS) {
      it(`each parameter ${how}`, () => {
        let tried = 0;
        const { genuine } = before(type);
        const count = decodeHipPacket(genuine).parameters.length;
        for (let index = 0; index < count; index++) {
          // An R1 need not have a counter, but its signature covers it like all the rest.
          if (expectIgnored(type, (bytes) => mutatedParameter(bytes, index, how))) tried++;
        }
        expect(tried).toBeGreaterThan(0);
      });
    }

    it("bytes changed", () => {
      const { genuine } = before(type);
      const puzzle = parameter(decodeHipPacket(genuine), PARAMETER.puzzle);
      for (let at = 0; at < genuine.length - 8; at += 11) {
        // Nothing covers the checksum, which UDP does not use, and an R1's #I, which its responder sees through.
        const isFree = at === 4 || at === 5 || (puzzle !== undefined && at >= puzzle.offset + 6 && at < puzzle.offset + 8 + 48);
        if (!isFree) expectIgnored(type, (bytes) => bytes.map((byte, n) => (n === at ? byte ^ 0x10 : byte)));
      }
    });

    it("truncated anywhere", () => {
      const { network, to, from, genuine, succeeds } = before(type);
      const state = stateOf(to);
      for (let length = 0; length < genuine.length; length++) {
        const short = genuine.slice(0, length);
        network.deliver(to, short, from);
        // A length that fits makes it another packet; the MAC of an I2 still costs, so only a few of those.
        if (length >= 40 && length % 8 === 0 && length > genuine.length - 24) {
          short[1] = length / 8 - 1;
          network.deliver(to, short, from);
        }
      }
      expect(stateOf(to)).toBe(state);
      network.deliver(to, genuine, from);
      expect(succeeds()).toBe(true);
    });

    if (type !== r1) {
      it("signed by its host, but with a wrong MAC", () => {
        const mutant = (own: HostIdentity) => (bytes: Uint8Array): Uint8Array => {
          const { header, parameters } = decodeHipPacket(bytes);
          const isMac = (found: ParameterContents): boolean => found.type === PARAMETER.hipMac || found.type === PARAMETER.hipMac2;
          const changed = parameters.filter((found) => found.type < PARAMETER.hipSignature).map((found) => (isMac(found) ? { ...found, contents: found.contents.map((byte, n) => byte ^ (n === 9 ? 1 : 0)) } : found));
          return encodeHipPacket(header, [...changed, signatureOf(own, header, changed, PARAMETER.hipSignature)]);
        };
        const { network, to, from, genuine } = before(type);
        network.deliver(to, mutant(from.env.identity)(genuine), from);
        expect([to.host.counters.drops.mac, dropsOf(to)]).toEqual([1, 1]);
        expectIgnored(type, mutant(from.env.identity));
      });
    }

    it("from or for another HIT", () => {
      const other = identity("ecdsa-p384", 3).hit;
      for (const at of [8, 24]) expectIgnored(type, (bytes) => Uint8Array.from([...bytes.subarray(0, at), ...other, ...bytes.subarray(at + 16)]));
      expectIgnored(type, (bytes) => Uint8Array.from([...bytes.subarray(0, 8), ...bytes.subarray(24, 40), ...bytes.subarray(24)]));
      expectIgnored(type, (bytes) => Uint8Array.from([...bytes.subarray(0, 8), ...new Uint8Array(16), ...bytes.subarray(24)]));
    });
  });
}

describe("R1 that its host signed", () => {
  const own = identity("ecdsa-p256", 1);
  const ofDifficulty = (bits: number): Change => (parameters) => parameters.map((found) => (found.type === PARAMETER.puzzle ? { ...found, contents: Uint8Array.from([bits, ...found.contents.subarray(1)]) } : found));
  const rows: readonly [string, HipDrop, Change][] = [
    ["a puzzle that nobody can solve", "proposal", ofDifficulty(25)],
    ["another group than its list says", "proposal", replaced(PARAMETER.dhGroupList, encodeDhGroupList([8, 7]))],
    ["a group that we did not name", "proposal", replaced(PARAMETER.diffieHellman, encodeDiffieHellman(dhKeyPair(9, (n) => new Uint8Array(n).fill(1))))],
    ["a HOST_ID of somebody else", "hostId", replaced(PARAMETER.hostId, hostIdOf(identity("ecdsa-p256", 0)))],
    ["a HOST_ID that is no key", "hostId", replaced(PARAMETER.hostId, encodeHostId({ algorithm: 7, hi: new Uint8Array(66).fill(1), domainId: null }))],
  ];
  it("is taken when nothing was changed", () => {
    const { network, to, from, genuine, succeeds } = before(r1);
    network.deliver(to, resigned(own, (all) => all)(genuine), from);
    network.deliver(to, resigned(own, replaced(PARAMETER.r1Counter, encodeR1Counter(1n)))(genuine), from);
    expect([to.host.counters.drops.replayed, succeeds()]).toEqual([1, true]);
  });
  for (const [name, drop, change] of rows) {
    it(name, () => {
      expectIgnored(r1, resigned(own, change));
      const { network, to, from, genuine } = before(r1);
      network.deliver(to, resigned(own, change)(genuine), from);
      expect(to.host.counters.drops[drop]).toBe(1);
    });
  }
  const final: readonly [string, Change, RegExp][] = [
    ["HIT suites without ours", replaced(PARAMETER.hitSuiteList, encodeHitSuiteList([1])), /does not take host keys like ours/],
    ["groups without ours", (all) => replaced(PARAMETER.dhGroupList, encodeDhGroupList([9]))(replaced(PARAMETER.diffieHellman, encodeDiffieHellman(dhKeyPair(9, (n) => new Uint8Array(n).fill(1))))(all)), /no common Diffie-Hellman group: the peer has 9/],
    ["ciphers that we do not take", replaced(PARAMETER.hipCipher, encodeHipCipher([1])), /no common HIP cipher/],
    ["another transport", replaced(PARAMETER.transportFormatList, encodeTransportFormatList([2_050])), /does not speak ESP/],
    ["ESP suites that we do not want", replaced(PARAMETER.espTransform, encodeEspTransform([7, 2])), /no common ESP suite: the peer has 7 \(readable, authenticated\), 2/],
  ];
  for (const [name, change, reason] of final) {
    it(`${name}: the call fails at once, with a reason`, () => {
      const { network, to, from, genuine } = before(r1);
      network.deliver(to, resigned(own, change)(genuine), from);
      expect(to.last("failed")).toMatchObject({ code: "incompatible" });
      expect(to.last("failed").reason).toMatch(reason);
      expect(to.host.sizes).toEqual({ attempts: 0, associations: 0 });
    });
  }
  it("with a hard puzzle: the host works at it a little at a time, until the puzzle is over", () => {
    const { network, to, from, genuine } = before(r1);
    network.deliver(to, resigned(own, ofDifficulty(24))(genuine), from);
    const sent = network.wire.length;
    // 10,000 hashes find one of 16 million with a chance of 1 in 1,600.
    for (let turns = 0; turns < 5; turns++) {
      expect(to.host.nextDeadlineMs()).toBe(network.nowMs);
      to.host.tick(network.nowMs);
    }
    expect([network.wire.length, to.host.sizes.attempts]).toEqual([sent, 1]);
    network.nowMs += 32_000;
    to.host.tick(network.nowMs);
    expect(network.types(to).slice(-1)).toEqual([HIP_PACKET.i1]);
    expect(to.host.nextDeadlineMs()).toBeGreaterThan(network.nowMs);
  });
  it("that nobody asked for", () => {
    const { network, to, from, genuine } = before(r1);
    network.run(20_000);
    network.deliver(to, genuine, from);
    expect(to.host.counters.drops.unexpected).toBe(1);
    network.deliver(from, genuine, to);
    expect(from.host.counters.drops.hit).toBe(1);
  });
});

describe("I2 that its host sealed", () => {
  const host = (algorithm: number, hi: Uint8Array): ParameterContents[] => [{ type: PARAMETER.hostId, contents: encodeHostId({ algorithm, hi, domainId: null }) }];
  const info = (keymatIndex: number, oldSpi: number, newSpi: number): Change => replaced(PARAMETER.espInfo, encodeEspInfo({ keymatIndex, oldSpi, newSpi }));
  const dh = (group: number, publicValue: Uint8Array): Change => replaced(PARAMETER.diffieHellman, encodeDiffieHellman({ group, publicValue }));
  const solution = (at: number): Change => (all) => all.map((found) => (found.type === PARAMETER.solution ? { ...found, contents: found.contents.map((byte, n) => (n === at ? byte ^ 1 : byte)) } : found));
  const rows: readonly [string, HipDrop, Change, Parameters<Forger["callWith"]>[1]?][] = [
    ["a group that was not in R1", "proposal", dh(8, new Uint8Array(96)), {}],
    ["a group that does not exist", "proposal", dh(77, new Uint8Array(64))],
    ["a point that is not on the curve", "group", dh(7, new Uint8Array(64).fill(3))],
    ["the point of no length", "group", dh(7, new Uint8Array(0))],
    ["an SPI below 256", "spi", info(160, 0, 255)],
    ["an old SPI", "spi", info(160, 300, 300)],
    ["a KEYMAT index among the HIP keys", "spi", info(32, 0, 300)],
    ["a KEYMAT index beyond its end", "spi", info(65_535, 0, 300)],
    ["the cipher NULL", "proposal", replaced(PARAMETER.hipCipher, encodeHipCipher([1]))],
    ["two ciphers", "proposal", replaced(PARAMETER.hipCipher, encodeHipCipher([4, 2]))],
    ["two ESP suites", "proposal", replaced(PARAMETER.espTransform, encodeEspTransform([13, 9]))],
    ["ESP without encryption where it is wanted", "proposal", replaced(PARAMETER.espTransform, encodeEspTransform([7]))],
    ["another transport", "proposal", replaced(PARAMETER.transportFormatList, encodeTransportFormatList([2_050]))],
    ["ENCRYPTED of noise", "encrypted", (all) => all, { inside: [] }],
    ["a HOST_ID of somebody else", "hostId", (all) => all, { inside: host(7, identity("ecdsa-p256", 1).hi) }],
    ["a HOST_ID of an unknown algorithm", "hostId", (all) => all, { inside: host(13, new Uint8Array(32)) }],
    ["no HOST_ID", "malformed", (all) => all, { inside: [{ type: PARAMETER.i3PrivateId, contents: new Uint8Array(32) }] }],
    ["the signature of another key", "signature", (all) => all, { signer: identity("ecdsa-p256", 1) }],
    ["the puzzle of another path", "stale", solution(4 + 3)],
    ["another difficulty", "stale", solution(0)],
    ["an epoch that never was", "stale", solution(2)],
    ["another generation", "stale", replaced(PARAMETER.r1Counter, encodeR1Counter(99n))],
  ];
  it("is taken when nothing is wrong, with HOST_ID in clear too, and with an R1_COUNTER or without", () => {
    for (const [change, encrypts] of [[(all: ParameterContents[]) => all, true], [without(PARAMETER.r1Counter), false]] as const) {
      const network = new Network();
      const b = network.add("b", identity("ecdsa-p256", 1));
      new Forger(network, b).callWith(change, { encrypts });
      expect(b.last("established").spiOut).toBe(FORGER_SPI);
    }
  });
  for (const [name, drop, change, options] of rows) {
    it(name, () => {
      const network = new Network();
      const b = network.add("b", identity("ecdsa-p256", 1));
      const forger = new Forger(network, b);
      forger.callWith(change, options);
      expect([b.host.counters.drops[drop], dropsOf(b), b.of("established").length, b.host.sizes.associations]).toEqual([1, 1, 0, 0]);
      forger.callWith((all) => all);
      expect(b.of("established")).toHaveLength(1);
    });
  }
  it("a puzzle that is not solved", () => {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 1));
    network.nowMs += 6_000;
    b.host.load(network.nowMs, 0, 4_000);
    new Forger(network, b).callWith(solution(4 + 48 + 3));
    expect([b.host.counters.drops.solution, dropsOf(b)]).toEqual([1, 1]);
  });
});

describe("UPDATE that its host sealed", () => {
  const parameters = (info: ParameterContents, ...more: ParameterContents[]): ParameterContents[] =>
    [info, { type: PARAMETER.seq, contents: encodeSeq(0) }, ...more].sort((a, b) => a.type - b.type);
  const info = (keymatIndex: number, oldSpi: number, newSpi: number): ParameterContents => ({ type: PARAMETER.espInfo, contents: encodeEspInfo({ keymatIndex, oldSpi, newSpi }) });
  const dh = (group: number, publicValue: Uint8Array): ParameterContents => ({ type: PARAMETER.diffieHellman, contents: encodeDiffieHellman({ group, publicValue }) });
  const good = dhKeyPair(7, (n) => new Uint8Array(n).fill(9)).publicValue;
  const rows: readonly [string, HipDrop, ParameterContents[]][] = [
    ["an old SPI that is not in use", "spi", parameters(info(0, 9_999, 5_000), dh(7, good))],
    ["a new SPI that is reserved", "spi", parameters(info(0, FORGER_SPI, 3), dh(7, good))],
    ["another group", "proposal", parameters(info(0, FORGER_SPI, 5_000), dh(8, new Uint8Array(96).fill(1)))],
    ["a point that is not on the curve", "group", parameters(info(0, FORGER_SPI, 5_000), dh(7, new Uint8Array(64).fill(1)))],
    ["a KEYMAT index with a new secret", "spi", parameters(info(500, FORGER_SPI, 5_000), dh(7, good))],
    ["a KEYMAT index beyond the end", "spi", parameters(info(65_000, FORGER_SPI, 5_000))],
    ["neither SEQ nor ACK", "malformed", [info(0, FORGER_SPI, 5_000)]],
    ["an id far ahead", "replayed", [{ type: PARAMETER.seq, contents: encodeSeq(70_000) }]],
    ["a LOCATOR_SET that is none", "malformed", [{ type: PARAMETER.locatorSet, contents: new Uint8Array(9).fill(1) }, { type: PARAMETER.seq, contents: encodeSeq(0) }]],
  ];
  for (const [name, drop, said] of rows) {
    it(name, () => {
      const network = new Network();
      const b = network.add("b", identity("ecdsa-p256", 1));
      const forger = new Forger(network, b);
      forger.callWith((all) => all);
      const sent = network.wire.length;
      forger.say(update, said);
      expect([b.host.counters.drops[drop], dropsOf(b), network.wire.length]).toEqual([1, 1, sent]);
      forger.say(update, parameters(info(0, FORGER_SPI, 5_000), dh(7, good)));
      expect([b.of("inbound").length, network.wire.length]).toEqual([1, sent + 1]);
    });
  }
  it("with a LOCATOR_SET: acknowledged and counted, nothing else yet", () => {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 1));
    const forger = new Forger(network, b);
    forger.callWith((all) => all);
    forger.say(update, [{ type: PARAMETER.locatorSet, contents: new Uint8Array(0) }, { type: PARAMETER.seq, contents: encodeSeq(0) }]);
    expect([b.host.counters.locatorSets, dropsOf(b), network.types().at(-1)]).toEqual([1, 0, update]);
  });
  it("with the signature of another key", () => {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 1));
    const forger = new Forger(network, b);
    forger.callWith((all) => all);
    forger.say(update, parameters(info(0, FORGER_SPI, 5_000), dh(7, good)), identity("ecdsa-p256", 1));
    forger.say(close, [{ type: PARAMETER.echoRequestSigned, contents: new Uint8Array(4) }], identity("ecdsa-p256", 1));
    expect([b.host.counters.drops.signature, b.of("inbound").length, b.of("closed").length]).toEqual([2, 0, 0]);
    forger.say(close, []);
    expect([b.host.counters.drops.malformed, b.of("closed").length]).toEqual([1, 0]);
  });
});

it("a CLOSE_ACK that its host sealed must return what the CLOSE said", () => {
  const network = new Network();
  const b = network.add("b", identity("ecdsa-p256", 1));
  const forger = new Forger(network, b);
  forger.callWith((all) => all);
  const answer = (contents: Uint8Array): void => forger.say(closeAck, [{ type: PARAMETER.echoResponseSigned, contents }]);
  answer(new Uint8Array(16));
  b.host.close(network.nowMs, b.last("established").association);
  answer(new Uint8Array(16));
  expect([b.host.counters.drops.unexpected, b.host.sizes.associations]).toEqual([2, 1]);
  answer(parameter(decodeHipPacket(network.packet(close)), PARAMETER.echoRequestSigned)?.contents as Uint8Array);
  expect(b.host.sizes.associations).toBe(0);
});

it("two SPIs are never the same, whatever the source gives", () => {
  const network = new Network();
  let last = 0;
  const b: Node = network.add("b", identity("ecdsa-p256", 1), { newSpi: () => 300 + (last++ >> 1) });
  for (const n of [0, 2, 3]) network.connect(network.add(`${n}`, identity("ecdsa-p256", n)), b);
  network.run(1_000);
  const spis = b.of("established").map(({ spiIn }) => spiIn);
  expect([spis.length, new Set(spis).size]).toEqual([3, 3]);
  b.host.rekey(network.nowMs, b.last("established").association);
  network.run(1_000);
  expect(new Set([...spis, b.last("rekeyed").spiIn]).size).toBe(4);
});

it("two peers that choose one SPI have an association each, and a rekey of one leaves the other's alone", () => {
  const network = new Network();
  const a = network.add("a", identity("ecdsa-p256", 0));
  const peers = [1, 2].map((n) => {
    let next = 5_000;
    return network.add(`${n}`, identity("ecdsa-p256", n), { newSpi: () => next++ });
  });
  for (const peer of peers) network.connect(a, peer);
  network.run(1_000);
  expect(a.of("established").map(({ spiOut }) => spiOut)).toEqual([5_000, 5_000]);
  for (const [n, peer] of peers.entries()) expect(pairMatches(a.of("established")[n] as never, peer.last("established"))).toBe(true);
  peers[0]?.host.rekey(network.nowMs, peers[0].last("established").association);
  network.run(1_000);
  expect([a.of("rekeyed").map(({ association }) => association), peers[1]?.of("rekeyed")]).toEqual([[a.of("established")[0]?.association], []]);
});

describe("I1", () => {
  const groups: ParameterContents = { type: PARAMETER.dhGroupList, contents: encodeDhGroupList([7]) };
  const back: ParameterContents = { type: PARAMETER.i3ReturnId, contents: new Uint8Array(32).fill(9) };
  /** Parameters as bytes, so that none of the encoder's rules is in the way. */
  const packet = (from: Uint8Array, to: Uint8Array, parameters: readonly ParameterContents[], order: readonly number[] = parameters.map((_, n) => n)): Uint8Array => {
    const pieces = order.map((n) => encodeParameters([parameters[n] as ParameterContents]));
    const body = concatBytes(...pieces);
    const out = concatBytes(encodeHipPacket({ type: HIP_PACKET.i1, version: 2, controls: 0, senderHit: from, receiverHit: to }, []), body);
    out[1] = out.length / 8 - 1;
    return out;
  };
  const [own, peer] = [identity("ecdsa-p256", 0), identity("ecdsa-p256", 1)];
  const edited = (bytes: Uint8Array, at: number, value: number): Uint8Array => bytes.map((byte, n) => (n === at ? value : byte));
  const good = packet(peer.hit, own.hit, [groups]);
  const rows: readonly [string, HipDrop, Uint8Array, HipPath["kind"]][] = [
    ["without DH_GROUP_LIST", "malformed", packet(peer.hit, own.hit, []), "udp"],
    ["an empty DH_GROUP_LIST", "malformed", packet(peer.hit, own.hit, [{ ...groups, contents: new Uint8Array(0) }]), "udp"],
    ["DH_GROUP_LIST twice", "malformed", packet(peer.hit, own.hit, [groups, groups]), "udp"],
    ["DH_GROUP_LIST longer than the packet", "malformed", edited(good, 43, 200), "udp"],
    ["cut off in DH_GROUP_LIST", "malformed", good.slice(0, 44), "udp"],
    ["parameters out of order", "malformed", packet(peer.hit, own.hit, [groups, back], [1, 0]), "i3"],
    ["an unknown critical parameter", "malformed", packet(peer.hit, own.hit, [groups, { type: 601, contents: new Uint8Array(4) }]), "udp"],
    ["the return id twice", "malformed", packet(peer.hit, own.hit, [groups, back, back]), "i3"],
    ["a return id of 31 bytes", "malformed", packet(peer.hit, own.hit, [groups, { ...back, contents: new Uint8Array(31) }]), "i3"],
    ["over i3 without a return id", "amplification", good, "i3"],
    ["over i3, shorter than the R1", "amplification", packet(peer.hit, own.hit, [groups, back]), "i3"],
    ["for another HIT", "hit", packet(peer.hit, identity("ecdsa-p256", 2).hit, [groups]), "udp"],
    ["for no HIT, where that is not answered", "hit", packet(peer.hit, new Uint8Array(16), [groups]), "udp"],
    ["from ourselves", "hit", packet(own.hit, own.hit, [groups]), "udp"],
    ["from a HIT of no suite", "hit", packet(Uint8Array.from(peer.hit, (byte, n) => (n === 3 ? 0x2f : byte)), own.hit, [groups]), "udp"],
    ["from an address that is no HIT", "hit", packet(new Uint8Array(16).fill(1), own.hit, [groups]), "udp"],
  ];
  it.each(rows)("%s: dropped as %s, with no answer and nothing kept", (_, drop, bytes, kind) => {
    const network = new Network();
    const a = network.add("a", own, { ownPublicId: publicId(own.hit) });
    const b = network.add("b", peer);
    const from: HipPath = kind === "i3" ? { kind: "i3", id: publicId(own.hit) } : { kind: "udp", locator: b.locator };
    network.deliver(a, good, b);
    expect([network.types(a), dropsOf(a)]).toEqual([[r1], 0]);
    network.deliver(a, bytes, from);
    expect([a.host.counters.drops[drop], dropsOf(a), network.types(a), a.host.sizes]).toEqual([1, 1, [r1], { attempts: 0, associations: 0 }]);
  });
  it("with more groups than are read, or unknown parameters that are not critical, is answered", () => {
    const network = new Network();
    const [a, b] = [network.add("a", own), network.add("b", peer)];
    network.deliver(a, packet(peer.hit, own.hit, [{ ...groups, contents: Uint8Array.from({ length: 40 }, (_, n) => n + 1) }]), b);
    network.deliver(a, packet(peer.hit, own.hit, [groups, { type: 600, contents: new Uint8Array(4) }]), b);
    expect([network.types(a), dropsOf(a)]).toEqual([[r1, r1], 0]);
  });
});

/** Packets above a flow's MTU: "too big", fragments, and the MSS option (docs/datapath.md, "MTU"). */
import { describe, expect, it } from "vitest";
import { OWN, OWN6, PEER, PEER6, REMOTE, NULL, inbound, makeReceiver, makeSender, outbound, SPI, espFlow } from "./associations.js";
import { Harness, dataPacket } from "./harness.js";
import { be16, be32, bytes, concat, data, fullChecksum, icmp, ip4Packet, ip6Packet, makeId, packet, sealTransport, udp } from "./packets.js";

const MTU = 1_300;
const HEADER = dataPacket({ ids: [makeId(7, 3)] });
const DF = 0x4000;
const MF = 0x2000;

/** A host with plain flows of that MTU in both families. */
function host(mtu = MTU): Harness {
  const harness = new Harness({ slots: 128, slotBytes: 70_000 });
  harness.engine.setDefaultServer(REMOTE);
  harness.engine.setFlow(PEER, { action: "tunnel", header: HEADER, source: OWN, mtu });
  harness.engine.setFlow(PEER6, { action: "tunnel", header: HEADER, source: OWN6, mtu });
  return harness;
}

const udp4 = (length: number, fragment = 0, more: { options?: Uint8Array; trafficClass?: number } = {}): Uint8Array =>
  ip4Packet({ source: OWN, destination: PEER, protocol: 17, fragment, ...more }, sealTransport(OWN, PEER, 17, udp(data(length - 28 - (more.options?.length ?? 0)))));
const udp6 = (length: number): Uint8Array => packet(OWN6, PEER6, 17, udp(data(length - 48)));

describe("too big", () => {
  it.each([576, 1_300, 9_000])("IPv4 with DF, MTU %i: fragmentation needed, with the MTU", (mtu) => {
    const offending = udp4(mtu + 1, DF);
    const harness = host(mtu);
    const { tun, udp: sent, drops } = harness.fromTun(offending);
    expect([sent, drops]).toEqual([[], { "too-big": 1 }]);
    expect(tun[0]?.subarray(12, 20)).toEqual(concat(PEER, OWN));
    expect(tun[0]?.subarray(20, 22)).toEqual(bytes(3, 4));
    expect(tun[0]?.subarray(24, 28)).toEqual(be32(mtu));
    expect(tun[0]?.subarray(28)).toEqual(offending.subarray(0, 548));
    expect(fullChecksum(tun[0]?.subarray(20) ?? bytes())).toBe(0);
    expect(harness.engine.flowCounters(PEER)?.packetsOut).toBe(0);
    expect(harness.engine.lastUse(PEER)).toBe(1_000);
    expect(harness.fromTun(udp4(mtu, DF)).udp).toHaveLength(1);
  });

  it.each([1_280, 1_300, 65_534])("IPv6, MTU %i: packet too big", (mtu) => {
    const offending = udp6(mtu + 1);
    const { tun, udp: sent, drops } = host(mtu).fromTun(offending);
    expect([sent, drops]).toEqual([[], { "too-big": 1 }]);
    expect(tun[0]?.subarray(8, 40)).toEqual(concat(PEER6, OWN6));
    expect(tun[0]?.subarray(40, 42)).toEqual(bytes(2, 0));
    expect(tun[0]?.subarray(44, 48)).toEqual(be32(mtu));
    expect(tun[0]?.subarray(48)).toEqual(offending.subarray(0, 1_232));
    const pseudo = concat(PEER6, OWN6, bytes(0, 0), be16(1_240), bytes(0, 0, 0, 58));
    expect(fullChecksum(pseudo, tun[0]?.subarray(40) ?? bytes())).toBe(0);
    expect(host(mtu).fromTun(udp6(Math.min(mtu, 60_000))).udp).toHaveLength(1);
  });

  it("IPv6, MTU 1,100: what every link carries passes, and is what programs are told", () => {
    const sent = host(1_100).fromTun(udp6(1_280));
    expect([sent.udp.length, sent.drops]).toEqual([1, {}]);
    const { tun, drops } = host(1_100).fromTun(udp6(1_281));
    expect([tun[0]?.subarray(44, 48), drops]).toEqual([be32(1_280), { "too-big": 1 }]);
  });

  it.each<readonly [string, Uint8Array, number]>([
    ["an ICMP error is not answered", packet(OWN, PEER, 1, icmp(3, 1, data(1_400))).fill(DF >> 8, 6, 7), 0],
    ["a later fragment is not answered", udp4(1_400, DF | 4), 0],
    ["a packet of another source is not of this flow", ip4Packet({ source: PEER, destination: PEER, protocol: 17, fragment: DF }, data(1_400)), -1],
    ["options without DF: not cut, and not answered", udp4(1_400, 0, { options: bytes(1, 1, 1, 1) }), 0],
    ["options with DF", udp4(1_400, DF, { options: bytes(1, 1, 1, 1) }), 1],
    ["a fragment whose pieces would end above 65,535", ip4Packet({ source: OWN, destination: PEER, protocol: 17, fragment: 8_191 }, data(1_400)), 0],
  ])("%s", (_, offending, answers) => {
    const { tun, drops, udp: sent } = host().fromTun(offending);
    expect([sent, drops]).toEqual([[], answers < 0 ? { "inner-address": 1 } : { "too-big": 1 }]);
    expect(tun).toHaveLength(Math.max(answers, 0));
  });

  it("errors of both kinds share one limit", () => {
    const harness = new Harness({ slots: 1_200, slotBytes: 2_000 });
    harness.engine.setFlow(PEER, espFlow({ mtu: 576 }));
    const unknown = packet(OWN, PEER6.subarray(0, 4), 17, udp(data(1)));
    const step = harness.fromTun(...Array.from({ length: 1_100 }, (_, i) => (i % 2 === 0 ? udp4(600, DF) : unknown)));
    expect(step.tun).toHaveLength(1_000);
  });
});

interface Fragment {
  readonly at: number;
  readonly more: boolean;
  readonly bytes: Uint8Array;
}

/** Puts fragments together (RFC 815's result, without its algorithm): the header of the first, the pieces at their places. */
function reassemble(fragments: readonly Uint8Array[]): Uint8Array {
  const parts = fragments.map((fragment): Fragment => {
    const word = (fragment[6] ?? 0) * 256 + (fragment[7] ?? 0);
    expect(fullChecksum(fragment.subarray(0, 20))).toBe(0);
    expect((fragment[2] ?? 0) * 256 + (fragment[3] ?? 0)).toBe(fragment.length);
    return { at: (word & 0x1fff) * 8, more: (word & MF) !== 0, bytes: fragment.subarray(20) };
  });
  const last = parts.find(({ more }) => !more);
  const payload = new Uint8Array((last?.at ?? 0) + (last?.bytes.length ?? 0));
  const covered = new Uint8Array(payload.length);
  for (const { at, bytes: piece } of parts) {
    payload.set(piece, at);
    for (let i = at; i < at + piece.length; i++) covered[i] = (covered[i] ?? 0) + 1;
  }
  expect(covered.every((times) => times === 1)).toBe(true);
  const header = fragments[0]?.slice(0, 20) ?? bytes();
  header.set(be16(20 + payload.length), 2);
  header.set([(header[6] ?? 0) & 0xc0, 0, 0, 0], 6);
  header[8] = fragments[0]?.[8] ?? 0;
  header[9] = fragments[0]?.[9] ?? 0;
  header.set([0, 0], 10);
  header.set(be16(fullChecksum(header)), 10);
  return concat(header, payload);
}

describe("fragments", () => {
  it.each([[576, 577], [576, 3_000], [577, 3_000], [583, 3_000], [584, 3_000], [1_300, 1_301], [1_300, 65_535], [64_999, 65_400]])(
    "MTU %i: a packet of %i bytes comes together again",
    (mtu, length) => {
      const whole = udp4(length, 0, { trafficClass: 0xb8 });
      const harness = host(mtu);
      const { udp: sent, drops, tun } = harness.fromTun(whole);
      const fragments = sent.map((datagram) => datagram.bytes.subarray(HEADER.length));
      expect([drops, tun]).toEqual([{}, []]);
      const pieceBytes = Math.floor((mtu - 20) / 8) * 8;
      expect(fragments.length).toBe(length <= mtu ? 1 : Math.ceil((length - 20) / pieceBytes));
      for (const fragment of fragments) {
        expect(fragment.length).toBeLessThanOrEqual(mtu);
        expect([fragment[1], ...fragment.subarray(4, 6)]).toEqual([0xb8, 0x12, 0x34]);
      }
      expect(reassemble(fragments)).toEqual(whole);
      const bytesOut = fragments.reduce((sum, fragment) => sum + fragment.length, 0);
      expect(harness.engine.flowCounters(PEER)).toEqual({ packetsOut: fragments.length, bytesOut, packetsIn: 0, bytesIn: 0, answersOut: fragments.length - 1 });
    },
  );

  it("of a fragment: offsets from its own, MF of the last piece as it was", () => {
    const payload = data(1_600);
    const pieces = (fragment: number): readonly number[][] =>
      host(1_300).fromTun(ip4Packet({ source: OWN, destination: PEER, protocol: 17, fragment }, payload)).udp.map(({ bytes: sent }) => [...sent.subarray(HEADER.length + 6, HEADER.length + 8)]);
    const word = (value: number): number[] => [value >> 8, value & 0xff];
    expect(pieces(MF | 10)).toEqual([word(MF | 10), word(MF | 170)]);
    expect(pieces(10)).toEqual([word(MF | 10), word(170)]);
    expect(pieces(0x8000)).toEqual([word(0x8000 | MF), word(0x8000 | 160)]);
  });

  it("a partial checksum is completed before", () => {
    const whole = udp4(3_000);
    const pseudo = 0xffff - fullChecksum(OWN, PEER, bytes(0, 17), be16(2_980));
    const { udp: sent } = host(576).step([concat(whole.subarray(0, 26), be16(pseudo), whole.subarray(28))], [], [1]);
    expect(reassemble(sent.map((datagram) => datagram.bytes.subarray(HEADER.length)))).toEqual(whole);
  });

  it("go through ESP one by one, in tunnel mode, complete, with a number each", () => {
    const sender = makeSender({ transform: NULL, checksumState: true }, 576);
    const receiver = makeReceiver({ transform: NULL, checksumState: true });
    const whole = udp4(1_500);
    const { udp: sent } = sender.step([whole], [], [2]);
    expect(sent.map(({ bytes: esp }) => [esp[7], esp.at(-17)])).toEqual([[1, 4], [2, 4], [3, 4]]);
    expect(reassemble(receiver.step([], sent.map(({ bytes: esp }) => ({ from: REMOTE, bytes: esp }))).tun)).toEqual(whole);
    expect(receiver.tunStates).toEqual([0, 0, 0]);
  });

  it("one that finds no room does not stop the rest", () => {
    const harness = new Harness({ slots: 8, slotBytes: 500 });
    harness.engine.setOutboundAssociation(1, outbound());
    harness.engine.setFlow(PEER, espFlow({ mtu: 576 }));
    const { udp: sent, drops } = harness.fromTun(udp4(20 + 552 + 100));
    expect([sent.length, drops]).toEqual([1, { "too-big": 1 }]);
    expect(harness.engine.nextSequence(1)).toBe(2n);
  });
});

const SYN = 0x02;
const tcpWith = (flags: number, options: Uint8Array, payload = bytes()): Uint8Array =>
  concat(be16(40_000), be16(80), be32(1), be32(2), bytes(((20 + options.length) / 4) << 4, flags), be16(1_000), be16(0), be16(0), options, payload);
const mss = (value: number): Uint8Array => concat(bytes(2, 4), be16(value));
const WINDOW = bytes(3, 3, 7);

describe("the MSS option", () => {
  /** Options before and after, for MTU 1,300: 1,260 over IPv4. */
  const rows: readonly (readonly [string, number, Uint8Array, Uint8Array])[] = [
    ["of a SYN", SYN, mss(1_460), mss(1_260)],
    ["of a SYN and ACK", 0x12, mss(1_460), mss(1_260)],
    ["one above", SYN, mss(1_261), mss(1_260)],
    ["the limit itself", SYN, mss(1_260), mss(1_260)],
    ["below", SYN, mss(536), mss(536)],
    ["65,535", SYN, mss(65_535), mss(1_260)],
    ["0", SYN, mss(0), mss(0)],
    ["without SYN", 0x10, mss(1_460), mss(1_460)],
    ["at an odd offset", SYN, concat(bytes(1), mss(1_460), WINDOW), concat(bytes(1), mss(1_260), WINDOW)],
    ["behind others", SYN, concat(WINDOW, bytes(1), mss(9_000)), concat(WINDOW, bytes(1), mss(1_260))],
    ["behind the end of options", SYN, concat(bytes(0, 0, 0, 0), mss(9_000)), concat(bytes(0, 0, 0, 0), mss(9_000))],
    ["behind one of length 0", SYN, concat(bytes(3, 0, 1, 1), mss(9_000)), concat(bytes(3, 0, 1, 1), mss(9_000))],
    ["behind one of length 1", SYN, concat(bytes(3, 1, 1, 1), mss(9_000)), concat(bytes(3, 1, 1, 1), mss(9_000))],
    ["behind one beyond the header", SYN, concat(bytes(3, 9, 1, 1), mss(9_000)), concat(bytes(3, 9, 1, 1), mss(9_000))],
    ["of length 3", SYN, concat(bytes(2, 3, 0xff), bytes(1)), concat(bytes(2, 3, 0xff), bytes(1))],
    ["cut by the end of the header", SYN, bytes(1, 1, 2, 4), bytes(1, 1, 2, 4)],
    ["the first of two", SYN, concat(mss(1_460), mss(1_460)), concat(mss(1_260), mss(1_460))],
    ["no option", SYN, bytes(), bytes()],
  ];

  it.each(rows)("%s: IPv4, sent and received, by all checksum states", (_, flags, before, after) => {
    const make = (options: Uint8Array): Uint8Array => packet(OWN, PEER, 6, tcpWith(flags, options, data(5)));
    expect(host().fromTun(make(before)).udp[0]?.bytes).toEqual(concat(HEADER, make(after)));
    const withPartial = (whole: Uint8Array): Uint8Array => concat(whole.subarray(0, 36), be16(0x1234), whole.subarray(38));
    const sender = makeSender({ transform: NULL, checksumState: true }, MTU);
    const [kept] = sender.step([withPartial(make(before))], [], [1]).udp;
    const receiver = makeReceiver({ transform: NULL, checksumState: true });
    expect(receiver.fromUdp(REMOTE, kept?.bytes ?? bytes()).tun).toEqual([withPartial(make(after))]);
    expect(receiver.tunStates).toEqual([1]);
    for (const [arrival, expected, state] of [[make(before), make(after), 2], [withPartial(make(before)), withPartial(make(after)), 1]] as const) {
      const clamping = makeReceiver({ transform: NULL, checksumState: true, flow: PEER });
      clamping.engine.setFlow(PEER, espFlow({ mtu: MTU }));
      const [sent] = makeSender({ transform: NULL, checksumState: true }).step([arrival], [], [state]).udp;
      expect(clamping.fromUdp(REMOTE, sent?.bytes ?? bytes()).tun).toEqual([expected]);
      expect(clamping.tunStates).toEqual([state]);
    }
  });

  it("a partial one is completed with the lower value in it", () => {
    const make = (value: number): Uint8Array => packet(OWN, PEER, 6, tcpWith(SYN, concat(bytes(1), mss(value), WINDOW)));
    const pseudo = 0xffff - fullChecksum(OWN, PEER, bytes(0, 6), be16(28));
    const before = make(1_460);
    const { udp: sent } = host().step([concat(before.subarray(0, 36), be16(pseudo), before.subarray(38))], [], [1]);
    expect(sent[0]?.bytes).toEqual(concat(HEADER, make(1_260)));
  });

  it("IPv6: 60 below, behind extension headers", () => {
    const make = (value: number): Uint8Array => ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 60 }, concat(bytes(6, 0, 1, 4, 0, 0, 0, 0), sealTransport(OWN6, PEER6, 6, tcpWith(SYN, mss(value)))));
    expect(host().fromTun(make(1_460)).udp[0]?.bytes).toEqual(concat(HEADER, make(1_240)));
    expect(host(1_100).fromTun(make(1_220)).udp[0]?.bytes).toEqual(concat(HEADER, make(1_040)));
  });

  it.each<readonly [string, Uint8Array]>([
    ["a later fragment", ip4Packet({ source: OWN, destination: PEER, protocol: 6, fragment: 2 }, tcpWith(SYN, mss(1_460)))],
    ["a header that is cut off", ip4Packet({ source: OWN, destination: PEER, protocol: 6 }, tcpWith(SYN, concat(mss(1_460), bytes(1, 1, 1, 1))).subarray(0, 26))],
    ["another protocol", ip4Packet({ source: OWN, destination: PEER, protocol: 17 }, tcpWith(SYN, mss(1_460)))],
  ])("%s is left alone", (_, inner) => {
    expect(host().fromTun(inner).udp[0]?.bytes).toEqual(concat(HEADER, inner));
  });

  it("a flow without an MTU leaves it, and so does a flow that is gone", () => {
    const syn = packet(OWN, PEER, 6, tcpWith(SYN, mss(9_000)));
    const [sent] = makeSender().fromTun(syn).udp;
    const receiver = makeReceiver();
    receiver.engine.setFlow(OWN, null);
    expect(receiver.fromUdp(REMOTE, sent?.bytes ?? bytes()).tun).toEqual([syn]);
    receiver.engine.setInboundAssociation(SPI, inbound());
    expect(receiver.engine.flowCounters(OWN)).toBeUndefined();
  });
});

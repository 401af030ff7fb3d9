/** ESP through the engine: BEET or tunnel mode, padding, sequence numbers, associations and their keys (docs/wire.md §7, docs/datapath.md). */
import { makeLocator } from "@i3/common";
import { describe, expect, it } from "vitest";
import { MAX_SPI, MIN_RECEIVER_SPI, MIN_SPI, type Flow, type InboundAssociation, type OutboundAssociation } from "../../src/datapath.js";
import { InboundAssociations, OutboundAssociations } from "../../src/reference/association-table.js";
import { makeCipher } from "../../src/reference/esp-transforms.js";
import { CBC, CBC_128, GCM, NULL, OWN, OWN6, PEER, PEER6, REMOTE, SPI, espFlow, inbound, makeReceiver, makeSender, outbound } from "./associations.js";
import { Harness, NONCE, dataPacket, locator, type Outcome } from "./harness.js";
import { be16, bytes, concat, data, icmp, ip4, ip4Packet, ip6Packet, makeId, packet, sealTransport, tcp, udp } from "./packets.js";

const DF = 0x4000;
const make4 = (more: Partial<Parameters<typeof ip4Packet>[0]> = {}, payload = sealTransport(OWN, PEER, 17, udp(data(11)))): Uint8Array =>
  ip4Packet({ source: OWN, destination: PEER, protocol: 17, fragment: DF, identification: 0, ...more }, payload);
const make6 = (more: Partial<Parameters<typeof ip6Packet>[0]> = {}, payload = sealTransport(OWN6, PEER6, 17, udp(data(11)))): Uint8Array =>
  ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 17, ...more }, payload);

/** The text of what a sender with the NULL transform made. */
const textOf = (outcome: Outcome): Uint8Array => outcome.udp[0]?.bytes.subarray(8, -16) ?? bytes();
const nextHeaderOf = (outcome: Outcome): number | undefined => textOf(outcome).at(-1);

/** An ESP packet of the NULL transform. */
function sealNull(sequence: number, text: Uint8Array): Uint8Array {
  const out = Buffer.concat([bytes(0x20, 0, 0, 1, 0, 0, 0, sequence), text, new Uint8Array(16)]);
  makeCipher(NULL).seal(out, BigInt(sequence));
  return Uint8Array.from(out);
}

describe("which packets go without their header", () => {
  const changed = (at: number, value: number): Uint8Array => {
    const out = make4();
    out[at] = value;
    return out;
  };
  it.each<readonly [string, Uint8Array, number]>([
    ["DF, TTL 64", make4(), 17],
    ["TCP", make4({ protocol: 6 }, sealTransport(OWN, PEER, 6, tcp(data(3)))), 6],
    ["ICMP", make4({ protocol: 1 }, icmp(8, 0, data(8))), 1],
    ["another identification", make4({ identification: 7 }), 17],
    ["any traffic class", make4({ trafficClass: 0xff }), 17],
    ["no payload at all", make4({}, bytes()), 17],
    ["protocol 50", make4({ protocol: 50 }), 50],
    ["TTL 63", make4({ ttl: 63 }), 4],
    ["TTL 65", make4({ ttl: 65 }), 4],
    ["options", make4({ options: bytes(1, 1, 1, 0) }), 4],
    ["no DF", make4({ fragment: 0 }), 4],
    ["DF and MF", make4({ fragment: 0x6000 }), 4],
    ["DF and an offset", make4({ fragment: DF | 1 }), 4],
    ["the reserved bit", changed(6, 0xc0), 4],
    ...[0, 4, 41, 43, 44, 59, 60].map((protocol) => [`protocol ${protocol}`, make4({ protocol }), 4] as const),
    ["IPv6, where IPv4 may", make6(), 41],
  ])("IPv4: %s", (_, inner, nextHeader) => {
    expect(nextHeaderOf(makeSender({ transform: NULL }).fromTun(inner))).toBe(nextHeader);
    expect(nextHeaderOf(makeSender({ transform: NULL, beet: null }).fromTun(inner))).toBe((inner[0] ?? 0) >> 4 === 4 ? 4 : 41);
  });

  it.each<readonly [string, Uint8Array, number]>([
    ["hop limit 64", make6(), 17],
    ["any traffic class", make6({ trafficClass: 0xff }), 17],
    ["hop limit 63", make6({ hopLimit: 63 }), 41],
    ...[0, 4, 41, 43, 44, 59, 60].map((nextHeader) => [`next header ${nextHeader}`, make6({ nextHeader }, concat(bytes(17, 0, 0, 0, 0, 0, 0, 0), udp(data(9)))), 41] as const),
    ["IPv4, where IPv6 may", make4(), 4],
  ])("IPv6: %s", (_, inner, nextHeader) => {
    expect(nextHeaderOf(makeSender({ transform: NULL, beet: 6 }).fromTun(inner))).toBe(nextHeader);
  });

  const DSCP_ECT = 0xba;
  it.each<readonly [string, 4 | 6 | null, Uint8Array]>([
    ["BEET IPv4", 4, make4({ trafficClass: DSCP_ECT })],
    ["BEET IPv6", 6, make6({ trafficClass: DSCP_ECT })],
    ["tunnel mode IPv4", 6, make4({ trafficClass: DSCP_ECT, identification: 99, ttl: 3 })],
    ["tunnel mode IPv6", 4, make6({ trafficClass: DSCP_ECT, hopLimit: 2 })],
    ["without payload", 4, make4({ trafficClass: DSCP_ECT }, bytes())],
  ])("%s arrives as it was sent, by every transform", (_, beet, inner) => {
    for (const transform of [GCM, NULL, CBC, CBC_128]) {
      const sender = makeSender({ transform, beet });
      const receiver = makeReceiver({ transform, beet });
      const sent = sender.fromTun(inner, inner).udp;
      expect(sender.udpClasses).toEqual([DSCP_ECT, DSCP_ECT]);
      const { tun, drops } = receiver.step([], sent.map((datagram) => ({ from: REMOTE, bytes: datagram.bytes, trafficClass: DSCP_ECT })));
      expect([tun, drops]).toEqual([[inner, inner], {}]);
      expect(receiver.engine.flowCounters(OWN)).toEqual({ packetsOut: 0, bytesOut: 0, packetsIn: 2, bytesIn: 2 * inner.length, answersOut: 0 });
      expect(receiver.engine.lastUse(OWN)).toBe(1_000);
    }
  });

  it("BEET takes DSCP and ECN from outside, and the addresses are rewritten", () => {
    const receiver = makeReceiver({ source4: { from: OWN, to: ip4("10.9.8.7") } });
    const [sent] = makeSender().fromTun(make4()).udp;
    const { tun } = receiver.step([], [{ from: REMOTE, bytes: sent?.bytes ?? bytes(), trafficClass: 0x03 }]);
    const source = ip4("10.9.8.7");
    expect(tun).toEqual([make4({ source, trafficClass: 0x03 }, sealTransport(source, PEER, 17, udp(data(11))))]);
  });
});

describe("what is inside", () => {
  const trailer = (next: number, padding = 0): Uint8Array => concat(data(padding), bytes(padding, next));
  it.each<readonly [string, Uint8Array, Partial<InboundAssociation>, object]>([
    ["a dummy", concat(data(9), trailer(59)), {}, {}],
    ["a pad length above all there is", bytes(1, 17), {}, { "inner-malformed": 1 }],
    ["padding and nothing else, IPv4", trailer(4, 2), {}, { "inner-malformed": 1 }],
    ["IPv4 that says IPv6", concat(make4(), trailer(41)), {}, { "inner-malformed": 1 }],
    ["IPv6 that says IPv4", concat(make6(), trailer(4)), {}, { "inner-malformed": 1 }],
    ["tunnel mode, cut off", concat(make4().subarray(0, 30), trailer(4)), {}, { "inner-malformed": 1 }],
    ["tunnel mode, another's address", concat(make4({ source: PEER }), trailer(4)), {}, { "inner-address": 1 }],
    ["tunnel mode, a source route", concat(make4({ options: bytes(0x83, 3, 4, 0) }), trailer(4)), {}, { "inner-malformed": 1 }],
    ["BEET without leave", concat(udp(data(3)), trailer(17)), { beet: null }, { "inner-malformed": 1 }],
    ...[0, 43, 44, 60].map((next) => [`BEET, next header ${next}`, concat(data(16), trailer(next)), { beet: 6 }, { "inner-malformed": 1 }] as const),
    ["BEET, next header 60 and no plan", concat(data(16), trailer(60)), { source4: null }, { "inner-malformed": 1 }],
    ["BEET without a plan", concat(udp(data(3)), trailer(17)), { destination4: null }, { "inner-address": 1 }],
    ["BEET, 65,535 bytes", concat(new Uint8Array(65_515), trailer(99)), {}, {}],
    ["BEET, too long", concat(new Uint8Array(65_516), trailer(99)), {}, { "inner-malformed": 1 }],
    ["BEET IPv6, too long", concat(new Uint8Array(65_496), trailer(99)), { beet: 6 }, { "inner-malformed": 1 }],
  ])("%s; its number is used up", (_, text, more, drops) => {
    const receiver = makeReceiver({ transform: NULL, ...more });
    const arrival = sealNull(1, text);
    const outcome = receiver.fromUdp(REMOTE, arrival);
    expect(outcome.drops).toEqual(drops);
    expect(receiver.fromUdp(REMOTE, arrival)).toEqual({ tun: [], udp: [], upcalls: [], drops: { replay: 1 } });
  });

  it("what follows the packet in tunnel mode is cut off (RFC 4303 §2.7)", () => {
    expect(makeReceiver({ transform: NULL }).fromUdp(REMOTE, sealNull(1, concat(make4(), data(50), trailer(4)))).tun).toEqual([make4()]);
  });

  it("is found behind a header for any id of ours, with the outer class of the datagram", () => {
    const receiver = makeReceiver({ transform: NULL });
    receiver.engine.setInbound(makeId(5, 1), { action: "upcall" });
    const arrival = { from: REMOTE, bytes: dataPacket({ ids: [makeId(5, 1)], payloadKind: 4 }, sealNull(1, concat(udp(data(3)), trailer(17)))), trafficClass: 0x41 };
    expect(receiver.step([], [arrival]).tun.map((inner) => inner[1])).toEqual([0x41]);
    expect(receiver.fromUdp(REMOTE, dataPacket({ ids: [makeId(5, 1)], payloadKind: 4 }, data(7))).drops).toEqual({ malformed: 1 });
  });
});

describe("checksum states in the padding", () => {
  const partial = (message: Uint8Array, value: number): Uint8Array => concat(message.subarray(0, 6), be16(value), message.subarray(8));
  const inner = (length: number): Uint8Array => make4({}, partial(udp(data(length)), 0x1234));

  it.each([[NULL, 4], [CBC, 16]] as const)("%o: each length and state, and the least padding", (transform, block) => {
    for (const state of [0, 1, 2]) {
      for (let length = 0; length < 20; length++) {
        const sender = makeSender({ transform, checksumState: true });
        const [sent] = sender.step([inner(length)], [], [state]).udp;
        const ivBytes = transform === CBC ? 16 : 0;
        const textBytes = (sent?.bytes.length ?? 0) - 8 - ivBytes - 16;
        expect(textBytes).toBe(Math.ceil((8 + length + 2) / block) * block + state * block);
        const receiver = makeReceiver({ transform, checksumState: true });
        expect(receiver.fromUdp(REMOTE, sent?.bytes ?? bytes()).tun).toEqual([inner(length)]);
        expect(receiver.tunStates).toEqual([state]);
        const ignorant = makeReceiver({ transform });
        ignorant.fromUdp(REMOTE, sent?.bytes ?? bytes());
        expect(ignorant.tunStates).toEqual([0]);
      }
    }
  });

  it("counts up 1 2 3 … through the longer padding", () => {
    const outcome = makeSender({ transform: NULL, checksumState: true }).step([inner(1)], [], [2]);
    expect(textOf(outcome).subarray(9)).toEqual(bytes(1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 17));
  });

  it.each<readonly [string, number, number]>([
    ["more than 2", 12, 0],
    ["not a multiple", 5, 0],
    ["2", 8, 2],
    ["1", 4, 1],
  ])("padding that says %s", (_, extra, state) => {
    const receiver = makeReceiver({ transform: NULL, checksumState: true });
    // 10 bytes and two: the least padding is none.
    receiver.fromUdp(REMOTE, sealNull(1, concat(udp(data(2)), data(extra), bytes(extra, 17))));
    expect(receiver.tunStates).toEqual([state]);
  });

  it("partial is complete where there is no whole checksum of TCP or UDP", () => {
    for (const [protocol, payloadBytes, state] of [[17, 7, 0], [17, 8, 1], [6, 17, 0], [6, 18, 1], [1, 20, 0], [132, 20, 0]] as const) {
      const receiver = makeReceiver({ transform: NULL, checksumState: true });
      const least = (4 - ((payloadBytes + 2) % 4)) % 4;
      receiver.fromUdp(REMOTE, sealNull(1, concat(data(payloadBytes), data(least + 4), bytes(least + 4, protocol))));
      expect([protocol, payloadBytes, receiver.tunStates]).toEqual([protocol, payloadBytes, [state]]);
    }
  });
});

describe("sequence numbers", () => {
  it("rise by one; after 2^64 - 1 nothing is sent", () => {
    const sender = makeSender({ transform: NULL, firstSequence: (1n << 64n) - 2n });
    const { udp: sent, drops } = sender.fromTun(make4(), make4(), make4());
    expect(sent.map((datagram) => [...datagram.bytes.subarray(4, 8)])).toEqual([[255, 255, 255, 254], [255, 255, 255, 255]]);
    expect(drops).toEqual({ sequence: 1 });
    expect(sender.engine.nextSequence(1)).toBe(1n << 64n);
    sender.engine.setOutboundAssociation(1, outbound({ transform: NULL }));
    expect(sender.fromTun(make4()).drops).toEqual({ sequence: 1 });
    expect(sender.engine.flowCounters(PEER)).toEqual({ packetsOut: 2, bytesOut: 2 * make4().length, packetsIn: 0, bytesIn: 0, answersOut: 0 });
  });

  it("are not taken by packets that find no room", () => {
    const sender = new Harness({ slots: 4, slotBytes: 60 });
    sender.engine.setOutboundAssociation(1, outbound());
    sender.engine.setFlow(PEER, espFlow());
    expect(sender.fromTun(make4({}, data(100))).drops).toEqual({ "too-big": 1 });
    expect(sender.engine.nextSequence(1)).toBe(1n);
    expect(sender.engine.flowCounters(PEER)?.packetsOut).toBe(0);
  });

  it.each<readonly [string, Partial<OutboundAssociation>, bigint]>([
    ["nothing else", {}, 3n],
    ["BEET and the checksum's state", { beet: 6, checksumState: true }, 3n],
    ["a lower first number", { firstSequence: 2n }, 3n],
    ["a higher first number", { firstSequence: 9n }, 9n],
    ["another SPI", { spi: SPI + 1 }, 3n],
    ["one bit of the key", { transform: { ...GCM, key: new Uint8Array(32).fill(1) } }, 1n],
    ["the salt", { transform: { ...GCM, salt: bytes(1, 2, 3, 4) } }, 1n],
    ["the transform", { transform: CBC }, 1n],
    ["the key's length", { transform: { ...GCM, key: new Uint8Array(16) } }, 1n],
  ])("setting an association again with another %s", (_, more, next) => {
    const sender = makeSender();
    sender.fromTun(make4(), make4());
    sender.engine.setOutboundAssociation(1, outbound(more));
    expect(sender.engine.nextSequence(1)).toBe(next);
  });

  it("an inbound association keeps its window under the same keys only", () => {
    const receiver = makeReceiver({ transform: NULL });
    const arrival = sealNull(1, bytes(0, 59));
    expect(receiver.fromUdp(REMOTE, arrival).drops).toEqual({});
    receiver.engine.setInboundAssociation(SPI, inbound({ transform: NULL, beet: 6 }));
    expect(receiver.fromUdp(REMOTE, arrival).drops).toEqual({ replay: 1 });
    receiver.engine.setInboundAssociation(SPI, null);
    expect(receiver.fromUdp(REMOTE, arrival).drops).toEqual({ "unknown-spi": 1 });
    receiver.engine.setInboundAssociation(SPI, inbound({ transform: NULL }));
    expect(receiver.fromUdp(REMOTE, arrival).drops).toEqual({});
  });
});

describe("the way", () => {
  const HEADER = dataPacket({ ids: [makeId(7, 3)], payloadKind: 4 });

  it("straight to a locator, or behind a header to the server of its first id; the same bytes", () => {
    const [bare] = makeSender().fromTun(make4()).udp;
    const sender = makeSender();
    sender.engine.setFlow(PEER, espFlow({ header: HEADER, locator: null }));
    expect(sender.fromTun(make4()).drops).toEqual({ "no-route": 1 });
    expect(sender.engine.nextSequence(1)).toBe(1n);
    sender.engine.setNextServer(makeId(7).subarray(0, 16), locator("192.0.2.9"));
    expect(sender.fromTun(make4()).udp).toEqual([{ to: locator("192.0.2.9"), bytes: concat(HEADER, bare?.bytes ?? bytes()) }]);
  });

  it("needs the association and the source", () => {
    const sender = makeSender();
    expect(sender.fromTun(make4({ source: ip4("10.0.0.9") })).drops).toEqual({ "inner-address": 1 });
    expect(sender.engine.lastUse(PEER)).toBeUndefined();
    sender.engine.setOutboundAssociation(1, null);
    expect(sender.fromTun(make4()).drops).toEqual({ "no-route": 1 });
    expect(sender.engine.lastUse(PEER)).toBe(1_000);
    expect(sender.engine.nextSequence(1)).toBeUndefined();
  });

  it.each<readonly [string, Flow]>([
    ["neither header nor locator", espFlow({ locator: null })],
    ["both", espFlow({ header: HEADER })],
    ["a header of another payload kind", espFlow({ header: dataPacket({ payloadKind: 1 }), locator: null })],
    ["something behind the header", espFlow({ header: concat(HEADER, bytes(1)), locator: null })],
    ["port 0", espFlow({ locator: { ...makeLocator(ip4("192.0.2.1"), 1), port: 0 } })],
    ["a source of the other family", espFlow({ source: OWN6 })],
    ["a name below 0", espFlow({ association: -1 })],
    ["a name above 32 bits", espFlow({ association: 2 ** 32 })],
    ["a name that is no integer", espFlow({ association: 0.5 })],
    ...[575, 65_536, 600.5, NaN].map((mtu) => [`MTU ${mtu}`, espFlow({ mtu })] as const),
    ["MTU 575 of a tunnel", { action: "tunnel", header: dataPacket({ nonce: NONCE }), source: OWN, mtu: 575 }],
  ])("%s is a RangeError", (_, flow) => {
    expect(() => makeSender().engine.setFlow(PEER, flow)).toThrow(RangeError);
  });

  it("bounds of MTU, names, SPIs and first numbers", () => {
    const { engine } = makeSender();
    expect(() => engine.setFlow(PEER6, espFlow({ source: OWN6, mtu: 575 }))).toThrow(RangeError);
    for (const mtu of [576, 1_280, 65_535]) engine.setFlow(PEER6, espFlow({ source: OWN6, mtu }));
    for (const mtu of [576, 65_535]) engine.setFlow(PEER, espFlow({ mtu }));
    for (const name of [0, 2 ** 32 - 1]) engine.setOutboundAssociation(name, outbound());
    for (const name of [-1, 2 ** 32, 1.5]) {
      expect(() => engine.setOutboundAssociation(name, null)).toThrow(RangeError);
      expect(() => engine.nextSequence(name)).toThrow(RangeError);
    }
    for (const spi of [MIN_SPI, MAX_SPI]) engine.setInboundAssociation(spi, inbound());
    for (const spi of [MIN_SPI - 1, MAX_SPI + 1, MIN_SPI + 0.5]) expect(() => engine.setInboundAssociation(spi, inbound())).toThrow(RangeError);
    // The receiver's choice: it may be none that we would choose.
    for (const spi of [MIN_RECEIVER_SPI, MIN_SPI - 1, MAX_SPI + 1, 2 ** 32 - 1]) engine.setOutboundAssociation(1, outbound({ spi }));
    for (const spi of [-1, 0, MIN_RECEIVER_SPI - 1, 2 ** 32, MIN_SPI + 0.5]) expect(() => engine.setOutboundAssociation(1, outbound({ spi }))).toThrow(RangeError);
    for (const firstSequence of [0n, -1n, 1n << 64n]) expect(() => engine.setOutboundAssociation(1, outbound({ firstSequence }))).toThrow(RangeError);
  });
});

describe("keys", () => {
  it("are copies, wiped when the entry goes or is replaced", () => {
    const given = Uint8Array.from(GCM.key);
    const out = new OutboundAssociations();
    const into = new InboundAssociations();
    const isWiped = (keys: readonly Buffer[] | undefined): boolean | undefined => keys?.every((key) => key.every((byte) => byte === 0));
    for (const replacement of [null, {}, { transform: CBC }]) {
      out.set(1, outbound());
      into.set(SPI, inbound());
      const [before, arriving] = [out.get(1)?.cipher.keys, into.get(SPI)?.cipher.keys];
      expect([isWiped(before), isWiped(arriving)]).toEqual([false, false]);
      out.set(1, replacement === null ? null : outbound(replacement));
      into.set(SPI, replacement === null ? null : inbound(replacement));
      expect([isWiped(before), isWiped(arriving)]).toEqual([true, true]);
      expect(isWiped(out.get(1)?.cipher.keys)).toBe(replacement === null ? undefined : false);
    }
    expect(GCM.key).toEqual(given);
  });

  it("a RangeError changes nothing", () => {
    const sender = makeSender();
    expect(() => sender.engine.setOutboundAssociation(1, outbound({ transform: { ...GCM, key: bytes(1) } }))).toThrow(RangeError);
    expect(sender.fromTun(packet(OWN, PEER, 17, udp(data(3)))).udp).toHaveLength(1);
  });
});

/** What both engines do with packets that are wrong or rare: the table "Odd packets" of docs/datapath.md, row by row. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DropReason } from "../../src/datapath.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { dataPacket, risen } from "../reference/harness.js";
import { be16, be32, bytes, concat, data, ip4Packet, ip6Packet, packet, sealTransport, tcp, udp, type Ip4Fields } from "../reference/packets.js";
import { plainArrival } from "./arrival-recipes.js";
import { EnginePair } from "./engine-pair.js";
import { addressOf, idOf, LOCATORS, NAMES, SPIS, TRANSFORMS, type Family } from "./pools.js";

const MTU = 1_280;
const UDP = 17;
const TCP = 6;
const ICMP6 = 58;
const [DF, MF] = [0x4000, 0x2000];
const NEXT = { hopByHop: 0, routing: 43, fragment: 44, destination: 60, mobility: 135 } as const;

type Pair = readonly [source: Uint8Array, destination: Uint8Array];
/** A packet between two addresses, so that the same one can be made with the addresses that the receiver sees. */
type Make = (pair: Pair) => Uint8Array;
/** `sent`: as it is. `answered`: dropped, and its sender was told. */
type FromTun = "sent" | "cut" | DropReason | `${DropReason}, answered`;
interface Row {
  readonly what: string;
  readonly family: Family;
  readonly make: Make;
  readonly fromTun: FromTun;
  /** `written`: as it is but for addresses and what checksums take from them. `cut`: without what is behind its end. */
  readonly toTun: "written" | "cut" | DropReason;
}

const row4 = (what: string, make: Make, fromTun: FromTun, toTun: Row["toTun"]): Row => ({ what, family: 4, make, fromTun, toTun });
const row6 = (what: string, make: Make, fromTun: FromTun, toTun: Row["toTun"]): Row => ({ what, family: 6, make, fromTun, toTun });

/** The checksum at `at` made wrong by one, in the sum's own arithmetic. */
function offByOne(whole: Uint8Array, at: number): Uint8Array {
  const out = Uint8Array.from(whole);
  const sum = (out[at] ?? 0) * 256 + (out[at + 1] ?? 0) + 1;
  out.set(be16(sum > 0xffff ? sum - 0xffff : sum), at);
  return out;
}
function edited(whole: Uint8Array, at: number, ...values: readonly number[]): Uint8Array {
  const out = Uint8Array.from(whole);
  out.set(values, at);
  return out;
}

const udp4 = (fields: Partial<Ip4Fields> = {}, length = 24): Make => ([source, destination]) => ip4Packet({ source, destination, protocol: UDP, ...fields }, sealTransport(source, destination, UDP, udp(data(length))));
/** Bytes `from` to `to` of a datagram's 64, as a fragment. */
const piece4 = (word: number, from: number, to: number): Make => ([source, destination]) =>
  ip4Packet({ source, destination, protocol: UDP, fragment: word | (from / 8) }, sealTransport(source, destination, UDP, udp(data(56))).subarray(from, to));
/** At the last place there is, 65,528. */
const lastPiece4 = (length: number): Make => ([source, destination]) => ip4Packet({ source, destination, protocol: UDP, fragment: 0x1fff }, data(length));

const headers6 = (source: Uint8Array, destination: Uint8Array, headers: readonly (readonly [number, Uint8Array])[], protocol: number, rest: Uint8Array): Uint8Array => {
  const chain = headers.map(([, body], i) => concat(bytes(headers[i + 1]?.[0] ?? protocol), body));
  return ip6Packet({ source, destination, nextHeader: headers[0]?.[0] ?? protocol }, concat(...chain, rest));
};
const udp6 = (...headers: readonly (readonly [number, Uint8Array])[]): Make => ([source, destination]) => headers6(source, destination, headers, UDP, sealTransport(source, destination, UDP, udp(data(24))));
const fragment6 = (word: number) => [NEXT.fragment, concat(bytes(0), be16(word), be32(77))] as const;
const piece6 = (word: number, from: number, to: number): Make => ([source, destination]) =>
  headers6(source, destination, [fragment6(from | word)], UDP, sealTransport(source, destination, UDP, udp(data(56))).subarray(from, to));

const HOP_BY_HOP = [NEXT.hopByHop, bytes(0, 5, 2, 0, 0, 1, 0)] as const;
const DESTINATION = [NEXT.destination, bytes(0, 1, 4, 0, 0, 0, 0)] as const;
const routing = (segmentsLeft: number) => [NEXT.routing, bytes(0, 0, segmentsLeft, 0, 0, 0, 0)] as const;
const jumboOption = (length: number) => [NEXT.hopByHop, concat(bytes(0, 0xc2, 4), be32(length))] as const;
/** Record route, and a last byte that does nothing: 40 bytes, the most there may be. */
const FULL_OPTIONS = concat(bytes(7, 39, 4), new Uint8Array(36), bytes(1));

const ROWS: readonly Row[] = [
  row4("shorter than a header", () => data(19), "inner-malformed", "inner-malformed"),
  row4("IPv4, header length below five words", (pair) => edited(udp4()(pair), 0, 0x44), "inner-malformed", "inner-malformed"),
  row4("IPv4, header longer than the packet", (pair) => edited(udp4({}, 0)(pair), 0, 0x4f), "inner-malformed", "inner-malformed"),
  row4("IPv4, truncated", (pair) => udp4()(pair).subarray(0, 51), "inner-malformed", "inner-malformed"),
  row4("IPv4, more behind its end", (pair) => concat(udp4()(pair), bytes(1, 2, 3)), "cut", "cut"),
  row6("IPv6, truncated", (pair) => udp6()(pair).subarray(0, 71), "inner-malformed", "inner-malformed"),
  row6("IPv6, more behind its end", (pair) => concat(udp6()(pair), bytes(1, 2, 3)), "cut", "cut"),

  row6("jumbogram", (pair) => edited(udp6(jumboOption(70_000))(pair), 4, 0, 0), "inner-malformed", "inner-malformed"),
  row6("payload length 0 and a hop-by-hop header of another kind", (pair) => edited(udp6(HOP_BY_HOP)(pair), 4, 0, 0), "inner-malformed", "inner-malformed"),
  row6("payload length 0 and nothing next", ([source, destination]) => ip6Packet({ source, destination, nextHeader: 59 }, bytes()), "sent", "written"),
  row6("jumbo option in a packet with a payload length", udp6(jumboOption(70_000)), "sent", "written"),

  row4("wrong header checksum", (pair) => offByOne(udp4()(pair), 10), "sent", "written"),
  row4("wrong UDP checksum over IPv4", (pair) => offByOne(udp4()(pair), 26), "sent", "written"),
  row4("no UDP checksum over IPv4", (pair) => edited(udp4()(pair), 26, 0, 0), "sent", "written"),
  row4("wrong TCP checksum over IPv4", ([source, destination]) => offByOne(packet(source, destination, TCP, tcp(data(9))), 36), "sent", "written"),
  row6("wrong UDP checksum over IPv6", (pair) => offByOne(udp6()(pair), 46), "sent", "written"),
  row6("wrong ICMPv6 checksum", ([source, destination]) => offByOne(packet(source, destination, ICMP6, concat(bytes(128, 0, 0, 0), data(9))), 42), "sent", "written"),

  row4("IPv4 first fragment without a byte", piece4(MF, 0, 0), "sent", "written"),
  row4("IPv4 fragment without a byte", piece4(MF, 16, 16), "sent", "written"),
  row4("IPv4 last fragment without a byte", piece4(0, 16, 16), "sent", "written"),
  row6("IPv6 first fragment without a byte", piece6(1, 0, 0), "sent", "written"),
  row6("IPv6 last fragment without a byte", piece6(0, 16, 16), "sent", "written"),
  row4("IPv4 first fragment that ends in the checksum", piece4(MF, 0, 7), "sent", "written"),
  row6("IPv6 fragment of no multiple of 8 bytes", piece6(1, 8, 21), "sent", "written"),
  row4("IPv4 fragment that ends beyond 65,535", lastPiece4(64), "sent", "written"),
  row6("IPv6 fragment that ends beyond 65,535", ([source, destination]) => headers6(source, destination, [fragment6(0xfff8)], UDP, data(64)), "sent", "written"),
  row4("IPv4 fragment that ends beyond 65,535 and is above the MTU", lastPiece4(MTU), "too-big", "written"),

  row4("IPv4 options", udp4({ options: FULL_OPTIONS }), "sent", "written"),
  row4("IPv4 router alert", udp4({ options: bytes(148, 4, 0, 0) }), "sent", "written"),
  row4("IPv4 options above the MTU", udp4({ options: FULL_OPTIONS }, MTU), "too-big", "written"),
  row4("IPv4 options above the MTU with DF", udp4({ options: FULL_OPTIONS, fragment: DF }, MTU), "too-big, answered", "written"),
  row4("IPv4 loose source route", udp4({ options: bytes(0x83, 7, 4, 10, 0, 0, 9, 0) }), "sent", "inner-malformed"),
  row4("IPv4 strict source route behind others", udp4({ options: bytes(1, 0x89, 7, 4, 10, 0, 0, 9) }), "sent", "inner-malformed"),
  row4("IPv4 option of length 0", udp4({ options: bytes(7, 0, 0, 0) }), "sent", "inner-malformed"),
  row4("IPv4 option beyond the header", udp4({ options: bytes(1, 1, 7, 9) }), "sent", "inner-malformed"),

  row6("IPv6 hop-by-hop, destination and used up routing headers", udp6(HOP_BY_HOP, DESTINATION, routing(0)), "sent", "written"),
  row6("eight IPv6 extension headers", udp6(HOP_BY_HOP, ...Array.from({ length: 7 }, () => DESTINATION)), "sent", "written"),
  row6("nine IPv6 extension headers", udp6(HOP_BY_HOP, ...Array.from({ length: 8 }, () => DESTINATION)), "sent", "inner-malformed"),
  row6("IPv6 routing header with segments left", udp6(routing(1)), "sent", "inner-malformed"),
  row6("IPv6 extension header beyond the end", udp6([NEXT.destination, bytes(250, 1, 4, 0, 0, 0, 0)]), "sent", "inner-malformed"),
  row6("IPv6 extension header cut off", ([source, destination]) => ip6Packet({ source, destination, nextHeader: NEXT.destination }, bytes(UDP, 0, 1)), "sent", "inner-malformed"),
  row6("header that is not walked", ([source, destination]) => headers6(source, destination, [[NEXT.mobility, bytes(0, 0, 0, 0, 0, 0, 0)]], UDP, udp(data(9))), "sent", "written"),
];

const pairOf = (family: Family, first: number): Pair => [addressOf(family, first), addressOf(family, first + 1)];
const LOCATOR = LOCATORS[0]!;
const FROM = encodeEndpoint(LOCATOR);
const HEADER = dataPacket({ ids: [idOf(0)] });
const WAYS = ["data", "ESP", "ESP in BEET"] as const;
const isDrop = (outcome: string): boolean => !["sent", "cut", "written"].includes(outcome);

describe.each(WAYS)("odd packets by %s", (way) => {
  let pair: EnginePair;
  beforeEach(() => {
    pair = new EnginePair();
    const change = (family: Family, index: number): { from: Uint8Array; to: Uint8Array } => ({ from: addressOf(family, index), to: addressOf(family, index + 2) });
    const target = { flow: addressOf(4, 1), source4: change(4, 0), destination4: change(4, 1), source6: change(6, 0), destination6: change(6, 1) };
    pair.change("setDefaultServer", (engine) => engine.setDefaultServer(LOCATOR));
    pair.change("setInbound", (engine) => engine.setInbound(idOf(1), { action: "tun", ...target }));
    for (const [i, family] of ([4, 6] as const).entries()) {
      const association = { transform: TRANSFORMS[0]!, beet: way === "ESP in BEET" ? family : null, checksumState: true } as const;
      const [spi, name] = [SPIS[i] ?? SPIS[0], NAMES[i] ?? 0];
      pair.change("setOutboundAssociation", (engine) => engine.setOutboundAssociation(name, { ...association, spi }));
      pair.change("setInboundAssociation", (engine) => engine.setInboundAssociation(spi, { ...association, ...target }));
      const [source, destination] = pairOf(family, 0);
      const sending = { source, mtu: MTU };
      pair.change("setFlow", (engine) => engine.setFlow(destination, way === "data" ? { action: "tunnel", header: HEADER, ...sending } : { action: "esp", association: name, header: null, locator: LOCATOR, ...sending }));
    }
  });
  afterEach(() => pair.close());

  /** What a step left, and the drops that it made. */
  function step(tun: readonly Uint8Array[], udpBytes: readonly Uint8Array[], offloads: boolean): { datagrams: readonly Uint8Array[]; packets: readonly Uint8Array[]; drops: object } {
    const before = pair.counters().drops;
    const arrived = udpBytes.map((datagram) => ({ bytes: datagram, segmentBytes: 0, endpoint: FROM, trafficClass: 0 }));
    const datagrams = pair.step(1, tun.map((bytesOf) => plainArrival(bytesOf, CHECKSUM.complete)), arrived, offloads);
    return { datagrams, packets: pair.written, drops: risen(before, pair.counters().drops) };
  }
  const behindHeader = (inner: Uint8Array): Uint8Array => dataPacket({ ids: [idOf(1)] }, inner);
  const withoutRest = (row: Row, made: Uint8Array): Uint8Array => (row.fromTun === "cut" ? made.subarray(0, -3) : made);

  it.each(ROWS)("$what from the TUN: $fromTun", (row) => {
    const made = row.make(pairOf(row.family, 0));
    const reason = row.fromTun.replace(", answered", "");
    for (const offloads of [true, false]) {
      const { datagrams, packets, drops } = step([made], [], offloads);
      expect(drops).toEqual(isDrop(reason) ? { [reason]: 1 } : {});
      expect(packets).toHaveLength(row.fromTun.endsWith("answered") ? 1 : 0);
      expect(datagrams).toHaveLength(isDrop(reason) ? 0 : 1);
      if (way === "data" && !isDrop(reason)) expect(Buffer.from(datagrams[0] ?? []).toString("hex")).toBe(Buffer.from(concat(HEADER, withoutRest(row, made))).toString("hex"));
    }
  });

  it.each(ROWS)("$what to the TUN: $toTun", (row) => {
    const made = row.make(pairOf(row.family, 0));
    for (const offloads of [true, false]) {
      // What the engine would not send comes from a peer that does, in a data packet.
      const carried = way === "data" || isDrop(row.fromTun) ? [behindHeader(made)] : step([made], [], offloads).datagrams;
      const { packets, drops } = step([], carried, offloads);
      const expected = isDrop(row.toTun) ? [] : [withoutRest(row, row.make(pairOf(row.family, 2)))];
      expect(packets.map((bytesOf) => Buffer.from(bytesOf).toString("hex"))).toEqual(expected.map((bytesOf) => Buffer.from(bytesOf).toString("hex")));
      expect(drops).toEqual(isDrop(row.toTun) ? { [row.toTun]: 1 } : {});
    }
  });

  it.each<readonly [string, Family, readonly Make[]]>([
    ["the same piece twice", 4, [piece4(MF, 0, 32), piece4(MF, 0, 32), piece4(0, 32, 64)]],
    ["pieces that lie over each other", 4, [piece4(MF, 0, 32), piece4(MF, 24, 48), piece4(0, 16, 64), piece4(MF, 0, 64)]],
    ["IPv6 pieces that lie over each other (RFC 5722)", 6, [piece6(1, 0, 32), piece6(1, 24, 48), piece6(0, 16, 64), piece6(1, 0, 64)]],
  ])("overlapping fragments go through one by one, in order, and nothing is remembered: %s", (_, family, makes) => {
    for (const offloads of [true, false]) {
      const sent = step(makes.map((make) => make(pairOf(family, 0))), [], offloads);
      expect([sent.datagrams.length, sent.drops]).toEqual([makes.length, {}]);
      const { packets, drops } = step([], way === "data" ? makes.map((make) => behindHeader(make(pairOf(family, 0)))) : sent.datagrams, offloads);
      expect(packets).toEqual(makes.map((make) => make(pairOf(family, 2))));
      expect(drops).toEqual({});
    }
  });

  it("a wrong header checksum becomes right only where BEET makes the header again", () => {
    const right = udp4({ fragment: DF, identification: 0 });
    const { datagrams } = step([offByOne(right(pairOf(4, 0)), 10)], [], true);
    const { packets } = step([], way === "data" ? [behindHeader(offByOne(right(pairOf(4, 0)), 10))] : datagrams, true);
    const expected = right(pairOf(4, 2));
    expect(packets).toEqual([way === "ESP in BEET" ? expected : offByOne(expected, 10)]);
  });
});

/**
 * Packets between IPv4 and IPv6 at a gateway (docs/datapath.md, "Translation"; RFC 7915): what both engines make of each kind, against packets that the test builds whole with checksums of
 * its own.
 *
 *     client (peer) ── data packet ──▶ gateway's engine ──▶ its TUN        to FROM of one family, from SEEN         →  to TO of the other, from SEEN of the other
 *                   ◀── data packet ──                 ◀── its TUN        from TO, or an error about what went there →  from FROM
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS, type Datapath, type DropReason, type Flow } from "../../src/datapath.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { dataPacket, risen } from "../reference/harness.js";
import { be16, be32, bytes, concat, data, icmp, ip4, ip4Packet, ip6, ip6Packet, makeId, sealTransport, tcp, udp } from "../reference/packets.js";
import { plainArrival } from "./arrival-recipes.js";
import { completedPacket, GSO, NEEDS_CHECKSUM, packetsOfTrain, withPartialChecksum, withVnet } from "./cut.js";
import { EnginePair } from "./engine-pair.js";
import { LOCATORS, type Family } from "./pools.js";

const [TCP, UDP, GRE] = [6, 17, 47];
const ICMP = { 4: 1, 6: 58 } as const;
const HEADER_BYTES = { 4: 20, 6: 40 } as const;
const DF = 0x4000;
const ID = makeId(0x42, 1);
const DATA_HEADER_BYTES = 48;

/** `seen`: the client as the gateway calls it; `from`: what it sends to; `to`: what that is; `router`: who else may send errors. */
const HOSTS = {
  4: { client: ip4("10.0.0.1"), own: ip4("10.0.0.2"), seen: ip4("10.7.7.7"), from: ip4("10.3.3.3"), to: ip4("192.0.2.77"), router: ip4("198.51.100.9"), other: ip4("10.0.10.7") },
  6: { client: ip6(1), own: ip6(2), seen: ip6(0x777), from: ip6(0x3333), to: ip6(0x7007), router: ip6(0x5109), other: ip6(0xa07) },
} as const;
/** Another client, which sends from what the gateway calls it. */
const SECOND = { 4: ip4("10.8.8.8"), 6: ip6(0x888) } as const;
const otherOf = (family: Family): Family => (family === 4 ? 6 : 4);

interface Fields {
  readonly trafficClass?: number;
  readonly hops?: number;
  /** IPv4: flags and offset; IPv6: none. */
  readonly fragment?: number;
  readonly identification?: number;
}
/** A packet of either family without more than its header. */
function whole(from: Uint8Array, to: Uint8Array, protocol: number, message: Uint8Array, { trafficClass = 0, hops = 64, fragment = DF, identification = 0 }: Fields = {}): Uint8Array {
  const sealed = sealTransport(from, to, protocol, message);
  return from.length === 4
    ? ip4Packet({ source: from, destination: to, protocol, trafficClass, ttl: hops, fragment, identification }, sealed)
    : ip6Packet({ source: from, destination: to, nextHeader: protocol, trafficClass, hopLimit: hops }, sealed);
}
const echo = (family: Family, isReply: boolean, length: number): Uint8Array => icmp(family === 4 ? (isReply ? 0 : 8) : isReply ? 129 : 128, 0, concat(be32(0x1234_0001), data(length)));
const error = (type: number, code: number, rest: Uint8Array, quote: Uint8Array): Uint8Array => icmp(type, code, concat(rest, quote));
const hex = (packets: readonly Uint8Array[]): readonly string[] => packets.map((one) => Buffer.from(one).toString("hex"));
const edited = (packet: Uint8Array, at: number, ...values: readonly number[]): Uint8Array => Uint8Array.from(packet, (byte, i) => values[i - at] ?? byte);
/** What is at `offset` bytes of a longer message, behind an IPv6 fragment header. */
const fragment6 = (from: Uint8Array, to: Uint8Array, next: number, identification: number, offset: number, more: boolean, piece: Uint8Array, hops = 64): Uint8Array =>
  ip6Packet({ source: from, destination: to, nextHeader: 44, hopLimit: hops }, concat(bytes(next, 0), be16(offset | (more ? 1 : 0)), be32(identification), piece));
const fragment4 = (from: Uint8Array, to: Uint8Array, protocol: number, identification: number, offset: number, more: boolean, piece: Uint8Array, hops = 64): Uint8Array =>
  ip4Packet({ source: from, destination: to, protocol, ttl: hops, identification, fragment: offset / 8 | (more ? 0x2000 : 0) }, piece);

let gateway: EnginePair;

const flowOf = (family: Family, more: object = {}): Flow => ({ action: "tunnel", header: dataPacket({ ids: [makeId(0x50, family)] }), source: HOSTS[family].own, ...more });
const same = (address: Uint8Array): { from: Uint8Array; to: Uint8Array } => ({ from: address, to: address });
const target = { flow: HOSTS[4].seen, source4: { from: HOSTS[4].client, to: HOSTS[4].seen }, destination4: same(HOSTS[4].own), source6: { from: HOSTS[6].client, to: HOSTS[6].seen }, destination6: same(HOSTS[6].own) } as const;
function must(what: string, act: Parameters<EnginePair["change"]>[1]): void {
  expect(gateway.change(what, act), what).toBe(true);
}

beforeEach(() => {
  gateway = new EnginePair();
  must("server", (engine) => engine.setDefaultServer(LOCATORS[0]!));
  must("inbound", (engine) => engine.setInbound(ID, { action: "tun", ...target }));
  for (const family of [4, 6] as const) must("flow", (engine) => engine.setFlow(HOSTS[family].seen, flowOf(family)));
  for (const family of [4, 6] as const) must("forwarding", (engine) => engine.setForwarding(HOSTS[family].seen, true, HOSTS[otherOf(family)].seen));
  for (const family of [4, 6] as const) must("translation", (engine) => engine.setTranslation(HOSTS[family].seen, HOSTS[family].from, HOSTS[otherOf(family)].to));
});
afterEach(() => gateway.close());

interface Seen {
  readonly written: readonly string[];
  readonly sent: readonly string[];
  readonly drops: Partial<Record<DropReason, number>>;
}
function seen(act: () => readonly Uint8Array[]): Seen {
  const before = gateway.counters().drops;
  const sent = act();
  return { written: hex(gateway.written), sent: hex(sent.map((datagram) => datagram.subarray(DATA_HEADER_BYTES))), drops: risen(before, gateway.counters().drops) };
}
/** From the client. */
const arrive = (...packets: readonly Uint8Array[]): Seen =>
  seen(() => gateway.step(1, [], packets.map((packet) => ({ bytes: dataPacket({ ids: [ID] }, packet), segmentBytes: 0, endpoint: encodeEndpoint(LOCATORS[0]!), trafficClass: 0 })), true));
/** From the TUN. */
const leave = (packet: Uint8Array, state: number = CHECKSUM.complete): Seen => seen(() => gateway.step(1, [plainArrival(packet, state)], [], true));
const written = (...packets: readonly Uint8Array[]): Seen => ({ written: hex(packets), sent: [], drops: {} });
const sent = (...packets: readonly Uint8Array[]): Seen => ({ written: [], sent: hex(packets), drops: {} });
const dropped = (reason: DropReason): Seen => ({ written: [], sent: [], drops: { [reason]: 1 } });

/** The same thing both ways: how it goes in, and how it comes out between which addresses. */
interface Way {
  readonly what: string;
  readonly family: Family;
  readonly go: (packet: Uint8Array) => Seen;
  readonly out: (...packets: readonly Uint8Array[]) => Seen;
  readonly before: readonly [source: Uint8Array, destination: Uint8Array];
  readonly after: readonly [source: Uint8Array, destination: Uint8Array];
}
const WAYS = ([4, 6] as const).flatMap((family): readonly Way[] => {
  const [own, there] = [HOSTS[family], HOSTS[otherOf(family)]];
  return [
    { what: `IPv${family} of the client`, family, go: arrive, out: written, before: [own.client, own.from], after: [there.seen, there.to] },
    { what: `IPv${family} for the client`, family, go: leave, out: sent, before: [own.to, own.seen], after: [there.from, there.seen] },
  ];
});

describe.each(WAYS)("$what", ({ family, go, out, before, after }) => {
  const there = otherOf(family);
  const isDown = family === 6;
  // What is short goes without DF, and the first has number 0.
  const FIRST: Fields = { hops: 63, fragment: 0 };

  it("TCP, UDP, echo and what has no checksum over the addresses", () => {
    const kinds = (to: Family): readonly (readonly [number, Uint8Array])[] => [[TCP, tcp(data(31))], [UDP, udp(data(30))], [ICMP[to], echo(to, false, 33)], [ICMP[to], echo(to, true, 8)], [GRE, data(40)], [UDP, udp(data(0))]];
    kinds(family).forEach(([protocol, message], i) => {
      const [next, turned] = kinds(there)[i] as readonly [number, Uint8Array];
      expect(go(whole(...before, protocol, message)), `${protocol}`).toEqual(out(whole(...after, next, turned, { ...FIRST, identification: i })));
    });
  });

  it("the traffic class, and a hop less", () => {
    for (const [trafficClass, hops] of [[0xb8, 255], [0x01, 2], [0xff, 3]] as const) {
      const made = go(whole(...before, UDP, udp(data(9)), { trafficClass, hops }));
      expect(made).toEqual(out(whole(...after, UDP, udp(data(9)), { trafficClass, hops: hops - 1, fragment: 0, identification: isDown ? [0xb8, 1, 0xff].indexOf(trafficClass) : 0 })));
    }
  });

  it("DF and the identification", () => {
    if (isDown) {
      const packet = (length: number): Uint8Array => whole(...before, UDP, udp(data(length)));
      const bare = (length: number, fields: Fields): Uint8Array => whole(...after, UDP, udp(data(length)), { hops: 63, ...fields });
      expect(go(packet(1_232))).toEqual(out(bare(1_232, { fragment: 0, identification: 0 })));
      expect(go(packet(1_233))).toEqual(out(bare(1_233, { fragment: DF, identification: 0 })));
      expect(go(packet(5))).toEqual(out(bare(5, { fragment: 0, identification: 1 })));
    } else {
      for (const fragment of [0, DF]) expect(go(whole(...before, UDP, udp(data(9)), { fragment, identification: 77 }))).toEqual(out(whole(...after, UDP, udp(data(9)), FIRST)));
    }
  });

  it("wrong checksums stay wrong", () => {
    const at = HEADER_BYTES[family];
    for (const [protocol, message, field] of [[TCP, tcp(data(9)), 16], [UDP, udp(data(9)), 6], [ICMP[family], echo(family, false, 9), 2]] as const) {
      const packet = whole(...before, protocol, message);
      const wrong = edited(packet, at + field, (packet[at + field] ?? 0) ^ 0x10);
      const [right, made] = [go(packet), go(wrong)].map(({ written: one, sent: other }) => [...one, ...other][0] ?? "");
      expect(made?.length).toBe(right?.length);
      const place = (HEADER_BYTES[there] + field) * 2;
      expect(made?.slice(HEADER_BYTES[there] * 2, place)).toBe(right?.slice(HEADER_BYTES[there] * 2, place));
      expect(made?.slice(place)).not.toBe(right?.slice(place));
    }
  });

  it("what has no meaning in the other family", () => {
    const protocols = isDown ? [1, 59] : [0, 43, 44, 58, 59, 60];
    for (const protocol of protocols) expect(go(whole(...before, protocol, new Uint8Array(48))), `${protocol}`).toEqual(dropped("translation"));
    const types = isDown ? [127, 130, 131, 132, 133, 134, 135, 136, 137, 143, 200, 255] : [6, 9, 10, 13, 14, 15, 16, 17, 18, 40, 42, 255];
    for (const type of types) expect(go(whole(...before, ICMP[family], icmp(type, 0, new Uint8Array(28)))), `${type}`).toMatchObject({ written: [], sent: [] });
    expect(go(whole(...before, ICMP[family], bytes(family === 4 ? 8 : 128, 0, 0, 0, 0, 0, 0)))).toEqual(dropped("translation"));
    for (const [protocol, length] of [[TCP, 17], [UDP, 7]] as const) expect(go(whole(...before, protocol, data(length)))).toEqual(dropped("translation"));
  });

  it("errors about what went the other way, with what they quote", () => {
    const back = [before[1], before[0]] as const;
    const backAfter = [after[1], after[0]] as const;
    const quotes = (to: Family, ends: readonly [Uint8Array, Uint8Array]): readonly Uint8Array[] => [
      whole(...ends, TCP, tcp(data(24)), { hops: 7, trafficClass: 3 }), whole(...ends, UDP, udp(data(40))), whole(...ends, ICMP[to], echo(to, false, 20)), whole(...ends, GRE, data(20)),
      // As little as an error may quote; a checksum that is not there.
      whole(...ends, TCP, tcp(data(24))).subarray(0, HEADER_BYTES[to] + 8), whole(...ends, UDP, udp(data(24))).subarray(0, HEADER_BYTES[to] + 7), whole(...ends, UDP, udp(data(24))).subarray(0, HEADER_BYTES[to]),
    ];
    const [types, typesAfter] = isDown ? [[1, 4], [3, 3]] : [[3, 3], [1, 4]];
    quotes(family, back).forEach((quote, i) => {
      const mended = quotes(there, backAfter)[i] as Uint8Array;
      const made = quote.length === HEADER_BYTES[family] + 7 ? edited(mended, mended.length - 1, quote[quote.length - 1] ?? 0) : mended;
      expect(go(whole(...before, ICMP[family], error(types[0] ?? 0, types[1] ?? 0, be32(0), quote))), `${i}`).toEqual(out(whole(...after, ICMP[there], error(typesAfter[0] ?? 0, typesAfter[1] ?? 0, be32(0), made), { ...FIRST, identification: i })));
    });
  });

  it("errors about anything else, about an error, and cut off before they say so", () => {
    const back = [before[1], before[0]] as const;
    const type = isDown ? 1 : 3;
    const about = (quote: Uint8Array): Seen => go(whole(...before, ICMP[family], error(type, 0, be32(0), quote)));
    const other = HOSTS[family].other;
    for (const quote of [
      whole(other, back[1], UDP, udp(data(9))), whole(back[0], other, UDP, udp(data(9))), whole(...before, UDP, udp(data(9))), whole(...back, ICMP[family], error(type, 0, be32(0), whole(...before, UDP, udp(data(9))))),
      whole(...back, isDown ? 1 : 58, data(40)), whole(...back, UDP, udp(data(9))).subarray(0, HEADER_BYTES[family] - 1), bytes(), whole(HOSTS[there].from, HOSTS[there].seen, UDP, udp(data(9))),
    ]) {
      const { drops, ...rest } = about(quote);
      expect(rest).toEqual({ written: [], sent: [] });
      expect(["translation", "inner-address"], hex([quote])[0]).toContain(Object.keys(drops)[0]);
    }
  });

  it("types, codes, pointers and MTUs of errors", () => {
    const back = [before[1], before[0]] as const;
    const quote = whole(...back, UDP, udp(data(9)));
    const made = whole(after[1], after[0], UDP, udp(data(9)));
    const pointer = (value: number): Uint8Array => (isDown ? be32(value) : bytes(value, 0, 0, 0));
    const mtu = (value: number): Uint8Array => (isDown ? be32(value) : concat(be16(0), be16(value)));
    type Row = readonly [type: number, code: number, rest: Uint8Array, after: readonly [type: number, code: number, rest: Uint8Array] | null];
    const to6: readonly Row[] = [
      ...[0, 1, 5, 6, 7, 8, 11, 12].map((code): Row => [3, code, be32(0), [1, 0, be32(0)]]), ...[9, 10, 13, 15].map((code): Row => [3, code, be32(0), [1, 1, be32(0)]]),
      [3, 2, be32(0), [4, 1, be32(6)]], [3, 3, be32(0), [1, 4, be32(0)]], [3, 14, be32(0), null], [3, 16, be32(0), null],
      [3, 4, mtu(1_400), [2, 0, be32(1_420)]], [3, 4, mtu(1_260), [2, 0, be32(1_280)]], [3, 4, mtu(68), [2, 0, be32(1_280)]], [3, 4, mtu(65_535), [2, 0, be32(65_555)]], [3, 4, mtu(0), [2, 0, be32(1_280)]],
      [11, 0, be32(0), [3, 0, be32(0)]], [11, 1, be32(0), [3, 1, be32(0)]], [4, 0, be32(0), null], [5, 1, be32(0), null],
      ...([[0, 0], [1, 1], [2, 4], [3, 4], [8, 7], [9, 6], [12, 8], [15, 8], [16, 24], [19, 24]] as const).map(([from, to]): Row => [12, 0, pointer(from), [4, 0, be32(to)]]),
      ...[4, 5, 6, 7, 10, 11, 20, 255].map((from): Row => [12, 0, pointer(from), null]), [12, 1, pointer(0), null], [12, 2, pointer(1), [4, 0, be32(1)]],
    ];
    const to4: readonly Row[] = [
      ...([[0, 1], [1, 10], [2, 1], [3, 1], [4, 3]] as const).map(([from, to]): Row => [1, from, be32(0), [3, to, be32(0)]]), [1, 5, be32(0), null], [1, 7, be32(0), null],
      [2, 0, mtu(1_400), [3, 4, be32(1_380)]], [2, 0, mtu(1_280), [3, 4, be32(1_260)]], [2, 0, mtu(100), [3, 4, be32(1_260)]], [2, 0, mtu(0xffff_ffff), [3, 4, be32(65_535)]],
      [3, 0, be32(0), [11, 0, be32(0)]], [3, 1, be32(0), [11, 1, be32(0)]], [4, 1, pointer(6), [3, 2, be32(0)]], [4, 2, pointer(6), null],
      ...([[0, 0], [1, 1], [4, 2], [5, 2], [6, 9], [7, 8], [8, 12], [23, 12], [24, 16], [39, 16]] as const).map(([from, to]): Row => [4, 0, pointer(from), [12, 0, bytes(to, 0, 0, 0)]]),
      ...[2, 3, 40, 0x0100_0000].map((from): Row => [4, 0, pointer(from), null]), [100, 0, be32(0), null],
    ];
    let identification = 0;
    for (const [type, code, rest, turned] of isDown ? to4 : to6) {
      const got = go(whole(...before, ICMP[family], error(type, code, rest, quote)));
      if (turned === null) expect(got, `${type} ${code}`).toEqual(dropped("translation"));
      else expect(got, `${type} ${code}`).toEqual(out(whole(...after, ICMP[there], error(turned[0], turned[1], turned[2], made), { ...FIRST, identification: identification++ })));
    }
  });

  it("a long quote is cut to what IPv6 carries, and what RFC 4884 puts behind it goes", () => {
    const back = [before[1], before[0]] as const;
    const long = (to: Family, ends: readonly [Uint8Array, Uint8Array], length: number): Uint8Array => whole(...ends, UDP, udp(data(1_400))).subarray(0, HEADER_BYTES[to] + length);
    const type = isDown ? 1 : 3;
    const about = (rest: Uint8Array, quote: Uint8Array): Seen => go(whole(...before, ICMP[family], error(type, isDown ? 4 : 3, rest, quote)));
    const answer = (quote: Uint8Array, fields: Fields): Seen => out(whole(...after, ICMP[there], error(isDown ? 3 : 1, isDown ? 3 : 4, be32(0), quote), fields));
    const backAfter = [after[1], after[0]] as const;
    expect(about(be32(0), long(family, back, 1_300))).toEqual(answer(long(there, backAfter, isDown ? 1_300 : 1_280 - 40 - 8 - 40), isDown ? { hops: 63 } : FIRST));
    const words = isDown ? bytes(16, 0, 0, 0) : bytes(0, 32, 0, 0);
    expect(about(words, concat(long(family, back, 128 - HEADER_BYTES[family]), data(20)))).toEqual(answer(long(there, backAfter, 128 - HEADER_BYTES[family]), FIRST));
  });

  it("fragments, without being put together", () => {
    const datagram = (ends: readonly [Uint8Array, Uint8Array]): Uint8Array => sealTransport(...ends, UDP, udp(data(1_200)));
    const make = (to: Family, ends: readonly [Uint8Array, Uint8Array], hops: number): readonly Uint8Array[] =>
      ([[0, 600], [600, 1_208]] as const).map(([from, end]) => (to === 4 ? fragment4 : fragment6)(...ends, UDP, 0x4321, from, end < 1_208, datagram(ends).subarray(from, end), hops));
    const after63 = make(there, after, 63);
    make(family, before, 64).forEach((piece, i) => expect(go(piece)).toEqual(out(after63[i] as Uint8Array)));
    // Of ICMP no fragment, nor one whose first piece has no checksum.
    const ping = sealTransport(...before, ICMP[family], echo(family, false, 100));
    for (const from of [0, 48]) expect(go((isDown ? fragment6 : fragment4)(...before, ICMP[family], 9, from, from === 0, ping.subarray(from, from + 48)))).toEqual(dropped("translation"));
    expect(go((isDown ? fragment6 : fragment4)(...before, TCP, 9, 0, true, sealTransport(...before, TCP, tcp(data(9))).subarray(0, 16)))).toEqual(dropped("translation"));
  });

  it("the last hop: its sender hears so", () => {
    for (const hops of [0, 1]) {
      const packet = whole(...before, UDP, udp(data(9)), { hops });
      const isOfClient = go === arrive;
      const at = isOfClient ? whole(HOSTS[family].seen, HOSTS[family].from, UDP, udp(data(9)), { hops }) : packet;
      const [source, destination] = isOfClient ? [HOSTS[family].from, HOSTS[family].seen] : [before[1], before[0]];
      const answer = whole(source, destination, ICMP[family], error(isDown ? 3 : 11, 0, be32(0), at));
      expect(go(packet)).toEqual({ ...(isOfClient ? sent : written)(answer), drops: { "hop-limit": 1 } });
    }
    // About an error nobody does.
    const quote = whole(before[1], before[0], UDP, udp(data(9)));
    expect(go(whole(...before, ICMP[family], error(isDown ? 1 : 3, 0, be32(0), quote), { hops: 1 }))).toEqual(dropped("hop-limit"));
  });

  it("a peer without the other flow gets none", () => {
    const packet = whole(...before, UDP, udp(data(9)));
    must("no other", (engine) => engine.setForwarding(HOSTS[family].seen, true));
    // Whose translation it would be does not show then.
    expect(go(packet)).toEqual(go === arrive ? dropped("translation") : sent(packet));
    must("again", (engine) => engine.setForwarding(HOSTS[family].seen, true, HOSTS[there].seen));
    must("not forwarding there", (engine) => engine.setForwarding(HOSTS[there].seen, false, HOSTS[family].seen));
    expect(go(packet)).toEqual(dropped("translation"));
    must("no flow there", (engine) => engine.setFlow(HOSTS[there].seen, null));
    expect(go(packet)).toEqual(dropped("translation"));
  });

  it("without the translation packets are as they are", () => {
    for (const which of [4, 6] as const) must("none", (engine) => engine.setTranslation(HOSTS[which].seen, HOSTS[which].from, null));
    const [source, destination] = go === arrive ? [HOSTS[family].seen, HOSTS[family].from] : before;
    expect(go(whole(...before, UDP, udp(data(9))))).toEqual((go === arrive ? written : sent)(whole(source, destination, UDP, udp(data(9)))));
  });
});

describe("IPv4 as IPv6", () => {
  const ENDS = [[arrive, written, HOSTS[4].client, HOSTS[4].from, HOSTS[6].seen, HOSTS[6].to], [leave, sent, HOSTS[4].to, HOSTS[4].seen, HOSTS[6].from, HOSTS[6].seen]] as const;
  it.each(ENDS)("UDP without a checksum: computed when it is whole", (go, out, source, destination, source6, destination6) => {
    const bare = udp(data(21));
    const packet = (message: Uint8Array, fragment = DF): Uint8Array => ip4Packet({ source, destination, protocol: UDP, fragment }, message);
    expect(go(packet(bare))).toEqual(out(whole(source6, destination6, UDP, bare, { hops: 63 })));
    // Longer than the datagram in it.
    const sealed = sealTransport(source6, destination6, UDP, bare);
    expect(go(packet(concat(bare, data(5))))).toEqual(out(ip6Packet({ source: source6, destination: destination6, nextHeader: UDP, hopLimit: 63 }, concat(sealed, data(5)))));
    expect(go(packet(edited(bare, 4, 0, 200)))).toEqual(dropped("translation"));
    expect(go(packet(edited(bare, 4, 0, 7)))).toEqual(dropped("translation"));
    expect(go(packet(bare.subarray(0, 24), 0x2000))).toEqual(dropped("translation"));
    expect(go(packet(bare.subarray(24), 3))).toMatchObject({ drops: {} });
  });

  it.each(ENDS)("options go, but for those that would lead elsewhere", (go, out, source, destination, source6, destination6) => {
    const packet = (options: Uint8Array): Uint8Array => ip4Packet({ source, destination, protocol: UDP, options, fragment: DF }, sealTransport(source, destination, UDP, udp(data(9))));
    for (const options of [bytes(1, 1, 1, 1), bytes(148, 4, 0, 0), bytes(7, 39, 4, ...new Uint8Array(36), 1)]) expect(go(packet(options))).toEqual(out(whole(source6, destination6, UDP, udp(data(9)), { hops: 63 })));
    for (const options of [bytes(0x83, 7, 4, 10, 0, 0, 2, 0), bytes(1, 0x89, 7, 4, 10, 0, 0, 3), bytes(7, 0, 0, 0)]) expect(go(packet(options))).toEqual(dropped(go === arrive ? "inner-malformed" : "translation"));
  });

  it("what may be cut leaves for the TUN in pieces of 1,280, and is answered by nobody", () => {
    const [source, destination, source6, destination6] = [HOSTS[4].client, HOSTS[4].from, HOSTS[6].seen, HOSTS[6].to];
    const message = sealTransport(source6, destination6, UDP, udp(data(2_500)));
    const pieces = [0, 1_232, 2_464].map((from) => fragment6(source6, destination6, UDP, 0x77, from, from < 2_464, message.subarray(from, from + 1_232), 63));
    expect(arrive(whole(source, destination, UDP, udp(data(2_500)), { fragment: 0, identification: 0x77 }))).toEqual(written(...pieces));
    expect(arrive(whole(source, destination, UDP, udp(data(1_232)), { fragment: 0 }))).toEqual(written(whole(source6, destination6, UDP, udp(data(1_232)), { hops: 63 })));
    expect(arrive(whole(source, destination, UDP, udp(data(2_500)), { fragment: DF }))).toEqual(written(whole(source6, destination6, UDP, udp(data(2_500)), { hops: 63 })));
    // A fragment is cut again, and goes on where it was.
    const long = sealTransport(source6, destination6, UDP, udp(data(4_000))).subarray(1_600, 3_000);
    const again = [0, 1_232].map((from) => fragment6(source6, destination6, UDP, 5, 1_600 + from, true, long.subarray(from, from + 1_232), 63));
    expect(arrive(fragment4(source, destination, UDP, 5, 1_600, true, long))).toEqual(written(...again));
  });

  it("what would be too long for the flow is answered with 20 less, or cut", () => {
    must("mtu", (engine) => engine.setFlow(HOSTS[6].seen, flowOf(6, { mtu: 1_400 })));
    const [source, destination, source6, destination6] = [HOSTS[4].to, HOSTS[4].seen, HOSTS[6].from, HOSTS[6].seen];
    const packet = (length: number, fields: Fields = {}): Uint8Array => whole(source, destination, UDP, udp(data(length)), fields);
    expect(leave(packet(1_352))).toEqual(sent(whole(source6, destination6, UDP, udp(data(1_352)), { hops: 63 })));
    const long = packet(1_353);
    expect(leave(long)).toEqual({ ...written(whole(destination, source, ICMP[4], error(3, 4, be32(1_380), long.subarray(0, 548)))), drops: { "too-big": 1 } });
    const message = sealTransport(source6, destination6, UDP, udp(data(1_353)));
    const pieces = [[0, 1_352], [1_352, 1_361]].map(([from = 0, end]) => fragment6(source6, destination6, UDP, 0x99, from, from === 0, message.subarray(from, end), 63));
    expect(leave(packet(1_353, { fragment: 0, identification: 0x99 }))).toEqual(sent(...pieces));
    // Whoever wants fragments of its own uncut hears of the fragment header too.
    const fragment = ip4Packet({ source, destination, protocol: UDP, fragment: 0x6000 }, sealTransport(source, destination, UDP, udp(data(1_400))).subarray(0, 1_360));
    expect(leave(fragment)).toEqual({ ...written(whole(destination, source, ICMP[4], error(3, 4, be32(1_372), fragment.subarray(0, 548)))), drops: { "too-big": 1 } });
  });

  it("the MSS of a SYN is lowered to what the flow that it takes, or whose answers take, carries", () => {
    const syn = (ends: readonly [Uint8Array, Uint8Array], mss: number, fields: Fields): Uint8Array => {
      const message = edited(edited(concat(tcp(bytes()), bytes(2, 4, mss >> 8, mss & 255)), 12, 0x60), 13, 2);
      return whole(...ends, TCP, message, fields);
    };
    must("mtu", (engine) => engine.setFlow(HOSTS[6].seen, flowOf(6, { mtu: 1_400 })));
    must("mtu", (engine) => engine.setFlow(HOSTS[4].seen, flowOf(4, { mtu: 1_400 })));
    expect(leave(syn([HOSTS[4].to, HOSTS[4].seen], 1_460, {}))).toEqual(sent(syn([HOSTS[6].from, HOSTS[6].seen], 1_340, { hops: 63 })));
    expect(arrive(syn([HOSTS[4].client, HOSTS[4].from], 1_460, {}))).toEqual(written(syn([HOSTS[6].seen, HOSTS[6].to], 1_360, { hops: 63 })));
  });
});

it("IPv4 that would be longer than 65,535 bytes", () => {
  const packet = (length: number): Uint8Array => ip4Packet({ source: HOSTS[4].client, destination: HOSTS[4].from, protocol: GRE, fragment: DF }, data(length));
  for (const [length, lengths, drops] of [[65_495, [65_535], 0], [65_496, [], 1]] as const) {
    must("deliver", (engine) => engine.deliver(ID, [packet(length)]));
    expect(seen(() => gateway.step(1, [], [], true)).written.map((one) => one.length / 2)).toEqual(lengths);
    expect(gateway.counters().drops.translation).toBe(drops);
  }
});

describe("IPv6 as IPv4", () => {
  const ENDS = [[arrive, written, HOSTS[6].client, HOSTS[6].from, HOSTS[4].seen, HOSTS[4].to], [leave, sent, HOSTS[6].to, HOSTS[6].seen, HOSTS[4].from, HOSTS[4].seen]] as const;
  it.each(ENDS)("extension headers are skipped, but for those that would lead elsewhere", (go, out, source, destination, source4, destination4) => {
    const packet = (headers: readonly (readonly [number, Uint8Array])[]): Uint8Array => {
      const chain = headers.map(([, body], i) => concat(bytes(headers[i + 1]?.[0] ?? UDP), body));
      return ip6Packet({ source, destination, nextHeader: headers[0]?.[0] ?? UDP }, concat(...chain, sealTransport(source, destination, UDP, udp(data(9)))));
    };
    const header = (length = 0): Uint8Array => concat(bytes(length, 1, 4 + 8 * length), new Uint8Array(4 + 8 * length));
    const routing = (left: number): readonly [number, Uint8Array] => [43, bytes(0, 0, left, 0, 0, 0, 0)];
    const chains = [[[0, header()]], [[60, header(1)]], [routing(0)], [[0, header()], [60, header()], routing(0), [60, header(2)]]] as const;
    chains.forEach((chain, i) => expect(go(packet(chain))).toEqual(out(whole(source4, destination4, UDP, udp(data(9)), { hops: 63, fragment: 0, identification: i }))));
    const bad = go === arrive ? "inner-malformed" : "translation";
    for (const chain of [[routing(1)], Array.from({ length: 9 }, () => [60, header()] as const), [[60, bytes(200, 1, 4, 0, 0, 0, 0)] as const]]) expect(go(packet(chain))).toEqual(dropped(bad));
    // A header behind the fragment header is of what was put together (RFC 7915 §5.1.1).
    expect(go(packet([[44, bytes(0, 0, 0, 0, 0, 0, 9)], [60, header()]]))).toEqual(dropped("translation"));
    // A fragment that is all there is.
    expect(go(packet([[44, bytes(0, 0, 0, 0, 1, 0, 9)]]))).toEqual(out(whole(source4, destination4, UDP, udp(data(9)), { hops: 63, fragment: 0, identification: 9 })));
  });

  it("what would be too long for the flow is answered with 20 more, and never below 1,280", () => {
    for (const [mtu, told, length] of [[1_400, 1_420, 1_400], [1_270, 1_290, 1_270]] as const) {
      must("mtu", (engine) => engine.setFlow(HOSTS[4].seen, flowOf(4, { mtu })));
      const packet = whole(HOSTS[6].to, HOSTS[6].seen, UDP, udp(data(length - 27)));
      expect(leave(packet)).toEqual({ ...written(whole(HOSTS[6].seen, HOSTS[6].to, ICMP[6], error(2, 0, be32(told), packet.subarray(0, 1_232)))), drops: { "too-big": 1 } });
    }
    must("mtu", (engine) => engine.setFlow(HOSTS[4].seen, flowOf(4, { mtu: 576 })));
    const packet = whole(HOSTS[6].to, HOSTS[6].seen, UDP, udp(data(1_300)));
    expect(leave(packet)).toEqual({ ...written(whole(HOSTS[6].seen, HOSTS[6].to, ICMP[6], error(2, 0, be32(1_280), packet.subarray(0, 1_232)))), drops: { "too-big": 1 } });
    // As every link of IPv6 carries it, it is cut as IPv4.
    expect(leave(whole(HOSTS[6].to, HOSTS[6].seen, UDP, udp(data(1_232)))).sent).toHaveLength(3);
  });

  it("longer than any packet of IPv4", () => {
    const packet = (length: number): Uint8Array => ip6Packet({ source: HOSTS[6].client, destination: HOSTS[6].from, nextHeader: GRE }, data(length));
    must("deliver", (engine) => engine.deliver(ID, [packet(65_515)]));
    expect(seen(() => gateway.step(1, [], [], true)).written.map((one) => one.length / 2)).toEqual([65_535]);
    must("deliver", (engine) => engine.deliver(ID, [packet(65_516)]));
    expect(seen(() => gateway.step(1, [], [], true))).toEqual(written());
    expect(gateway.counters().drops.translation).toBe(1);
  });
});

describe.each([4, 6] as const)("for a client, IPv%i", (family) => {
  const [own, there] = [HOSTS[family], HOSTS[otherOf(family)]];
  const packet = whole(own.to, own.seen, UDP, udp(data(9)));
  const refusal = whole(own.seen, own.to, ICMP[family], error(family === 4 ? 3 : 1, family === 4 ? 1 : 3, be32(0), packet));

  it("errors of routers come from what the client sent to", () => {
    const quote = whole(own.seen, own.to, UDP, udp(data(9)));
    const about = (who: Uint8Array, what: Uint8Array): Seen => leave(whole(who, own.seen, ICMP[family], error(family === 4 ? 11 : 3, 0, be32(0), what)));
    const turned = whole(there.from, there.seen, ICMP[otherOf(family)], error(family === 4 ? 3 : 11, 0, be32(0), whole(there.seen, there.from, UDP, udp(data(9)))), { hops: 63, fragment: 0 });
    expect(about(own.router, quote)).toEqual(sent(turned));
    // About something else it is as it is.
    const other = whole(own.seen, own.router, UDP, udp(data(9)));
    expect(about(own.router, other)).toEqual(sent(whole(own.router, own.seen, ICMP[family], error(family === 4 ? 11 : 3, 0, be32(0), other))));
    expect(about(own.to, other)).toEqual(dropped("translation"));
  });

  it("only those whose flow passes packets on", () => {
    must("another flow", (engine) => engine.setFlow(own.other, flowOf(family)));
    expect(leave(whole(own.to, own.other, UDP, udp(data(9))))).toEqual(dropped("inner-address"));
    expect(leave(whole(own.router, own.seen, UDP, udp(data(9))))).toEqual(sent(whole(own.router, own.seen, UDP, udp(data(9)))));
  });

  it("a flow that waits or refuses: the sender hears of what it sent", () => {
    must("refuse", (engine) => engine.setFlow(there.seen, { action: "refuse" }));
    expect(leave(packet)).toEqual({ ...written(refusal), drops: { refused: 1 } });
    must("wait", (engine) => engine.setFlow(there.seen, { action: "setup" }));
    expect(leave(packet)).toEqual(sent());
    expect(gateway.upcalls).toMatchObject([{ kind: "flow-setup", address: there.seen, packet }]);
    must("discard", (engine) => engine.discard(there.seen, true));
    expect(seen(() => gateway.step(1, [], [], true))).toMatchObject(written(refusal));
    expect(leave(packet)).toEqual(sent());
    must("open", (engine) => engine.setFlow(there.seen, flowOf(otherOf(family))));
    // The one before has taken a number of IPv4, and was never sent.
    const number = otherOf(family) === 4 ? 3 : 0;
    expect(seen(() => gateway.step(1, [], [], true))).toEqual(sent(whole(there.from, there.seen, UDP, udp(data(9)), { hops: 63, fragment: 0, identification: number })));
    must("submit", (engine) => engine.submit([packet]));
    expect(seen(() => gateway.step(1, [], [], true)).sent).toHaveLength(1);
  });

  it("services of the flow that it takes, by what it has become", () => {
    const services = (strength: 0 | 1 | 2) => ({ services: [{ protocol: ICMP[otherOf(family)], ports: [], strength }], rest: null });
    must("services", (engine) => engine.setServices(there.seen, services(2)));
    expect(leave(packet)).toEqual({ ...written(refusal), drops: { policy: 1 } });
    expect(leave(whole(own.to, own.seen, ICMP[family], echo(family, true, 9))).sent).toHaveLength(1);
    must("services", (engine) => engine.setServices(there.seen, null));
    expect(leave(packet).sent).toHaveLength(1);
  });

  it("checksums to compute stay so, and trains of segments are made and taken", () => {
    for (const message of [tcp(data(40)), udp(data(40))]) {
      const protocol = message.length === 60 ? TCP : UDP;
      const partial = withPartialChecksum(whole(own.to, own.seen, protocol, message));
      expect(completedPacket(partial)).toEqual(whole(own.to, own.seen, protocol, message));
      const [got] = leave(partial, CHECKSUM.partial).sent;
      expect(got).toBe(hex([whole(there.from, there.seen, protocol, message, { hops: 63, fragment: 0, identification: otherOf(family) === 4 && protocol === UDP ? 1 : 0 })])[0]);
    }
    const long = withPartialChecksum(whole(own.to, own.seen, TCP, tcp(data(14_000))));
    const vnet = { flags: NEEDS_CHECKSUM, gsoType: family === 4 ? GSO.tcp4 : GSO.tcp6, headerBytes: HEADER_BYTES[family] + 20, gsoBytes: 1_400, checksumStart: HEADER_BYTES[family], checksumOffset: 16 };
    const pieces = packetsOfTrain(vnet, long) ?? [];
    expect(pieces).toHaveLength(10);
    const arrival = { vnetPacket: withVnet(vnet, long), packets: pieces.map((piece) => ({ bytes: piece, state: CHECKSUM.partial })) };
    const { sent: got } = seen(() => gateway.step(1, [arrival], [], true));
    const wanted = pieces.map((piece) => whole(there.from, there.seen, TCP, completedPacket(piece).subarray(HEADER_BYTES[family]), { hops: 63 }));
    expect(got).toEqual(hex(wanted));
  });

  it("a stream of the client becomes a train of the other family for the TUN", () => {
    const segments = Array.from({ length: 8 }, (_, i) => whole(own.client, own.from, TCP, edited(edited(tcp(data(1_300)), 4, ...be32(1 + 1_300 * i)), 13, 0x10)));
    const before = gateway.joinedPackets;
    const wanted = segments.map((segment) => whole(there.seen, there.to, TCP, segment.subarray(HEADER_BYTES[family]), { hops: 63 }));
    expect(arrive(...segments)).toEqual(written(...wanted));
    expect(gateway.joinedPackets - before).toBe(8);
  });
});

it("counters and last uses are those of the flows that packets took", () => {
  arrive(whole(HOSTS[4].client, HOSTS[4].from, UDP, udp(data(9))));
  expect(gateway.flowCounters(HOSTS[4].seen)).toMatchObject({ packetsIn: 1, bytesIn: 37, packetsOut: 0 });
  leave(whole(HOSTS[6].to, HOSTS[6].seen, UDP, udp(data(9))));
  expect(gateway.flowCounters(HOSTS[4].seen)).toMatchObject({ packetsIn: 1, packetsOut: 1, bytesOut: 37 });
  expect(gateway.flowCounters(HOSTS[6].seen)).toMatchObject({ packetsIn: 0, packetsOut: 0 });
  expect(gateway.lastUse(HOSTS[6].seen)).toBeUndefined();
});

it("in cleartext nothing is passed on, translated neither", () => {
  must("readable", (engine) => engine.setInbound(ID, { action: "tun", ...target, strength: 0 }));
  expect(arrive(whole(HOSTS[4].client, HOSTS[4].from, UDP, udp(data(9))))).toEqual(dropped("inner-address"));
});

describe.each([4, 6] as const)("another peer, IPv%i", (family) => {
  const [own, there] = [HOSTS[family], HOSTS[otherOf(family)]];
  const [own2, there2] = [SECOND[family], SECOND[otherOf(family)]];
  const packet = (source: Uint8Array, destination: Uint8Array): Uint8Array => whole(source, destination, UDP, udp(data(9)));
  let number: number;
  const made = (source: Uint8Array, destination: Uint8Array): Uint8Array => whole(source, destination, UDP, udp(data(9)), { hops: 63, fragment: 0, identification: number++ });
  const cross = (engine: Datapath): void => {
    for (const which of [4, 6] as const) engine.setForwarding(SECOND[which], true, SECOND[otherOf(which)]);
  };
  beforeEach(() => {
    number = 0;
    for (const which of [4, 6] as const) must("flow", (engine) => engine.setFlow(SECOND[which], flowOf(which)));
    must("forwarding", cross);
    const source = (which: Family) => ({ from: SECOND[which], to: SECOND[which] });
    must("inbound", (engine) => engine.setInbound(makeId(0x42, 2), { ...target, action: "tun", flow: SECOND[4], source4: source(4), source6: source(6) }));
  });
  const arrive2 = (one: Uint8Array): Seen => seen(() => gateway.step(1, [], [{ bytes: dataPacket({ ids: [makeId(0x42, 2)] }, one), segmentBytes: 0, endpoint: encodeEndpoint(LOCATORS[0]!), trafficClass: 0 }], true));

  it("has nothing of the first one's, either way", () => {
    expect(arrive2(packet(own2, own.from))).toEqual(written(packet(own2, own.from)));
    expect(leave(packet(own.to, own2))).toEqual(sent(packet(own.to, own2)));
    const about = whole(own.router, own2, ICMP[family], error(family === 4 ? 11 : 3, 0, be32(0), packet(own2, own.to)));
    expect(leave(about)).toEqual(sent(about));
  });

  it("calls so what is another host to the system, and another what the first one calls so, whatever becomes of the first one's", () => {
    // The first one's `from` is another server; its `to` has another name.
    must("another server", (engine) => engine.setTranslation(own2, own.from, there.other));
    must("another name", (engine) => engine.setTranslation(there2, there.other, own.to));
    const works = (): void => {
      expect(arrive2(packet(own2, own.from))).toEqual(written(made(there2, there.other)));
      expect(leave(packet(own.to, own2))).toEqual(sent(made(there.other, there2)));
    };
    works();
    expect(arrive(packet(own.client, own.from))).toEqual(written(made(there.seen, there.to)));
    expect(leave(packet(own.to, own.seen))).toEqual(sent(made(there.from, there.seen)));
    for (const which of [4, 6] as const) must("none", (engine) => engine.setTranslation(HOSTS[which].seen, HOSTS[which].from, null));
    expect(arrive(packet(own.client, own.from))).toEqual(written(packet(own.seen, own.from)));
    works();
  });

  it("keeps its own when its flow ends and comes again", () => {
    must("its own", (engine) => engine.setTranslation(own2, own.from, there.other));
    must("no flow", (engine) => engine.setFlow(own2, null));
    expect(arrive2(packet(own2, own.from))).toEqual(dropped("inner-address"));
    must("a flow", (engine) => engine.setFlow(own2, flowOf(family)));
    must("forwarding", cross);
    expect(arrive2(packet(own2, own.from))).toEqual(written(made(there2, there.other)));
  });
});

it("what cannot be is refused, and pairs are replaced whole", () => {
  const works = (act: Parameters<EnginePair["change"]>[1]): boolean => gateway.change("perhaps", act);
  const { from, to, other, seen: client } = HOSTS[4];
  expect(works((engine) => engine.setTranslation(client, from, to))).toBe(false);
  expect(works((engine) => engine.setTranslation(HOSTS[6].seen, HOSTS[6].from, HOSTS[6].to))).toBe(false);
  for (const flow of [HOSTS[6].seen, bytes(1)]) for (const far of [HOSTS[6].to, null]) expect(works((engine) => engine.setTranslation(flow, from, far))).toBe(false);
  expect(works((engine) => engine.setTranslation(client, bytes(1, 2, 3), HOSTS[6].to))).toBe(false);
  expect(works((engine) => engine.setTranslation(client, from, bytes()))).toBe(false);
  expect(works((engine) => engine.setTranslation(bytes(), bytes(), null))).toBe(false);
  expect(works((engine) => engine.setTranslation(client, other, null))).toBe(true);
  expect(works((engine) => engine.setTranslation(client, other, HOSTS[6].to))).toBe(false);
  expect(works((engine) => engine.setTranslation(client, from, HOSTS[6].to))).toBe(true);
  expect(works((engine) => engine.setForwarding(client, true, other))).toBe(false);
  expect(works((engine) => engine.setForwarding(client, true, bytes(1)))).toBe(false);
  expect(works((engine) => engine.setForwarding(other, true, HOSTS[6].seen))).toBe(false);
  expect(works((engine) => engine.setTranslation(client, from, HOSTS[6].other))).toBe(true);
  // The old one leads nowhere any more, and may be another's.
  expect(leave(whole(HOSTS[6].to, HOSTS[6].seen, UDP, udp(data(9)))).sent).toEqual(hex([whole(HOSTS[6].to, HOSTS[6].seen, UDP, udp(data(9)))]));
  expect(arrive(whole(HOSTS[4].client, from, UDP, udp(data(9))))).toEqual(written(whole(HOSTS[6].seen, HOSTS[6].other, UDP, udp(data(9)), { hops: 63 })));
  expect(works((engine) => engine.setTranslation(client, other, HOSTS[6].to))).toBe(true);
  expect(leave(whole(HOSTS[6].to, HOSTS[6].seen, UDP, udp(data(9))))).toEqual(sent(whole(other, HOSTS[4].seen, UDP, udp(data(9)), { hops: 63, fragment: 0 })));
});

it("65,536 translations, and no more", { timeout: 120_000 }, () => {
  const host = (i: number): Uint8Array => bytes(10, 64 + (i >> 16), (i >> 8) & 255, i & 255);
  const flow = (i: number): Uint8Array => bytes(10, 9, 0, i % 7);
  const far = (i: number): Uint8Array => concat(bytes(0x20, 1), new Uint8Array(10), be32(i));
  gateway.only((engine) => {
    for (let i = 0; i < LIMITS.translations - 2; i += 1) engine.setTranslation(flow(i), host(i), far(i));
  });
  expect(gateway.change("one more", (engine) => engine.setTranslation(flow(0), host(LIMITS.translations), far(LIMITS.translations)))).toBe(false);
  gateway.only((engine) => engine.setTranslation(flow(5), host(5), null));
  expect(gateway.change("in its place", (engine) => engine.setTranslation(flow(0), host(LIMITS.translations), far(5)))).toBe(true);
});

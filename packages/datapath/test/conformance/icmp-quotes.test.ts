/** ICMP errors from a peer must be about a packet between the two: each is judged the same by both engines, by every way that it can come. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeCipher } from "../../src/reference/esp-transforms.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { dataPacket, risen } from "../reference/harness.js";
import { be32, bytes, concat, data, icmp, ip4Packet, ip6Packet, packet, sealTransport, tcp, udp } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";
import { addressOf, idOf, LOCATORS, SPIS, TRANSFORMS, type Family } from "./pools.js";

const UDP = 17;
const TCP = 6;
const ICMP = { 4: 1, 6: 58 } as const;
/** Of the IPv4 and of the IPv6 header. */
const HEADER_BYTES = { 4: 20, 6: 40 } as const;
const WAYS = ["data", "ESP", "ESP in BEET"] as const;
const FROM = encodeEndpoint(LOCATORS[0]!);

/** The peer, this host and a stranger, as the peer sends them (`first` 0) and as programs here see them (2). */
interface Names {
  readonly peer: Uint8Array;
  readonly own: Uint8Array;
  readonly stranger: Uint8Array;
}
const namesOf = (family: Family, first: number): Names => ({ peer: addressOf(family, first), own: addressOf(family, first + 1), stranger: Uint8Array.from(addressOf(family, 0), (byte, i) => (i === 3 ? byte ^ 0x40 : byte)) });

interface Row {
  readonly what: string;
  readonly families: readonly Family[];
  /** The ICMP error's bytes behind its checksum and the four that follow. */
  readonly quote: (names: Names, family: Family) => Uint8Array;
  readonly types?: Partial<Record<Family, readonly number[]>>;
  readonly isDropped: boolean;
}
const BOTH = [4, 6] as const;
const TYPES = { 4: [3, 4, 5, 11, 12], 6: [1, 2, 3, 4, 100, 127] } as const;
const quoted = (source: Uint8Array, destination: Uint8Array, cut = Infinity): Uint8Array => packet(source, destination, UDP, sealTransport(source, destination, UDP, udp(data(30)))).subarray(0, cut);
const row = (what: string, isDropped: boolean, quote: Row["quote"], more: Partial<Row> = {}): Row => ({ what, isDropped, quote, families: BOTH, ...more });

const ROWS: readonly Row[] = [
  row("what this host sent to the peer", false, ({ own, peer }) => quoted(own, peer)),
  row("TCP that this host sent to the peer", false, ({ own, peer }) => packet(own, peer, TCP, sealTransport(own, peer, TCP, tcp(data(30))))),
  row("its header and 8 bytes", false, ({ own, peer }, family) => quoted(own, peer, HEADER_BYTES[family] + 8)),
  row("its header alone", false, ({ own, peer }, family) => quoted(own, peer, HEADER_BYTES[family])),
  row("what this host sent to another", true, ({ own, stranger }) => quoted(own, stranger)),
  row("what another sent to the peer", true, ({ stranger, peer }) => quoted(stranger, peer)),
  row("what the peer sent to this host", true, ({ own, peer }) => quoted(peer, own)),
  row("a packet of others", true, ({ stranger }) => quoted(stranger, Uint8Array.from(stranger).reverse())),
  row("less than a header", true, ({ own, peer }, family) => quoted(own, peer, HEADER_BYTES[family] - 1)),
  row("nothing", true, () => bytes()),
  row("a packet of the other family", true, (_, family) => quoted(addressOf(family === 4 ? 6 : 4, 1), addressOf(family === 4 ? 6 : 4, 0))),
  row("a version that is none", true, ({ own, peer }) => Uint8Array.from(quoted(own, peer), (byte, i) => (i === 0 ? (byte & 0x0f) | 0x50 : byte))),
  row("a header shorter than there is", true, ({ own, peer }) => Uint8Array.from(quoted(own, peer), (byte, i) => (i === 0 ? 0x44 : byte)), { families: [4] }),
  row("a stranger's packet, in what is no error", false, ({ stranger }) => quoted(stranger, stranger), { types: { 4: [0, 8, 13, 30], 6: [128, 129, 133, 255] } }),
];

/** An error is rewritten with what it quotes; anything else is not looked into. */
const CASES = ROWS.flatMap((one) => one.families.flatMap((family) => (one.types ?? TYPES)[family]?.map((type) => ({ ...one, family, type })) ?? []));

describe.each(WAYS)("ICMP errors by %s", (way) => {
  describe.each([true, false])("addresses changed: %s", (changes) => {
    let pair: EnginePair;
    let sequence = 0n;
    const shift = changes ? 2 : 0;
    beforeEach(() => {
      pair = new EnginePair();
      sequence = 0n;
      const change = (family: Family, index: number): { from: Uint8Array; to: Uint8Array } => ({ from: addressOf(family, index), to: addressOf(family, index + shift) });
      const target = { flow: addressOf(4, 1), source4: change(4, 0), destination4: change(4, 1), source6: change(6, 0), destination6: change(6, 1) };
      pair.change("setInbound", (engine) => engine.setInbound(idOf(1), { action: "tun", ...target }));
      for (const [i, family] of BOTH.entries()) {
        const beet = way === "ESP in BEET" ? family : null;
        pair.change("setInboundAssociation", (engine) => engine.setInboundAssociation(SPIS[i] ?? SPIS[0], { transform: TRANSFORMS[0]!, beet, checksumState: false, ...target }));
      }
    });
    afterEach(() => pair.close());

    function sealed(inner: Uint8Array, family: Family): Uint8Array {
      const cipher = makeCipher(TRANSFORMS[0]!);
      const isBeet = way === "ESP in BEET";
      const payload = isBeet ? inner.subarray(HEADER_BYTES[family]) : inner;
      const padding = (4 - ((payload.length + 2) % 4)) % 4;
      const text = concat(payload, Uint8Array.from({ length: padding }, (_, i) => i + 1), bytes(padding, isBeet ? ICMP[family] : family === 4 ? 4 : 41));
      const out = Buffer.from(concat(be32(family === 4 ? SPIS[0] : SPIS[1]), be32(Number(++sequence)), new Uint8Array(cipher.ivBytes), text, new Uint8Array(16)));
      cipher.seal(out, sequence);
      return out;
    }
    function arrive(inner: Uint8Array, family: Family): { readonly packets: readonly string[]; readonly drops: object } {
      const before = pair.counters().drops;
      const datagram = way === "data" ? dataPacket({ ids: [idOf(1)] }, inner) : sealed(inner, family);
      pair.step(1, [], [{ bytes: datagram, segmentBytes: 0, endpoint: FROM, trafficClass: 0 }], true);
      return { packets: pair.written.map((written) => Buffer.from(written).toString("hex")), drops: risen(before, pair.counters().drops) };
    }
    // As BEET would make the header again.
    const between = ({ peer, own }: Names, family: Family, message: Uint8Array): Uint8Array =>
      family === 4
        ? ip4Packet({ source: peer, destination: own, protocol: 1, fragment: 0x4000, identification: 0, ttl: 64 }, sealTransport(peer, own, 1, message))
        : ip6Packet({ source: peer, destination: own, nextHeader: 58, hopLimit: 64 }, sealTransport(peer, own, 58, message));
    const errorOf = (one: (typeof CASES)[number], first: number): Uint8Array => {
      const names = namesOf(one.family, first);
      return between(names, one.family, icmp(one.type, 4, concat(bytes(0, 0, 0, 68), one.quote(names, one.family))));
    };

    it.each(CASES)("type $type of IPv$family that quotes $what", (one) => {
      const isError = one.types === undefined;
      const expected = one.isDropped ? [] : [errorOf(one, shift)];
      const { packets, drops } = arrive(errorOf(one, 0), one.family);
      expect(drops).toEqual(one.isDropped ? { "inner-address": 1 } : {});
      expect(packets).toEqual(expected.map((written) => Buffer.from(written).toString("hex")));
      expect(isError || packets.length === 1).toBe(true);
    });

    if (way === "ESP in BEET") return;

    // Put together again by the system, it would quote what no engine has seen.
    it("an error in fragments is dropped when the first does not hold the quoted header", () => {
      const names = namesOf(4, 0);
      const whole = sealTransport(names.peer, names.own, 1, icmp(3, 4, concat(bytes(0, 0, 0, 68), quoted(names.own, names.stranger))));
      const piece = (word: number, first: number, last: number): Uint8Array => ip4Packet({ source: names.peer, destination: names.own, protocol: 1, fragment: word | (first / 8) }, whole.subarray(first, last));
      expect(arrive(piece(0x2000, 0, 8), 4).drops).toEqual({ "inner-address": 1 });
      expect(arrive(piece(0x2000, 0, 24), 4).drops).toEqual({ "inner-address": 1 });
      expect(arrive(piece(0x2000, 0, 32), 4).drops).toEqual({ "inner-address": 1 });
      expect(arrive(piece(0, 8, 64), 4)).toMatchObject({ drops: {} });
    });

    it("IPv6: behind extension headers too", () => {
      const names = namesOf(6, 0);
      const error = (quote: Uint8Array): Uint8Array => sealTransport(names.peer, names.own, 58, icmp(2, 0, concat(bytes(0, 0, 5, 0), quote)));
      const behind = (message: Uint8Array): Uint8Array => ip6Packet({ source: names.peer, destination: names.own, nextHeader: 60 }, concat(bytes(44, 0, 1, 4, 0, 0, 0, 0), bytes(58, 0, 0, 1, 0, 0, 0, 9), message));
      expect(arrive(behind(error(quoted(names.own, names.stranger))), 6)).toEqual({ packets: [], drops: { "inner-address": 1 } });
      expect(arrive(behind(error(quoted(names.own, names.peer))), 6)).toMatchObject({ drops: {} });
      expect(arrive(behind(error(bytes())), 6)).toEqual({ packets: [], drops: { "inner-address": 1 } });
    });
  });
});

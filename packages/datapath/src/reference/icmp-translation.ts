/** ICMP as ICMPv6 and the other way round (RFC 7915 §4.2, §5.2): echo, and errors with the packet that they quote (§4.3, §5.3). */
import { adjustChecksum, adjustUdpChecksum, fold, sumWords, wordDelta } from "./checksum.js";
import { IPV4, IPV6, PROTOCOL } from "./inner-packet.js";
import { put16, put32, u16, u32, u8 } from "./octets.js";
import { addressesDelta, addressesOf, hasCounterpart, icmpOf, isWhole, madeHeaderBytes, MAX_PACKET_BYTES, pseudoSumOf, putTranslationHeader, readTranslationHeader, type AddressPair, type TranslationHeader } from "./translation-header.js";

const HEADER_BYTES = 8;
const AT = { type: 0, code: 1, checksum: 2, rest: 4, mtu4: 6, quote: 8 } as const;
const ICMP4 = { echoReply: 0, unreachable: 3, echo: 8, timeExceeded: 11, parameterProblem: 12 } as const;
const ICMP6 = { unreachable: 1, tooBig: 2, timeExceeded: 3, parameterProblem: 4, echo: 128, echoReply: 129 } as const;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const LEAST_MTU6 = 1_280;
const DIFFERENCE = IPV6.headerBytes - IPV4.minBytes;
/** RFC 1191 §7.1: for routers that do not say how much passes. */
const PLATEAUS = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006];

const ECHO = {
  4: new Map<number, number>([[ICMP4.echo, ICMP6.echo], [ICMP4.echoReply, ICMP6.echoReply]]),
  6: new Map<number, number>([[ICMP6.echo, ICMP4.echo], [ICMP6.echoReply, ICMP4.echoReply]]),
} as const;
const echoOf = (version: number, type: number): number | undefined => ECHO[version === 4 ? 4 : 6].get(type);

/** Destination unreachable of IPv4, by code: type and code of ICMPv6. Code 4 is of its own. */
const UNREACHABLE6 = new Map<number, readonly [type: number, code: number]>([
  ...[0, 1, 5, 6, 7, 8, 11, 12].map((code) => [code, [ICMP6.unreachable, 0]] as const),
  [2, [ICMP6.parameterProblem, 1]], [3, [ICMP6.unreachable, 4]], ...[9, 10, 13, 15].map((code) => [code, [ICMP6.unreachable, 1]] as const),
]);
/** And of IPv6: code of IPv4. */
const UNREACHABLE4 = [1, 10, 1, 1, 3] as const;

/** RFC 7915, figures 3 and 6: where the same thing stands in the other header. */
const POINTER6 = new Map<number, number>([
  [0, 0], [1, 1], [2, IPV6.payloadLength], [3, IPV6.payloadLength], [IPV4.ttl, IPV6.hopLimit], [IPV4.protocol, IPV6.nextHeader],
  ...[0, 1, 2, 3].flatMap((i) => [[IPV4.source + i, IPV6.source], [IPV4.destination + i, IPV6.destination]] as const),
]);
const POINTER4 = new Map<number, number>([
  [0, 0], [1, 1], [4, IPV4.totalLength], [5, IPV4.totalLength], [IPV6.nextHeader, IPV4.protocol], [IPV6.hopLimit, IPV4.ttl],
  ...Array.from({ length: 16 }, (_, i) => [[IPV6.source + i, IPV4.source], [IPV6.destination + i, IPV4.destination]] as const).flat(),
]);

/** Type, code, and the four bytes behind the checksum. */
type Head = readonly [type: number, code: number, rest: number];

function head6(message: Buffer): Head | null {
  const [type, code] = [u8(message, AT.type), u8(message, AT.code)];
  if (type === ICMP4.unreachable && code === 4) return [ICMP6.tooBig, 0, mtu6Of(message)];
  if (type === ICMP4.unreachable) {
    const [type6, code6] = UNREACHABLE6.get(code) ?? [];
    return type6 === undefined || code6 === undefined ? null : [type6, code6, type6 === ICMP6.parameterProblem ? IPV6.nextHeader : 0];
  }
  if (type === ICMP4.timeExceeded) return [ICMP6.timeExceeded, code, 0];
  const pointer = type === ICMP4.parameterProblem && (code === 0 || code === 2) ? POINTER6.get(u8(message, AT.rest)) : undefined;
  return pointer === undefined ? null : [ICMP6.parameterProblem, 0, pointer];
}

function mtu6Of(message: Buffer): number {
  const told = u16(message, AT.mtu4);
  const total = message.length < AT.quote + IPV4.minBytes ? 0 : u16(message, AT.quote + IPV4.totalLength);
  const mtu = told !== 0 ? told : (PLATEAUS.find((plateau) => plateau < total) ?? 0);
  return Math.max(mtu + DIFFERENCE, LEAST_MTU6);
}

function head4(message: Buffer): Head | null {
  const [type, code, value] = [u8(message, AT.type), u8(message, AT.code), u32(message, AT.rest)];
  if (type === ICMP6.unreachable) {
    const code4 = UNREACHABLE4[code];
    return code4 === undefined ? null : [ICMP4.unreachable, code4, 0];
  }
  // IPv6 has no shorter ones than 1,280; who says so may lie.
  if (type === ICMP6.tooBig) return [ICMP4.unreachable, 4, Math.min(Math.max(value, LEAST_MTU6) - DIFFERENCE, 0xffff)];
  if (type === ICMP6.timeExceeded) return [ICMP4.timeExceeded, code, 0];
  if (type === ICMP6.parameterProblem && code === 1) return [ICMP4.unreachable, 2, 0];
  const pointer = type === ICMP6.parameterProblem && code === 0 ? POINTER4.get(value) : undefined;
  return pointer === undefined ? null : [ICMP4.parameterProblem, 0, pointer * 2 ** 24];
}

export interface IcmpEnds {
  /** Of what is translated. */
  readonly version: number;
  /** As the message's IP header has them. */
  readonly own: AddressPair;
  /** As in `TranslatedEnds`. */
  readonly before: AddressPair;
  readonly after: AddressPair;
}

/**
 * The message; of an error no more than `most` bytes. null: there is no such message in the other family, or it is about something else than a packet from `before.destination` to
 * `before.source`. A wrong checksum stays wrong.
 */
export function translateIcmp(message: Buffer, most: number, ends: IcmpEnds): Buffer | null {
  if (message.length < HEADER_BYTES) return null;
  const echo = echoOf(ends.version, u8(message, AT.type));
  const made = echo === undefined ? translateError(message, most, ends) : Buffer.from(message);
  if (made === null) return null;
  if (echo !== undefined) made[AT.type] = echo;
  put16(made, AT.checksum, 0);
  // What was wrong with the old one is wrong with the new one.
  const oldPseudo = ends.version === 6 ? pseudoSumOf(ends.own, PROTOCOL.icmp6, message.length) : 0;
  const newPseudo = ends.version === 4 ? pseudoSumOf(ends.after, PROTOCOL.icmp6, made.length) : 0;
  const wrong = ~fold(sumWords(message, 0, message.length) + oldPseudo) & 0xffff;
  put16(made, AT.checksum, ~fold(wrong + sumWords(made, 0, made.length) + newPseudo) & 0xffff);
  return made;
}

function translateError(message: Buffer, most: number, ends: IcmpEnds): Buffer | null {
  const head = ends.version === 4 ? head6(message) : head4(message);
  const quoted = head === null ? null : translateQuote(quoteOf(message, ends.version), most - AT.quote, ends);
  if (head === null || quoted === null) return null;
  const made = Buffer.alloc(AT.quote + quoted.length);
  [made[AT.type], made[AT.code]] = head;
  put32(made, AT.rest, head[2]);
  quoted.copy(made, AT.quote);
  return made;
}

/** Without what RFC 4884 puts behind it, whose place would have to be told in other units. */
function quoteOf(message: Buffer, version: number): Buffer {
  const type = u8(message, AT.type);
  const isLong4 = type === ICMP4.unreachable || type === ICMP4.timeExceeded || type === ICMP4.parameterProblem;
  const isLong6 = type === ICMP6.unreachable || type === ICMP6.timeExceeded;
  const length = version === 4 ? (isLong4 ? u8(message, 5) * 4 : 0) : isLong6 ? u8(message, 4) * 8 : 0;
  return length === 0 ? message.subarray(AT.quote) : message.subarray(AT.quote, AT.quote + length);
}

/** What went the other way: from `before.destination` to `before.source`. */
function translateQuote(quote: Buffer, most: number, { version, before, after }: IcmpEnds): Buffer | null {
  const header = readTranslationHeader(quote);
  if (header === null || header.version !== version) return null;
  const own = addressesOf(quote);
  if (!own.source.equals(before.destination) || !own.destination.equals(before.source)) return null;
  if (version === 6 && IPV4.minBytes + header.payloadBytes > MAX_PACKET_BYTES) return null;
  const headerBytes = madeHeaderBytes(header);
  const rest = quote.subarray(header.payloadAt);
  const made = Buffer.alloc(headerBytes + Math.min(rest.length, most - headerBytes));
  rest.copy(made, headerBytes);
  const turned = { source: after.destination, destination: after.source };
  if (!mendQuoted(made.subarray(headerBytes), header, own, turned)) return null;
  putTranslationHeader(made, header, turned, header.payloadBytes, null);
  return made;
}

/** A checksum that is half quoted stays. */
function mendQuoted(segment: Buffer, header: TranslationHeader, own: AddressPair, after: AddressPair): boolean {
  if (header.next === icmpOf(header.version)) return mendQuotedIcmp(segment, header, own, after);
  if (!hasCounterpart(header.next)) return false;
  if (header.offset !== 0) return true;
  const delta = addressesDelta(own, after);
  if (header.next === PROTOCOL.tcp && TCP_CHECKSUM + 2 <= segment.length) adjustChecksum(segment, TCP_CHECKSUM, delta);
  if (header.next === PROTOCOL.udp && UDP_CHECKSUM + 2 <= segment.length) adjustUdpChecksum(segment, UDP_CHECKSUM, delta);
  return true;
}

/** Only echo: no error is about an error (RFC 1122 §3.2.2, RFC 4443 §2.4 e). */
function mendQuotedIcmp(message: Buffer, header: TranslationHeader, own: AddressPair, after: AddressPair): boolean {
  if (message.length === 0) return true;
  const before = u8(message, AT.type);
  const type = echoOf(header.version, before);
  if (type === undefined || !isWhole(header)) return false;
  message[AT.type] = type;
  if (message.length < AT.checksum + 2) return true;
  const pseudo = header.version === 4 ? pseudoSumOf(after, PROTOCOL.icmp6, header.payloadBytes) : ~pseudoSumOf(own, PROTOCOL.icmp6, header.payloadBytes) & 0xffff;
  adjustChecksum(message, AT.checksum, fold(wordDelta(before << 8, type << 8) + pseudo));
  return true;
}

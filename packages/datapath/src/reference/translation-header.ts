/** What a packet's IP header says in both families (RFC 7915 §4.1, §5.1). */
import { fold, sumWords } from "./checksum.js";
import { IPV4, IPV6, PROTOCOL, innerVersion, ipv4HeaderBytes } from "./inner-packet.js";
import { put16, put32, putBytes, u16, u32, u8 } from "./octets.js";
import { trafficClassOf } from "./traffic-class.js";
import { MAX_EXTENSION_HEADERS } from "./transport.js";

export interface AddressPair {
  readonly source: Buffer;
  readonly destination: Buffer;
}

export interface TranslationHeader {
  readonly version: number;
  readonly trafficClass: number;
  readonly hops: number;
  /** With options or extension headers skipped. */
  readonly next: number;
  readonly payloadAt: number;
  /** By the header: of a quoted packet there may be less. */
  readonly payloadBytes: number;
  /** IPv4 has offset or MF, IPv6 a fragment header, perhaps of all there is. */
  readonly isFragment: boolean;
  readonly more: boolean;
  /** In units of 8 bytes. */
  readonly offset: number;
  readonly identification: number;
}

/** Gives numbers to IPv4 packets that may be fragmented: none comes again within 65,536 (RFC 6864 §4.3). */
export class Identifications {
  #next = 0;

  take(): number {
    const taken = this.#next;
    this.#next = (taken + 1) & 0xffff;
    return taken;
  }
}

/** RFC 7915 §5.1: what IPv6 carries whole and IPv4 may not. */
const LEAST_WITHOUT_CUTTING = 1_260;
export const FRAGMENT_HEADER_BYTES = 8;
/** Of IPv4; and no TUN yields or takes more. */
export const MAX_PACKET_BYTES = 65_535;
const FLAG4 = { dontFragment: 0x4000, more: 0x2000, offset: 0x1fff } as const;
/** Where the identification of IPv4 stands. */
export const IDENTIFICATION4 = 4;
const SKIPPED = [PROTOCOL.hopByHop, PROTOCOL.routing, PROTOCOL.destinationOptions] as readonly number[];
const isSkipped = (next: number): boolean => SKIPPED.includes(next);
const WITHOUT_COUNTERPART = [...SKIPPED, PROTOCOL.fragment, PROTOCOL.nothing, PROTOCOL.icmp, PROTOCOL.icmp6];

/** Not so for numbers of extension headers, of no payload, and of the ICMP of the other family: there they would mean something else. */
export const hasCounterpart = (next: number): boolean => !WITHOUT_COUNTERPART.includes(next);
export const isWhole = ({ more, offset }: TranslationHeader): boolean => !more && offset === 0;
export const icmpOf = (version: number): number => (version === 4 ? PROTOCOL.icmp : PROTOCOL.icmp6);
/** Of the header that is made of it. */
export const madeHeaderBytes = ({ version, isFragment }: TranslationHeader): number => (version === 6 ? IPV4.minBytes : IPV6.headerBytes + (isFragment ? FRAGMENT_HEADER_BYTES : 0));
export const addressesOf = (packet: Buffer): AddressPair =>
  innerVersion(packet, 0) === 4
    ? { source: packet.subarray(IPV4.source, IPV4.destination), destination: packet.subarray(IPV4.destination, IPV4.minBytes) }
    : { source: packet.subarray(IPV6.source, IPV6.destination), destination: packet.subarray(IPV6.destination, IPV6.headerBytes) };

/** null: it is not whole, cannot be walked, or leads elsewhere (segments left). */
export function readTranslationHeader(packet: Buffer): TranslationHeader | null {
  if (packet.length === 0) return null;
  const version = innerVersion(packet, 0);
  return version === 4 ? read4(packet) : version === 6 ? read6(packet) : null;
}

function read4(packet: Buffer): TranslationHeader | null {
  const header = packet.length < IPV4.minBytes ? 0 : ipv4HeaderBytes(packet, 0);
  if (header < IPV4.minBytes || header > packet.length || u16(packet, IPV4.totalLength) < header) return null;
  const word = u16(packet, IPV4.fragment);
  return {
    version: 4, trafficClass: trafficClassOf(packet, 0), hops: u8(packet, IPV4.ttl), next: u8(packet, IPV4.protocol), payloadAt: header, payloadBytes: u16(packet, IPV4.totalLength) - header,
    isFragment: (word & (FLAG4.more | FLAG4.offset)) !== 0, more: (word & FLAG4.more) !== 0, offset: word & FLAG4.offset, identification: u16(packet, IDENTIFICATION4),
  };
}

function read6(packet: Buffer): TranslationHeader | null {
  if (packet.length < IPV6.headerBytes) return null;
  let next = u8(packet, IPV6.nextHeader);
  let at: number = IPV6.headerBytes;
  for (let walked = 0; isSkipped(next); walked++) {
    if (walked === MAX_EXTENSION_HEADERS || at + 8 > packet.length) return null;
    if (next === PROTOCOL.routing && u8(packet, at + 3) !== 0) return null;
    next = u8(packet, at);
    at += (u8(packet, at + 1) + 1) * 8;
  }
  const fragmentAt = next === PROTOCOL.fragment ? at : -1;
  if (fragmentAt >= 0) {
    if (at + FRAGMENT_HEADER_BYTES > packet.length) return null;
    next = u8(packet, at);
    at += FRAGMENT_HEADER_BYTES;
  }
  const end = IPV6.headerBytes + u16(packet, IPV6.payloadLength);
  if (at > packet.length || at > end) return null;
  const word = fragmentAt >= 0 ? u16(packet, fragmentAt + 2) : 0;
  return {
    version: 6, trafficClass: trafficClassOf(packet, 0), hops: u8(packet, IPV6.hopLimit), next, payloadAt: at, payloadBytes: end - at,
    isFragment: fragmentAt >= 0, more: (word & 1) !== 0, offset: word >>> 3, identification: fragmentAt >= 0 ? u32(packet, fragmentAt + 4) : 0,
  };
}

/** Writes the header of {@link madeHeaderBytes} before `payloadBytes`. `identifications` null: of a quoted packet. */
export function putTranslationHeader(out: Buffer, header: TranslationHeader, after: AddressPair, payloadBytes: number, identifications: Identifications | null): void {
  const hops = identifications === null ? header.hops : header.hops - 1;
  const isIcmp = header.next === icmpOf(header.version);
  if (header.version === 4) put6(out, header, after, payloadBytes, isIcmp ? PROTOCOL.icmp6 : header.next, hops);
  else put4(out, header, after, payloadBytes, isIcmp ? PROTOCOL.icmp : header.next, hops, identifications);
}

function put6(out: Buffer, { trafficClass, isFragment, more, offset, identification }: TranslationHeader, after: AddressPair, payloadBytes: number, next: number, hops: number): void {
  put32(out, 0, (0x6000_0000 | (trafficClass << 20)) >>> 0);
  put16(out, IPV6.payloadLength, payloadBytes + (isFragment ? FRAGMENT_HEADER_BYTES : 0));
  out[IPV6.nextHeader] = isFragment ? PROTOCOL.fragment : next;
  out[IPV6.hopLimit] = hops;
  putBytes(out, IPV6.source, after.source);
  putBytes(out, IPV6.destination, after.destination);
  if (!isFragment) return;
  put16(out, IPV6.headerBytes, next << 8);
  put16(out, IPV6.headerBytes + 2, (offset << 3) | (more ? 1 : 0));
  put32(out, IPV6.headerBytes + 4, identification);
}

function put4(out: Buffer, header: TranslationHeader, after: AddressPair, payloadBytes: number, next: number, hops: number, identifications: Identifications | null): void {
  const total = IPV4.minBytes + payloadBytes;
  const { isFragment, more, offset } = header;
  const word = isFragment ? offset | (more ? FLAG4.more : 0) : identifications !== null && total <= LEAST_WITHOUT_CUTTING ? 0 : FLAG4.dontFragment;
  // One that is never fragmented needs none (RFC 6864 §4.1).
  const identification = isFragment ? header.identification & 0xffff : word === 0 ? (identifications?.take() ?? 0) : 0;
  put16(out, 0, 0x4500 | header.trafficClass);
  put16(out, IPV4.totalLength, total);
  put16(out, IDENTIFICATION4, identification);
  put16(out, IPV4.fragment, word);
  out[IPV4.ttl] = hops;
  out[IPV4.protocol] = next;
  put16(out, IPV4.checksum, 0);
  putBytes(out, IPV4.source, after.source);
  putBytes(out, IPV4.destination, after.destination);
  put16(out, IPV4.checksum, ~sumWords(out, 0, IPV4.minBytes) & 0xffff);
}

const sumOf = ({ source, destination }: AddressPair): number => sumWords(source, 0, source.length) + sumWords(destination, 0, destination.length);
/** The delta of addresses that become others. */
export const addressesDelta = (before: AddressPair, after: AddressPair): number => fold((~fold(sumOf(before)) & 0xffff) + sumOf(after));
/** The folded sum of the pseudo-header of IPv6 (RFC 8200 §8.1), or of IPv4. */
export const pseudoSumOf = (ends: AddressPair, next: number, bytes: number): number => fold(sumOf(ends) + next + bytes);

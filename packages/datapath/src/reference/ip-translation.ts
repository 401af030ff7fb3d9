/**
 * A packet of IPv4 as one of IPv6 and the other way round (RFC 7915; docs/datapath.md, "Translation"), a copy: the two differ in length.
 *
 *     | IPv4 20, options | TCP, UDP, ICMP … |      ↔      | IPv6 40 | fragment header 8 or none | TCP, UDP, ICMPv6 … |
 */
import { adjustChecksum, adjustPartial, adjustUdpChecksum, fold, sumWords } from "./checksum.js";
import { translateIcmp } from "./icmp-translation.js";
import { IPV4, IPV6, PROTOCOL, hasRefusedOptions4, innerVersion, type InnerPacket } from "./inner-packet.js";
import { isUnfragmentable4 } from "./fragments.js";
import { put16, put32, u16, u32, u8 } from "./octets.js";
import { CHECKSUM } from "./step.js";
import { addressesDelta, addressesOf, FRAGMENT_HEADER_BYTES, hasCounterpart, icmpOf, isWhole, madeHeaderBytes, MAX_PACKET_BYTES, pseudoSumOf, putTranslationHeader, readTranslationHeader, type AddressPair, type Identifications, type TranslationHeader } from "./translation-header.js";

/** What every link of IPv6 carries; what may be fragmented is never longer towards links that are not known (RFC 7915 §4). */
export const TRANSLATED_PIECE_BYTES = 1_280;
const UDP = { headerBytes: 8, length: 4, checksum: 6 } as const;
const TCP = { checksum: 16 } as const;

/** Between whom it is, which the source of an ICMP error need not say (what that quotes is from the one to the other), and is to be. */
export interface TranslatedEnds {
  readonly before: AddressPair;
  readonly after: AddressPair;
}

export const hopsLeft = (packet: Buffer): number => u8(packet, innerVersion(packet, 0) === 4 ? IPV4.ttl : IPV6.hopLimit);
/** IPv4 that routers may cut, so that IPv6 made of it may be too. */
export const mayBeCut = (packet: Buffer): boolean => innerVersion(packet, 0) === 4 && !isUnfragmentable4(packet, 0);

/**
 * The packet (as long as its header says, its checksum of this {@link CHECKSUM} state), a hop less to go. null: it has no meaning in the other family (RFC 7915 §4, §5), or its checksum
 * cannot be mended. `identifications`: of IPv4 packets that may be fragmented.
 */
export function translatePacket(packet: Buffer, ends: TranslatedEnds, state: number, identifications: Identifications): Buffer | null {
  const header = readTranslationHeader(packet);
  if (header === null || (header.version === 4 && hasRefusedOptions4(packet, 0))) return null;
  const payload = packet.subarray(header.payloadAt);
  const made = header.next === icmpOf(header.version) ? icmpPayload(header, payload, addressesOf(packet), ends) : otherPayload(header, payload, addressesDelta(addressesOf(packet), ends.after), ends.after, state);
  const headerBytes = madeHeaderBytes(header);
  if (made === null || headerBytes + made.length > MAX_PACKET_BYTES) return null;
  const out = Buffer.alloc(headerBytes + made.length);
  made.copy(out, headerBytes);
  putTranslationHeader(out, header, ends.after, made.length, identifications);
  return out;
}

/** The checksum of ICMPv6 is over what fragments do not show (RFC 7915 §1.2). */
function icmpPayload(header: TranslationHeader, payload: Buffer, own: AddressPair, ends: TranslatedEnds): Buffer | null {
  if (!isWhole(header)) return null;
  return translateIcmp(payload, header.version === 4 ? TRANSLATED_PIECE_BYTES - madeHeaderBytes(header) : Infinity, { version: header.version, own, ...ends });
}

function otherPayload(header: TranslationHeader, payload: Buffer, delta: number, after: AddressPair, state: number): Buffer | null {
  if (!hasCounterpart(header.next)) return null;
  const made = Buffer.from(payload);
  return mendTransport(made, header, delta, after, state) ? made : null;
}

/** False: the checksum is not there, or cannot be made. */
function mendTransport(segment: Buffer, header: TranslationHeader, delta: number, after: AddressPair, state: number): boolean {
  const isUdp = header.next === PROTOCOL.udp;
  if (header.offset !== 0 || (header.next !== PROTOCOL.tcp && !isUdp)) return true;
  const field = isUdp ? UDP.checksum : TCP.checksum;
  if (field + 2 > segment.length) return false;
  if (state === CHECKSUM.partial) adjustPartial(segment, field, delta);
  else if (!isUdp) adjustChecksum(segment, field, delta);
  else if (header.version === 4 && u16(segment, field) === 0) return computeUdpChecksum(segment, header, after);
  else adjustUdpChecksum(segment, field, delta);
  return true;
}

/** Of UDP over IPv4 without a checksum, which IPv6 wants (RFC 7915 §4.5). False: there is only a part of what it covers. */
function computeUdpChecksum(datagram: Buffer, header: TranslationHeader, after: AddressPair): boolean {
  const length = u16(datagram, UDP.length);
  if (!isWhole(header) || length < UDP.headerBytes || length > datagram.length) return false;
  const sum = ~fold(pseudoSumOf(after, PROTOCOL.udp, length) + sumWords(datagram, 0, length)) & 0xffff;
  put16(datagram, UDP.checksum, sum === 0 ? 0xffff : sum);
  return true;
}

/** Where the data begin that can be cut, of an IPv6 packet that {@link translatePacket} made. */
export const dataOffset6 = (packet: Buffer): number => IPV6.headerBytes + (isFragment6(packet) ? FRAGMENT_HEADER_BYTES : 0);
const isFragment6 = (packet: Buffer): boolean => u8(packet, IPV6.nextHeader) === PROTOCOL.fragment;
const fragmentWord6 = (packet: Buffer): number => (isFragment6(packet) ? u16(packet, IPV6.headerBytes + 2) : 0);

/** A fragment that would end beyond the largest packet is no fragment of any. */
export const canCut6 = (packet: Buffer): boolean => (fragmentWord6(packet) & 0xfff8) + packet.length - dataOffset6(packet) <= 65_535;

/** The fragments of such a packet that {@link canCut6}, each of at most `most` bytes (RFC 8200 §4.5). `identification`: of one that was no fragment yet. Its checksum must be complete. */
export function cutPacket6(packet: Buffer, most: number, identification: number): readonly InnerPacket[] {
  const pieceBytes = Math.floor((most - IPV6.headerBytes - FRAGMENT_HEADER_BYTES) / 8) * 8;
  const pieces: InnerPacket[] = [];
  for (let at = dataOffset6(packet); at < packet.length; at += pieceBytes) pieces.push(makeFragment6(packet, at, Math.min(pieceBytes, packet.length - at), identification));
  return pieces;
}

function makeFragment6(packet: Buffer, at: number, length: number, identification: number): InnerPacket {
  const before = fragmentWord6(packet);
  const headerBytes = IPV6.headerBytes + FRAGMENT_HEADER_BYTES;
  const out = Buffer.alloc(headerBytes + length);
  packet.copy(out, 0, 0, IPV6.headerBytes);
  put16(out, IPV6.payloadLength, FRAGMENT_HEADER_BYTES + length);
  out[IPV6.nextHeader] = PROTOCOL.fragment;
  out[IPV6.headerBytes] = u8(packet, isFragment6(packet) ? IPV6.headerBytes : IPV6.nextHeader);
  put16(out, IPV6.headerBytes + 2, ((before & 0xfff8) + at - dataOffset6(packet)) | (at + length < packet.length ? 1 : before & 1));
  put32(out, IPV6.headerBytes + 4, isFragment6(packet) ? u32(packet, IPV6.headerBytes + 4) : identification);
  packet.copy(out, headerBytes, at, at + length);
  return { bytes: out, at: 0, length: out.length, state: CHECKSUM.complete };
}

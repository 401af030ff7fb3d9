/**
 * Packets without their IP header (RFC 7402 appendix B, docs/wire.md §7): when that may be left out, and making it again.
 * Identification 0. DEVIATION: an IPv6 flow label becomes 0.
 */
import type { RewritePlan } from "./address-rewrite.js";
import { sumWords } from "./checksum.js";
import { IPV4, IPV6, PROTOCOL, innerVersion, type InnerPacket } from "./inner-packet.js";
import { put16, putBytes, u16, u8 } from "./octets.js";

/** Of every header that can be made again. */
const TTL = 64;
const DONT_FRAGMENT_ALONE = 0x4000;
const MAX_PACKET_BYTES = 65_535;
/** IPv4 header of 20 bytes. */
const PLAIN_IPV4 = 0x45;

/** IPv6 extension headers that are walked: behind one the transport protocol is another. */
const isExtension = (protocol: number): boolean =>
  protocol === PROTOCOL.hopByHop || protocol === PROTOCOL.routing || protocol === PROTOCOL.fragment || protocol === PROTOCOL.destinationOptions;

/** Next headers of ESP that mean something else: tunnel mode and the dummy. */
const isOtherMode = (protocol: number): boolean => protocol === PROTOCOL.ipv4 || protocol === PROTOCOL.ipv6 || protocol === PROTOCOL.nothing;

export const headerBytesOf = (version: number): number => (version === 4 ? IPV4.minBytes : IPV6.headerBytes);
export const protocolOf = (bytes: Uint8Array, at: number): number => u8(bytes, at + (innerVersion(bytes, at) === 4 ? IPV4.protocol : IPV6.nextHeader));

/** Nothing is lost when the receiver makes the header again. */
export function canLeaveHeaderOut({ bytes, at }: InnerPacket, beet: 4 | 6 | null): boolean {
  if (innerVersion(bytes, at) !== beet) return false;
  const protocol = protocolOf(bytes, at);
  if (isExtension(protocol) || isOtherMode(protocol)) return false;
  if (beet === 6) return u8(bytes, at + IPV6.hopLimit) === TTL;
  return u8(bytes, at) === PLAIN_IPV4 && u16(bytes, at + IPV4.fragment) === DONT_FRAGMENT_ALONE && u8(bytes, at + IPV4.ttl) === TTL;
}

/** A next header that cannot be BEET's; tunnel mode and the dummy were looked at before. */
export const isRefusedInBeet = isExtension;

/** The packet around a payload that came with next header `protocol`; null when it would be too long. */
export function rebuildPacket(version: 4 | 6, plan: RewritePlan, trafficClass: number, protocol: number, payload: Uint8Array): Buffer | null {
  const headerBytes = headerBytesOf(version);
  if (headerBytes + payload.length > MAX_PACKET_BYTES) return null;
  const out = Buffer.alloc(headerBytes + payload.length);
  if (version === 4) putHeader4(out, plan, trafficClass, protocol);
  else putHeader6(out, plan, trafficClass, protocol);
  out.set(payload, headerBytes);
  return out;
}

function putHeader4(out: Buffer, plan: RewritePlan, trafficClass: number, protocol: number): void {
  put16(out, 0, (PLAIN_IPV4 << 8) | trafficClass);
  put16(out, IPV4.totalLength, out.length);
  put16(out, IPV4.fragment, DONT_FRAGMENT_ALONE);
  out[IPV4.ttl] = TTL;
  out[IPV4.protocol] = protocol;
  putBytes(out, IPV4.source, plan.source.from);
  putBytes(out, IPV4.destination, plan.destination.from);
  put16(out, IPV4.checksum, ~sumWords(out, 0, IPV4.minBytes) & 0xffff);
}

function putHeader6(out: Buffer, plan: RewritePlan, trafficClass: number, protocol: number): void {
  put16(out, 0, 0x6000 | (trafficClass << 4));
  put16(out, IPV6.payloadLength, out.length - IPV6.headerBytes);
  out[IPV6.nextHeader] = protocol;
  out[IPV6.hopLimit] = TTL;
  putBytes(out, IPV6.source, plan.source.from);
  putBytes(out, IPV6.destination, plan.destination.from);
}

/** Form of the IP packets that programs send and receive (docs/datapath.md, "From the TUN" 1 and 2; RFC 791 §3.1, RFC 8200 §3). */
import { u16, u32, u8 } from "./octets.js";

export const IPV4 = { minBytes: 20, totalLength: 2, fragment: 6, ttl: 8, protocol: 9, checksum: 10, source: 12, destination: 16 } as const;
export const IPV6 = { headerBytes: 40, payloadLength: 4, nextHeader: 6, hopLimit: 7, source: 8, destination: 24 } as const;
export const PROTOCOL = { hopByHop: 0, icmp: 1, ipv4: 4, tcp: 6, udp: 17, ipv6: 41, routing: 43, fragment: 44, icmp6: 58, nothing: 59, destinationOptions: 60 } as const;

/** A packet under way: `bytes[at … at + length]`. `state` is one of {@link CHECKSUM}. */
export interface InnerPacket {
  readonly bytes: Buffer;
  readonly at: number;
  readonly length: number;
  readonly state: number;
  /** Of the other family, from which it was made. */
  readonly original?: InnerPacket;
}

/** 4 or 6; of a packet that {@link innerLength} accepted. */
export const innerVersion = (bytes: Uint8Array, at: number): number => u8(bytes, at) >>> 4;

export const ipv4HeaderBytes = (bytes: Uint8Array, at: number): number => (u8(bytes, at) & 0x0f) * 4;

/** The packet's length by its own header (what follows is cut off), or -1 when it is malformed: what we call `inner-malformed`. */
export function innerLength(bytes: Uint8Array, at: number, length: number): number {
  if (length < IPV4.minBytes) return -1;
  const version = innerVersion(bytes, at);
  if (version === 4) return ipv4Length(bytes, at, length);
  if (version !== 6 || length < IPV6.headerBytes || isJumbogram(bytes, at)) return -1;
  const total = IPV6.headerBytes + u16(bytes, at + IPV6.payloadLength);
  return total <= length ? total : -1;
}

/** Payload length 0 before a hop-by-hop header, which holds the length (RFC 2675 §3): longer than any datagram that could carry it. */
const isJumbogram = (bytes: Uint8Array, at: number): boolean => u16(bytes, at + IPV6.payloadLength) === 0 && u8(bytes, at + IPV6.nextHeader) === PROTOCOL.hopByHop;

function ipv4Length(bytes: Uint8Array, at: number, length: number): number {
  const header = ipv4HeaderBytes(bytes, at);
  const total = u16(bytes, at + IPV4.totalLength);
  return header >= IPV4.minBytes && total >= header && total <= length ? total : -1;
}

/** The destination can be no peer's: multicast, broadcast or link-local. */
export function isUnassignable(bytes: Uint8Array, at: number, version: number): boolean {
  if (version === 4) {
    const address = u32(bytes, at + IPV4.destination);
    return isMulticast4(address) || address === 0xffff_ffff || address >>> 16 === 0xa9fe;
  }
  const first = u16(bytes, at + IPV6.destination);
  return first >>> 8 === 0xff || (first & 0xffc0) === 0xfe80;
}

const isMulticast4 = (address: number): boolean => address >>> 28 === 0xe;

/** It may be the address of one host that is reached over a network: not "this", loopback, link-local, multicast or reserved (RFC 1122 §3.2.1.3, RFC 1112 §4, RFC 4291 §2.4). */
export function isOneHost(address: Uint8Array): boolean {
  const first = u8(address, 0);
  if (address.length === 4) return first !== 0 && first !== 127 && first < 224 && u16(address, 0) !== 0xa9fe;
  const isLow = address.subarray(0, 15).every((byte) => byte === 0) && u8(address, 15) <= 1;
  return !isLow && first !== 0xff && (u16(address, 0) & 0xffc0) !== 0xfe80;
}

/** The sender is one host that an answer can reach (RFC 1122 §3.2.2, RFC 4443 §2.4 e.6). */
export function isSingleHostSource(bytes: Uint8Array, at: number, version: number): boolean {
  if (version === 4) {
    const first = u8(bytes, at + IPV4.source);
    return first !== 0 && first !== 127 && first < 224;
  }
  if (u8(bytes, at + IPV6.source) === 0xff) return false;
  for (let i = 0; i < 16; i++) if (u8(bytes, at + IPV6.source + i) !== 0) return true;
  return false;
}

/** Not the first fragment of an IPv4 packet. */
export const isLaterFragment4 = (bytes: Uint8Array, at: number): boolean => (u16(bytes, at + IPV4.fragment) & 0x1fff) !== 0;

const OPTION = { end: 0, noOperation: 1, looseRoute: 0x83, strictRoute: 0x89 } as const;

/**
 * IPv4 options that cannot be walked, or a source route (RFC 791 §3.1): it would lead the packet past the address check, and
 * its checksum is over another destination than the header's. RFC 7126 §4.3–4.4 wants both dropped.
 */
export function hasRefusedOptions4(bytes: Uint8Array, at: number): boolean {
  const end = at + ipv4HeaderBytes(bytes, at);
  let option = at + IPV4.minBytes;
  while (option < end) {
    const type = u8(bytes, option);
    if (type === OPTION.end) return false;
    if (type === OPTION.looseRoute || type === OPTION.strictRoute) return true;
    const length = type === OPTION.noOperation ? 1 : option + 1 < end ? u8(bytes, option + 1) : 0;
    if (length < (type === OPTION.noOperation ? 1 : 2) || option + length > end) return true;
    option += length;
  }
  return false;
}

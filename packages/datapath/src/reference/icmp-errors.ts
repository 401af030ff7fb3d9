/**
 * "Nobody is there": ICMP host unreachable (RFC 792, type 3 code 1) and ICMPv6 address unreachable (RFC 4443 §3.1, type 1
 * code 3), written to the TUN for a packet that came from it.
 *
 *     | IP header, source = where the packet was to go | type, code, checksum, unused 4 | as much of the packet as fits |
 *
 * Not from our own address: the kernel takes a packet from one of its own addresses for a forgery ("martian source") and drops it.
 */
import { isIcmpError4, isIcmpError6 } from "./address-rewrite.js";
import { fold, sumWords } from "./checksum.js";
import { IPV4, IPV6, PROTOCOL, innerVersion, isSingleHostSource, isUnassignable } from "./inner-packet.js";
import { put16, putBytes, u8 } from "./octets.js";
import type { Output } from "./outputs.js";
import { findTransport, transportOffset, transportProtocol } from "./transport.js";

/** RFC 1812 §4.3.2.3: 576 bytes in all; RFC 4443 §2.4 c: the minimum MTU in all. */
export const MAX_QUOTE_BYTES = { v4: 548, v6: 1_232 } as const;
/** Errors in one second of the engine's clock (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f: there must be a limit). */
export const MAX_ERRORS_PER_SECOND = 1_000;

const ICMP_HEADER_BYTES = 8;
const TTL = 64;

export class IcmpErrors {
  readonly #out: Output;
  #second = 0;
  #sent = 0;

  constructor(out: Output) {
    this.#out = out;
  }

  /** Answers the packet of exactly `length` bytes, unless the standards forbid it, there were too many, or there is no room. */
  unreachable(nowMs: number, bytes: Buffer, at: number, length: number): void {
    if (!mayBeAnswered(bytes, at, length) || !this.#allow(nowMs)) return;
    if (innerVersion(bytes, at) === 4) this.#unreachable4(bytes, at, length);
    else this.#unreachable6(bytes, at, length);
  }

  #allow(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) this.#sent = 0;
    this.#second = second;
    return this.#sent++ < MAX_ERRORS_PER_SECOND;
  }

  #unreachable4(bytes: Buffer, at: number, length: number): void {
    const quoted = Math.min(length, MAX_QUOTE_BYTES.v4);
    const total = IPV4.minBytes + ICMP_HEADER_BYTES + quoted;
    if (this.#out.reserve(total, null) !== null) return;
    const { buffer, at: start } = this.#out;
    const source = bytes.subarray(at + IPV4.destination, at + IPV4.destination + 4);
    buffer.fill(0, start, start + IPV4.minBytes);
    buffer[start] = 0x45;
    put16(buffer, start + IPV4.totalLength, total);
    // Never fragmented, so its identification may be 0 (RFC 6864 §4.1).
    put16(buffer, start + IPV4.fragment, 0x4000);
    buffer[start + IPV4.ttl] = TTL;
    buffer[start + IPV4.protocol] = PROTOCOL.icmp;
    putBytes(buffer, start + IPV4.source, source);
    bytes.copy(buffer, start + IPV4.destination, at + IPV4.source, at + IPV4.source + 4);
    put16(buffer, start + IPV4.checksum, ~sumWords(buffer, start, start + IPV4.minBytes) & 0xffff);
    putIcmp(buffer, start + IPV4.minBytes, 3, 1, bytes, at, quoted, 0);
  }

  #unreachable6(bytes: Buffer, at: number, length: number): void {
    const quoted = Math.min(length, MAX_QUOTE_BYTES.v6);
    const payload = ICMP_HEADER_BYTES + quoted;
    if (this.#out.reserve(IPV6.headerBytes + payload, null) !== null) return;
    const { buffer, at: start } = this.#out;
    const source = bytes.subarray(at + IPV6.destination, at + IPV6.destination + 16);
    buffer.fill(0, start, start + IPV6.headerBytes);
    buffer[start] = 0x60;
    put16(buffer, start + IPV6.payloadLength, payload);
    buffer[start + IPV6.nextHeader] = PROTOCOL.icmp6;
    buffer[start + IPV6.hopLimit] = TTL;
    putBytes(buffer, start + IPV6.source, source);
    bytes.copy(buffer, start + IPV6.destination, at + IPV6.source, at + IPV6.source + 16);
    const pseudo = sumWords(buffer, start + IPV6.source, start + IPV6.headerBytes) + payload + PROTOCOL.icmp6;
    putIcmp(buffer, start + IPV6.headerBytes, 1, 3, bytes, at, quoted, pseudo);
  }
}

function putIcmp(buffer: Buffer, start: number, type: number, code: number, bytes: Buffer, at: number, quoted: number, pseudo: number): void {
  buffer.fill(0, start, start + ICMP_HEADER_BYTES);
  buffer[start] = type;
  buffer[start + 1] = code;
  bytes.copy(buffer, start + ICMP_HEADER_BYTES, at, at + quoted);
  put16(buffer, start + 2, ~fold(pseudo + sumWords(buffer, start, start + ICMP_HEADER_BYTES + quoted)) & 0xffff);
}

/** RFC 1122 §3.2.2, RFC 4443 §2.4 e. A packet of which that cannot be told is not answered either. */
export function mayBeAnswered(bytes: Uint8Array, at: number, length: number): boolean {
  const version = innerVersion(bytes, at);
  if (!isSingleHostSource(bytes, at, version) || isUnassignable(bytes, at, version)) return false;
  const found = findTransport(bytes, at, length);
  if (found < 0) return false;
  const protocol = transportProtocol(found);
  if (protocol !== (version === 4 ? PROTOCOL.icmp : PROTOCOL.icmp6)) return true;
  if (transportOffset(found) >= length) return false;
  const type = u8(bytes, at + transportOffset(found));
  return version === 4 ? !isIcmpError4(type) : !isIcmpError6(type);
}

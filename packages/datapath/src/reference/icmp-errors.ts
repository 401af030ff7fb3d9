/**
 * ICMP errors for packets that came from the TUN, written to the TUN. "Nobody is there": host unreachable (RFC 792, type 3 code 1),
 * address unreachable (RFC 4443 §3.1, type 1 code 3). "Too big": fragmentation needed (RFC 1191 §4, type 3 code 4), packet too big
 * (RFC 4443 §3.2, type 2). "Too many hops", where it is translated: RFC 792 type 11, RFC 4443 §3.3 type 3.
 *
 *     | IP header, source = where the packet was to go | type, code, checksum, unused or MTU 4 | as much of the packet as fits |
 *
 * Not from our own address: the kernel takes a packet from one of its own addresses for a forgery ("martian source") and drops it.
 */
import { isIcmpError4, isIcmpError6 } from "./address-rewrite.js";
import { fold, sumWords } from "./checksum.js";
import { IPV4, IPV6, PROTOCOL, innerVersion, isSingleHostSource, isUnassignable } from "./inner-packet.js";
import { put16, put32, u8 } from "./octets.js";
import type { Output } from "./outputs.js";
import { SecondLimit } from "./rate-limits.js";
import { CHECKSUM } from "./step.js";
import { findTransport, transportOffset, transportProtocol } from "./transport.js";

/** RFC 1812 §4.3.2.3: 576 bytes in all; RFC 4443 §2.4 c: the minimum MTU in all. */
export const MAX_QUOTE_BYTES = { v4: 548, v6: 1_232 } as const;
/** Errors in one second of the engine's clock (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f: there must be a limit). */
export const MAX_ERRORS_PER_SECOND = 1_000;

const ICMP_HEADER_BYTES = 8;
const TTL = 64;

interface IcmpError {
  readonly v4: { readonly type: number; readonly code: number };
  readonly v6: { readonly type: number; readonly code: number };
}

const UNREACHABLE: IcmpError = { v4: { type: 3, code: 1 }, v6: { type: 1, code: 3 } };
const TOO_BIG: IcmpError = { v4: { type: 3, code: 4 }, v6: { type: 2, code: 0 } };
const TIME_EXCEEDED: IcmpError = { v4: { type: 11, code: 0 }, v6: { type: 3, code: 0 } };

export class IcmpErrors {
  readonly #out: Output;
  readonly #limit = new SecondLimit(MAX_ERRORS_PER_SECOND);

  constructor(out: Output) {
    this.#out = out;
  }

  /** Nobody is there. The packet has exactly `length` bytes; there is no answer when the standards forbid it, there were too many, or there is no room. */
  unreachable(nowMs: number, bytes: Buffer, at: number, length: number): void {
    this.#answer(nowMs, UNREACHABLE, 0, bytes, at, length);
  }

  /** No packet above `mtu` bytes gets there. As {@link unreachable}. */
  tooBig(nowMs: number, bytes: Buffer, at: number, length: number, mtu: number): void {
    this.#answer(nowMs, TOO_BIG, mtu, bytes, at, length);
  }

  /** It has passed as many routers as it may. As {@link unreachable}. */
  timeExceeded(nowMs: number, bytes: Buffer, at: number, length: number): void {
    this.#answer(nowMs, TIME_EXCEEDED, 0, bytes, at, length);
  }

  /** The same for a sender that is a peer: the packet, or null. */
  timeExceededPacket(nowMs: number, bytes: Buffer, at: number, length: number): Buffer | null {
    return this.#make(nowMs, TIME_EXCEEDED, 0, bytes, at, length);
  }

  #answer(nowMs: number, error: IcmpError, value: number, bytes: Buffer, at: number, length: number): void {
    const made = this.#make(nowMs, error, value, bytes, at, length);
    if (made === null || this.#out.reserve(made.length, null, CHECKSUM.complete) !== null) return;
    made.copy(this.#out.buffer, this.#out.at);
  }

  #make(nowMs: number, error: IcmpError, value: number, bytes: Buffer, at: number, length: number): Buffer | null {
    if (!mayBeAnswered(bytes, at, length) || !this.#limit.allow(nowMs)) return null;
    return innerVersion(bytes, at) === 4 ? make4(error.v4, value, bytes, at, length) : make6(error.v6, value, bytes, at, length);
  }
}

function make4(form: IcmpError["v4"], value: number, bytes: Buffer, at: number, length: number): Buffer {
  const quoted = Math.min(length, MAX_QUOTE_BYTES.v4);
  const out = Buffer.alloc(IPV4.minBytes + ICMP_HEADER_BYTES + quoted);
  out[0] = 0x45;
  put16(out, IPV4.totalLength, out.length);
  // Never fragmented, so its identification may be 0 (RFC 6864 §4.1).
  put16(out, IPV4.fragment, 0x4000);
  out[IPV4.ttl] = TTL;
  out[IPV4.protocol] = PROTOCOL.icmp;
  bytes.copy(out, IPV4.source, at + IPV4.destination, at + IPV4.destination + 4);
  bytes.copy(out, IPV4.destination, at + IPV4.source, at + IPV4.source + 4);
  put16(out, IPV4.checksum, ~sumWords(out, 0, IPV4.minBytes) & 0xffff);
  putIcmp(out, IPV4.minBytes, form, value, bytes, at, quoted, 0);
  return out;
}

function make6(form: IcmpError["v6"], value: number, bytes: Buffer, at: number, length: number): Buffer {
  const quoted = Math.min(length, MAX_QUOTE_BYTES.v6);
  const payload = ICMP_HEADER_BYTES + quoted;
  const out = Buffer.alloc(IPV6.headerBytes + payload);
  out[0] = 0x60;
  put16(out, IPV6.payloadLength, payload);
  out[IPV6.nextHeader] = PROTOCOL.icmp6;
  out[IPV6.hopLimit] = TTL;
  bytes.copy(out, IPV6.source, at + IPV6.destination, at + IPV6.destination + 16);
  bytes.copy(out, IPV6.destination, at + IPV6.source, at + IPV6.source + 16);
  putIcmp(out, IPV6.headerBytes, form, value, bytes, at, quoted, sumWords(out, IPV6.source, IPV6.headerBytes) + payload + PROTOCOL.icmp6);
  return out;
}

function putIcmp(buffer: Buffer, start: number, { type, code }: IcmpError["v4"], value: number, bytes: Buffer, at: number, quoted: number, pseudo: number): void {
  buffer.fill(0, start, start + ICMP_HEADER_BYTES);
  buffer[start] = type;
  buffer[start + 1] = code;
  put32(buffer, start + 4, value);
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

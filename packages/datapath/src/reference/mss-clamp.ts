/**
 * The MSS option of a TCP SYN (RFC 9293 §3.2): lowered to what the flow's MTU carries, so that TCP never meets that limit.
 *
 *     TCP | … | data offset 4 at 12 | flags at 13 | checksum at 16 | options from 20: kind, length, value … |     MSS: 2, 4, value 2
 */
import { adjustChecksum, wordDelta } from "./checksum.js";
import { IPV4, IPV6, PROTOCOL, innerVersion } from "./inner-packet.js";
import { put16, u16, u8 } from "./octets.js";
import { CHECKSUM } from "./step.js";
import { transportOffset, transportProtocol } from "./transport.js";

const TCP = { minBytes: 20, dataOffset: 12, flags: 13, checksum: 16 } as const;
const SYN = 0x02;
const OPTION = { end: 0, noOperation: 1, mss: 2 } as const;
const MSS_OPTION_BYTES = 4;

/** What of `mtu` is left for TCP's payload. */
const mssLimit = (bytes: Uint8Array, at: number, mtu: number): number => mtu - TCP.minBytes - (innerVersion(bytes, at) === 4 ? IPV4.minBytes : IPV6.headerBytes);

/** Where the value of an MSS option stands that is above what `mtu` allows, or -1. `found` is the packet's {@link findTransport}. */
export function findHighMss(bytes: Uint8Array, at: number, length: number, found: number, mtu: number): number {
  if (found < 0 || transportProtocol(found) !== PROTOCOL.tcp) return -1;
  const header = at + transportOffset(found);
  if (header + TCP.minBytes > at + length || (u8(bytes, header + TCP.flags) & SYN) === 0) return -1;
  const end = header + (u8(bytes, header + TCP.dataOffset) >>> 4) * 4;
  const value = end <= at + length ? findMss(bytes, header + TCP.minBytes, end) : -1;
  return value >= 0 && u16(bytes, value) > mssLimit(bytes, at, mtu) ? value : -1;
}

/** The first MSS option; options that cannot be walked end the search. */
function findMss(bytes: Uint8Array, from: number, end: number): number {
  let option = from;
  while (option < end && u8(bytes, option) !== OPTION.end) {
    const kind = u8(bytes, option);
    const bytesOf = kind === OPTION.noOperation ? 1 : option + 1 < end ? u8(bytes, option + 1) : 0;
    if (bytesOf === 0 || (bytesOf === 1 && kind !== OPTION.noOperation) || option + bytesOf > end) return -1;
    if (kind === OPTION.mss) return bytesOf === MSS_OPTION_BYTES ? option + 2 : -1;
    option += bytesOf;
  }
  return -1;
}

/** Lowers the value at `value` (from {@link findHighMss}) and updates the checksum; a partial one does not cover it. */
export function lowerMss(bytes: Uint8Array, at: number, found: number, value: number, mtu: number, state: number): void {
  const header = at + transportOffset(found);
  const after = mssLimit(bytes, at, mtu);
  const delta = wordDelta(u16(bytes, value), after);
  put16(bytes, value, after);
  if (state === CHECKSUM.partial) return;
  // At an odd offset the value's bytes lie in two words: the same sum with its bytes exchanged (RFC 1071 §2 B).
  adjustChecksum(bytes, header + TCP.checksum, (value - header) % 2 === 0 ? delta : swapBytes(delta));
}

/** Of a sum of up to 17 bits; stays the same sum modulo 2^16 - 1. */
const swapBytes = (sum: number): number => ((sum & 0xff) << 8) + (sum >>> 8);

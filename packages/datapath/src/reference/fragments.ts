/**
 * Cutting an IPv4 packet into fragments (RFC 791 §2.3, §3.2).
 *
 *     | header 20: total length, id as it was, MF but for the last, offset / 8, checksum | piece of a multiple of 8 bytes |
 */
import { sumWords } from "./checksum.js";
import { IPV4, ipv4HeaderBytes, type InnerPacket } from "./inner-packet.js";
import { put16, u16 } from "./octets.js";
import { CHECKSUM } from "./step.js";

const FRAGMENT = { dontFragment: 0x4000, more: 0x2000, offset: 0x1fff } as const;
const UNIT_BYTES = 8;
const MAX_END = 65_535;

/** The sender wants no fragments. */
export const isUnfragmentable4 = (bytes: Uint8Array, at: number): boolean => (u16(bytes, at + IPV4.fragment) & FRAGMENT.dontFragment) !== 0;

/** False for options, which would have to be sorted into those that are copied and those that are not, and for offsets that do not fit. */
export function canCut({ bytes, at, length }: InnerPacket): boolean {
  const offset = (u16(bytes, at + IPV4.fragment) & FRAGMENT.offset) * UNIT_BYTES;
  return ipv4HeaderBytes(bytes, at) === IPV4.minBytes && offset + length - IPV4.minBytes <= MAX_END;
}

/** The fragments of a packet that {@link canCut}, each of at most `mtu` bytes. Its checksum must be complete. */
export function cutPacket(packet: InnerPacket, mtu: number): readonly InnerPacket[] {
  const pieceBytes = Math.floor((mtu - IPV4.minBytes) / UNIT_BYTES) * UNIT_BYTES;
  const payloadBytes = packet.length - IPV4.minBytes;
  const fragments: InnerPacket[] = [];
  for (let from = 0; from < payloadBytes; from += pieceBytes) fragments.push(makeFragment(packet, from, Math.min(pieceBytes, payloadBytes - from)));
  return fragments;
}

function makeFragment({ bytes, at, length }: InnerPacket, from: number, pieceBytes: number): InnerPacket {
  const total = IPV4.minBytes + pieceBytes;
  const out = Buffer.alloc(total);
  bytes.copy(out, 0, at, at + IPV4.minBytes);
  bytes.copy(out, IPV4.minBytes, at + IPV4.minBytes + from, at + IPV4.minBytes + from + pieceBytes);
  put16(out, IPV4.totalLength, total);
  const isLast = IPV4.minBytes + from + pieceBytes === length;
  put16(out, IPV4.fragment, (u16(bytes, at + IPV4.fragment) + from / UNIT_BYTES) | (isLast ? 0 : FRAGMENT.more));
  put16(out, IPV4.checksum, 0);
  put16(out, IPV4.checksum, ~sumWords(out, 0, IPV4.minBytes) & 0xffff);
  return { bytes: out, at: 0, length: total, state: CHECKSUM.complete };
}

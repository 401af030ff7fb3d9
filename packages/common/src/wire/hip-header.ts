/**
 * The form of a HIP header (RFC 7401 §5.1, docs/wire.md §9), for the packet engine and for HIP itself: what one takes the other takes. (The native engine has
 * its own, `packages/datapath/src/native/engine/hip-packet.h`, which the conformance tests hold to this one.)
 *
 *     0  next header 1 (59) | header length 1 | 0, packet type 7 bits | version 4 bits, 0 3 bits, 1
 *     4  checksum 2 | controls 2
 *     8  sender's HIT 16
 *    24  receiver's HIT 16
 *    40  parameters
 *
 * Header length counts the packet in units of 8 bytes, less the first.
 */
export const HIP_HEADER_BYTES = 40;
/** Header length is one byte: (255 + 1) * 8. */
export const MAX_HIP_PACKET_BYTES = 2_048;
export const HIP_OFFSET = { nextHeader: 0, length: 1, type: 2, version: 3, checksum: 4, controls: 6, senderHit: 8, receiverHit: 24 } as const;
/** Nothing may follow the parameters: no MAC would cover it. */
export const HIP_NEXT_HEADER_NONE = 59;

/** The highest bit of the type is 0, the lowest of the version 1, so that SHIM6 could share the header; three between are reserved and ignored. */
const FIXED_TYPE_BIT = 0x80;
const VERSION_BITS = 0xf1;
const VERSION_2 = 0x21;

const u8 = (bytes: Uint8Array, at: number): number => bytes[at] as number;

/** The packet type, 0 to 127, or -1 when the header is malformed. Neither throws nor allocates; the caller has `bytes[at … at + length]`. */
export function hipType(bytes: Uint8Array, at: number, length: number): number {
  if (length < HIP_HEADER_BYTES || (u8(bytes, at + HIP_OFFSET.length) + 1) * 8 !== length) return -1;
  const type = u8(bytes, at + HIP_OFFSET.type);
  const fits = u8(bytes, at + HIP_OFFSET.nextHeader) === HIP_NEXT_HEADER_NONE && (type & FIXED_TYPE_BIT) === 0 && (u8(bytes, at + HIP_OFFSET.version) & VERSION_BITS) === VERSION_2;
  return fits ? type : -1;
}

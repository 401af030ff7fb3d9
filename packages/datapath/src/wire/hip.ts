/**
 * What the packet engine knows of HIP packets (docs/wire.md §9) beyond their header: where an I1 says that its answer goes. Nothing here throws or
 * allocates; callers have `bytes[at … at + length]`.
 */
import { HIP_HEADER_BYTES } from "@i3/common";

/** Zero bytes before a HIP packet in UDP (RFC 9028 §5.3). */
export const HIP_MARK_BYTES = 4;
export const HIP_TYPE = { i1: 1, r1: 2, i2: 3 } as const;
export const HIP_PARAMETER = { puzzle: 257, i3ReturnId: 32_770 } as const;
/** In PUZZLE's contents. */
export const PUZZLE_OFFSET = { opaque: 2, random: 4 } as const;
/** Type and length, before a parameter's contents. */
export const PARAMETER_HEAD_BYTES = 4;

/** Parameters of an I1 that are walked (ours): a flood of long I1s must not cost more than its bytes. RFC 7401 §5.3.1 has one. */
export const MAX_I1_PARAMETERS = 16;

const ID_BYTES = 32;

const u8 = (bytes: Uint8Array, at: number): number => bytes[at] as number;
const u16 = (bytes: Uint8Array, at: number): number => (u8(bytes, at) << 8) | u8(bytes, at + 1);

/** In ORCHIDv2's 2001:20::/28 (RFC 7343 §2). */
export const isHitAt = (bytes: Uint8Array, at: number): boolean => u16(bytes, at) === 0x2001 && u8(bytes, at + 2) === 0 && (u8(bytes, at + 3) & 0xf0) === 0x20;

/** Where the contents of I3_RETURN_ID stand in a packet whose header is well-formed; 0: it has none; -1: its parameters are malformed. */
export function returnIdAt(bytes: Uint8Array, at: number, length: number): number {
  const end = at + length;
  let found = 0;
  let parameters = 0;
  // What is left is always a multiple of 8, so that type and length are there.
  for (let next = at + HIP_HEADER_BYTES; next < end; ) {
    const contentsBytes = u16(bytes, next + 2);
    const whole = (PARAMETER_HEAD_BYTES + contentsBytes + 7) & ~7;
    if (++parameters > MAX_I1_PARAMETERS || whole > end - next) return -1;
    if (u16(bytes, next) === HIP_PARAMETER.i3ReturnId) {
      if (contentsBytes !== ID_BYTES || found !== 0) return -1;
      found = next + PARAMETER_HEAD_BYTES;
    }
    next += whole;
  }
  return found;
}

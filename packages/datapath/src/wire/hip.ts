/**
 * What the packet engine knows of HIP packets (docs/wire.md §9) beyond their header: which groups an I1 names, how an I2 has solved its puzzle, where
 * answers go. Nothing here throws; callers have `bytes[at … at + length]`.
 */
import { HIP_HEADER_BYTES } from "@i3/common";

/** Zero bytes before a HIP packet in UDP (RFC 9028 §5.3). */
export const HIP_MARK_BYTES = 4;
export const HIP_TYPE = { i1: 1, r1: 2, i2: 3 } as const;
export const HIP_PARAMETER = { puzzle: 257, solution: 321, dhGroupList: 511, i3ReturnId: 32_770 } as const;
/** In PUZZLE's and SOLUTION's contents; in SOLUTION's #J is behind #I. */
export const PUZZLE_OFFSET = { difficulty: 0, opaque: 2, random: 4 } as const;
/** Type and length, before a parameter's contents. */
export const PARAMETER_HEAD_BYTES = 4;

/** Parameters of an I1 that are walked (ours): a flood of long I1s must not cost more than its bytes. RFC 7401 §5.3.1 has one. */
export const MAX_I1_PARAMETERS = 16;
/** Of an I2 (ours): RFC 7401 §5.3.3 and ours have 15. */
export const MAX_I2_PARAMETERS = 32;
/** Of a DH_GROUP_LIST, as the HIP host reads it (docs/wire.md §9.2). */
export const MAX_DH_GROUPS = 16;

const ID_BYTES = 32;

const u8 = (bytes: Uint8Array, at: number): number => bytes[at] as number;
const u16 = (bytes: Uint8Array, at: number): number => (u8(bytes, at) << 8) | u8(bytes, at + 1);

/** In ORCHIDv2's 2001:20::/28 (RFC 7343 §2). */
export const isHitAt = (bytes: Uint8Array, at: number): boolean => u16(bytes, at) === 0x2001 && u8(bytes, at + 2) === 0 && (u8(bytes, at + 3) & 0xf0) === 0x20;

/** Where the contents of the parameters stand that the engine reads; 0: it is not there. */
export interface HipParameters {
  groupsAt: number;
  groupsBytes: number;
  solutionAt: number;
  solutionBytes: number;
  returnIdAt: number;
}

/** Those of a packet whose header is well-formed, `most` parameters at most; null: malformed, or one of these stands twice. */
export function parametersOf(bytes: Uint8Array, at: number, length: number, most: number): HipParameters | null {
  const end = at + length;
  const found = { groupsAt: 0, groupsBytes: 0, solutionAt: 0, solutionBytes: 0, returnIdAt: 0 };
  let parameters = 0;
  // What is left is always a multiple of 8, so that type and length are there.
  for (let next = at + HIP_HEADER_BYTES; next < end; ) {
    const contentsBytes = u16(bytes, next + 2);
    const whole = (PARAMETER_HEAD_BYTES + contentsBytes + 7) & ~7;
    if (++parameters > most || whole > end - next) return null;
    const contentsAt = next + PARAMETER_HEAD_BYTES;
    const type = u16(bytes, next);
    if (type === HIP_PARAMETER.dhGroupList) {
      if (contentsBytes === 0 || found.groupsAt !== 0) return null;
      found.groupsAt = contentsAt;
      found.groupsBytes = contentsBytes;
    } else if (type === HIP_PARAMETER.solution) {
      if (contentsBytes === 0 || found.solutionAt !== 0) return null;
      found.solutionAt = contentsAt;
      found.solutionBytes = contentsBytes;
    } else if (type === HIP_PARAMETER.i3ReturnId) {
      if (contentsBytes !== ID_BYTES || found.returnIdAt !== 0) return null;
      found.returnIdAt = contentsAt;
    }
    next += whole;
  }
  return found;
}

/** Whether a DH_GROUP_LIST names a group; what is longer than the limit is cut. */
export const namesGroup = (bytes: Uint8Array, { groupsAt, groupsBytes }: HipParameters, group: number): boolean =>
  bytes.subarray(groupsAt, groupsAt + Math.min(groupsBytes, MAX_DH_GROUPS)).includes(group);

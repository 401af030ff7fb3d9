/**
 * The i3 data header (docs/wire.md §3).
 *
 *      0               1               2               3
 *     +---------------+---------------+---------------+---------------+
 *  0  | 0x11          | flags         | hop limit     | copy budget   |
 *     +---------------+---------------+---------------+---------------+
 *  4  | stack length n| payload kind  | 0 (ignored by receivers)      |
 *     +---------------+---------------+---------------+---------------+
 *  8  | nonce (8 bytes)                                               |
 *     +---------------------------------------------------------------+
 * 16  | id[0] (32 bytes) … id[n-1]                                    |
 *     +---------------------------------------------------------------+
 *
 * Trailing bytes: there are none, what follows is payload.
 */
import { WireError } from "@i3/common";
import { DATA_FIRST_BYTE } from "./first-byte.js";

export const ID_BYTES = 32;
/** The part of an id by which the ring finds its server. */
export const RING_KEY_BYTES = 16;
export const NONCE_BYTES = 8;

/** Offsets of the fields, in bytes from the first. */
export const DATA_OFFSET = { firstByte: 0, flags: 1, hopLimit: 2, copyBudget: 3, stackLength: 4, payloadKind: 5, reserved: 6, nonce: 8, ids: 16 } as const;

export const DATA_FLAG = { cacheRequest: 0x01, shortcutOk: 0x02, forwarded: 0x04 } as const;

export const PAYLOAD_KIND = { nothing: 0, ipPacket: 1, setUp: 2, hip: 3, esp: 4, native: 5 } as const;
/** Kinds above this one mean nothing to a host. */
export const LAST_PAYLOAD_KIND: number = PAYLOAD_KIND.native;

export const MAX_STACK_LENGTH = 15;
/** What senders put in; a server takes a larger value for this one. */
export const HOP_LIMIT = 16;
/** What senders put in: the most that the field holds, for groups of more than 100 members (docs/wire.md §3). */
export const COPY_BUDGET = 255;

export interface DataHeader {
  /** {@link DATA_FLAG} bits; others are carried. */
  readonly flags: number;
  readonly hopLimit: number;
  readonly copyBudget: number;
  readonly payloadKind: number;
  /** 8 bytes. */
  readonly nonce: Uint8Array;
  /** 1–15 ids of 32 bytes, next one first. */
  readonly ids: readonly Uint8Array[];
}

/** Bytes of a header with a stack of `ids` ids. */
export const dataHeaderBytes = (ids: number): number => DATA_OFFSET.ids + ID_BYTES * ids;

/**
 * Writes the header at `offset` and returns the bytes written. Throws RangeError when a field does not fit its place or the
 * header does not fit the buffer.
 */
export function encodeDataHeaderInto(header: DataHeader, into: Uint8Array, offset: number): number {
  checkFields(header);
  const bytes = dataHeaderBytes(header.ids.length);
  if (offset < 0 || offset + bytes > into.length) throw new RangeError(`data header of ${bytes} bytes does not fit at ${offset}`);
  into[offset + DATA_OFFSET.firstByte] = DATA_FIRST_BYTE;
  into[offset + DATA_OFFSET.flags] = header.flags;
  into[offset + DATA_OFFSET.hopLimit] = header.hopLimit;
  into[offset + DATA_OFFSET.copyBudget] = header.copyBudget;
  into[offset + DATA_OFFSET.stackLength] = header.ids.length;
  into[offset + DATA_OFFSET.payloadKind] = header.payloadKind;
  into.fill(0, offset + DATA_OFFSET.reserved, offset + DATA_OFFSET.nonce);
  into.set(header.nonce, offset + DATA_OFFSET.nonce);
  header.ids.forEach((id, i) => into.set(id, offset + dataHeaderBytes(i)));
  return bytes;
}

/** The header alone, in a buffer of its own. Throws RangeError as {@link encodeDataHeaderInto}. */
export function encodeDataHeader(header: DataHeader): Uint8Array {
  const out = new Uint8Array(dataHeaderBytes(header.ids.length));
  encodeDataHeaderInto(header, out, 0);
  return out;
}

function checkFields(header: DataHeader): void {
  for (const name of ["flags", "hopLimit", "copyBudget", "payloadKind"] as const) {
    const value = header[name];
    if (!Number.isInteger(value) || value < 0 || value > 0xff) throw new RangeError(`data header: ${name} ${value}`);
  }
  if (header.nonce.length !== NONCE_BYTES) throw new RangeError(`data header: nonce of ${header.nonce.length} bytes`);
  if (header.ids.length < 1 || header.ids.length > MAX_STACK_LENGTH) throw new RangeError(`data header: stack of ${header.ids.length}`);
  for (const id of header.ids) if (id.length !== ID_BYTES) throw new RangeError(`data header: id of ${id.length} bytes`);
}

/**
 * Reads the header in `bytes[offset … end]`; the payload begins at `payloadOffset` (from the start of `bytes`) and ends at
 * `end`. The arrays are copies. Throws WireError, nothing else.
 */
export function decodeDataHeader(bytes: Uint8Array, offset = 0, end: number = bytes.length): { readonly header: DataHeader; readonly payloadOffset: number } {
  if (offset < 0 || end > bytes.length || end - offset < DATA_OFFSET.ids) throw new WireError("data header", `length ${end - offset}`);
  if (bytes[offset] !== DATA_FIRST_BYTE) throw new WireError("data header", `first byte ${bytes[offset]}`);
  const headerBytes = parseDataHeader(bytes, offset, end - offset);
  if (headerBytes < 0) throw new WireError("data header", `stack of ${bytes[offset + DATA_OFFSET.stackLength]} in ${end - offset} bytes`);
  const field = (at: number): number => bytes[offset + at] ?? 0;
  const slice = (at: number, length: number): Uint8Array => Uint8Array.prototype.slice.call(bytes, offset + at, offset + at + length);
  const header: DataHeader = {
    flags: field(DATA_OFFSET.flags),
    hopLimit: field(DATA_OFFSET.hopLimit),
    copyBudget: field(DATA_OFFSET.copyBudget),
    payloadKind: field(DATA_OFFSET.payloadKind),
    nonce: slice(DATA_OFFSET.nonce, NONCE_BYTES),
    ids: Array.from({ length: field(DATA_OFFSET.stackLength) }, (_, i) => slice(dataHeaderBytes(i), ID_BYTES)),
  };
  return { header, payloadOffset: offset + headerBytes };
}

/**
 * The engine's form of {@link decodeDataHeader}: the header's bytes, or -1 when it is malformed. Never throws or allocates.
 * The caller has looked at the first byte, and `bytes[offset … offset + length]` exists.
 */
export function parseDataHeader(bytes: Uint8Array, offset: number, length: number): number {
  if (length < DATA_OFFSET.ids) return -1;
  const ids = bytes[offset + DATA_OFFSET.stackLength] ?? 0;
  if (ids < 1 || ids > MAX_STACK_LENGTH) return -1;
  const headerBytes = dataHeaderBytes(ids);
  return headerBytes <= length ? headerBytes : -1;
}

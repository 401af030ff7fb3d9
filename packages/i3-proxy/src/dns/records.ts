/**
 * The records of a DNS message, byte by byte (RFC 1035 §4.1.3), for messages that go on nearly as they came: dns-packet would make strings of names and data.
 *
 *     | owner: label … 0 or pointer 2 | type 2 | class 2 | TTL 4 | length 2 | data … |
 */
import { HEADER_BYTES, readUint16 } from "./question.js";

export interface RawRecord {
  readonly section: "answer" | "authority" | "additional";
  readonly start: number;
  readonly type: number;
  readonly dnsClass: number;
  readonly ttlAt: number;
  readonly dataAt: number;
  readonly end: number;
}

/** Code and data of an EDNS option (RFC 6891 §6.1.2). */
export interface RawOption {
  readonly code: number;
  readonly start: number;
  readonly dataAt: number;
  readonly end: number;
}

const POINTER_BITS = 0xc0;
const FIXED_BYTES = 10;
const OPTION_HEAD_BYTES = 4;
const MAX_NAME_BYTES = 255;
const SECTIONS = ["answer", "authority", "additional"] as const;

/** All records behind the question, which ends at `questionEnd`; null when one is malformed. What is behind the last one is left alone. */
export function readRecords(message: Uint8Array, questionEnd: number): readonly RawRecord[] | null {
  const records: RawRecord[] = [];
  let at = questionEnd;
  for (const [i, section] of SECTIONS.entries()) {
    for (let left = readUint16(message, 6 + 2 * i); left > 0; left -= 1) {
      const typeAt = skipName(message, at);
      if (typeAt === null || typeAt + FIXED_BYTES > message.length) return null;
      const dataAt = typeAt + FIXED_BYTES;
      const end = dataAt + readUint16(message, typeAt + 8);
      if (end > message.length) return null;
      records.push({ section, start: at, type: readUint16(message, typeAt), dnsClass: readUint16(message, typeAt + 2), ttlAt: typeAt + 4, dataAt, end });
      at = end;
    }
  }
  return records;
}

/** The options of an OPT record; null when they are malformed. */
export function readOptions(message: Uint8Array, { dataAt, end }: RawRecord): readonly RawOption[] | null {
  const options: RawOption[] = [];
  for (let at = dataAt; at < end; ) {
    const next = at + OPTION_HEAD_BYTES + readUint16(message, at + 2);
    if (at + OPTION_HEAD_BYTES > end || next > end) return null;
    options.push({ code: readUint16(message, at), start: at, dataAt: at + OPTION_HEAD_BYTES, end: next });
    at = next;
  }
  return options;
}

/** Whether the owner of a record is the name in the question, letter case aside. */
export function isOfQuestion(message: Uint8Array, { start }: RawRecord): boolean {
  const [owner, asked] = [nameAt(message, start), nameAt(message, HEADER_BYTES)];
  return owner !== null && asked !== null && owner.length === asked.length && owner.every((byte, i) => lower(byte) === lower(asked[i] ?? 0));
}

const lower = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);

/** Where the name that begins at `at` ends; null when it does not, or has labels of a kind that nobody knows. */
function skipName(message: Uint8Array, at: number): number | null {
  for (let offset = at; ; ) {
    const length = message[offset];
    if (length === undefined) return null;
    if (length === 0) return offset + 1;
    if ((length & POINTER_BITS) === POINTER_BITS) return offset + 2 <= message.length ? offset + 2 : null;
    if ((length & POINTER_BITS) !== 0 || offset + 1 + length - at > MAX_NAME_BYTES) return null;
    offset += 1 + length;
  }
}

/** Length bytes and labels of a name, without pointers; null: malformed, or a pointer that does not point back. */
function nameAt(message: Uint8Array, at: number): readonly number[] | null {
  const out: number[] = [];
  let offset = at;
  let before = at;
  while (out.length <= MAX_NAME_BYTES) {
    const length = message[offset];
    if (length === undefined) return null;
    if (length === 0) return out;
    if ((length & POINTER_BITS) === POINTER_BITS) {
      offset = readUint16(message, offset) & 0x3fff;
      if (offset >= before || offset < HEADER_BYTES) return null;
      before = offset;
      continue;
    }
    if ((length & POINTER_BITS) !== 0 || offset + 1 + length > message.length) return null;
    out.push(...message.subarray(offset, offset + 1 + length));
    offset += 1 + length;
  }
  return null;
}

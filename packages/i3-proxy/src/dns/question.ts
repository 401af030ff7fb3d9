/**
 * The question of a DNS query, read without decoding the rest (RFC 1035 §4.1.2): whether a question is ours is decided for
 * every question of every program, so it must cost little. Names of ours are then decoded whole, by dns-packet.
 *
 *     | id 2 | flags 2 | questions 2 | answers 2 | authorities 2 | additionals 2 | label … 0 | type 2 | class 2 |
 */
import { Buffer } from "node:buffer";

// Of RFC 1035 (§2.3.4, §4.1.1):
export const HEADER_BYTES = 12;
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;

export interface Question {
  /**
   * Lower case, no dot at the end; the root is "". Bytes that could be mistaken (dots within a label, spaces, control and non-ASCII
   * bytes, backslashes) are written `\DDD` as RFC 1035 §5.1 does.
   */
  readonly name: string;
  readonly type: number;
  readonly dnsClass: number;
  /** Where the second label begins, for a compression pointer to the parent; the name itself when it has one label or none. */
  readonly parentOffset: number;
  /** Offset after the question. */
  readonly end: number;
}

export const readUint16 = (bytes: Uint8Array, offset: number): number => ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);

/** Byte → lower case, or 0 when it cannot stand in a name as it is. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte <= 0x20 || byte >= 0x7f || byte === 0x2e || byte === 0x5c) return 0;
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
});
const DOT = 0x2e;
const scratch = Buffer.alloc(MAX_NAME_BYTES);

/** The first question, which must begin after the header; null when it is cut off or malformed (pointers are, there). */
export function readQuestion(query: Uint8Array): Question | null {
  let length = 0;
  let special = false;
  let offset = HEADER_BYTES;
  let parentOffset = HEADER_BYTES;
  for (let labels = 0; ; labels += 1) {
    const labelBytes = query[offset];
    if (labelBytes === undefined || labelBytes > MAX_LABEL_BYTES) return null;
    offset += 1;
    if (labelBytes === 0) break;
    const end = offset + labelBytes;
    if (end >= query.length || end - HEADER_BYTES >= MAX_NAME_BYTES) return null;
    if (labels > 0) scratch[length++] = DOT;
    if (labels === 1) parentOffset = offset - 1;
    for (; offset < end; offset += 1) {
      const plain = PLAIN[query[offset] ?? 0] ?? 0;
      if (plain === 0) special = true;
      scratch[length++] = plain;
    }
  }
  if (offset + 4 > query.length) return null;
  const name = special ? escapedName(query) : scratch.toString("latin1", 0, length);
  return { name, type: readUint16(query, offset), dnsClass: readUint16(query, offset + 2), parentOffset, end: offset + 4 };
}

/** The name of a question that {@link readQuestion} has already walked. */
function escapedName(query: Uint8Array): string {
  const labels: string[] = [];
  for (let offset = HEADER_BYTES; query[offset] !== 0 && offset < query.length; offset += 1 + (query[offset] ?? 0)) {
    labels.push(Array.from(query.subarray(offset + 1, offset + 1 + (query[offset] ?? 0)), escapedByte).join(""));
  }
  return labels.join(".");
}

function escapedByte(byte: number): string {
  const plain = PLAIN[byte] ?? 0;
  return plain === 0 ? `\\${String(byte).padStart(3, "0")}` : String.fromCharCode(plain);
}

/** Whether an answer repeats the question of a query, letter case aside (a resolver may change it). */
export function sameQuestion(query: Uint8Array, questionEnd: number, answer: Uint8Array): boolean {
  if (answer.length < questionEnd || readUint16(answer, 4) !== 1) return false;
  for (let i = HEADER_BYTES; i < questionEnd; i += 1) {
    const a = query[i] ?? 0;
    const b = answer[i] ?? 0;
    if (a !== b && ((PLAIN[a] ?? 0) !== (PLAIN[b] ?? 0) || PLAIN[a] === 0)) return false;
  }
  return true;
}

/**
 * Encodes our answers (RFC 1035 §4.1). The question is copied byte for byte, which keeps its letter case (the 0x20 trick) and whatever
 * odd bytes it has; dns-packet would make strings of them. Records point back to it:
 *
 *     | header 12 | question as it came | answers | SOA | OPT |
 */
import { concatBytes } from "@i3/common";
import { HEADER_BYTES, type Question, readUint16 } from "./question.js";

export const RCODE = { noError: 0, formatError: 1, serverFailure: 2, nxDomain: 3, notImplemented: 4, refused: 5, badVersion: 16 } as const;

export interface AnswerParts {
  /** Above 15 only with `edns`. */
  readonly rcode: number;
  readonly records: readonly ({ readonly type: number; readonly data: Uint8Array } | { readonly type: number; readonly name: string })[];
  /** Whether an SOA says that there is nothing, and for how long: 0 s (RFC 2308). */
  readonly negative: boolean;
  /** Non-null when the query had an OPT record (RFC 6891). */
  readonly edns: { readonly dnssecOk: boolean } | null;
}

const TYPE_SOA = 6;
const TYPE_OPT = 41;
const CLASS_IN = 1;
const POINTER = 0xc000;
const FLAG = { response: 0x8000, authoritative: 0x0400, truncated: 0x0200, recursionAvailable: 0x0080 } as const;
/** Opcode, "recursion desired" and "checking disabled" are the query's. */
const KEPT_FLAGS = 0x7910;

// Ours:
/** Largest datagram that we say we take: what passes everywhere unfragmented (DNS flag day 2020). */
const OUR_UDP_BYTES = 1_232;
const TTL_SECONDS = 0;
/** RFC 6303 §3: owner = MNAME, RNAME nobody.invalid. Serial, refresh, retry, expire; minimum 0: nothing is remembered. */
const SOA_NUMBERS = [1, 3_600, 1_200, 604_800, 0] as const;

/** An answer of at most `limit` bytes: what is longer loses its records and gets TC, so that the program asks again over TCP. */
export function encodeAnswer(query: Uint8Array, question: Question | null, parts: AnswerParts, limit: number): Uint8Array {
  const whole = encode(query, question, parts, 0);
  return whole.length <= limit ? whole : encode(query, question, { ...parts, records: [], negative: false }, FLAG.truncated);
}

function encode(query: Uint8Array, question: Question | null, parts: AnswerParts, extraFlags: number): Uint8Array {
  const end = question?.end ?? HEADER_BYTES;
  const writer = new Writer(query, end);
  for (const record of parts.records) {
    writer.record(HEADER_BYTES, record.type, "data" in record ? record.data : nameBytes(record.name));
  }
  if (parts.negative && question !== null) writer.record(question.parentOffset, TYPE_SOA, soaData(question.parentOffset));
  if (parts.edns !== null) writer.opt(parts.rcode >> 4, parts.edns.dnssecOk);
  const kept = readUint16(query, 2) & KEPT_FLAGS;
  const authoritative = parts.negative || parts.records.length > 0 ? FLAG.authoritative : 0;
  writer.at(2, kept | FLAG.response | authoritative | FLAG.recursionAvailable | extraFlags | (parts.rcode & 0xf));
  writer.at(4, question === null ? 0 : 1);
  writer.at(6, parts.records.length);
  writer.at(8, parts.negative ? 1 : 0);
  writer.at(10, parts.edns === null ? 0 : 1);
  return writer.bytes();
}

/** All answers fit: question ≤ 259, one name ≤ 255 or two addresses, SOA, OPT. */
const MAX_ANSWER_BYTES = 640;
const scratch = new Uint8Array(MAX_ANSWER_BYTES);

class Writer {
  #length: number;

  constructor(query: Uint8Array, end: number) {
    for (let i = 0; i < end; i += 1) scratch[i] = query[i] ?? 0;
    this.#length = end;
  }

  record(ownerOffset: number, type: number, data: Uint8Array): void {
    this.#uint16(POINTER | ownerOffset);
    this.#uint16(type);
    this.#uint16(CLASS_IN);
    this.#uint32(TTL_SECONDS);
    this.#uint16(data.length);
    scratch.set(data, this.#length);
    this.#length += data.length;
  }

  opt(extendedRcode: number, dnssecOk: boolean): void {
    scratch[this.#length++] = 0;
    this.#uint16(TYPE_OPT);
    this.#uint16(OUR_UDP_BYTES);
    this.#uint16(extendedRcode << 8);
    this.#uint16(dnssecOk ? 0x8000 : 0);
    this.#uint16(0);
  }

  at(offset: number, value: number): void {
    scratch[offset] = value >> 8;
    scratch[offset + 1] = value & 0xff;
  }

  bytes(): Uint8Array {
    return scratch.slice(0, this.#length);
  }

  #uint16(value: number): void {
    this.at(this.#length, value);
    this.#length += 2;
  }

  #uint32(value: number): void {
    this.#uint16(value >>> 16);
    this.#uint16(value & 0xffff);
  }
}

function soaData(ownerOffset: number): Uint8Array {
  const numbers = new Uint8Array(4 * SOA_NUMBERS.length);
  const view = new DataView(numbers.buffer);
  SOA_NUMBERS.forEach((value, i) => view.setUint32(4 * i, value));
  return concatBytes(Uint8Array.of((POINTER | ownerOffset) >> 8, ownerOffset & 0xff), SOA_RNAME, numbers);
}

/** A name of ours (ASCII labels of 1–63 bytes) in wire form, not compressed. */
function nameBytes(name: string): Uint8Array {
  const out = new Uint8Array(name.length + 2);
  let offset = 0;
  for (const label of name.split(".")) {
    out[offset++] = label.length;
    for (let i = 0; i < label.length; i += 1) out[offset++] = label.charCodeAt(i);
  }
  return out;
}

const SOA_RNAME = nameBytes("nobody.invalid");

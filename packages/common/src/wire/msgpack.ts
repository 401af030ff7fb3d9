/**
 * Bodies of control and set-up messages: one MessagePack array (docs/wire.md §4), encoded by msgpackr.
 *
 * They are decoded here: msgpackr trusts lengths that the bytes declare (a five-byte datagram can make it allocate an array of millions), where this
 * lets only small arrays of nil, booleans, integers, binary and strings through.
 */
import { isUtf8 } from "node:buffer";

import { Packr, RESET_BUFFER_MODE } from "msgpackr";

import { WireError } from "../errors.js";

/** What a body element can be. Integers of eight bytes arrive as bigint. */
export type BodyValue = null | boolean | number | bigint | string | Uint8Array | readonly BodyValue[];

export const MAX_BODY_ELEMENTS = 32;
const MAX_NESTING = 3;

const packr = new Packr({ useRecords: false, variableMapSize: true });

// msgpackr writes integers beyond 32 bits as floats unless they are bigint.
const asInteger = (value: BodyValue): BodyValue =>
  typeof value === "number" && value > 0xffffffff ? BigInt(value) : Array.isArray(value) ? value.map(asInteger) : value;

const isLong = (value: BodyValue): boolean => (typeof value === "number" ? value > 0xffffffff : Array.isArray(value) && value.some(isLong));

/** Bytes of one body, in memory that the next call writes over. */
export const packBody = (elements: readonly BodyValue[]): Uint8Array => packr.pack(elements.some(isLong) ? elements.map(asInteger) : elements, RESET_BUFFER_MODE);

/** Bytes of one body. */
export const encodeBody = (elements: readonly BodyValue[]): Uint8Array => new Uint8Array(packBody(elements));

/** The elements of a body; binary is a view of `bytes`. Throws WireError on anything else than one array that the limits allow, or trailing bytes. */
export function decodeBody(bytes: Uint8Array): readonly BodyValue[] {
  const token = bytes[0] ?? 0;
  if ((token & 0xf0) !== 0x90 && token !== 0xdc) throw new WireError("body", "not an array");
  const cursor: Cursor = { bytes, at: 0 };
  const elements = readValue(cursor, 0) as readonly BodyValue[];
  if (cursor.at !== bytes.length) throw new WireError("body", "bytes after the array");
  return elements;
}

interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
}

function readValue(cursor: Cursor, depth: number): BodyValue {
  const token = readUint(cursor, 1);
  if (token <= 0x7f) return token;
  if (token >= 0xe0) return token - 0x100;
  if ((token & 0xe0) === 0xa0) return readText(cursor, token & 0x1f);
  if ((token & 0xf0) === 0x90) return readArray(cursor, token & 0x0f, depth);
  switch (token) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: return take(cursor, readUint(cursor, 1));
    case 0xc5: return take(cursor, readUint(cursor, 2));
    case 0xd9: return readText(cursor, readUint(cursor, 1));
    case 0xda: return readText(cursor, readUint(cursor, 2));
    case 0xcc: return readUint(cursor, 1);
    case 0xcd: return readUint(cursor, 2);
    case 0xce: return readUint(cursor, 4);
    case 0xcf: return readLong(cursor);
    case 0xd0: return (readUint(cursor, 1) << 24) >> 24;
    case 0xd1: return (readUint(cursor, 2) << 16) >> 16;
    case 0xd2: return readUint(cursor, 4) | 0;
    case 0xd3: return BigInt.asIntN(64, readLong(cursor));
    case 0xdc: return readArray(cursor, readUint(cursor, 2), depth);
    default: throw new WireError("body", `token 0x${token.toString(16)} is not allowed`);
  }
}

function readArray(cursor: Cursor, length: number, depth: number): readonly BodyValue[] {
  if (length > MAX_BODY_ELEMENTS) throw new WireError("body", `array of ${length}`);
  if (depth >= MAX_NESTING) throw new WireError("body", "nested too deeply");
  const elements: BodyValue[] = [];
  for (let i = 0; i < length; i += 1) elements.push(readValue(cursor, depth + 1));
  return elements;
}

function take(cursor: Cursor, length: number): Uint8Array {
  const { bytes, at } = cursor;
  if (at + length > bytes.length) throw new WireError("body", "truncated");
  cursor.at = at + length;
  return bytes.subarray(at, at + length);
}

function readText(cursor: Cursor, length: number): string {
  const text = take(cursor, length);
  if (!isUtf8(text)) throw new WireError("body", "text that is not UTF-8");
  return Buffer.from(text.buffer, text.byteOffset, length).toString("utf8");
}

/** Of one to four bytes. */
function readUint(cursor: Cursor, width: number): number {
  const { bytes, at } = cursor;
  if (at + width > bytes.length) throw new WireError("body", "truncated");
  let value = 0;
  for (let i = 0; i < width; i += 1) value = value * 256 + (bytes[at + i] as number);
  cursor.at = at + width;
  return value;
}

const readLong = (cursor: Cursor): bigint => (BigInt(readUint(cursor, 4)) << 32n) | BigInt(readUint(cursor, 4));

/** Reads the elements of one body in order, each with the type it must have; WireError names what was wrong. */
export class BodyReader {
  readonly #elements: readonly BodyValue[];
  readonly #what: string;
  #next = 0;

  constructor(what: string, elements: readonly BodyValue[]) {
    this.#what = what;
    this.#elements = elements;
  }

  /** Binary of exactly one of the given lengths. A copy, so that no datagram stays alive because of it. */
  bytes(field: string, ...lengths: readonly number[]): Uint8Array {
    return new Uint8Array(this.view(field, ...lengths));
  }

  /** The same as a view of the datagram, for who keeps no part of it. */
  view(field: string, ...lengths: readonly number[]): Uint8Array {
    const value = this.#take(field);
    if (!(value instanceof Uint8Array)) throw this.#wrong(field, "binary expected");
    if (!lengths.includes(value.length)) throw this.#wrong(field, `${value.length} bytes`);
    return value;
  }

  /** Binary of `min` to `max` bytes, a copy. */
  bytesWithin(field: string, min: number, max: number): Uint8Array {
    const value = this.#take(field);
    if (!(value instanceof Uint8Array)) throw this.#wrong(field, "binary expected");
    if (value.length < min || value.length > max) throw this.#wrong(field, `${value.length} bytes`);
    return new Uint8Array(value);
  }

  bytesWithinOrNull(field: string, min: number, max: number): Uint8Array | null {
    return this.#elements[this.#next] === null ? (this.#take(field), null) : this.bytesWithin(field, min, max);
  }

  bytesOrNull(field: string, ...lengths: readonly number[]): Uint8Array | null {
    return this.#elements[this.#next] === null ? (this.#take(field), null) : this.bytes(field, ...lengths);
  }

  /** An integer from 0 to `max`, at most 2^53 − 1. */
  uint(field: string, max: number = Number.MAX_SAFE_INTEGER): number {
    const taken = this.#take(field);
    const value = typeof taken === "bigint" && taken <= Number.MAX_SAFE_INTEGER ? Number(taken) : taken;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > max) throw this.#wrong(field, "integer out of range");
    return value;
  }

  boolean(field: string): boolean {
    const value = this.#take(field);
    if (typeof value !== "boolean") throw this.#wrong(field, "boolean expected");
    return value;
  }

  array(field: string, max: number): readonly BodyValue[] {
    const value = this.#take(field);
    if (!Array.isArray(value)) throw this.#wrong(field, "array expected");
    if (value.length > max) throw this.#wrong(field, `array of ${value.length}`);
    return value as readonly BodyValue[];
  }

  arrayOrNull(field: string, max: number): readonly BodyValue[] | null {
    return this.#elements[this.#next] === null ? (this.#take(field), null) : this.array(field, max);
  }

  #take(field: string): BodyValue {
    if (this.#next >= this.#elements.length) throw this.#wrong(field, "missing");
    const value = this.#elements[this.#next] as BodyValue;
    this.#next += 1;
    return value;
  }

  #wrong(field: string, why: string): WireError {
    return new WireError(`${this.#what}.${field}`, why);
  }
}

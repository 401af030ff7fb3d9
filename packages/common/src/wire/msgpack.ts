/**
 * Bodies of control and set-up messages: one MessagePack array (docs/wire.md §4), encoded by msgpackr.
 *
 * msgpackr trusts lengths that the bytes declare (a five-byte datagram can make it allocate an array of millions), so a
 * scanner walks the tokens first and lets only small arrays of nil, booleans, integers, binary and strings through.
 */
import { isUtf8 } from "node:buffer";

import { Packr, Unpackr } from "msgpackr";

import { WireError } from "../errors.js";

/** What a body element can be. Integers of eight bytes arrive as bigint. */
export type BodyValue = null | boolean | number | bigint | string | Uint8Array | readonly BodyValue[];

export const MAX_BODY_ELEMENTS = 32;
const MAX_NESTING = 3;

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

// msgpackr writes integers beyond 32 bits as floats unless they are bigint.
const asInteger = (value: BodyValue): BodyValue =>
  typeof value === "number" && value > 0xffffffff ? BigInt(value) : Array.isArray(value) ? value.map(asInteger) : value;

/** Bytes of one body. */
export const encodeBody = (elements: readonly BodyValue[]): Uint8Array => packr.pack(elements.map(asInteger));

/** The elements of a body. Throws WireError on anything else than one array that the limits allow, or trailing bytes. */
export function decodeBody(bytes: Uint8Array): readonly BodyValue[] {
  if (bytes.length === 0 || !isArrayToken(bytes[0] ?? 0)) throw new WireError("body", "not an array");
  if (scanValue(bytes, 0, 0) !== bytes.length) throw new WireError("body", "bytes after the array");
  try {
    // A plain Buffer: msgpackr then yields Buffers, which are Uint8Arrays, as views of it.
    return unpackr.unpack(Buffer.from(bytes)) as readonly BodyValue[];
  } catch (cause) {
    throw new WireError("body", cause instanceof Error ? cause.message : String(cause));
  }
}

const isArrayToken = (token: number): boolean => (token & 0xf0) === 0x90 || token === 0xdc;

/** Offset behind the value at `offset`; throws WireError when it is not allowed. */
function scanValue(bytes: Uint8Array, offset: number, depth: number): number {
  const token = bytes[offset];
  if (token === undefined) throw new WireError("body", "truncated");
  if (token <= 0x7f || token >= 0xe0 || token === 0xc0 || token === 0xc2 || token === 0xc3) return offset + 1;
  if ((token & 0xe0) === 0xa0) return skipText(bytes, offset + 1, token & 0x1f);
  if ((token & 0xf0) === 0x90) return scanArray(bytes, offset + 1, token & 0x0f, depth);
  switch (token) {
    case 0xc4: return skip(bytes, offset + 2, uint(bytes, offset + 1, 1));
    case 0xc5: return skip(bytes, offset + 3, uint(bytes, offset + 1, 2));
    case 0xd9: return skipText(bytes, offset + 2, uint(bytes, offset + 1, 1));
    case 0xda: return skipText(bytes, offset + 3, uint(bytes, offset + 1, 2));
    case 0xcc: case 0xd0: return skip(bytes, offset + 1, 1);
    case 0xcd: case 0xd1: return skip(bytes, offset + 1, 2);
    case 0xce: case 0xd2: return skip(bytes, offset + 1, 4);
    case 0xcf: case 0xd3: return skip(bytes, offset + 1, 8);
    case 0xdc: return scanArray(bytes, offset + 3, uint(bytes, offset + 1, 2), depth);
    default: throw new WireError("body", `token 0x${token.toString(16)} is not allowed`);
  }
}

function scanArray(bytes: Uint8Array, offset: number, length: number, depth: number): number {
  if (length > MAX_BODY_ELEMENTS) throw new WireError("body", `array of ${length}`);
  if (depth >= MAX_NESTING) throw new WireError("body", "nested too deeply");
  let next = offset;
  for (let i = 0; i < length; i += 1) next = scanValue(bytes, next, depth + 1);
  return next;
}

function skip(bytes: Uint8Array, start: number, length: number): number {
  if (start + length > bytes.length) throw new WireError("body", "truncated");
  return start + length;
}

/** msgpackr would read bytes that are not UTF-8 as other text. */
function skipText(bytes: Uint8Array, start: number, length: number): number {
  const end = skip(bytes, start, length);
  if (!isUtf8(bytes.subarray(start, end))) throw new WireError("body", "text that is not UTF-8");
  return end;
}

function uint(bytes: Uint8Array, offset: number, width: number): number {
  if (offset + width > bytes.length) throw new WireError("body", "truncated");
  return width === 1 ? (bytes[offset] ?? 0) : ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

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
    const value = this.#take(field);
    if (!(value instanceof Uint8Array)) throw this.#wrong(field, "binary expected");
    if (!lengths.includes(value.length)) throw this.#wrong(field, `${value.length} bytes`);
    return new Uint8Array(value);
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

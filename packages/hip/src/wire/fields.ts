/** Fixed fields one after the other, big-endian: what most HIP parameters are made of. */
import { WireError } from "@i3/common";

/** Reads forward; every read beyond the end is a WireError that names the parameter. */
export class FieldReader {
  readonly #what: string;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(what: string, bytes: Uint8Array) {
    this.#what = what;
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** An integer of 1 to 4 bytes. */
  uint(bytes: number): number {
    return this.#view(bytes).reduce((value, byte) => value * 256 + byte, 0);
  }

  u64(): bigint {
    return this.#view(8).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  /** A copy. */
  bytes(length: number): Uint8Array {
    return this.#view(length).slice();
  }

  /** All that is left, a copy; at least `minimum` bytes. */
  rest(minimum = 0): Uint8Array {
    if (this.left < minimum) throw new WireError(this.#what, "too short");
    return this.bytes(this.left);
  }

  /** Reserved fields: sent as zeros, not looked at. */
  skip(length: number): void {
    this.#view(length);
  }

  /** Whole numbers of `bytes` bytes up to the end, at least one. Those after the first `limit` are dropped. */
  uints(bytes: number, limit: number): number[] {
    if (this.left === 0 || this.left % bytes !== 0) throw new WireError(this.#what, "not a list of whole numbers");
    const all = Array.from({ length: Math.min(limit, this.left / bytes) }, () => this.uint(bytes));
    this.skip(this.left);
    return all;
  }

  /** Nothing may be left. */
  end(): void {
    if (this.left > 0) throw new WireError(this.#what, `${this.left} bytes too many`);
  }

  fail(why: string): never {
    throw new WireError(this.#what, why);
  }

  #view(length: number): Uint8Array {
    if (this.left < length) throw new WireError(this.#what, "too short");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** An unsigned integer in 1 to 4 bytes. RangeError when it does not fit. */
export function uintBytes(bytes: number, value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value >= 256 ** bytes) throw new RangeError(`${value} does not fit ${bytes} bytes`);
  return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** (bytes - 1 - i)) % 256);
}

/** RangeError unless 1 to `limit` numbers, each of `bytes` bytes. */
export function uintListBytes(bytes: number, values: readonly number[], limit: number): Uint8Array {
  if (values.length === 0 || values.length > limit) throw new RangeError(`a list of ${values.length}`);
  return Uint8Array.from(values.flatMap((value) => [...uintBytes(bytes, value)]));
}

/** The bytes themselves. RangeError unless they are as many as one of `lengths`. */
export function exactly(what: string, value: Uint8Array, ...lengths: readonly number[]): Uint8Array {
  if (!lengths.includes(value.length)) throw new RangeError(`${what} of ${value.length} bytes`);
  return value;
}

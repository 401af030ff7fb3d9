/** HKDF (RFC 5869) as a stream: KEYMAT is drawn in pieces, and how much will be needed is not known when it begins. */
import { createHmac } from "node:crypto";

import { RHASH_BYTES, type Rhash } from "./rhash.js";

/** Blocks of output there are: the counter is one byte (RFC 5869 §2.3). */
const MAX_BLOCKS = 255;

export class HkdfStream {
  readonly rhash: Rhash;
  readonly #prk: Uint8Array;
  readonly #info: Uint8Array;
  /** T(n), of which the bytes up to `#index` are used. */
  #block = new Uint8Array(0);
  #blocks = 0;
  #index = 0;
  #wiped = false;

  /** `secret` is the input keying material; the caller still owns it and wipes it. */
  constructor(rhash: Rhash, secret: Uint8Array, salt: Uint8Array, info: Uint8Array) {
    this.rhash = rhash;
    this.#prk = createHmac(rhash, salt).update(secret).digest();
    this.#info = info.slice();
  }

  /** How many bytes were drawn or skipped. */
  get index(): number {
    return this.#index;
  }

  /** How many bytes there are in all: 255 * RHASH_len. */
  get size(): number {
    return MAX_BLOCKS * RHASH_BYTES[this.rhash];
  }

  /** The next `bytes` bytes, which the caller owns and wipes. RangeError past the end, or after {@link wipe}. */
  draw(bytes: number): Uint8Array {
    this.#checkEnd(this.#index + bytes, bytes);
    const out = new Uint8Array(bytes);
    this.#advance(bytes, out);
    return out;
  }

  /** Goes on at `index`. RangeError for going back: no byte is drawn twice. */
  skipTo(index: number): void {
    this.#checkEnd(index, index - this.#index);
    this.#advance(index - this.#index, undefined);
  }

  /** Forgets the key. What was drawn is untouched. */
  wipe(): void {
    this.#prk.fill(0);
    this.#block.fill(0);
    this.#wiped = true;
  }

  #checkEnd(end: number, bytes: number): void {
    if (this.#wiped) throw new RangeError("keying material was wiped");
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`${bytes} bytes of keying material`);
    if (end > this.size) throw new RangeError(`keying material ends at ${this.size} bytes, ${end} asked for`);
  }

  #advance(bytes: number, out: Uint8Array | undefined): void {
    const length = RHASH_BYTES[this.rhash];
    for (let done = 0; done < bytes; ) {
      const offset = this.#index % length;
      if (offset === 0) this.#nextBlock();
      const part = this.#block.subarray(offset, Math.min(length, offset + bytes - done));
      out?.set(part, done);
      done += part.length;
      this.#index += part.length;
    }
  }

  #nextBlock(): void {
    const next = createHmac(this.rhash, this.#prk).update(this.#block).update(this.#info).update(Uint8Array.of(++this.#blocks)).digest();
    this.#block.fill(0);
    this.#block = next;
  }
}

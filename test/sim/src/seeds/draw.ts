/** All chance in a run comes from here: streams of numbers that follow from a text. */
import { createHash } from "node:crypto";

/** sfc32 (PractRand), seeded with 128 bits of SHA-256. */
export class Draw {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor(seed: string) {
    const words = new DataView(new Uint8Array(createHash("sha256").update(seed).digest()).buffer);
    this.#a = words.getInt32(0);
    this.#b = words.getInt32(4);
    this.#c = words.getInt32(8);
    this.#counter = words.getInt32(12);
  }

  /** 0 to 2^32 - 1. */
  word(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return this.word() % limit;
  }

  /** Whole numbers from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.word() < p * 4_294_967_296;
  }

  /** Throws RangeError when there is nothing to pick from. */
  pick<T>(values: readonly T[]): T {
    if (values.length === 0) throw new RangeError("nothing to pick from");
    return values[this.below(values.length)] as T;
  }

  readonly bytes = (length: number): Uint8Array => {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 4) {
      const word = this.word();
      out[at] = word;
      if (at + 1 < length) out[at + 1] = word >>> 8;
      if (at + 2 < length) out[at + 2] = word >>> 16;
      if (at + 3 < length) out[at + 3] = word >>> 24;
    }
    return out;
  };
}

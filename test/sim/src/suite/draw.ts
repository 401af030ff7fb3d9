/** Everything that a run draws comes from its seed. */
export class Draw {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 bits (mulberry32). */
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** In [0, 1). */
  part(): number {
    return this.word() / 4_294_967_296;
  }

  /** 0 to `count` − 1. */
  below(count: number): number {
    return Math.floor(this.part() * count);
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** Of an exponential distribution. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.part());
  }

  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.word();
      for (let b = 0; b < 4 && i + b < length; b += 1) out[i + b] = word >>> (8 * b);
    }
    return out;
  }
}

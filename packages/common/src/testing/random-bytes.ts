/** Seeded bytes and mutations of bytes. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** mulberry32. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
}

/** A few bytes changed, put in or taken out; sometimes none. `likely`: values that mean something to the decoder. */
export function mutated(random: Random, bytes: Uint8Array, likely: readonly number[]): Uint8Array {
  const out = [...bytes];
  for (let edits = random.below(4); edits > 0; edits--) {
    const at = random.below(out.length + 1);
    const value = random.below(2) === 0 ? random.pick(likely) : random.below(256);
    switch (random.below(5)) {
      case 0: out.splice(at, 0, value); break;
      case 1: out.splice(at, 1 + random.below(3)); break;
      case 2: out.length = at; break;
      default: if (at < out.length) out[at] = value;
    }
  }
  return Uint8Array.from(out);
}

/** A small seeded generator (sfc32 by Chris Doty-Humphrey), so that a run can be repeated from its seed. Not for secrets. */

const STEPS_TO_MIX = 12;

/** Draws numbers in [0, 1), the same ones for the same seed. */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `seed`: 32 bits; `stream`: names one of many independent sequences of the seed. */
  constructor(seed: number, stream: string) {
    const hash = hashText(stream);
    this.#a = seed | 0;
    this.#b = hash;
    this.#c = Math.imul(seed ^ hash, 0x9e3779b1);
    for (let step = 0; step < STEPS_TO_MIX; step++) this.next();
  }

  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  }
}

/** FNV-1a, 32 bits. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/**
 * The puzzle that an initiator solves before a responder spends anything on it (RFC 7401 §4.1.2, §6.3, appendix A):
 *
 *     Ltrunc(RHASH(#I | HIT-I | HIT-R | #J), K) == 0
 *
 * where Ltrunc keeps the K lowest-order bits, which are the last ones of the hash in network byte order (§2.2), and #I and #J are
 * RHASH_len long each.
 */
import { hash } from "node:crypto";

import { concatBytes, HIT_BYTES } from "@i3/common";

import { RHASH_BYTES, type Rhash } from "./rhash.js";

/** What a responder asks for. */
export interface Puzzle {
  /** K: how many bits must be zero; about 2^K tries. */
  readonly difficulty: number;
  /** The solution is good for 2^(lifetime - 32) seconds (RFC 7401 §5.2.4). */
  readonly lifetime: number;
  /** 2 bytes that come back with the solution. */
  readonly opaque: Uint8Array;
  /** #I, RHASH_len bytes. */
  readonly random: Uint8Array;
}

/**
 * A search for #J in steps, so that a hard puzzle never holds up the loop. Tries `start`, `start + 1`, and so on, as big-endian numbers:
 * from a random start each try is as good as an independent one, and nobody else's tries are repeated.
 */
export class PuzzleSearch {
  readonly #rhash: Rhash;
  readonly #difficulty: number;
  /** #I | HIT-I | HIT-R | #J */
  readonly #input: Uint8Array;
  readonly #solution: Uint8Array;
  #found = false;
  #tries = 0;

  /** `hitI` and `hitR` of 16 bytes, `start` of RHASH_len bytes. RangeError for other lengths, or a difficulty that no hash can meet. */
  constructor(rhash: Rhash, puzzle: Pick<Puzzle, "difficulty" | "random">, hitI: Uint8Array, hitR: Uint8Array, start: Uint8Array) {
    const { difficulty, random } = puzzle;
    if (!isInput(rhash, random, hitI, hitR, start)) throw new RangeError(`puzzle parts of ${random.length}, ${hitI.length}, ${hitR.length} and ${start.length} bytes for ${rhash}`);
    if (!isDifficulty(rhash, difficulty)) throw new RangeError(`puzzle of difficulty ${difficulty} for ${rhash}`);
    this.#rhash = rhash;
    this.#difficulty = difficulty;
    this.#input = concatBytes(random, hitI, hitR, start);
    this.#solution = this.#input.subarray(this.#input.length - start.length);
  }

  /** Hashes computed until now. */
  get tries(): number {
    return this.#tries;
  }

  /** Makes up to `maxTries` further tries. #J, or null when none was right; once found, the same #J every time. */
  step(maxTries: number): Uint8Array | null {
    if (!Number.isSafeInteger(maxTries) || maxTries < 1) throw new RangeError(`${maxTries} tries`);
    for (let left = maxTries; left > 0 && !this.#found; left--) {
      if (this.#tries > 0) increment(this.#solution);
      this.#tries++;
      this.#found = endsInZeros(this.#rhash, this.#input, this.#difficulty);
    }
    return this.#found ? this.#solution.slice() : null;
  }
}

/** Whether `j` solves the puzzle `i`, `difficulty`. Any bytes: never throws; parts of a wrong length are no solution. */
export function checkSolution(rhash: Rhash, i: Uint8Array, hitI: Uint8Array, hitR: Uint8Array, j: Uint8Array, difficulty: number): boolean {
  if (!isInput(rhash, i, hitI, hitR, j) || !isDifficulty(rhash, difficulty)) return false;
  return endsInZeros(rhash, concatBytes(i, hitI, hitR, j), difficulty);
}

function isInput(rhash: Rhash, i: Uint8Array, hitI: Uint8Array, hitR: Uint8Array, j: Uint8Array): boolean {
  const length = RHASH_BYTES[rhash];
  return i.length === length && j.length === length && hitI.length === HIT_BYTES && hitR.length === HIT_BYTES;
}

const isDifficulty = (rhash: Rhash, difficulty: number): boolean =>
  Number.isInteger(difficulty) && difficulty >= 0 && difficulty <= RHASH_BYTES[rhash] * 8;

function endsInZeros(rhash: Rhash, input: Uint8Array, bits: number): boolean {
  // As a string of one character a byte: making a Buffer costs more than the hash itself.
  const digest = hash(rhash, input, "binary");
  let at = digest.length - 1;
  let left = bits;
  for (; left >= 8; left -= 8) if (digest.charCodeAt(at--) !== 0) return false;
  return left === 0 || (digest.charCodeAt(at) & ((1 << left) - 1)) === 0;
}

/** Adds one to a big-endian number, which wraps at its end. */
function increment(number: Uint8Array): void {
  for (let at = number.length - 1; at >= 0; at--) {
    const sum = (number[at] ?? 0) + 1;
    number[at] = sum;
    if (sum < 256) return;
  }
}

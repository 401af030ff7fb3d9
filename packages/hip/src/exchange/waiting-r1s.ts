/**
 * R1s that wait until a call looks at them. Nobody can tell a good one before its I2 is answered, so what is kept is a sample: each of those that came since the last I1
 * has the same chance to be in it, whenever it came and however many its sender has (reservoir sampling, Vitter's algorithm R), and the next one is drawn by lot.
 */
import { sameBytes } from "@i3/common";

import { MAX_WAITING_R1S } from "./limits.js";
import type { HipPath } from "./paths.js";

export interface WaitingR1 {
  /** A copy. */
  readonly bytes: Uint8Array;
  readonly from: HipPath;
}

export class WaitingR1s {
  readonly #random: (bytes: number) => Uint8Array;
  readonly #r1s: WaitingR1[] = [];
  #came = 0;

  constructor(random: (bytes: number) => Uint8Array) {
    this.#random = random;
  }

  get size(): number {
    return this.#r1s.length;
  }

  /** "again": it is here already; "dropped": there was no room, for this one or for one of the others. The bytes are copied. */
  add(bytes: Uint8Array, from: HipPath): "kept" | "again" | "dropped" {
    if (this.#r1s.some((r1) => sameBytes(r1.bytes, bytes))) return "again";
    this.#came++;
    if (this.#r1s.length < MAX_WAITING_R1S) {
      this.#r1s.push({ bytes: bytes.slice(), from });
      return "kept";
    }
    const at = this.#below(this.#came);
    if (at < MAX_WAITING_R1S) this.#r1s[at] = { bytes: bytes.slice(), from };
    return "dropped";
  }

  /** One of them, by lot. */
  take(): WaitingR1 | undefined {
    return this.#r1s.splice(this.#below(this.#r1s.length), 1)[0];
  }

  /** Another I1 goes out: its answer has the same chance as one of the first had. */
  beginRound(): void {
    this.#came = this.#r1s.length;
  }

  /** How many there were. */
  clear(): number {
    return this.#r1s.splice(0).length;
  }

  #below(bound: number): number {
    const bytes = this.#random(4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) % Math.max(1, bound);
  }
}

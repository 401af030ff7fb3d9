/** The ring keys that belong to this server: (from, to] on a circle of 2^128 (Chord §4). */
import type { Responsibility } from "../datapath.js";
import { RING_KEY_BYTES } from "../wire/data-header.js";
import { ownBuffer, requireLength } from "./octets.js";

export class RingRange {
  #kind: Responsibility["kind"] = "none";
  #from: Buffer = Buffer.alloc(RING_KEY_BYTES);
  #to: Buffer = Buffer.alloc(RING_KEY_BYTES);

  /** A range whose ends are equal is the whole circle, as Chord's (n, n] is. Throws RangeError. */
  set(range: Responsibility): void {
    if (range.kind === "range") {
      requireLength("range end", range.from, RING_KEY_BYTES);
      requireLength("range end", range.to, RING_KEY_BYTES);
      this.#from = ownBuffer(range.from);
      this.#to = ownBuffer(range.to);
    }
    this.#kind = range.kind;
  }

  /** This node is a server. */
  get serves(): boolean {
    return this.#kind !== "none";
  }

  /** The ring key of 16 bytes at `at` is ours. */
  owns(bytes: Uint8Array, at: number): boolean {
    if (this.#kind !== "range") return this.#kind === "all";
    const aboveFrom = compareKey(bytes, at, this.#from) > 0;
    const upToTo = compareKey(bytes, at, this.#to) <= 0;
    const wraps = compareKey(this.#from, 0, this.#to) >= 0;
    return wraps ? aboveFrom || upToTo : aboveFrom && upToTo;
  }
}

function compareKey(bytes: Uint8Array, at: number, key: Uint8Array): number {
  for (let i = 0; i < RING_KEY_BYTES; i++) {
    const difference = (bytes[at + i] as number) - (key[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

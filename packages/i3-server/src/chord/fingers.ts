/**
 * Fingers: of each range [2^i, 2^(i+1)) after `self` one node, so that a lookup halves the way with every hop. Of the nodes that were met in a
 * range the one with the shortest round trip is kept (proximity neighbour selection, as in DHash).
 * DEVIATION: Chord's finger i is the first node at or after `self` + 2^i, wherever that is; here it is any node of the range, and none when the range is empty.
 */
import { sameLocator, type RingNode } from "@i3/common";

import { FINGERS, NEARER_BY } from "./constants.js";
import { sameNode } from "./neighbours.js";
import { inHalfOpen, plusPowerOfTwo, RING_KEY_BITS, zeroBitsBetween } from "./ring-key.js";

interface Finger {
  readonly node: RingNode;
  /** Of the last answer, ms; Infinity when none was timed yet. */
  readonly rttMs: number;
}

export class Fingers {
  readonly #self: RingNode;
  /** By range, the farthest first: range `i` is [2^(127-i), 2^(128-i)). */
  readonly #byRange: (Finger | null)[] = Array.from({ length: FINGERS }, () => null);
  #next = 0;

  constructor(self: RingNode) {
    this.#self = self;
  }

  /** The farthest first. */
  nodes(): readonly RingNode[] {
    return this.#byRange.flatMap((finger) => (finger === null ? [] : [finger.node]));
  }

  /** Number of the range in which a key is; null: so near that there is none. */
  rangeOf(key: Uint8Array): number | null {
    const range = zeroBitsBetween(this.#self.key, key);
    return range < FINGERS ? range : null;
  }

  at(range: number): RingNode | null {
    return this.#byRange[range]?.node ?? null;
  }

  /** The range to look after next, or null when the successor list covers all; `last`: the end of that list. */
  next(last: RingNode): number | null {
    for (let i = 0; i < FINGERS; i += 1) {
      const range = this.#next;
      this.#next = (this.#next + 1) % FINGERS;
      if (!this.isCovered(range, last)) return range;
      this.#byRange[range] = null;
    }
    return null;
  }

  /** Whether the successor list, which ends with `last`, goes beyond a range. */
  isCovered(range: number, last: RingNode): boolean {
    const end = range === 0 ? this.#self.key : plusPowerOfTwo(this.#self.key, RING_KEY_BITS - range);
    return range > 0 && inHalfOpen(this.#self.key, end, last.key);
  }

  /** A key in a range, from 16 random bytes. */
  keyIn(range: number, random: Uint8Array): Uint8Array {
    const bit = RING_KEY_BITS - 1 - range;
    let key = plusPowerOfTwo(this.#self.key, bit);
    for (let b = bit - 1; b >= 0 && b >= bit - 16; b -= 1) if (((random[b >> 3] ?? 0) >> (b & 7)) & 1) key = plusPowerOfTwo(key, b);
    return key;
  }

  /** Takes a node for its range when there is none yet. Returns whether it did. */
  offer(node: RingNode): boolean {
    const range = this.rangeOf(node.key);
    if (range === null || this.#byRange[range] !== null) return false;
    this.#byRange[range] = { node, rttMs: Infinity };
    return true;
  }

  /** `node` answered after `rttMs`: it becomes the finger of its range when it is clearly nearer than the one there. */
  measured(node: RingNode, rttMs: number): void {
    const range = this.rangeOf(node.key);
    if (range === null) return;
    const finger = this.#byRange[range] ?? null;
    if (finger === null || sameNode(finger.node, node) || rttMs < finger.rttMs * NEARER_BY) this.#byRange[range] = { node, rttMs };
  }

  /** Returns whether it was one. */
  remove(node: RingNode): boolean {
    const range = this.rangeOf(node.key);
    const finger = range === null ? null : this.at(range);
    if (range === null || finger === null || !sameNode(finger, node)) return false;
    this.#byRange[range] = null;
    return true;
  }

  renewLocator(node: RingNode): void {
    const range = this.rangeOf(node.key);
    const finger = range === null ? null : (this.#byRange[range] ?? null);
    if (finger === null || range === null || !sameNode(finger.node, node) || sameLocator(finger.node.locator, node.locator)) return;
    this.#byRange[range] = { node, rttMs: finger.rttMs };
  }
}

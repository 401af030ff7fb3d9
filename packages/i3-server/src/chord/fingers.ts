/**
 * Fingers: of each range [2^i, 2^(i+1)) after `self` two nodes, so that a lookup halves the way with every hop. Of the nodes that were met in a
 * range those with the shortest round trips are kept (proximity neighbour selection, as in DHash).
 * DEVIATION: Chord's finger i is the first node at or after `self` + 2^i, wherever that is; here it is any node of the range, and none when the range is empty.
 */
import { sameLocator, type RingNode } from "@i3/common";

import { FINGERS, FINGERS_PER_RANGE, NEARER_BY } from "./constants.js";
import { sameNode } from "./neighbours.js";
import { inHalfOpen, plusPowerOfTwo, RING_KEY_BITS, zeroBitsBetween } from "./ring-key.js";

export interface Finger {
  readonly node: RingNode;
  /** Of the last answer, ms; Infinity when none was timed yet. */
  readonly rttMs: number;
}

const NONE: readonly Finger[] = [];

export class Fingers {
  readonly #self: RingNode;
  /** By range, the farthest first: range `i` is [2^(127-i), 2^(128-i)). In each the nearest in time first. */
  readonly #byRange: (readonly Finger[])[] = Array.from({ length: FINGERS }, () => NONE);
  #turn = 0;

  constructor(self: RingNode) {
    this.#self = self;
  }

  nodes(): readonly RingNode[] {
    return this.#byRange.flatMap((fingers) => fingers.map(({ node }) => node));
  }

  /** Number of the range in which a key is; null: so near that there is none. */
  rangeOf(key: Uint8Array): number | null {
    const range = zeroBitsBetween(this.#self.key, key);
    return range < FINGERS ? range : null;
  }

  of(range: number): readonly Finger[] {
    return this.#byRange[range] ?? NONE;
  }

  has(node: RingNode): boolean {
    const range = this.rangeOf(node.key);
    return range !== null && this.of(range).some((finger) => sameNode(finger.node, node));
  }

  /** What to look after next: a finger, or a range that has none. Null when the successor list, which ends with `last`, covers all. */
  next(last: RingNode): { readonly range: number; readonly node: RingNode | null } | null {
    for (let i = 0; i < FINGERS * FINGERS_PER_RANGE; i += 1) {
      const turn = this.#turn;
      this.#turn = (turn + 1) % (FINGERS * FINGERS_PER_RANGE);
      const range = Math.floor(turn / FINGERS_PER_RANGE);
      const place = turn % FINGERS_PER_RANGE;
      if (this.isCovered(range, last)) {
        this.#byRange[range] = NONE;
        continue;
      }
      const node = this.of(range)[place]?.node ?? null;
      if (node !== null || place === 0) return { range, node };
    }
    return null;
  }

  /** Whether the successor list, which ends with `last`, goes beyond a range. */
  isCovered(range: number, last: RingNode): boolean {
    return range > 0 && inHalfOpen(this.#self.key, plusPowerOfTwo(this.#self.key, RING_KEY_BITS - range), last.key);
  }

  /** A key in a range, from 16 random bytes. */
  keyIn(range: number, random: Uint8Array): Uint8Array {
    const bit = RING_KEY_BITS - 1 - range;
    let key = plusPowerOfTwo(this.#self.key, bit);
    for (let b = bit - 1; b >= 0 && b >= bit - 16; b -= 1) if (((random[b >> 3] ?? 0) >> (b & 7)) & 1) key = plusPowerOfTwo(key, b);
    return key;
  }

  /** Takes a node for its range when there is none yet. */
  offer(node: RingNode): void {
    const range = this.rangeOf(node.key);
    if (range !== null && this.of(range).length === 0) this.#byRange[range] = [{ node, rttMs: Infinity }];
  }

  /** `node` answered after `rttMs`: it becomes a finger of its range when there is room, or when it is clearly nearer than one there. */
  measured(node: RingNode, rttMs: number): void {
    const range = this.rangeOf(node.key);
    if (range === null) return;
    const fingers = this.of(range);
    const others = fingers.filter((finger) => !sameNode(finger.node, node));
    const worst = others.at(-1);
    if (others.length === FINGERS_PER_RANGE && worst !== undefined) {
      if (rttMs >= worst.rttMs * NEARER_BY) return;
      others.pop();
    }
    this.#byRange[range] = [...others, { node, rttMs }].sort((a, b) => a.rttMs - b.rttMs);
  }

  /** Returns whether it was one. */
  remove(node: RingNode): boolean {
    if (!this.has(node)) return false;
    const range = this.rangeOf(node.key) as number;
    this.#byRange[range] = this.of(range).filter((finger) => !sameNode(finger.node, node));
    return true;
  }

  renewLocator(node: RingNode): void {
    const range = this.rangeOf(node.key);
    const finger = range === null ? undefined : this.of(range).find((entry) => sameNode(entry.node, node));
    if (range === null || finger === undefined || sameLocator(finger.node.locator, node.locator)) return;
    this.#byRange[range] = this.of(range).map((entry) => (entry === finger ? { node, rttMs: entry.rttMs } : entry));
  }
}

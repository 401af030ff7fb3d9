/**
 * Fingers: for each distance 2^i a node at or after `self` + 2^i, so that a lookup halves the way with every hop.
 * Proximity neighbour selection will replace {@link prefer}: of the candidates in a finger's range keep the nearest, as DHash does.
 */
import { type RingNode } from "@i3/common";

import { FINGERS } from "./constants.js";
import { sameNode, withLocator } from "./neighbours.js";
import { inHalfOpen, plusPowerOfTwo, RING_KEY_BITS } from "./ring-key.js";

/** Which of two nodes serves a finger; now the newer, later the one with the lower round trip. */
const prefer = (_current: RingNode | null, candidate: RingNode): RingNode => candidate;

export class Fingers {
  readonly #self: RingNode;
  #nodes: readonly (RingNode | null)[] = Array.from({ length: FINGERS }, () => null);
  #next = 0;

  constructor(self: RingNode) {
    this.#self = self;
  }

  nodes(): readonly RingNode[] {
    return this.#nodes.filter((node) => node !== null);
  }

  #start(index: number): Uint8Array {
    return plusPowerOfTwo(this.#self.key, RING_KEY_BITS - 1 - index);
  }

  /** The finger to look up next, or null when the successor list covers all; `last`: the end of that list. */
  next(last: RingNode): { readonly index: number; readonly key: Uint8Array } | null {
    for (let i = 0; i < FINGERS; i += 1) {
      const index = this.#next;
      this.#next = (this.#next + 1) % FINGERS;
      const key = this.#start(index);
      if (!inHalfOpen(this.#self.key, key, last.key)) return { index, key };
      this.#replace(index, null);
    }
    return null;
  }

  set(index: number, node: RingNode): void {
    this.#replace(index, sameNode(node, this.#self) ? null : prefer(this.#nodes[index] ?? null, node));
  }

  remove(node: RingNode): void {
    this.#nodes = this.#nodes.map((entry) => (entry !== null && sameNode(entry, node) ? null : entry));
  }

  renewLocator(node: RingNode): void {
    const known = this.nodes();
    if (withLocator(known, node) === known) return;
    this.#nodes = this.#nodes.map((entry) => (entry !== null && sameNode(entry, node) ? node : entry));
  }

  #replace(index: number, node: RingNode | null): void {
    if (this.#nodes[index] !== node) this.#nodes = this.#nodes.with(index, node);
  }
}

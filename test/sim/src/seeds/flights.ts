/** Datagrams under way, by the time at which they arrive: a binary heap. */
import type { Endpoint } from "./endpoints.js";

export interface Flight {
  readonly atMs: number;
  /** Of those that arrive at one time the one that was sent first is first. */
  readonly order: number;
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
}

const isBefore = (a: Flight, b: Flight): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

export class Flights {
  readonly #heap: Flight[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** Of the first, ms; Infinity when there is none. */
  get firstMs(): number {
    return this.#heap[0]?.atMs ?? Infinity;
  }

  push(flight: Flight): void {
    const heap = this.#heap;
    let at = heap.push(flight) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as Flight;
      if (!isBefore(flight, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = flight;
  }

  pop(): Flight | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Flight, heap[below] as Flight)) below += 1;
      const child = heap[below] as Flight;
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

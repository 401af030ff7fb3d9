/** A binary heap of packets by the time at which they are due; equal times leave in the order in which they came. */

interface Entry {
  readonly dueMs: number;
  readonly order: number;
  readonly packet: Uint8Array;
}

export class DueQueue {
  #heap: Entry[] = [];
  #nextOrder = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the first packet is due, or undefined when there is none. */
  get firstDueMs(): number | undefined {
    return this.#heap[0]?.dueMs;
  }

  push(dueMs: number, packet: Uint8Array): void {
    const entry = { dueMs, order: this.#nextOrder++, packet };
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || isBefore(parent, entry)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = entry;
  }

  /** Takes the first packet out if it is due at `nowMs`. */
  popDue(nowMs: number): Uint8Array | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueMs > nowMs) return undefined;
    const last = this.#heap.pop();
    if (last !== undefined && last !== first) this.#sink(last);
    return first.packet;
  }

  clear(): void {
    this.#heap = [];
  }

  /** Puts `entry` at the root, which is free, and lets it sink to its place. */
  #sink(entry: Entry): void {
    const heap = this.#heap;
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      const isLeft = left !== undefined && (right === undefined || isBefore(left, right));
      const child = isLeft ? left : right;
      if (child === undefined || isBefore(entry, child)) break;
      heap[index] = child;
      index = 2 * index + (isLeft ? 1 : 2);
    }
    heap[index] = entry;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs === b.dueMs ? a.order < b.order : a.dueMs < b.dueMs;
}

/** Which of many things is due next: a binary heap whose old entries are passed over when they come up. */

interface Entry<T> {
  readonly dueMs: number;
  readonly item: T;
}

export class Deadlines<T extends object> {
  readonly #due = new Map<T, number>();
  #heap: Entry<T>[] = [];

  /** Replaces what was set before; undefined: never. */
  set(item: T, dueMs: number | undefined): void {
    if (this.#due.get(item) === dueMs) return;
    if (dueMs === undefined) {
      this.#due.delete(item);
      return;
    }
    this.#due.set(item, dueMs);
    // Entries that no longer hold are dropped all at once before they outnumber the others.
    if (this.#heap.length > 64 && this.#heap.length > 3 * this.#due.size) this.#rebuild();
    else this.#push({ dueMs, item });
  }

  next(): number | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (this.#due.get(top.item) === top.dueMs) return top.dueMs;
      this.#pop();
    }
    return undefined;
  }

  /** The next item that is due, which is then set no more. */
  take(nowMs: number): T | undefined {
    const dueMs = this.next();
    if (dueMs === undefined || dueMs > nowMs) return undefined;
    const item = this.#heap[0]?.item;
    this.#pop();
    if (item !== undefined) this.#due.delete(item);
    return item;
  }

  #rebuild(): void {
    // Sorted, so already a heap.
    this.#heap = [...this.#due].map(([item, dueMs]) => ({ dueMs, item })).sort((a, b) => a.dueMs - b.dueMs);
  }

  #push(entry: Entry<T>): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt] as Entry<T>;
      if (parent.dueMs <= entry.dueMs) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let childAt = 2 * at + 1;
      const right = heap[childAt + 1];
      if (right !== undefined && right.dueMs < (heap[childAt] as Entry<T>).dueMs) childAt++;
      const child = heap[childAt];
      if (child === undefined || child.dueMs >= last.dueMs) break;
      heap[at] = child;
      at = childAt;
    }
    heap[at] = last;
  }
}

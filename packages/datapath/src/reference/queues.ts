/** Packets that wait for the control plane: first in first out, when a queue is full the newest is dropped. */

/** Bytes that all queues of an engine may hold together. */
export class QueueBudget {
  readonly #limitBytes: number;
  #bytes = 0;
  #packets = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get packets(): number {
    return this.#packets;
  }

  /** False, and nothing taken, when there is no room. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#limitBytes) return false;
    this.#bytes += bytes;
    this.#packets++;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    this.#packets--;
  }
}

export interface Queued {
  readonly bytes: Buffer;
}

export class PacketQueue<T extends Queued> {
  readonly #limitPackets: number;
  readonly #budget: QueueBudget;
  #entries: T[] = [];

  constructor(limitPackets: number, budget: QueueBudget) {
    this.#limitPackets = limitPackets;
    this.#budget = budget;
  }

  get length(): number {
    return this.#entries.length;
  }

  /** `make` copies the packet, of `bytes` bytes; it is called only when there is room. */
  push(bytes: number, make: () => T): boolean {
    if (this.#entries.length >= this.#limitPackets || !this.#budget.take(bytes)) return false;
    this.#entries.push(make());
    return true;
  }

  /** Empties the queue. */
  takeAll(): readonly T[] {
    const entries = this.#entries;
    this.#entries = [];
    for (const { bytes } of entries) this.#budget.give(bytes.length);
    return entries;
  }
}

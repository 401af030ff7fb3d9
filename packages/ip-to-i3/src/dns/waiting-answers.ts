/**
 * Answers that wait for where a host is. A host that is slow to be found, and a resolver that asks much, keep others from nothing: where all room is taken, the host that most answers wait for gives one,
 * of the network that has most of them, the oldest. Without I/O.
 */
import { SharedRoom } from "@i3/common";

import { askingNetwork } from "./asking-network.js";

// Ours:
const MOST_WAITING = 1_024;
/** For one host, of one asking network. */
const MOST_OF_NETWORK = 16;

export class WaitingAnswers {
  readonly counters = { displaced: 0 };
  readonly #room = new SharedRoom({ most: MOST_WAITING, mostOfOne: MOST_OF_NETWORK });
  readonly #waiting = new Set<AbortController>();

  get size(): number {
    return this.#room.size;
  }

  /**
   * What `work` finds; null when others needed the room first. Rejects as `work` does.
   * @param from of the resolver, 4 or 16 bytes
   * @param work ends soon when its signal is given
   */
  async wait<Found>(host: string, from: Uint8Array, work: (signal: AbortSignal) => Promise<Found>): Promise<Found | null> {
    const ended = new AbortController();
    const place = this.#room.enter(host, askingNetwork(from), () => {
      this.counters.displaced += 1;
      ended.abort();
    });
    this.#waiting.add(ended);
    try {
      return await work(ended.signal);
    } catch (error) {
      if (ended.signal.aborted) return null;
      throw error;
    } finally {
      this.#waiting.delete(ended);
      place.leave();
    }
  }

  /** Nobody waits any more. */
  close(): void {
    for (const ended of this.#waiting) ended.abort();
  }
}

/** What the engine counts; nothing is ever reset (docs/wire.md §8). */
import type { Counters, DropReason } from "../datapath.js";

const noDrops = (): Record<DropReason, number> => ({
  malformed: 0, version: 0, hip: 0, puzzle: 0, "unknown-spi": 0, replay: 0, integrity: 0, sequence: 0, ecn: 0, "unknown-id": 0, "hop-limit": 0, "copy-budget": 0, "queue-full": 0, "no-trigger": 0,
  "no-route": 0, "inner-address": 0, "inner-malformed": 0, "not-allocated": 0, rate: 0, amplification: 0, refused: 0, policy: 0, credit: 0, detour: 0, "too-big": 0, translation: 0, "unfair-in": 0, "unfair-out": 0, "io-error": 0,
});

export class CounterSet {
  readonly #drops = noDrops();
  tunIn = 0;
  tunOut = 0;
  udpIn = 0;
  udpOut = 0;
  upcalls = 0;
  hipAnswered = 0;
  refreshed = 0;
  challenged = 0;

  drop(reason: DropReason, packets = 1): void {
    this.#drops[reason] += packets;
  }

  /** A copy that does not change later. */
  snapshot(): Counters {
    const { tunIn, tunOut, udpIn, udpOut, upcalls, hipAnswered, refreshed, challenged } = this;
    return { drops: { ...this.#drops }, tunIn, tunOut, udpIn, udpOut, upcalls, hipAnswered, refreshed, challenged };
  }
}

/** Which counters of a peer have been seen: each is taken once, and none that is 64 or more below the highest. */
import { COUNTER_WINDOW } from "./constants.js";

const MASK = (1n << BigInt(COUNTER_WINDOW)) - 1n;

export class CounterWindow {
  #highest = 0;
  /** Bit i: `#highest - i` has been seen. */
  #seen = 0n;

  /** False, and changes nothing, for one that was seen or is too old. */
  take(counter: number): boolean {
    const ahead = counter - this.#highest;
    if (ahead > 0) {
      this.#seen = ahead >= COUNTER_WINDOW ? 1n : ((this.#seen << BigInt(ahead)) | 1n) & MASK;
      this.#highest = counter;
      return true;
    }
    if (-ahead >= COUNTER_WINDOW) return false;
    const bit = 1n << BigInt(-ahead);
    if ((this.#seen & bit) !== 0n) return false;
    this.#seen |= bit;
    return true;
  }
}

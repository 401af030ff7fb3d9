/** Which counters of a peer have been seen: each is taken once, and none that is 64 or more below the highest. */
import { COUNTER_WINDOW } from "./constants.js";

export class CounterWindow {
  #highest = 0;
  /** Of the counters that are the same modulo the window, the one that was seen last; -1: none. */
  readonly #seen = new Float64Array(COUNTER_WINDOW).fill(-1);

  /** False, and changes nothing, for one that was seen or is too old. */
  take(counter: number): boolean {
    if (this.#highest - counter >= COUNTER_WINDOW) return false;
    const place = counter % COUNTER_WINDOW;
    if (this.#seen[place] === counter) return false;
    this.#seen[place] = counter;
    this.#highest = Math.max(this.#highest, counter);
    return true;
  }
}

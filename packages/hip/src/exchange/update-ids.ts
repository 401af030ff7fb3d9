/** Which UPDATEs of the peer were processed (RFC 7401 §6.12): ids go round after 2^32. */
import { MAX_UPDATES_AHEAD, UPDATE_WINDOW } from "./limits.js";

export class UpdateIds {
  /** The next in order. */
  #next: number;
  /** How many of the ids behind it may still come: nothing lies behind the first. */
  #behind = 0;
  /** Of the window behind it. */
  readonly #done = new Set<number>();

  /** A peer begins at 0. */
  constructor(first = 0) {
    this.#next = first;
  }

  /** "done": processed before. "outside": too old to tell, or too far ahead. */
  classify(id: number): "new" | "done" | "outside" {
    if (this.#done.has(id)) return "done";
    const ahead = (id - this.#next) >>> 0;
    // Those behind were passed over by one that overtook them.
    return ahead < MAX_UPDATES_AHEAD || (this.#next - id) >>> 0 <= this.#behind ? "new" : "outside";
  }

  add(id: number): void {
    this.#done.add(id);
    const ahead = (id - this.#next) >>> 0;
    if (ahead < MAX_UPDATES_AHEAD) {
      this.#next = (id + 1) >>> 0;
      this.#behind = Math.min(UPDATE_WINDOW, this.#behind + ahead + 1);
    }
    for (const old of this.#done) if ((this.#next - old) >>> 0 > UPDATE_WINDOW) this.#done.delete(old);
  }
}

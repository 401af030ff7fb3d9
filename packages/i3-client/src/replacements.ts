/**
 * Notices that somebody else has the key of a trigger: both put it to themselves, and each finds the other's at its next refresh, every 5 s. A server
 * that has forgotten a trigger looks the same, but once; a host that moves is seen at another address (`trigger-replaced` of the client core).
 */
// Ours:
/** So many in {@link WINDOW_MS}: no server restarts as often. */
const LEAST = 3;
const WINDOW_MS = 60_000;
const AGAIN_MS = 600_000;

/** Of one trigger. */
export class Replacements {
  /** The last few. */
  #atMs: readonly number[] = [];
  #toldMs = -Infinity;

  /** The trigger was gone from its server, and we have not moved. True: this is to be told now, which it is once in ten minutes. */
  add(nowMs: number): boolean {
    this.#atMs = [...this.#atMs, nowMs].slice(-LEAST);
    const [first = nowMs] = this.#atMs;
    if (this.#atMs.length < LEAST || nowMs - first > WINDOW_MS || nowMs - this.#toldMs < AGAIN_MS) return false;
    this.#toldMs = nowMs;
    return true;
  }
}

/** How often something wished is done: at once the first few times, then so often at most. The last wish is always done. */
export class Pace {
  readonly #everyMs: number;
  readonly #atOnce: number;
  /** As if each time had taken so long, one after the other: over then. */
  #overMs = -Infinity;
  #isWished = false;

  constructor(everyMs: number, atOnce = 1) {
    this.#everyMs = everyMs;
    this.#atOnce = atOnce;
  }

  wish(): void {
    this.#isWished = true;
  }

  /** Whether it is to be done now: once for all wishes since the last time. */
  take(nowMs: number): boolean {
    if (this.dueMs() > nowMs) return false;
    this.#isWished = false;
    this.#overMs = Math.max(this.#overMs, nowMs) + this.#everyMs;
    return true;
  }

  /** Infinity: nothing is wished. */
  dueMs(): number {
    return this.#isWished ? this.#overMs - (this.#atOnce - 1) * this.#everyMs : Infinity;
  }

  /** As one that was never used. */
  isRested(nowMs: number): boolean {
    return !this.#isWished && this.#overMs <= nowMs;
  }
}

/** How much a host may say: `perSecond` on average, `burst` at once. What it says beyond counts too, and is paid by resting. */
export class Allowance {
  #left: number;
  #lastMs = 0;

  /** @param leastRestMs at least so long is a rest, so that there are few */
  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
    private readonly leastRestMs: number,
  ) {
    this.#left = burst;
  }

  /** Whether something was left before. It may owe as much as a burst, not more. */
  spend(nowMs: number, amount: number): boolean {
    this.#refill(nowMs);
    const isLeft = this.#left >= 1;
    this.#left = Math.max(-this.burst, this.#left - amount);
    return isLeft;
  }

  /** ms until there is something to spend again; 0: now. */
  restMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#left >= 1 ? 0 : Math.ceil(this.leastRestMs - (this.#left / this.perSecond) * 1_000);
  }

  #refill(nowMs: number): void {
    this.#left = Math.min(this.burst, this.#left + (Math.max(0, nowMs - this.#lastMs) * this.perSecond) / 1_000);
    this.#lastMs = nowMs;
  }
}

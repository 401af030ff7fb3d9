/** What one has taken lately: it counts e times less after each span of its rate's. */
export class Taker {
  tokens = 0;
  atMs = 0;
}

/**
 * A token bucket of many, of which each takes while it has taken fewer lately than are left (Choudhury and Hahne's dynamic thresholds, α = 1, as in
 * triggers/source-rate.ts). So k that want all share it evenly, leave as much as each of them has, and do nothing to those who want less.
 */
export class FairRate {
  #left: number;
  #atMs = 0;

  /** @param latelyMs longer: more may share it, until one of them has no token in all this time */
  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
    private readonly latelyMs = 1_000,
  ) {
    this.#left = burst;
  }

  /** @param times as if it had taken so many times as many */
  has(nowMs: number, taker: Taker, times = 1): boolean {
    this.#left = Math.min(this.burst, this.#left + (Math.max(0, nowMs - this.#atMs) * this.perSecond) / 1_000);
    this.#atMs = nowMs;
    return this.#left >= 1 && this.#lately(nowMs, taker) * times < this.#left;
  }

  /** After {@link has}. */
  take(nowMs: number, taker: Taker, amount = 1): void {
    this.#left -= amount;
    taker.tokens = this.#lately(nowMs, taker) + amount;
    taker.atMs = nowMs;
  }

  #lately(nowMs: number, { tokens, atMs }: Taker): number {
    return tokens * Math.exp((atMs - nowMs) / this.latelyMs);
  }
}

/** What a host takes of its network's rate and of all networks': of both, or of none. */
export class FairShares {
  readonly #ofNetwork = new Taker();
  readonly #ofAll = new Taker();

  /** @param hosts how many the network has: of what it may have of all each has that part, whatever the others take */
  constructor(
    private readonly network: FairRate,
    private readonly all: FairRate,
    private readonly hosts: () => number,
  ) {}

  take(nowMs: number, amount = 1): boolean {
    if (!this.network.has(nowMs, this.#ofNetwork) || !this.all.has(nowMs, this.#ofAll, this.hosts())) return false;
    this.network.take(nowMs, this.#ofNetwork, amount);
    this.all.take(nowMs, this.#ofAll, amount);
    return true;
  }
}

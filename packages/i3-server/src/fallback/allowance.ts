import { MAX_OWED_MS } from "./limits.js";

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

  /** What may be spent now. */
  left(nowMs: number): number {
    this.#refill(nowMs);
    return Math.max(0, this.#left);
  }

  /** Whether it owes as much as it may: what it said came although nothing was read of it. */
  get isOverdrawn(): boolean {
    return this.#left <= -this.burst;
  }

  #refill(nowMs: number): void {
    this.#left = Math.min(this.burst, this.#left + (Math.max(0, nowMs - this.#lastMs) * this.perSecond) / 1_000);
    this.#lastMs = nowMs;
  }
}

/** What many may say together: half of it is divided among those that are here, the other half is of who comes first. */
export class CommonAllowance {
  readonly dividedPerSecond: number;
  readonly undivided: Allowance;

  constructor(
    perSecond: number,
    readonly leastRestMs: number,
  ) {
    this.dividedPerSecond = perSecond / 2;
    this.undivided = new Allowance(perSecond / 2, perSecond / 2, leastRestMs);
  }
}

/** One's part of that. Who keeps to it is never put off, however much the others say; who says more finds what nobody has taken, or pays by resting. */
export class Part {
  #left: number;
  #lastMs: number;

  /**
   * @param share of what is divided, from 0 to 1; it changes as others come and go
   * @param beginS so many seconds' worth it has at first: by coming anew as much is had again
   */
  constructor(
    nowMs: number,
    private readonly common: CommonAllowance,
    private readonly share: () => number,
    beginS = 0.1,
  ) {
    this.#left = this.#perSecond * beginS;
    this.#lastMs = nowMs;
  }

  get #perSecond(): number {
    return this.common.dividedPerSecond * this.share();
  }

  /**
   * Whether something was left before, here or of what is not divided.
   * @param mayShare false: it takes nothing of that
   */
  spend(nowMs: number, amount: number, mayShare = true): boolean {
    this.#refill(nowMs);
    const own = this.#left >= 1 ? Math.min(this.#left, amount) : 0;
    const { undivided } = this.common;
    const isCovered = own === amount || (mayShare && this.#left >= 0 && undivided.restMs(nowMs) === 0);
    if (isCovered) undivided.spend(nowMs, amount - own);
    this.#left = Math.max((-MAX_OWED_MS / 1_000) * this.#perSecond, this.#left - (isCovered ? own : amount));
    return isCovered || own > 0;
  }

  /** Whether {@link take} takes no more than there is. */
  has(nowMs: number, amount: number): boolean {
    this.#refill(nowMs);
    return Math.max(0, this.#left) + this.common.undivided.left(nowMs) >= amount;
  }

  /** Without owing: its own first, then of what is not divided. */
  take(nowMs: number, amount: number): void {
    this.#refill(nowMs);
    const own = Math.min(Math.max(0, this.#left), amount);
    this.#left -= own;
    this.common.undivided.spend(nowMs, amount - own);
  }

  /** ms until there is something to spend again; 0: now. */
  restMs(nowMs: number): number {
    this.#refill(nowMs);
    if (this.#left >= 1) return 0;
    const { undivided, leastRestMs } = this.common;
    const ownMs = Math.max(leastRestMs, Math.ceil(((1 - this.#left) / this.#perSecond) * 1_000));
    return this.#left < 0 ? ownMs : Math.min(ownMs, undivided.restMs(nowMs));
  }

  #refill(nowMs: number): void {
    const perSecond = this.#perSecond;
    // Less than one would never do.
    this.#left = Math.min(Math.max(1, perSecond), this.#left + (Math.max(0, nowMs - this.#lastMs) * perSecond) / 1_000);
    this.#lastMs = nowMs;
  }
}

/** How often the control plane hears of one source, and how much work a source may make. */
import { LIMITS } from "../datapath.js";

/** Sources with a bucket of their own (ours: 4,096 × about 100 bytes); others share one bucket, or several. */
export const MAX_RATED_SOURCES = 4_096;
/** ms in which one notice of a kind is given per ring key and source (docs/wire.md §3, §5). */
export const NOTICE_INTERVAL_MS = 100;
/** The same for where packets of an association come from, when that was the last place told of. */
export const SAME_PLACE_INTERVAL_MS = 5_000;
/** Notices remembered per interval; more are not given. */
export const MAX_NOTICES = 16_384;

/** Who was refused an R1 and is remembered: those of the last 4 s in a flood of 65,000 a second. The oldest is forgotten first. */
const MAX_REFUSED = 262_144;

/** Spreads; the native engine's is seeded, so that nobody can choose whose bucket he empties. */
const hashOf = (source: string): number => [...source].reduce((hash, char) => (Math.imul(hash, 16_777_619) ^ char.charCodeAt(0)) >>> 0, 2_166_136_261);

/** Filled at `perSecond` tokens up to `burst`. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, burst: number, nowMs = 0) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /** When it was last used. */
  get atMs(): number {
    return this.#atMs;
  }

  /** How many of the `wanted` tokens there were. */
  take(nowMs: number, wanted: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) * this.#perSecond) / 1000);
    this.#atMs = nowMs;
    const taken = Math.min(wanted, Math.floor(this.#tokens));
    this.#tokens -= taken;
    return taken;
  }
}

/** A token bucket per source, filled at `perSecond` tokens up to `burst`. */
export class SourceRates {
  readonly #perSecond: number;
  readonly #burst: number;
  /** After so long without use a bucket is full. */
  readonly #fullMs: number;
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #sharedBuckets: number;
  /** Made when first used: most engines see few sources, and a bucket that nobody used is full. */
  readonly #shared = new Map<number, TokenBucket>();
  #sweptMs = 0;

  constructor(perSecond: number, burst: number = perSecond, sharedBuckets = 1) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#fullMs = (1000 * burst) / perSecond;
    this.#sharedBuckets = sharedBuckets;
  }

  get sources(): number {
    return this.#buckets.size;
  }

  /** `source` is whatever the caller tells sources apart by. False: too much from there. */
  allow(nowMs: number, source: string): boolean {
    return this.take(nowMs, source, 1) === 1;
  }

  /** How many of the `wanted` tokens there were. */
  take(nowMs: number, source: string, wanted: number): number {
    return this.#bucket(nowMs, source).take(nowMs, wanted);
  }

  #bucket(nowMs: number, source: string): TokenBucket {
    const known = this.#buckets.get(source);
    if (known !== undefined) return known;
    if (this.#buckets.size >= MAX_RATED_SOURCES) this.#sweep(nowMs);
    if (this.#buckets.size >= MAX_RATED_SOURCES) return this.#sharedBucket(hashOf(source) % this.#sharedBuckets);
    const fresh = new TokenBucket(this.#perSecond, this.#burst, nowMs);
    this.#buckets.set(source, fresh);
    return fresh;
  }

  #sharedBucket(index: number): TokenBucket {
    const known = this.#shared.get(index);
    if (known !== undefined) return known;
    const fresh = new TokenBucket(this.#perSecond, this.#burst);
    this.#shared.set(index, fresh);
    return fresh;
  }

  /** Forgetting a full bucket changes nothing. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < this.#fullMs) return;
    this.#sweptMs = nowMs;
    for (const [source, { atMs }] of this.#buckets) if (nowMs - atMs >= this.#fullMs) this.#buckets.delete(source);
  }
}

/** R1s in all. Who is refused and asks again, as a flood's made-up senders do not, has a share of its own, and of that one R1 in {@link LIMITS.r1AgainFromMs}. */
export class AnswerLimit {
  readonly #first = new SecondLimit(LIMITS.r1PerSecond);
  readonly #again = new SecondLimit(LIMITS.r1AgainPerSecond);
  /** When it was refused first or answered again, oldest first. */
  readonly #refused = new Map<string, number>();

  /** `asker`: who asks, and from where. */
  allow(nowMs: number, asker: string): boolean {
    if (this.#first.allow(nowMs)) return true;
    const age = nowMs - (this.#refused.get(asker) ?? -Infinity);
    if (age < LIMITS.r1AgainFromMs) return false;
    const isAgain = age < LIMITS.r1AgainToMs;
    if (isAgain && !this.#again.allow(nowMs)) return false;
    this.#refused.delete(asker);
    this.#refused.set(asker, nowMs);
    if (this.#refused.size > MAX_REFUSED) this.#refused.delete(this.#refused.keys().next().value ?? "");
    return isAgain;
  }
}

/** One notice per key in {@link NOTICE_INTERVAL_MS}: two generations, so that nothing must be swept. */
export class NoticeLimit {
  #current = new Map<string, number>();
  #previous = new Map<string, number>();
  #sinceMs = 0;

  allow(nowMs: number, key: string): boolean {
    this.#turn(nowMs);
    const last = this.#current.get(key) ?? this.#previous.get(key);
    if (last !== undefined && nowMs - last < NOTICE_INTERVAL_MS) return false;
    if (this.#current.size >= MAX_NOTICES) return false;
    this.#current.set(key, nowMs);
    return true;
  }

  #turn(nowMs: number): void {
    if (nowMs - this.#sinceMs < NOTICE_INTERVAL_MS) return;
    this.#previous = this.#current;
    this.#current = new Map();
    this.#sinceMs = nowMs;
  }
}

/** So many in each second of the engine's clock. */
export class SecondLimit {
  readonly #perSecond: number;
  #second = -1;
  #taken = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  allow(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) this.#taken = 0;
    this.#second = second;
    return this.#taken++ < this.#perSecond;
  }
}

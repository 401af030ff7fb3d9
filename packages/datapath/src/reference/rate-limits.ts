/** How often the control plane hears of one source. */
import { PORT_OFFSET } from "./endpoints.js";

/** Sources with a bucket of their own (ours: 4,096 × about 100 bytes); others share one bucket. */
export const MAX_RATED_SOURCES = 4_096;
/** ms in which one notice of a kind is given per ring key and source (docs/wire.md §3, §5). */
export const NOTICE_INTERVAL_MS = 100;
/** Notices remembered per interval; more are not given. */
export const MAX_NOTICES = 16_384;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** A token bucket per source address (ports are free to choose): `perSecond` tokens, filled at that rate. */
export class SourceRates {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>();
  readonly #shared: Bucket;
  #sweptMs = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#shared = { tokens: perSecond, atMs: 0 };
  }

  get sources(): number {
    return this.#buckets.size;
  }

  /** `endpoints[at …]` is the source. False: too much from there. */
  allow(nowMs: number, endpoints: Buffer, at: number): boolean {
    const bucket = this.#bucket(nowMs, endpoints.toString("latin1", at, at + PORT_OFFSET));
    bucket.tokens = Math.min(this.#perSecond, bucket.tokens + ((nowMs - bucket.atMs) * this.#perSecond) / 1000);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  #bucket(nowMs: number, source: string): Bucket {
    const known = this.#buckets.get(source);
    if (known !== undefined) return known;
    if (this.#buckets.size >= MAX_RATED_SOURCES) this.#sweep(nowMs);
    if (this.#buckets.size >= MAX_RATED_SOURCES) return this.#shared;
    const fresh = { tokens: this.#perSecond, atMs: nowMs };
    this.#buckets.set(source, fresh);
    return fresh;
  }

  /** A bucket that was not used for a second is full: forgetting it changes nothing. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < 1000) return;
    this.#sweptMs = nowMs;
    for (const [source, { atMs }] of this.#buckets) if (nowMs - atMs >= 1000) this.#buckets.delete(source);
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

/** A bound for each of many, by name. */
import { remember } from "./drop-oldest.js";
import { TokenBucket } from "./token-bucket.js";

export interface KeyedBucketOptions {
  readonly perSecond: number;
  /** At least 1. */
  readonly burst: number;
  /** The one that was least recently taken from is forgotten beyond, and has a new burst: what all may do together needs a bound of its own. */
  readonly maxKeys: number;
}

export class KeyedBuckets {
  readonly #options: KeyedBucketOptions;
  /** The least recently taken from first. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(options: KeyedBucketOptions) {
    this.#options = options;
  }

  /** Whether {@link take} would be true now; nobody is remembered for it. */
  has(nowMs: number, key: string): boolean {
    return this.#buckets.get(key)?.has(nowMs) ?? true;
  }

  take(nowMs: number, key: string): boolean {
    const { perSecond, burst, maxKeys } = this.#options;
    const bucket = this.#buckets.get(key) ?? new TokenBucket(perSecond, burst);
    remember(this.#buckets, key, bucket, maxKeys);
    return bucket.take(nowMs);
  }
}

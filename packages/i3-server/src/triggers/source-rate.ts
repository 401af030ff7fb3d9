/** How many signatures are checked for one source: a token bucket each, of one second's worth. */
import { bytesKey, type Locator } from "@i3/common";

import { MAX_RATED_SOURCES } from "./constants.js";

const IPV6_SITE_BYTES = 8;
const IPV6_NETWORK_BYTES = 6;

/** What counts as one source: an IPv4 address, or the /64 of an IPv6 address, which one subscriber has whole. */
export function sourceOf(locator: Locator): string {
  const { address } = locator;
  return bytesKey(address.length === 4 ? address : address.subarray(0, IPV6_SITE_BYTES));
}

/** What counts as one where a source has shown that its address is real: an IPv4 address, or the /48 of an IPv6 address, of which a subscriber may have all 65,536 /64s. */
export function networkOf(locator: Locator): string {
  const { address } = locator;
  return bytesKey(address.length === 4 ? address : address.subarray(0, IPV6_NETWORK_BYTES));
}

interface Bucket {
  tokens: number;
  atMs: number;
}

export class SourceRate {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Takes `cost` tokens; false, and takes none, when there are not so many. */
  allow(nowMs: number, source: string, cost = 1): boolean {
    const bucket = this.#buckets.get(source) ?? { tokens: this.#perSecond, atMs: nowMs };
    const tokens = Math.min(this.#perSecond, bucket.tokens + ((nowMs - bucket.atMs) * this.#perSecond) / 1_000);
    const allowed = tokens >= cost;
    this.#buckets.delete(source); // the least recently seen source is forgotten first
    this.#buckets.set(source, { tokens: allowed ? tokens - cost : tokens, atMs: nowMs });
    const oldest = this.#buckets.keys().next();
    if (this.#buckets.size > MAX_RATED_SOURCES && oldest.done === false) this.#buckets.delete(oldest.value);
    return allowed;
  }
}

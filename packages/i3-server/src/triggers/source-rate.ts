/**
 * How many signatures are checked for one source: a token bucket each, of one second's worth. Hosts behind one NAT share it: each locator that a cookie has
 * proven may take a token as long as it has taken fewer lately than are left (Choudhury and Hahne's dynamic thresholds, α = 1), so k that flood leave a
 * (k+1)th of the bucket, and one alone still gets the whole rate.
 */
import { bytesKey, locatorKey, type Locator } from "@i3/common";

import { remember } from "../remember.js";
import { MAX_RATED_LOCATORS, MAX_RATED_SOURCES } from "./constants.js";

const IPV6_SITE_BYTES = 8;
const IPV6_NETWORK_BYTES = 6;
/** What a locator has taken counts e times less after this: at the whole rate it stands at one bucket. */
const LATELY_MS = 1_000;

/** What counts as one source: an IPv4 address, or the /64 of an IPv6 address, which one subscriber has whole. */
export const sourceOf = (locator: Locator): string => prefixOf(locator, IPV6_SITE_BYTES);

/** What counts as one where a source has shown that its address is real: an IPv4 address, or the /48 of an IPv6 address, of which a subscriber may have all 65,536 /64s. */
export const networkOf = (locator: Locator): string => prefixOf(locator, IPV6_NETWORK_BYTES);

const prefixOf = ({ address }: Locator, ipv6Bytes: number): string => bytesKey(address.length === 4 ? address : address.subarray(0, ipv6Bytes));

interface Bucket {
  tokens: number;
  atMs: number;
}

interface Taken {
  tokens: number;
  atMs: number;
}

export class SourceRate {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>();
  /** By proven locators. */
  readonly #taken = new Map<string, Taken>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Takes `cost` tokens; false, and takes none, when there are not so many. */
  allow(nowMs: number, source: string, cost = 1): boolean {
    const tokens = this.#tokens(nowMs, source);
    const allowed = tokens >= cost;
    remember(this.#buckets, source, { tokens: allowed ? tokens - cost : tokens, atMs: nowMs }, MAX_RATED_SOURCES);
    return allowed;
  }

  /** The same of a locator's source; false too when this locator has taken as many lately as are left. */
  allowLocator(nowMs: number, locator: Locator, cost = 1): boolean {
    const [key, source] = [locatorKey(locator), sourceOf(locator)];
    const taken = this.#takenLately(nowMs, key);
    if (taken >= this.#tokens(nowMs, source) || !this.allow(nowMs, source, cost)) return false;
    remember(this.#taken, key, { tokens: taken + cost, atMs: nowMs }, MAX_RATED_LOCATORS);
    return true;
  }

  #tokens(nowMs: number, source: string): number {
    const bucket = this.#buckets.get(source);
    return bucket === undefined ? this.#perSecond : Math.min(this.#perSecond, bucket.tokens + ((nowMs - bucket.atMs) * this.#perSecond) / 1_000);
  }

  #takenLately(nowMs: number, locator: string): number {
    const taken = this.#taken.get(locator);
    return taken === undefined ? 0 : taken.tokens * Math.exp((taken.atMs - nowMs) / LATELY_MS);
  }
}

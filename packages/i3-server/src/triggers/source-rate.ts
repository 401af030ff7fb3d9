/**
 * How many signatures are checked for one source: a token bucket each, of one second's worth. Hosts behind one NAT share it: each locator that a cookie has
 * proven may take a token as long as it has taken fewer lately than are left (Choudhury and Hahne's dynamic thresholds, α = 1), so k that flood leave a
 * (k+1)th of the bucket, and one alone still gets the whole rate. The sources of an IPv6 network share a larger bucket in the same way.
 */
import { bytesKey, locatorKey, remember, type Locator } from "@i3/common";

import { MAX_RATED_LOCATORS, MAX_RATED_SOURCES, RATED_SOURCES_PER_NETWORK } from "./constants.js";

const IPV6_SITE_BYTES = 8;
const IPV6_NETWORK_BYTES = 6;
/** What a locator has taken counts e times less after this: at the whole rate it stands at one bucket. */
const LATELY_MS = 1_000;

/** What counts as one source: an IPv4 address, or the /64 of an IPv6 address, which one subscriber has whole. */
export const sourceOf = (locator: Locator): string => prefixOf(locator, IPV6_SITE_BYTES);

/** What counts as one besides where a source has shown that its address is real: an IPv4 address, or the /48 of an IPv6 address, of which a subscriber may have all 65,536 /64s. */
export const networkOf = (locator: Locator): string => prefixOf(locator, IPV6_NETWORK_BYTES);

const prefixOf = ({ address }: Locator, ipv6Bytes: number): string => bytesKey(address.length === 4 ? address : address.subarray(0, ipv6Bytes));

interface Level {
  readonly tokens: number;
  readonly atMs: number;
}

/** A token bucket for each key, full at first. */
class Buckets {
  readonly #perSecond: number;
  readonly #levels = new Map<string, Level>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  left(nowMs: number, key: string): number {
    const level = this.#levels.get(key);
    return level === undefined ? this.#perSecond : Math.min(this.#perSecond, level.tokens + ((nowMs - level.atMs) * this.#perSecond) / 1_000);
  }

  /** So many must be left. */
  take(nowMs: number, key: string, cost: number): void {
    remember(this.#levels, key, { tokens: this.left(nowMs, key) - cost, atMs: nowMs }, MAX_RATED_SOURCES);
  }
}

/** What each key has taken lately. */
class Takers {
  readonly #taken = new Map<string, Level>();

  lately(nowMs: number, key: string): number {
    const taken = this.#taken.get(key);
    return taken === undefined ? 0 : taken.tokens * Math.exp((taken.atMs - nowMs) / LATELY_MS);
  }

  add(nowMs: number, key: string, cost: number, limit: number): void {
    remember(this.#taken, key, { tokens: this.lately(nowMs, key) + cost, atMs: nowMs }, limit);
  }
}

export class SourceRate {
  readonly #sources: Buckets;
  readonly #networks: Buckets;
  /** Proven. */
  readonly #locators = new Takers();
  /** IPv6 ones with such locators. */
  readonly #sites = new Takers();

  constructor(perSecond: number) {
    this.#sources = new Buckets(perSecond);
    this.#networks = new Buckets(perSecond * RATED_SOURCES_PER_NETWORK);
  }

  /** Takes `cost` tokens; false, and takes none, when there are not so many. */
  allow(nowMs: number, source: string, cost = 1): boolean {
    const allowed = this.#sources.left(nowMs, source) >= cost;
    this.#sources.take(nowMs, source, allowed ? cost : 0);
    return allowed;
  }

  /** The same of a locator's source and its network; false too when this locator, or its source, has taken as many lately as are left. */
  allowLocator(nowMs: number, locator: Locator, cost = 1): boolean {
    const [key, source] = [locatorKey(locator), sourceOf(locator)];
    const network = locator.address.length === 4 ? null : networkOf(locator);
    if (this.#locators.lately(nowMs, key) >= this.#sources.left(nowMs, source)) return false;
    if (network !== null && !this.#hasNetworkLeft(nowMs, source, network, cost)) return false;
    if (!this.allow(nowMs, source, cost)) return false;
    this.#locators.add(nowMs, key, cost, MAX_RATED_LOCATORS);
    if (network === null) return true;
    this.#networks.take(nowMs, network, cost);
    this.#sites.add(nowMs, source, cost, MAX_RATED_SOURCES);
    return true;
  }

  #hasNetworkLeft(nowMs: number, source: string, network: string, cost: number): boolean {
    const left = this.#networks.left(nowMs, network);
    return cost <= left && this.#sites.lately(nowMs, source) < left;
  }
}

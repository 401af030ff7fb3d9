/** What hosts by TCP have together: those of one source, of one network, and all. Bounds: limits.ts. */
import { KeyedBuckets, TokenBucket } from "@i3/common";

import { CommonAllowance, type Part } from "./allowance.js";
import { FairRate, Taker } from "./fair-rate.js";
import {
  ALL_CONTROL_PER_SECOND, ALL_DATAGRAMS_PER_SECOND, LEAST_REST_MS, MAX_RATED_SOURCES, NETWORK_BYTES_PER_SECOND, NETWORK_LOOKUPS_BURST, NETWORK_LOOKUPS_PER_SECOND, NETWORK_MESSAGES_PER_SECOND, NETWORK_SHARE, TO_NETWORK_PER_SECOND,
} from "./limits.js";

/** How many connections each source, or each network, has, and how fast new ones come. */
export class Admitted {
  readonly #counts = new Map<string, number>();
  readonly #rates: KeyedBuckets;

  constructor(
    private readonly limit: number,
    perSecond: number,
    burst: number,
  ) {
    this.#rates = new KeyedBuckets({ perSecond, burst, maxKeys: MAX_RATED_SOURCES });
  }

  count(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  hasRoom(key: string): boolean {
    return this.count(key) < this.limit;
  }

  mayCome(nowMs: number, key: string): boolean {
    return this.#rates.take(nowMs, key);
  }

  add(key: string, by: 1 | -1): void {
    const count = this.count(key) + by;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}

/** What the hosts of one network may say together. */
export interface Rates {
  readonly lookups: FairRate;
  readonly toHosts: FairRate;
  /** What could not go on of it. */
  readonly excess: FairRate;
}

export class Network {
  connections = 0;
  readonly handshakes = new Taker();
  readonly messages = new CommonAllowance(NETWORK_MESSAGES_PER_SECOND, LEAST_REST_MS);
  readonly bytes = new CommonAllowance(NETWORK_BYTES_PER_SECOND, LEAST_REST_MS);
  readonly datagrams = new CommonAllowance(ALL_DATAGRAMS_PER_SECOND * NETWORK_SHARE, LEAST_REST_MS);
  readonly control = new CommonAllowance(ALL_CONTROL_PER_SECOND * NETWORK_SHARE, LEAST_REST_MS);
  /** Of its hosts. */
  readonly rates: Rates = {
    lookups: new FairRate(NETWORK_LOOKUPS_PER_SECOND, NETWORK_LOOKUPS_BURST), toHosts: new FairRate(TO_NETWORK_PER_SECOND, 2 * TO_NETWORK_PER_SECOND), excess: new FairRate(TO_NETWORK_PER_SECOND, 2 * TO_NETWORK_PER_SECOND),
  };
}

/** A rate for all, of which no network has more than its part, nor by coming anew. Each host has a {@link Part} of both. */
export class Capped {
  readonly common: CommonAllowance;
  readonly #all: TokenBucket;
  readonly #networks: KeyedBuckets;

  constructor(perSecond: number) {
    this.common = new CommonAllowance(perSecond, LEAST_REST_MS);
    this.#all = new TokenBucket(perSecond, perSecond);
    this.#networks = new KeyedBuckets({ perSecond: perSecond * NETWORK_SHARE, burst: perSecond * NETWORK_SHARE, maxKeys: MAX_RATED_SOURCES });
  }

  take(nowMs: number, network: string): boolean {
    return this.#networks.take(nowMs, network) && this.#all.take(nowMs);
  }
}

export interface DividedShare {
  readonly capped: Capped;
  readonly network: string;
  readonly parts: readonly Part[];
}

export function takeDivided(nowMs: number, { capped, network, parts }: DividedShare, amount: number): boolean {
  if (!parts.every((part) => part.has(nowMs, amount))) return false;
  for (let left = amount; left > 0; left -= 1) if (!capped.take(nowMs, network)) return false;
  for (const part of parts) part.take(nowMs, amount);
  return true;
}

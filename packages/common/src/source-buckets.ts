/** A bound for each source: an IPv4 address, or an IPv6 /64, in which one host has as many addresses as it likes. */
import { bytesKey } from "./bytes.js";
import { KeyedBuckets } from "./keyed-buckets.js";

const IPV6_SITE_BYTES = 8;

/** Names the source of an address of 4 or 16 bytes, for Map and Set. */
export const sourceKey = (address: Uint8Array): string => bytesKey(address.length === 4 ? address : address.subarray(0, IPV6_SITE_BYTES));

export interface SourceBucketOptions {
  readonly perSecond: number;
  readonly burst: number;
  /** The source that was least recently heard of is forgotten beyond, and has a new burst: what all may do together needs a bound of its own. */
  readonly maxSources: number;
}

export class SourceBuckets {
  readonly #buckets: KeyedBuckets;

  constructor({ perSecond, burst, maxSources }: SourceBucketOptions) {
    this.#buckets = new KeyedBuckets({ perSecond, burst, maxKeys: maxSources });
  }

  /** @param address 4 or 16 bytes */
  take(nowMs: number, address: Uint8Array): boolean {
    return this.#buckets.take(nowMs, sourceKey(address));
  }
}

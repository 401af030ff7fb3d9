/**
 * How many answers go out over UDP, where a source need not be who it says: so many to each network (an IPv4 /24, an IPv6 /56) and to all. What is beyond is cut to nothing, which sends a real
 * resolver to TCP and is no longer than the question; of one network that floods every second one, of all so many. The others are not sent. A network that has come by TCP is there: such have answers of
 * their own, which made-up sources do not use up. Without I/O.
 */
import { KeyedBuckets, remember, TokenBucket } from "@i3/common";

import { askingNetwork } from "./asking-network.js";

// Ours:
const PER_NETWORK = { perSecond: 50, burst: 200, maxKeys: 8_192 } as const;
/** Of cut ones, so that a network that floods has a small part of what goes to all. */
const CUT = { ...PER_NETWORK, burst: 100 } as const;
/** Of each: answers to who may be anybody, to those that came by TCP, and cut ones. */
const ALL = { perSecond: 2_000, burst: 4_000 } as const;
const SLIP = 2;
/** That came by TCP, for so long. */
const SEEN = { most: 4_096, forMs: 3_600_000 } as const;

export class ResponseRate {
  readonly counters = { cut: 0, dropped: 0 };
  readonly #networks = new KeyedBuckets(PER_NETWORK);
  readonly #cuts = new KeyedBuckets(CUT);
  readonly #all = new TokenBucket(ALL.perSecond, ALL.burst);
  readonly #seenAll = new TokenBucket(ALL.perSecond, ALL.burst);
  readonly #cutAll = new TokenBucket(ALL.perSecond, ALL.burst);
  /** Network → when it came by TCP; the last one is last. */
  readonly #seen = new Map<string, number>();
  #limited = 0;

  /** Of one question over UDP. @param from 4 or 16 bytes */
  decide(nowMs: number, from: Uint8Array): "answer" | "cut" | "drop" {
    const network = askingNetwork(from);
    if (this.#networks.take(nowMs, network)) {
      if ((this.#isSeen(nowMs, network) && this.#seenAll.take(nowMs)) || this.#all.take(nowMs)) return "answer";
    } else {
      this.#limited += 1;
      if (this.#limited % SLIP !== 0) return this.#drop();
    }
    if (!this.#cuts.take(nowMs, network) || !this.#cutAll.take(nowMs)) return this.#drop();
    this.counters.cut += 1;
    return "cut";
  }

  /** A question came by TCP. */
  saw(nowMs: number, from: Uint8Array): void {
    remember(this.#seen, askingNetwork(from), nowMs, SEEN.most);
  }

  #isSeen(nowMs: number, network: string): boolean {
    return nowMs - (this.#seen.get(network) ?? -Infinity) < SEEN.forMs;
  }

  #drop(): "drop" {
    this.counters.dropped += 1;
    return "drop";
  }
}

/**
 * How many answers go out over UDP, where a source need not be who it says: so many to each network (an IPv4 /24, an IPv6 /56) and to all. Beyond, every second answer is cut to nothing, which sends a real
 * resolver to TCP and is no longer than the question; the others are not sent. Without I/O.
 */
import { bytesKey, KeyedBuckets, TokenBucket } from "@i3/common";

// Ours:
const PER_NETWORK = { perSecond: 50, burst: 200, maxKeys: 8_192 } as const;
/** Of cut ones, so that a network that floods has a small part of what goes to all. */
const CUT = { ...PER_NETWORK, burst: 100 } as const;
const ALL = { perSecond: 2_000, burst: 4_000 } as const;
const SLIP = 2;
const NETWORK_BYTES = { 4: 3, 16: 7 } as const;

export class ResponseRate {
  readonly counters = { cut: 0, dropped: 0 };
  readonly #networks = new KeyedBuckets(PER_NETWORK);
  readonly #cuts = new KeyedBuckets(CUT);
  readonly #all = new TokenBucket(ALL.perSecond, ALL.burst);
  #limited = 0;

  /** Of one question over UDP. @param from 4 or 16 bytes */
  decide(nowMs: number, from: Uint8Array): "answer" | "cut" | "drop" {
    const network = bytesKey(from.subarray(0, from.length === 4 ? NETWORK_BYTES[4] : NETWORK_BYTES[16]));
    if (this.#networks.take(nowMs, network)) return this.#all.take(nowMs) ? "answer" : this.#drop();
    this.#limited += 1;
    if (this.#limited % SLIP !== 0 || !this.#cuts.take(nowMs, network) || !this.#all.take(nowMs)) return this.#drop();
    this.counters.cut += 1;
    return "cut";
  }

  #drop(): "drop" {
    this.counters.dropped += 1;
    return "drop";
  }
}

/**
 * When a waypoint may be claimed, where there are more hosts than waypoints: after an answer, for the time of a claim, by whom the resolver has said, or by anybody. Each is told to the kernel with an end, and
 * again only when what is left would be shorter than a claim, so that a flood of questions costs little. Without I/O.
 */
import { bytesKey, type Network } from "@i3/common";

// Ours:
const MOST_SITES = 4_096;
/** What is open is open so much longer than a claim. */
const LONGER = 1.5;

export interface Window {
  readonly waypoint: Uint8Array;
  /** Null: anybody. */
  readonly site: Network | null;
  readonly forMs: number;
}

export class Windows {
  readonly #claimMs: number;
  /** Key → end. */
  readonly #ends = new Map<string, number>();

  constructor(claimMs: number) {
    this.#claimMs = claimMs;
  }

  /** What is to be opened for an answer; null: it is open for long enough. */
  open(nowMs: number, waypoint: Uint8Array, said: Network | null): Window | null {
    for (const [key, endMs] of this.#ends) {
      if (endMs > nowMs) break;
      this.#ends.delete(key);
    }
    // Another family than the waypoint's says nothing of who comes; and where too many sites ask none is kept out.
    const site = said === null || said.address.length !== waypoint.length || this.#ends.size >= MOST_SITES ? null : said;
    const key = site === null ? bytesKey(waypoint) : `${bytesKey(waypoint)} ${bytesKey(site.address)}`;
    if ((this.#ends.get(key) ?? -Infinity) - nowMs >= this.#claimMs) return null;
    const forMs = Math.round(this.#claimMs * LONGER);
    this.#ends.delete(key);
    this.#ends.set(key, nowMs + forMs);
    return { waypoint, site, forMs };
  }
}

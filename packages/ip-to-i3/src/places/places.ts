/**
 * Room for connections of plain clients. A source (an IPv4 address, or an IPv6 /64) has a part of it; and of those that have not said yet whom they mean the
 * oldest makes room, so that whoever holds connections open without a word keeps nobody out.
 */
import { sourceKey } from "@i3/common";

export interface PlaceLimits {
  readonly all: number;
  readonly perSource: number;
  /** Of those that have not said whom they mean. */
  readonly waiting: number;
  readonly waitingPerSource: number;
}

export const PLACE_LIMITS: PlaceLimits = { all: 4_096, perSource: 64, waiting: 256, waitingPerSource: 16 };

export interface PlaceCounters {
  /** That found a place. */
  accepted: number;
  /** Nothing was free, and nobody waited. */
  full: number;
  /** The source had its part. */
  fullOfSource: number;
  /** Waited when the room was needed. */
  displaced: number;
}

export interface Place {
  /** It has said whom it means. */
  settle(): void;
  /** It is closed. Every place is left once, also one that was displaced. */
  leave(): void;
}

interface Taken {
  readonly source: string;
  readonly displace: () => void;
}

export class Places {
  readonly counters: PlaceCounters = { accepted: 0, full: 0, fullOfSource: 0, displaced: 0 };
  readonly #limits: PlaceLimits;
  readonly #taken = new Set<Taken>();
  readonly #bySource = new Map<string, number>();
  /** Oldest first, and those of each source. */
  readonly #waiting = new Set<Taken>();
  readonly #waitingOf = new Map<string, Set<Taken>>();

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#taken.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * @param address of the client, 4 or 16 bytes
   * @param waits whether it has still to say whom it means; {@link Place.settle} ends that
   * @param displace closes the connection; called at most once, and within `enter` of another
   * @returns null: no place, and counted
   */
  enter(address: Uint8Array, waits: boolean, displace: () => void): Place | null {
    const { all, perSource, waiting, waitingPerSource } = this.#limits;
    const taken: Taken = { source: sourceKey(address), displace };
    const own = this.#waitingOf.get(taken.source);
    if (waits && own !== undefined && own.size >= waitingPerSource) this.#displaceFirst(own);
    if ((this.#bySource.get(taken.source) ?? 0) >= perSource) {
      this.counters.fullOfSource += 1;
      return null;
    }
    if (waits && this.#waiting.size >= waiting) this.#displaceFirst(this.#waiting);
    if (this.#taken.size >= all) this.#displaceFirst(this.#waiting);
    if (this.#taken.size >= all) {
      this.counters.full += 1;
      return null;
    }
    this.counters.accepted += 1;
    this.#taken.add(taken);
    this.#bySource.set(taken.source, (this.#bySource.get(taken.source) ?? 0) + 1);
    if (waits) this.#wait(taken);
    return { settle: () => this.#settle(taken), leave: () => this.#leave(taken) };
  }

  #displaceFirst(waiting: ReadonlySet<Taken>): void {
    const [first] = waiting;
    if (first === undefined) return;
    this.counters.displaced += 1;
    this.#leave(first);
    first.displace();
  }

  #wait(taken: Taken): void {
    this.#waiting.add(taken);
    const own = this.#waitingOf.get(taken.source) ?? new Set<Taken>();
    this.#waitingOf.set(taken.source, own.add(taken));
  }

  #settle(taken: Taken): void {
    this.#waiting.delete(taken);
    const own = this.#waitingOf.get(taken.source);
    own?.delete(taken);
    if (own?.size === 0) this.#waitingOf.delete(taken.source);
  }

  #leave(taken: Taken): void {
    if (!this.#taken.delete(taken)) return;
    this.#settle(taken);
    const left = (this.#bySource.get(taken.source) ?? 1) - 1;
    if (left === 0) this.#bySource.delete(taken.source);
    else this.#bySource.set(taken.source, left);
  }
}

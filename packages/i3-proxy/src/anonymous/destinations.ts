/** Instances of anonymous names: which there are, which a question is for, and which end. Bounded. Without I/O. */

export interface DestinationLimits {
  readonly max: number;
  readonly idleMs: number;
  /** An older one is for no further question. */
  readonly renewAfterMs: number;
}

interface Place<T> {
  readonly key: string;
  readonly item: T;
  readonly sinceMs: number;
  usedMs: number;
}

/** Ours: what was used so lately makes no room for another one. */
export const KEPT_MS = 60_000;

export class Destinations<T> {
  readonly #limits: DestinationLimits;
  readonly #places = new Map<T, Place<T>>();
  /** Of a key the one that is for questions. */
  readonly #current = new Map<string, Place<T>>();

  constructor(limits: DestinationLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#places.size;
  }

  all(): Iterable<T> {
    return this.#places.keys();
  }

  /** The one that a question is for, which counts as use. */
  find(nowMs: number, key: string): T | undefined {
    const place = this.#current.get(key);
    if (place === undefined || nowMs - place.sinceMs >= this.#limits.renewAfterMs) return undefined;
    place.usedMs = Math.max(place.usedMs, nowMs);
    return place.item;
  }

  /**
   * Whether there is room for one more than `coming`; otherwise what is to end for it, if there is any.
   * @param isLive whether programs have connections by it: however long they say nothing, others make no room at their cost
   */
  room(nowMs: number, coming: number, isLive: (item: T) => boolean): "free" | "full" | { readonly ends: T } {
    if (this.#places.size + coming < this.#limits.max) return "free";
    const unused = [...this.#places.values()].filter(({ usedMs }) => nowMs - usedMs >= Math.min(KEPT_MS, this.#limits.idleMs)).sort((a, b) => a.usedMs - b.usedMs);
    const oldest = unused.find(({ item }) => !isLive(item));
    return oldest === undefined ? "full" : { ends: oldest.item };
  }

  /** It takes the place of an older one of its key, which goes on. */
  add(nowMs: number, key: string, item: T): void {
    const place = { key, item, sinceMs: nowMs, usedMs: nowMs };
    this.#places.set(item, place);
    this.#current.set(key, place);
  }

  remove(item: T): void {
    const place = this.#places.get(item);
    if (place === undefined) return;
    this.#places.delete(item);
    if (this.#current.get(place.key) === place) this.#current.delete(place.key);
  }

  /** Takes out those that nobody has used for too long. @param lastUseMs of one's packets; -Infinity: none */
  takeIdle(nowMs: number, lastUseMs: (item: T) => number): readonly T[] {
    const idle: T[] = [];
    for (const place of this.#places.values()) {
      place.usedMs = Math.max(place.usedMs, lastUseMs(place.item));
      if (nowMs - place.usedMs >= this.#limits.idleMs) idle.push(place.item);
    }
    for (const item of idle) this.remove(item);
    return idle;
  }
}

/** Places for the lookups that others make a server do: whoever holds some leaves more free than that, so that neither one flood nor many take all. */
import { SHARE_OF_FREE } from "./constants.js";

/** Sources that hold nothing are not remembered, so the places bound this too. */
export class LookupPlaces {
  readonly #held = new Map<string, number>();
  #free: number;

  constructor(places: number) {
    this.#free = places;
  }

  /** One for a source (sourceOf). False, and nothing taken, when it holds a SHARE_OF_FREE part of those that are free, or none is. */
  take(source: string): boolean {
    const held = this.#held.get(source) ?? 0;
    if (held >= this.#free * SHARE_OF_FREE) return false;
    this.#held.set(source, held + 1);
    this.#free -= 1;
    return true;
  }

  give(source: string): void {
    const held = (this.#held.get(source) ?? 0) - 1;
    if (held > 0) this.#held.set(source, held);
    else this.#held.delete(source);
    this.#free += 1;
  }
}

/**
 * Places for what others make a server do, and let wait: whoever holds some leaves more free than that, so that neither one flood nor many take all.
 * Addresses cost a forger nothing, so sources that have proven theirs have places of their own, beside those that are for all. Real addresses
 * are cheap too, in IPv6: there a whole network has one share of them.
 */
import type { Locator } from "@i3/common";

import { networkOf, sourceOf } from "../triggers/source-rate.js";
import { SHARE_OF_FREE } from "./constants.js";

export class LookupPlaces {
  readonly #forAll: Places;
  readonly #forProven: Places;

  constructor(forAll: number, forProven: number) {
    this.#forAll = new Places(forAll);
    this.#forProven = new Places(forProven);
  }

  /** One for the source (sourceOf; of the proven ones networkOf) of `from`; returns what gives it back. Null, and nothing taken, when it holds a SHARE_OF_FREE part of those that are free, or none is. */
  take(from: Locator, isProven: boolean): (() => void) | null {
    return (isProven ? taken(this.#forProven, networkOf(from)) : null) ?? taken(this.#forAll, sourceOf(from));
  }
}

const taken = (places: Places, source: string): (() => void) | null => (places.take(source) ? () => places.give(source) : null);

/** Sources that hold nothing are not remembered, so the places bound this too. */
class Places {
  readonly #held = new Map<string, number>();
  #free: number;

  constructor(places: number) {
    this.#free = places;
  }

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

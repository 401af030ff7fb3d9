/** Where servers of the ring are: who has proven to be one, and whom those name. For what goes to nobody else (fallback/). */
import { bytesKey, locatorKey, type Locator } from "@i3/common";

import { remember } from "../remember.js";

// Ours:
const MAX_PLACES = 8_192;
/** Longer than a host goes on with a server that it was told of. */
const PLACE_MS = 600_000;
/** Where a member is said to be and has not proven it: in each family, and once more when it has just moved. */
export const NAMED_OF_ONE = 4;
/** Of all. Nearly all servers prove where they are. */
export const MAX_NAMED = 1_024;

export class ServerPlaces {
  /** When each ends; {@link #named} likewise. */
  readonly #proven = new Map<string, number>();
  readonly #named = new Map<string, number>();
  /** By member, the oldest first. */
  readonly #namedOf = new Map<string, Set<string>>();

  /** A server of the ring is there. */
  note(nowMs: number, locator: Locator): void {
    remember(this.#proven, locatorKey(locator), nowMs + PLACE_MS, MAX_PLACES);
  }

  /** One of them says that a member is there, most often that member itself: it could be anybody's address, so a few at a time. */
  noteNamed(nowMs: number, nodeKey: Uint8Array, locator: Locator): void {
    const [member, place] = [bytesKey(nodeKey), locatorKey(locator)];
    const places = this.#namedOf.get(member) ?? new Set<string>();
    places.delete(place);
    places.add(place);
    for (const oldest of places) {
      if (places.size <= NAMED_OF_ONE) break;
      places.delete(oldest);
      if (!this.#isNamedOfAny(oldest)) this.#named.delete(oldest);
    }
    remember(this.#namedOf, member, places, MAX_NAMED);
    remember(this.#named, place, nowMs + PLACE_MS, MAX_NAMED);
  }

  has(nowMs: number, locator: Locator): boolean {
    const place = locatorKey(locator);
    return Math.max(this.#proven.get(place) ?? -Infinity, this.#named.get(place) ?? -Infinity) > nowMs;
  }

  #isNamedOfAny(place: string): boolean {
    for (const places of this.#namedOf.values()) if (places.has(place)) return true;
    return false;
  }
}

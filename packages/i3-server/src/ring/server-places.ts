/** Where servers of the ring are: who has proven to be one, and whom those name. For what goes to nobody else (fallback/). */
import { locatorKey, type Locator } from "@i3/common";

import { remember } from "../remember.js";

// Ours:
const MAX_PLACES = 8_192;
/** Longer than a host goes on with a server that it was told of. */
const PLACE_MS = 600_000;

export class ServerPlaces {
  readonly #endsMs = new Map<string, number>();

  /** A server of the ring is there, or one of them says so. */
  note(nowMs: number, locator: Locator): void {
    remember(this.#endsMs, locatorKey(locator), nowMs + PLACE_MS, MAX_PLACES);
  }

  has(nowMs: number, locator: Locator): boolean {
    return (this.#endsMs.get(locatorKey(locator)) ?? -Infinity) > nowMs;
  }
}

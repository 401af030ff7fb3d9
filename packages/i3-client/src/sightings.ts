/** Where servers see this host. A liar on the way must not make us sign as often as it lies: of each server one sighting in a while counts, the last one always. */
import { locatorKey, Pace, type Locator } from "@i3/common";

export interface Sighting {
  readonly server: Locator;
  readonly observed: Locator;
}

// Ours:
const EVERY_MS = 500;

export class Sightings {
  /** Those of servers that have said something in the last {@link EVERY_MS}: no more than there are servers. */
  readonly #last = new Map<string, { sighting: Sighting; readonly pace: Pace }>();

  add(sighting: Sighting): void {
    const key = locatorKey(sighting.server);
    const seen = this.#last.get(key) ?? { sighting, pace: new Pace(EVERY_MS) };
    seen.sighting = sighting;
    seen.pace.wish();
    this.#last.set(key, seen);
  }

  /** That count now. */
  take(nowMs: number): readonly Sighting[] {
    const due: Sighting[] = [];
    for (const [key, { sighting, pace }] of this.#last) {
      if (pace.take(nowMs)) due.push(sighting);
      else if (pace.isRested(nowMs)) this.#last.delete(key);
    }
    return due;
  }

  nextDeadlineMs(): number {
    let dueMs = Infinity;
    for (const { pace } of this.#last.values()) dueMs = Math.min(dueMs, pace.dueMs());
    return dueMs;
  }
}

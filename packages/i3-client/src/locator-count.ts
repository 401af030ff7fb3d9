/** How many things depend on each server: asked for every server at every deadline, so it must not walk through all of them. */
import { locatorKey, type Locator } from "@i3/common";

export class LocatorCount {
  readonly #counts = new Map<string, number>();

  has(locator: Locator): boolean {
    return this.#counts.has(locatorKey(locator));
  }

  add(locator: Locator | null): void {
    if (locator === null) return;
    const key = locatorKey(locator);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  remove(locator: Locator | null): void {
    if (locator === null) return;
    const key = locatorKey(locator);
    const left = (this.#counts.get(key) ?? 0) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
  }
}

/**
 * Where a ring may be found again, or another that is to become one with it: the configured members, and nodes that were met and lost.
 * They take turns; those that are neighbours anyway are passed over.
 */
import { bytesKey, remember, sameLocator, type Locator, type RingNode } from "@i3/common";

import { MAX_REMEMBERED, REMEMBERED_MS } from "./constants.js";

export class KnownMembers {
  readonly #self: Locator;
  #configured: readonly Locator[] = [];
  /** Node key → where it was, until `endMs`. */
  readonly #remembered = new Map<string, { readonly locator: Locator; readonly endMs: number }>();
  #turn = 0;

  constructor(self: Locator, configured: readonly Locator[]) {
    this.#self = self;
    this.configure(configured);
  }

  get hasConfigured(): boolean {
    return this.#configured.length > 0;
  }

  /** Replaces the configured ones; the own locator is passed over. Returns whether there is one that was not there before. */
  configure(locators: readonly Locator[]): boolean {
    const before = this.#configured;
    this.#configured = locators.filter((locator) => !sameLocator(locator, this.#self));
    return this.#configured.some((locator) => !before.some((known) => sameLocator(known, locator)));
  }

  /** One that was heard at `locator`, and is lost: for a day. A node has one place, wherever it was; the one that was lost first of too many is forgotten. */
  remember(nowMs: number, key: Uint8Array, locator: Locator): void {
    if (this.#configured.some((known) => sameLocator(known, locator))) return;
    remember(this.#remembered, bytesKey(key), { locator, endMs: nowMs + REMEMBERED_MS }, MAX_REMEMBERED);
  }

  /** The next `count` at most that are none of `neighbours`. */
  next(nowMs: number, count: number, neighbours: readonly RingNode[]): readonly Locator[] {
    for (const [key, { endMs }] of this.#remembered) if (endMs <= nowMs) this.#remembered.delete(key);
    const strangers = this.#all().filter((locator) => !neighbours.some((node) => sameLocator(node.locator, locator)));
    return Array.from({ length: Math.min(count, strangers.length) }, () => {
      this.#turn = (this.#turn + 1) % strangers.length;
      return strangers[this.#turn] as Locator;
    });
  }

  #all(): readonly Locator[] {
    return [...this.#configured, ...[...this.#remembered.values()].map(({ locator }) => locator)];
  }
}

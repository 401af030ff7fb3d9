/**
 * Who holds how much of a table, so that nobody fills it alone: each source so much, and each IPv6 network (networkOf), of which a subscriber may have
 * all 65,536 sources, as much as {@link SOURCES_PER_NETWORK}. Who holds nothing is not remembered, so what is held bounds this too.
 */
import type { Locator } from "@i3/common";

import { SOURCES_PER_NETWORK } from "./constants.js";
import { networkOf, sourceOf } from "./source-rate.js";

export interface Account {
  readonly source: string;
  /** Null for IPv4, where each source is a network of its own. */
  readonly network: string | null;
}

export const accountOf = (locator: Locator): Account => ({ source: sourceOf(locator), network: locator.address.length === 4 ? null : networkOf(locator) });

export class SourceAccounts {
  readonly #perSource: number;
  readonly #perNetwork: number;
  /** Of sources and of networks, which are shorter in IPv6 and longer than any of IPv4. */
  readonly #held = new Map<string, number>();

  /** @param perSource places for each source */
  constructor(perSource: number) {
    this.#perSource = perSource;
    this.#perNetwork = perSource * SOURCES_PER_NETWORK;
  }

  /** Whether one more place has room, or one for that of `old`, which is then given back. */
  hasRoom({ source, network }: Account, old: Account | null): boolean {
    const hasPlace = (key: string, limit: number): boolean => (this.#held.get(key) ?? 0) < limit;
    return (old?.source === source || hasPlace(source, this.#perSource)) && (network === null || old?.network === network || hasPlace(network, this.#perNetwork));
  }

  take({ source, network }: Account): void {
    this.#add(source, 1);
    if (network !== null) this.#add(network, 1);
  }

  give({ source, network }: Account): void {
    this.#add(source, -1);
    if (network !== null) this.#add(network, -1);
  }

  #add(key: string, by: 1 | -1): void {
    const count = (this.#held.get(key) ?? 0) + by;
    if (count === 0) this.#held.delete(key);
    else this.#held.set(key, count);
  }
}

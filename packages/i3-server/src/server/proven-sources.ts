/**
 * Sources (sourceOf) that have shown that they receive at their address: by the cookie of a trigger that was acknowledged, or as servers of the ring.
 * Of one network (networkOf) so many are remembered, so that who has one does not make others forgotten.
 */
import type { Locator } from "@i3/common";

import { networkOf, sourceOf } from "../triggers/source-rate.js";
import { MAX_PROVEN_PER_NETWORK, MAX_PROVEN_SOURCES, PROVEN_MS } from "./constants.js";

export class ProvenSources {
  /** Of which network, and until when; those proven last are at the end. */
  readonly #sources = new Map<string, { readonly network: string; readonly untilMs: number }>();
  /** The sources of each network, in the same order. */
  readonly #perNetwork = new Map<string, Set<string>>();

  add(nowMs: number, from: Locator): void {
    const [source, network] = [sourceOf(from), networkOf(from)];
    this.#forget(source);
    const siblings = this.#perNetwork.get(network) ?? new Set();
    this.#sources.set(source, { network, untilMs: nowMs + PROVEN_MS });
    this.#perNetwork.set(network, siblings.add(source));
    if (siblings.size > MAX_PROVEN_PER_NETWORK) this.#forget(oldestOf(siblings));
    else if (this.#sources.size > MAX_PROVEN_SOURCES) this.#forget(oldestOf(this.#sources));
  }

  has(nowMs: number, from: Locator): boolean {
    return nowMs < (this.#sources.get(sourceOf(from))?.untilMs ?? -Infinity);
  }

  #forget(source: string | undefined): void {
    const known = source === undefined ? undefined : this.#sources.get(source);
    if (source === undefined || known === undefined) return;
    this.#sources.delete(source);
    const siblings = this.#perNetwork.get(known.network);
    siblings?.delete(source);
    if (siblings?.size === 0) this.#perNetwork.delete(known.network);
  }
}

function oldestOf(sources: { keys(): Iterator<string, undefined> }): string | undefined {
  return sources.keys().next().value;
}

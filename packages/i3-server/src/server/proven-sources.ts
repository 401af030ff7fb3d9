/** Sources (sourceOf) that have shown that they receive at their address: by the cookie of a trigger that was acknowledged, or as servers of the ring. */
import { MAX_PROVEN_SOURCES, PROVEN_MS } from "./constants.js";

export class ProvenSources {
  /** Until when; those proven last are at the end. */
  readonly #untilMs = new Map<string, number>();

  add(nowMs: number, source: string): void {
    this.#untilMs.delete(source);
    this.#untilMs.set(source, nowMs + PROVEN_MS);
    const oldest = this.#untilMs.keys().next();
    if (this.#untilMs.size > MAX_PROVEN_SOURCES && oldest.done === false) this.#untilMs.delete(oldest.value);
  }

  has(nowMs: number, source: string): boolean {
    return nowMs < (this.#untilMs.get(source) ?? -Infinity);
  }
}

/**
 * Strangers: who called us, and no name of the book or of a program here means. They share a part of the table; when it is full, the place of the one that was answered
 * longest ago may be had. What comes in does not count, nor what this host answers to anybody, as
 * pings: that costs its sender a packet now and then.
 */
import type { Mapping } from "./mapping.js";

/** Ours: who was sent something so lately is in use, and keeps its place. */
const IN_USE_MS = 60_000;

interface Place {
  /** When something was last seen to have gone to it; when it came, if nothing has. */
  sinceMs: number;
  packetsOut: number;
}

export class Strangers {
  readonly #packetsOut: (mapping: Mapping) => number;
  /** Longest ago first, both. */
  readonly #answered = new Map<Mapping, Place>();
  readonly #unanswered = new Map<Mapping, Place>();
  #nowMs = 0;

  /** @param packetsOut how many packets programs have sent to a mapping's peer */
  constructor(packetsOut: (mapping: Mapping) => number) {
    this.#packetsOut = packetsOut;
  }

  get size(): number {
    return this.#answered.size + this.#unanswered.size;
  }

  /** It came at the time of the last {@link look}. */
  add(mapping: Mapping): void {
    this.#unanswered.set(mapping, { sinceMs: this.#nowMs, packetsOut: this.#packetsOut(mapping) });
  }

  remove(mapping: Mapping): void {
    this.#answered.delete(mapping);
    this.#unanswered.delete(mapping);
  }

  /** Reads who has been answered; to be called every few seconds. */
  look(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const places of [this.#answered, this.#unanswered]) for (const [mapping, place] of [...places]) this.#isNews(mapping, place);
  }

  /** Who has been answered longest ago; null: all are in use. */
  longestUnanswered(nowMs: number): Mapping | null {
    this.#nowMs = nowMs;
    const used = this.#first(this.#answered);
    const unused = this.#first(this.#unanswered);
    const old = used !== null && nowMs - used.place.sinceMs >= IN_USE_MS ? used : null;
    if (old === null || unused === null) return (old ?? unused)?.mapping ?? null;
    return old.place.sinceMs < unused.place.sinceMs ? old.mapping : unused.mapping;
  }

  /** Of those that nothing has gone to since the last look. */
  #first(places: ReadonlyMap<Mapping, Place>): { readonly mapping: Mapping; readonly place: Place } | null {
    // Each once: what has been answered goes to the end, which may be of the same list.
    let left = places.size;
    for (const [mapping, place] of places) {
      if (left-- === 0) break;
      if (!this.#isNews(mapping, place)) return { mapping, place };
    }
    return null;
  }

  /** Whether something has gone to it: it is the last now. */
  #isNews(mapping: Mapping, place: Place): boolean {
    const before = place.packetsOut;
    // A flow that is made anew counts from 0.
    place.packetsOut = this.#packetsOut(mapping);
    if (place.packetsOut === before || place.packetsOut === 0) return false;
    this.remove(mapping);
    this.#answered.set(mapping, { sinceMs: this.#nowMs, packetsOut: place.packetsOut });
    return true;
  }
}

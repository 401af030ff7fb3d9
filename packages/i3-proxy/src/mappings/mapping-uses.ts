/** What the engine knows of how much mappings are used, and when the journal hears of it. */
import type { Datapath } from "@i3/datapath";

import type { Mapping } from "./mapping.js";
import { addressesOf } from "./mapping-table.js";

/** Ours: the journal learns of a mapping's use this often. */
const SAVE_MS = 60_000;

export class MappingUses {
  readonly #datapath: Pick<Datapath, "lastUse" | "flowCounters">;
  readonly #wallMs: () => number;
  readonly #savedMs = new WeakMap<Mapping, number>();

  constructor(datapath: Pick<Datapath, "lastUse" | "flowCounters">, wallMs: () => number) {
    this.#datapath = datapath;
    this.#wallMs = wallMs;
  }

  /** Packets that programs have sent to its peer; answers to it do not count. */
  packetsOut(mapping: Mapping): number {
    return addressesOf(mapping).reduce((sum, address) => {
      const counters = this.#datapath.flowCounters(address);
      return counters === undefined ? sum : sum + counters.packetsOut - counters.answersOut;
    }, 0);
  }

  /** Brings `lastUseMs` up to date. @returns for how long it has carried nothing, ms; Infinity: nothing yet */
  read(nowMs: number, mapping: Mapping): number {
    const usedMs = Math.max(this.#lastUse(mapping.local4), mapping.local6 === null ? -Infinity : this.#lastUse(mapping.local6));
    const sinceMs = nowMs - usedMs;
    if (usedMs > -Infinity) mapping.lastUseMs = Math.max(mapping.lastUseMs, Math.floor(this.#wallMs() - sinceMs));
    return sinceMs;
  }

  /** The journal has it as it is. */
  saved(mapping: Mapping): void {
    this.#savedMs.set(mapping, mapping.lastUseMs);
  }

  isToBeSaved(mapping: Mapping): boolean {
    return mapping.lastUseMs - (this.#savedMs.get(mapping) ?? 0) >= SAVE_MS;
  }

  #lastUse(address: Uint8Array): number {
    return this.#datapath.lastUse(address) ?? -Infinity;
  }
}

/** How many I1 were answered, and I2 have come, in a second, and how many places strangers have left: decides how hard puzzles are. */
import type { Datapath } from "@i3/datapath";
import type { HipHost } from "@i3/hip";

import type { MappingTable } from "../mappings/mapping-table.js";

/** Ours. */
const EVERY_MS = 1_000;

export class HipLoad {
  readonly #hip: HipHost;
  readonly #datapath: Datapath;
  readonly #mappings: MappingTable;
  #toldMs = 0;
  #answered = 0;
  #i2s = 0;

  constructor(hip: HipHost, datapath: Datapath, mappings: MappingTable) {
    this.#hip = hip;
    this.#datapath = datapath;
    this.#mappings = mappings;
  }

  get dueMs(): number {
    return this.#toldMs + EVERY_MS;
  }

  tell(nowMs: number): void {
    const elapsedMs = nowMs - this.#toldMs;
    if (elapsedMs < EVERY_MS) return;
    const answered = this.#datapath.counters().hipAnswered + this.#hip.counters.i1Answered;
    const i2s = this.#hip.counters.i2Paid;
    this.#hip.load(nowMs, ((answered - this.#answered) * 1_000) / elapsedMs, ((i2s - this.#i2s) * 1_000) / elapsedMs, this.#mappings.strangersPart);
    [this.#toldMs, this.#answered, this.#i2s] = [nowMs, answered, i2s];
  }
}

/** First packets of programs to peers whose own trigger, through which the answer will come, is not in the ring yet. */
import { bytesKey } from "@i3/common";
import type { Upcall } from "@i3/datapath";

import type { Mapping } from "../mappings/mapping.js";

/** Ours: without the trigger after all this time, the call is tried nevertheless. */
const WAIT_MS = 1_000;

export type FlowSetup = Extract<Upcall, { kind: "flow-setup" }>;

export interface WaitingCall {
  readonly mapping: Mapping;
  readonly upcall: FlowSetup;
}

export class WaitingCalls {
  /** By the id of the trigger; a mapping has one, so these are no more than the mappings. */
  readonly #calls = new Map<string, WaitingCall & { readonly untilMs: number }>();

  add(nowMs: number, call: WaitingCall): void {
    this.#calls.set(bytesKey(call.mapping.ownPrivateId), { ...call, untilMs: nowMs + WAIT_MS });
  }

  /** Those that have waited long enough, and that for the trigger `liveId`, which is in the ring now. */
  take(nowMs: number, liveId: Uint8Array | null): readonly WaitingCall[] {
    const ready = [...this.#calls].filter(([key, { untilMs }]) => untilMs <= nowMs || (liveId !== null && key === bytesKey(liveId)));
    for (const [key] of ready) this.#calls.delete(key);
    return ready.map(([, call]) => call);
  }

  deadlineMs(): number {
    return Math.min(...Array.from(this.#calls.values(), ({ untilMs }) => untilMs));
  }
}

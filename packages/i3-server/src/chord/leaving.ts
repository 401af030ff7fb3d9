/** How a node leaves: its neighbours hear LEAVING, several times, since nobody acknowledges it. Who hears it: chord.ts. */
import type { ControlMessage, RingNode } from "@i3/common";

import { LEAVING_PAUSES_MS } from "./constants.js";
import { sameNode } from "./neighbours.js";
import type { RingState } from "./ring-state.js";

export interface LeavingHost {
  readonly ring: RingState;
  send(to: RingNode, message: ControlMessage): void;
  /** All is said. */
  left(): void;
}

export class Leaving {
  readonly #host: LeavingHost;
  #times = 0;
  #nextMs = Infinity;

  constructor(host: LeavingHost) {
    this.#host = host;
  }

  start(nowMs: number): void {
    this.#say(nowMs);
  }

  deadlineMs(): number {
    return this.#nextMs;
  }

  handleTimer(nowMs: number): void {
    if (nowMs >= this.#nextMs) this.#say(nowMs);
  }

  #say(nowMs: number): void {
    const { alone, livePredecessor, self, successors } = this.#host.ring;
    const message = { type: "LEAVING", from: self, predecessor: livePredecessor, successors } as const;
    for (const node of successors) this.#host.send(node, message);
    if (livePredecessor !== null && !successors.some((node) => sameNode(node, livePredecessor))) this.#host.send(livePredecessor, message);
    const pauseMs = alone ? undefined : LEAVING_PAUSES_MS[this.#times];
    this.#times += 1;
    this.#nextMs = nowMs + (pauseMs ?? Infinity);
    if (pauseMs === undefined) this.#host.left();
  }
}

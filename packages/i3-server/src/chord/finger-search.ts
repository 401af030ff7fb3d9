/**
 * What keeps fingers alive and near: each is asked now and then whether it lives; and nodes of its range are timed, a node at a random place and those
 * that come after it, so that the finger becomes the nearest of ever more. All answers to other questions are timed too.
 */
import type { RingNode } from "@i3/common";

import { FINGER_MS, FINGERS, MAX_PROBES, SAMPLE_GROWTH, SAMPLE_MAX_MS, SAMPLE_MIN_MS } from "./constants.js";
import { sameNode } from "./neighbours.js";
import type { RingState } from "./ring-state.js";

export interface FingerSearchHost {
  readonly ring: RingState;
  /** `length` unpredictable bytes. */
  readonly random: (length: number) => Uint8Array;
  /** Looks for the node at a key; it comes to sampleAt. */
  lookUp(nowMs: number, key: Uint8Array): void;
  /** ALIVE, or STATE; the end comes to answered or silent. */
  ask(nowMs: number, node: RingNode, type: "ALIVE" | "STATE"): void;
}

export class FingerSearch {
  readonly #host: FingerSearchHost;
  #fingerMs = Infinity;
  #sampleMs = Infinity;
  #pauseMs = SAMPLE_MIN_MS;
  #range = 0;
  /** Questions that wait for their answer. */
  #asked = 0;

  constructor(host: FingerSearchHost) {
    this.#host = host;
  }

  start(nowMs: number): void {
    this.#fingerMs = nowMs + FINGER_MS;
    this.#sampleMs = nowMs + SAMPLE_MIN_MS;
  }

  deadlineMs(): number {
    return Math.min(this.#fingerMs, this.#sampleMs);
  }

  handleTimer(nowMs: number): void {
    if (nowMs >= this.#fingerMs) this.#refresh(nowMs);
    if (nowMs >= this.#sampleMs) this.#sample(nowMs);
  }

  /** A node at a random place of a range. */
  sampleAt(nowMs: number, node: RingNode): void {
    if (sameNode(node, this.#host.ring.self)) return;
    this.#host.ring.fingers.offer(node);
    this.#ask(nowMs, node, "STATE");
  }

  /** `successors`: of a node that was asked for its state. */
  answered(nowMs: number, successors: readonly RingNode[]): void {
    this.#asked -= 1;
    for (const node of successors) this.#time(nowMs, node);
  }

  /** Who was asked kept silent. */
  silent(nowMs: number, node: RingNode): void {
    this.#asked -= 1;
    this.drop(nowMs, node);
  }

  /** A node does not answer, which does not yet mean that it is dead. */
  drop(nowMs: number, node: RingNode): void {
    if (!this.#host.ring.fingers.remove(node)) return;
    this.#pauseMs = SAMPLE_MIN_MS;
    this.#sampleMs = Math.min(this.#sampleMs, nowMs + SAMPLE_MIN_MS);
  }

  /** The next finger: whether it lives. Where a range has none: looks for one. */
  #refresh(nowMs: number): void {
    this.#fingerMs = nowMs + FINGER_MS;
    const { fingers, successors } = this.#host.ring;
    const last = successors.at(-1);
    const next = last === undefined ? null : fingers.next(last);
    if (next === null) return;
    if (next.node === null) this.#lookIn(nowMs, next.range);
    else this.#ask(nowMs, next.node, "ALIVE");
  }

  #sample(nowMs: number): void {
    this.#pauseMs = Math.min(this.#pauseMs * SAMPLE_GROWTH, SAMPLE_MAX_MS);
    this.#sampleMs = nowMs + Math.round(this.#pauseMs);
    const { fingers, successors } = this.#host.ring;
    const last = successors.at(-1);
    if (last === undefined) return;
    if (this.#range >= FINGERS || fingers.isCovered(this.#range, last)) this.#range = 0;
    this.#lookIn(nowMs, this.#range);
    this.#range += 1;
  }

  #lookIn(nowMs: number, range: number): void {
    this.#host.lookUp(nowMs, this.#host.ring.fingers.keyIn(range, this.#host.random(16)));
  }

  #time(nowMs: number, node: RingNode): void {
    const { fingers, liveness, successors, self } = this.#host.ring;
    const range = fingers.rangeOf(node.key);
    const last = successors.at(-1);
    if (range === null || last === undefined || fingers.isCovered(range, last) || liveness.isDead(nowMs, node)) return;
    if (!sameNode(node, self) && !fingers.has(node)) this.#ask(nowMs, node, "ALIVE");
  }

  #ask(nowMs: number, node: RingNode, type: "ALIVE" | "STATE"): void {
    if (this.#asked >= MAX_PROBES) return;
    this.#asked += 1;
    this.#host.ask(nowMs, node, type);
  }
}

/** What one node knows of the ring, and what follows from it without asking anybody. */
import { sameLocator, type ControlMessage, type RingNode } from "@i3/common";
import type { Responsibility } from "@i3/datapath";

import { FINGERS, HALVING_MS, SUCCESSORS, UNTIMED_MS } from "./constants.js";
import { Fingers } from "./fingers.js";
import { Liveness } from "./liveness.js";
import { orderSuccessors, sameNode, withLocator } from "./neighbours.js";
import { inHalfOpen, inOpen, minusOne, partBetween } from "./ring-key.js";

/** `final`: `node` is responsible for the key; otherwise it is nearer to it. */
export interface FindAnswer {
  readonly final: boolean;
  readonly node: RingNode;
}

export class RingState {
  readonly self: RingNode;
  readonly fingers: Fingers;
  readonly liveness = new Liveness();
  predecessor: RingNode | null = null;
  /** The predecessor died and nobody has taken its place yet; its key still bounds what is ours. */
  predecessorDead = false;
  successors: readonly RingNode[] = [];
  /** False while a node with configured members has not tried them long enough to claim the whole ring for itself. */
  settled = false;

  constructor(self: RingNode) {
    this.self = self;
    this.fingers = new Fingers(self);
  }

  get alone(): boolean {
    return this.successors.length === 0 && this.predecessor === null;
  }

  get head(): RingNode | null {
    return this.successors[0] ?? null;
  }

  /** The live predecessor. */
  get livePredecessor(): RingNode | null {
    return this.predecessorDead ? null : this.predecessor;
  }

  isNeighbour(node: RingNode): boolean {
    if (this.predecessor !== null && sameNode(this.predecessor, node)) return true;
    for (const successor of this.successors) if (sameNode(successor, node)) return true;
    return false;
  }

  setPredecessor(node: RingNode | null): void {
    if (this.predecessor !== null) this.liveness.forget(this.predecessor);
    this.predecessor = node;
    this.predecessorDead = false;
  }

  /** Takes what may be kept of `nodes`; returns a node that stood out of order and is nearer than the head. */
  adoptSuccessors(nowMs: number, nodes: readonly RingNode[]): RingNode | null {
    const { list, nearer } = orderSuccessors(this.self, nodes, (node) => this.liveness.isDead(nowMs, node));
    this.successors = list;
    return nearer;
  }

  /** Buries a node. Returns whether it was the head. */
  drop(nowMs: number, node: RingNode): boolean {
    const wasHead = this.head !== null && sameNode(this.head, node);
    this.liveness.bury(nowMs, node);
    this.fingers.remove(node);
    this.successors = this.successors.filter((entry) => !sameNode(entry, node));
    if (this.predecessor !== null && sameNode(this.predecessor, node)) this.predecessorDead = true;
    return wasHead;
  }

  /** Returns whether it is a neighbour. */
  met(node: RingNode): boolean {
    const isNeighbour = this.isNeighbour(node);
    if (isNeighbour) this.#renewNeighbour(node);
    this.fingers.renewLocator(node);
    return isNeighbour;
  }

  #renewNeighbour(node: RingNode): void {
    this.successors = withLocator(this.successors, node);
    if (this.predecessor !== null && sameNode(this.predecessor, node) && !sameLocator(this.predecessor.locator, node.locator)) this.predecessor = node;
  }

  owns(key: Uint8Array): boolean {
    if (this.alone) return this.settled;
    return this.predecessor !== null && inHalfOpen(this.predecessor.key, key, this.self.key);
  }

  responsibility(): Responsibility {
    if (this.alone && this.settled) return { kind: "all" };
    return { kind: "range", from: this.predecessor?.key ?? minusOne(this.self.key), to: this.self.key };
  }

  /** Answer to FIND. A lone node answers before it is settled, so that lone nodes find each other. */
  answer(nowMs: number, key: Uint8Array): FindAnswer {
    const { head, self } = this;
    if (this.alone || this.owns(key)) return { final: true, node: self };
    if (head === null) return { final: false, node: this.predecessor ?? self };
    if (inHalfOpen(self.key, key, head.key)) return { final: true, node: head };
    return { final: false, node: this.nearest(nowMs, key, () => false) ?? head };
  }

  /** Of the nodes known to live the last one before `key`, leaving out those for which `skip` holds. */
  nearest(nowMs: number, key: Uint8Array, skip: (node: RingNode) => boolean): RingNode | null {
    const usable = (node: RingNode): boolean => inOpen(this.self.key, node.key, key) && !skip(node) && !this.liveness.isDead(nowMs, node);
    let best = this.successors.findLast(usable) ?? null;
    for (let range = this.fingers.rangeOf(key) ?? FINGERS; range < FINGERS; range += 1) {
      const before = best;
      for (const { node } of this.fingers.of(range)) if (usable(node) && (best === null || inOpen(best.key, node.key, key))) best = node;
      if (best !== before) break; // those of the other ranges come before these
    }
    return best;
  }

  /** Where a question for the node responsible for `key` goes from here; `last`: to that node, as far as is known here. Null: nowhere but to those for which `skip` holds. */
  nextHop(nowMs: number, key: Uint8Array, skip: (node: RingNode) => boolean = () => false): { readonly node: RingNode; readonly last: boolean } | null {
    const end = this.successors.at(-1);
    if (end !== undefined && inHalfOpen(this.self.key, key, end.key)) {
      const node = this.successors.find((successor) => inHalfOpen(this.self.key, key, successor.key) && !skip(successor));
      if (node !== undefined) return { node, last: true };
      const before = this.nearest(nowMs, key, skip);
      return before === null ? null : { node: before, last: false };
    }
    const node = (end === undefined ? null : this.#soonest(nowMs, end, key, skip)) ?? this.nearest(nowMs, key, skip);
    return node === null ? null : { node, last: false };
  }

  /** The finger between `end` and `key` that costs the least time: its own way, and HALVING_MS for each time that the rest of the way has to be halved. */
  #soonest(nowMs: number, end: RingNode, key: Uint8Array, skip: (node: RingNode) => boolean): RingNode | null {
    let best: RingNode | null = null;
    let leastMs = Infinity;
    const lists = this.estimateSize() / SUCCESSORS;
    for (let range = this.fingers.rangeOf(key) ?? FINGERS; range < FINGERS; range += 1) {
      for (const { node, rttMs } of this.fingers.of(range)) {
        if (!inOpen(end.key, node.key, key) || skip(node) || this.liveness.isDead(nowMs, node)) continue;
        const halvings = Math.log2(Math.max(1, partBetween(node.key, key) * lists));
        const costMs = Math.min(rttMs / 2, UNTIMED_MS) + HALVING_MS * halvings;
        if (costMs >= leastMs) continue;
        best = node;
        leastMs = costMs;
      }
    }
    return best;
  }

  /** About how many nodes the ring has, by how near those of the successor list are. */
  estimateSize(): number {
    const end = this.successors.at(-1);
    if (end === undefined) return 1;
    if (this.successors.length < SUCCESSORS) return this.successors.length + 1;
    return SUCCESSORS / Math.max(partBetween(this.self.key, end.key), Number.MIN_VALUE);
  }

  stateMessage(pending: boolean): ControlMessage {
    if (pending) return { type: "STATE_IS", from: this.self, pending, predecessor: null, successors: [] };
    return { type: "STATE_IS", from: this.self, pending, predecessor: this.livePredecessor, successors: this.successors };
  }
}

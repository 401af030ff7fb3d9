/**
 * Zave's Join: j joins through the member m for which j is between m and its first successor; j takes the list of m, and m for its predecessor. Others join
 * at the same time, so m may not be the one any more that was found: then the way to it goes through those that have joined between.
 */
import type { RingNode } from "@i3/common";

import { sameNode } from "./neighbours.js";
import { inHalfOpen, inOpen } from "./ring-key.js";

export interface JoinState {
  readonly from: RingNode;
  readonly predecessor: RingNode | null;
  readonly successors: readonly RingNode[];
}

export type JoinStep =
  | { readonly kind: "join"; readonly successors: readonly RingNode[]; readonly predecessor: RingNode | null }
  /** `isAfter`: `node` comes after `self`, otherwise before. */
  | { readonly kind: "ask"; readonly node: RingNode; readonly isAfter: boolean }
  /** Nobody is left to ask here. */
  | { readonly kind: "look-again" };

/** What `self` does with the state of a member that comes after it (`isAfter`) or before it. */
export function joinStep(self: RingNode, { from, predecessor, successors }: JoinState, isAfter: boolean, isDead: (node: RingNode) => boolean): JoinStep {
  const others = successors.filter((node) => !sameNode(node, self));
  const [next] = successors;
  if (next === undefined || sameNode(next, self) || inHalfOpen(from.key, self.key, next.key)) {
    // Its list alone: it may be short because members died, and then whoever comes between its end and `from` would be skipped.
    return { kind: "join", successors: others.length === 0 ? [from] : others, predecessor: from };
  }
  if (!isAfter) {
    const node = others.findLast((other) => inOpen(from.key, other.key, self.key) && !isDead(other));
    return node === undefined ? { kind: "look-again" } : { kind: "ask", node, isAfter };
  }
  // Stabilize finds who comes before us.
  if (predecessor === null || sameNode(predecessor, self) || isDead(predecessor)) return { kind: "join", successors: [from, ...others], predecessor: null };
  return { kind: "ask", node: predecessor, isAfter: inOpen(self.key, predecessor.key, from.key) };
}

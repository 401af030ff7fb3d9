/** Successor lists as values: order, cutting, merging. */
import { sameBytes, sameLocator, type RingNode } from "@i3/common";

import { SUCCESSORS } from "./constants.js";
import { inOpen } from "./ring-key.js";

export const sameNode = (a: RingNode, b: RingNode): boolean => a === b || sameBytes(a.key, b.key);

export interface OrderedSuccessors {
  /** In ring order after `self`, at most SUCCESSORS, without `self`. */
  readonly list: readonly RingNode[];
  /** A node that stood out of order and is nearer than the head: the ring was not ordered there. */
  readonly nearer: RingNode | null;
}

/**
 * What `self` may keep of `nodes` (head first): cut where the list comes back to `self` or leaves the order; nodes for
 * which `isDead` holds are passed over.
 */
export function orderSuccessors(self: RingNode, nodes: readonly RingNode[], isDead: (node: RingNode) => boolean): OrderedSuccessors {
  const list: RingNode[] = [];
  for (const node of nodes) {
    if (list.length === SUCCESSORS || sameNode(node, self)) break;
    if (isDead(node)) continue;
    const last = list.at(-1);
    if (last !== undefined && !inOpen(last.key, node.key, self.key)) {
      const head = list[0] as RingNode;
      return { list, nearer: inOpen(self.key, node.key, head.key) ? node : null };
    }
    list.push(node);
  }
  return { list, nearer: null };
}

/** `nodes` with the locator of `node` renewed where it occurs; the same array when nothing changes. */
export function withLocator(nodes: readonly RingNode[], node: RingNode): readonly RingNode[] {
  for (const entry of nodes) {
    if (sameNode(entry, node)) return sameLocator(entry.locator, node.locator) ? nodes : nodes.map((old) => (old === entry ? node : old));
  }
  return nodes;
}

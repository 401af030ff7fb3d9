/** What the ring's core hears from other servers, and what it wants of its own. */
import type { ControlMessage, Locator, RingNode } from "@i3/common";
import type { Responsibility } from "@i3/datapath";

export type RingMessage = Extract<ControlMessage, { readonly from: RingNode }>;

export type ChordOutput =
  /** `toKey`: the receiver's node key for the MAC, null when not known; `shown`: the credential that the question has shown which this answers. */
  | { readonly kind: "send"; readonly to: Locator; readonly toKey: Uint8Array | null; readonly nonce: Uint8Array; readonly message: ControlMessage; readonly shown?: Uint8Array | null }
  | { readonly kind: "responsibility"; readonly range: Responsibility }
  | { readonly kind: "found"; readonly id: number; readonly key: Uint8Array; readonly node: RingNode; readonly hops: number }
  | { readonly kind: "not-found"; readonly id: number; readonly key: Uint8Array }
  /** A neighbour or watched node died or left; one that was gone is heard again. */
  | { readonly kind: "gone"; readonly node: RingNode; readonly left: boolean } | { readonly kind: "back"; readonly node: RingNode }
  | { readonly kind: "joined"; readonly through: RingNode }
  /** No member answered, or all are gone: this node is a ring of its own. */
  | { readonly kind: "alone" }
  /** Somebody else uses our node key. */
  | { readonly kind: "duplicate-key"; readonly locator: Locator }
  | { readonly kind: "left" };

/**
 * A lookup is passed on from node to node, each nearer to the key, and the responsible one answers to the asker (recursive); when no answer comes, again
 * by another first node. When that was in vain too, and for the places of members, it goes on by questions of the asker's own (iterative): to the nearest known node before the key, then to the node that this one
 * names, until one says who is responsible, which that one has to confirm. A silent node is left for another; when there is none left the lookup pauses and
 * begins again, until its time is over.
 */
import { bytesKey, type Locator, type RingNode } from "@i3/common";

import { LOOKUP_MS, LOOKUP_PAUSE_MS, MAX_HOPS, MAX_LOOKUPS, ROUTE_ATTEMPTS } from "./constants.js";
import type { FindAnswer } from "./ring-state.js";
import { inHalfOpen, inOpen } from "./ring-key.js";

export type LookupPurpose =
  | { readonly kind: "caller"; readonly id: number }
  /** Looks for a node of a finger's range. */
  | { readonly kind: "finger" }
  /** Looks for the own key from a member outside: joins and merges rings. */
  | { readonly kind: "member"; readonly locator: Locator };

export interface Lookup {
  readonly key: Uint8Array;
  readonly purpose: LookupPurpose;
  readonly deadlineMs: number;
  readonly asked: Set<string>;
  /** How often it was passed on in vain. */
  routes: number;
  /** Node keys of those to which it was passed first; one answer to any of them ends it. */
  readonly passedTo: Set<string>;
  /** 8 bytes, of all of them. */
  readonly nonce: Uint8Array;
  hops: number;
  /** Said to be responsible, and asked whether it is. */
  claimed: { readonly node: RingNode; readonly via: RingNode } | null;
  /** When it begins again; null while an answer is awaited. */
  resumeMs: number | null;
}

/** What a lookup needs of its node. */
export interface LookupHost {
  readonly self: RingNode;
  answer(nowMs: number, key: Uint8Array): FindAnswer;
  nearest(nowMs: number, key: Uint8Array, skip: (node: RingNode) => boolean): RingNode | null;
  isDead(nowMs: number, node: RingNode): boolean;
  ask(nowMs: number, lookup: Lookup, to: Locator, node: RingNode | null): void;
  /** 8 unpredictable bytes. */
  nonce(): Uint8Array;
  /** Passes it on, to be answered by the responsible node, to one of those to whom it was not passed yet while there are any; false: there is nobody to pass it to. */
  route(nowMs: number, lookup: Lookup): boolean;
  /** `via`: who said so. */
  found(nowMs: number, lookup: Lookup, node: RingNode, via: RingNode): void;
  notFound(nowMs: number, lookup: Lookup): void;
}

export class Lookups {
  readonly #host: LookupHost;
  readonly #running = new Set<Lookup>();

  constructor(host: LookupHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#running.size;
  }

  /** False when too many run already. May finish before it returns. */
  start(nowMs: number, key: Uint8Array, purpose: LookupPurpose): boolean {
    if (this.#running.size >= MAX_LOOKUPS) return false;
    const lookup: Lookup = { key, purpose, deadlineMs: nowMs + LOOKUP_MS, asked: new Set(), routes: 0, passedTo: new Set(), nonce: this.#host.nonce(), hops: 0, claimed: null, resumeMs: null };
    this.#running.add(lookup);
    if (purpose.kind === "member") this.#host.ask(nowMs, lookup, purpose.locator, null);
    else this.#begin(nowMs, lookup);
    return true;
  }

  /** Whether a lookup from this member runs. */
  hasMember(isSame: (locator: Locator) => boolean): boolean {
    for (const { purpose } of this.#running) if (purpose.kind === "member" && isSame(purpose.locator)) return true;
    return false;
  }

  /** FOUND from a node that was asked. */
  answered(nowMs: number, lookup: Lookup, from: RingNode, answer: FindAnswer): void {
    if (!this.#running.has(lookup)) return;
    const { node } = answer;
    lookup.hops += 1;
    const isOwn = bytesKey(node.key) === bytesKey(from.key);
    if (answer.final) {
      const plausible = isOwn || inHalfOpen(from.key, lookup.key, node.key);
      if (plausible && (lookup.purpose.kind === "member" || !this.#host.isDead(nowMs, node))) {
        if (isOwn || lookup.purpose.kind !== "caller") return this.#found(nowMs, lookup, node, from);
        return this.#confirm(nowMs, lookup, node, from);
      }
    } else if (lookup.claimed !== null && bytesKey(lookup.claimed.node.key) === bytesKey(from.key)) {
      return this.#pause(nowMs, lookup);
    } else if (inOpen(from.key, node.key, lookup.key) && this.#mayAsk(nowMs, lookup, node)) {
      this.#ask(nowMs, lookup, node);
      return;
    }
    this.#next(nowMs, lookup);
  }

  /** The responsible node answered to a lookup that was passed on over `hops` nodes. */
  routed(nowMs: number, lookup: Lookup, from: RingNode, hops: number): void {
    if (!this.#running.has(lookup)) return;
    lookup.hops += hops;
    this.#found(nowMs, lookup, from, from);
  }

  /** Nobody answered to a lookup that was passed on. */
  unrouted(nowMs: number, lookup: Lookup): void {
    if (!this.#running.has(lookup)) return;
    lookup.routes += 1;
    if (lookup.routes >= ROUTE_ATTEMPTS || !this.#host.route(nowMs, lookup)) this.#next(nowMs, lookup);
  }

  /** The node that was asked stayed silent. */
  silent(nowMs: number, lookup: Lookup): void {
    if (!this.#running.has(lookup)) return;
    if (lookup.claimed !== null) this.#pause(nowMs, lookup);
    else this.#next(nowMs, lookup);
  }

  handleTimer(nowMs: number): void {
    for (const lookup of [...this.#running]) {
      if (lookup.resumeMs === null || lookup.resumeMs > nowMs) continue;
      lookup.resumeMs = null;
      lookup.asked.clear();
      lookup.claimed = null;
      this.#next(nowMs, lookup);
    }
  }

  deadlineMs(): number {
    let deadline = Infinity;
    for (const { resumeMs } of this.#running) deadline = Math.min(deadline, resumeMs ?? Infinity);
    return deadline;
  }

  #mayAsk(nowMs: number, lookup: Lookup, node: RingNode): boolean {
    const key = bytesKey(node.key);
    return key !== bytesKey(this.#host.self.key) && !lookup.asked.has(key) && !this.#host.isDead(nowMs, node);
  }

  #ask(nowMs: number, lookup: Lookup, node: RingNode): void {
    lookup.asked.add(bytesKey(node.key));
    this.#host.ask(nowMs, lookup, node.locator, node);
  }

  #begin(nowMs: number, lookup: Lookup): void {
    const own = this.#host.answer(nowMs, lookup.key);
    if (own.final) return this.#found(nowMs, lookup, own.node, this.#host.self);
    if (!this.#host.route(nowMs, lookup)) this.#next(nowMs, lookup);
  }

  /** Goes on from what this node knows itself; a lookup through a member has nothing to go on from. */
  #next(nowMs: number, lookup: Lookup): void {
    if (lookup.purpose.kind === "member" || lookup.hops >= MAX_HOPS) return this.#fail(nowMs, lookup);
    const own = this.#host.answer(nowMs, lookup.key);
    if (own.final) return this.#found(nowMs, lookup, own.node, this.#host.self);
    const node = this.#host.nearest(nowMs, lookup.key, (other) => !this.#mayAsk(nowMs, lookup, other));
    if (node !== null) return this.#ask(nowMs, lookup, node);
    this.#pause(nowMs, lookup);
  }

  /** Others may not know yet that it died, or that another has come before it. */
  #confirm(nowMs: number, lookup: Lookup, node: RingNode, via: RingNode): void {
    lookup.claimed = { node, via };
    if (this.#mayAsk(nowMs, lookup, node)) this.#ask(nowMs, lookup, node);
    else this.#pause(nowMs, lookup);
  }

  #pause(nowMs: number, lookup: Lookup): void {
    if (nowMs + LOOKUP_PAUSE_MS >= lookup.deadlineMs) return this.#fail(nowMs, lookup);
    lookup.resumeMs = nowMs + LOOKUP_PAUSE_MS;
  }

  #found(nowMs: number, lookup: Lookup, node: RingNode, via: RingNode): void {
    this.#running.delete(lookup);
    this.#host.found(nowMs, lookup, node, via);
  }

  #fail(nowMs: number, lookup: Lookup): void {
    this.#running.delete(lookup);
    this.#host.notFound(nowMs, lookup);
  }
}

/**
 * Chord as Zave corrected it ("How to make Chord correct", 2016), as a core: no I/O, no clock, no randomness of its own.
 * Call start once, then handleMessage, handleTimer (at deadlineMs) and lookup; after each drain pollOutput to undefined.
 *
 * A ring of one is the starting state of every node: it FINDs its own key at the configured members, again and again, and
 * joins, or merges with, the ring it finds there. DEVIATION: Zave's proof starts from a ring of at least SUCCESSORS + 1 nodes; a
 * smaller one is kept ordered by the same operations, its lists end where they come back to the node itself.
 * DEVIATION: who is silent for 0.8 s counts as dead, where the proof knows; lists are not padded after a death; who is known to be dead is
 * taken out of a list at any place; nodes also leave. Why: docs/adr/0009. docs/simulation-suite.md holds the core against the proof, operation by operation.
 */
import { bytesKey, sameLocator, type ControlMessage, type Locator, type RingNode } from "@i3/common";
import type { Responsibility } from "@i3/datapath";

import {
  ATTEMPT_MS, ATTEMPTS, FIND_ATTEMPTS, LAST_SETTLE_MS, MAX_CANDIDATES, MAX_HOPS, MEMBER_PROBE_ALONE_MS, MEMBER_PROBE_MAX_MS,
  MEMBER_PROBE_MS, MEMBER_PROBE_SIZE, PENDING_RETRY_MAX_MS, PENDING_RETRY_MIN_MS, QUIET_CHECK_MS, QUIET_MS, ROUTE_MS, SETTLE_MS, STABILIZE_MS,
} from "./constants.js";
import type { ChordOutput, RingMessage } from "./chord-output.js";
import { FingerSearch } from "./finger-search.js";
import { joinStep } from "./join-step.js";
import { KnownMembers } from "./known-members.js";
import { Leaving } from "./leaving.js";
import { Lookups, type Lookup } from "./lookups.js";
import { sameNode } from "./neighbours.js";
import { pace, Requests, type Request } from "./requests.js";
import { compareKeys, inHalfOpen, inOpen } from "./ring-key.js";
import { RingState, type FindAnswer } from "./ring-state.js";

export interface ChordInit {
  readonly self: RingNode;
  /** Locators of configured members; the own one among them is passed over. */
  readonly members: readonly Locator[];
  /** There are more, whose addresses are not known yet: setMembers tells them. @default false */
  readonly hasUnknownMembers?: boolean | undefined;
  /** `length` unpredictable bytes. */
  readonly random: (length: number) => Uint8Array;
  /** This node's, shown in lookups to those who answer them; null: none, so only who knows this node can. @default null */
  readonly credential?: Uint8Array | null;
}

type Purpose =
  | { readonly kind: "stabilize"; readonly node: RingNode; readonly stepsLeft: number }
  /** `isAfter`: `node` comes after us, otherwise before. */
  | { readonly kind: "join"; readonly node: RingNode; readonly stepsLeft: number; readonly isAfter: boolean }
  | { readonly kind: "alive"; readonly node: RingNode }
  /** Times a finger, or a node that may become one; or asks such a node for others of its range. */
  | { readonly kind: "probe" | "sample"; readonly node: RingNode }
  | { readonly kind: "route"; readonly lookup: Lookup; readonly node: RingNode }
  | { readonly kind: "find"; readonly lookup: Lookup; readonly node: RingNode | null };

export class Chord {
  readonly #ring: RingState;
  readonly #members: KnownMembers;
  readonly #random: (length: number) => Uint8Array;
  readonly #credential: Uint8Array | null;
  readonly #requests = new Requests<Purpose>();
  readonly #lookups: Lookups;
  readonly #fingerSearch: FingerSearch;
  readonly #leaving: Leaving;
  readonly #outputs: ChordOutput[] = [];
  #nextId = 0;
  #said: Responsibility | null = null;
  /** What follows from it was said: most messages change none of these. */
  #saidOf: { readonly predecessor: RingNode | null; readonly alone: boolean; readonly settled: boolean } = { predecessor: null, alone: false, settled: false };
  /** All others are dead, or we are cut off. */
  #hasLostRing = false;
  #saidDuplicate = false;
  #stabilizeMs = Infinity;
  #memberMs = Infinity;
  #quietMs = Infinity;
  #settleMs = Infinity;
  /** Not later than this: otherwise a member that answers and lets nobody in would keep us from serving for ever. */
  #lastSettleMs = Infinity;
  #running = false;
  /** "Response pending" answers in a row. */
  #pendings = 0;
  /** A node that may be nearer than the head, to be asked in the next round. */
  #hint: RingNode | null = null;
  /** Notified us while our predecessor was not known to be dead. */
  #rectifier: RingNode | null = null;

  constructor(init: ChordInit) {
    this.#ring = new RingState(init.self);
    this.#members = new KnownMembers(init.self.locator, init.members);
    this.#ring.settled = init.hasUnknownMembers !== true && !this.#members.hasConfigured;
    this.#random = init.random;
    this.#credential = init.credential ?? null;
    this.#lookups = new Lookups({
      self: init.self,
      answer: (nowMs, key) => this.#ring.answer(nowMs, key),
      nearest: (nowMs, key, skip) => this.#ring.nearest(nowMs, key, skip),
      isDead: (nowMs, node) => this.#ring.liveness.isDead(nowMs, node),
      ask: (nowMs, lookup, to, node) => this.#askFind(nowMs, lookup, to, node),
      nonce: () => init.random(8),
      route: (nowMs, lookup) => this.#askRoute(nowMs, lookup),
      found: (nowMs, lookup, node, via) => this.#found(nowMs, lookup, node, via),
      notFound: (_nowMs, { key, purpose }) => {
        if (purpose.kind === "caller") this.#outputs.push({ kind: "not-found", id: purpose.id, key });
      },
    });
    this.#fingerSearch = new FingerSearch({
      ring: this.#ring,
      random: init.random,
      lookUp: (nowMs, key) => void this.#lookups.start(nowMs, key, { kind: "finger" }),
      ask: (nowMs, node, type) =>
        this.#ask(nowMs, node, { type, from: this.self }, { kind: type === "STATE" ? "sample" : "probe", node }, FIND_ATTEMPTS),
    });
    this.#leaving = new Leaving({
      ring: this.#ring,
      send: (to, message) => this.#reply(to, init.random(8), message),
      left: () => void this.#outputs.push({ kind: "left" }),
    });
  }

  get self(): RingNode {
    return this.#ring.self;
  }

  get predecessor(): RingNode | null {
    return this.#ring.predecessor;
  }

  /** Until another is known to come before us, or it is heard of again. */
  get isPredecessorDead(): boolean {
    return this.#ring.predecessorDead;
  }

  get successors(): readonly RingNode[] {
    return this.#ring.successors;
  }

  /** In a ring, or has looked for one long enough to be one. */
  get isSettled(): boolean {
    return this.#ring.settled;
  }

  /** Whether `key` (16 bytes) is this node's. */
  owns(key: Uint8Array): boolean {
    return this.#ring.owns(key);
  }

  /** Replaces the configured members, when their names came to mean other addresses. The own locator is passed over. New ones have as long to answer as at the start. */
  setMembers(nowMs: number, members: readonly Locator[]): void {
    if (!this.#members.configure(members) || this.#ring.settled) return;
    this.#settleMs = Math.min(nowMs + SETTLE_MS, this.#lastSettleMs);
    this.#memberMs = nowMs;
  }

  start(nowMs: number): void {
    this.#running = true;
    if (!this.#ring.settled) this.#settleMs = nowMs + SETTLE_MS;
    this.#lastSettleMs = nowMs + LAST_SETTLE_MS;
    this.#stabilizeMs = nowMs + STABILIZE_MS;
    this.#memberMs = nowMs;
    this.#fingerSearch.start(nowMs);
    this.#quietMs = nowMs + QUIET_MS;
    this.#finish();
  }

  /** Next call of handleTimer; Infinity when none is needed. */
  deadlineMs(): number {
    if (!this.#running) return this.#leaving.deadlineMs();
    return Math.min(
      this.#stabilizeMs, this.#memberMs, this.#quietMs, this.#settleMs, this.#fingerSearch.deadlineMs(), this.#requests.deadlineMs(), this.#lookups.deadlineMs(),
    );
  }

  pollOutput(): ChordOutput | undefined {
    return this.#outputs.shift();
  }

  /** Finds the node responsible for `key`: output `found` or `not-found` with the returned number; null when too many run. */
  lookup(nowMs: number, key: Uint8Array): number | null {
    const id = (this.#nextId += 1);
    return this.#running && this.#lookups.start(nowMs, key, { kind: "caller", id }) ? id : null;
  }

  /** Reports `gone` when `node` dies, until unwatch. False when too many are watched. */
  watch(node: RingNode): boolean {
    return this.#ring.liveness.watch(node);
  }

  unwatch(node: RingNode): void {
    this.#ring.liveness.unwatch(node);
  }

  /** Tells the neighbours and stops; output `left` when all is said. */
  leave(nowMs: number): void {
    if (!this.#running) return;
    this.#running = false;
    this.#leaving.start(nowMs);
  }

  /** An authenticated message between servers. Answers go to the locator that the sender names, which the MAC covers. */
  handleMessage(nowMs: number, nonce: Uint8Array, message: RingMessage): void {
    if (!this.#running) return;
    const { from } = message;
    if (sameNode(from, this.self)) return this.#meetDouble(from);
    if (message.type !== "LEAVING") this.#meet(nowMs, from);
    switch (message.type) {
      case "FIND":
        this.#reply(from, nonce, { type: "FOUND", from: this.self, ...this.#ring.answer(nowMs, message.ringKey) });
        break;
      case "ROUTE":
        this.#passOn(nowMs, nonce, message);
        break;
      case "STATE":
        this.#reply(from, nonce, this.#ring.stateMessage(this.#awaiting()));
        break;
      case "ALIVE":
        this.#reply(from, nonce, { type: "ALIVE_YES", from: this.self });
        this.#noteNearer(nowMs, from);
        break;
      case "NOTIFY":
        this.#rectify(nowMs, from);
        break;
      case "LEAVING":
        this.#handleLeaving(nowMs, message);
        break;
      case "FOUND": case "STATE_IS": case "ALIVE_YES": case "ROUTED":
        this.#handleAnswer(nowMs, nonce, message);
        break;
    }
    this.#finish();
  }

  handleTimer(nowMs: number): void {
    if (!this.#running) return this.#leaving.handleTimer(nowMs);
    const { again, failed } = this.#requests.due(nowMs);
    for (const request of again) this.#transmit(request);
    for (const request of failed) this.#handleSilence(nowMs, request);
    this.#lookups.handleTimer(nowMs);
    if (nowMs >= this.#settleMs) this.#settle();
    if (nowMs >= this.#stabilizeMs) this.#stabilize(nowMs);
    if (nowMs >= this.#memberMs) this.#probeMembers(nowMs);
    this.#fingerSearch.handleTimer(nowMs);
    if (nowMs >= this.#quietMs) this.#askQuiet(nowMs);
    this.#finish();
  }

  // --- sending -----------------------------------------------------------------------------------------------------

  #reply(to: RingNode, nonce: Uint8Array, message: ControlMessage): void {
    this.#outputs.push({ kind: "send", to: to.locator, toKey: to.key, nonce, message });
  }

  #transmit({ to, toKey, nonce, message }: Request<Purpose>): void {
    this.#outputs.push({ kind: "send", to, toKey, nonce, message });
  }

  #ask(nowMs: number, node: RingNode, message: ControlMessage, purpose: Purpose, attempts = ATTEMPTS): void {
    const request = { nonce: this.#random(8), to: node.locator, toKey: node.key, message, purpose };
    this.#transmit(this.#requests.add(nowMs, request, pace(attempts)));
  }

  #askFind(nowMs: number, lookup: Lookup, to: Locator, node: RingNode | null): void {
    const message = { type: "FIND", from: this.self, ringKey: lookup.key } as const;
    const request = { nonce: this.#random(8), to, toKey: node?.key ?? null, message, purpose: { kind: "find", lookup, node } as const };
    this.#transmit(this.#requests.add(nowMs, request, pace(FIND_ATTEMPTS)));
  }

  /** False when no other node is known. */
  #askRoute(nowMs: number, lookup: Lookup): boolean {
    const { key, nonce, passedTo } = lookup;
    const hop = this.#ring.nextHop(nowMs, key, (node) => passedTo.has(bytesKey(node.key))) ?? this.#ring.nextHop(nowMs, key);
    if (hop === null) return false;
    passedTo.add(bytesKey(hop.node.key));
    const message = { type: "ROUTE", from: this.self, ringKey: key, asker: this.self, last: hop.last, hops: 1, credential: this.#credential } as const;
    const request = { nonce, to: hop.node.locator, toKey: hop.node.key, message, purpose: { kind: "route", lookup, node: hop.node } as const };
    this.#transmit(this.#requests.add(nowMs, request, { attempts: 1, firstMs: ROUTE_MS, againMs: ROUTE_MS }));
    return true;
  }

  /**
   * A question on its way to the node responsible for a key. One message for one, smaller or as large: nothing is to be gained by a wrong asker. A node that
   * is taken for responsible and is not passes it back to its predecessor, which has come between.
   */
  #passOn(nowMs: number, nonce: Uint8Array, { from, ringKey, asker, last, hops, credential }: Extract<RingMessage, { type: "ROUTE" }>): void {
    const ring = this.#ring;
    // Our own, come round: to us as the responsible one, who may know that another has come between. Otherwise the FINDs behind it go on.
    if (sameNode(asker, this.self) && (!last || ring.owns(ringKey))) return;
    if (ring.owns(ringKey)) return void this.#outputs.push({ kind: "send", to: asker.locator, toKey: asker.key, nonce, message: { type: "ROUTED", from: this.self, hops, credential: null }, shown: credential });
    if (hops >= MAX_HOPS) return;
    const before = last && inHalfOpen(from.key, ringKey, this.self.key) ? ring.livePredecessor : null;
    const hop = last ? (before === null ? null : { node: before, last }) : ring.nextHop(nowMs, ringKey);
    if (hop === null || (sameNode(hop.node, asker) && !hop.last)) return;
    this.#reply(hop.node, nonce, { type: "ROUTE", from: this.self, ringKey, asker, last: hop.last, hops: hops + 1, credential });
  }

  /** Reports what changed; called at the end of every input. */
  #finish(): void {
    const { predecessor, alone, settled } = this.#ring;
    if (this.#said !== null && predecessor === this.#saidOf.predecessor && alone === this.#saidOf.alone && settled === this.#saidOf.settled) return;
    this.#saidOf = { predecessor, alone, settled };
    const range = this.#ring.responsibility();
    const said = this.#said;
    const same = said?.kind === range.kind &&
      (said.kind !== "range" || range.kind !== "range" || (sameKey(said.from, range.from) && sameKey(said.to, range.to)));
    if (same) return;
    this.#said = range;
    this.#outputs.push({ kind: "responsibility", range });
  }

  // --- answers and silence -----------------------------------------------------------------------------------------

  #meetDouble(from: RingNode): void {
    if (this.#saidDuplicate || sameLocator(from.locator, this.self.locator)) return;
    this.#saidDuplicate = true;
    this.#outputs.push({ kind: "duplicate-key", locator: from.locator });
  }

  #meet(nowMs: number, from: RingNode): void {
    if (this.#ring.liveness.heard(nowMs, from, this.#ring.met(from))) this.#outputs.push({ kind: "back", node: from });
    if (this.#ring.predecessorDead && this.#ring.predecessor !== null && sameNode(this.#ring.predecessor, from)) {
      this.#ring.predecessorDead = false;
    }
  }

  #handleAnswer(nowMs: number, nonce: Uint8Array, message: Extract<RingMessage, { type: "FOUND" | "STATE_IS" | "ALIVE_YES" | "ROUTED" }>): void {
    const request = this.#requests.peek(nonce);
    if (request === undefined) return;
    const { purpose } = request;
    if (message.type === "ROUTED") return this.#handleRouted(nowMs, nonce, purpose, message);
    if (request.toKey !== null && !sameKey(request.toKey, message.from.key)) return;
    if (!Number.isNaN(request.sentMs)) this.#ring.fingers.measured(message.from, nowMs - request.sentMs);
    if (message.type === "FOUND" && purpose.kind === "find") {
      this.#requests.remove(nonce);
      // There is a ring, though we may not get into it at once: those next to our place may have crashed a moment ago.
      if (!this.#ring.settled) this.#settleMs = Math.min(nowMs + SETTLE_MS, this.#lastSettleMs);
      this.#lookups.answered(nowMs, purpose.lookup, message.from, message);
    } else if (message.type === "ALIVE_YES" && purpose.kind === "alive") {
      this.#requests.remove(nonce);
      if (this.#ring.predecessor !== null && sameNode(this.#ring.predecessor, message.from)) this.#rectifier = null;
    } else if (message.type === "STATE_IS" && purpose.kind === "stabilize") {
      this.#requests.remove(nonce);
      this.#stabilized(nowMs, purpose.stepsLeft, message, request.sentMs);
    } else if (message.type === "STATE_IS" && purpose.kind === "join") {
      this.#requests.remove(nonce);
      this.#joining(nowMs, purpose, message, request.sentMs);
    } else if ((message.type === "ALIVE_YES" && purpose.kind === "probe") || (message.type === "STATE_IS" && purpose.kind === "sample")) {
      this.#requests.remove(nonce);
      this.#fingerSearch.answered(nowMs, message.type === "STATE_IS" ? message.successors : []);
    }
  }

  /** Whoever says so is a member, and was given the nonce by those who passed the question on. */
  #handleRouted(nowMs: number, nonce: Uint8Array, purpose: Purpose, { from, hops }: Extract<RingMessage, { type: "ROUTED" }>): void {
    if (purpose.kind !== "route" || !inHalfOpen(this.self.key, purpose.lookup.key, from.key)) return;
    this.#requests.remove(nonce);
    this.#lookups.routed(nowMs, purpose.lookup, from, hops);
  }

  #handleSilence(nowMs: number, { purpose }: Request<Purpose>): void {
    switch (purpose.kind) {
      case "route": return this.#lookups.unrouted(nowMs, purpose.lookup); // which of the nodes on the way kept silent is not known
      case "find":
        if (purpose.node !== null) this.#fingerSearch.drop(nowMs, purpose.node);
        return this.#lookups.silent(nowMs, purpose.lookup);
      case "probe": case "sample": return this.#fingerSearch.silent(nowMs, purpose.node);
      default: return this.#declareGone(nowMs, purpose.node, false);
    }
  }

  /** Zave: a node that awaits the answer to a join or stabilize query does not answer state queries. */
  #awaiting(): boolean {
    return this.#requests.some(({ kind }) => kind === "stabilize" || kind === "join");
  }

  #declareGone(nowMs: number, node: RingNode, left: boolean): void {
    const wasAlone = this.#ring.alone;
    const heardAt = this.#ring.liveness.heardAt(node);
    const wasHead = this.#ring.drop(nowMs, node);
    this.#requests.cancel((purpose) => (purpose.kind === "alive" || purpose.kind === "stabilize" || purpose.kind === "join") && sameNode(purpose.node, node));
    if (this.#hint !== null && sameNode(this.#hint, node)) this.#hint = null;
    if (!left && heardAt !== null) this.#members.remember(nowMs, node.key, heardAt);
    this.#outputs.push({ kind: "gone", node, left });
    if (this.#ring.predecessorDead && this.#rectifier !== null && !sameNode(this.#rectifier, node)) {
      this.#ring.setPredecessor(this.#rectifier);
      this.#rectifier = null;
    }
    if (this.#ring.successors.length === 0 && this.#ring.livePredecessor === null) {
      this.#ring.setPredecessor(null);
      if (!wasAlone) this.#outputs.push({ kind: "alone" });
      this.#hasLostRing = true;
      this.#memberMs = Math.min(this.#memberMs, nowMs + MEMBER_PROBE_ALONE_MS);
    } else if (wasHead || !this.#awaiting()) {
      // The next one may be awaiting an answer itself, and not say who it is for some time: it takes us for its predecessor all the same.
      if (wasHead) this.#notifyHead();
      this.#stabilizeMs = nowMs;
      this.#stabilize(nowMs);
    }
  }

  // --- stabilize and rectify (Zave) --------------------------------------------------------------------------------

  #stabilize(nowMs: number): void {
    this.#stabilizeMs = nowMs + STABILIZE_MS;
    if (this.#awaiting()) return;
    const { head, livePredecessor } = this.#ring;
    const hint = this.#hint;
    this.#hint = null;
    const first = head ?? livePredecessor;
    if (first === null) return;
    this.#askState(nowMs, hint !== null && this.#isNearer(nowMs, hint, first) ? hint : first, MAX_CANDIDATES);
  }

  #askState(nowMs: number, node: RingNode, stepsLeft: number): void {
    this.#ask(nowMs, node, { type: "STATE", from: this.self }, { kind: "stabilize", node, stepsLeft });
  }

  #isNearer(nowMs: number, node: RingNode, head: RingNode): boolean {
    return inOpen(this.self.key, node.key, head.key) && !sameNode(node, this.self) && !this.#ring.liveness.isDead(nowMs, node);
  }

  /** `node` is in the ring: if it comes before our first successor, that is seen at once, and not when we ask the next time. */
  #noteNearer(nowMs: number, node: RingNode): void {
    if (this.#ring.head === null || !this.#isNearer(nowMs, node, this.#ring.head)) return;
    this.#hint = node;
    if (!this.#awaiting()) this.#stabilize(nowMs);
  }

  #stabilized(nowMs: number, stepsLeft: number, state: Extract<ControlMessage, { type: "STATE_IS" }>, sentMs: number): void {
    const { head } = this.#ring;
    const node = state.from;
    if (head !== null && !inHalfOpen(this.self.key, node.key, head.key)) return; // a nearer one was adopted meanwhile
    if (state.pending) {
      if (head !== null && !sameNode(node, head)) this.#hint = node; // the head would only name it again
      this.#stabilizeMs = nowMs + this.#pendingPauseMs(nowMs, sentMs);
      return;
    }
    this.#pendings = 0;
    // Who has no successors yet has asked its predecessor, whose list goes on behind us: as in a join that one does not come first, unless all those are known here to be dead.
    const isBehindUs = (other: RingNode): boolean => !sameNode(other, this.self) && !inOpen(node.key, other.key, this.self.key) && !this.#ring.liveness.isDead(nowMs, other);
    const behindUs = head === null ? state.successors.filter(isBehindUs) : [];
    if (behindUs.length > 0) {
      this.#ring.adoptSuccessors(nowMs, behindUs);
      return this.#notifyHead();
    }
    // One that is alone has no list to give: with it in place of ours, all would hang on it.
    const behindIt = state.successors.length === 0 ? this.#ring.successors.filter((other) => !sameNode(other, node)) : state.successors;
    const nearer = this.#ring.adoptSuccessors(nowMs, [node, ...behindIt]);
    const candidate = [state.predecessor, nearer].find((other) => other !== null && this.#isNearer(nowMs, other, node));
    if (candidate !== undefined && candidate !== null) {
      if (stepsLeft > 0) return this.#askState(nowMs, candidate, stepsLeft - 1);
      this.#lookUpSelf(nowMs, candidate.locator); // our place is far from there: node by node it would take minutes in a large ring
    }
    this.#notifyHead();
  }

  /** After "response pending" to what was sent at `sentMs`: without a pause as long as the round trip, nodes that are far from each other would nearly always be awaiting, and all say so. */
  #pendingPauseMs(nowMs: number, sentMs: number): number {
    const tookMs = Number.isNaN(sentMs) ? ATTEMPT_MS : nowMs - sentMs;
    const limit = Math.min(STABILIZE_MS, Math.max(PENDING_RETRY_MAX_MS, tookMs) * 2 ** this.#pendings);
    this.#pendings = Math.min(this.#pendings + 1, 8);
    return this.#between(PENDING_RETRY_MIN_MS, limit);
  }

  #between(fromMs: number, toMs: number): number {
    const [high = 0, low = 0] = this.#random(2);
    return fromMs + Math.floor(((toMs - fromMs) * (high * 256 + low)) / 65_536);
  }

  #notifyHead(): void {
    const { head } = this.#ring;
    if (head !== null) this.#reply(head, this.#random(8), { type: "NOTIFY", from: this.self });
  }

  /** `node` thinks it is our predecessor: taken when nearer, otherwise only once the one we have is dead. */
  #rectify(nowMs: number, node: RingNode): void {
    const { predecessor, livePredecessor } = this.#ring;
    if (predecessor !== null && sameNode(predecessor, node)) return;
    if (livePredecessor === null || inOpen(livePredecessor.key, node.key, this.self.key)) {
      // A ring that knew us before takes us back before we have asked: another has had our keys.
      if (!this.#ring.settled || this.#hasLostRing) this.#outputs.push({ kind: "joined", through: node });
      this.#hasLostRing = false;
      this.#ring.setPredecessor(node);
      // It was no neighbour yet when we heard it.
      this.#ring.liveness.heard(nowMs, node, true);
      this.#rectifier = null;
      this.#ring.settled = true;
      this.#settleMs = Infinity;
      if (this.#ring.head === null) this.#stabilize(nowMs);
      return;
    }
    if (this.#rectifier === null || inOpen(this.#rectifier.key, node.key, this.self.key)) this.#rectifier = node;
    this.#askAlive(nowMs, livePredecessor);
  }

  #askAlive(nowMs: number, node: RingNode): void {
    if (this.#requests.some((purpose) => purpose.kind === "alive" && sameNode(purpose.node, node))) return;
    this.#ask(nowMs, node, { type: "ALIVE", from: this.self }, { kind: "alive", node });
  }

  #askQuiet(nowMs: number): void {
    this.#quietMs = nowMs + QUIET_MS;
    const { liveness, livePredecessor } = this.#ring;
    for (const node of livePredecessor === null ? liveness.watched() : [livePredecessor, ...liveness.watched()]) {
      const quietMs = liveness.lastHeardMs(nowMs, node) + QUIET_MS;
      if (quietMs <= nowMs) this.#askAlive(nowMs, node);
      else this.#quietMs = Math.min(this.#quietMs, Math.max(quietMs, nowMs + QUIET_CHECK_MS));
    }
  }

  // --- join, merge, be left ----------------------------------------------------------------------------------------

  #settle(): void {
    this.#settleMs = Infinity;
    if (this.#ring.alone && !this.#ring.settled) this.#outputs.push({ kind: "alone" });
    this.#ring.settled = true;
  }

  #probeMembers(nowMs: number): void {
    const { alone } = this.#ring;
    const times = Math.max(1, this.#ring.estimateSize() / MEMBER_PROBE_SIZE);
    this.#memberMs = nowMs + (alone ? MEMBER_PROBE_ALONE_MS : Math.min(MEMBER_PROBE_MS * times, MEMBER_PROBE_MAX_MS));
    const { livePredecessor, successors } = this.#ring;
    const neighbours = livePredecessor === null ? successors : [livePredecessor, ...successors];
    for (const locator of this.#members.next(nowMs, alone ? 4 : 1, neighbours)) this.#lookUpSelf(nowMs, locator);
  }

  /** Through the node at `locator`. */
  #lookUpSelf(nowMs: number, locator: Locator): void {
    if (this.#lookups.hasMember((other) => sameLocator(other, locator))) return;
    this.#lookups.start(nowMs, this.self.key, { kind: "member", locator });
  }

  #found(nowMs: number, { key, purpose, hops }: Lookup, node: RingNode, via: RingNode): void {
    if (purpose.kind === "caller") this.#outputs.push({ kind: "found", id: purpose.id, key, node, hops });
    else if (purpose.kind === "finger") this.#fingerSearch.sampleAt(nowMs, node);
    else this.#foundSelf(nowMs, node, via);
  }

  /** Where a member's ring would have us: `node` comes after us there, `via` said so. */
  #foundSelf(nowMs: number, node: RingNode, via: RingNode): void {
    if (this.#ring.head !== null) this.#noteNearer(nowMs, node);
    else if (!this.#awaiting()) this.#askJoin(nowMs, via, MAX_CANDIDATES, sameNode(node, via));
  }

  #askJoin(nowMs: number, node: RingNode, stepsLeft: number, isAfter: boolean): void {
    this.#ask(nowMs, node, { type: "STATE", from: this.self }, { kind: "join", node, stepsLeft, isAfter });
  }

  #joining(nowMs: number, { node, stepsLeft, isAfter }: Extract<Purpose, { kind: "join" }>, state: Extract<ControlMessage, { type: "STATE_IS" }>, sentMs: number): void {
    if (this.#ring.head !== null) {
      this.#hint = state.from;
      return;
    }
    if (state.pending) {
      // Those whom we were told of may be gone when it could let us in.
      this.#members.remember(nowMs, node.key, node.locator);
      // Of two that are alone each awaits the other's answer.
      this.#memberMs = nowMs + this.#pendingPauseMs(nowMs, sentMs);
      return;
    }
    const step = joinStep(this.self, state, isAfter, (node) => this.#ring.liveness.isDead(nowMs, node));
    if (step.kind === "join") this.#join(nowMs, state.from, step.successors, step.predecessor);
    else if (step.kind === "ask" && stepsLeft > 0) this.#askJoin(nowMs, step.node, stepsLeft - 1, step.isAfter);
    else this.#memberMs = nowMs + this.#between(PENDING_RETRY_MIN_MS, PENDING_RETRY_MAX_MS);
  }

  #join(nowMs: number, through: RingNode, successors: readonly RingNode[], predecessor: RingNode | null): void {
    this.#ring.adoptSuccessors(nowMs, successors);
    if (this.#ring.livePredecessor === null) this.#ring.setPredecessor(predecessor);
    this.#ring.settled = true;
    this.#hasLostRing = false;
    this.#settleMs = Infinity;
    this.#pendings = 0;
    this.#outputs.push({ kind: "joined", through });
    // Who comes before us is to know at once, so that it hands over to us when it leaves.
    if (this.#ring.livePredecessor !== null) this.#askAlive(nowMs, this.#ring.livePredecessor);
    this.#stabilize(nowMs);
  }

  /**
   * The one that is named before it is not taken for our predecessor: it may be made up, or live far from here. It notifies us as soon as it has heard LEAVING
   * itself, and not later than it could send anybody here; until then ours is what was, and not more.
   */
  #handleLeaving(nowMs: number, { from, successors }: Extract<ControlMessage, { type: "LEAVING" }>): void {
    const ring = this.#ring;
    if (!ring.liveness.leaves(nowMs, from)) return;
    if (ring.head !== null && sameNode(ring.head, from)) ring.adoptSuccessors(nowMs, [from, ...successors]);
    this.#declareGone(nowMs, from, true);
  }

  /** For tests and the dashboard. */
  inspect(): { readonly fingers: readonly RingNode[]; readonly requests: number; readonly lookups: number } {
    return { fingers: this.#ring.fingers.nodes(), requests: this.#requests.size, lookups: this.#lookups.size };
  }
}

const sameKey = (a: Uint8Array, b: Uint8Array): boolean => compareKeys(a, b) === 0;

export type { ChordOutput, FindAnswer, RingMessage };

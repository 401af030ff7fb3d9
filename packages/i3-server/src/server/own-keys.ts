/**
 * Which keys are this server's, for its engine and its triggers: when it claims them after a join, hands some over to a server that joins before it, takes
 * those of one that is gone, and leaves all.
 */
import { sameBytes, sameLocator, toHex, type Log, type RingNode } from "@i3/common";
import type { Datapath, PassOn, Responsibility } from "@i3/datapath";

import type { Chord } from "../chord/chord.js";
import { inHalfOpen, inOpen, minusOne } from "../chord/ring-key.js";
import { CLAIM_AFTER_JOIN_MS, HANDOVER_MS, LAST_PASS_ON_MS } from "./constants.js";

export const NO_KEYS: Responsibility = { kind: "none" };

export interface OwnKeysInit {
  readonly self: RingNode;
  readonly chord: Pick<Chord, "owns" | "predecessor" | "isPredecessorDead">;
  readonly datapath: Pick<Datapath, "setPassOn" | "setResponsibility">;
  readonly log: Log;
  /** The first that is another server. */
  readonly successor: () => RingNode | null;
  /** Whose triggers packets go by has changed. */
  readonly changed: (nowMs: number) => void;
  /** The server is new no more. */
  readonly release: () => void;
  /** Ways to keys in (from, to] are of another time. */
  readonly dropRoutes: (from: Uint8Array, to: Uint8Array) => void;
}

export class OwnKeys {
  readonly #init: OwnKeysInit;
  #range: Responsibility = NO_KEYS;
  #isLeaving = false;
  /** After a join the engine claims our keys this late: until their owners have registered here, the successor has the triggers. Infinity: it has claimed them, or has not joined. */
  #claimMs = Infinity;
  /** Whether it answers for more than its own key since it joined. */
  #hasClaimed = false;
  /** Until then what our predecessor sends on to us goes to our successor, if we have no trigger for it: it has joined a moment ago, as we have. Infinity: it does not. */
  #passOnMs = Infinity;
  /** Not later than this. */
  #lastPassOnMs = Infinity;
  /** As the engine knows it. */
  #passOn: PassOn | null = null;
  /** Keys behind `from`, up to `to`, which were ours until another came before us; until `endMs` those who share one of them may still be on their way there. */
  #handover: { readonly from: Uint8Array; readonly to: Uint8Array; readonly endMs: number } | null = null;
  /** As the triggers know it. */
  #isPredecessorDead = false;

  constructor(init: OwnKeysInit) {
    this.#init = init;
  }

  /** It has just joined, and has not claimed its keys yet. */
  get isNew(): boolean {
    return this.#claimMs !== Infinity;
  }

  /** Of which it answers about triggers; the same object while it is the same. */
  get answered(): Responsibility {
    return this.#isLeaving || this.#hasOnlyItsKey() ? NO_KEYS : this.#range;
  }

  owns(key: Uint8Array): boolean {
    return !this.#isLeaving && this.#init.chord.owns(key);
  }

  /** Until the ring agrees who comes before us now, packets for the dead one's keys find us, its successor; we have the replicas. */
  takesOver(key: Uint8Array): boolean {
    return this.#init.chord.isPredecessorDead || this.owns(key);
  }

  isHandingOver(key: Uint8Array): boolean {
    return this.#handover !== null && inHalfOpen(this.#handover.from, key, this.#handover.to);
  }

  deadlineMs(): number {
    return Math.min(this.#claimMs, this.#passOnMs, this.#handover?.endMs ?? Infinity);
  }

  handleTimer(nowMs: number): void {
    if (nowMs >= this.#claimMs) {
      this.#claimMs = Infinity;
      this.#init.release();
      this.#claim();
    }
    if (nowMs >= this.#passOnMs) this.#passOnMs = Infinity;
    if (this.#handover !== null && nowMs >= this.#handover.endMs) {
      this.#handover = null;
      this.#init.changed(nowMs);
    }
  }

  /** It has joined a ring. */
  joined(nowMs: number): void {
    this.#claimMs = nowMs + CLAIM_AFTER_JOIN_MS;
    this.#passOnMs = this.#claimMs;
    this.#lastPassOnMs = nowMs + LAST_PASS_ON_MS;
    this.#hasClaimed = false;
    this.#init.datapath.setResponsibility(this.#onlyItsKey());
  }

  /** Who had our keys is gone: nobody else has their triggers. */
  hurry(nowMs: number): void {
    if (this.isNew) this.#claimMs = nowMs;
  }

  /** The ring says what is ours. */
  setRange(nowMs: number, range: Responsibility): void {
    this.#handOver(nowMs, range);
    this.#range = range;
    this.#init.changed(nowMs);
    if (!this.isNew) this.#claim();
  }

  /** All goes to another server from now on. */
  leave(): void {
    this.#isLeaving = true;
    this.#init.datapath.setResponsibility(this.#onlyItsKey());
  }

  /** Of what the ring has come to know: at the end of every input. */
  follow(nowMs: number): void {
    this.#sayPassOn();
    const { isPredecessorDead } = this.#init.chord;
    if (isPredecessorDead === this.#isPredecessorDead) return;
    this.#isPredecessorDead = isPredecessorDead;
    this.#init.changed(nowMs);
  }

  #sayPassOn(): void {
    const [{ predecessor }, to] = [this.#init.chord, this.#init.successor()?.locator ?? null];
    const wanted = this.#passOnMs === Infinity || predecessor === null || to === null || sameLocator(predecessor.locator, to) ? null : { from: predecessor.locator, to };
    if (wanted?.from === this.#passOn?.from && wanted?.to === this.#passOn?.to) return;
    this.#passOn = wanted;
    this.#init.datapath.setPassOn(wanted);
  }

  /** When another has come before us. Who has just joined itself has never had the keys of its predecessor, though it has replicas of some. */
  #handOver(nowMs: number, range: Responsibility): void {
    const self = this.#init.self.key;
    const before = this.#range.kind === "range" ? this.#range.from : this.#range.kind === "all" ? self : null;
    if (range.kind !== "range" || before === null || !inOpen(before, range.from, self)) return;
    this.#handover = { from: this.#handover?.from ?? before, to: range.from, endMs: nowMs + HANDOVER_MS };
    // Ways of the time when we left our keys to our successor, to whoever was it then: of some another is the server now.
    this.#init.dropRoutes(before, self);
    if (this.#passOnMs !== Infinity) this.#passOnMs = Math.min(nowMs + CLAIM_AFTER_JOIN_MS, this.#lastPassOnMs);
  }

  #onlyItsKey(): Responsibility {
    const { key } = this.#init.self;
    return { kind: "range", from: minusOne(key), to: key };
  }

  /** It knows of no predecessor: nothing is its own. */
  #hasOnlyItsKey(): boolean {
    return this.#range.kind === "range" && sameBytes(this.#range.from, minusOne(this.#init.self.key));
  }

  /** From now on this server says who has no trigger. */
  #claim(): void {
    if (this.#isLeaving) return;
    this.#init.datapath.setResponsibility(this.#range);
    if (this.#hasClaimed || this.#range.kind === "none") return;
    if (this.#hasOnlyItsKey()) return;
    this.#hasClaimed = true;
    this.#init.log("info", "claims", rangeText(this.#range));
  }
}

export const rangeText = (range: Responsibility): Record<string, string> =>
  range.kind === "range" ? { from: toHex(range.from), to: toHex(range.to) } : { keys: range.kind };

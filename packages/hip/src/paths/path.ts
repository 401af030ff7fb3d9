/**
 * One path: from a place of ours to a locator of the peer. Whether it carries packets is known by checks that were answered.
 *
 *     opening ──answer──► proven ──no answers, or not heard of for long──► resting ──► opening
 *        └── six checks without an answer ────────────────────────────────────▲
 */
import { bytesKey, samePrefix, type Locator } from "@i3/common";

import {
  AGAIN_MS, CARRYING_EVERY_MS, CHECKS_PER_ROUND_TRIP, DEAD_REST_MS, MAX_ANSWER_MS, MAX_ASKED, MAX_PUT_OFF_MS, MAX_REST_MS, MISSES, OPENING_MS, OVERDUE, PATIENCE, PROOF_LIFE_MS, PUT_OFF_MS, REST_MS, STANDBY_EVERY_MS, SUSPECT_EVERY_MS, WARM_EVERY_MS,
} from "./constants.js";
import { PathMtu } from "./path-mtu.js";

/** Where packets of ours leave: one interface, by the address there that the system chooses. */
export interface PathPlace {
  /** Names it: with another address an interface is another place. */
  readonly key: string;
  readonly family: 4 | 6;
  readonly interfaceIndex: number;
  /** Whole number; the least is used first. Both families of one interface have the same. */
  readonly rank: number;
  /** Where packets can go from here; null: everywhere. */
  readonly prefixes: readonly { readonly network: Uint8Array; readonly prefixBits: number }[] | null;
}

/** Whether packets can go from a place to a locator, as far as addresses tell. */
export function leadsTo({ family, prefixes }: Pick<PathPlace, "family" | "prefixes">, { address }: Locator): boolean {
  if (address.length !== (family === 4 ? 4 : 16)) return false;
  return prefixes === null || prefixes.some(({ network, prefixBits }) => samePrefix(network, address, prefixBits));
}

/** How much a path is used. */
export type PathUse = "carrying" | "warm" | "standby" | "idle";

interface Asked {
  readonly nonce: string;
  readonly sentMs: number;
}

export class Path {
  /** Its rank may change. */
  place: PathPlace;
  readonly locator: Locator;
  /** Of the whole path; known once it is in use. */
  readonly mtu: PathMtu;
  isProven = false;
  /** Smoothed, of each answer 3 s at most, so that a late one does not make checks rare; Infinity before the first. */
  rttMs = Infinity;
  #asked: Asked[] = [];
  #misses = 0;
  /** When the first check without an answer was sent since the last answer. */
  #missingSinceMs = Infinity;
  #answeredMs = -Infinity;
  #sentMs = -Infinity;
  /** Of an opening. */
  #tries = 0;
  #restMs = REST_MS;
  #putOffMs = PUT_OFF_MS;
  #openAtMs: number;
  #isResting = false;

  constructor(nowMs: number, place: PathPlace, locator: Locator, mostBytes: number) {
    this.place = place;
    this.locator = locator;
    this.mtu = new PathMtu(place.family, mostBytes);
    this.#openAtMs = nowMs;
  }

  /** Not proven, and nothing suggests now that it could be. */
  get isResting(): boolean {
    return !this.isProven && this.#isResting;
  }

  /** Of the last answer. */
  get answeredMs(): number {
    return this.#answeredMs;
  }

  /** When {@link isDue} or {@link expire} may have something to say. */
  dueMs(use: PathUse): number {
    if (!this.isProven) return use === "idle" ? Infinity : this.#openAtMs;
    if (use === "idle") return this.#answeredMs + PROOF_LIFE_MS;
    return Math.min(this.#nextMs(use), this.#deadMs());
  }

  /** Whether it is to be checked now. */
  isDue(nowMs: number, use: PathUse): boolean {
    return use !== "idle" && nowMs >= (this.isProven ? this.#nextMs(use) : this.#openAtMs);
  }

  sent(nowMs: number, nonce: Uint8Array): void {
    this.#putOffMs = PUT_OFF_MS;
    this.#asked = this.#asked.filter(({ sentMs }) => nowMs - sentMs <= MAX_ANSWER_MS);
    this.#asked.push({ nonce: bytesKey(nonce), sentMs: nowMs });
    if (this.#asked.length > MAX_ASKED) this.#asked.shift();
    this.#sentMs = nowMs;
    this.#misses += 1;
    this.#missingSinceMs = Math.min(this.#missingSinceMs, nowMs);
    if (!this.isProven) this.#wait(nowMs);
  }

  /** A check of one that is not proven is not to be sent for now: it was no try. */
  putOff(nowMs: number): void {
    this.#openAtMs = nowMs + this.#putOffMs;
    this.#putOffMs = Math.min(this.#putOffMs * 2, MAX_PUT_OFF_MS);
  }

  /** Whether it was a check of this path that was answered, in time. */
  answered(nowMs: number, nonce: Uint8Array): boolean {
    const key = bytesKey(nonce);
    const asked = this.#asked.find(({ nonce: of }) => of === key);
    if (asked === undefined || nowMs - asked.sentMs > MAX_ANSWER_MS) return false;
    const rttMs = Math.min(nowMs - asked.sentMs, PATIENCE.atMostMs);
    this.rttMs = this.isProven ? this.rttMs * 0.8 + rttMs * 0.2 : rttMs;
    this.#asked = this.#asked.filter(({ sentMs }) => sentMs > asked.sentMs);
    this.#misses = this.#asked.length;
    this.#missingSinceMs = this.#asked[0]?.sentMs ?? Infinity;
    this.#answeredMs = nowMs;
    this.isProven = true;
    this.#restMs = REST_MS;
    return true;
  }

  /** Whether it has just ceased to be proven. */
  expire(nowMs: number, use: PathUse): boolean {
    if (!this.isProven) return false;
    const isForgotten = use === "idle" && nowMs >= this.#answeredMs + PROOF_LIFE_MS;
    if (!isForgotten && nowMs < this.#deadMs()) return false;
    this.fail(nowMs);
    return true;
  }

  /** Something suggests that it has become possible, or is to be looked at again: from now on as in the beginning. */
  open(nowMs: number): void {
    this.#tries = 0;
    this.#restMs = REST_MS;
    this.#putOffMs = PUT_OFF_MS;
    this.#isResting = false;
    if (!this.isProven) this.#openAtMs = Math.min(this.#openAtMs, nowMs);
    else this.#sentMs = -Infinity;
  }

  /** Nothing is asked for now: no answer counts any more. */
  forgetAsked(): void {
    this.#asked = [];
    this.#misses = 0;
    this.#missingSinceMs = Infinity;
  }

  /** It carries nothing now. */
  fail(nowMs: number): void {
    this.#lose();
    this.mtu.restart();
    this.#isResting = true;
    this.#openAtMs = nowMs + DEAD_REST_MS;
  }

  #lose(): void {
    this.isProven = false;
    this.rttMs = Infinity;
    this.forgetAsked();
    this.#tries = 0;
  }

  #wait(nowMs: number): void {
    const waitMs = OPENING_MS[this.#tries];
    if (waitMs !== undefined) {
      this.#tries += 1;
      this.#openAtMs = nowMs + waitMs;
      return;
    }
    this.#tries = 0;
    this.#isResting = true;
    this.#openAtMs = nowMs + this.#restMs;
    this.#restMs = Math.min(this.#restMs * 2, MAX_REST_MS);
  }

  #nextMs(use: PathUse): number {
    if (use === "carrying") {
      const leastMs = this.rttMs / CHECKS_PER_ROUND_TRIP;
      const overdueMs = this.#missingSinceMs + this.rttMs * OVERDUE.roundTrips + OVERDUE.addMs;
      return Math.min(this.#sentMs + Math.max(CARRYING_EVERY_MS, leastMs), Math.max(this.#sentMs + Math.max(SUSPECT_EVERY_MS, leastMs), overdueMs));
    }
    if (this.#misses > 0) return this.#sentMs + AGAIN_MS;
    return this.#sentMs + (use === "warm" ? WARM_EVERY_MS : STANDBY_EVERY_MS);
  }

  #deadMs(): number {
    if (this.#misses < MISSES) return Infinity;
    return this.#missingSinceMs + Math.min(Math.max(this.rttMs * PATIENCE.roundTrips + PATIENCE.addMs, PATIENCE.atLeastMs), PATIENCE.atMostMs);
  }
}

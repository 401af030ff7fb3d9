/**
 * By which interface this host's packets go to its servers. The system chooses, by its routes, and goes on choosing an interface that has died behind the
 * machine: when no server answers over UDP any more, they are asked by every interface, and what answers is used.
 *
 *     the choice ──no server answers──► search: by every interface, and as chosen ──one answers, the choice does not──► that one is the choice
 *         ▲  ▲                              └── a server answers as chosen: only some have died
 *         │  └──────────────────────────────────┘
 *         └── one before the choice has answered for some seconds: both deliver, so nothing is lost on the way back
 */
import { bytesKey, dropOldest, encodeControl, NONCE_BYTES, sameLocator, TokenBucket, type Locator } from "@i3/common";
import { leadsTo, type PathPlace } from "@i3/hip";

import type { ClientEnvironment, UplinkReason } from "./environment.js";

/** What one interface has of one family. */
export type UplinkPlace = Pick<PathPlace, "interfaceIndex" | "family" | "prefixes">;

export interface UplinkCounters {
  /** Questions by an interface of ours. */
  asked: number;
  /** Those that were not sent: too many. */
  saved: number;
  /** Times that another interface was chosen. */
  changes: number;
}

// Ours:
/** Of a search: so often at first, then each second; each second of the way back. */
const ROUND_MS = 70;
const QUICK_ROUNDS = 8;
const SLOW_ROUND_MS = 1_000;
/** While servers are reached by TCP meanwhile: after so many slow ones without an answer, as many as lead through 32 servers, each takes twice as long as the last. */
const SLOW_ROUNDS = 16;
const MAX_ROUND_MS = 15_000;
/** As long a question by the choice is waited for: so many round trips, within bounds. */
const PATIENCE = { roundTrips: 1.5, minMs: 3 * ROUND_MS, maxMs: 1_500 } as const;
/** A single answer may be that of servers that have just come back. */
const LEAST_ANSWERS = 2;
const SERVERS_BY_PLACE = 2;
/** More: all that were nearest may have died together. */
const SERVERS_AS_CHOSEN = 4;
/** Rounds in a row of which each was answered; twice as many each time that the interface has died again soon. */
const BACK_ROUNDS = 5;
const MAX_BACK_ROUNDS = 320;
const SOON_MS = 60_000;
const ASKS_PER_SECOND = 20;
const ASKS_BURST = 150;
const MAX_ASKED = 256;
/** {@link Datapath.setUplink}: by the routes. */
const SYSTEM = 0;

interface Asked {
  readonly server: Locator;
  /** By which it was asked; null: as chosen. */
  readonly interfaceIndex: number | null;
  readonly round: number;
}

interface Answered {
  readonly rounds: number;
  /** The last of them, and who answered in it. */
  readonly last: number;
  readonly server: Locator;
}

interface Search {
  readonly sinceMs: number;
  readonly waitMs: number;
}

export interface UplinksOwner {
  /** The best first. */
  servers(): readonly Locator[];
  /** Whether they are reached by TCP only. */
  isDetoured(): boolean;
  /** Whether a server has left a question unanswered, and none has answered since it was asked; or {@link isDetoured}. */
  isSilent(): boolean;
  /** To the nearest server, ms. */
  roundTripMs(): number;
  /** A server has answered as chosen, over UDP. */
  heard(nowMs: number, server: Locator): void;
  /** Packets that name no interface leave by another one now. `leads`: whether it leads to a server, as far as addresses tell. */
  changed(nowMs: number, interfaceIndex: number, why: UplinkReason, leads: (server: Locator) => boolean): void;
}

export class Uplinks {
  readonly counters: UplinkCounters = { asked: 0, saved: 0, changes: 0 };
  readonly #environment: ClientEnvironment;
  readonly #owner: UplinksOwner;
  readonly #budget = new TokenBucket(ASKS_PER_SECOND, ASKS_BURST);
  #places: readonly UplinkPlace[] = [];
  #choice = SYSTEM;
  #search: Search | null = null;
  #round = 0;
  /** In which an interface answered last by which nothing goes yet, or the search began. */
  #newsRound = 0;
  #nextMs = Infinity;
  /** By nonce, the oldest first. */
  readonly #asked = new Map<string, Asked>();
  /** By interface: rounds that were answered, of this search or in a row. */
  readonly #answered = new Map<number, Answered>();
  #backRounds = BACK_ROUNDS;
  #backMs = -Infinity;

  constructor(environment: ClientEnvironment, owner: UplinksOwner) {
    this.#environment = environment;
    this.#owner = owner;
  }

  /** Those that the system prefers first. One that is gone, or is preferred now, is not kept to. */
  setPlaces(nowMs: number, places: readonly UplinkPlace[]): void {
    this.#places = places;
    this.#end();
    const indexes = this.#indexes(places);
    if (this.#choice !== SYSTEM) {
      if (indexes[0] === this.#choice) this.#choose(nowMs, SYSTEM, "preferred");
      else if (!indexes.includes(this.#choice)) this.#choose(nowMs, SYSTEM, "gone");
    }
    this.#plan(nowMs);
    this.look(nowMs);
  }

  /** PONG; false when it answers nothing of ours. */
  handlePong(nowMs: number, from: Locator, nonce: Uint8Array): boolean {
    const key = bytesKey(nonce);
    const asked = this.#asked.get(key);
    if (asked === undefined || !sameLocator(asked.server, from)) return false;
    this.#asked.delete(key);
    if (asked.interfaceIndex === null) this.#owner.heard(nowMs, from);
    else this.#count(nowMs, asked.interfaceIndex, asked);
    return true;
  }

  /** Servers may have fallen silent, or have answered. */
  look(nowMs: number): void {
    if (this.#owner.isSilent() === (this.#search !== null)) return;
    this.#end();
    if (this.#owner.isSilent()) {
      const { roundTrips, minMs, maxMs } = PATIENCE;
      const waitMs = Math.min(Math.max(this.#owner.roundTripMs() * roundTrips, minMs), maxMs);
      this.#search = { sinceMs: nowMs, waitMs };
    }
    this.#plan(nowMs);
  }

  handleTimer(nowMs: number): void {
    this.look(nowMs);
    if (nowMs < this.#nextMs) return;
    const indexes = this.#indexes(this.#usable());
    if (this.#search !== null) this.#searchOn(nowMs, this.#search, indexes);
    else this.#lookBack(nowMs, indexes);
  }

  nextDeadlineMs(): number {
    return this.#nextMs;
  }

  #searchOn(nowMs: number, { sinceMs, waitMs }: Search, indexes: readonly number[]): void {
    const found = nowMs < sinceMs + waitMs ? undefined : indexes.find((index) => (this.#answered.get(index)?.rounds ?? 0) >= LEAST_ANSWERS);
    if (found !== undefined && found !== this.#choice) {
      if (this.#backMs + SOON_MS > nowMs) this.#backRounds = Math.min(this.#backRounds * 2, MAX_BACK_ROUNDS);
      else this.#backRounds = BACK_ROUNDS;
      this.#choose(nowMs, found, "silent");
      this.#plan(nowMs);
      return this.handleTimer(nowMs);
    }
    this.#nextMs = nowMs + this.#roundMs();
    this.#round += 1;
    const questions = this.#questions();
    // Whoever may answer by an interface may answer as chosen.
    const servers = new Set([...this.#owner.servers().slice(0, SERVERS_AS_CHOSEN), ...questions.map(({ server }) => server)]);
    for (const server of servers) this.#ask(nowMs, server, null);
    for (const { place, server } of questions) this.#ask(nowMs, server, place);
  }

  /** Until the next round of a search. */
  #roundMs(): number {
    if (this.#round < QUICK_ROUNDS) return ROUND_MS;
    const quiet = this.#round - Math.max(QUICK_ROUNDS, this.#newsRound) - SLOW_ROUNDS;
    return quiet < 0 || !this.#owner.isDetoured() ? SLOW_ROUND_MS : Math.min(SLOW_ROUND_MS * 2 ** (quiet + 1), MAX_ROUND_MS);
  }

  #lookBack(nowMs: number, indexes: readonly number[]): void {
    const before = indexes.slice(0, Math.max(0, indexes.indexOf(this.#choice)));
    const back = before.find((index) => (this.#answered.get(index)?.rounds ?? 0) >= this.#backRounds);
    if (back !== undefined) {
      this.#backMs = nowMs;
      this.#choose(nowMs, back === indexes[0] ? SYSTEM : back, "back");
      this.#plan(nowMs);
      return this.handleTimer(nowMs);
    }
    for (const [index, { last }] of this.#answered) if (last < this.#round) this.#answered.delete(index);
    this.#nextMs = nowMs + SLOW_ROUND_MS;
    this.#round += 1;
    for (const { place, server } of this.#questions()) if (before.includes(place.interfaceIndex)) this.#ask(nowMs, server, place);
  }

  #choose(nowMs: number, interfaceIndex: number, why: UplinkReason): void {
    this.#end();
    this.#choice = interfaceIndex;
    this.counters.changes += 1;
    this.#environment.datapath.setUplink(interfaceIndex);
    const places = interfaceIndex === SYSTEM ? this.#places : this.#places.filter((place) => place.interfaceIndex === interfaceIndex);
    this.#owner.changed(nowMs, interfaceIndex, why, (server) => places.length === 0 || places.some((place) => leadsTo(place, server)));
  }

  /** What has been asked and answered until now counts no more. */
  #end(): void {
    this.#search = null;
    this.#round = 0;
    this.#newsRound = 0;
    this.#asked.clear();
    this.#answered.clear();
  }

  #plan(nowMs: number): void {
    const isAlone = this.#indexes(this.#places).length < 2;
    this.#nextMs = isAlone || (this.#search === null && this.#choice === SYSTEM) ? Infinity : nowMs;
  }

  #count(nowMs: number, interfaceIndex: number, { round, server }: Asked): void {
    const { rounds, last } = this.#answered.get(interfaceIndex) ?? { rounds: 0, last: 0 };
    if (round <= last) return;
    this.#answered.set(interfaceIndex, { rounds: rounds + 1, last: round, server });
    if (this.#search === null || interfaceIndex === this.#choice) return;
    this.#newsRound = this.#round;
    if (this.#nextMs > nowMs + SLOW_ROUND_MS) this.#nextMs = nowMs + ROUND_MS;
  }

  /** From which some server can be reached, as far as addresses tell. */
  #usable(): readonly UplinkPlace[] {
    const servers = this.#owner.servers();
    return this.#places.filter((place) => servers.some((server) => leadsTo(place, server)));
  }

  #indexes(places: readonly UplinkPlace[]): readonly number[] {
    return [...new Set(places.map(({ interfaceIndex }) => interfaceIndex))];
  }

  /** Of one round, by each place. */
  #questions(): readonly { readonly place: UplinkPlace; readonly server: Locator }[] {
    const servers = this.#owner.servers();
    return this.#places.flatMap((place) => this.#turn(place.interfaceIndex, servers.filter((server) => leadsTo(place, server))).map((server) => ({ place, server })));
  }

  /** Whom to ask by an interface, of these, the best first: besides the best who has answered there lately. While none has, and the best may be gone, all in turn. */
  #turn(interfaceIndex: number, servers: readonly Locator[]): readonly Locator[] {
    const answered = this.#answered.get(interfaceIndex);
    const lately = answered !== undefined && this.#round - answered.last <= QUICK_ROUNDS ? servers.filter((server) => sameLocator(server, answered.server)) : [];
    const mayBeGone = this.#search !== null && (this.#owner.roundTripMs() === Infinity || this.#round > QUICK_ROUNDS);
    const start = mayBeGone && lately.length === 0 ? (SERVERS_BY_PLACE * (this.#round - 1)) % Math.max(1, servers.length) : 0;
    return [...new Set([...lately, ...servers.slice(start), ...servers.slice(0, start)])].slice(0, SERVERS_BY_PLACE);
  }

  /** @param place null: as chosen */
  #ask(nowMs: number, server: Locator, place: UplinkPlace | null): void {
    if (!this.#budget.take(nowMs)) return void (this.counters.saved += 1);
    const nonce = this.#environment.randomBytes(NONCE_BYTES);
    this.#asked.set(bytesKey(nonce), { server, interfaceIndex: place?.interfaceIndex ?? null, round: this.#round });
    dropOldest(this.#asked, MAX_ASKED);
    this.counters.asked += 1;
    const locator = place === null ? server : { ...server, interfaceIndex: place.interfaceIndex };
    this.#environment.datapath.send([{ locator, bytes: encodeControl({ type: "PING" }, nonce), isStraight: true }]);
  }
}

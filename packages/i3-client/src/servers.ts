/**
 * The servers a client knows: which is nearest, which are alive (docs/wire.md §4, PING and PONG).
 *
 * A server in use is asked once a second and is dead after three questions in a row without an answer, at most 2.8 s after it
 * stopped on a path of up to 200 ms. One that carries packets of ours now is asked more often, and again sooner: it is dead after six, at most
 * 1.24 s after it stopped on a path of up to 90 ms, so that TCP's third retransmission finds another way. The others are asked every half minute,
 * to know where to go.
 *
 * A server may have a locator of each family. Each is an entry of its own; only those of the family in use, the first hop's, are chosen while one of
 * them lives, and servers name each other in the family in which they are asked: so a server is met by one of its two.
 */
import { bytesKey, encodeControl, locatorKey, NONCE_BYTES, sameLocator, type ControlMessage, type Locator } from "@i3/common";

import type { ClientEnvironment } from "./environment.js";
import type { Sighting } from "./sightings.js";

// Ours:
const PING_IN_USE_MS = 1_000;
const PING_CARRYING_MS = 400;
const PING_IDLE_MS = 30_000;
/** While a server has never answered; and a configured one that is dead, while none answers: servers that have just started do not. */
const PING_UNKNOWN_MS = 1_000;
const PING_DEAD_MS = 5_000;
/** A family is kept so long at least: servers of both may say that they cannot be reached. */
const FAMILY_MS = 10_000;
/** In the family that is not in use: an address that this host may not be able to send to at all. */
const PING_OTHER_FAMILY_MS = 30_000;
/** One in use that lives has answered in this time, on a path of up to 1 s. */
const LATELY_MS = 2_000;
/** How long an answer is waited for, within bounds, and how many may be missed: nine round trips in all. */
interface Patience {
  readonly roundTrips: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly misses: number;
}
const PATIENCE: Patience = { roundTrips: 3, minMs: 600, maxMs: 3_000, misses: 3 };
const PATIENCE_CARRYING: Patience = { roundTrips: 1.5, minMs: 140, maxMs: 1_500, misses: 6 };
const MAX_SERVERS = 256;
/** Locators: each of the 32 servers of a list may have two. */
const MAX_LISTED = 64;
const FORGET_UNUSED_MS = 600_000;
/** Questions to which a late answer still counts: on a path slower than we wait, all answers are late. */
const MAX_QUESTIONS = 8;
/** A server replaces a living first-hop server only when it is this much nearer. */
const SWITCH_FACTOR = 0.7;

type Liveness = "unknown" | "alive" | "dead";

interface Server {
  readonly locator: Locator;
  configured: boolean;
  liveness: Liveness;
  /** Smoothed; Infinity before the first answer. */
  rttMs: number;
  /** Of the last answer. */
  lastRttMs: number;
  lastHeardMs: number;
  /** Somebody waits to hear that it answers. */
  isAwaited: boolean;
  misses: number;
  lastPingMs: number;
  /** Questions without an answer, oldest first; `nonce` as a key. */
  questions: { readonly nonce: string; readonly sentMs: number }[];
  /** Whether the answer to the last question is still waited for. */
  waiting: boolean;
  lastInUseMs: number;
  /** Where it sees us. */
  observed: Locator | null;
  clockAheadMs: number | null;
  /** Its node key, as it says itself; null before the first answer. */
  node: string | null;
}

/** Where a server sees us. */
export interface Observation extends Sighting {
  /** It saw us elsewhere before. */
  readonly isOther: boolean;
}

export interface ServerStatus {
  readonly locator: Locator;
  readonly liveness: Liveness;
  readonly rttMs: number;
  readonly inUse: boolean;
}

/** A server's clock against ours. */
export interface ServerClock {
  readonly server: Locator;
  /** What it is ahead of ours, ms; null before the first answer. */
  readonly aheadMs: number | null;
}

export class Servers {
  readonly #environment: ClientEnvironment;
  readonly #servers = new Map<string, Server>();
  readonly #neededBy: (locator: Locator) => boolean;
  readonly #carries: (locator: Locator) => boolean;
  readonly #died: Locator[] = [];
  readonly #answered: Locator[] = [];
  readonly #observed: Observation[] = [];
  /** Configured because a list has them. */
  #listed: Locator[] = [];
  #firstHop: Server | null = null;
  #isSilent = false;
  #heardMs = -Infinity;
  /** Length of its addresses; null before the first. */
  #family: number | null = null;
  #leftFamilyMs = -Infinity;

  /** `neededBy`: whether triggers or paths depend on a server. `carries`: whether packets of ours go to it now. */
  constructor(environment: ClientEnvironment, neededBy: (locator: Locator) => boolean, carries: (locator: Locator) => boolean) {
    this.#environment = environment;
    this.#neededBy = neededBy;
    this.#carries = carries;
  }

  /** Adds a server; one that is known stays. `configured` ones are never forgotten. */
  add(nowMs: number, locator: Locator, configured: boolean): void {
    const key = locatorKey(locator);
    if (this.#servers.has(key) || (!configured && this.#servers.size >= MAX_SERVERS && !this.#forgetOne())) return;
    this.#environment.datapath.setKnownSource(locator.address, true);
    this.#servers.set(key, {
      locator, configured, liveness: "unknown", rttMs: Infinity, lastRttMs: Infinity, lastHeardMs: -Infinity, isAwaited: false, misses: 0, lastPingMs: -Infinity, questions: [], waiting: false, lastInUseMs: nowMs, observed: null, clockAheadMs: null, node: null,
    });
  }

  /** Those of a list are as good as configured ones; who was in the last list only may be forgotten. */
  setListed(nowMs: number, locators: readonly Locator[]): void {
    for (const locator of this.#listed) {
      const server = this.#servers.get(locatorKey(locator));
      if (server !== undefined) server.configured = false;
    }
    this.#listed = [];
    for (const locator of locators.slice(0, MAX_LISTED)) {
      const server = this.#servers.get(locatorKey(locator));
      if (server?.configured === true) continue;
      if (server === undefined) this.add(nowMs, locator, true);
      else server.configured = true;
      this.#listed.push(locator);
    }
    this.#chooseFirstHop();
  }

  /** Its servers have no address of the family in use: the other one is used, if a configured server answers there. */
  leaveFamily(nowMs: number): void {
    const other = this.#nearest((server) => server.configured && !this.#isOfFamily(server));
    if (other === null || nowMs - this.#leftFamilyMs < FAMILY_MS) return;
    this.#leftFamilyMs = nowMs;
    this.#family = other.locator.address.length;
    this.#firstHop = null;
    this.#chooseFirstHop();
  }

  /** The nearest living server, where packets without a better way go. */
  firstHop(): Locator | null {
    return this.#firstHop?.locator ?? null;
  }

  /** Whom to ask what others say: the nearest living server that is configured and not one of these; the first hop when there is none. */
  witness(besides: readonly Locator[]): Locator | null {
    const witness = this.#nearest((server) => server.configured && this.#isOfFamily(server) && !besides.some((other) => sameLocator(other, server.locator)));
    return (witness ?? this.#firstHop)?.locator ?? null;
  }

  /** Those that live, the nearest first; then the others. */
  nearestFirst(): readonly Locator[] {
    return [...this.#servers.values()].sort((a, b) => (a.rttMs < b.rttMs ? -1 : a.rttMs > b.rttMs ? 1 : 0)).map(({ locator }) => locator);
  }

  /** To the nearest that lives, ms; Infinity: none does. */
  roundTripMs(): number {
    return Math.min(...Array.from(this.#servers.values(), ({ rttMs }) => rttMs));
  }

  /** Whether it lives, and was not only heard of. */
  isTrusted(locator: Locator): boolean {
    const server = this.#servers.get(locatorKey(locator));
    return server?.liveness === "alive" && (server.configured || server === this.#firstHop);
  }

  /** Whether it has answered lately: one that is not in use may have been gone for half a minute and still count as alive. */
  answers(nowMs: number, locator: Locator): boolean {
    const server = this.#servers.get(locatorKey(locator));
    return server?.liveness === "alive" && nowMs - server.lastHeardMs <= LATELY_MS;
  }

  /** Asks at the next turn of the timer, and tells when it answers (takeAnswered): for a server that is about to be used. */
  hurry(locator: Locator): void {
    const server = this.#servers.get(locatorKey(locator));
    if (server === undefined) return;
    server.isAwaited = true;
    if (!server.waiting) server.lastPingMs = -Infinity;
  }

  /** Those that are configured or listed. */
  configured(): readonly Locator[] {
    return [...this.#servers.values()].filter(({ configured }) => configured).map(({ locator }) => locator);
  }

  /** Whether one that matters has left a question unanswered, and none has answered since it was asked. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** A server has answered somebody else of this host, by the way of our own questions. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs;
    this.#isSilent = false;
  }

  /**
   * Our packets go another way: what was asked by the one before says nothing. Those in use are asked at once, and those that do not live.
   * @param leads whether it leads to a server, as far as addresses tell: one to which it does not is dead, and with it goes the family in use if no other lives
   */
  askAnew(nowMs: number, leads: (locator: Locator) => boolean): void {
    this.heard(nowMs);
    for (const server of this.#servers.values()) {
      server.misses = 0;
      server.waiting = false;
      if (server.liveness === "alive" && !leads(server.locator)) this.#die(server);
    }
    this.#chooseFirstHop();
    for (const server of this.#servers.values()) if (server.liveness !== "alive" || this.#inUse(server)) server.lastPingMs = -Infinity;
  }

  /** Asks now, also while an answer is due: that one may have gone to where we were. */
  ask(nowMs: number, locator: Locator): void {
    const server = this.#servers.get(locatorKey(locator));
    if (server === undefined) return;
    server.isAwaited = true;
    this.#ping(nowMs, server);
  }

  /** Of the configured servers that are not dead: who was only heard of has no say. One with an address of each family is one, with what is nearer to ours. */
  clocks(): readonly ServerClock[] {
    const clocks = new Map<string, ServerClock>();
    for (const [key, { configured, liveness, locator: server, clockAheadMs: aheadMs, node }] of this.#servers) {
      if (!configured || liveness === "dead") continue;
      const before = clocks.get(node ?? key)?.aheadMs ?? Infinity;
      if (Math.abs(aheadMs ?? 0) < Math.abs(before)) clocks.set(node ?? key, { server, aheadMs });
    }
    return [...clocks.values()];
  }

  /** Those of the family in use. */
  listFamily(): readonly ServerStatus[] {
    return this.list().filter((server) => this.#isOfFamily(server));
  }

  list(): readonly ServerStatus[] {
    return [...this.#servers.values()].map((s) => ({ locator: s.locator, liveness: s.liveness, rttMs: s.rttMs, inUse: this.#inUse(s) }));
  }

  /** False when nobody asked. */
  handlePong(nowMs: number, from: Locator, nonce: Uint8Array, message: Extract<ControlMessage, { type: "PONG" }>): boolean {
    const server = this.#servers.get(locatorKey(from));
    const nonceKey = bytesKey(nonce);
    const question = server?.questions.find((asked) => asked.nonce === nonceKey);
    if (server === undefined || question === undefined) return false;
    this.heard(nowMs);
    const sampleMs = nowMs - question.sentMs;
    server.rttMs = server.rttMs === Infinity ? sampleMs : server.rttMs * 0.8 + sampleMs * 0.2;
    server.lastRttMs = sampleMs;
    server.lastHeardMs = nowMs;
    server.clockAheadMs = message.timeMs + sampleMs / 2 - this.#environment.wallMs();
    server.node = bytesKey(message.nodeKey);
    server.questions = server.questions.filter((asked) => asked.sentMs > question.sentMs);
    server.waiting = false;
    server.misses = 0;
    if (server.liveness !== "alive" || server.isAwaited) this.#answered.push(server.locator);
    const { observed } = server;
    const isOther = observed !== null && !sameLocator(observed, message.observed);
    if (observed === null || isOther || server.isAwaited) this.#observed.push({ server: server.locator, observed: message.observed, isOther });
    server.observed = message.observed;
    server.isAwaited = false;
    server.liveness = "alive";
    this.#chooseFirstHop();
    return true;
  }

  handleTimer(nowMs: number): void {
    for (const [key, server] of this.#servers) {
      if (this.#inUse(server)) server.lastInUseMs = nowMs;
      else if (!server.configured && nowMs - server.lastInUseMs > FORGET_UNUSED_MS) {
        this.#forget(key, server);
        continue;
      }
      if (server.waiting && this.#dueMs(server) <= nowMs) this.#countMiss(server);
    }
    // Only now: the death of one brings another into use, which is then asked at once.
    for (const server of this.#servers.values()) if (this.#dueMs(server) <= nowMs) this.#ping(nowMs, server);
  }

  nextDeadlineMs(): number {
    let deadline = Infinity;
    for (const server of this.#servers.values()) deadline = Math.min(deadline, this.#dueMs(server));
    return deadline;
  }

  /** Servers that were alive and are dead now, since the last call. */
  takeDied(): readonly Locator[] {
    return this.#died.splice(0);
  }

  /** Servers that answer now and did not before, or were awaited, since the last call. */
  takeAnswered(): readonly Locator[] {
    return this.#answered.splice(0);
  }

  /** Of servers that see us elsewhere than before, or for the first time, or were awaited, since the last call. */
  takeObserved(): readonly Observation[] {
    return this.#observed.splice(0);
  }

  /** Makes room: of the learned servers that nobody needs, the one that was used longest ago goes. */
  #forgetOne(): boolean {
    let oldest: Server | null = null;
    for (const server of this.#servers.values()) {
      if (!server.configured && !this.#inUse(server) && (oldest === null || server.lastInUseMs < oldest.lastInUseMs)) oldest = server;
    }
    if (oldest !== null) this.#forget(locatorKey(oldest.locator), oldest);
    return oldest !== null;
  }

  #forget(key: string, { locator }: Server): void {
    this.#servers.delete(key);
    this.#environment.datapath.setKnownSource(locator.address, false);
  }

  #inUse(server: Server): boolean {
    return server === this.#firstHop || this.#neededBy(server.locator);
  }

  /** When an answer is overdue or the next question is. */
  #dueMs(server: Server): number {
    if (!server.waiting) return server.lastPingMs + this.#intervalMs(server);
    const { roundTrips, minMs, maxMs } = this.#patience(server);
    // The smoothed one follows a path that has become faster over many answers.
    const rttMs = Math.min(server.rttMs, server.lastRttMs);
    return server.lastPingMs + (rttMs === Infinity ? minMs : Math.min(Math.max(rttMs * roundTrips, minMs), maxMs));
  }

  #patience(server: Server): Patience {
    return server.liveness === "alive" && this.#carries(server.locator) ? PATIENCE_CARRYING : PATIENCE;
  }

  #isOfFamily({ locator }: Pick<Server, "locator">): boolean {
    return this.#family === null || locator.address.length === this.#family;
  }

  #intervalMs(server: Server): number {
    if (server.liveness !== "alive" && this.#firstHop !== null && !this.#isOfFamily(server) && !server.isAwaited) return PING_OTHER_FAMILY_MS;
    if (server.liveness === "dead") return this.#firstHop === null && server.configured ? PING_UNKNOWN_MS : PING_DEAD_MS;
    if (server.liveness === "unknown") return PING_UNKNOWN_MS;
    if (server.misses > 0) return 0;
    if (this.#carries(server.locator)) return PING_CARRYING_MS;
    return this.#inUse(server) ? PING_IN_USE_MS : PING_IDLE_MS;
  }

  #ping(nowMs: number, server: Server): void {
    const nonce = this.#environment.randomBytes(NONCE_BYTES);
    server.questions.push({ nonce: bytesKey(nonce), sentMs: nowMs });
    if (server.questions.length > MAX_QUESTIONS) server.questions.shift();
    // What is missed is counted from the first.
    if (!server.waiting) server.lastPingMs = nowMs;
    server.waiting = true;
    this.#environment.datapath.send([{ locator: server.locator, bytes: encodeControl({ type: "PING" }, nonce) }]);
  }

  #countMiss(server: Server): void {
    server.waiting = false;
    server.misses += 1;
    if (server.lastPingMs >= this.#heardMs && (this.#firstHop === null || this.#inUse(server))) this.#isSilent = true;
    if (server.misses < this.#patience(server).misses || server.liveness === "dead") return;
    this.#die(server);
    this.#chooseFirstHop();
  }

  #die(server: Server): void {
    if (server.liveness === "alive") this.#died.push(server.locator);
    server.liveness = "dead";
    server.rttMs = Infinity;
    server.lastRttMs = Infinity;
  }

  #nearest(isMeant: (server: Server) => boolean): Server | null {
    let nearest: Server | null = null;
    for (const server of this.#servers.values()) {
      if (server.liveness === "alive" && isMeant(server) && (nearest === null || server.rttMs < nearest.rttMs)) nearest = server;
    }
    return nearest;
  }

  #chooseFirstHop(): void {
    // One that was only heard of may serve its own keys; it speaks for the whole ring only when no configured one is left.
    const isOfFamily = (server: Server): boolean => this.#isOfFamily(server);
    const nearest = this.#nearest((server) => server.configured && isOfFamily(server)) ?? this.#nearest((server) => server.configured) ?? this.#nearest(isOfFamily) ?? this.#nearest(() => true);
    const current = this.#firstHop;
    const keeps = current?.liveness === "alive" && (current.configured || nearest?.configured === false) && nearest !== null && nearest.rttMs > current.rttMs * SWITCH_FACTOR;
    if (keeps || nearest === current) return;
    this.#firstHop = nearest;
    if (nearest !== null) this.#family = nearest.locator.address.length;
    this.#environment.datapath.setDefaultServer(nearest?.locator ?? null);
  }
}

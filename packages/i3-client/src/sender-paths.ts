/**
 * Ways to ids that we send to (docs/wire.md §5): through the first-hop server at first, with CACHE_REQUEST set; then straight
 * to the responsible server, once that has answered a PING. A CACHE can be forged by who reads our packets: unless it names a configured server
 * it makes us ask one by LOCATE, whose answer counts (docs/adr/0008). An entry in use is confirmed in the same way before it is 30 s old.
 */
import { bytesKey, locatorKey, NONCE_BYTES, ringKey, sameBytes, sameLocator, type ControlMessage, type Locator } from "@i3/common";
import { COPY_BUDGET, DATA_FLAG, encodeDataHeader, HOP_LIMIT } from "@i3/datapath";

import type { ClientEnvironment, ClientEvent } from "./environment.js";
import { LocatorCount } from "./locator-count.js";
import { PlaceQuestions } from "./place-questions.js";

// Of the paper (§2.2): cache entries live 30 s.
const CACHE_LIFE_MS = 30_000;
// Ours:
const CONFIRM_AT_MS = 20_000;
const CONFIRM_RETRY_MS = 1_000;
/** After two answers that contradict each other: packets go by the first hop. */
const DISPUTE_MS = 30_000;
/** A CACHE changes a path once in this time: a server that reads our nonces could make us go to and fro. */
const CHANGE_MS = 1_000;
/** Of one id it is told once in this time. */
const ABSENT_MS = 100;
const MAX_PATHS = 65_536;

/** How far a packet may go: what is left of both when it is sent on. */
export interface PacketLimits {
  /** 1 to 16. */
  readonly hopLimit: number;
  /** 1 to 255. */
  readonly copyBudget: number;
}

/** Of a packet that begins here. */
export const WHOLE_LIMITS: PacketLimits = Object.freeze({ hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET });

interface Path {
  readonly id: Uint8Array;
  nonce: Uint8Array;
  /** Carried packets lately: its server is watched. */
  active: boolean;
  /** How often it was opened and not closed: two peers may name one id. */
  users: number;
  /** When it was told last that nobody is there. */
  absentMs: number;
}

interface Way {
  readonly ringKey: Uint8Array;
  readonly paths: Set<Path>;
  /** Of the paths, those that are active. */
  activePaths: number;
  /** Installed in the engine. */
  server: Locator | null;
  /** Named by a server, not yet seen alive. */
  candidate: Locator | null;
  namedMs: number;
  confirmedMs: number;
  nextConfirmMs: number;
  askedMs: number;
  changedMs: number;
  disputedUntilMs: number;
}

export interface SenderPathsOwner {
  emit(event: ClientEvent): void;
  /** Is to be measured. */
  learn(locator: Locator): void;
  answers(nowMs: number, locator: Locator): boolean;
  firstHop(): Locator | null;
  /** The id's server is asked for shortcuts by packets of their own, and so for caches too. */
  isAskedApart(id: Uint8Array): boolean;
  /** A configured server that lives, or the first hop. */
  isTrusted(locator: Locator): boolean;
  /** A living configured server, to be asked for a second word; none of these. */
  witness(besides: readonly Locator[]): Locator | null;
}

export class SenderPaths {
  readonly #environment: ClientEnvironment;
  readonly #emit: (event: ClientEvent) => void;
  readonly #learn: (locator: Locator) => void;
  readonly #answers: (nowMs: number, locator: Locator) => boolean;
  readonly #firstHop: () => Locator | null;
  readonly #isAskedApart: (id: Uint8Array) => boolean;
  readonly #isTrusted: (locator: Locator) => boolean;
  readonly #paths = new Map<string, Path>();
  readonly #ways = new Map<string, Way>();
  readonly #questions: PlaceQuestions<Way>;
  /** Servers of ways with active paths. */
  readonly #uses = new LocatorCount();
  /** Ways with active paths that go by the first-hop server. */
  #undirected = 0;
  /** Not later than the first deadline of all ways; found anew when it has passed. */
  #deadlineMs = Infinity;

  constructor(environment: ClientEnvironment, owner: SenderPathsOwner) {
    this.#environment = environment;
    this.#questions = new PlaceQuestions(environment, (besides) => owner.witness(besides));
    this.#emit = (event) => owner.emit(event);
    this.#learn = (locator) => owner.learn(locator);
    this.#answers = (nowMs, locator) => owner.answers(nowMs, locator);
    this.#firstHop = () => owner.firstHop();
    this.#isAskedApart = (id) => owner.isAskedApart(id);
    this.#isTrusted = (locator) => owner.isTrusted(locator);
  }

  /** Opens a path (at most 65,536; false when there is no room). */
  open(id: Uint8Array): boolean {
    const key = bytesKey(id);
    const old = this.#paths.get(key);
    if (old !== undefined) {
      old.users += 1;
      return true;
    }
    if (this.#paths.size >= MAX_PATHS) return false;
    const path: Path = { id: id.slice(), nonce: this.#environment.randomBytes(NONCE_BYTES), active: true, users: 1, absentMs: -Infinity };
    this.#paths.set(key, path);
    const way = this.#wayOf(ringKey(path.id));
    way.paths.add(path);
    this.#countActive(way, 1);
    return true;
  }

  close(id: Uint8Array): void {
    const path = this.#paths.get(bytesKey(id));
    if (path === undefined) return;
    path.users -= 1;
    if (path.users > 0) return;
    this.#paths.delete(bytesKey(id));
    const way = this.#wayOf(ringKey(id));
    way.paths.delete(path);
    if (path.active) this.#countActive(way, -1);
    if (way.paths.size > 0) return;
    this.#clear(way);
    this.#questions.drop(way);
    this.#ways.delete(bytesKey(way.ringKey));
  }

  isOpen(id: Uint8Array): boolean {
    return this.#paths.has(bytesKey(id));
  }

  /** A server that we send to says, to a packet of ours for an id, who is responsible. */
  named(nowMs: number, id: Uint8Array, server: Locator): void {
    const way = this.#ways.get(bytesKey(ringKey(id)));
    if (way !== undefined) this.#candidate(nowMs, way, server);
  }

  /** The data header for packets to an open path. Throws RangeError when it is not open. */
  header(id: Uint8Array, payloadKind: number): Uint8Array {
    const path = this.#paths.get(bytesKey(id));
    if (path === undefined) throw new RangeError("header of a path that is not open");
    const flags = this.#asksFor(path) ? DATA_FLAG.cacheRequest : 0;
    return encodeDataHeader({ flags, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind, nonce: path.nonce, ids: [path.id] });
  }

  /** The same for one packet along a stack of ids: where there is no path to the first no cache is asked for, and nothing can be told of it. */
  headerOnce(ids: readonly Uint8Array[], payloadKind: number, { hopLimit, copyBudget }: PacketLimits): Uint8Array {
    const [head] = ids;
    if (head === undefined) throw new RangeError("header of an empty stack");
    const path = this.#paths.get(bytesKey(head));
    const flags = path !== undefined && this.#asksFor(path) ? DATA_FLAG.cacheRequest : 0;
    return encodeDataHeader({ flags, hopLimit, copyBudget, payloadKind, nonce: path?.nonce ?? this.#environment.randomBytes(NONCE_BYTES), ids });
  }

  /** A server answers one packet in 100 ms: where others ask, with a longer answer in mind, ours do not. */
  #asksFor({ id }: Path): boolean {
    return this.#wayOf(ringKey(id)).server === null && !this.#isAskedApart(id);
  }

  /** Whether packets went over a path lately. */
  setActive(id: Uint8Array, active: boolean): void {
    const path = this.#paths.get(bytesKey(id));
    if (path === undefined || path.active === active) return;
    path.active = active;
    this.#countActive(this.#wayOf(ringKey(path.id)), active ? 1 : -1);
  }

  /** The server that packets to an id go to directly; null: the first-hop server. */
  serverOf(id: Uint8Array): Locator | null {
    return this.#ways.get(bytesKey(ringKey(id)))?.server ?? null;
  }

  isNeeded(locator: Locator): boolean {
    return this.#uses.has(locator);
  }

  /** Whether packets on active paths go to this server now. */
  isCarriedBy(locator: Locator): boolean {
    if (this.#uses.has(locator)) return true;
    const firstHop = this.#undirected > 0 ? this.#firstHop() : null;
    return firstHop !== null && sameLocator(firstHop, locator);
  }

  /** CACHE, NOT_PRESENT and the answers to our LOCATE; false when the nonce is not one of ours. */
  handle(nowMs: number, from: Locator, nonce: Uint8Array, message: ControlMessage): boolean {
    if (message.type === "CACHE") {
      const way = this.#ways.get(bytesKey(message.ringKey));
      if (way === undefined || nowMs < way.disputedUntilMs || !hasNonce(way, nonce) || !this.#mayTell(from, way)) return false;
      this.#hinted(nowMs, way, from, message.node.locator);
      return true;
    }
    if (message.type === "LOCATED") return this.#located(nowMs, from, nonce, message);
    if (message.type !== "NOT_PRESENT") return false;
    const path = this.#paths.get(bytesKey(message.id));
    if (path === undefined || !sameBytes(path.nonce, nonce)) return false;
    const way = this.#wayOf(ringKey(path.id));
    if (!this.#mayTell(from, way)) return false;
    this.#dropServer(way);
    if (nowMs - path.absentMs < ABSENT_MS) return false;
    path.absentMs = nowMs;
    this.#emit({ kind: "not-present", id: path.id });
    return true;
  }

  /** Peers see our nonces too: only the servers that we send to speak for the ring. */
  #mayTell(from: Locator, way: Way): boolean {
    return [this.#firstHop(), way.server, way.candidate].some((server) => server !== null && sameLocator(server, from));
  }

  serverAnswered(nowMs: number, locator: Locator): void {
    for (const way of this.#ways.values()) {
      if (way.candidate === null || !sameLocator(way.candidate, locator)) continue;
      if (nowMs - way.namedMs < CACHE_LIFE_MS) this.#install(nowMs, way, way.candidate);
      else way.candidate = null;
    }
  }

  serverDied(locator: Locator): void {
    for (const way of this.#ways.values()) {
      if (way.candidate !== null && sameLocator(way.candidate, locator)) way.candidate = null;
      if (way.server !== null && sameLocator(way.server, locator)) this.#dropServer(way);
    }
  }

  handleTimer(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return;
    this.#deadlineMs = Infinity;
    for (const way of this.#ways.values()) {
      if (way.server === null) continue;
      if (nowMs >= way.nextConfirmMs) {
        if (way.activePaths === 0 || nowMs - way.confirmedMs >= CACHE_LIFE_MS) this.#dropServer(way);
        else this.#confirm(nowMs, way, [way.server]);
      }
      this.#deadlineMs = Math.min(this.#deadlineMs, way.nextConfirmMs);
    }
  }

  nextDeadlineMs(): number {
    return this.#deadlineMs;
  }

  #countActive(way: Way, change: 1 | -1): void {
    if (way.activePaths === 0) this.#use(way.server);
    way.activePaths += change;
    if (way.activePaths === 0) this.#useNoMore(way.server);
  }

  #setServer(way: Way, server: Locator | null): void {
    if (way.activePaths > 0) {
      this.#useNoMore(way.server);
      this.#use(server);
    }
    way.server = server;
  }

  #use(server: Locator | null): void {
    if (server === null) this.#undirected += 1;
    this.#uses.add(server);
  }

  #useNoMore(server: Locator | null): void {
    if (server === null) this.#undirected -= 1;
    this.#uses.remove(server);
  }

  #wayOf(key: Uint8Array): Way {
    let way = this.#ways.get(bytesKey(key));
    if (way === undefined) {
      way = { ringKey: key.slice(), paths: new Set(), activePaths: 0, server: null, candidate: null, namedMs: 0, confirmedMs: 0, nextConfirmMs: Infinity, askedMs: -Infinity, changedMs: -Infinity, disputedUntilMs: -Infinity };
      this.#ways.set(bytesKey(key), way);
    }
    return way;
  }

  /** `from` says that it is this server's. One that is configured passes packets on if it is not; of any other a witness must say so too. */
  #hinted(nowMs: number, way: Way, from: Locator, locator: Locator): void {
    if (this.#isTrusted(locator)) {
      if (nowMs - way.changedMs >= CHANGE_MS) this.#candidate(nowMs, way, locator);
    } else if (nowMs - way.askedMs >= CONFIRM_RETRY_MS) {
      if (!this.#answers(nowMs, locator)) this.#learn(locator);
      this.#confirm(nowMs, way, [from, locator]);
    }
  }

  #candidate(nowMs: number, way: Way, locator: Locator): void {
    if (this.#answers(nowMs, locator)) return this.#install(nowMs, way, locator);
    way.candidate = locator;
    way.namedMs = nowMs;
    this.#learn(locator);
  }

  #install(nowMs: number, way: Way, locator: Locator): void {
    const changed = way.server === null || locatorKey(way.server) !== locatorKey(locator);
    this.#setServer(way, locator);
    way.candidate = null;
    way.confirmedMs = nowMs;
    way.nextConfirmMs = nowMs + CONFIRM_AT_MS;
    this.#deadlineMs = Math.min(this.#deadlineMs, way.nextConfirmMs);
    if (!changed) return;
    way.changedMs = nowMs;
    this.#environment.datapath.setNextServer(way.ringKey, locator);
    this.#renew(way);
  }

  /** Back to the first-hop server, asking for a new CACHE. */
  #dropServer(way: Way): void {
    if (way.server === null) return;
    this.#clear(way);
    this.#renew(way);
  }

  #clear(way: Way): void {
    if (way.server !== null) this.#environment.datapath.setNextServer(way.ringKey, null);
    this.#setServer(way, null);
    way.candidate = null;
    way.nextConfirmMs = Infinity;
  }

  /** New nonces: whoever saw the old ones can no longer answer for a server. */
  #renew(way: Way): void {
    for (const path of way.paths) {
      path.nonce = this.#environment.randomBytes(NONCE_BYTES);
      this.#emit({ kind: "path-changed", id: path.id });
    }
  }

  /** Asks a witness. */
  #confirm(nowMs: number, way: Way, besides: readonly Locator[]): void {
    way.askedMs = nowMs;
    if (way.server !== null) way.nextConfirmMs = nowMs + CONFIRM_RETRY_MS;
    this.#questions.ask(nowMs, way, way.ringKey, besides);
  }

  #located(nowMs: number, from: Locator, nonce: Uint8Array, message: Extract<ControlMessage, { type: "LOCATED" }>): boolean {
    const answer = this.#questions.answer(nowMs, from, nonce, message);
    if (answer === null) return false;
    const { asker: way, server, isDisputed } = answer;
    if (!isDisputed) this.#candidate(nowMs, way, server);
    else {
      way.disputedUntilMs = nowMs + DISPUTE_MS;
      way.candidate = null;
      this.#dropServer(way);
    }
    return true;
  }
}

function hasNonce(way: Way, nonce: Uint8Array): boolean {
  for (const path of way.paths) if (sameBytes(path.nonce, nonce)) return true;
  return false;
}

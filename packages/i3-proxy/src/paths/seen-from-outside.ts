/**
 * Where servers see this host, from each of its places: what it tells peers of itself (docs/wire.md §9.7), and what keeps its NATs' mappings. PING and PONG of docs/wire.md §4,
 * with nonces of our own; only while some association may go past i3.
 */
import { bytesKey, dropOldest, encodeControl, NONCE_BYTES, Pace, sameLocator, type ControlMessage, type Locator } from "@i3/common";
import type { Datapath } from "@i3/datapath";
import type { PathPlace } from "@i3/hip";

import { viaPlace } from "./association-paths.js";
import type { OwnLocators } from "./own-locators.js";

// Ours:
/** NATs forget after 30 s at the earliest in practice. */
const ASK_EVERY_MS = 20_000;
/** Without an answer. */
const ASK_AGAIN_MS = 1_000;
const TRIES = 4;
/** Two: a NAT that gives each another port shows itself, and so does who lies. */
const SERVERS = 2;
/** While these say different addresses. */
const SERVERS_DISPUTED = 4;
const MAX_ASKED = 64;
/** An answer that comes later is none. */
const MAX_ANSWER_MS = 5_000;
/** Rounds for servers that contradict each other, and words of news to peers: at once a few times, then so often. Who takes turns would be asked at the speed of the way. */
const DISPUTE_EVERY_MS = 1_000;
const DISPUTES_AT_ONCE = 2;
const NEWS_EVERY_MS = 200;
const NEWS_AT_ONCE = 4;

export interface SeenFromOutsideEnvironment {
  readonly datapath: Pick<Datapath, "send">;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly own: OwnLocators;
  /** Living servers, the best first. */
  readonly servers: () => readonly Locator[];
  /** Whether anybody wants to know. */
  readonly isWanted: () => boolean;
  /** {@link OwnLocators.locators} are others than before. */
  readonly onNews: (nowMs: number) => void;
}

interface Asked {
  readonly place: PathPlace;
  readonly server: Locator;
  readonly atMs: number;
}

export class SeenFromOutside {
  readonly #env: SeenFromOutsideEnvironment;
  /** By nonce; the oldest first. */
  readonly #asked = new Map<string, Asked>();
  /** By the place's key: unanswered rounds. */
  readonly #tries = new Map<string, number>();
  #askedMs = 0;
  #nextMs = Infinity;
  readonly #disputes = new Pace(DISPUTE_EVERY_MS, DISPUTES_AT_ONCE);
  readonly #news = new Pace(NEWS_EVERY_MS, NEWS_AT_ONCE);

  constructor(environment: SeenFromOutsideEnvironment) {
    this.#env = environment;
  }

  /** Somebody wants to know, or something has changed. */
  look(nowMs: number): void {
    this.#tries.clear();
    this.#nextMs = nowMs;
  }

  handleTimer(nowMs: number): void {
    if (this.#news.take(nowMs)) this.#env.onNews(nowMs);
    if (this.#disputes.take(nowMs)) this.#nextMs = nowMs;
    if (nowMs < this.#nextMs) return;
    this.#nextMs = Infinity;
    if (!this.#env.isWanted()) return;
    this.#askedMs = nowMs;
    const servers = this.#env.servers();
    for (const place of this.#env.own.places) {
      const ofFamily = servers.filter(({ address }) => address.length === (place.family === 4 ? 4 : 16)).slice(0, this.#env.own.isDisputed(place.key) ? SERVERS_DISPUTED : SERVERS);
      for (const server of ofFamily) this.#ask(nowMs, place, server);
      if (ofFamily.length > 0) this.#tries.set(place.key, (this.#tries.get(place.key) ?? 0) + 1);
    }
    this.#nextMs = nowMs + (this.#isWaiting() || servers.length === 0 ? ASK_AGAIN_MS : ASK_EVERY_MS);
  }

  #isWaiting(): boolean {
    return [...this.#tries.values()].some((tries) => tries > 0 && tries < TRIES);
  }

  nextDeadlineMs(): number {
    return Math.min(this.#nextMs, this.#disputes.dueMs(), this.#news.dueMs());
  }

  /** PONG; false when it answers nothing of ours. */
  handle(nowMs: number, from: Locator, nonce: Uint8Array, message: ControlMessage): boolean {
    if (message.type !== "PONG") return false;
    const key = bytesKey(nonce);
    const asked = this.#asked.get(key);
    if (asked === undefined || !sameLocator(asked.server, from)) return false;
    this.#asked.delete(key);
    if (nowMs > asked.atMs + MAX_ANSWER_MS) return true;
    this.#tries.set(asked.place.key, 0);
    if (this.#nextMs > nowMs && !this.#isWaiting()) this.#nextMs = this.#askedMs + ASK_EVERY_MS;
    const { own } = this.#env;
    const wasDisputed = own.isDisputed(asked.place.key);
    if (own.observed(nowMs, asked.place.key, asked.server, message.observed)) this.#news.wish();
    if (this.#news.take(nowMs)) this.#env.onNews(nowMs);
    // A NAT has another address, or somebody lies: at once, so that a move is known within a round trip.
    if (!wasDisputed && own.isDisputed(asked.place.key)) this.#disputes.wish();
    return true;
  }

  #ask(nowMs: number, place: PathPlace, server: Locator): void {
    const nonce = this.#env.randomBytes(NONCE_BYTES);
    this.#asked.set(bytesKey(nonce), { place, server, atMs: nowMs });
    dropOldest(this.#asked, MAX_ASKED);
    this.#env.datapath.send([{ locator: viaPlace(server, place), bytes: encodeControl({ type: "PING" }, nonce), isStraight: true }]);
  }
}

/**
 * The paths of one association past i3 (docs/wire.md §9.7; RFC 8046, MOBIKE-X): which there are, which of them carry packets, and the one to use. Each end chooses its own
 * place; where the other one is, the other one says, by the packets that it sends. Whatever happens here, there is i3: `relay`.
 *
 * Without I/O. After every call: `choice`, and the timer for `dueMs`.
 */
import { CHECK_FLAG, locatorKey, sameLocator, TokenBucket, type DecodedControl, type Locator } from "@i3/common";

import type { CheckShare } from "./check-budget.js";
import { checkNonce, isGenuine, isShort, numberOf, sealPathMessage, type PathKeys, type PathMessage } from "./check-message.js";
import { COPIES_BURST, COPIES_PER_SECOND, CREDIT_EVERY_MS, ELSEWHERE_EVERY_MS, MAX_CREDIT_BYTES, MAX_PATHS, MAX_PEER_LOCATORS, MAX_PLACES, MAX_SEEN_LOCATORS, NEARER_BY_MS, NEARER_FACTOR } from "./constants.js";
import { leadsTo, Path, type PathPlace, type PathUse } from "./path.js";

export interface PathSetEnvironment {
  readonly random: (bytes: number) => Uint8Array;
  readonly keys: PathKeys;
  /** The peer's inbound SPI now. */
  readonly peerSpi: () => number;
  /** Null: whichever place the system chooses. */
  readonly send: (place: PathPlace | null, to: Locator, bytes: Uint8Array, /** Nobody may cut it. */ isWhole: boolean) => void;
  readonly budget: CheckShare;
  /** Whether one host may have this address, and packets to it leave this host: not loopback, multicast, the overlay's own range. */
  readonly isPlausible: (locator: Locator) => boolean;
  /** Authentic bytes of the peer in all. */
  readonly heardBytes: () => number;
  /** Bytes to the peer in all. */
  readonly sentBytes: () => number;
  /** The longest packet, with IP's header, that anybody would send to it. */
  readonly mostBytes: (family: 4 | 6) => number;
}

/** What the peer says of a place of its own. */
export interface PeerPlace {
  readonly locator: Locator;
  /** Whole number; the least is used first by it. Locators of one of its interfaces have the same. */
  readonly rank: number;
}

export type PathChoice =
  | { readonly kind: "relay" }
  | {
      readonly kind: "straight";
      readonly place: PathPlace;
      readonly locator: Locator;
      /** Null: the peer has answered there. Otherwise no more than this may go there, and then the relay's way. */
      readonly creditBytes: number | null;
      /** The longest packet, with IP's header, that it takes whole; null: not known yet, packets may be cut on the way. */
      readonly mtu: number | null;
    };

/** `carrying`: packets go now. `warm`: they did lately. */
export type PathActivity = "carrying" | "warm" | "idle";

export interface PathCounters {
  /** Checks that were sent. */
  checks: number;
  /** Messages with a wrong MAC, too short or too old, copies beyond what is answered, answers to nothing or too late, and locators that cannot be. */
  refused: number;
  /** Times that another path was chosen. */
  changes: number;
  /** Paths that ceased to answer. */
  died: number;
  /** Checks that were padded to ask whether a path takes so many bytes. */
  probes: number;
}

/** Older ones by so many get no answer: somebody has kept them. */
const LATE_CHECKS = 64;
/** Where the peer was seen first so lately it is, whatever it has taken back: its word may have been longer on its way. */
const FRESH_MS = 2_000;
/** Of IP and UDP. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;
/** Over i3. */
export const RELAY: PathChoice = Object.freeze({ kind: "relay" });

export class PathSet {
  readonly counters: PathCounters = { checks: 0, refused: 0, changes: 0, died: 0, probes: 0 };
  readonly #env: PathSetEnvironment;
  readonly #paths = new Map<string, Path>();
  #places: readonly PathPlace[] = [];
  /** By its word. */
  #said: readonly PeerPlace[] = [];
  /** As its packets came, the newest first. */
  #seen: Locator[] = [];
  /** Where its data comes from. */
  #peerAt: Locator | null = null;
  /** Since when. */
  #peerAtMs = -Infinity;
  /** Where it was seen since, too soon to follow. */
  #peerNext: Locator | null = null;
  #peerNumber = -1;
  /** Numbers of the CHECKs that were answered last, each at its rest by the length of this. */
  readonly #answeredNumbers = new Array<number>(LATE_CHECKS + 1).fill(-1);
  /** Answers to copies. */
  readonly #copies = new TokenBucket(COPIES_PER_SECOND, COPIES_BURST);
  #number = 0;
  #activity: PathActivity = "idle";
  #choice: PathChoice = RELAY;
  #inUse: Path | null = null;
  /** Where the peer was when our place went, until there is a path again. */
  #leftFor: Locator | null = null;
  #creditMs = -Infinity;
  #creditedBytes: number;

  constructor(environment: PathSetEnvironment) {
    this.#env = environment;
    this.#creditedBytes = environment.heardBytes();
  }

  /** Another object when it is another one. */
  get choice(): PathChoice {
    return this.#choice;
  }

  get dueMs(): number {
    let dueMs = Infinity;
    for (const path of this.#paths.values()) dueMs = Math.min(dueMs, path.dueMs(this.#useOf(path)));
    return Math.min(dueMs, this.#probed?.mtu.dueMs() ?? Infinity, this.#peerNext === null ? Infinity : this.#peerAtMs + ELSEWHERE_EVERY_MS);
  }

  /** Our places now, those used first first; at most 8. */
  setPlaces(nowMs: number, places: readonly PathPlace[]): void {
    const left = this.#inUse;
    this.#places = places.slice(0, MAX_PLACES);
    this.#renewPaths(nowMs);
    // The peer still sends to where we were: our first checks say that we are here now.
    if (left !== null && !this.#has(left)) this.#leftFor = left.locator;
    this.#settle(nowMs);
  }

  /** What the peer says of itself, the best first; at most 16. When it takes something back it has moved, and what was only seen of it is forgotten too. */
  setPeer(nowMs: number, places: readonly PeerPlace[]): void {
    const plausible = places.filter(({ locator }) => this.#env.isPlausible(locator)).slice(0, MAX_PEER_LOCATORS);
    this.counters.refused += places.length - plausible.length;
    if (!this.#said.every(({ locator }) => rankIn(plausible, locator) !== null)) {
      const isNew = nowMs - this.#peerAtMs < FRESH_MS;
      this.#seen = this.#seen.filter((locator) => isNew && this.#peerAt !== null && sameLocator(locator, this.#peerAt));
      if (!isNew && this.#peerAt !== null && rankIn(plausible, this.#peerAt) === null) this.#peerAt = null;
    }
    const before = this.#said;
    this.#said = plausible;
    this.#renewPaths(nowMs);
    // Where it had only been seen; other new ones have begun.
    for (const path of this.#paths.values()) if (!path.isProven && rankIn(before, path.locator) === null && rankIn(plausible, path.locator) !== null) path.open(nowMs);
    this.#settle(nowMs);
  }

  /** The network lets more through than before: what is not proven is looked for as in the beginning. */
  lookAgain(nowMs: number): void {
    for (const path of this.#paths.values()) if (!path.isProven) path.open(nowMs);
    this.#settle(nowMs);
  }

  setActivity(nowMs: number, activity: PathActivity): void {
    if (activity === this.#activity) return;
    if (this.#activity === "idle") for (const path of this.#paths.values()) path.open(nowMs);
    this.#activity = activity;
    if (activity === "idle") for (const path of this.#paths.values()) path.forgetAsked();
    this.#settle(nowMs);
  }

  /** An authentic packet, the newest of the peer, came from there. */
  heardFrom(nowMs: number, from: Locator): void {
    this.#peerNext = null;
    if (this.#peerAt !== null && sameLocator(this.#peerAt, from)) return;
    if (!this.#env.isPlausible(from)) return void (this.counters.refused += 1);
    this.#peerNext = from;
    this.#settle(nowMs);
  }

  /** Follows the peer: at once when packets do not get to it, else no more often than {@link ELSEWHERE_EVERY_MS}. */
  #follow(nowMs: number): void {
    const next = this.#peerNext;
    const works = this.#inUse?.isProven === true && this.#has(this.#inUse);
    if (next === null || (works && nowMs < this.#peerAtMs + ELSEWHERE_EVERY_MS)) return;
    this.#peerNext = null;
    this.#peerAt = next;
    this.#peerAtMs = nowMs;
    this.#see(nowMs, next);
  }

  /** The system refuses what is sent to a locator. */
  failed(nowMs: number, to: Locator): void {
    const path = this.#inUse;
    if (path === null || !sameLocator(path.locator, to)) return;
    path.fail(nowMs);
    this.counters.died += 1;
    this.#settle(nowMs);
  }

  /** The interface refuses packets as long as those that went to a locator. */
  tooBig(nowMs: number, to: Locator): void {
    if (this.#inUse === null || !sameLocator(this.#inUse.locator, to)) return;
    this.#inUse.mtu.restart();
    this.#settle(nowMs);
  }

  /** CHECK or CHECKED with an SPI of this association. */
  handle(nowMs: number, from: Locator, { nonce, mac }: Pick<DecodedControl, "nonce" | "mac">, message: PathMessage): void {
    const number = numberOf(nonce);
    const isRefused = message.type === "CHECK" && (number < this.#peerNumber - LATE_CHECKS || isShort(mac));
    if (isRefused || !isGenuine(this.#env.keys.in, mac)) return void (this.counters.refused += 1);
    if (message.type === "CHECKED") return this.#answered(nowMs, nonce);
    if (this.#isCopy(number) && !this.#copies.take(nowMs)) return void (this.counters.refused += 1);
    this.#env.send(this.#placeFor(from), from, sealPathMessage(this.#env.keys.out, { type: "CHECKED", spi: this.#env.peerSpi(), observed: from }, nonce), false);
    if (number <= this.#peerNumber) return;
    this.#peerNumber = number;
    if ((message.flags & CHECK_FLAG.inUse) !== 0) this.heardFrom(nowMs, from);
    else if (this.#env.isPlausible(from)) this.#see(nowMs, from);
  }

  /** Whether a CHECK of that number was here before; from now on it was. */
  #isCopy(number: number): boolean {
    const at = number % this.#answeredNumbers.length;
    if (this.#answeredNumbers[at] === number) return true;
    this.#answeredNumbers[at] = number;
    return false;
  }

  /** It is needed no more. */
  wipe(): void {
    this.#env.keys.in.fill(0);
    this.#env.keys.out.fill(0);
  }

  handleTimer(nowMs: number): void {
    for (const path of this.#paths.values()) {
      const use = this.#useOf(path);
      if (path.expire(nowMs, use) && use !== "idle") this.counters.died += 1;
    }
    this.#settle(nowMs);
    for (const path of this.#paths.values()) if (path.isDue(nowMs, this.#useOf(path))) this.#check(nowMs, path);
    this.#probe(nowMs);
  }

  /** Whose length is looked for. */
  get #probed(): Path | null {
    return this.#activity === "carrying" && this.#inUse?.isProven === true ? this.#inUse : null;
  }

  #probe(nowMs: number): void {
    const path = this.#probed;
    if (path === null) return;
    const bytes = path.mtu.next(nowMs, { rttMs: path.rttMs, answeredMs: path.answeredMs, sentBytes: this.#env.sentBytes() });
    if (bytes !== null) {
      const nonce = this.#nonce();
      path.mtu.sent(nowMs, nonce, bytes, path);
      this.counters.probes += 1;
      this.#say(path, nonce, bytes - HEADER_BYTES[path.place.family]);
    }
    this.#settle(nowMs);
  }

  /** Where our packets go from; the system may choose an interface that is dead. */
  #placeFor(to: Locator): PathPlace | null {
    return this.#inUse !== null && leadsTo(this.#inUse.place, to) ? this.#inUse.place : null;
  }

  #answered(nowMs: number, nonce: Uint8Array): void {
    for (const path of this.#paths.values()) if (path.answered(nowMs, nonce) || path.mtu.answered(nowMs, nonce, this.#env.sentBytes())) return this.#settle(nowMs);
    this.counters.refused += 1;
  }

  /** The peer sends from there, so it may be reached there. */
  #see(nowMs: number, from: Locator): void {
    if (rankIn(this.#said, from) === null) {
      // The one that carries packets stays, however many others there are.
      const used = this.#seen.filter((locator) => this.#inUse !== null && sameLocator(locator, this.#inUse.locator) && !sameLocator(locator, from));
      const others = this.#seen.filter((locator) => !used.includes(locator) && !sameLocator(locator, from));
      this.#seen = [from, ...used, ...others].slice(0, MAX_SEEN_LOCATORS);
      this.#renewPaths(nowMs);
    }
    for (const path of this.#paths.values()) if (!path.isProven && sameLocator(path.locator, from)) path.open(nowMs);
  }

  #check(nowMs: number, path: Path): void {
    if (!path.isProven && !this.#env.budget.take(nowMs, path.locator.address)) return path.putOff(nowMs);
    const nonce = this.#nonce();
    path.sent(nowMs, nonce);
    this.counters.checks += 1;
    this.#say(path, nonce, 0);
  }

  #nonce(): Uint8Array {
    const nonce = checkNonce(this.#number, this.#env.random);
    this.#number = (this.#number + 1) >>> 0;
    return nonce;
  }

  /** @param least bytes; one that is padded may not be cut */
  #say(path: Path, nonce: Uint8Array, least: number): void {
    const isLed = path === this.#inUse || (this.#leftFor !== null && sameLocator(this.#leftFor, path.locator));
    const flags = isLed ? CHECK_FLAG.inUse : 0;
    this.#env.send(path.place, path.locator, sealPathMessage(this.#env.keys.out, { type: "CHECK", spi: this.#env.peerSpi(), flags }, nonce, least), least > 0);
  }

  #useOf(path: Path): PathUse {
    if (this.#activity === "idle") return "idle";
    if (path === this.#inUse) return this.#activity;
    if (this.#activity === "carrying") return "standby";
    // Of one that is not proven: it is looked for.
    return path.isProven ? "idle" : "standby";
  }

  /** One for each place of ours and locator of the peer of the same family; those that stay keep what is known of them. */
  #renewPaths(nowMs: number): void {
    const wanted = new Map<string, readonly [PathPlace, Locator]>();
    for (const locator of [...this.#said.map((place) => place.locator), ...this.#seen]) {
      for (const place of this.#places) if (leadsTo(place, locator) && wanted.size < MAX_PATHS) wanted.set(keyOf(place, locator), [place, locator]);
    }
    for (const key of this.#paths.keys()) if (!wanted.has(key)) this.#paths.delete(key);
    for (const [key, [place, locator]] of wanted) {
      const path = this.#paths.get(key);
      if (path === undefined) this.#paths.set(key, new Path(nowMs, place, locator, this.#env.mostBytes(place.family)));
      else path.place = place;
    }
  }

  #settle(nowMs: number): void {
    this.#follow(nowMs);
    const best = this.#activity === "idle" ? null : this.#best();
    const creditBytes = best === null || best.isProven ? null : this.#credit(nowMs, best);
    const path = best !== null && !best.isProven && creditBytes === null ? this.#bestProven() : best;
    const now = this.#choice;
    const mtu = path?.isProven === true && path.mtu.isSettled ? path.mtu.bytes : null;
    const isSame = path === null ? now.kind === "relay" : now.kind === "straight" && this.#inUse === path && (now.creditBytes === null) === path.isProven;
    this.#inUse = path;
    if (path !== null) this.#leftFor = null;
    if (isSame) {
      if (now.kind === "straight" && now.mtu !== mtu) this.#choice = Object.freeze({ ...now, mtu });
      return;
    }
    if (path === null) this.#choice = RELAY;
    else {
      this.#choice = Object.freeze({ kind: "straight", place: path.place, locator: path.locator, creditBytes: path.isProven ? null : creditBytes, mtu });
      // The peer hears of it at once, and answers.
      path.open(nowMs);
      path.mtu.doubt();
    }
    this.counters.changes += 1;
  }

  /** The path to where the peer is, or else the best one that is proven. */
  #best(): Path | null {
    const proven = this.#bestProven();
    const peerAt = this.#peerAt;
    if (peerAt === null || (proven !== null && this.#isWherePeerIs(proven.locator))) return proven;
    const there = [...this.#paths.values()].filter(({ locator }) => sameLocator(locator, peerAt));
    return there.find(({ isProven }) => isProven) ?? there.find(({ isResting }) => !isResting) ?? proven;
  }

  #has(path: Path): boolean {
    return this.#paths.get(keyOf(path.place, path.locator)) === path;
  }

  /** By our preference of places, then where the peer is, then the round trip; the one in use stays unless another is clearly nearer. */
  #bestProven(): Path | null {
    let best: Path | null = this.#inUse?.isProven === true && this.#has(this.#inUse) ? this.#inUse : null;
    for (const path of this.#paths.values()) {
      if (path.isProven && (best === null || this.#isBetter(path, best))) best = path;
    }
    return best;
  }

  #isBetter(path: Path, than: Path): boolean {
    if (path.place.rank !== than.place.rank) return path.place.rank < than.place.rank;
    const [isThere, wasThere] = [path, than].map(({ locator }) => this.#isWherePeerIs(locator));
    if (isThere !== wasThere) return isThere === true;
    return path.rttMs < than.rttMs * NEARER_FACTOR && path.rttMs < than.rttMs - NEARER_BY_MS;
  }

  /** At the interface that the peer's data comes from, as far as it can be told. */
  #isWherePeerIs(locator: Locator): boolean {
    if (this.#peerAt === null || sameLocator(this.#peerAt, locator)) return true;
    const rank = rankIn(this.#said, this.#peerAt);
    return rank !== null && rank === rankIn(this.#said, locator);
  }

  /** Null: none now. */
  #credit(nowMs: number, path: Path): number | null {
    if (this.#choice.kind === "straight" && this.#inUse === path) return this.#choice.creditBytes;
    if (nowMs - this.#creditMs < CREDIT_EVERY_MS) return null;
    const heardBytes = this.#env.heardBytes();
    const bytes = Math.min(MAX_CREDIT_BYTES, heardBytes - this.#creditedBytes);
    if (bytes <= 0) return null;
    this.#creditMs = nowMs;
    this.#creditedBytes = heardBytes;
    return bytes;
  }
}

const keyOf = (place: PathPlace, locator: Locator): string => `${place.key} ${locatorKey(locator)}`;
const rankIn = (places: readonly PeerPlace[], wanted: Locator): number | null => places.find(({ locator }) => sameLocator(locator, wanted))?.rank ?? null;

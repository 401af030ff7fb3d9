/**
 * The sender's side of shortcuts (docs/wire.md §5.1; paper §5.2): past i3 to the receiver, when both ends allow it. For each id
 *
 *     ask the responsible server ──SHORTCUT──► PROVE, to the address that it names ──PROOF──► in use: PROBE each 400 ms, ask again after 20 s
 *          ▲     └─CACHE: no. Later again         └─no answer: not there for a minute          │
 *          └───────────────────────────────────── no PROBED, another token, NOT_PRESENT, CACHE, 30 s without SHORTCUT
 *
 * and whenever none is in use packets go over i3. What asks is a packet of our own without payload, so that the programs' packets stay as they are.
 */
import {
  bytesKey, concatBytes, NONCE_BYTES, ringKey, sameBytes, sameLocator, type ControlMessage, type Locator, type ProofMessage,
} from "@i3/common";
import { DATA_FLAG, dataHeaderBytes, encodeDataHeader, HOP_LIMIT, PAYLOAD_KIND } from "@i3/datapath";
import { verifyShortcut } from "@i3/hip";

import type { ClientEnvironment, ClientEvent } from "./environment.js";
import { isPlausible } from "./named-places.js";
import { Questions } from "./questions.js";
import { ShortcutTargets } from "./shortcut-targets.js";

// As of cache entries (§5):
const LIFE_MS = 30_000;
const CONFIRM_AT_MS = 20_000;
// Ours:
const RETRY_MS = 1_000;
/** To another server than the last: longer than the 100 ms in which one of them answers once. */
const FOLLOW_MS = 250;
const ASK_TRIES = 3;
const ASK_AGAIN_MS = 10_000;
const PROVE_EVERY_MS = 500;
const PROVE_TRIES = 3;
/** Of one check: each costs a check of a signature. */
const MAX_WRONG_PROOFS = 4;
const PROBE_EVERY_MS = 400;
const PROBE_WAIT = { roundTrips: 1.5, minMs: 140, maxMs: 1_500 } as const;
const PROBE_MISSES = 6;
/** No answer is longer: SHORTCUT over IPv6 71 bytes, CACHE 78. */
const ASK_BYTES = 96;
/** Ids with shortcuts, or for which one is looked for; of others packets stay on i3. */
const MAX_WISHES = 256;

interface Wish {
  readonly id: Uint8Array;
  /** The sender allows it now. */
  isAllowed: boolean;
  /** Packets go to the id. */
  isActive: boolean;
  asked: { readonly nonce: string; readonly to: Locator } | null;
  askedMs: number;
  /** Without an answer. */
  tries: number;
  nextAskMs: number;
  check: Check | null;
  shortcut: Shortcut | null;
}

/** Whether the host at an address holds the id. */
interface Check {
  readonly wish: Wish;
  readonly target: Locator;
  tries: number;
  wrongProofs: number;
  sentMs: number;
}

interface Shortcut {
  readonly wish: Wish;
  readonly target: Locator;
  readonly token: Uint8Array;
  /** Until when the server's word holds. */
  untilMs: number;
  rttMs: number;
  misses: number;
  sentMs: number;
  isWaiting: boolean;
}

export interface ShortcutOwner {
  emit(event: ClientEvent): void;
  firstHop(): Locator | null;
  /** The server that packets to an id go to; null: the first hop. */
  serverOf(id: Uint8Array): Locator | null;
  /** A server that we send to says which one is responsible for an id. */
  named(nowMs: number, id: Uint8Array, server: Locator): void;
  /** A told address was not taken: it cannot be one host's, or nobody there has proven to hold the id. */
  onFailed(): void;
}

export class Shortcuts {
  readonly #environment: ClientEnvironment;
  readonly #owner: ShortcutOwner;
  readonly #wishes = new Map<string, Wish>();
  readonly #asked = new Map<string, Wish>();
  readonly #proofs: Questions<Check>;
  readonly #probes: Questions<Shortcut>;
  readonly #targets = new ShortcutTargets();
  /** Not later than the first deadline; found anew when it has passed. */
  #deadlineMs = Infinity;

  constructor(environment: ClientEnvironment, owner: ShortcutOwner) {
    this.#environment = environment;
    this.#owner = owner;
    this.#proofs = new Questions(environment);
    this.#probes = new Questions(environment);
  }

  /** Whether the sender allows a shortcut for an id; at most 256 ids at a time. */
  allow(id: Uint8Array, isAllowed: boolean): void {
    const key = bytesKey(id);
    const old = this.#wishes.get(key);
    if (old === undefined) {
      if (!isAllowed || this.#wishes.size >= MAX_WISHES) return;
      this.#wishes.set(key, { id: id.slice(), isAllowed, isActive: true, asked: null, askedMs: -Infinity, tries: 0, nextAskMs: 0, check: null, shortcut: null });
      this.#deadlineMs = 0;
    } else if (old.isAllowed !== isAllowed) {
      old.isAllowed = isAllowed;
      this.#restart(old);
    }
  }

  setActive(id: Uint8Array, isActive: boolean): void {
    const wish = this.#wishes.get(bytesKey(id));
    if (wish === undefined || wish.isActive === isActive) return;
    wish.isActive = isActive;
    this.#restart(wish);
  }

  close(id: Uint8Array): void {
    const wish = this.#wishes.get(bytesKey(id));
    if (wish === undefined) return;
    this.#stop(wish);
    this.#wishes.delete(bytesKey(id));
  }

  /** Our address may have changed: what the receivers know of us is of the old one. */
  moved(): void {
    for (const wish of this.#wishes.values()) this.#restart(wish);
  }

  /** Nobody has a trigger at this id. */
  notPresent(id: Uint8Array): void {
    const wish = this.#wishes.get(bytesKey(id));
    if (wish !== undefined && wish.shortcut !== null) this.#restart(wish);
  }

  /** Packets to this id go to another server now: one that may know. */
  pathChanged(id: Uint8Array): void {
    const wish = this.#wishes.get(bytesKey(id));
    if (wish !== undefined && isWanted(wish) && wish.shortcut === null && wish.check === null) this.#wait(wish, Math.min(wish.nextAskMs, Math.max(0, wish.askedMs + FOLLOW_MS)));
  }

  /** Whether we ask the servers about this id. */
  asksFor(id: Uint8Array): boolean {
    const wish = this.#wishes.size === 0 ? undefined : this.#wishes.get(bytesKey(id));
    return wish !== undefined && isWanted(wish);
  }

  /** Where packets to an id may go straight. */
  targetOf(id: Uint8Array): Locator | null {
    return this.#wishes.size === 0 ? null : (this.#wishes.get(bytesKey(id))?.shortcut?.target ?? null);
  }

  /** Answers to what we asked; false for all else. */
  handle(nowMs: number, from: Locator, nonce: Uint8Array, message: ControlMessage): boolean {
    switch (message.type) {
      case "SHORTCUT": case "CACHE": case "NOT_PRESENT": return this.#answered(nowMs, from, nonce, message);
      case "PROOF": return this.#proven(nowMs, from, nonce, message);
      case "PROBED": return this.#probed(nowMs, from, nonce, message);
      default: return false;
    }
  }

  handleTimer(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return;
    this.#deadlineMs = Infinity;
    for (const wish of this.#wishes.values()) {
      if (wish.shortcut !== null && wish.shortcut.untilMs <= nowMs) this.#end(wish);
      if (wish.shortcut !== null && probeDueMs(wish.shortcut) <= nowMs) this.#probe(nowMs, wish.shortcut);
      if (wish.check !== null && wish.check.sentMs + PROVE_EVERY_MS <= nowMs) this.#prove(nowMs, wish.check);
      if (wish.nextAskMs <= nowMs) this.#ask(nowMs, wish);
      this.#deadlineMs = Math.min(this.#deadlineMs, dueMs(wish));
    }
  }

  nextDeadlineMs(): number {
    return this.#deadlineMs;
  }

  // --- the server --------------------------------------------------------------------------------------------------

  /** A packet to the id that carries nothing, and goes to one receiver at most. */
  #ask(nowMs: number, wish: Wish): void {
    wish.nextAskMs = nowMs + RETRY_MS;
    const to = this.#owner.serverOf(wish.id) ?? this.#owner.firstHop();
    if (to === null) return;
    wish.tries += 1;
    if (wish.shortcut === null && wish.tries >= ASK_TRIES) {
      wish.tries = 0;
      wish.nextAskMs = nowMs + ASK_AGAIN_MS;
    }
    this.#forgetAsked(wish);
    const nonce = this.#environment.randomBytes(NONCE_BYTES);
    wish.asked = { nonce: bytesKey(nonce), to };
    wish.askedMs = nowMs;
    this.#asked.set(wish.asked.nonce, wish);
    const header = encodeDataHeader({ flags: DATA_FLAG.cacheRequest | DATA_FLAG.shortcutOk, hopLimit: HOP_LIMIT, copyBudget: 1, payloadKind: PAYLOAD_KIND.nothing, nonce, ids: [wish.id] });
    this.#environment.datapath.send([{ locator: to, bytes: concatBytes(header, new Uint8Array(ASK_BYTES - dataHeaderBytes(1))) }]);
  }

  #answered(nowMs: number, from: Locator, nonce: Uint8Array, message: Extract<ControlMessage, { type: "SHORTCUT" | "CACHE" | "NOT_PRESENT" }>): boolean {
    const wish = this.#asked.get(bytesKey(nonce));
    const about = message.type === "CACHE" ? message.ringKey : message.id;
    // Others see the packet too: only the server that it was sent to answers, and once.
    if (wish === undefined || wish.asked === null || !sameLocator(wish.asked.to, from) || !sameBytes(about, message.type === "CACHE" ? ringKey(wish.id) : wish.id)) return false;
    this.#forgetAsked(wish);
    if (message.type === "SHORTCUT") this.#told(nowMs, wish, message.target, from);
    else if (message.type === "CACHE") this.#notTold(nowMs, wish, message.node.locator, from);
    else {
      this.#wait(wish, nowMs + ASK_AGAIN_MS);
      this.#owner.emit({ kind: "not-present", id: wish.id });
    }
    return true;
  }

  #told(nowMs: number, wish: Wish, target: Locator, server: Locator): void {
    wish.tries = 0;
    const { shortcut, check } = wish;
    if (shortcut !== null && sameLocator(shortcut.target, target)) {
      shortcut.untilMs = nowMs + LIFE_MS;
      return this.#wait(wish, nowMs + CONFIRM_AT_MS);
    }
    if (check !== null && sameLocator(check.target, target)) return this.#wait(wish, nowMs + ASK_AGAIN_MS);
    if (!isPlausible(target, server)) {
      this.#owner.onFailed();
      return this.#wait(wish, nowMs + ASK_AGAIN_MS);
    }
    this.#dropCheck(wish);
    const when = this.#targets.begin(nowMs, target);
    this.#wait(wish, nowMs + (when === "soon" ? RETRY_MS : ASK_AGAIN_MS));
    if (when !== "now") return;
    wish.check = { wish, target, tries: 0, wrongProofs: 0, sentMs: nowMs };
    this.#prove(nowMs, wish.check);
  }

  /** One of the two does not allow it, or there is no one receiver; or another server is the one to ask. */
  #notTold(nowMs: number, wish: Wish, responsible: Locator, server: Locator): void {
    this.#owner.named(nowMs, wish.id, responsible);
    if (!sameLocator(responsible, server)) return; // its PONG is waited for first (pathChanged)
    wish.tries = 0;
    this.#dropCheck(wish);
    this.#end(wish);
    this.#wait(wish, nowMs + ASK_AGAIN_MS);
  }

  #forgetAsked(wish: Wish): void {
    if (wish.asked !== null) this.#asked.delete(wish.asked.nonce);
    wish.asked = null;
  }

  // --- the receiver ------------------------------------------------------------------------------------------------

  #prove(nowMs: number, check: Check): void {
    if (check.tries >= PROVE_TRIES) {
      this.#owner.onFailed();
      this.#targets.fail(nowMs, check.target);
      this.#proofs.drop(check);
      check.wish.check = null;
      return;
    }
    check.tries += 1;
    check.sentMs = nowMs;
    this.#deadlineMs = Math.min(this.#deadlineMs, nowMs + PROVE_EVERY_MS);
    this.#proofs.ask(check, check.target, { type: "PROVE", id: check.wish.id });
  }

  #proven(nowMs: number, from: Locator, nonce: Uint8Array, message: ProofMessage): boolean {
    const check = this.#proofs.askerOf(from, nonce);
    if (check === undefined || !sameBytes(message.id, check.wish.id) || check.wrongProofs >= MAX_WRONG_PROOFS) return false;
    if (!verifyShortcut(message, { nonce, target: check.target }, this.#environment.wallMs())) {
      check.wrongProofs += 1;
      return false;
    }
    const { wish, target, sentMs } = check;
    this.#targets.prove(target);
    this.#dropCheck(wish);
    this.#end(wish);
    wish.shortcut = { wish, target, token: message.token, untilMs: nowMs + LIFE_MS, rttMs: nowMs - sentMs, misses: 0, sentMs: nowMs, isWaiting: false };
    this.#environment.datapath.setKnownSource(target.address, true);
    this.#wait(wish, nowMs + CONFIRM_AT_MS);
    this.#owner.emit({ kind: "shortcut", id: wish.id, target });
    return true;
  }

  #probe(nowMs: number, shortcut: Shortcut): void {
    if (shortcut.isWaiting) shortcut.misses += 1;
    if (shortcut.misses >= PROBE_MISSES) return this.#restart(shortcut.wish);
    shortcut.isWaiting = true;
    shortcut.sentMs = nowMs;
    this.#probes.ask(shortcut, shortcut.target, { type: "PROBE", id: shortcut.wish.id });
  }

  #probed(nowMs: number, from: Locator, nonce: Uint8Array, message: Extract<ControlMessage, { type: "PROBED" }>): boolean {
    const shortcut = this.#probes.askerOf(from, nonce);
    if (shortcut === undefined || !sameBytes(message.id, shortcut.wish.id)) return false;
    if (!sameBytes(message.token, shortcut.token)) {
      // It has moved, or it is another host than the one that has proven itself.
      this.#restart(shortcut.wish);
      return true;
    }
    if (shortcut.isWaiting && shortcut.misses === 0) shortcut.rttMs = shortcut.rttMs * 0.8 + (nowMs - shortcut.sentMs) * 0.2;
    shortcut.isWaiting = false;
    shortcut.misses = 0;
    return true;
  }

  // --- ends --------------------------------------------------------------------------------------------------------

  #wait(wish: Wish, untilMs: number): void {
    wish.nextAskMs = untilMs;
    this.#deadlineMs = Math.min(this.#deadlineMs, dueMs(wish));
  }

  /** Back to i3, and once more from the beginning if it is still wanted. */
  #restart(wish: Wish): void {
    this.#stop(wish);
    wish.tries = 0;
    this.#wait(wish, isWanted(wish) ? Math.max(0, wish.askedMs + RETRY_MS) : Infinity);
  }

  #stop(wish: Wish): void {
    this.#forgetAsked(wish);
    this.#dropCheck(wish);
    this.#end(wish);
  }

  #dropCheck(wish: Wish): void {
    if (wish.check === null) return;
    this.#targets.leave(wish.check.target);
    this.#proofs.drop(wish.check);
    wish.check = null;
  }

  #end(wish: Wish): void {
    if (wish.shortcut === null) return;
    this.#probes.drop(wish.shortcut);
    this.#environment.datapath.setKnownSource(wish.shortcut.target.address, false);
    wish.shortcut = null;
    this.#owner.emit({ kind: "shortcut", id: wish.id, target: null });
  }
}

const isWanted = ({ isAllowed, isActive }: Wish): boolean => isAllowed && isActive;

function probeDueMs({ isWaiting, sentMs, rttMs }: Shortcut): number {
  if (!isWaiting) return sentMs + PROBE_EVERY_MS;
  return sentMs + Math.min(Math.max(rttMs * PROBE_WAIT.roundTrips, PROBE_WAIT.minMs), PROBE_WAIT.maxMs);
}

const dueMs = ({ nextAskMs, check, shortcut }: Wish): number =>
  Math.min(nextAskMs, check === null ? Infinity : check.sentMs + PROVE_EVERY_MS, shortcut === null ? Infinity : Math.min(probeDueMs(shortcut), shortcut.untilMs));

/**
 * Keeps triggers alive (docs/wire.md §4.1): locate the responsible server, prove the own address, insert, refresh, and begin
 * again whenever the server dies, forgets or is no longer responsible. One state machine for each trigger:
 *
 *     locating ──LOCATED──► challenging ──CHALLENGE──► inserting ──TRIGGER_OK──► live ─┐ REFRESH every 5 s
 *         ▲                     │  ▲                      │                      │  ▲──┘
 *         └──── no answer, dead server, not responsible ◄─┴──────────────────────┘
 */
import {
  bytesKey, encodeControl, NONCE_BYTES, REFUSAL, ringKey, sameBytes, sameLocator, TRIGGER_ACTION,
  type ControlMessage, type Locator, type TriggerAction,
} from "@i3/common";
import { REFRESH_CHAIN_LENGTH, refreshChain, signTrigger, type TriggerSigner } from "@i3/hip";

import type { ClientEnvironment, ClientEvent } from "./environment.js";

// Ours. A refresh costs the server one hash, so it is sent more often than the 20 s of the paper: a server that has lost
// responsibility says so in the answer, and the trigger is where it belongs at most this much later.
const REFRESH_MS = 5_000;
const RETRY_MS = 500;
const MAX_RETRY_MS = 4_000;
/** Unanswered requests before the responsible server is asked for again. */
const TRIES_PER_STATE = 3;
const QUOTA_PAUSE_MS = 10_000;
/** A refused old counter means that our clock went back: it is pushed ahead by this much, doubled each time. */
const COUNTER_PUSH_MS = 60_000;

type State = "locating" | "challenging" | "inserting" | "live" | "removing";

interface Kept {
  readonly id: Uint8Array;
  readonly signer: TriggerSigner;
  state: State;
  action: TriggerAction;
  server: { locator: Locator; nodeKey: Uint8Array } | null;
  nonce: string;
  tries: number;
  nextMs: number;
  /** Exists on a server until then, as far as we know; 0 before the first TRIGGER_OK. */
  liveUntilMs: number;
  chain: readonly Uint8Array[];
  refreshIndex: number;
  counter: number;
  pushes: number;
}

export interface TriggerStatus {
  readonly id: Uint8Array;
  readonly live: boolean;
  readonly server: Locator | null;
}

export class TriggerKeeper {
  readonly #environment: ClientEnvironment;
  readonly #emit: (event: ClientEvent) => void;
  readonly #firstHop: () => Locator | null;
  readonly #learn: (locator: Locator) => void;
  readonly #kept = new Map<string, Kept>();
  readonly #byNonce = new Map<string, Kept>();
  #lastCounter = 0;

  constructor(environment: ClientEnvironment, owner: { emit(event: ClientEvent): void; firstHop(): Locator | null; learn(locator: Locator): void }) {
    this.#environment = environment;
    this.#emit = (event) => owner.emit(event);
    this.#firstHop = () => owner.firstHop();
    this.#learn = (locator) => owner.learn(locator);
  }

  /** Inserts a trigger to ourselves and keeps it. An id that is kept already stays. */
  insert(nowMs: number, id: Uint8Array, signer: TriggerSigner): void {
    const key = bytesKey(id);
    const old = this.#kept.get(key);
    if (old !== undefined && old.state !== "removing") return;
    if (old !== undefined) this.#byNonce.delete(old.nonce);
    this.#kept.set(key, {
      id: id.slice(), signer, state: "locating", action: TRIGGER_ACTION.insert, server: null, nonce: "", tries: 0, nextMs: nowMs,
      liveUntilMs: 0, chain: [], refreshIndex: 0, counter: 0, pushes: 0,
    });
  }

  /** Removes it from the ring at once, as far as a server answers within a few seconds. */
  remove(nowMs: number, id: Uint8Array): void {
    const kept = this.#kept.get(bytesKey(id));
    if (kept === undefined) return;
    if (kept.server === null) return this.#forget(kept);
    kept.action = TRIGGER_ACTION.remove;
    this.#enter(nowMs, kept, "removing");
  }

  isNeeded(locator: Locator): boolean {
    for (const kept of this.#kept.values()) if (kept.server !== null && sameLocator(kept.server.locator, locator)) return true;
    return false;
  }

  list(nowMs: number): readonly TriggerStatus[] {
    return [...this.#kept.values()].map((k) => ({ id: k.id, live: k.liveUntilMs > nowMs, server: k.server?.locator ?? null }));
  }

  serverDied(nowMs: number, locator: Locator): void {
    for (const kept of this.#kept.values()) {
      if (kept.server === null || !sameLocator(kept.server.locator, locator)) continue;
      this.#lose(kept, "its server does not answer");
      this.#enter(nowMs, kept, "locating");
    }
  }

  /** Our address may have changed: signed again at once. */
  renewAll(nowMs: number): void {
    for (const kept of this.#kept.values()) if (kept.state === "live") this.#enter(nowMs, kept, kept.server === null ? "locating" : "challenging");
  }

  /** False when nobody asked for it. */
  handle(nowMs: number, from: Locator, nonce: Uint8Array, message: ControlMessage): boolean {
    const kept = this.#byNonce.get(bytesKey(nonce));
    if (kept === undefined) return false;
    switch (message.type) {
      case "LOCATED": return this.#located(nowMs, kept, message);
      case "CHALLENGE": return this.#challenged(nowMs, kept, from, message);
      case "TRIGGER_OK": return this.#acknowledged(nowMs, kept, from, message);
      case "REFUSED": return this.#refused(nowMs, kept, from, message.code);
      default: return false;
    }
  }

  handleTimer(nowMs: number): void {
    for (const kept of this.#kept.values()) if (kept.nextMs <= nowMs) this.#act(nowMs, kept);
  }

  nextDeadlineMs(): number {
    let deadline = Infinity;
    for (const kept of this.#kept.values()) deadline = Math.min(deadline, kept.nextMs);
    return deadline;
  }

  #located(nowMs: number, kept: Kept, message: Extract<ControlMessage, { type: "LOCATED" }>): boolean {
    if (kept.state !== "locating" || !sameBytes(message.ringKey, ringKey(kept.id))) return false;
    kept.server = { locator: message.node.locator, nodeKey: message.node.key };
    this.#learn(message.node.locator);
    this.#enter(nowMs, kept, "challenging");
    this.#act(nowMs, kept);
    return true;
  }

  #challenged(nowMs: number, kept: Kept, from: Locator, message: Extract<ControlMessage, { type: "CHALLENGE" }>): boolean {
    if (kept.server === null || kept.state === "locating" || !this.#isFromServer(kept, from)) return false;
    kept.server = { locator: kept.server.locator, nodeKey: message.nodeKey };
    if (kept.state !== "removing") this.#enter(nowMs, kept, "inserting");
    kept.chain = refreshChain(this.#environment.randomBytes(16));
    kept.refreshIndex = 0;
    kept.counter = this.#nextCounter(kept);
    const commitment = kept.chain[REFRESH_CHAIN_LENGTH] as Uint8Array;
    const trigger = { action: kept.action, id: kept.id, target: message.observed, flags: 0, counter: kept.counter, commitment, cookie: message.cookie };
    kept.nextMs = nowMs + RETRY_MS;
    this.#send(kept, kept.server.locator, signTrigger(kept.signer, trigger, message.nodeKey));
    return true;
  }

  #acknowledged(nowMs: number, kept: Kept, from: Locator, message: Extract<ControlMessage, { type: "TRIGGER_OK" }>): boolean {
    if (!this.#isFromServer(kept, from) || message.action !== kept.action || !sameBytes(message.id, kept.id)) return false;
    if (kept.state === "removing") {
      this.#forget(kept);
      return true;
    }
    if (kept.state !== "inserting" && kept.state !== "live") return false;
    const isNew = kept.liveUntilMs === 0;
    kept.liveUntilMs = nowMs + message.lifeMs;
    kept.pushes = 0;
    this.#enter(nowMs, kept, "live");
    kept.nextMs = nowMs + Math.min(REFRESH_MS, message.lifeMs / 3);
    if (isNew) this.#emit({ kind: "trigger-live", id: kept.id, server: from });
    return true;
  }

  #refused(nowMs: number, kept: Kept, from: Locator, code: number): boolean {
    if (kept.state === "locating" || !this.#isFromServer(kept, from)) return false;
    if (code === REFUSAL.notResponsible) this.#enter(nowMs, kept, "locating");
    else if (code === REFUSAL.badCookie || code === REFUSAL.notYourAddress) this.#enter(nowMs, kept, kept.state === "removing" ? "removing" : "challenging");
    else if (code === REFUSAL.oldCounter) {
      kept.pushes += 1;
      this.#enter(nowMs, kept, kept.state === "removing" ? "removing" : "challenging");
    } else {
      this.#emit({ kind: "trigger-refused", id: kept.id, code });
      if (kept.state === "removing") this.#forget(kept);
      else {
        this.#enter(nowMs, kept, "locating");
        kept.nextMs = nowMs + QUOTA_PAUSE_MS;
      }
    }
    return true;
  }

  /** Sends what the state asks for; after a few tries in vain, the responsible server is located anew. */
  #act(nowMs: number, kept: Kept): void {
    if (kept.liveUntilMs !== 0 && kept.liveUntilMs <= nowMs) this.#lose(kept, "not acknowledged for its whole life");
    if (kept.tries >= TRIES_PER_STATE && kept.state !== "locating") {
      if (kept.state === "removing") return this.#forget(kept);
      this.#enter(nowMs, kept, "locating");
    }
    kept.tries += 1;
    kept.nextMs = nowMs + Math.min(RETRY_MS * 2 ** Math.max(0, kept.tries - TRIES_PER_STATE), MAX_RETRY_MS);
    if (kept.state === "locating") {
      const firstHop = this.#firstHop();
      if (firstHop !== null) this.#send(kept, firstHop, { type: "LOCATE", ringKey: ringKey(kept.id) });
    } else if (kept.server !== null) {
      this.#send(kept, kept.server.locator, this.#requestOf(nowMs, kept));
    }
  }

  /** A refresh while one can count, otherwise a new challenge. */
  #requestOf(nowMs: number, kept: Kept): ControlMessage {
    const canRefresh = kept.state === "live" && kept.liveUntilMs > nowMs && kept.refreshIndex < REFRESH_CHAIN_LENGTH;
    if (!canRefresh) return { type: "CHALLENGE_REQUEST", ringKey: ringKey(kept.id) };
    kept.refreshIndex += 1;
    const token = kept.chain[REFRESH_CHAIN_LENGTH - kept.refreshIndex] as Uint8Array;
    return { type: "REFRESH", id: kept.id, index: kept.refreshIndex, token };
  }

  #enter(nowMs: number, kept: Kept, state: State): void {
    kept.state = state;
    kept.tries = 0;
    kept.nextMs = nowMs;
    if (state === "locating") kept.server = null;
  }

  #send(kept: Kept, locator: Locator, message: ControlMessage): void {
    const nonce = this.#environment.randomBytes(NONCE_BYTES);
    this.#byNonce.delete(kept.nonce);
    kept.nonce = bytesKey(nonce);
    this.#byNonce.set(kept.nonce, kept);
    this.#environment.datapath.send([{ locator, bytes: encodeControl(message, nonce) }]);
  }

  #isFromServer(kept: Kept, from: Locator): boolean {
    return kept.server !== null && sameLocator(kept.server.locator, from);
  }

  #lose(kept: Kept, why: string): void {
    if (kept.liveUntilMs !== 0) this.#emit({ kind: "trigger-lost", id: kept.id, why });
    kept.liveUntilMs = 0;
  }

  #forget(kept: Kept): void {
    this.#byNonce.delete(kept.nonce);
    this.#kept.delete(bytesKey(kept.id));
  }

  #nextCounter(kept: Kept): number {
    const pushed = kept.pushes === 0 ? 0 : COUNTER_PUSH_MS * 2 ** Math.min(kept.pushes, 20);
    this.#lastCounter = Math.max(this.#lastCounter + 1, Math.floor(this.#environment.wallMs()) + pushed);
    return this.#lastCounter;
  }
}

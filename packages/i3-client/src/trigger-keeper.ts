/**
 * Keeps triggers alive (docs/wire.md §4.1): locate the responsible server, prove the own address, insert, refresh, and begin
 * again whenever the server dies, forgets or is no longer responsible. One state machine for each trigger:
 *
 *     locating ──LOCATED──► challenging ──CHALLENGE──► inserting ──TRIGGER_OK──► live ─┐ REFRESH every 5 s
 *         ▲                     │  ▲                      │                      │  ▲──┘
 *         └──── no answer, dead server, not responsible ◄─┴──────────────────────┘
 *
 * A trigger that is removed goes the same way with the action remove; TRIGGER_OK, or a few seconds, end it.
 *
 * TRIGGER_OK names the server that takes over when the responsible one is gone. A trigger's replica is inserted there in the same way,
 * from `challenging` on, so that our NAT lets that server in before it is needed; if that is not known to be one, once it has answered a PING (replica-places.ts). It is
 * `parked` when there is no such server or it does not want it, until the next TRIGGER_OK.
 */
import {
  bytesKey, locatorKey, REFUSAL, ringKey, sameBytes, sameLocator, TRIGGER_ACTION, TRIGGER_FLAG, type ControlMessage, type Locator, type StackStep,
} from "@i3/common";
import { REFRESH_CHAIN_LENGTH, refreshChain, signTrigger, type TriggerSigner } from "@i3/hip";

import type { ClientEnvironment, ClientEvent } from "./environment.js";
import { ClientError } from "./errors.js";
import { LocatorCount } from "./locator-count.js";
import { PlaceChecks } from "./place-checks.js";
import { Questions } from "./questions.js";
import type { ShortcutHeld } from "./shortcut-answers.js";
import { ReplicaPlaces } from "./replica-places.js";
import { Sightings, type Sighting } from "./sightings.js";

// Ours. A refresh costs the server one hash, so it is sent more often than the 20 s of the paper: a server that has lost
// responsibility says so in the answer, and the trigger is where it belongs at most this much later.
const REFRESH_MS = 5_000;
const RETRY_MS = 500;
const MAX_RETRY_MS = 4_000;
/** Unanswered requests before the responsible server is asked for again. */
const TRIES_PER_STATE = 3;
/** The second refusal in a row is followed by RETRY_MS of silence, doubled up to this: servers that contradict each other must not make us busy. */
const MAX_SETBACK_MS = 2_000;
const QUOTA_PAUSE_MS = 10_000;
/**
 * A refused old counter means that our clock went back. The server does not say what it remembers: the counter is pushed ahead by what two clocks that a proxy
 * tolerates can differ by (5 minutes, each way), doubled each time.
 */
const COUNTER_PUSH_MS = 600_000;
/** A server may say that a trigger lives longer than the 30 s of the paper, but not for ever. */
const MAX_LIFE_MS = 60_000;
const REMOVAL_MS = 4_000;
/** More than a proxy with as many mappings as there can be needs. Those that are being removed count. */
const MAX_TRIGGERS = 65_536;

type State = "parked" | "locating" | "challenging" | "inserting" | "live";

interface Kept {
  readonly id: Uint8Array;
  /** At the responsible server's successor. */
  readonly isReplica: boolean;
  signer: TriggerSigner;
  /** Where it leads; none: to us. */
  steps: readonly StackStep[];
  /** Senders who allow it too may be told where it leads. */
  shortcut: boolean;
  state: State;
  /** When we stop trying to remove it; null while it is wanted. */
  removeUntilMs: number | null;
  server: Locator | null;
  /** Where it leads to, as it was signed last. */
  target: Locator | null;
  /** Our address may have changed since that was signed. */
  isOutdated: boolean;
  tries: number;
  /** Refusals since the last TRIGGER_OK. */
  setbacks: number;
  nextMs: number;
  /** Exists on a server until then, as far as we know; 0 before the first TRIGGER_OK. */
  liveUntilMs: number;
  chain: readonly Uint8Array[];
  refreshIndex: number;
  pushes: number;
  refusal: number | null;
}

export interface TriggerStatus {
  readonly id: Uint8Array;
  readonly live: boolean;
  readonly server: Locator | null;
  /** Code of the last REFUSED (docs/wire.md §4) since a server took it; null: none. */
  readonly refusal: number | null;
}

/** When something is to be done about it. */
const dueMs = (kept: Kept): number => Math.min(kept.nextMs, kept.removeUntilMs ?? Infinity);

const memberOf = (signer: TriggerSigner): Uint8Array | null => (signer.kind === "member" ? signer.key.publicKey : null);

const flagsOf = ({ isReplica, shortcut }: Kept): number => (isReplica ? TRIGGER_FLAG.replica : 0) | (shortcut ? TRIGGER_FLAG.shortcut : 0);

const actionOf = (kept: Kept): 1 | 2 => (kept.removeUntilMs === null ? TRIGGER_ACTION.insert : TRIGGER_ACTION.remove);

export class TriggerKeeper {
  readonly #environment: ClientEnvironment;
  readonly #emit: (event: ClientEvent) => void;
  readonly #firstHop: () => Locator | null;
  readonly #learn: (locator: Locator) => void;
  readonly #leaveFamily: () => void;
  readonly #kept = new Map<string, Kept>();
  /** The same by ring key. */
  readonly #byRingKey = new Map<string, Set<Kept>>();
  /** By the same ids as `#kept`. One that is removed may outlive its trigger. */
  readonly #replicas = new Map<string, Kept>();
  readonly #questions: Questions<Kept>;
  readonly #checks: PlaceChecks;
  readonly #places: ReplicaPlaces<Kept>;
  readonly #uses = new LocatorCount();
  readonly #sightings = new Sightings();
  /** Not later than the first deadline of a trigger or replica; found anew when it has passed: asked for after every message, so it must not walk through all of them. */
  #deadlineMs = Infinity;
  #lastCounter = 0;

  constructor(environment: ClientEnvironment, owner: { emit(event: ClientEvent): void; firstHop(): Locator | null; learn(locator: Locator): void; leaveFamily(): void; witness(besides: readonly Locator[]): Locator | null }) {
    this.#environment = environment;
    this.#checks = new PlaceChecks(environment, { serverOf: (key) => this.#placed(key)[0]?.server ?? null, witness: (besides) => owner.witness(besides) });
    this.#questions = new Questions(environment);
    this.#places = new ReplicaPlaces(environment);
    this.#emit = (event) => owner.emit(event);
    this.#firstHop = () => owner.firstHop();
    this.#learn = (locator) => owner.learn(locator);
    this.#leaveFamily = () => owner.leaveFamily();
  }

  /**
   * Inserts a trigger to ourselves, or along `steps`, and keeps it. An id that is kept already stays; a group's, and one with steps, is signed again
   * with the certificate and the steps that are given now, and so is one whose `shortcut` is another. Throws ClientError ERR_I3_FULL for one more than 65,536.
   */
  insert(nowMs: number, id: Uint8Array, signer: TriggerSigner, steps: readonly StackStep[] = [], shortcut = false): void {
    const key = bytesKey(id);
    const old = this.#kept.get(key);
    if (old?.removeUntilMs === null) {
      if (signer.kind === "member" || steps.length + old.steps.length > 0 || shortcut !== old.shortcut) this.#change(nowMs, old, signer, steps, shortcut);
      return;
    }
    if (old === undefined && this.#kept.size >= MAX_TRIGGERS) throw new ClientError("ERR_I3_FULL", `more than ${MAX_TRIGGERS} triggers of one client`, { remedy: "Remove some that are no longer used." });
    for (const leaving of [old, this.#replicas.get(key)]) if (leaving !== undefined) this.#forget(leaving);
    const fresh = { id: id.slice(), signer, steps, shortcut, removeUntilMs: null, server: null, target: null, isOutdated: false, tries: 0, setbacks: 0, liveUntilMs: 0, chain: [], refreshIndex: 0, pushes: 0, refusal: null };
    this.#replicas.set(key, { ...fresh, isReplica: true, state: "parked", nextMs: Infinity });
    const kept: Kept = { ...fresh, isReplica: false, state: "locating", nextMs: nowMs };
    this.#kept.set(key, kept);
    this.#deadlineMs = Math.min(this.#deadlineMs, nowMs);
    const place = bytesKey(ringKey(id));
    this.#byRingKey.set(place, (this.#byRingKey.get(place) ?? new Set()).add(kept));
  }

  #change(nowMs: number, kept: Kept, signer: TriggerSigner, steps: readonly StackStep[], shortcut: boolean): void {
    for (const each of [kept, this.#replicaOf(kept)]) {
      each.signer = signer;
      each.steps = steps;
      each.shortcut = shortcut;
      if (each.server !== null) this.#enter(nowMs, each, "challenging");
    }
  }

  /** Removes it from the ring at once, as far as a server answers within a few seconds. */
  remove(nowMs: number, id: Uint8Array): void {
    for (const kept of [this.#kept.get(bytesKey(id)), this.#replicas.get(bytesKey(id))]) if (kept?.removeUntilMs === null) this.#remove(nowMs, kept);
  }

  #remove(nowMs: number, kept: Kept): void {
    if (kept.server === null && kept.liveUntilMs <= nowMs) return this.#forget(kept);
    this.#places.leave(kept);
    kept.removeUntilMs = nowMs + REMOVAL_MS;
    this.#enter(nowMs, kept, kept.server === null ? "locating" : "challenging");
  }

  isNeeded(locator: Locator): boolean {
    return this.#uses.has(locator);
  }

  /** Where a trigger of ours that packets for an id come by leads, and who signs for it; null unless it was inserted for shortcuts. Of a group it may be at another id: the server has chosen. */
  shortcutAt(id: Uint8Array): ShortcutHeld | null {
    const kept = this.#kept.get(bytesKey(id)) ?? this.#ofKey(ringKey(id)).find(({ signer }) => signer.kind === "member");
    if (kept === undefined || !kept.shortcut || kept.removeUntilMs !== null || kept.target === null) return null;
    return { signer: kept.signer, target: kept.target };
  }

  list(nowMs: number): readonly TriggerStatus[] {
    return [...this.#kept.values()].map((k) => ({ id: k.id, live: k.removeUntilMs === null && k.liveUntilMs > nowMs, server: k.server, refusal: k.refusal }));
  }

  serverDied(nowMs: number, locator: Locator): void {
    for (const kept of this.#kept.values()) {
      if (kept.server === null || !sameLocator(kept.server, locator)) continue;
      this.#lose(kept, "its server does not answer");
      this.#enter(nowMs, kept, "locating");
    }
    for (const replica of this.#replicas.values()) if (replica.server !== null && sameLocator(replica.server, locator)) this.#giveUp(nowMs, replica);
  }

  /** There is a server to ask again, or a nearer one. */
  firstHopChanged(nowMs: number): void {
    for (const kept of this.#kept.values()) if (kept.state === "locating" && kept.tries > 0) this.#enter(nowMs, kept, "locating");
  }

  /**
   * Our address may have changed: signed again at once, or as soon as the server has taken what it was sent before.
   * @param isAskedAgain not only then: the server's answers go to where we are no more
   */
  renewAll(nowMs: number, isAskedAgain: boolean): void {
    for (const kept of this.#all()) {
      const isUnderWay = kept.state === "challenging" || kept.state === "inserting";
      if (kept.state === "live" || (isAskedAgain && isUnderWay)) this.#enter(nowMs, kept, "challenging");
      else if (kept.state === "inserting") kept.isOutdated = true;
    }
  }

  /** A server sees us there: {@link signAstray}. */
  seen(sighting: Sighting): void {
    this.#sightings.add(sighting);
  }

  /** Triggers that lead elsewhere than where their server sees us are signed again. Which servers have some. */
  signAstray(nowMs: number): readonly Locator[] {
    const servers: Locator[] = [];
    for (const { server, observed } of this.#sightings.take(nowMs)) {
      const astray = this.#all().filter((kept) => kept.state === "live" && kept.removeUntilMs === null && kept.server !== null && kept.target !== null && sameLocator(kept.server, server) && !sameLocator(kept.target, observed));
      for (const kept of astray) this.#enter(nowMs, kept, "challenging");
      if (astray.length > 0) servers.push(server);
    }
    return servers;
  }

  /** Those that have triggers of ours, or replicas of them. */
  servers(): readonly Locator[] {
    return [...new Map(this.#all().flatMap(({ server }) => (server === null ? [] : [[locatorKey(server), server]]))).values()];
  }

  /** False when nobody asked for it, or asked somebody else. */
  handle(nowMs: number, from: Locator, nonce: Uint8Array, message: ControlMessage): boolean {
    const kept = this.#questions.askerOf(from, nonce);
    if (kept === undefined) return message.type === "LOCATED" && this.#checked(nowMs, from, nonce, message);
    switch (message.type) {
      case "LOCATED": return this.#located(nowMs, kept, message);
      case "CHALLENGE": return this.#challenged(nowMs, kept, message, this.#questions.typeOf(nonce));
      case "TRIGGER_OK": return this.#acknowledged(nowMs, kept, message);
      case "REFUSED": return this.#refused(nowMs, kept, message.code);
      default: return false;
    }
  }

  /** A server has answered where replicas are to go; false when nobody asked. */
  handlePong(nowMs: number, from: Locator, nonce: Uint8Array): boolean {
    const replicas = this.#places.handlePong(nowMs, from, nonce);
    for (const replica of replicas ?? []) this.#moveReplica(nowMs, replica, from);
    return replicas !== null;
  }

  handleTimer(nowMs: number): void {
    if (this.nextDeadlineMs() > nowMs) return;
    this.#places.handleTimer(nowMs);
    this.#checks.handleTimer(nowMs);
    if (this.#deadlineMs > nowMs) return;
    for (const kept of this.#all()) if (dueMs(kept) <= nowMs) this.#act(nowMs, kept);
    this.#deadlineMs = Infinity;
    for (const kept of this.#all()) this.#deadlineMs = Math.min(this.#deadlineMs, dueMs(kept));
  }

  nextDeadlineMs(): number {
    return Math.min(this.#deadlineMs, this.#places.nextDeadlineMs(), this.#checks.nextDeadlineMs(), this.#sightings.nextDeadlineMs());
  }

  #all(): readonly Kept[] {
    return [...this.#kept.values(), ...this.#replicas.values()];
  }

  #replicaOf({ id }: Kept): Kept {
    return this.#replicas.get(bytesKey(id)) as Kept;
  }

  /** Its trigger was acknowledged by `from`, which names `to` as the server to take over. */
  #replicate(nowMs: number, replica: Kept, from: Locator, to: Locator | null): void {
    if (replica.removeUntilMs !== null) return;
    const there = replica.server;
    this.#places.leave(replica);
    if (to === null || sameLocator(to, from)) return this.#giveUp(nowMs, replica);
    if (there !== null && sameLocator(to, there)) return;
    if (this.#places.reach(nowMs, replica, to)) this.#moveReplica(nowMs, replica, to);
  }

  #moveReplica(nowMs: number, replica: Kept, to: Locator): void {
    this.#enter(nowMs, replica, "challenging");
    replica.liveUntilMs = 0;
    this.#setServer(replica, to);
  }

  #giveUp(nowMs: number, replica: Kept): void {
    if (replica.removeUntilMs !== null) return this.#forget(replica);
    this.#enter(nowMs, replica, "parked", Infinity);
    this.#setServer(replica, null);
    replica.liveUntilMs = 0;
  }

  #located(nowMs: number, kept: Kept, message: Extract<ControlMessage, { type: "LOCATED" }>): boolean {
    if (kept.state !== "locating" || !sameBytes(message.ringKey, ringKey(kept.id))) return false;
    this.#goTo(nowMs, kept, message.node.locator);
    this.#checks.named(nowMs, message.ringKey);
    return true;
  }

  #goTo(nowMs: number, kept: Kept, server: Locator): void {
    this.#enter(nowMs, kept, "challenging");
    this.#setServer(kept, server);
    this.#learn(server);
    this.#act(nowMs, kept);
  }

  /** Triggers of a ring key that are at a server, or on the way into it. */
  #placed(key: Uint8Array): readonly Kept[] {
    return this.#ofKey(key).filter(({ server }) => server !== null);
  }

  /** No walk over all: anybody may ask about any key. */
  #ofKey(key: Uint8Array): readonly Kept[] {
    return [...(this.#byRingKey.get(bytesKey(key)) ?? [])];
  }

  /** Another server says where triggers belong: those that are elsewhere go there. */
  #checked(nowMs: number, from: Locator, nonce: Uint8Array, message: Extract<ControlMessage, { type: "LOCATED" }>): boolean {
    const place = this.#checks.answer(nowMs, from, nonce, message);
    if (place === null) return false;
    for (const kept of this.#placed(place.ringKey)) if (kept.server !== null && !sameLocator(kept.server, place.server)) this.#goTo(nowMs, kept, place.server);
    return true;
  }

  /** No server answers TRIGGER so: who did would make us sign as fast as it challenges, and put off for ever what {@link #act} looks at. */
  #challenged(nowMs: number, kept: Kept, message: Extract<ControlMessage, { type: "CHALLENGE" }>, asked: ControlMessage["type"] | undefined): boolean {
    if (kept.server === null || asked === "TRIGGER" || !sameBytes(message.ringKey, ringKey(kept.id))) return false;
    const locator = kept.server;
    if (asked === "REFRESH" && !kept.isReplica && kept.target !== null && sameLocator(kept.target, message.observed)) this.#emit({ kind: "trigger-replaced", id: kept.id });
    kept.target = message.observed;
    kept.isOutdated = false;
    this.#questions.drop(kept);
    // While inserting, tries go on counting: a server that challenges but never acknowledges is left after a few.
    if (kept.state !== "inserting") kept.tries = 0;
    kept.state = "inserting";
    kept.chain = (this.#environment.refreshChain ?? refreshChain)(this.#environment.randomBytes(16));
    kept.refreshIndex = 0;
    const commitment = kept.chain[REFRESH_CHAIN_LENGTH] as Uint8Array;
    // Removed by an id's owner, who need not have a token for that.
    const target = kept.steps.length > 0 && kept.removeUntilMs === null ? { steps: kept.steps } : message.observed;
    const trigger = { action: actionOf(kept), id: kept.id, target, flags: flagsOf(kept), counter: this.#nextCounter(kept), commitment, cookie: message.cookie };
    this.#wait(kept, nowMs + RETRY_MS);
    this.#questions.ask(kept, locator, (this.#environment.signTrigger ?? signTrigger)(kept.signer, trigger, message.nodeKey));
    return true;
  }

  #acknowledged(nowMs: number, kept: Kept, message: Extract<ControlMessage, { type: "TRIGGER_OK" }>): boolean {
    if (kept.server === null || message.action !== actionOf(kept) || !sameBytes(message.id, kept.id)) return false;
    if (kept.state !== "inserting" && kept.state !== "live") return false;
    this.#places.heard(nowMs, kept.server);
    if (kept.removeUntilMs !== null) {
      this.#forget(kept);
      return true;
    }
    const isNew = kept.liveUntilMs === 0 && !kept.isReplica;
    const lifeMs = Math.min(message.lifeMs, MAX_LIFE_MS);
    kept.liveUntilMs = nowMs + lifeMs;
    kept.pushes = 0;
    kept.setbacks = 0;
    kept.refusal = null;
    if (kept.isOutdated) this.#enter(nowMs, kept, "challenging");
    else this.#enter(nowMs, kept, "live", nowMs + Math.max(RETRY_MS, Math.min(REFRESH_MS, lifeMs / 3)));
    if (isNew) this.#emit({ kind: "trigger-live", id: kept.id, server: kept.server });
    if (!kept.isReplica) this.#replicate(nowMs, this.#replicaOf(kept), kept.server, message.replica);
    return true;
  }

  #refused(nowMs: number, kept: Kept, code: number): boolean {
    if (kept.state === "locating") return code === REFUSAL.otherFamily && this.#unreachable(nowMs, kept);
    kept.refusal = code;
    const isForgotten = kept.isReplica && kept.state === "live" && code === REFUSAL.notResponsible;
    switch (isForgotten ? REFUSAL.badCookie : code) {
      case REFUSAL.notResponsible:
        if (kept.isReplica) break;
        this.#retreat(nowMs, kept, "locating");
        return true;
      case REFUSAL.oldCounter:
        kept.pushes += 1;
        this.#retreat(nowMs, kept, "challenging");
        return true;
      case REFUSAL.badCookie:
      case REFUSAL.notYourAddress:
        this.#retreat(nowMs, kept, "challenging");
        return true;
    }
    if (kept.removeUntilMs !== null) this.#forget(kept);
    else if (kept.isReplica) this.#giveUp(nowMs, kept);
    else {
      this.#emit({ kind: "trigger-refused", id: kept.id, code });
      this.#enter(nowMs, kept, "locating", nowMs + QUOTA_PAUSE_MS);
    }
    return true;
  }

  /** Its server has no address of the family in which we ask. */
  #unreachable(nowMs: number, kept: Kept): boolean {
    kept.refusal = REFUSAL.otherFamily;
    this.#questions.drop(kept);
    this.#emit({ kind: "trigger-refused", id: kept.id, code: REFUSAL.otherFamily });
    this.#wait(kept, nowMs + QUOTA_PAUSE_MS);
    this.#leaveFamily();
    return true;
  }

  /** Sends what the state asks for; after a few tries in vain, the responsible server is located anew. */
  #act(nowMs: number, kept: Kept): void {
    if (kept.removeUntilMs !== null && kept.removeUntilMs <= nowMs) return this.#forget(kept);
    if (kept.liveUntilMs !== 0 && kept.liveUntilMs <= nowMs) this.#lose(kept, "not acknowledged for its whole life");
    if (kept.tries >= TRIES_PER_STATE && kept.state !== "locating") {
      if (kept.isReplica) {
        if (kept.server !== null) this.#places.doubt(nowMs, kept.server);
        return this.#giveUp(nowMs, kept);
      }
      this.#enter(nowMs, kept, "locating");
    }
    kept.tries += 1;
    this.#wait(kept, nowMs + Math.min(RETRY_MS * 2 ** Math.max(0, kept.tries - TRIES_PER_STATE), MAX_RETRY_MS));
    if (kept.state === "locating") {
      const firstHop = this.#firstHop();
      if (firstHop !== null) this.#questions.ask(kept, firstHop, { type: "LOCATE", ringKey: ringKey(kept.id) });
    } else if (kept.server !== null) {
      this.#questions.ask(kept, kept.server, this.#requestOf(nowMs, kept));
    }
  }

  /** A refresh while one can count, otherwise a new challenge. */
  #requestOf(nowMs: number, kept: Kept): ControlMessage {
    const canRefresh = kept.state === "live" && kept.liveUntilMs > nowMs && kept.refreshIndex < REFRESH_CHAIN_LENGTH;
    if (!canRefresh) return { type: "CHALLENGE_REQUEST", ringKey: ringKey(kept.id), flags: flagsOf(kept) };
    kept.refreshIndex += 1;
    const token = kept.chain[REFRESH_CHAIN_LENGTH - kept.refreshIndex] as Uint8Array;
    return { type: "REFRESH", id: kept.id, index: kept.refreshIndex, token, member: memberOf(kept.signer) };
  }

  #wait(kept: Kept, untilMs: number): void {
    kept.nextMs = untilMs;
    this.#deadlineMs = Math.min(this.#deadlineMs, untilMs);
  }

  #enter(nowMs: number, kept: Kept, state: State, untilMs = nowMs): void {
    kept.state = state;
    kept.tries = 0;
    this.#wait(kept, untilMs);
    this.#questions.drop(kept);
    if (state === "locating") this.#setServer(kept, null);
  }

  /** After a refusal: at once the first time, then ever more slowly. */
  #retreat(nowMs: number, kept: Kept, state: State): void {
    this.#enter(nowMs, kept, state, nowMs + (kept.setbacks === 0 ? 0 : Math.min(RETRY_MS * 2 ** (kept.setbacks - 1), MAX_SETBACK_MS)));
    kept.setbacks += 1;
  }

  #setServer(kept: Kept, server: Kept["server"]): void {
    // A replica's server is not watched: the trigger's own says when it is another.
    if (!kept.isReplica) {
      this.#uses.remove(kept.server);
      this.#uses.add(server);
    }
    kept.server = server;
  }

  #lose(kept: Kept, why: string): void {
    if (kept.liveUntilMs !== 0 && kept.removeUntilMs === null && !kept.isReplica) this.#emit({ kind: "trigger-lost", id: kept.id, why });
    kept.liveUntilMs = 0;
  }

  #forget(kept: Kept): void {
    this.#questions.drop(kept);
    this.#setServer(kept, null);
    if (kept.isReplica) {
      this.#places.leave(kept);
      this.#replicas.delete(bytesKey(kept.id));
      return;
    }
    this.#kept.delete(bytesKey(kept.id));
    const place = bytesKey(ringKey(kept.id));
    const others = this.#byRingKey.get(place);
    others?.delete(kept);
    if (others?.size === 0) this.#byRingKey.delete(place);
  }

  #nextCounter(kept: Kept): number {
    const pushed = kept.pushes === 0 ? 0 : COUNTER_PUSH_MS * 2 ** (Math.min(kept.pushes, 20) - 1);
    this.#lastCounter = Math.max(this.#lastCounter + 1, Math.floor(this.#environment.wallMs()) + pushed);
    return this.#lastCounter;
  }
}

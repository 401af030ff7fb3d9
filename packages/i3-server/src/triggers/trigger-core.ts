/**
 * The rules by which triggers come and go (docs/wire.md §4.1). One message in, at most one reply out; the
 * caller sends it only when it is not larger than the request. Cheapest checks first, every refusal counted.
 */
import {
  isTriggerStack, KEY_KIND, REFUSAL, ringKey, sameBytes, sameLocator, TRIGGER_ACTION, TRIGGER_FLAG, type ControlMessage, type KeyKind, type Locator, type StackStep, type TriggerMessage,
} from "@i3/common";
import { keyOwnsId, readMembership, REFRESH_MAX_SKIP, refreshStep, stepOwnsId, verifyStep, verifyTrigger } from "@i3/hip";

import type { CounterName, ServerCounters } from "../counters.js";
import { MEMBER_VERIFICATION_COST, P384_VERIFICATION_COST, SIBLINGS_PER_VERIFICATION, VERIFICATIONS_PER_SOURCE_PER_SECOND } from "./constants.js";
import { Cookies } from "./cookies.js";
import { EarlyEnds } from "./early-ends.js";
import { SourceRate } from "./source-rate.js";
import { TriggerTable, type NewTrigger, type TableEngine, type TriggerLimits, type TriggerRecord } from "./trigger-table.js";

export interface TriggerCoreInit {
  /** This server's, 16 bytes. */
  readonly nodeKey: Uint8Array;
  readonly datapath: TableEngine;
  readonly counters: ServerCounters;
  readonly limits: TriggerLimits;
  /** `length` unpredictable bytes. */
  readonly random: (length: number) => Uint8Array;
  /** Whether a ring key (16 bytes) is this server's. */
  readonly owns: (ringKey: Uint8Array) => boolean;
  /** Whether this server takes the place of the one that was responsible for a ring key, and is gone. @default as `owns` */
  readonly takesOver?: (ringKey: Uint8Array) => boolean;
  /** Whether this server has just joined, and its successor still delivers for it. @default never */
  readonly isNew?: () => boolean;
  /** Whether a ring key was this server's until another has just joined before it. @default never */
  readonly isHandingOver?: (ringKey: Uint8Array) => boolean;
  /** The server that this owner gives its replicas to; null: none. @default none */
  readonly replica?: (nowMs: number, owner: Locator) => Locator | null;
  /** What the clock on the wall shows at `nowMs`, ms since 1970. */
  readonly wallMs: (nowMs: number) => number;
  /** @default verifyTrigger of @i3/hip */
  readonly verify?: (message: TriggerMessage, nodeKey: Uint8Array) => boolean;
  /** @default verifyStep of @i3/hip */
  readonly verifyStep?: (step: StackStep, source: Uint8Array) => boolean;
  /** @default VERIFICATIONS_PER_SOURCE_PER_SECOND */
  readonly verificationsPerSourcePerSecond?: number;
}

export type TriggerRequest = Extract<ControlMessage, { readonly type: "CHALLENGE_REQUEST" | "TRIGGER" | "REFRESH" }>;

const REFUSAL_COUNTERS: Readonly<Record<keyof typeof REFUSAL, CounterName>> = {
  notResponsible: "not-responsible", badCookie: "cookie", badSignature: "signature", oldCounter: "old-counter", wrongKey: "wrong-key",
  quota: "quota", unsupported: "unsupported", notYourAddress: "not-your-address", expired: "certificate-ended", responsible: "responsible", otherFamily: "other-family",
};

export class TriggerCore {
  readonly #init: TriggerCoreInit;
  readonly #table: TriggerTable;
  readonly #cookies: Cookies;
  readonly #rate: SourceRate;
  /** When serveSome goes on; Infinity: there is nothing left. */
  #serveMs = Infinity;

  constructor(init: TriggerCoreInit) {
    this.#init = init;
    this.#table = new TriggerTable(init.datapath, init.limits, { serves: init.takesOver ?? init.owns, isNew: init.isNew ?? (() => false), isHandingOver: init.isHandingOver ?? (() => false) });
    this.#cookies = new Cookies(init.random);
    this.#rate = new SourceRate(init.verificationsPerSourcePerSecond ?? VERIFICATIONS_PER_SOURCE_PER_SECOND);
  }

  get liveCount(): number {
    return this.#table.liveCount;
  }

  get replicaCount(): number {
    return this.#table.replicaCount;
  }

  /** Who is responsible for what has changed: replicas come into use, or go out of it, the first ones at once. */
  ringChanged(nowMs: number): void {
    this.#table.ringChanged();
    this.serveSome(nowMs);
  }

  /** Some more of them; to be called as long as deadlineMs says so. */
  serveSome(nowMs: number): void {
    if (!this.#table.hasToServe) return;
    this.#countTakenOver(this.#table.serveSome());
    this.#serveMs = this.#table.hasToServe ? nowMs : Infinity;
  }

  /** A packet for a ring key is here that nobody has a trigger for. Returns whether that has a replica, which is in use from now on. */
  serveNow(key: Uint8Array): boolean {
    const taken = this.#table.serveNow(key);
    this.#countTakenOver(taken);
    return taken > 0;
  }

  #countTakenOver(replicas: number): void {
    for (let left = replicas; left > 0; left -= 1) this.#init.counters.count("replicas-taken-over");
  }

  /** This server is new no more. */
  release(): void {
    this.#table.release();
  }

  /** Where packets for an id go, if senders who allow shortcuts may be told. */
  shortcutOf(nowMs: number, id: Uint8Array): Locator | null {
    this.handleTimer(nowMs);
    return this.#table.shortcutOf(id);
  }

  /** What the engine makes cookies with: the same object until it changes. */
  cookieSecret(nowMs: number): Uint8Array {
    return this.#cookies.secret(nowMs);
  }

  deadlineMs(): number {
    return Math.min(this.#table.deadlineMs(), this.#serveMs);
  }

  handleTimer(nowMs: number): void {
    for (let left = this.#table.learn(nowMs); left > 0; left -= 1) this.#init.counters.count("refreshed");
    for (let left = this.#table.expire(nowMs); left > 0; left -= 1) this.#init.counters.count("expired");
  }

  /** The answer to a request, or null. */
  handle(nowMs: number, from: Locator, message: TriggerRequest): ControlMessage | null {
    this.handleTimer(nowMs);
    switch (message.type) {
      case "CHALLENGE_REQUEST": return this.#challengeRequest(nowMs, from, message);
      case "TRIGGER": return this.#trigger(nowMs, from, message);
      case "REFRESH": return this.#refresh(nowMs, from, message);
    }
  }

  #challengeRequest(nowMs: number, from: Locator, { ringKey: key, flags }: Extract<ControlMessage, { type: "CHALLENGE_REQUEST" }>): ControlMessage {
    const wrongServer = this.#wrongServer(key, flags);
    if (wrongServer !== null) return this.#refuse(wrongServer, key);
    this.#init.counters.count("challenges");
    return this.#challenge(nowMs, from, key);
  }

  /** Triggers belong to the server that is responsible, replicas to another. */
  #wrongServer(key: Uint8Array, flags: number): "responsible" | "notResponsible" | null {
    const isReplica = (flags & TRIGGER_FLAG.replica) !== 0;
    if (this.#init.owns(key) !== isReplica) return null;
    return isReplica ? "responsible" : "notResponsible";
  }

  #challenge(nowMs: number, from: Locator, key: Uint8Array): ControlMessage {
    const cookie = this.#cookies.make(nowMs, from, key);
    return { type: "CHALLENGE", ringKey: key, cookie, observed: from, timeMs: this.#init.wallMs(nowMs), nodeKey: this.#init.nodeKey };
  }

  #refuse(why: keyof typeof REFUSAL, subject: Uint8Array): ControlMessage {
    this.#init.counters.count(REFUSAL_COUNTERS[why]);
    return { type: "REFUSED", code: REFUSAL[why], subject };
  }

  #trigger(nowMs: number, from: Locator, message: TriggerMessage): ControlMessage | null {
    const { id } = message;
    const key = ringKey(id);
    const isClaim = message.keyKind === KEY_KIND.nameClaim;
    const steps = stepsOf(message);
    if ((message.flags & ~(TRIGGER_FLAG.replica | TRIGGER_FLAG.shortcut)) !== 0 || (isClaim && (!this.#table.takesClaims || steps.length > 0))) return this.#refuse("unsupported", id);
    const wrongServer = this.#wrongServer(key, message.flags);
    if (wrongServer !== null) return this.#refuse(wrongServer, id);
    if (!this.#cookies.check(nowMs, from, key, message.cookie)) return this.#refuse("badCookie", id);
    if (!isTriggerStack(message.target) && !sameLocator(message.target, from)) return this.#refuse("notYourAddress", id);
    if (!keyOwnsId(message.keyKind, message.publicKey, id) || !steps.every(stepOwnsId)) return this.#refuse("wrongKey", id);
    const trigger = this.#described(nowMs, from, message);
    if (EarlyEnds.round(trigger.lastMs) <= nowMs) return this.#refuse("expired", id);
    const old = this.#table.get(trigger);
    if (old !== undefined && message.counter <= old.counter) return this.#sameCounter(nowMs, message, trigger, old);
    if (this.#table.isFull(trigger, old)) return this.#refuse("quota", id);
    return this.#verified(nowMs, from, message, trigger);
  }

  /** What the message says, in bytes of its own. */
  #described(nowMs: number, from: Locator, message: TriggerMessage): NewTrigger {
    const { id, counter, commitment, keyKind, publicKey, flags } = message;
    const membership = keyKind === KEY_KIND.groupMember ? readMembership(publicKey) : null;
    const steps = stepsOf(message);
    const notAfterS = Math.min(membership?.notAfterS ?? Infinity, ...steps.map((step) => step.notAfterS));
    return {
      id: new Uint8Array(id), target: from, stack: steps.length === 0 ? null : steps.map((step) => new Uint8Array(step.id)), counter, commitment: new Uint8Array(commitment), isClaim: keyKind === KEY_KIND.nameClaim,
      member: membership?.memberKey ?? null, isReplica: (flags & TRIGGER_FLAG.replica) !== 0, shortcut: (flags & TRIGGER_FLAG.shortcut) !== 0,
      lastMs: nowMs + notAfterS * 1_000 - this.#init.wallMs(nowMs),
    };
  }

  /** An answer that was lost is given again, and changes nothing; all else with this counter is old. */
  #sameCounter(nowMs: number, message: TriggerMessage, said: NewTrigger, old: TriggerRecord): ControlMessage {
    const same = said.counter === old.counter && said.isReplica === old.isReplica && said.shortcut === old.shortcut && sameLocator(said.target, old.target) && sameStack(said.stack, old.stack) && sameBytes(said.commitment, old.commitment);
    if (!same || (message.action === TRIGGER_ACTION.insert) !== old.live) return this.#refuse("oldCounter", message.id);
    this.#init.counters.count("repeated");
    return this.#ok(nowMs, message.action, old, old.live ? old.endMs - nowMs : 0);
  }

  #verified(nowMs: number, from: Locator, message: TriggerMessage, record: NewTrigger): ControlMessage | null {
    const { action, id } = message;
    // The engine is given all triggers of the ring key anew.
    const siblings = this.#table.siblingCount(ringKey(id));
    if (!this.#rate.allowLocator(nowMs, from, verificationCost(message) + Math.floor(siblings / SIBLINGS_PER_VERIFICATION))) return this.#overRate();
    const { verify = verifyTrigger, verifyStep: consents = verifyStep, nodeKey } = this.#init;
    if (!verify(message, nodeKey) || !stepsOf(message).every((step) => consents(step, id))) return this.#refuse("badSignature", id);
    if (action === TRIGGER_ACTION.remove) {
      this.#table.remove(nowMs, record);
      this.#init.counters.count("removed");
      return this.#ok(nowMs, action, record, 0);
    }
    if (!this.#table.insert(nowMs, record)) {
      this.#init.counters.count("table-full");
      return this.#refuse("quota", id);
    }
    this.#init.counters.count(record.isReplica ? "replicas-inserted" : "inserted");
    return this.#ok(nowMs, action, record, (this.#table.get(record)?.endMs ?? nowMs) - nowMs);
  }

  #overRate(): null {
    this.#init.counters.count("rate");
    return null;
  }

  #refresh(nowMs: number, from: Locator, message: Extract<ControlMessage, { type: "REFRESH" }>): ControlMessage | null {
    const { id, index, token } = message;
    const record = this.#table.get(message);
    if (!this.#init.owns(ringKey(id)) && !(record?.live === true && record.isReplica)) return this.#refuse("notResponsible", id);
    if (record === undefined || !record.live || !sameLocator(record.target, from)) {
      this.#init.counters.count("refresh-unknown");
      return this.#challenge(nowMs, from, ringKey(id));
    }
    if (index === record.index && index > 0 && sameBytes(token, record.token)) {
      this.#init.counters.count("repeated");
      return this.#ok(nowMs, TRIGGER_ACTION.insert, record, record.endMs - nowMs);
    }
    // One that skips others takes up to 64 hashes, about the time of a signature. Right ones too: a chain of one's own has them without end.
    if (hashesOf(record, index) > 1 && !this.#rate.allowLocator(nowMs, from)) return this.#overRate();
    if (!leadsTo(record, index, token)) {
      this.#init.counters.count("refresh-token");
      return this.#challenge(nowMs, from, ringKey(id));
    }
    const endMs = this.#table.refresh(nowMs, record, index, token);
    this.#init.counters.count("refreshed");
    return this.#ok(nowMs, TRIGGER_ACTION.insert, record, endMs - nowMs);
  }

  /** Of a replica there is none more. */
  #ok(nowMs: number, action: TriggerMessage["action"], { id, target, isReplica }: Pick<TriggerRecord, "id" | "target" | "isReplica">, lifeMs: number): ControlMessage {
    const replica = isReplica || action === TRIGGER_ACTION.remove ? null : (this.#init.replica?.(nowMs, target) ?? null);
    return { type: "TRIGGER_OK", action, id, lifeMs: Math.max(0, Math.floor(lifeMs)), replica };
  }
}

const stepsOf = ({ target }: TriggerMessage): readonly StackStep[] => (isTriggerStack(target) ? target.steps : []);

const sameStack = (a: TriggerRecord["stack"], b: TriggerRecord["stack"]): boolean =>
  a === b || (a !== null && b !== null && a.length === b.length && a.every((id, i) => sameBytes(id, b[i] as Uint8Array)));

const verificationCost = (message: TriggerMessage): number =>
  stepsOf(message).reduce((sum, step) => sum + signatureCost(step.keyKind), signatureCost(message.keyKind));

function signatureCost(keyKind: KeyKind): number {
  if (keyKind === KEY_KIND.ecdsaP384) return P384_VERIFICATION_COST;
  return keyKind === KEY_KIND.groupMember ? MEMBER_VERIFICATION_COST : 1;
}

/** How many it takes to check refresh number `index`: at most REFRESH_MAX_SKIP; 0 when it is none that could be next. */
function hashesOf(record: TriggerRecord, index: number): number {
  const steps = index - record.index;
  return steps < 1 || steps > REFRESH_MAX_SKIP ? 0 : steps;
}

/** Whether hashing `token` forward gives the last value seen. */
function leadsTo(record: TriggerRecord, index: number, token: Uint8Array): boolean {
  const steps = hashesOf(record, index);
  if (steps === 0) return false;
  let value = token;
  for (let i = 0; i < steps; i += 1) value = refreshStep(value);
  return sameBytes(value, record.token);
}

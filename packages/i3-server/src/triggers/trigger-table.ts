/** Triggers and the counters of those that are gone: bounded by source, by ring key and over all; each ends by itself. */
import { bytesKey, ID_BYTES, ringKey, sameBytes, type Locator } from "@i3/common";
import { DatapathError, LIMITS, type Datapath, type TriggerEntry } from "@i3/datapath";

import { CLAIMS_SHARE_OF_NETWORK, COUNTER_MEMORY_MS, PROGRAM_WORK, SERVE_WORK, TRIGGER_LIFE_MS, TRIGGERS_PER_GROUP, TRIGGERS_PER_GROUP_AND_NETWORK } from "./constants.js";
import { EarlyEnds } from "./early-ends.js";
import { accountOf, SourceAccounts } from "./source-accounts.js";
import { networkOf, sourceOf } from "./source-rate.js";
import { NO_SLOT, TriggerSlots, type SlotList } from "./trigger-slots.js";

export interface TriggerRecord {
  /** 32 bytes. */
  readonly id: Uint8Array;
  /** False: removed or expired, only its counter is remembered. */
  readonly live: boolean;
  /** The owner's address as the server saw it: where it leads, and on whose account it is. */
  readonly target: Locator;
  /** Ids to which it leads in place of the address. */
  readonly stack: readonly Uint8Array[] | null;
  readonly counter: number;
  /** The end of the refresh chain as the signature gave it, 16 bytes. */
  readonly commitment: Uint8Array;
  /** Last value of the chain that was shown, and how many steps before the end it lies. */
  readonly token: Uint8Array;
  readonly index: number;
  readonly endMs: number;
  /** A claim to a name (docs/wire.md §4.1): packets for the name go to all of them, whatever their ids. */
  readonly isClaim: boolean;
  /** Of a group's trigger the member's key, 32 bytes: each member has its own at one id. */
  readonly member: Uint8Array | null;
  /** When the first of the certificate and the tokens that it rests on ends, ms on the clock of `nowMs`; Infinity without one. */
  readonly lastMs: number;
  /** Kept for the server that is responsible now: packets go by it only when that is gone. */
  readonly isReplica: boolean;
  /** Its owner lets senders know where it leads. */
  readonly shortcut: boolean;
}

/** What the table asks its server about a ring key, or at all. */
export interface TableHost {
  /** Whether packets for a ring key go by its replicas. */
  readonly serves: (ringKey: Uint8Array) => boolean;
  /** It has just joined: those who share a key come here one by one, and until all have, packets go to the server that had them. */
  readonly isNew: () => boolean;
  /** Another has just joined before it and has this ring key now: packets for it, when it is shared, still come here, and those who have moved have replicas here. */
  readonly isHandingOver: (ringKey: Uint8Array) => boolean;
}

/** Which trigger: of a group, each member has its own at one id. */
export type TriggerName = Pick<TriggerRecord, "id" | "member">;

/** What a signed request says of a trigger. */
export type NewTrigger = Pick<TriggerRecord, "id" | "target" | "stack" | "counter" | "commitment" | "isClaim" | "member" | "lastMs" | "isReplica" | "shortcut">;

export interface TriggerLimits {
  /** Records over all, live and gone; half of them may be replicas. */
  readonly triggers: number;
  /** Records of one source (sourceOf), and as many replicas; of an IPv6 network as many as SourceAccounts says. */
  readonly perSource: number;
  /** Claims to one name at a time, each of another source, a quarter of one network; 0: none are taken. @default 0 */
  readonly claimsPerName?: number;
}

/** What the table tells the engine, and hears from it. */
export type TableEngine = Pick<Datapath, "setTriggers" | "setLease" | "takeRefreshed">;

export class TriggerTable {
  readonly #datapath: TableEngine;
  readonly #limits: TriggerLimits;
  readonly #slots = new TriggerSlots();
  /** recordKey → slot, of live ones and of those that are gone. */
  readonly #named = new Map<string, number>();
  /** In order of insertion and refresh, and so of their end: every life has the same length, but for those in `#early`. */
  readonly #live: SlotList = { first: NO_SLOT, last: NO_SLOT };
  readonly #gone: SlotList = { first: NO_SLOT, last: NO_SLOT };
  #liveCount = 0;
  readonly #early = new EarlyEnds();
  /** Replicas have accounts of their own, so that a ring's change leaves a client's quota as it was. */
  readonly #accounts: { readonly own: SourceAccounts; readonly replicas: SourceAccounts };
  /** Ring key of a group and network → live triggers. */
  readonly #perGroupAndNetwork = new Map<string, number>();
  /** Ring key → the newest of its live triggers, from which its siblings follow. */
  readonly #byRingKey = new Map<string, number>();
  /** Ring keys with live replicas → how many, and whether the engine has them. */
  readonly #replicas = new Map<string, { count: number; isServed: boolean }>();
  /** Of these the ones that are still to be looked at since the ring has changed; null: none. */
  #toServe: Iterator<[string, { count: number; isServed: boolean }]> | null = null;
  #replicaCount = 0;
  /** Shared ring keys that the engine does not get yet. */
  readonly #held = new Set<string>();
  readonly #host: TableHost;

  constructor(datapath: TableEngine, limits: TriggerLimits, host: TableHost) {
    this.#datapath = datapath;
    this.#limits = limits;
    this.#accounts = { own: new SourceAccounts(limits.perSource), replicas: new SourceAccounts(limits.perSource) };
    this.#host = host;
  }

  /** Live ones, whether they are served or not. */
  get replicaCount(): number {
    return this.#replicaCount;
  }

  /** Who is responsible has changed: all replicas are looked at again, by {@link serveSome}. */
  ringChanged(): void {
    this.#toServe = this.#replicas.entries();
  }

  /** Whether some replicas may have to come into use yet, or to go out of it. */
  get hasToServe(): boolean {
    return this.#toServe !== null;
  }

  /** They do, some at a time: all at once would take as long as it takes the neighbours to bury this server. Returns how many came. */
  serveSome(): number {
    let taken = 0;
    for (let left = SERVE_WORK; left > 0 && this.#toServe !== null; ) {
      const next = this.#toServe.next();
      if (next.done === true) {
        this.#toServe = null;
        break;
      }
      const [text, replicas] = next.value;
      left -= replicas.count;
      const key = Buffer.from(text, "latin1");
      const isServed = this.#areServed(key);
      if (isServed === replicas.isServed) continue;
      left -= replicas.count * PROGRAM_WORK;
      if (this.#program(key) && isServed) taken += replicas.count;
    }
    return taken;
  }

  /** A packet for a ring key is here: its replicas come into use before others. Returns how many. */
  serveNow(key: Uint8Array): number {
    if (this.#toServe === null) return 0;
    const replicas = this.#replicas.get(bytesKey(key));
    if (replicas === undefined || replicas.isServed || !this.#areServed(key)) return 0;
    return this.#program(key) ? replicas.count : 0;
  }

  /** It is new no more: the engine gets what was held. */
  release(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const text of held) this.#program(Buffer.from(text, "latin1"));
  }

  #areServed(key: Uint8Array): boolean {
    return this.#host.serves(key) || (this.#host.isHandingOver(key) && this.#some(bytesKey(key), (slot) => this.#slots.isShared(slot)));
  }

  #some(ringKeyText: string, holds: (slot: number) => boolean): boolean {
    return this.#siblings(ringKeyText).some(holds);
  }

  get liveCount(): number {
    return this.#liveCount;
  }

  get(name: TriggerName): TriggerRecord | undefined {
    const slot = this.#named.get(recordKey(name));
    return slot === undefined ? undefined : this.#slots.read(slot);
  }

  /** Whether claims to names are taken at all. */
  get takesClaims(): boolean {
    return (this.#limits.claimsPerName ?? 0) > 0;
  }

  /** Whether a record for `id` from `target` would go beyond a limit. `old`: what {@link get} gives for it. */
  isFull({ id, target, isClaim, member, isReplica }: Pick<TriggerRecord, "id" | "target" | "isClaim" | "member" | "isReplica">, old = this.get({ id, member })): boolean {
    const isSameKind = old?.isReplica === isReplica;
    return (
      (old === undefined && this.#named.size >= this.#limits.triggers) ||
      !this.#accountsOf(isReplica).hasRoom(accountOf(target), old !== undefined && isSameKind ? accountOf(old.target) : null) ||
      (isReplica && old?.isReplica !== true && this.#replicaCount >= this.#limits.triggers / 2) ||
      (old?.live !== true && this.siblingCount(ringKey(id)) >= this.#siblingLimit(isClaim, member)) ||
      (member !== null && !(isSameKind && old.live && networkOf(old.target) === networkOf(target)) && (this.#perGroupAndNetwork.get(groupAndNetwork(id, target)) ?? 0) >= TRIGGERS_PER_GROUP_AND_NETWORK) ||
      (isClaim && this.#hasClaimsBeside(id, target))
    );
  }

  #siblingLimit(isClaim: boolean, member: Uint8Array | null): number {
    if (isClaim) return this.#limits.claimsPerName ?? 0;
    return member === null ? LIMITS.triggersPerRingKey : TRIGGERS_PER_GROUP;
  }

  #accountsOf(isReplica: boolean): SourceAccounts {
    return isReplica ? this.#accounts.replicas : this.#accounts.own;
  }

  /** So that neither one machine nor one subscriber can keep all others from a name. */
  #hasClaimsBeside(id: Uint8Array, target: Locator): boolean {
    const others = this.#siblings(bytesKey(ringKey(id))).filter((slot) => !sameBytes(this.#slots.id(slot), id)).map((slot) => this.#slots.target(slot));
    const ofNetwork = others.filter((other) => networkOf(other) === networkOf(target)).length;
    return others.some((other) => sourceOf(other) === sourceOf(target)) || ofNetwork >= Math.max(1, (this.#limits.claimsPerName ?? 0) * CLAIMS_SHARE_OF_NETWORK);
  }

  /** How many live triggers a ring key has. */
  siblingCount(key: Uint8Array): number {
    let count = 0;
    for (let slot = this.#byRingKey.get(bytesKey(key)) ?? NO_SLOT; slot !== NO_SLOT; slot = this.#slots.sibling(slot)) count += 1;
    return count;
  }

  /** Slots of the live triggers of a ring key, in order of insertion. */
  #siblings(ringKeyText: string): readonly number[] {
    const slots: number[] = [];
    for (let slot = this.#byRingKey.get(ringKeyText) ?? NO_SLOT; slot !== NO_SLOT; slot = this.#slots.sibling(slot)) slots.push(slot);
    return slots.reverse();
  }

  /** Stores or replaces a live trigger. False when the engine's table is full; nothing is changed then. */
  insert(nowMs: number, trigger: NewTrigger): boolean {
    const key = recordKey(trigger);
    const old = this.get(trigger);
    const text = bytesKey(ringKey(trigger.id));
    // What it has from before, as from a ring that has merged with this one, stays in use.
    if (this.#host.isNew() && isShared(trigger) && !trigger.isReplica && !this.#some(text, (slot) => !this.#slots.isReplica(slot))) this.#held.add(text);
    // Field by field: a spread of so many costs a microsecond.
    const { id, target, stack, counter, commitment, isClaim, member, lastMs, isReplica, shortcut } = trigger;
    this.#store(key, { id, live: true, target, stack, counter, commitment, token: commitment, index: 0, endMs: endOf(nowMs, trigger), isClaim, member, lastMs, isReplica, shortcut });
    if (this.#program(trigger.id)) return true;
    this.#drop(key);
    if (old !== undefined) this.#store(key, old);
    return false;
  }

  /** The trigger stops at once; `counter` is remembered. `target`: on whose account. */
  remove(nowMs: number, trigger: NewTrigger): void {
    if (this.#bury(nowMs, trigger)) this.#program(trigger.id);
  }

  /** Returns whether it was live. */
  #bury(nowMs: number, { id, target, stack, counter, commitment, isClaim, member, lastMs, isReplica, shortcut }: NewTrigger): boolean {
    const key = recordKey({ id, member });
    const slot = this.#named.get(key);
    const wasLive = slot !== undefined && this.#slots.isLive(slot);
    this.#store(key, { id, target, stack, counter, commitment, isClaim, member, lastMs, isReplica, shortcut, live: false, token: commitment, index: 0, endMs: nowMs + COUNTER_MEMORY_MS });
    return wasLive;
  }

  /** `record`: a live one, as {@link get} has just given it. Returns its new end. */
  refresh(nowMs: number, record: TriggerRecord, index: number, token: Uint8Array): number {
    const slot = this.#named.get(recordKey(record));
    if (slot === undefined) throw new RangeError("no such trigger");
    const endMs = endOf(nowMs, record);
    if (record.lastMs !== Infinity) this.#early.remove(record.endMs, slot);
    this.#putBehind(slot, index, token, endMs);
    const renewed = { ...record, index, token, endMs };
    if (isLeased(renewed)) this.#lease(renewed);
    if (endsEarly({ endMs, lastMs: record.lastMs })) this.#early.add(endMs, slot);
    return endMs;
  }

  /** Takes in which triggers the engine has refreshed; returns how often. Before anything is put behind them. */
  learn(nowMs: number): number {
    let times = 0;
    for (let told = this.#datapath.takeRefreshed(); told.length > 0; told = this.#datapath.takeRefreshed()) {
      for (const refreshed of told) {
        const slot = this.#named.get(bytesKey(refreshed.id));
        if (slot === undefined || !this.#slots.isLive(slot)) continue;
        // The engine may be some milliseconds ahead: the list stays in order.
        this.#putBehind(slot, refreshed.index, refreshed.token, Math.min(nowMs, refreshed.atMs) + TRIGGER_LIFE_MS);
        times += refreshed.times;
      }
    }
    return times;
  }

  #putBehind(slot: number, index: number, token: Uint8Array, endMs: number): void {
    this.#slots.refresh(slot, index, token, endMs);
    this.#slots.remove(this.#live, slot);
    this.#slots.append(this.#live, slot);
  }

  /** Ends what is over; returns how many triggers that were. */
  expire(nowMs: number): number {
    if (this.deadlineMs() > nowMs) return 0;
    let expired = 0;
    const changed = new Map<string, Uint8Array>();
    const end = (slot: number): void => {
      const record = this.#slots.read(slot);
      this.#bury(nowMs, record);
      changed.set(bytesKey(ringKey(record.id)), record.id);
      expired += 1;
    };
    for (const slot of this.#early.due(nowMs)) end(slot);
    while (this.#live.first !== NO_SLOT && this.#slots.endMs(this.#live.first) <= nowMs) end(this.#live.first);
    for (const id of changed.values()) this.#program(id);
    while (this.#gone.first !== NO_SLOT && this.#slots.endMs(this.#gone.first) <= nowMs) this.#drop(recordKey(this.#slots.read(this.#gone.first)));
    return expired;
  }

  deadlineMs(): number {
    const first = (list: SlotList): number => (list.first === NO_SLOT ? Infinity : this.#slots.endMs(list.first));
    return Math.min(first(this.#live), first(this.#gone), this.#early.deadlineMs());
  }

  /** In the place of what has this key. */
  #store(key: string, record: TriggerRecord): void {
    this.#drop(key);
    this.#accountsOf(record.isReplica).take(accountOf(record.target));
    const slot = this.#slots.add(record);
    this.#named.set(key, slot);
    this.#slots.append(record.live ? this.#live : this.#gone, slot);
    if (!record.live) return;
    this.#liveCount += 1;
    if (isLeased(record)) this.#lease(record);
    if (endsEarly(record)) this.#early.add(record.endMs, slot);
    if (record.member !== null) add(this.#perGroupAndNetwork, groupAndNetwork(record.id, record.target), 1);
    const ringKeyText = bytesKey(ringKey(record.id));
    if (record.isReplica) this.#countReplica(ringKeyText, 1);
    this.#slots.setSibling(slot, this.#byRingKey.get(ringKeyText) ?? NO_SLOT);
    this.#byRingKey.set(ringKeyText, slot);
  }

  #drop(key: string): void {
    const slot = this.#named.get(key);
    if (slot === undefined) return;
    const { id, live, target, index, endMs, lastMs, member, isReplica } = this.#slots.read(slot);
    this.#named.delete(key);
    this.#accountsOf(isReplica).give(accountOf(target));
    this.#slots.remove(live ? this.#live : this.#gone, slot);
    if (live) {
      this.#liveCount -= 1;
      if (isLeased({ member, lastMs, index })) this.#datapath.setLease(id, null);
      if (lastMs !== Infinity) this.#early.remove(endMs, slot);
      if (member !== null) add(this.#perGroupAndNetwork, groupAndNetwork(id, target), -1);
      const ringKeyText = bytesKey(ringKey(id));
      if (isReplica) this.#countReplica(ringKeyText, -1);
      this.#unlink(ringKeyText, slot);
    }
    this.#slots.free(slot);
  }

  /** From the siblings of its ring key. */
  #unlink(ringKeyText: string, slot: number): void {
    const next = this.#slots.sibling(slot);
    let before = this.#byRingKey.get(ringKeyText) ?? NO_SLOT;
    if (before === slot) {
      if (next === NO_SLOT) this.#byRingKey.delete(ringKeyText);
      else this.#byRingKey.set(ringKeyText, next);
      return;
    }
    while (this.#slots.sibling(before) !== slot) before = this.#slots.sibling(before);
    this.#slots.setSibling(before, next);
  }

  /** From now on the engine answers its refreshes; one that has no room hands them up. */
  #lease({ id, target: owner, token, index, endMs, isReplica }: TriggerRecord): void {
    try {
      this.#datapath.setLease(id, { owner, token, index, endMs, isReplica });
    } catch (error) {
      if (!(error instanceof DatapathError)) throw error;
    }
  }

  #countReplica(ringKeyText: string, by: 1 | -1): void {
    const replicas = this.#replicas.get(ringKeyText) ?? { count: 0, isServed: false };
    replicas.count += by;
    this.#replicaCount += by;
    if (replicas.count === 0) this.#replicas.delete(ringKeyText);
    else this.#replicas.set(ringKeyText, replicas);
  }

  /** `id`: or its ring key. */
  #program(id: Uint8Array): boolean {
    const replicas = this.#replicas.get(bytesKey(ringKey(id)));
    const isServed = replicas !== undefined && this.#areServed(ringKey(id));
    try {
      this.#datapath.setTriggers(ringKey(id), this.#deliveredBy(id, isServed).map((slot) => this.#entryOf(slot)));
      if (replicas !== undefined) replicas.isServed = isServed;
      return true;
    } catch (error) {
      if (error instanceof DatapathError) return false;
      throw error;
    }
  }

  /** Slots of the triggers that packets for a ring key go by. `id`: or its ring key. */
  #deliveredBy(id: Uint8Array, withReplicas: boolean): readonly number[] {
    const text = bytesKey(ringKey(id));
    const isHeld = this.#held.has(text);
    return this.#siblings(text).filter((slot) => (this.#slots.isReplica(slot) ? withReplicas : !isHeld));
  }

  /** Where packets for an id go, when that is one address alone, by a trigger whose owner allows that senders are told. */
  shortcutOf(id: Uint8Array): Locator | null {
    const isServed = this.#replicas.get(bytesKey(ringKey(id)))?.isServed === true;
    const [nearest, second] = nearestTo(id, this.#deliveredBy(id, isServed).map((slot) => ({ slot, id: this.#slots.id(slot) })));
    if (nearest === undefined || second !== undefined || this.#slots.isClaim(nearest.slot)) return null;
    return this.#slots.allowsShortcut(nearest.slot) && this.#slots.stack(nearest.slot) === null ? this.#slots.target(nearest.slot) : null;
  }

  #entryOf(slot: number): TriggerEntry {
    const id = this.#slots.id(slot);
    const stack = this.#slots.stack(slot);
    return { id: this.#slots.isClaim(slot) ? nameIdBehind(id) : id, target: stack === null ? { kind: "locator", locator: this.#slots.target(slot) } : { kind: "stack", ids: stack } };
  }
}

/** From its first refresh on, so that an insert costs no more. Not a member's, which names its key, nor what ends by itself: it lives no full life from its refresh. */
const isLeased = ({ member, lastMs, index }: Pick<TriggerRecord, "member" | "lastMs" | "index">): boolean => member === null && lastMs === Infinity && index > 0;

/** Those at the one id that is nearest by XOR, and so has the longest prefix in common (docs/wire.md §2). */
function nearestTo<T extends { readonly id: Uint8Array }>(id: Uint8Array, triggers: readonly T[]): readonly T[] {
  const distance = (trigger: T): Buffer => Buffer.from(trigger.id.map((byte, i) => byte ^ (id[i] as number)));
  const nearest = triggers.reduce<Buffer | null>((best, trigger) => (best === null || Buffer.compare(distance(trigger), best) < 0 ? distance(trigger) : best), null);
  return nearest === null ? [] : triggers.filter((trigger) => distance(trigger).equals(nearest));
}

const isShared = ({ member, isClaim }: Pick<TriggerRecord, "member" | "isClaim">): boolean => member !== null || isClaim;

const recordKey = ({ id, member }: TriggerName): string => (member === null ? bytesKey(id) : bytesKey(id) + bytesKey(member));

const groupAndNetwork = (id: Uint8Array, target: Locator): string => bytesKey(ringKey(id)) + networkOf(target);

const endOf = (nowMs: number, { lastMs }: Pick<TriggerRecord, "lastMs">): number =>
  lastMs >= nowMs + TRIGGER_LIFE_MS ? nowMs + TRIGGER_LIFE_MS : EarlyEnds.round(lastMs);

/** Sooner than in the order of `#live`. */
const endsEarly = ({ endMs, lastMs }: Pick<TriggerRecord, "endMs" | "lastMs">): boolean => lastMs !== Infinity && endMs === EarlyEnds.round(lastMs);

function add(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

/** The id to which packets for a name are sent: that of a claim, with a suffix of zeros. */
function nameIdBehind(claim: Uint8Array): Uint8Array {
  const id = new Uint8Array(ID_BYTES);
  id.set(ringKey(claim));
  return id;
}

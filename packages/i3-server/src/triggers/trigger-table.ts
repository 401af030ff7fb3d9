/** Triggers and the counters of those that are gone: bounded by source, by ring key and over all; each ends by itself. */
import { bytesKey, ID_BYTES, ringKey, type Locator } from "@i3/common";
import { DatapathError, LIMITS, type Datapath, type TriggerEntry } from "@i3/datapath";

import { COUNTER_MEMORY_MS, TRIGGER_LIFE_MS, TRIGGERS_PER_GROUP, TRIGGERS_PER_GROUP_AND_SOURCE } from "./constants.js";
import { EarlyEnds } from "./early-ends.js";
import { sourceOf } from "./source-rate.js";

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
}

/** One of the live triggers of a ring key. */
interface Sibling {
  readonly entry: TriggerEntry;
  readonly isReplica: boolean;
}

/** Which trigger: of a group, each member has its own at one id. */
export type TriggerName = Pick<TriggerRecord, "id" | "member">;

/** What a signed request says of a trigger. */
export type NewTrigger = Pick<TriggerRecord, "id" | "target" | "stack" | "counter" | "commitment" | "isClaim" | "member" | "lastMs" | "isReplica">;

export interface TriggerLimits {
  /** Records over all, live and gone; half of them may be replicas. */
  readonly triggers: number;
  /** Records of one source (sourceOf), and as many replicas. */
  readonly perSource: number;
  /** Claims to one name at a time, each of another source; 0: none are taken. @default 0 */
  readonly claimsPerName?: number;
}

export class TriggerTable {
  readonly #datapath: Pick<Datapath, "setTriggers">;
  readonly #limits: TriggerLimits;
  /** In order of insertion and refresh, and so of their end: every life has the same length, but for those in `#early`. */
  readonly #live = new Map<string, TriggerRecord>();
  readonly #gone = new Map<string, TriggerRecord>();
  readonly #early = new EarlyEnds();
  readonly #perSource = new Map<string, number>();
  /** Ring key of a group and source → live triggers. */
  readonly #perGroupAndSource = new Map<string, number>();
  /** Ring key → live ids → what the engine gets: kept ready, since a key may have thousands of suffixes. */
  readonly #byRingKey = new Map<string, Map<string, Sibling>>();
  /** Ring keys with live replicas → how many, and whether the engine has them. */
  readonly #replicas = new Map<string, { count: number; isServed: boolean }>();
  #replicaCount = 0;
  readonly #serves: (ringKey: Uint8Array) => boolean;

  /** `serves`: whether packets for a ring key go by its replicas. */
  constructor(datapath: Pick<Datapath, "setTriggers">, limits: TriggerLimits, serves: (ringKey: Uint8Array) => boolean) {
    this.#datapath = datapath;
    this.#limits = limits;
    this.#serves = serves;
  }

  /** Live ones, whether they are served or not. */
  get replicaCount(): number {
    return this.#replicaCount;
  }

  /** Who is responsible has changed: replicas come into use, or go out of it. Returns how many came. */
  serveReplicas(): number {
    let taken = 0;
    for (const [text, replicas] of this.#replicas) {
      const key = Buffer.from(text, "latin1");
      const isServed = this.#serves(key);
      if (isServed === replicas.isServed) continue;
      if (this.#program(key) && isServed) taken += replicas.count;
    }
    return taken;
  }

  get liveCount(): number {
    return this.#live.size;
  }

  get(name: TriggerName): TriggerRecord | undefined {
    const key = recordKey(name);
    return this.#live.get(key) ?? this.#gone.get(key);
  }

  /** Whether claims to names are taken at all. */
  get takesClaims(): boolean {
    return (this.#limits.claimsPerName ?? 0) > 0;
  }

  /** Whether a record for `id` from `target` would go beyond a limit. */
  isFull({ id, target, isClaim, member, isReplica }: Pick<TriggerRecord, "id" | "target" | "isClaim" | "member" | "isReplica">): boolean {
    const old = this.get({ id, member });
    const account = accountOf({ target, isReplica });
    const sameSource = old !== undefined && accountOf(old) === account;
    const siblings = this.#byRingKey.get(bytesKey(ringKey(id)))?.size ?? 0;
    return (
      (old === undefined && this.#live.size + this.#gone.size >= this.#limits.triggers) ||
      (!sameSource && (this.#perSource.get(account) ?? 0) >= this.#limits.perSource) ||
      (isReplica && old?.isReplica !== true && this.#replicaCount >= this.#limits.triggers / 2) ||
      (old?.live !== true && siblings >= this.#siblingLimit(isClaim, member)) ||
      (member !== null && !(sameSource && old.live) && (this.#perGroupAndSource.get(groupAndSource(id, target)) ?? 0) >= TRIGGERS_PER_GROUP_AND_SOURCE) ||
      (isClaim && this.#hasClaimBeside(id, target))
    );
  }

  #siblingLimit(isClaim: boolean, member: Uint8Array | null): number {
    if (isClaim) return this.#limits.claimsPerName ?? 0;
    return member === null ? LIMITS.triggersPerRingKey : TRIGGERS_PER_GROUP;
  }

  /** So that one machine cannot keep all others from a name. */
  #hasClaimBeside(id: Uint8Array, target: Locator): boolean {
    const own = bytesKey(id);
    return [...(this.#byRingKey.get(bytesKey(ringKey(id))) ?? [])].some(([key]) => key !== own && sourceOf((this.#live.get(key) as TriggerRecord).target) === sourceOf(target));
  }

  /** Stores or replaces a live trigger. False when the engine's table is full; nothing is changed then. */
  insert(nowMs: number, trigger: NewTrigger): boolean {
    const key = recordKey(trigger);
    const old = this.get(trigger);
    const record = { ...trigger, live: true, token: trigger.commitment, index: 0, endMs: endOf(nowMs, trigger) };
    this.#store(key, old, record);
    if (this.#program(trigger.id)) return true;
    this.#drop(key, record);
    if (old !== undefined) this.#store(key, undefined, old);
    return false;
  }

  /** The trigger stops at once; `counter` is remembered. `target`: on whose account. */
  remove(nowMs: number, trigger: NewTrigger): void {
    if (this.#bury(nowMs, trigger)) this.#program(trigger.id);
  }

  /** Returns whether it was live. */
  #bury(nowMs: number, { id, target, stack, counter, commitment, isClaim, member, lastMs, isReplica }: NewTrigger): boolean {
    const old = this.get({ id, member });
    const endMs = nowMs + COUNTER_MEMORY_MS;
    this.#store(recordKey({ id, member }), old, { id, target, stack, counter, commitment, isClaim, member, lastMs, isReplica, live: false, token: commitment, index: 0, endMs });
    return old?.live === true;
  }

  refresh(nowMs: number, record: TriggerRecord, index: number, token: Uint8Array): void {
    const key = recordKey(record);
    const renewed = { ...record, index, token, endMs: endOf(nowMs, record) };
    this.#early.remove(record.endMs, key);
    this.#live.delete(key);
    this.#live.set(key, renewed);
    if (endsEarly(renewed)) this.#early.add(renewed.endMs, key);
  }

  /** Ends what is over; returns how many triggers that were. */
  expire(nowMs: number): number {
    let expired = 0;
    const changed = new Map<string, Uint8Array>();
    const end = (record: TriggerRecord): void => {
      this.#bury(nowMs, record);
      changed.set(bytesKey(ringKey(record.id)), record.id);
      expired += 1;
    };
    for (const key of this.#early.due(nowMs)) end(this.#live.get(key) as TriggerRecord);
    for (const record of this.#live.values()) {
      if (record.endMs > nowMs) break;
      end(record);
    }
    for (const id of changed.values()) this.#program(id);
    for (const [key, record] of this.#gone) {
      if (record.endMs > nowMs) break;
      this.#drop(key, record);
    }
    return expired;
  }

  deadlineMs(): number {
    const first = (records: Map<string, TriggerRecord>): number => {
      for (const { endMs } of records.values()) return endMs;
      return Infinity;
    };
    return Math.min(first(this.#live), first(this.#gone), this.#early.deadlineMs());
  }

  #store(key: string, old: TriggerRecord | undefined, record: TriggerRecord): void {
    if (old !== undefined) this.#drop(key, old);
    add(this.#perSource, accountOf(record), 1);
    if (!record.live) {
      this.#gone.set(key, record);
      return;
    }
    this.#live.set(key, record);
    if (endsEarly(record)) this.#early.add(record.endMs, key);
    if (record.member !== null) add(this.#perGroupAndSource, groupAndSource(record.id, record.target), 1);
    const ringKeyText = bytesKey(ringKey(record.id));
    const sibling: Sibling = { entry: entryOf(record), isReplica: record.isReplica };
    if (record.isReplica) this.#countReplica(ringKeyText, 1);
    const siblings = this.#byRingKey.get(ringKeyText);
    if (siblings === undefined) this.#byRingKey.set(ringKeyText, new Map([[key, sibling]]));
    else siblings.set(key, sibling);
  }

  #drop(key: string, record: TriggerRecord): void {
    add(this.#perSource, accountOf(record), -1);
    this.#gone.delete(key);
    if (!this.#live.delete(key)) return;
    this.#early.remove(record.endMs, key);
    if (record.member !== null) add(this.#perGroupAndSource, groupAndSource(record.id, record.target), -1);
    const ringKeyText = bytesKey(ringKey(record.id));
    if (record.isReplica) this.#countReplica(ringKeyText, -1);
    const siblings = this.#byRingKey.get(ringKeyText);
    siblings?.delete(key);
    if (siblings?.size === 0) this.#byRingKey.delete(ringKeyText);
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
    const text = bytesKey(ringKey(id));
    const replicas = this.#replicas.get(text);
    const isServed = replicas !== undefined && this.#serves(ringKey(id));
    const all = [...(this.#byRingKey.get(text)?.values() ?? [])];
    try {
      this.#datapath.setTriggers(ringKey(id), all.flatMap(({ entry, isReplica }) => (isReplica && !isServed ? [] : [entry])));
      if (replicas !== undefined) replicas.isServed = isServed;
      return true;
    } catch (error) {
      if (error instanceof DatapathError) return false;
      throw error;
    }
  }
}

const recordKey = ({ id, member }: TriggerName): string => (member === null ? bytesKey(id) : bytesKey(id) + bytesKey(member));

const entryOf = ({ id, target, stack, isClaim }: TriggerRecord): TriggerEntry =>
  ({ id: isClaim ? nameIdBehind(id) : id, target: stack === null ? { kind: "locator", locator: target } : { kind: "stack", ids: stack } });

const groupAndSource = (id: Uint8Array, target: Locator): string => bytesKey(ringKey(id)) + sourceOf(target);

/** Replicas have an account of their own, so that a ring's change leaves a client's quota as it was. */
const accountOf = ({ target, isReplica }: Pick<TriggerRecord, "target" | "isReplica">): string => (isReplica ? `replica ${sourceOf(target)}` : sourceOf(target));

const endOf = (nowMs: number, { lastMs }: Pick<TriggerRecord, "lastMs">): number =>
  lastMs >= nowMs + TRIGGER_LIFE_MS ? nowMs + TRIGGER_LIFE_MS : EarlyEnds.round(lastMs);

/** Sooner than in the order of `#live`. */
const endsEarly = ({ endMs, lastMs }: TriggerRecord): boolean => lastMs !== Infinity && endMs === EarlyEnds.round(lastMs);

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

/**
 * The keys whose private ids peers share (docs/wire.md §2): the first, and nearer ones that were found later (paper §4.2). New mappings get ids of the
 * newest that is in the ring; living ones keep theirs, and so the trigger of each key stays while a mapping uses it. One trigger serves all ids of a key.
 */
import { bytesKey, privateId, ringKey, sameLocator, SUFFIX_BYTES, type Locator } from "@i3/common";
import type { TriggerKey } from "@i3/hip";
import type { I3Client } from "@i3/i3-client";

/** As the client looks for near keys: what is not farther than this is near enough to stay. */
const NEAR_FACTOR = 1.5;
const NEAR_MS = 2;
/** Both the key in use and the one that is ready are at far servers, as after a move to another network: another is looked for, this often at most. */
const REDRAW_MS = 600_000;
/** Beside the first: while so many are in use no other is taken. */
export const MAX_NEARER_KEYS = 4;

export interface SharedKeysEnvironment {
  readonly first: TriggerKey;
  /** Of earlier runs, oldest first. */
  readonly nearer: readonly TriggerKey[];
  /** Told which nearer keys there are, before peers hear of an id of theirs. */
  readonly keep: (nearer: readonly TriggerKey[]) => void;
  readonly client: Pick<I3Client, "insertTrigger" | "removeTrigger" | "triggers" | "servers" | "takeNearKey">;
  readonly randomBytes: (length: number) => Uint8Array;
}

interface SharedKey {
  readonly key: TriggerKey;
  /** Of its trigger; null: it has none now. */
  id: Uint8Array | null;
}

export class SharedKeys {
  readonly #env: SharedKeysEnvironment;
  readonly #first: SharedKey;
  #nearer: SharedKey[];
  #current: SharedKey;
  /** Its trigger is on the way into the ring. */
  #next: SharedKey | null = null;
  /** Where the ids of the key that the client has ready live. */
  #ready: Locator | null = null;
  #redrawMs = -Infinity;

  constructor(environment: SharedKeysEnvironment) {
    this.#env = environment;
    this.#first = { key: environment.first, id: null };
    this.#nearer = environment.nearer.slice(-MAX_NEARER_KEYS).map((key) => ({ key, id: null }));
    this.#current = this.#nearer.at(-1) ?? this.#first;
  }

  /** Of new ids, 16 bytes. */
  get prefix(): Uint8Array {
    return this.#current.key.prefix;
  }

  /** Triggers of all keys; those that nobody uses go with the first {@link sweep}. */
  start(nowMs: number): void {
    for (const shared of this.#all()) this.#insert(nowMs, shared);
  }

  handleNearKey(nowMs: number, server: Locator): void {
    this.#ready = server;
    this.#consider(nowMs);
  }

  handleLive(nowMs: number, id: Uint8Array): void {
    const next = this.#next;
    if (next?.id && bytesKey(next.id) === bytesKey(id)) {
      this.#nearer.push(next);
      this.#env.keep(this.#nearer.map(({ key }) => key));
      this.#current = next;
      this.#next = null;
    } else if (this.#current.id !== null && bytesKey(this.#current.id) === bytesKey(id)) this.#consider(nowMs);
  }

  /** @param used private ids of living mappings */
  sweep(nowMs: number, used: Iterable<Uint8Array>): void {
    const prefixes = new Set(Array.from(used, (id) => bytesKey(ringKey(id))));
    const isUnused = (shared: SharedKey): boolean => shared !== this.#current && shared.id !== null && !prefixes.has(bytesKey(shared.key.prefix));
    const unused = this.#all().filter(isUnused);
    if (unused.length > 0) this.#forget(nowMs, unused);
    this.#consider(nowMs);
  }

  #forget(nowMs: number, unused: readonly SharedKey[]): void {
    for (const shared of unused) {
      if (shared.id !== null) this.#env.client.removeTrigger(nowMs, shared.id);
      shared.id = null;
    }
    const left = this.#nearer.filter((shared) => !unused.includes(shared));
    if (left.length === this.#nearer.length) return;
    this.#nearer = left;
    this.#env.keep(left.map(({ key }) => key));
  }

  /** Takes the key that is ready, when the server of new ids is farther than its. */
  #consider(nowMs: number): void {
    const { client } = this.#env;
    if (this.#next !== null || this.#ready === null || this.#nearer.length >= MAX_NEARER_KEYS) return;
    const hereMs = this.#roundTripMs(nowMs);
    const thereMs = this.#measured(this.#ready);
    if (hereMs === null || thereMs === null) return;
    if (!isFarther(hereMs, thereMs)) return this.#redraw(nowMs, Math.min(hereMs, thereMs));
    const near = client.takeNearKey(nowMs);
    this.#ready = null;
    if (near === null) return;
    this.#next = { key: near.key, id: null };
    this.#insert(nowMs, this.#next);
  }

  /** Gives up the key that is ready, so that the client looks for another, when a server is known that is nearer than those of this and of new ids. */
  #redraw(nowMs: number, ownMs: number): void {
    const alive = this.#env.client.servers().filter(({ liveness }) => liveness === "alive");
    if (nowMs < this.#redrawMs || !isFarther(ownMs, Math.min(...alive.map(({ rttMs }) => rttMs)))) return;
    this.#redrawMs = nowMs + REDRAW_MS;
    this.#ready = null;
    this.#env.client.takeNearKey(nowMs);
  }

  /** To the server of new ids; null: not known. */
  #roundTripMs(nowMs: number): number | null {
    const { id } = this.#current;
    const trigger = id === null ? undefined : this.#env.client.triggers(nowMs).find((kept) => bytesKey(kept.id) === bytesKey(id));
    return trigger?.live === true && trigger.server !== null ? this.#measured(trigger.server) : null;
  }

  #measured(server: Locator): number | null {
    const status = this.#env.client.servers().find(({ locator }) => sameLocator(locator, server));
    return status?.liveness === "alive" ? status.rttMs : null;
  }

  #insert(nowMs: number, shared: SharedKey): void {
    shared.id = privateId(shared.key.prefix, this.#env.randomBytes(SUFFIX_BYTES));
    this.#env.client.insertTrigger(nowMs, shared.id, { kind: "private", key: shared.key });
  }

  #all(): readonly SharedKey[] {
    return [this.#first, ...this.#nearer];
  }
}

const isFarther = (oneMs: number, otherMs: number): boolean => oneMs > otherMs * NEAR_FACTOR + NEAR_MS;

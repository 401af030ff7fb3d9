/**
 * Of which key each private id of a connection is. All ids of one key have one prefix, and so one server, which holds so many triggers of it and no more:
 * beyond that ids are of further keys, which follow from the first one, so that they are the same after a restart. Ids at the end of the stacks that lead
 * here are of keys that no other id is of: while a server joins, a packet can go by another trigger of its id's key (docs/wire.md §4.2), and these all lead here.
 */
import { createHmac } from "node:crypto";

import { bytesKey, privateId, ringKey, sameBytes, SUFFIX_BYTES } from "@i3/common";
import { LIMITS } from "@i3/datapath";
import { triggerKeyFromSeed, triggerKeySeed, type TriggerKey } from "@i3/hip";

/** Triggers of one key at a time: what a server's packet engine holds of one prefix. */
export const TRIGGERS_PER_KEY = LIMITS.triggersPerRingKey;
/** Ids that are drawn of one key at a time; the rest is for removals that are still on their way. */
const DRAWN_PER_KEY = TRIGGERS_PER_KEY - 16;
/** Enough for 1,024 triggers. */
const FURTHER_KEYS = 10;
/** Enough for 512: each is half of what makes a trigger with a stack. */
const INNER_KEYS = 5;
const NEAR_KEYS = 10;
/** Ids that were drawn and are not inserted: the place of the oldest is given away. */
const MAX_DRAWN = 1_024;

export class OwnKeys {
  readonly #first: TriggerKey;
  readonly #random: (length: number) => Uint8Array;
  readonly #further: TriggerKey[] = [];
  readonly #inner: TriggerKey[] = [];
  readonly #near: TriggerKey[] = [];
  /** Prefix → triggers. */
  readonly #inserted = new Map<string, number>();
  /** Ids that were drawn and are not inserted → prefix. */
  readonly #drawn = new Map<string, string>();
  /** Prefix → how many of them. */
  readonly #drawnOf = new Map<string, number>();

  constructor(first: TriggerKey, random: (length: number) => Uint8Array) {
    this.#first = first;
    this.#random = random;
  }

  /** Always the same of one label, of the first key: 128 of these can be inserted at a time. */
  labelled(label: string): Uint8Array {
    return privateId(this.#first.prefix, this.#derived(`i3/1 client id\0${label}`).subarray(0, SUFFIX_BYTES));
  }

  /** Another each time, of the first key that has room. */
  draw(): Uint8Array {
    return this.#drawFrom(FURTHER_KEYS, (index) => this.#furtherKey(index));
  }

  /** Another each time, for the end of a stack that leads here; only the services on it see the id, so it need not be known again after a restart. */
  drawInner(): Uint8Array {
    return this.#drawFrom(INNER_KEYS, (index) => this.#innerKey(index));
  }

  /** The same at a near server; null: another near key is needed first. */
  drawNear(): Uint8Array | null {
    const key = this.#near.find((near) => this.#hasRoom(near)) ?? (this.#near.length < NEAR_KEYS ? undefined : this.#near.at(-1));
    return key === undefined ? null : this.#drawOf(key);
  }

  addNear(key: TriggerKey): void {
    if (this.#near.length < NEAR_KEYS) this.#near.push(key);
  }

  /** Undefined: not an id of this connection. */
  keyOf(id: Uint8Array): TriggerKey | undefined {
    const isOf = (key: TriggerKey): boolean => sameBytes(ringKey(id), key.prefix);
    const known = [this.#first, ...this.#further, ...this.#inner, ...this.#near].find(isOf);
    for (let i = this.#further.length; known === undefined && i < FURTHER_KEYS; i += 1) if (isOf(this.#furtherKey(i))) return this.#further[i];
    return known;
  }

  /** A trigger is to be inserted at an id, of whomever. False: there are as many of this key as servers take. */
  take(id: Uint8Array): boolean {
    if (this.keyOf(id) === undefined) return true;
    const prefix = bytesKey(ringKey(id));
    if ((this.#inserted.get(prefix) ?? 0) >= TRIGGERS_PER_KEY) return false;
    add(this.#inserted, prefix, 1);
    this.#undraw(bytesKey(id));
    return true;
  }

  /** The trigger is gone; only after {@link take}. */
  free(id: Uint8Array): void {
    if (this.keyOf(id) !== undefined) add(this.#inserted, bytesKey(ringKey(id)), -1);
  }

  #hasRoom({ prefix }: TriggerKey): boolean {
    const text = bytesKey(prefix);
    return (this.#inserted.get(text) ?? 0) + (this.#drawnOf.get(text) ?? 0) < DRAWN_PER_KEY;
  }

  /** Of the first of so many keys that has room; of the last, if none has. */
  #drawFrom(keys: number, keyAt: (index: number) => TriggerKey): Uint8Array {
    for (let i = 0; i < keys; i += 1) {
      const key = keyAt(i);
      if (this.#hasRoom(key)) return this.#drawOf(key);
    }
    return this.#drawOf(keyAt(keys - 1));
  }

  #drawOf({ prefix }: TriggerKey): Uint8Array {
    const id = privateId(prefix, this.#random(SUFFIX_BYTES));
    const [oldest] = this.#drawn.keys();
    if (oldest !== undefined && this.#drawn.size >= MAX_DRAWN) this.#undraw(oldest);
    this.#drawn.set(bytesKey(id), bytesKey(prefix));
    add(this.#drawnOf, bytesKey(prefix), 1);
    return id;
  }

  #undraw(idText: string): void {
    const prefix = this.#drawn.get(idText);
    if (prefix === undefined) return;
    this.#drawn.delete(idText);
    add(this.#drawnOf, prefix, -1);
  }

  #furtherKey(index: number): TriggerKey {
    for (let i = this.#further.length; i <= index; i += 1) this.#further.push(triggerKeyFromSeed(this.#derived(`i3/1 client key\0${i}`)));
    return this.#further[index] as TriggerKey;
  }

  #innerKey(index: number): TriggerKey {
    for (let i = this.#inner.length; i <= index; i += 1) this.#inner.push(triggerKeyFromSeed(this.#derived(`i3/1 client inner key\0${i}`)));
    return this.#inner[index] as TriggerKey;
  }

  /** 32 bytes. */
  #derived(what: string): Uint8Array {
    return new Uint8Array(createHmac("sha256", triggerKeySeed(this.#first)).update(what).digest());
  }
}

function add(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

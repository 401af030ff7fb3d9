/** The records that a server keeps: bounded by source and over all, copies for others' keys by a share of their own; each ends by itself. */
import { bytesKey, type SignedRecord } from "@i3/common";

import { SourceAccounts, type Account } from "../triggers/source-accounts.js";
import { COPIES_SHARE, RECORD_SWEEP_MS } from "./constants.js";

export interface RecordLimits {
  /** Records over all. */
  readonly records: number;
  /** Records of one source (sourceOf); of an IPv6 network as many as SourceAccounts says. */
  readonly perSource: number;
}

export interface StoredRecord {
  readonly record: SignedRecord;
  /** On whose account: who put it first. */
  readonly account: Account;
  /** For another server's key. */
  readonly isCopy: boolean;
  readonly endMs: number;
}

export class RecordStore {
  readonly #limits: RecordLimits;
  readonly #stored = new Map<string, StoredRecord>();
  readonly #accounts: SourceAccounts;
  #copies = 0;
  #nextSweepMs = Infinity;

  constructor(limits: RecordLimits) {
    this.#limits = limits;
    this.#accounts = new SourceAccounts(limits.perSource);
  }

  get size(): number {
    return this.#stored.size;
  }

  /** Undefined when there is none, or it has ended. */
  get(nowMs: number, key: Uint8Array): StoredRecord | undefined {
    const stored = this.#stored.get(bytesKey(key));
    return stored === undefined || stored.endMs <= nowMs ? undefined : stored;
  }

  /** Whether one more, or one in the place of what is there for `key`, would go beyond a limit. */
  isFull(key: Uint8Array, account: Account, isCopy: boolean): boolean {
    const old = this.#stored.get(bytesKey(key));
    const { records } = this.#limits;
    return (
      (old === undefined && this.#stored.size >= records) ||
      !this.#accounts.hasRoom(account, old?.account ?? null) ||
      (isCopy && old?.isCopy !== true && this.#copies >= Math.floor(records * COPIES_SHARE))
    );
  }

  /** Stores or replaces; limits are for {@link isFull} to say. */
  set(nowMs: number, key: Uint8Array, stored: StoredRecord): void {
    const text = bytesKey(key);
    this.#drop(text);
    this.#stored.set(text, stored);
    this.#accounts.take(stored.account);
    if (stored.isCopy) this.#copies += 1;
    if (this.#nextSweepMs === Infinity) this.#nextSweepMs = nowMs + RECORD_SWEEP_MS;
  }

  deadlineMs(): number {
    return this.#nextSweepMs;
  }

  /** Drops what has ended, every half minute; returns how many that were. */
  sweep(nowMs: number): number {
    if (nowMs < this.#nextSweepMs) return 0;
    const before = this.#stored.size;
    for (const [text, { endMs }] of this.#stored) if (endMs <= nowMs) this.#drop(text);
    this.#nextSweepMs = this.#stored.size === 0 ? Infinity : nowMs + RECORD_SWEEP_MS;
    return before - this.#stored.size;
  }

  #drop(text: string): void {
    const old = this.#stored.get(text);
    if (old === undefined) return;
    this.#stored.delete(text);
    this.#accounts.give(old.account);
    if (old.isCopy) this.#copies -= 1;
  }
}

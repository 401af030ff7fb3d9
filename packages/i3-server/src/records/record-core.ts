/**
 * The rules by which records come (docs/wire.md §4.3). One message in, at most one reply out; the caller sends it only when it is
 * not larger than the request. Cheapest checks first, every refusal counted.
 */
import { decodeRecord, RECORD_FLAG, REFUSAL, REFUSED_ENDED, recordKey, sameBytes, WireError, type ControlMessage, type Locator, type SignedRecord } from "@i3/common";
import { isRecordSigned } from "@i3/hip";

import type { CounterName, ServerCounters } from "../counters.js";
import { Cookies } from "../triggers/cookies.js";
import { accountOf } from "../triggers/source-accounts.js";
import { SourceRate } from "../triggers/source-rate.js";
import { RECORD_LIFE_MS, RECORD_VERIFICATIONS_PER_SECOND } from "./constants.js";
import { RecordStore, type RecordLimits, type StoredRecord } from "./record-store.js";

export interface RecordCoreInit {
  /** This server's, 16 bytes. */
  readonly nodeKey: Uint8Array;
  readonly counters: ServerCounters;
  readonly limits: RecordLimits;
  /** `length` unpredictable bytes. */
  readonly random: (length: number) => Uint8Array;
  /** Whether a ring key (16 bytes) is this server's. */
  readonly owns: (ringKey: Uint8Array) => boolean;
  /** The next living server on the ring, as who asks reaches it; null: there is none but this, or not for him. */
  readonly successor: (nowMs: number, asker: Locator) => Locator | null;
  /** What the clock on the wall shows at `nowMs`, ms since 1970. */
  readonly wallMs: (nowMs: number) => number;
}

export type RecordRequest = Extract<ControlMessage, { readonly type: "RECORD_PUT" | "RECORD_GET" }>;
type Get = Extract<RecordRequest, { readonly type: "RECORD_GET" }>;
type Put = Extract<RecordRequest, { readonly type: "RECORD_PUT" }>;

const REFUSALS = {
  notResponsible: [REFUSAL.notResponsible, "not-responsible"], badSignature: [REFUSAL.badSignature, "signature"], oldCounter: [REFUSAL.oldCounter, "old-counter"],
  quota: [REFUSAL.quota, "records-full"], unsupported: [REFUSAL.unsupported, "unsupported"], ended: [REFUSED_ENDED, "record-ended"],
} as const satisfies Readonly<Record<string, readonly [number, CounterName]>>;

export class RecordCore {
  readonly #init: RecordCoreInit;
  readonly #store: RecordStore;
  readonly #cookies: Cookies;
  readonly #rate = new SourceRate(RECORD_VERIFICATIONS_PER_SECOND);

  constructor(init: RecordCoreInit) {
    this.#init = init;
    this.#store = new RecordStore(init.limits);
    this.#cookies = new Cookies(init.random);
  }

  get count(): number {
    return this.#store.size;
  }

  deadlineMs(): number {
    return this.#store.deadlineMs();
  }

  handleTimer(nowMs: number): void {
    for (let left = this.#store.sweep(nowMs); left > 0; left -= 1) this.#init.counters.count("records-expired");
  }

  /** The answer to a request, or null. */
  handle(nowMs: number, from: Locator, message: RecordRequest): ControlMessage | null {
    return message.type === "RECORD_GET" ? this.#get(nowMs, from, message) : this.#put(nowMs, from, message);
  }

  #get(nowMs: number, from: Locator, { flags, ringKey }: Get): ControlMessage {
    if (flags !== 0 && flags !== RECORD_FLAG.copy) return this.#refuse("unsupported", ringKey);
    const stored = this.#store.get(nowMs, ringKey);
    if (stored === undefined && flags === 0 && !this.#init.owns(ringKey)) return this.#refuse("notResponsible", ringKey);
    this.#init.counters.count(stored === undefined ? "records-absent" : "records-answered");
    return { type: "RECORD_IS", ringKey, record: stored?.record.bytes ?? null, successor: this.#init.successor(nowMs, from) };
  }

  #put(nowMs: number, from: Locator, message: Put): ControlMessage | null {
    const record = readRecord(message.record);
    if (record === null) {
      this.#init.counters.count("malformed");
      return null;
    }
    const key = recordKey(record);
    const isCopy = message.flags === RECORD_FLAG.copy;
    if (message.flags !== 0 && !isCopy) return this.#refuse("unsupported", key);
    if (!isCopy && !this.#init.owns(key)) return this.#refuse("notResponsible", key);
    if (!this.#cookies.check(nowMs, from, key, message.cookie)) return this.#challenge(nowMs, from, key);
    const endMs = nowMs + Math.min(RECORD_LIFE_MS, record.notAfterS * 1_000 - this.#init.wallMs(nowMs));
    if (endMs <= nowMs) return this.#refuse("ended", key);
    return this.#proved(nowMs, from, key, { record, account: accountOf(from), isCopy: isCopy && !this.#init.owns(key), endMs });
  }

  /** What a proved address puts: not yet known to be signed. */
  #proved(nowMs: number, from: Locator, key: Uint8Array, stored: StoredRecord): ControlMessage | null {
    const { record, account, isCopy } = stored;
    const old = this.#store.get(nowMs, key);
    if (old !== undefined && sameBytes(old.record.bytes, record.bytes)) return this.#repeated(nowMs, from, key, { ...stored, account: old.account, isCopy: old.isCopy && isCopy });
    if (old !== undefined && record.sequence <= old.record.sequence) return this.#refuse("oldCounter", key);
    if (this.#store.isFull(key, account, isCopy)) return this.#refuse("quota", key);
    if (!this.#rate.allowLocator(nowMs, from)) {
      this.#init.counters.count("rate");
      return null;
    }
    if (!isRecordSigned(record)) return this.#refuse("badSignature", key);
    this.#store.set(nowMs, key, stored);
    this.#init.counters.count("records-put");
    return this.#ok(nowMs, from, key, stored);
  }

  /** Lives on, on the account of who put it first: whoever keeps another's record in the ring does that one no harm. */
  #repeated(nowMs: number, from: Locator, key: Uint8Array, stored: StoredRecord): ControlMessage {
    this.#store.set(nowMs, key, stored);
    this.#init.counters.count("records-repeated");
    return this.#ok(nowMs, from, key, stored);
  }

  #ok(nowMs: number, from: Locator, ringKey: Uint8Array, { record, endMs }: StoredRecord): ControlMessage {
    return { type: "RECORD_OK", ringKey, sequence: record.sequence, lifeMs: Math.floor(endMs - nowMs), successor: this.#init.successor(nowMs, from) };
  }

  #challenge(nowMs: number, from: Locator, ringKey: Uint8Array): ControlMessage {
    this.#init.counters.count("record-challenges");
    return { type: "CHALLENGE", ringKey, cookie: this.#cookies.make(nowMs, from, ringKey), observed: from, timeMs: this.#init.wallMs(nowMs), nodeKey: this.#init.nodeKey };
  }

  #refuse(why: keyof typeof REFUSALS, subject: Uint8Array): ControlMessage {
    const [code, counter] = REFUSALS[why];
    this.#init.counters.count(counter);
    return { type: "REFUSED", code, subject };
  }
}

function readRecord(bytes: Uint8Array): SignedRecord | null {
  try {
    return decodeRecord(bytes);
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}

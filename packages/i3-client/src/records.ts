/**
 * Signed records of the ring (docs/wire.md §4.3): those that we keep there, at the responsible server and at its successors, and
 * those that we look for. One state machine for each:
 *
 *     locating ──LOCATED──► at the responsible server ──► at its successor ──► at that one's ──► kept: again in 10 minutes
 *                 ▲              │ no answer, refused        (to find: only while there is none)
 *                 └──────────────┘
 */
import {
  bytesKey, COOKIE_BYTES, decodeRecord, RECORD_FLAG, recordKey, REFUSAL, REFUSED_ENDED, sameBytes, sameLocator, WireError,
  type ControlMessage, type Locator, type SignedRecord,
} from "@i3/common";
import { isRecordSigned } from "@i3/hip";

import type { ClientEnvironment, ClientEvent } from "./environment.js";
import { Questions } from "./questions.js";

// Ours:
/** A record lives an hour on a server: it is put again long before, so that servers that joined have it too. */
const AGAIN_MS = 600_000;
/** A copy is missing, or the store was full: sooner. After other refusals too, twice as long each time more, up to AGAIN_MS: one can be forged, and a true one may not last. */
const SOON_MS = 60_000;
const RETRY_MS = 500;
const MAX_RETRY_MS = 8_000;
/** Rounds in vain after which there is a pause before each other one, twice RETRY_MS and twice as long each time, up to MAX_RETRY_MS: no server may hold us busy. */
const HASTY_ROUNDS = 2;
/** Unanswered requests before another server is asked. */
const TRIES_PER_SERVER = 3;
/** Of a record that is looked for: how often its responsible server is asked for. Longer than a ring needs to see that one has died. */
const FIND_ROUNDS = 4;
/** The responsible server and two after it keep a record. */
const PLACES = 3;
/** It is looked for at so many: several servers may have joined before those that have it. */
const FIND_PLACES = 6;
const MAX_JOBS = 64;

interface Job {
  /** Ring key, 16 bytes. */
  readonly key: Uint8Array;
  /** What is kept; null: it is looked for. */
  readonly record: SignedRecord | null;
  /** What is looked for has at least this sequence. */
  readonly leastSequence: number;
  /** Where we are; null: the responsible server is asked for. */
  server: Locator | null;
  /** Servers before this one that have it, or have it not, in this round. */
  passed: Locator[];
  cookie: Uint8Array;
  tries: number;
  rounds: number;
  /** In a row, for which it rests. */
  refusals: number;
  nextMs: number;
}

/** After a round in vain. */
const pauseMs = ({ record, rounds }: Job): number => (record === null ? RETRY_MS : Math.min(RETRY_MS * 2 ** Math.max(0, rounds - HASTY_ROUNDS), MAX_RETRY_MS));

export class Records {
  readonly #environment: ClientEnvironment;
  readonly #emit: (event: ClientEvent) => void;
  readonly #firstHop: () => Locator | null;
  readonly #kept = new Map<string, Job>();
  readonly #sought = new Map<string, Job>();
  readonly #questions: Questions<Job>;

  constructor(environment: ClientEnvironment, owner: { emit(event: ClientEvent): void; firstHop(): Locator | null }) {
    this.#environment = environment;
    this.#questions = new Questions(environment);
    this.#emit = (event) => owner.emit(event);
    this.#firstHop = () => owner.firstHop();
  }

  /** Keeps a record in the ring until its end; a newer one takes the place of an older. Throws WireError, and RangeError beyond 64 of them. */
  keep(nowMs: number, bytes: Uint8Array): SignedRecord {
    const record = decodeRecord(bytes);
    const key = recordKey(record);
    const old = this.#kept.get(bytesKey(key));
    if (old === undefined && this.#kept.size >= MAX_JOBS) throw new RangeError(`more than ${MAX_JOBS} records`);
    if (old !== undefined) this.#questions.drop(old);
    this.#kept.set(bytesKey(key), this.#job(nowMs, key, record, 0));
    return record;
  }

  /** It is put no more, and ends by itself within the hour. */
  drop(key: Uint8Array): void {
    this.#end(this.#kept, this.#kept.get(bytesKey(key)));
  }

  /** Ends in an event `record`. Throws RangeError beyond 64 at a time. */
  find(nowMs: number, key: Uint8Array, leastSequence: number): void {
    const text = bytesKey(key);
    if (this.#sought.has(text)) return;
    if (this.#sought.size >= MAX_JOBS) throw new RangeError(`more than ${MAX_JOBS} records are looked for`);
    this.#sought.set(text, this.#job(nowMs, key.slice(), null, leastSequence));
  }

  #job(nowMs: number, key: Uint8Array, record: SignedRecord | null, leastSequence: number): Job {
    return { key, record, leastSequence, server: null, passed: [], cookie: new Uint8Array(COOKIE_BYTES), tries: 0, rounds: 0, refusals: 0, nextMs: nowMs };
  }

  /** False when nobody asked. */
  handle(nowMs: number, from: Locator, nonce: Uint8Array, message: ControlMessage): boolean {
    const job = this.#questions.askerOf(from, nonce);
    if (job === undefined) return false;
    switch (message.type) {
      case "LOCATED": return job.server === null && sameBytes(message.ringKey, job.key) && this.#goTo(nowMs, job, message.node.locator);
      case "CHALLENGE": return this.#challenged(nowMs, job, message);
      case "RECORD_OK": return this.#stored(nowMs, job, message);
      case "RECORD_IS": return this.#told(nowMs, job, message);
      case "REFUSED": return this.#refused(nowMs, job, message.code);
      default: return false;
    }
  }

  handleTimer(nowMs: number): void {
    for (const jobs of [this.#kept, this.#sought]) for (const job of jobs.values()) if (job.nextMs <= nowMs) this.#act(nowMs, job);
  }

  nextDeadlineMs(): number {
    let deadline = Infinity;
    for (const jobs of [this.#kept, this.#sought]) for (const { nextMs } of jobs.values()) deadline = Math.min(deadline, nextMs);
    return deadline;
  }

  #act(nowMs: number, job: Job): void {
    const { record } = job;
    if (record !== null && record.notAfterS * 1_000 <= this.#environment.wallMs()) return this.#giveUp(job);
    if (job.server !== null && job.tries >= TRIES_PER_SERVER) {
      if (job.passed.length > 0) return this.#endRound(nowMs, job);
      job.server = null;
      job.tries = 0;
      job.rounds += 1;
      if (record !== null && job.rounds > HASTY_ROUNDS) return this.#rest(job, nowMs + pauseMs(job));
    }
    if (record === null && job.rounds >= FIND_ROUNDS) return this.#found(job, null, "no-answer");
    job.tries += 1;
    job.nextMs = nowMs + (record === null ? RETRY_MS : Math.min(RETRY_MS * 2 ** Math.max(0, job.tries - TRIES_PER_SERVER), MAX_RETRY_MS));
    if (job.server !== null) return this.#questions.ask(job, job.server, this.#request(job));
    // Without an answer to LOCATE a search ends as well.
    if (record === null && job.tries > 1 && (job.tries - 1) % TRIES_PER_SERVER === 0) job.rounds += 1;
    const firstHop = this.#firstHop();
    if (firstHop !== null) this.#questions.ask(job, firstHop, { type: "LOCATE", ringKey: job.key });
  }

  #request({ key, record, passed, cookie }: Job): ControlMessage {
    const flags = passed.length === 0 ? 0 : RECORD_FLAG.copy;
    return record === null ? { type: "RECORD_GET", flags, ringKey: key } : { type: "RECORD_PUT", flags, cookie, record: record.bytes };
  }

  #goTo(nowMs: number, job: Job, server: Locator): true {
    this.#questions.drop(job);
    job.server = server;
    job.cookie = new Uint8Array(COOKIE_BYTES);
    job.tries = 0;
    this.#act(nowMs, job);
    return true;
  }

  /** Tries go on counting: a server that challenges and never takes anything is left after a few. */
  #challenged(nowMs: number, job: Job, message: Extract<ControlMessage, { type: "CHALLENGE" }>): boolean {
    if (job.record === null || job.server === null || !sameBytes(message.ringKey, job.key) || job.tries >= TRIES_PER_SERVER) return false;
    this.#questions.drop(job);
    job.cookie = message.cookie;
    this.#act(nowMs, job);
    return true;
  }

  #stored(nowMs: number, job: Job, message: Extract<ControlMessage, { type: "RECORD_OK" }>): boolean {
    if (job.record === null || job.server === null || !sameBytes(message.ringKey, job.key)) return false;
    return this.#next(nowMs, job, job.server, message.successor);
  }

  #told(nowMs: number, job: Job, message: Extract<ControlMessage, { type: "RECORD_IS" }>): boolean {
    if (job.record !== null || job.server === null || !sameBytes(message.ringKey, job.key)) return false;
    const record = message.record === null ? null : this.#checked(job, message.record);
    if (record === null) return this.#next(nowMs, job, job.server, message.successor);
    this.#found(job, record, "found");
    return true;
  }

  /** What a server says is the record: null when it is another, not signed, ended or older than what we know. */
  #checked({ key, leastSequence }: Job, bytes: Uint8Array): SignedRecord | null {
    try {
      const record = decodeRecord(bytes);
      const isGood = sameBytes(recordKey(record), key) && record.sequence >= leastSequence && record.notAfterS * 1_000 > this.#environment.wallMs() && isRecordSigned(record);
      return isGood ? record : null;
    } catch (error) {
      if (error instanceof WireError) return null;
      throw error;
    }
  }

  /** On to the next server of the ring; a round ends after three, or where the ring closes. */
  #next(nowMs: number, job: Job, done: Locator, successor: Locator | null): true {
    job.passed.push(done);
    if (successor !== null && job.passed.length < (job.record === null ? FIND_PLACES : PLACES) && !job.passed.some((locator) => sameLocator(locator, successor))) return this.#goTo(nowMs, job, successor);
    this.#endRound(nowMs, job, true);
    return true;
  }

  /** `whole`: all places that there are were asked. */
  #endRound(nowMs: number, job: Job, whole = false): void {
    if (job.record === null) return this.#found(job, null, "absent");
    job.rounds = 0;
    job.refusals = 0;
    this.#emit({ kind: "record-kept", ringKey: job.key, servers: job.passed });
    this.#rest(job, nowMs + (whole ? AGAIN_MS : SOON_MS));
  }

  #rest(job: Job, untilMs: number): void {
    this.#questions.drop(job);
    job.server = null;
    job.passed = [];
    job.tries = 0;
    job.nextMs = untilMs;
  }

  #refused(nowMs: number, job: Job, code: number): boolean {
    const { server } = job;
    if (server === null) return false;
    if (job.passed.length > 0) {
      // The responsible server took it, or has none: what its successor does not want to have is no copy.
      this.#endRound(nowMs, job);
      return true;
    }
    switch (code) {
      case REFUSAL.notResponsible:
        job.rounds += 1;
        this.#rest(job, nowMs + pauseMs(job));
        return true;
      case REFUSAL.quota:
        this.#emit({ kind: "record-refused", ringKey: job.key, code });
        this.#rest(job, nowMs + SOON_MS);
        return true;
      default:
        if (job.record === null) this.#found(job, null, "absent");
        else {
          this.#emit({ kind: "record-refused", ringKey: job.key, code });
          this.#rest(job, nowMs + Math.min(SOON_MS * 2 ** job.refusals, AGAIN_MS));
          job.refusals += 1;
        }
        return true;
    }
  }

  /** Past its end, by our own clock: nothing else ends what is kept. */
  #giveUp(job: Job): void {
    this.#end(this.#kept, job);
    this.#emit({ kind: "record-refused", ringKey: job.key, code: REFUSED_ENDED });
  }

  #found(job: Job, record: SignedRecord | null, why: "found" | "absent" | "no-answer"): void {
    this.#end(this.#sought, job);
    this.#emit({ kind: "record", ringKey: job.key, record, why });
  }

  #end(jobs: Map<string, Job>, job: Job | undefined): void {
    if (job === undefined) return;
    this.#questions.drop(job);
    jobs.delete(bytesKey(job.key));
  }
}

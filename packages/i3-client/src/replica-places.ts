/**
 * Whether a server is where another says that triggers have their replicas (docs/wire.md §4.1, 10): it may name anybody. One PING asks for all triggers, three times if
 * need be, at one place of a machine at a time. Who does not answer is let alone for a while, whatever triggers he is named for.
 */
import { locatorKey, remember, sameLocator, sourceKey, type Locator } from "@i3/common";

import type { ClientEnvironment } from "./environment.js";
import { isOnThisMachine } from "./named-places.js";
import { Questions } from "./questions.js";

// Ours:
const PING_EVERY_MS = 500;
const PING_TRIES = 3;
/** Who has answered anything is not asked before. */
const KNOWN_MS = 60_000;
/** So long who was silent is let alone the first time; then twice as long each time, until he is heard. A server that was cut off for a moment gets its replicas back soon. */
const SILENT_MS = 5_000;
const MAX_SILENT_MS = 30_000;
const MAX_CHECKS = 8;
/** Places and machines. */
const MAX_KNOWN = 2_048;
/** More than can be asked, eight at a time, in {@link MAX_SILENT_MS}. */
const MAX_SILENT = 512;

interface Check<Asker> {
  readonly place: Locator;
  readonly machine: string;
  readonly waiting: Set<Asker>;
  tries: number;
  sentMs: number;
}

/** What is flooded by whatever goes there: of this machine one port. */
const machineOf = (place: Locator): string => (isOnThisMachine(place) ? locatorKey(place) : sourceKey(place.address));

interface Rest {
  readonly untilMs: number;
  readonly ms: number;
}

export class ReplicaPlaces<Asker extends object> {
  readonly #questions: Questions<Check<Asker>>;
  /** By machine. */
  readonly #checks = new Map<string, Check<Asker>>();
  readonly #waiting = new Map<Asker, Check<Asker>>();
  /** Places and machines that have answered → until when that counts. */
  readonly #known = new Map<string, number>();
  /** Places, and machines none of whose places is known, that are let alone. */
  readonly #silent = new Map<string, Rest>();

  constructor(environment: ClientEnvironment) {
    this.#questions = new Questions(environment);
  }

  /** Whether it may go there now. If not, {@link handlePong} gives it back when somebody answers there. */
  reach(nowMs: number, asker: Asker, place: Locator): boolean {
    this.leave(asker);
    if (this.#isKnown(nowMs, locatorKey(place))) return true;
    const machine = machineOf(place);
    const check = this.#checks.get(machine) ?? this.#begin(nowMs, place, machine);
    if (check === null || !sameLocator(check.place, place)) return false;
    check.waiting.add(asker);
    this.#waiting.set(asker, check);
    return false;
  }

  /** It waits no more; who is asked is asked to the end. */
  leave(asker: Asker): void {
    this.#waiting.get(asker)?.waiting.delete(asker);
    this.#waiting.delete(asker);
  }

  /** A server there has answered a request of ours. */
  heard(nowMs: number, place: Locator): void {
    for (const key of [locatorKey(place), machineOf(place)]) {
      remember(this.#known, key, nowMs + KNOWN_MS, MAX_KNOWN);
      this.#silent.delete(key);
    }
  }

  /** It was known, and has left requests unanswered. */
  doubt(nowMs: number, place: Locator): void {
    this.#known.delete(locatorKey(place));
    this.#letAlone(nowMs, locatorKey(place));
  }

  /** Who may go there now; null: it answers none of our questions. */
  handlePong(nowMs: number, from: Locator, nonce: Uint8Array): readonly Asker[] | null {
    const check = this.#questions.askerOf(from, nonce);
    if (check === undefined) return null;
    this.heard(nowMs, from);
    return this.#end(check);
  }

  handleTimer(nowMs: number): void {
    for (const check of [...this.#checks.values()]) {
      if (check.sentMs + PING_EVERY_MS > nowMs) continue;
      if (check.tries < PING_TRIES) this.#ping(nowMs, check);
      else {
        this.#letAlone(nowMs, this.#isKnown(nowMs, check.machine) ? locatorKey(check.place) : check.machine);
        this.#end(check);
      }
    }
  }

  nextDeadlineMs(): number {
    let deadline = Infinity;
    for (const { sentMs } of this.#checks.values()) deadline = Math.min(deadline, sentMs + PING_EVERY_MS);
    return deadline;
  }

  #begin(nowMs: number, place: Locator, machine: string): Check<Asker> | null {
    const isLetAlone = this.#isSilent(nowMs, locatorKey(place)) || (this.#isSilent(nowMs, machine) && !this.#isKnown(nowMs, machine));
    if (isLetAlone || this.#checks.size >= MAX_CHECKS) return null;
    const check: Check<Asker> = { place, machine, waiting: new Set(), tries: 0, sentMs: nowMs };
    this.#checks.set(machine, check);
    this.#ping(nowMs, check);
    return check;
  }

  #ping(nowMs: number, check: Check<Asker>): void {
    check.tries += 1;
    check.sentMs = nowMs;
    this.#questions.ask(check, check.place, { type: "PING" });
  }

  #end(check: Check<Asker>): readonly Asker[] {
    this.#questions.drop(check);
    this.#checks.delete(check.machine);
    for (const asker of check.waiting) this.#waiting.delete(asker);
    return [...check.waiting];
  }

  #isKnown(nowMs: number, key: string): boolean {
    return (this.#known.get(key) ?? 0) > nowMs;
  }

  #isSilent(nowMs: number, key: string): boolean {
    return (this.#silent.get(key)?.untilMs ?? 0) > nowMs;
  }

  #letAlone(nowMs: number, key: string): void {
    const ms = Math.min(MAX_SILENT_MS, 2 * (this.#silent.get(key)?.ms ?? SILENT_MS / 2));
    remember(this.#silent, key, { untilMs: nowMs + ms, ms }, MAX_SILENT);
  }
}

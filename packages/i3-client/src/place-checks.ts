/**
 * Asks again where triggers belong (docs/wire.md §4.1, 11): whoever forges one LOCATED, and is the server that it names, could otherwise keep
 * a client with him for ever. By ring key, since ids of one key belong to one server.
 */
import { bytesKey, type ControlMessage, type Locator } from "@i3/common";

import type { ClientEnvironment } from "./environment.js";
import { PlaceQuestions } from "./place-questions.js";

// Ours:
const FIRST_CHECK_MS = 1_000;
const CHECK_MS = 30_000;
const RETRY_MS = 3_000;

interface Place {
  readonly ringKey: Uint8Array;
  nextMs: number;
}

export interface PlaceChecksOwner {
  /** The server of triggers of this key, as far as we know; null: there is none to be checked. */
  serverOf(ringKey: Uint8Array): Locator | null;
  witness(besides: readonly Locator[]): Locator | null;
}

export class PlaceChecks {
  readonly #owner: PlaceChecksOwner;
  readonly #places = new Map<string, Place>();
  readonly #questions: PlaceQuestions<Place>;
  /** Not later than the first deadline; found anew when it has passed. */
  #deadlineMs = Infinity;

  constructor(environment: ClientEnvironment, owner: PlaceChecksOwner) {
    this.#owner = owner;
    this.#questions = new PlaceQuestions(environment, (besides) => owner.witness(besides));
  }

  /** A server was named for this key: asked for soon, and from then on now and then, as long as it has triggers. */
  named(nowMs: number, ringKey: Uint8Array): void {
    const place = this.#places.get(bytesKey(ringKey));
    if (place === undefined) this.#places.set(bytesKey(ringKey), { ringKey: ringKey.slice(), nextMs: nowMs + FIRST_CHECK_MS });
    else place.nextMs = Math.min(place.nextMs, nowMs + FIRST_CHECK_MS);
    this.#deadlineMs = Math.min(this.#deadlineMs, nowMs + FIRST_CHECK_MS);
  }

  /** The server that a key belongs to; null: not what we asked. After a contradiction it is asked for again soon. */
  answer(nowMs: number, from: Locator, nonce: Uint8Array, message: Extract<ControlMessage, { type: "LOCATED" }>): { readonly ringKey: Uint8Array; readonly server: Locator } | null {
    const answer = this.#questions.answer(nowMs, from, nonce, message);
    if (answer === null) return null;
    answer.asker.nextMs = nowMs + (answer.isDisputed ? FIRST_CHECK_MS : CHECK_MS);
    this.#deadlineMs = Math.min(this.#deadlineMs, answer.asker.nextMs);
    return { ringKey: answer.asker.ringKey, server: answer.server };
  }

  handleTimer(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return;
    for (const place of this.#places.values()) if (place.nextMs <= nowMs) this.#check(nowMs, place);
    this.#deadlineMs = Infinity;
    for (const { nextMs } of this.#places.values()) this.#deadlineMs = Math.min(this.#deadlineMs, nextMs);
  }

  nextDeadlineMs(): number {
    return this.#deadlineMs;
  }

  #check(nowMs: number, place: Place): void {
    const server = this.#owner.serverOf(place.ringKey);
    if (server === null) {
      this.#questions.drop(place);
      this.#places.delete(bytesKey(place.ringKey));
      return;
    }
    place.nextMs = nowMs + RETRY_MS;
    this.#questions.ask(nowMs, place, place.ringKey, [server]);
  }
}

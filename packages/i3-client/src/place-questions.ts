/**
 * Where a key belongs, asked of a server by LOCATE beside what servers say of themselves (docs/wire.md §5). Who reads our packets can
 * answer before the server does, but cannot take its answer back: so the last question stays open, and a second answer that names
 * another server is told as a dispute.
 */
import { bytesKey, encodeControl, NONCE_BYTES, sameBytes, sameLocator, type ControlMessage, type Locator } from "@i3/common";

import type { ClientEnvironment } from "./environment.js";

// Ours:
/** Later answers do not count, nor dispute anything. */
const OPEN_MS = 5_000;
/** Each that names another server than the one before; two suffice for a dispute, and the third may be the true one. */
const MAX_ANSWERS = 3;
/** Who did not answer is asked again after this time, or when there is nobody else. */
const SILENT_MS = 60_000;
/** Of a list of servers (at most 32) most may be silent. */
const MAX_SILENT = 32;

interface Question<Asker> {
  readonly asker: Asker;
  readonly ringKey: Uint8Array;
  readonly to: Locator;
  readonly askedMs: number;
  named: Locator | null;
  answers: number;
}

export interface PlaceAnswer<Asker> {
  readonly asker: Asker;
  readonly server: Locator;
  /** The answer before it named another. */
  readonly isDisputed: boolean;
}

export class PlaceQuestions<Asker extends object> {
  readonly #environment: ClientEnvironment;
  readonly #byNonce = new Map<string, Question<Asker>>();
  readonly #nonces = new Map<Asker, string>();

  readonly #witness: (besides: readonly Locator[]) => Locator | null;
  /** Who was asked lately, for whatever key, and did not answer; since when, the oldest first. */
  #silent: { readonly locator: Locator; readonly sinceMs: number }[] = [];

  /** `witness`: a living server that is none of these; null: there is none. */
  constructor(environment: ClientEnvironment, witness: (besides: readonly Locator[]) => Locator | null) {
    this.#environment = environment;
    this.#witness = witness;
  }

  /** Asks a witness that is none of `besides`, nor was silent lately; in the place of the asker's last question, which stays open when there is nobody to ask. */
  ask(nowMs: number, asker: Asker, ringKey: Uint8Array, besides: readonly Locator[]): void {
    this.#noteSilence(nowMs, asker);
    const to = this.#choose(nowMs, besides);
    if (to === null) return;
    this.drop(asker);
    const nonce = this.#environment.randomBytes(NONCE_BYTES);
    this.#nonces.set(asker, bytesKey(nonce));
    this.#byNonce.set(bytesKey(nonce), { asker, ringKey, to, askedMs: nowMs, named: null, answers: 0 });
    this.#environment.datapath.send([{ locator: to, bytes: encodeControl({ type: "LOCATE", ringKey }, nonce) }]);
  }

  /** Null when it answers nothing, says again what was said, or is one too many. */
  answer(nowMs: number, from: Locator, nonce: Uint8Array, message: Extract<ControlMessage, { type: "LOCATED" }>): PlaceAnswer<Asker> | null {
    const question = this.#byNonce.get(bytesKey(nonce));
    if (question === undefined || nowMs - question.askedMs > OPEN_MS || !sameLocator(question.to, from) || !sameBytes(question.ringKey, message.ringKey)) return null;
    const server = message.node.locator;
    const { asker, named } = question;
    if (question.answers >= MAX_ANSWERS || (named !== null && sameLocator(named, server))) return null;
    question.named = server;
    question.answers += 1;
    return { asker, server, isDisputed: named !== null };
  }

  drop(asker: Asker): void {
    this.#byNonce.delete(this.#nonces.get(asker) ?? "");
    this.#nonces.delete(asker);
  }

  /** Whom this asker asked last, when he has not answered. */
  #noteSilence(nowMs: number, asker: Asker): void {
    const question = this.#byNonce.get(this.#nonces.get(asker) ?? "");
    if (question === undefined || question.named !== null) return;
    this.#silent = [...this.#silent.filter(({ locator }) => !sameLocator(locator, question.to)), { locator: question.to, sinceMs: nowMs }].slice(-MAX_SILENT);
  }

  /** When all others were silent: who was so longest ago. */
  #choose(nowMs: number, besides: readonly Locator[]): Locator | null {
    this.#silent = this.#silent.filter(({ sinceMs }) => nowMs - sinceMs < SILENT_MS);
    for (let forgiven = 0; forgiven < this.#silent.length; forgiven += 1) {
      const avoided = [...besides, ...this.#silent.slice(forgiven).map(({ locator }) => locator)];
      const to = this.#witness(avoided);
      // The first hop, in want of another, is one of those.
      if (to !== null && !avoided.some((other) => sameLocator(other, to))) return to;
    }
    return this.#witness(besides);
  }
}

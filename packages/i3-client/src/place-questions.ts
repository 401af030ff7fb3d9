/**
 * Where a key belongs, asked of a server by LOCATE beside what servers say of themselves (docs/wire.md §5). Who reads our packets can
 * answer before the server does, but cannot take its answer back: so the last question stays open, and a second answer that names
 * another server is told as a dispute.
 */
import { bytesKey, encodeControl, NONCE_BYTES, sameBytes, sameLocator, type ControlMessage, type Locator } from "@i3/common";

import type { ClientEnvironment } from "./environment.js";

/** Ours: later answers do not count, nor dispute anything. */
const OPEN_MS = 5_000;

interface Question<Asker> {
  readonly asker: Asker;
  readonly ringKey: Uint8Array;
  readonly to: Locator;
  readonly askedMs: number;
  named: Locator | null;
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

  /** `witness`: a living server that is none of these; null: there is none. */
  constructor(environment: ClientEnvironment, witness: (besides: readonly Locator[]) => Locator | null) {
    this.#environment = environment;
    this.#witness = witness;
  }

  /** Asks a witness that is none of `besides`, nor the one of the last time if that was silent; in the place of the asker's last question, which stays open when there is nobody to ask. */
  ask(nowMs: number, asker: Asker, ringKey: Uint8Array, besides: readonly Locator[]): void {
    const silent = this.#silent(asker);
    const to = this.#witness(silent === null ? besides : [...besides, silent]);
    if (to === null) return;
    this.drop(asker);
    const nonce = this.#environment.randomBytes(NONCE_BYTES);
    this.#nonces.set(asker, bytesKey(nonce));
    this.#byNonce.set(bytesKey(nonce), { asker, ringKey, to, askedMs: nowMs, named: null });
    this.#environment.datapath.send([{ locator: to, bytes: encodeControl({ type: "LOCATE", ringKey }, nonce) }]);
  }

  /** Null when it answers nothing, or says again what was said. */
  answer(nowMs: number, from: Locator, nonce: Uint8Array, message: Extract<ControlMessage, { type: "LOCATED" }>): PlaceAnswer<Asker> | null {
    const question = this.#byNonce.get(bytesKey(nonce));
    if (question === undefined || nowMs - question.askedMs > OPEN_MS || !sameLocator(question.to, from) || !sameBytes(question.ringKey, message.ringKey)) return null;
    const server = message.node.locator;
    const { asker, named } = question;
    if (named !== null && sameLocator(named, server)) return null;
    question.named = server;
    return { asker, server, isDisputed: named !== null };
  }

  drop(asker: Asker): void {
    this.#byNonce.delete(this.#nonces.get(asker) ?? "");
    this.#nonces.delete(asker);
  }

  /** Who was asked last, and has not answered; null: nobody. */
  #silent(asker: Asker): Locator | null {
    const question = this.#byNonce.get(this.#nonces.get(asker) ?? "");
    return question === undefined || question.named !== null ? null : question.to;
  }
}

/** Requests whose answers are awaited: one counts only with the nonce of a request, and from whom that was sent to. */
import { bytesKey, encodeControl, NONCE_BYTES, sameLocator, type ControlMessage, type Locator } from "@i3/common";

import type { ClientEnvironment } from "./environment.js";

/** Of one asker, to which a late answer still counts: on a path slower than its pause between two requests, all answers are late. */
const MAX_QUESTIONS = 8;

interface Question<Asker> {
  readonly asker: Asker;
  readonly to: Locator;
  readonly type: ControlMessage["type"];
}

export class Questions<Asker extends object> {
  readonly #environment: ClientEnvironment;
  readonly #byNonce = new Map<string, Question<Asker>>();
  /** Nonces as keys, oldest first. */
  readonly #byAsker = new Map<Asker, string[]>();

  constructor(environment: ClientEnvironment) {
    this.#environment = environment;
  }

  ask(asker: Asker, to: Locator, message: ControlMessage): void {
    const nonce = this.#environment.randomBytes(NONCE_BYTES);
    const key = bytesKey(nonce);
    const asked = this.#byAsker.get(asker) ?? [];
    asked.push(key);
    this.#byAsker.set(asker, asked);
    this.#byNonce.set(key, { asker, to, type: message.type });
    if (asked.length > MAX_QUESTIONS) this.#byNonce.delete(asked.shift() ?? "");
    this.#environment.datapath.send([{ locator: to, bytes: encodeControl(message, nonce) }]);
  }

  /** Whose question this answers; undefined: nobody's, or `from` was not asked. */
  askerOf(from: Locator, nonce: Uint8Array): Asker | undefined {
    const question = this.#byNonce.get(bytesKey(nonce));
    return question !== undefined && sameLocator(question.to, from) ? question.asker : undefined;
  }

  /** Which message of ours had this nonce; undefined: none whose answer counts. */
  typeOf(nonce: Uint8Array): ControlMessage["type"] | undefined {
    return this.#byNonce.get(bytesKey(nonce))?.type;
  }

  /** Answers to what it has asked so far do not count any more. */
  drop(asker: Asker): void {
    for (const nonce of this.#byAsker.get(asker) ?? []) this.#byNonce.delete(nonce);
    this.#byAsker.delete(asker);
  }
}

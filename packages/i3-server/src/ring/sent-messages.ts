/** The last messages that were sent to other servers, which a HELLO_AGAIN may answer: written for every message, looked for hardly ever. */
import { sameBytes, type Locator } from "@i3/common";

import type { CallPurpose } from "./calls.js";
import type { Session } from "./sessions.js";

export interface SentMessage {
  /** 8 bytes. */
  readonly nonce: Uint8Array;
  readonly counter: number;
  readonly to: Locator;
  /** Node key, 16 bytes; null: it was for whoever is there. */
  readonly toKey: Uint8Array | null;
  /** Of a call of its receiver. */
  readonly purpose: CallPurpose;
  readonly session: Session;
}

export class SentMessages {
  readonly #max: number;
  /** Each in the place of the oldest. Null: taken or forgotten. */
  readonly #places: (SentMessage | null)[] = [];
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(message: SentMessage): void {
    this.#places[this.#next] = message;
    this.#next = (this.#next + 1) % this.#max;
  }

  /** Whether a message with this nonce is among them. */
  has(nonce: Uint8Array): boolean {
    return this.#places.some((message) => message !== null && sameBytes(message.nonce, nonce));
  }

  /** Removes it too. Of several, a question that was passed on more than once, the last; and removes all of them. */
  take(nonce: Uint8Array, counter: number): SentMessage | null {
    let last: SentMessage | null = null;
    for (let back = 1; back <= this.#max; back += 1) {
      const place = (this.#next - back + this.#max) % this.#max;
      const message = this.#places[place] ?? null;
      if (message === null || message.counter !== counter || !sameBytes(message.nonce, nonce)) continue;
      this.#places[place] = null;
      last ??= message;
    }
    return last;
  }

  /** All of one session. */
  forget(session: Session): void {
    this.#drop((message) => message.session === session);
  }

  /** All with this nonce. */
  forgetNonce(nonce: Uint8Array): void {
    this.#drop((message) => sameBytes(message.nonce, nonce));
  }

  #drop(which: (message: SentMessage) => boolean): void {
    this.#places.forEach((message, place) => {
      if (message !== null && which(message)) this.#places[place] = null;
    });
  }
}

/** Servers that are being called with HELLO, and what waits until they answer. */
import { bytesKey, locatorKey, sameBytes, type ControlMessage, type Locator } from "@i3/common";

import { ATTEMPT_MS, ATTEMPTS } from "../chord/constants.js";
import { MAX_CALLS, MAX_CHECKS_PER_HELLO, MAX_WAITING_PER_CALL } from "./constants.js";

export interface WaitingMessage {
  readonly nonce: Uint8Array;
  readonly message: ControlMessage;
}

export interface Call {
  readonly to: Locator;
  /** Of whom it is for, 16 bytes; null: of whoever is there. */
  readonly toKey: Uint8Array | null;
  /** 8 bytes, the same in every HELLO of this call. */
  readonly nonce: Uint8Array;
  readonly beganMs: number;
  readonly waiting: WaitingMessage[];
  /** The HELLO as it was sent first; null before that. */
  hello: Uint8Array | null;
  attemptsLeft: number;
  nextMs: number;
  checksLeft: number;
}

const idOf = (to: Locator, toKey: Uint8Array | null): string => (toKey === null ? `at ${locatorKey(to)}` : `of ${bytesKey(toKey)}`);

export class Calls {
  readonly #byId = new Map<string, Call>();
  readonly #byNonce = new Map<string, Call>();

  get size(): number {
    return this.#byId.size;
  }

  of(to: Locator, toKey: Uint8Array | null): Call | undefined {
    return this.#byId.get(idOf(to, toKey));
  }

  byNonce(nonce: Uint8Array): Call | undefined {
    return this.#byNonce.get(bytesKey(nonce));
  }

  /** Null when too many run. The caller sends the first HELLO. */
  begin(nowMs: number, to: Locator, toKey: Uint8Array | null, nonce: Uint8Array): Call | null {
    if (this.#byId.size >= MAX_CALLS) return null;
    const call: Call = { to, toKey, nonce, beganMs: nowMs, waiting: [], hello: null, attemptsLeft: ATTEMPTS - 1, nextMs: nowMs + ATTEMPT_MS, checksLeft: MAX_CHECKS_PER_HELLO };
    this.#byId.set(idOf(to, toKey), call);
    this.#byNonce.set(bytesKey(nonce), call);
    return call;
  }

  /** False when too many wait. A copy of one that waits is that one. */
  wait(call: Call, message: WaitingMessage): boolean {
    if (call.waiting.some(({ nonce }) => sameBytes(nonce, message.nonce))) return true;
    if (call.waiting.length >= MAX_WAITING_PER_CALL) return false;
    call.waiting.push(message);
    return true;
  }

  end(call: Call): void {
    this.#byId.delete(idOf(call.to, call.toKey));
    this.#byNonce.delete(bytesKey(call.nonce));
  }

  /** Whom to call again, and whom in vain (already removed). */
  due(nowMs: number): { readonly again: readonly Call[]; readonly failed: readonly Call[] } {
    const due = [...this.#byId.values()].filter(({ nextMs }) => nextMs <= nowMs);
    const failed = due.filter(({ attemptsLeft }) => attemptsLeft === 0);
    const again = due.filter(({ attemptsLeft }) => attemptsLeft > 0);
    for (const call of failed) this.end(call);
    for (const call of again) {
      call.attemptsLeft -= 1;
      call.nextMs = nowMs + ATTEMPT_MS;
      call.checksLeft = MAX_CHECKS_PER_HELLO;
    }
    return { again, failed };
  }

  deadlineMs(): number {
    let deadline = Infinity;
    for (const { nextMs } of this.#byId.values()) deadline = Math.min(deadline, nextMs);
    return deadline;
  }
}

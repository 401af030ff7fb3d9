/** Servers that are being called with HELLO, and what waits until they answer. */
import { bytesKey, locatorKey, sameBytes, type ControlMessage, type Locator } from "@i3/common";

import { CALLS, MAX_CHECKS_PER_HELLO, MAX_WAITING_PER_CALL } from "./constants.js";

/**
 * What a call is for: `own`, the ring as this server knows it; `lookup`, a node that others have named in a lookup, and whom nobody vouches for.
 */
export type CallPurpose = keyof typeof CALLS;

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
  purpose: CallPurpose;
  /** The HELLO as it was sent first; null before that. */
  hello: Uint8Array | null;
  attemptsLeft: number;
  nextMs: number;
  checksLeft: number;
}

/** With the place: one who names a server at a wrong one does not keep others from being called at the right one. */
const idOf = (to: Locator, toKey: Uint8Array | null): string => `${locatorKey(to)} ${toKey === null ? "" : bytesKey(toKey)}`;

export class Calls {
  readonly #byId = new Map<string, Call>();
  readonly #byNonce = new Map<string, Call>();
  readonly #running: Record<CallPurpose, number> = { own: 0, lookup: 0 };

  get size(): number {
    return this.#byId.size;
  }

  of(to: Locator, toKey: Uint8Array | null): Call | undefined {
    return this.#byId.get(idOf(to, toKey));
  }

  byNonce(nonce: Uint8Array): Call | undefined {
    return this.#byNonce.get(bytesKey(nonce));
  }

  /** Null when too many run for this purpose. The caller sends the first HELLO. */
  begin(nowMs: number, to: Locator, toKey: Uint8Array | null, nonce: Uint8Array, purpose: CallPurpose): Call | null {
    const { atOnce, attempts, everyMs } = CALLS[purpose];
    if (this.#running[purpose] >= atOnce) return null;
    const call: Call = { to, toKey, nonce, purpose, beganMs: nowMs, waiting: [], hello: null, attemptsLeft: attempts - 1, nextMs: nowMs + everyMs, checksLeft: MAX_CHECKS_PER_HELLO };
    this.#byId.set(idOf(to, toKey), call);
    this.#byNonce.set(bytesKey(nonce), call);
    this.#running[purpose] += 1;
    return call;
  }

  /** A call that runs for less is one for this purpose from now on, if there is a place. */
  raise(nowMs: number, call: Call, purpose: CallPurpose): void {
    const { atOnce, attempts, everyMs } = CALLS[purpose];
    if (attempts <= CALLS[call.purpose].attempts || this.#running[purpose] >= atOnce) return;
    this.#running[call.purpose] -= 1;
    this.#running[purpose] += 1;
    call.purpose = purpose;
    call.attemptsLeft = attempts - 1;
    call.nextMs = Math.min(call.nextMs, nowMs + everyMs);
  }

  /** False when too many wait. A copy of one that waits is that one. */
  wait(call: Call, message: WaitingMessage): boolean {
    if (call.waiting.some(({ nonce }) => sameBytes(nonce, message.nonce))) return true;
    if (call.waiting.length >= MAX_WAITING_PER_CALL) return false;
    call.waiting.push(message);
    return true;
  }

  /** Of one that runs. */
  end(call: Call): void {
    this.#running[call.purpose] -= 1;
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
      call.nextMs = nowMs + CALLS[call.purpose].everyMs;
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

/** Requests that wait for an answer: sent again with the same nonce, given up after their attempts. */
import { bytesKey, type ControlMessage, type Locator } from "@i3/common";

import { ATTEMPT_MS, NEXT_ATTEMPT_MS } from "./constants.js";

export interface Request<Purpose> {
  /** 8 bytes. */
  readonly nonce: Uint8Array;
  readonly to: Locator;
  /** Key of the receiver, 16 bytes; null when not known. */
  readonly toKey: Uint8Array | null;
  readonly message: ControlMessage;
  readonly purpose: Purpose;
  /** When its only copy left; NaN when there are several, and no answer tells which it is of. */
  sentMs: number;
  attemptsLeft: number;
  nextMs: number;
  /** Between later copies. */
  readonly againMs: number;
}

/** When copies follow: after `firstMs`, and then each `againMs`. */
export interface Pace {
  readonly attempts: number;
  readonly firstMs: number;
  readonly againMs: number;
}

export const pace = (attempts: number): Pace => ({ attempts, firstMs: ATTEMPT_MS, againMs: NEXT_ATTEMPT_MS });

export class Requests<Purpose> {
  readonly #waiting = new Map<string, Request<Purpose>>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Registers a request whose first copy is sent now by the caller. */
  add(nowMs: number, request: Pick<Request<Purpose>, "nonce" | "to" | "toKey" | "message" | "purpose">, { attempts, firstMs, againMs }: Pace): Request<Purpose> {
    const { nonce, to, toKey, message, purpose } = request;
    const entry = { nonce, to, toKey, message, purpose, sentMs: nowMs, attemptsLeft: attempts - 1, nextMs: nowMs + firstMs, againMs };
    this.#waiting.set(bytesKey(request.nonce), entry);
    return entry;
  }

  peek(nonce: Uint8Array): Request<Purpose> | undefined {
    return this.#waiting.get(bytesKey(nonce));
  }

  remove(nonce: Uint8Array): void {
    this.#waiting.delete(bytesKey(nonce));
  }

  /** Forgets the requests for which `matches` holds. */
  cancel(matches: (purpose: Purpose) => boolean): void {
    for (const [key, request] of this.#waiting) if (matches(request.purpose)) this.#waiting.delete(key);
  }

  some(matches: (purpose: Purpose) => boolean): boolean {
    for (const request of this.#waiting.values()) if (matches(request.purpose)) return true;
    return false;
  }

  /** What is due: copies to send again, and requests that failed (already removed). */
  due(nowMs: number): { readonly again: readonly Request<Purpose>[]; readonly failed: readonly Request<Purpose>[] } {
    const again: Request<Purpose>[] = [];
    const failed: Request<Purpose>[] = [];
    for (const [key, request] of this.#waiting) {
      if (request.nextMs > nowMs) continue;
      if (request.attemptsLeft === 0) {
        this.#waiting.delete(key);
        failed.push(request);
      } else {
        request.attemptsLeft -= 1;
        request.sentMs = NaN;
        request.nextMs = nowMs + request.againMs;
        again.push(request);
      }
    }
    return { again, failed };
  }

  deadlineMs(): number {
    let deadline = Infinity;
    for (const request of this.#waiting.values()) deadline = Math.min(deadline, request.nextMs);
    return deadline;
  }
}

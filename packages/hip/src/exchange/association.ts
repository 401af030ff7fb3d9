/** One association with one peer: R2-SENT, ESTABLISHED, CLOSING, CLOSED (RFC 7401 §4.4). */
import { wipeKeys } from "../crypto/keymat.js";
import type { DhGroup, DhKeyPair } from "../crypto/diffie-hellman.js";
import type { EspSuite } from "../crypto/esp-suites.js";
import type { HipCipherSuite } from "../crypto/hip-cipher.js";
import type { Rhash } from "../crypto/rhash.js";
import type { HostKey } from "../identity/host-key.js";
import type { ExchangeKeys } from "./association-keys.js";
import type { HipRole } from "./events.js";
import { ALL_TRIES_MS, REPEAT_MS } from "./limits.js";
import type { HipPath } from "./paths.js";
import type { Scope } from "./scope.js";

export type AssociationState = "r2-sent" | "established" | "closing" | "closed";

export interface AssociationFields {
  readonly id: number;
  readonly peer: HostKey;
  readonly role: HipRole;
  readonly path: HipPath;
  readonly rhash: Rhash;
  readonly cipher: HipCipherSuite;
  readonly espSuite: EspSuite;
  /** #I and #J: a rekey makes KEYMAT of them too. */
  readonly i: Uint8Array;
  readonly j: Uint8Array;
  readonly keys: ExchangeKeys;
  readonly group: DhGroup;
  readonly keyPair: DhKeyPair;
  readonly peerPublicValue: Uint8Array;
  readonly spiIn: number;
  readonly spiOut: number;
  /** Of the responder: the I2 by its hash, and the R2 that answers it, as long as that I2 may come again. */
  readonly answered: { readonly i2Hash: string; readonly r2: Uint8Array; readonly path: HipPath } | null;
}

export class Association {
  readonly fields: AssociationFields;
  readonly sinceMs: number;
  readonly #scope: Scope;
  #state: AssociationState;
  #answered: AssociationFields["answered"];
  #repeatedMs: number;

  constructor(scope: Scope, nowMs: number, fields: AssociationFields) {
    this.#scope = scope;
    this.fields = fields;
    this.sinceMs = nowMs;
    this.#answered = fields.answered;
    this.#repeatedMs = nowMs;
    this.#state = fields.answered === null ? "established" : "r2-sent";
  }

  get state(): AssociationState {
    return this.#state;
  }

  get dueMs(): number | undefined {
    return this.#state === "r2-sent" ? this.sinceMs + ALL_TRIES_MS : undefined;
  }

  /** The I2 that made this association came again: the R2 goes out again, unless it just did. Whether it was that one. */
  answerAgain(nowMs: number, i2Hash: string): boolean {
    if (this.#answered?.i2Hash !== i2Hash) return false;
    if (nowMs - this.#repeatedMs >= REPEAT_MS) {
      this.#repeatedMs = nowMs;
      this.#scope.counters.repeated++;
      this.#scope.env.send(this.#answered.path, this.#answered.r2.slice());
    }
    return true;
  }

  tick(nowMs: number): void {
    if (this.#state === "r2-sent" && nowMs >= this.sinceMs + ALL_TRIES_MS) {
      this.#state = "established";
      this.#answered = null;
    }
  }

  /** Wipes what belongs to the association; ESP keys are their receiver's. */
  forget(): void {
    wipeKeys(this.fields.keys.hip);
    this.fields.keys.keymat.wipe();
    this.#scope.freeSpi(this.fields.spiIn);
  }
}

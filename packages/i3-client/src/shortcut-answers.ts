/**
 * The receiver's side of shortcuts (docs/wire.md §5.1): shows senders that it holds the trigger at an id, where they ask. Only of triggers that
 * were inserted for shortcuts; of all others it says nothing. Keeps nothing about who asks, but how often.
 */
import { domainHash, encodeControl, encodeLocator, PADDED_BYTES, SourceBuckets, TokenBucket, type ControlMessage, type Locator } from "@i3/common";
import { signShortcut, type TriggerSigner } from "@i3/hip";

import type { ClientEnvironment } from "./environment.js";

// Ours. A proof is a signature, so there are not many; who gets none goes on over i3.
const PROOFS_PER_SECOND = 50;
const PROOFS_AT_ONCE = 100;
const PROOFS_PER_SOURCE_PER_SECOND = 4;
const PROOFS_PER_SOURCE_AT_ONCE = 16;
/** As many as a sender with 256 shortcuts to us asks for: 0.4 s apart. */
const PROBES_PER_SOURCE_PER_SECOND = 640;
const MAX_SOURCES = 1_024;
const SECRET_BYTES = 32;
const TOKEN_BYTES = 16;

/** PROVE and PROBE are padded, so that no answer is longer than what asks: somebody else's address may have been given for the sender's. */
export const isTooShort = ({ type }: ControlMessage, bytes: number): boolean => (type === "PROVE" || type === "PROBE") && bytes < (PADDED_BYTES[type] ?? Infinity);

/** A trigger of ours that may be proven. */
export interface ShortcutHeld {
  readonly signer: TriggerSigner;
  /** Where it leads, as its server saw us. */
  readonly target: Locator;
}

export class ShortcutAnswers {
  readonly #environment: ClientEnvironment;
  readonly #heldAt: (id: Uint8Array) => ShortcutHeld | null;
  readonly #onRefused: () => void;
  readonly #proofs = new TokenBucket(PROOFS_PER_SECOND, PROOFS_AT_ONCE);
  readonly #sources = new SourceBuckets({ perSecond: PROOFS_PER_SOURCE_PER_SECOND, burst: PROOFS_PER_SOURCE_AT_ONCE, maxSources: MAX_SOURCES });
  readonly #probed = new SourceBuckets({ perSecond: PROBES_PER_SOURCE_PER_SECOND, burst: PROBES_PER_SOURCE_PER_SECOND, maxSources: MAX_SOURCES });
  #secret: Uint8Array | null = null;

  /** `heldAt`: what is held for packets to an id, if it was inserted for shortcuts. */
  constructor(environment: ClientEnvironment, heldAt: (id: Uint8Array) => ShortcutHeld | null, onRefused: () => void) {
    this.#environment = environment;
    this.#heldAt = heldAt;
    this.#onRefused = onRefused;
  }

  /** PROVE and PROBE; false for ids that we do not hold for shortcuts. */
  handle(nowMs: number, from: Locator, nonce: Uint8Array, message: ControlMessage): boolean {
    if (message.type !== "PROVE" && message.type !== "PROBE") return false;
    const { id } = message;
    const held = this.#heldAt(id);
    if (held === null) return false;
    if (message.type === "PROBE" ? !this.#probed.take(nowMs, from.address) : !this.#mayProve(nowMs, from)) {
      this.#onRefused();
      return true;
    }
    const token = this.#tokenOf(from, id, held.target);
    this.#answer(from, message.type === "PROBE" ? { type: "PROBED", id, token } : signShortcut(held.signer, { id, nonce, target: held.target, token }), nonce);
    return true;
  }

  #answer(to: Locator, message: ControlMessage, nonce: Uint8Array): void {
    this.#environment.datapath.send([{ locator: to, bytes: encodeControl(message, nonce) }]);
  }

  /** Another one for each asker, and once we have moved: whoever comes to our address after us cannot go on in our place. */
  #tokenOf(from: Locator, id: Uint8Array, target: Locator): Uint8Array {
    this.#secret ??= this.#environment.randomBytes(SECRET_BYTES);
    return domainHash("shortcut token", this.#secret, encodeLocator(from), id, encodeLocator(target)).slice(0, TOKEN_BYTES);
  }

  #mayProve(nowMs: number, { address }: Locator): boolean {
    return this.#sources.take(nowMs, address) && this.#proofs.take(nowMs);
  }
}

/**
 * Answers of public-key functions that are known by the exact bytes: what was checked once is as it was, and a trigger's signature that was made here is good.
 * Those are bytes that follow from what they cover, and no others pass for signed: everything else, forged, changed and mixed up messages, the real functions
 * are asked about. They never hold such a signature for good, so nothing passes that would not with real ones.
 */
import { bytesKey, concatBytes, encodeControl, KEY_KIND, type StackStep, type TriggerMessage } from "@i3/common";
import { verifyStep as realVerifyStep, verifyTrigger, type signTrigger } from "@i3/hip";
import { credentialChecks, type CredentialChecks } from "@i3/i3-server";

import { quickMac } from "./quick-mac.js";

const MAX_KNOWN = 65_536;
const NO_NONCE = new Uint8Array(8);
const NO_SIGNATURE = new Uint8Array(64);

/** Answers by a text that holds all of the question; when there are too many the older ones are forgotten. */
class Known<T> {
  #answers = new Map<string, T>();
  #older: ReadonlyMap<string, T> = new Map();

  get(key: string, ask: () => T): T {
    let answer = this.#answers.get(key) ?? this.#older.get(key);
    if (answer === undefined) this.set(key, (answer = ask()));
    return answer;
  }

  set(key: string, answer: T): void {
    if (this.#answers.size >= MAX_KNOWN) {
      this.#older = this.#answers;
      this.#answers = new Map();
    }
    this.#answers.set(key, answer);
  }
}

const triggers = new Known<boolean>();
const steps = new Known<boolean>();
const signed = new Known<boolean>();
const pairKeys = new Known<Uint8Array | null>();

const triggerKey = (message: TriggerMessage, nodeKey: Uint8Array): string => bytesKey(nodeKey) + bytesKey(encodeControl(message, NO_NONCE));
const stepKey = ({ id, notAfterS, keyKind, publicKey, signature }: StackStep, source: Uint8Array): string =>
  `${notAfterS} ${keyKind} ${publicKey.length} ${bytesKey(concatBytes(source, id, publicKey, signature))}`;

const pairOf = (one: string, other: string): string => (one < other ? one + other : other + one);

/** In place of signTrigger, which takes as long as dozens of messages; the signature is known from now on. */
export const sign: typeof signTrigger = (signer, trigger, nodeKey) => {
  if (signer.kind !== "private" && signer.kind !== "member") throw new RangeError(`no trigger of kind ${signer.kind} is signed here`);
  const isMember = signer.kind === "member";
  const shown = { type: "TRIGGER", ...trigger, keyKind: isMember ? KEY_KIND.groupMember : KEY_KIND.ed25519, publicKey: isMember ? signer.certificate : signer.key.publicKey } as const;
  const covered = encodeControl({ ...shown, signature: NO_SIGNATURE }, NO_NONCE);
  const part = (n: number): Uint8Array => quickMac(covered, { pairKey: Uint8Array.of(n), sender: signer.key.publicKey, receiver: nodeKey });
  const message: TriggerMessage = { ...shown, signature: concatBytes(part(0), part(1), part(2), part(3)) };
  triggers.set(triggerKey(message, nodeKey), true);
  return message;
};

/** As verifyTrigger. */
export const verify = (message: TriggerMessage, nodeKey: Uint8Array): boolean => triggers.get(triggerKey(message, nodeKey), () => verifyTrigger(message, nodeKey));

/** As verifyStep. */
export const verifyStep = (step: StackStep, source: Uint8Array): boolean => steps.get(stepKey(step, source), () => realVerifyStep(step, source));

export const credentials: CredentialChecks = {
  isSigned: (credential) => signed.get(bytesKey(credential.bytes), () => credentialChecks.isSigned(credential)),
  // Who asks wipes what it gets. A pair has one key, whoever of the two asks; which pair it is, their credentials say.
  pairKeyOf: (ownKey, own, peer) => pairKeys.get(pairOf(bytesKey(own.bytes), bytesKey(peer.bytes)), () => credentialChecks.pairKeyOf(ownKey, own, peer))?.slice() ?? null,
};

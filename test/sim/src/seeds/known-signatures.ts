/**
 * Answers of public-key functions that are known by the exact bytes: a signature that was made here is good, and what was checked once is as it was.
 * The same input has the same answer as from the real ones, which are asked for everything else: forged, changed and mixed up messages.
 */
import { bytesKey, concatBytes, encodeControl, type StackStep, type TriggerMessage } from "@i3/common";
import { signTrigger, verifyStep as realVerifyStep, verifyTrigger } from "@i3/hip";
import { credentialChecks, type CredentialChecks } from "@i3/i3-server";

const MAX_KNOWN = 65_536;
const NO_NONCE = new Uint8Array(8);

/** Answers by a text that holds all of the question; when there are too many all are forgotten. */
class Known<T> {
  readonly #answers = new Map<string, T>();

  get(key: string, ask: () => T): T {
    let answer = this.#answers.get(key);
    if (answer === undefined) this.set(key, (answer = ask()));
    return answer;
  }

  set(key: string, answer: T): void {
    if (this.#answers.size >= MAX_KNOWN) this.#answers.clear();
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

/** As signTrigger; the signature is known from now on. */
export const sign: typeof signTrigger = (signer, trigger, nodeKey) => {
  const message = signTrigger(signer, trigger, nodeKey);
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

/**
 * Consent to be the next id of a trigger's stack (docs/wire.md §4.1): the key that the target id commits to signs the source id, its own
 * and an end. Without it anybody could point triggers at others' ids: loops and bombs (i3 paper §5.3).
 */
import { concatBytes, groupPrefix, KEY_KIND, ringKey, sameBytes, u64Bytes, type StackStep } from "@i3/common";

import type { HostIdentity } from "./identity/host-identity.js";
import { hostPublicKey } from "./identity/host-identity.js";
import { signWithHost, verifyWithHost } from "./identity/host-signature.js";
import { signWithTriggerKey, verifyWithTriggerKey, type Ed25519Verify, type TriggerKey } from "./trigger-key.js";
import { HOST_ALGORITHM, HOST_KEY_KIND, keyOwnsId } from "./trigger-signature.js";

const DOMAIN = new TextEncoder().encode("i3/1 stack\0");

/** Who agrees: the host key for a public id, a trigger key for private ids, a group's own key for the group's. */
export type StepSigner =
  | { readonly kind: "host"; readonly identity: HostIdentity }
  | { readonly kind: "private" | "group"; readonly key: TriggerKey };

const coveredBytes = (source: Uint8Array, { id, notAfterS }: Pick<StackStep, "id" | "notAfterS">): Uint8Array =>
  concatBytes(DOMAIN, source, id, u64Bytes(notAfterS));

/** A trigger at `source` may lead to `id` (32 bytes each) until `notAfterS`, s since 1970. */
export function signStep(signer: StepSigner, source: Uint8Array, id: Uint8Array, notAfterS: number): StackStep {
  if (source.length !== 32 || id.length !== 32) throw new RangeError("ids have 32 bytes");
  if (!Number.isInteger(notAfterS) || notAfterS < 0 || notAfterS > Number.MAX_SAFE_INTEGER / 1_000) throw new RangeError(`not after ${notAfterS} s`);
  const covered = coveredBytes(source, { id, notAfterS });
  if (signer.kind === "host") {
    return { id, notAfterS, keyKind: HOST_KEY_KIND[signer.identity.algorithm], publicKey: hostPublicKey(signer.identity), signature: signWithHost(signer.identity, covered) };
  }
  const keyKind = signer.kind === "group" ? KEY_KIND.group : KEY_KIND.ed25519;
  return { id, notAfterS, keyKind, publicKey: signer.key.publicKey, signature: signWithTriggerKey(signer.key, covered) };
}

/** Whether the key is the one that the step's id commits to. Cheap. */
export function stepOwnsId({ keyKind, publicKey, id }: StackStep): boolean {
  if (keyKind === KEY_KIND.group) return publicKey.length === 32 && sameBytes(groupPrefix(publicKey), ringKey(id));
  return keyOwnsId(keyKind, publicKey, id);
}

/** Whether that key agreed to this source. Does not check {@link stepOwnsId}, nor the time. Never throws. `ed25519` @default node's */
export function verifyStep(step: StackStep, source: Uint8Array, ed25519?: Ed25519Verify): boolean {
  const { keyKind, publicKey, signature } = step;
  const covered = coveredBytes(source, step);
  if (keyKind === KEY_KIND.group || keyKind === KEY_KIND.ed25519) return verifyWithTriggerKey(publicKey, covered, signature, ed25519);
  return verifyWithHost(publicKey, covered, signature, HOST_ALGORITHM[keyKind]);
}

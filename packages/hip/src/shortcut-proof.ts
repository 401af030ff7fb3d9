/**
 * A host's word that it holds the trigger at an id, at the address where it was asked (docs/wire.md §5.1): the key that the id commits to signs
 * both, with the asker's nonce. A host in between can pass on question and answer, but the answer then names another address than the asker's.
 */
import { concatBytes, encodeLocator, isProofKeyKind, KEY_KIND, type KeyKind, type Locator, type ProofMessage } from "@i3/common";

import { readMembership, verifyMembership } from "./group-membership.js";
import { hostPublicKey } from "./identity/host-identity.js";
import { signWithHost, verifyWithHost } from "./identity/host-signature.js";
import { signWithTriggerKey, verifyWithTriggerKey } from "./trigger-key.js";
import { HOST_ALGORITHM, HOST_KEY_KIND, keyOwnsId, type TriggerSigner } from "./trigger-signature.js";

const DOMAIN = new TextEncoder().encode("i3/1 shortcut\0");

/** What is proven, to whom. */
export interface ShortcutClaim {
  /** 32 bytes, as the asker has named it. */
  readonly id: Uint8Array;
  /** The question's, 8 bytes. */
  readonly nonce: Uint8Array;
  /** Where the trigger leads, and the asker has asked. */
  readonly target: Locator;
  /** 16 bytes: what the holder shows in later answers. */
  readonly token: Uint8Array;
}

const coveredBytes = ({ id, nonce, target, token }: ShortcutClaim, keyKind: KeyKind): Uint8Array =>
  concatBytes(DOMAIN, id, nonce, token, Uint8Array.of(keyKind), encodeLocator(target));

/** Whether triggers of this owner can be proven: not those of a name, nor of a host with RSA, whose keys are longer than a PROVE. */
export const canProveShortcut = (signer: TriggerSigner): boolean => proofKey(signer) !== null;

function proofKey(signer: TriggerSigner): Pick<ProofMessage, "keyKind" | "publicKey"> | null {
  switch (signer.kind) {
    case "host": {
      const keyKind = HOST_KEY_KIND[signer.identity.algorithm];
      return isProofKeyKind(keyKind) ? { keyKind, publicKey: hostPublicKey(signer.identity) } : null;
    }
    case "private": return { keyKind: KEY_KIND.ed25519, publicKey: signer.key.publicKey };
    case "member": return { keyKind: KEY_KIND.groupMember, publicKey: signer.certificate };
    case "name": return null;
  }
}

/** Throws RangeError unless {@link canProveShortcut}. */
export function signShortcut(signer: TriggerSigner, claim: ShortcutClaim): ProofMessage {
  const shown = proofKey(signer);
  if (shown === null) throw new RangeError("no proof by a key of this kind");
  const covered = coveredBytes(claim, shown.keyKind);
  const signature = signer.kind === "host" ? signWithHost(signer.identity, covered) : signWithTriggerKey(signer.key, covered);
  return { type: "PROOF", id: claim.id, token: claim.token, ...shown, signature };
}

/** Whether the holder of the id signed this for `nonce` and `target`; of a group's member, whose certificate has not ended at `wallMs`. Never throws. */
export function verifyShortcut(proof: ProofMessage, { nonce, target }: Pick<ShortcutClaim, "nonce" | "target">, wallMs: number): boolean {
  const { id, token, keyKind, publicKey, signature } = proof;
  if (!keyOwnsId(keyKind, publicKey, id)) return false;
  const covered = coveredBytes({ id, nonce, target, token }, keyKind);
  if (keyKind === KEY_KIND.ed25519) return verifyWithTriggerKey(publicKey, covered, signature);
  if (keyKind !== KEY_KIND.groupMember) return verifyWithHost(publicKey, covered, signature, HOST_ALGORITHM[keyKind]);
  const { memberKey, notAfterS } = readMembership(publicKey);
  return notAfterS * 1_000 > wallMs && verifyMembership(publicKey) && verifyWithTriggerKey(memberKey, covered, signature);
}

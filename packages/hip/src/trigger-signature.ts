/**
 * Who may insert a trigger: the first 128 bits of its id are a hash of a public key, and that key signs (docs/wire.md §2,
 * §4.1). Refresh tokens: a hash chain whose end the signature commits to.
 */
import {
  claimId, commonPrefixBits, concatBytes, domainHash, encodeLocator, groupPrefix, isTriggerStack, KEY_KIND, MEMBER_CERTIFICATE_BYTES, MIN_MATCH_BITS, privatePrefix, publicId, ringKey, sameBytes, u64Bytes,
  type KeyKind, type TriggerMessage, type TriggerTarget,
} from "@i3/common";

import { readMembership, verifyMembership } from "./group-membership.js";
import { PUBLIC_KEY_BYTES, type HostKeyAlgorithm } from "./identity/host-identity-field.js";
import { hostPublicKey, type HostIdentity } from "./identity/host-identity.js";
import { hitOfPublicKey } from "./identity/host-key.js";
import { signWithHost, verifyWithHost } from "./identity/host-signature.js";
import { signWithTriggerKey, verifyWithTriggerKey, type Ed25519Verify, type TriggerKey } from "./trigger-key.js";

const DOMAIN = new TextEncoder().encode("i3/1 trigger\0");
/** Values in a refresh chain: at one refresh in 5 s, 85 minutes until the trigger is signed again. */
export const REFRESH_CHAIN_LENGTH = 1_024;
/** Key kinds of host keys; the others are no host's. */
export const HOST_KEY_KIND = { "ecdsa-p256": KEY_KIND.ecdsaP256, "ecdsa-p384": KEY_KIND.ecdsaP384, rsa: KEY_KIND.rsa } as const satisfies Record<HostKeyAlgorithm, KeyKind>;
/** And back. */
export const HOST_ALGORITHM: Readonly<Record<Exclude<KeyKind, 0 | 2 | 5 | 6 | 7>, HostKeyAlgorithm>> = { 1: "ecdsa-p256", 3: "ecdsa-p384", 4: "rsa" };
/** How many refreshes may be lost in a row. */
export const REFRESH_MAX_SKIP = 64;

/** A trigger message before it is signed. */
export type UnsignedTrigger = Omit<TriggerMessage, "type" | "keyKind" | "publicKey" | "signature">;

/**
 * Who signs: the host key for the public id, a trigger key for private ids, and for a claim to a name beside its name key (32 bytes); for a
 * group's ids a member's key, which the certificate (136 bytes) names.
 */
export type TriggerSigner =
  | { readonly kind: "host"; readonly identity: HostIdentity }
  | { readonly kind: "private"; readonly key: TriggerKey }
  | { readonly kind: "name"; readonly nameKey: Uint8Array; readonly key: TriggerKey }
  | { readonly kind: "member"; readonly certificate: Uint8Array; readonly key: TriggerKey };

const NAME_KEY_BYTES = 32;
const NO_MEMBER = new Uint8Array(0);

/** `member`: a member's certificate; otherwise empty. */
function signedBytes(trigger: UnsignedTrigger, nodeKey: Uint8Array, member: Uint8Array): Uint8Array {
  const target = targetBytes(trigger.target);
  return concatBytes(
    DOMAIN, Uint8Array.of(trigger.action), trigger.id, Uint8Array.of(0, target.length), target, nodeKey,
    Uint8Array.of(trigger.flags >> 8, trigger.flags & 0xff, 0, member.length), member, u64Bytes(trigger.counter), trigger.commitment, trigger.cookie,
  );
}

/** The tokens' signatures speak for themselves. */
const targetBytes = (target: TriggerTarget): Uint8Array =>
  isTriggerStack(target)
    ? concatBytes(Uint8Array.of(2), ...target.steps.flatMap(({ id, notAfterS }) => [id, u64Bytes(notAfterS)]))
    : concatBytes(Uint8Array.of(1), encodeLocator(target));

/** Signs for one server (`nodeKey`, 16 bytes). */
export function signTrigger(signer: TriggerSigner, trigger: UnsignedTrigger, nodeKey: Uint8Array): TriggerMessage {
  const bytes = signedBytes(trigger, nodeKey, signer.kind === "member" ? signer.certificate : NO_MEMBER);
  if (signer.kind === "host") {
    return { type: "TRIGGER", ...trigger, keyKind: HOST_KEY_KIND[signer.identity.algorithm], publicKey: hostPublicKey(signer.identity), signature: signWithHost(signer.identity, bytes) };
  }
  return { type: "TRIGGER", ...trigger, ...shownKey(signer), signature: signWithTriggerKey(signer.key, bytes) };
}

function shownKey(signer: Exclude<TriggerSigner, { kind: "host" }>): Pick<TriggerMessage, "keyKind" | "publicKey"> {
  switch (signer.kind) {
    case "private": return { keyKind: KEY_KIND.ed25519, publicKey: signer.key.publicKey };
    case "name": return { keyKind: KEY_KIND.nameClaim, publicKey: concatBytes(signer.nameKey, signer.key.publicKey) };
    case "member": return { keyKind: KEY_KIND.groupMember, publicKey: signer.certificate };
  }
}

/** Whether the key is the one that the first 128 bits of the id commit to; of a claim to a name, the whole id. Cheap: two hashes. */
export function keyOwnsId(keyKind: KeyKind, publicKey: Uint8Array, id: Uint8Array): boolean {
  if (keyKind === KEY_KIND.none || keyKind === KEY_KIND.group) return false;
  if (keyKind === KEY_KIND.ed25519) return publicKey.length === 32 && commonPrefixBits(privatePrefix(publicKey), ringKey(id)) >= MIN_MATCH_BITS;
  if (keyKind === KEY_KIND.nameClaim) {
    if (publicKey.length !== 2 * NAME_KEY_BYTES) return false;
    return sameBytes(claimId(publicKey.subarray(0, NAME_KEY_BYTES), publicKey.subarray(NAME_KEY_BYTES)), id);
  }
  if (keyKind === KEY_KIND.groupMember) {
    return publicKey.length === MEMBER_CERTIFICATE_BYTES && commonPrefixBits(groupPrefix(publicKey.subarray(0, 32)), ringKey(id)) >= MIN_MATCH_BITS;
  }
  const algorithm = HOST_ALGORITHM[keyKind];
  const { min, max } = PUBLIC_KEY_BYTES[algorithm];
  if (publicKey.length < min || publicKey.length > max) return false;
  return commonPrefixBits(publicId(hitOfPublicKey(algorithm, publicKey)), id) >= MIN_MATCH_BITS;
}

/** Whether the signature holds for the server with this node key; of a group's member its certificate too, whatever the time. Does not check {@link keyOwnsId}. Never throws. `ed25519` @default node's */
export function verifyTrigger(message: TriggerMessage, nodeKey: Uint8Array, ed25519?: Ed25519Verify): boolean {
  const bytes = signedBytes(message, nodeKey, message.keyKind === KEY_KIND.groupMember ? message.publicKey : NO_MEMBER);
  switch (message.keyKind) {
    case KEY_KIND.ed25519: return verifyWithTriggerKey(message.publicKey, bytes, message.signature, ed25519);
    // The name key signs nothing: only the id says which one belongs to it.
    case KEY_KIND.nameClaim: return keyOwnsId(message.keyKind, message.publicKey, message.id) && verifyWithTriggerKey(message.publicKey.subarray(NAME_KEY_BYTES), bytes, message.signature, ed25519);
    case KEY_KIND.groupMember: return verifyMembership(message.publicKey, ed25519) && verifyWithTriggerKey(readMembership(message.publicKey).memberKey, bytes, message.signature, ed25519);
    case KEY_KIND.none: case KEY_KIND.group: return false;
    default: return verifyWithHost(message.publicKey, bytes, message.signature, HOST_ALGORITHM[message.keyKind]);
  }
}

/** One step of a refresh chain: 16 bytes to 16 bytes. */
export const refreshStep = (value: Uint8Array): Uint8Array => domainHash("refresh", value).slice(0, 16);

/** The chain that begins with a secret of 16 bytes: element i is i steps from the secret; the last is the commitment. */
export function refreshChain(secret: Uint8Array): readonly Uint8Array[] {
  const chain = [secret];
  for (let i = 0; i < REFRESH_CHAIN_LENGTH; i += 1) chain.push(refreshStep(chain[i] as Uint8Array));
  return chain;
}

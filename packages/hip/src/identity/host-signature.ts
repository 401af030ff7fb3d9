/**
 * Signatures of host keys. Two kinds, over messages that never begin alike (a HIP header begins with 59, ours with "i3/1 "):
 *
 * HIP's (RFC 7401 §5.2.14: "signature algorithms are defined in Section 5.2.9"), with the hash of the HIT suite (§2.3: a suite
 * is signature algorithm, hash function and truncation; §5.2.10 names RSA/SHA-256 and ECDSA/SHA-384):
 *
 *     ECDSA P-256, P-384   SHA-384, r | s, each as long as the curve's order (RFC 4754 §7); of SHA-384 P-256 takes the left 256 bits
 *     RSA                  RSASSA-PSS (§5.2.9: MUST), SHA-256, MGF1 with SHA-256, salt of 32 bytes (RFC 3447 §9.1: as long as the hash)
 *
 * RFC 4754 itself pairs P-256 with SHA-256. The suite is what HIP negotiates and what cutehip does, so it decides.
 *
 * i3's (docs/wire.md §4.1, §6): P-256 with SHA-256, the others as in HIP.
 */
import { constants, sign, verify, type KeyObject, type SignKeyObjectInput } from "node:crypto";

import type { Rhash } from "../crypto/rhash.js";
import { HIT_SUITE, hashOfSuite } from "./hit.js";
import { HI_ALGORITHM, keyOfPublicKey, RSA_MODULUS_BITS, splitHi, type HostKeyAlgorithm } from "./host-identity-field.js";
import { hitSuiteOf, type HostKey } from "./host-key.js";
import type { HostIdentity } from "./host-identity.js";

const SIGNATURE_BYTES = { "ecdsa-p256": 64, "ecdsa-p384": 96 } as const;
const SHA256_BYTES = 32;

const hipHashOf = (algorithm: HostKeyAlgorithm): Rhash => hashOfSuite(hitSuiteOf(algorithm));
const i3HashOf = (algorithm: HostKeyAlgorithm): Rhash => (algorithm === "ecdsa-p256" ? hashOfSuite(HIT_SUITE.rsa) : hipHashOf(algorithm));

const withPadding = (algorithm: HostKeyAlgorithm, key: KeyObject): SignKeyObjectInput =>
  algorithm === "rsa"
    ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: SHA256_BYTES }
    : { key, dsaEncoding: "ieee-p1363" };

/** Whether a signature can have this length. Before the key is looked at, so that nonsense costs nothing. */
function lengthFits(algorithm: HostKeyAlgorithm, { length }: Uint8Array): boolean {
  if (algorithm !== "rsa") return length === SIGNATURE_BYTES[algorithm];
  return length >= RSA_MODULUS_BITS.min / 8 && length <= RSA_MODULUS_BITS.max / 8;
}

function holds(hash: Rhash, algorithm: HostKeyAlgorithm, key: () => KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  if (!lengthFits(algorithm, signature)) return false;
  try {
    return verify(hash, message, withPadding(algorithm, key()), signature);
  } catch {
    return false; // the key is none
  }
}

/** The Signature field of HIP_SIGNATURE and HIP_SIGNATURE_2 over the bytes that they cover (RFC 7401 §6.4.2). 64, 96 or the modulus' length. */
export const signHip = ({ algorithm, privateKey, p256Key }: HostIdentity, message: Uint8Array): Uint8Array =>
  p256Key?.sign(message) ?? new Uint8Array(sign(hipHashOf(algorithm), message, withPadding(algorithm, privateKey)));

/** Whether `signature` over `message` is the key's. Any bytes: never throws. "SIG alg" is the caller's to compare with {@link algorithmNumber}. */
export function verifyHip(key: Pick<HostKey, "algorithm" | "publicKey" | "hi" | "p256">, message: Uint8Array, signature: Uint8Array): boolean {
  const { algorithm, hi, p256 } = key;
  if (algorithm !== "ecdsa-p256" || p256 === undefined) return holds(hipHashOf(algorithm), algorithm, () => key.publicKey, message, signature);
  return lengthFits(algorithm, signature) && p256.verify(splitHi(HI_ALGORITHM.ecdsa, hi).publicKey, message, signature);
}

/** A signature of an i3 message: 64 bytes r | s (P-256), 96 (P-384), the modulus' length (RSA). */
export const signWithHost = ({ algorithm, privateKey }: HostIdentity, message: Uint8Array): Uint8Array =>
  new Uint8Array(sign(i3HashOf(algorithm), message, withPadding(algorithm, privateKey)));

/**
 * Whether `signature` over an i3 `message` is that of this public key. Any bytes: never throws.
 * @param publicKey x | y (64 or 96 bytes), or RSA by RFC 3110
 */
export const verifyWithHost = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array, algorithm: HostKeyAlgorithm = "ecdsa-p256"): boolean =>
  holds(i3HashOf(algorithm), algorithm, () => keyOfPublicKey(algorithm, publicKey), message, signature);

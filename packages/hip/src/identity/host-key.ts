/** Public halves of host keys, as peers show them in HOST_ID (RFC 7401 §5.2.9), and what follows from them. */
import type { KeyObject } from "node:crypto";

import { WireError } from "@i3/common";

import type { P256 } from "../crypto/p256.js";
import {
  HI_ALGORITHM, hiOfPublicKey, keyOfPublicKey, P256_POINT_BYTES, splitHi, type HiAlgorithm, type HostKeyAlgorithm,
} from "./host-identity-field.js";
import { HIT_SUITE, hitOfHi, type HitSuite } from "./hit.js";

/** The public half. */
export interface HostKey {
  readonly algorithm: HostKeyAlgorithm;
  /** The Host Identity field of HOST_ID, as it is or was on the wire: what the HIT is made of. */
  readonly hi: Uint8Array;
  /** 16 bytes. */
  readonly hit: Uint8Array;
  /** 1 RSA/SHA-256, 2 ECDSA/SHA-384. */
  readonly hitSuite: HitSuite;
  readonly publicKey: KeyObject;
  /** Verifies in place of node:crypto, for a P-256 key. */
  readonly p256?: P256 | undefined;
}

export const hitSuiteOf = (algorithm: HostKeyAlgorithm): HitSuite => (algorithm === "rsa" ? HIT_SUITE.rsa : HIT_SUITE.ecdsa);

/** "Algorithm" of HOST_ID and "SIG alg" of HIP_SIGNATURE for this key. */
export const algorithmNumber = ({ algorithm }: Pick<HostKey, "algorithm">): HiAlgorithm => (algorithm === "rsa" ? HI_ALGORITHM.rsa : HI_ALGORITHM.ecdsa);

/**
 * The key in a HOST_ID. Costs a check of the point: do cheaper checks first.
 * @param algorithm the field beside it
 * @param p256 looks at a P-256 key in place of node:crypto, which then makes its own form of it only when somebody asks
 * @throws WireError unknown algorithm or curve, wrong length, a point off the curve, an RSA modulus outside of 2,048 to 4,096 bits
 */
export function hostKeyFromHi(algorithm: number, hi: Uint8Array, p256?: P256): HostKey {
  const own = new Uint8Array(hi);
  const { algorithm: name, publicKey } = splitHi(algorithm, own);
  const hitSuite = hitSuiteOf(name);
  if (name === "ecdsa-p256" && p256 !== undefined && publicKey.length === P256_POINT_BYTES) {
    if (!p256.isPoint(publicKey)) throw new WireError("HOST_ID", "the point is not on the curve");
    let made: KeyObject | undefined;
    return Object.freeze({ algorithm: name, hi: own, hit: hitOfHi(hitSuite, own), hitSuite, p256, get publicKey() { return (made ??= keyOfPublicKey(name, publicKey)); } });
  }
  const key = keyOfPublicKey(name, publicKey);
  return Object.freeze({ algorithm: name, hi: own, hit: hitOfHi(hitSuite, own), hitSuite, publicKey: key });
}

/** HIT of a public key as i3 messages carry it: x | y (64 or 96 bytes), or RSA by RFC 3110. 16 bytes. Does not look at the key. */
export const hitOfPublicKey = (algorithm: HostKeyAlgorithm, publicKey: Uint8Array): Uint8Array =>
  hitOfHi(hitSuiteOf(algorithm), hiOfPublicKey(algorithm, publicKey));

/** The HOST_ID encoding of a P-256 point (x | y): curve (2 bytes) and point. */
export const hostIdEncoding = (point: Uint8Array): Uint8Array => hiOfPublicKey("ecdsa-p256", point);

/** HIT of a P-256 key (x | y, 64 bytes). 16 bytes. */
export function hitOf(point: Uint8Array): Uint8Array {
  if (point.length !== P256_POINT_BYTES) throw new RangeError(`P-256 point of ${point.length} bytes`);
  return hitOfPublicKey("ecdsa-p256", point);
}

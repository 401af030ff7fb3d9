/**
 * The Host Identity field of HOST_ID (RFC 7401 §5.2.9), from and to keys of node:crypto.
 *
 *     ECDSA  curve 2 (1 = NIST P-256, 2 = NIST P-384) | x | y, each as long as the curve's field (RFC 6090 §6)
 *     RSA    exponent length 1 (or 0 and 2 more, from 256 on) | exponent | modulus (RFC 3110 §2, no leading zeros)
 *
 * Bytes behind the key are an error: the HIT covers the whole field.
 */
import { createPublicKey, type KeyObject } from "node:crypto";

import { concatBytes, WireError } from "@i3/common";

// RFC 7401 §5.2.9:
/** "Algorithm" of HOST_ID and "SIG alg" of HIP_SIGNATURE. */
export const HI_ALGORITHM = { rsa: 5, ecdsa: 7 } as const;
export type HiAlgorithm = (typeof HI_ALGORITHM)[keyof typeof HI_ALGORITHM];
const CURVE_BYTES = 2;
/** First byte of an uncompressed point in SEC 1. */
const UNCOMPRESSED = 0x04;

// Ours:
export type HostKeyAlgorithm = "ecdsa-p256" | "ecdsa-p384" | "rsa";
export const HOST_KEY_ALGORITHMS: readonly HostKeyAlgorithm[] = ["ecdsa-p256", "ecdsa-p384", "rsa"];
/** 112 bits of security at least (RFC 7401 §5.2.9); at most what RFC 3110 §2 and a control datagram hold. */
export const RSA_MODULUS_BITS = { min: 2_048, max: 4_096 } as const;
/** A longer exponent buys nothing and makes the one who verifies pay. */
export const MAX_RSA_EXPONENT_BYTES = 4;

interface Curve {
  readonly number: number;
  /** x | y. */
  readonly pointBytes: number;
  /** Of a JWK (RFC 7518 §6.2.1.1). */
  readonly name: "P-256" | "P-384";
}

const CURVES: Readonly<Record<"ecdsa-p256" | "ecdsa-p384", Curve>> = {
  "ecdsa-p256": { number: 1, pointBytes: 64, name: "P-256" },
  "ecdsa-p384": { number: 2, pointBytes: 96, name: "P-384" },
};
export const P256_POINT_BYTES = CURVES["ecdsa-p256"].pointBytes;
export const P384_POINT_BYTES = CURVES["ecdsa-p384"].pointBytes;

/** Length of a public key as i3 messages carry it (docs/wire.md §4.1), or of a range of such lengths. */
export const PUBLIC_KEY_BYTES: Readonly<Record<HostKeyAlgorithm, { readonly min: number; readonly max: number }>> = {
  "ecdsa-p256": { min: P256_POINT_BYTES, max: P256_POINT_BYTES },
  "ecdsa-p384": { min: P384_POINT_BYTES, max: P384_POINT_BYTES },
  rsa: { min: 2 + RSA_MODULUS_BITS.min / 8, max: 1 + MAX_RSA_EXPONENT_BYTES + RSA_MODULUS_BITS.max / 8 },
};

/** The Host Identity field of a public key as i3 messages carry it: x | y, or for RSA the field itself. */
export const hiOfPublicKey = (algorithm: HostKeyAlgorithm, publicKey: Uint8Array): Uint8Array =>
  algorithm === "rsa" ? publicKey : concatBytes(Uint8Array.of(0, CURVES[algorithm].number), publicKey);

/** The inverse of {@link hiOfPublicKey}, of a field that this program made. */
export const publicKeyOfHi = (algorithm: HostKeyAlgorithm, hi: Uint8Array): Uint8Array => (algorithm === "rsa" ? hi : hi.subarray(CURVE_BYTES));

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64url");
const jwkBytes = (text: string | undefined): Buffer => Buffer.from(text ?? "", "base64url");

/** The algorithm of a key, private or public; undefined when HIP has none for it or its size is not taken here. */
export function algorithmOfKey(key: KeyObject): HostKeyAlgorithm | undefined {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "ec": return namedCurve === "prime256v1" ? "ecdsa-p256" : namedCurve === "secp384r1" ? "ecdsa-p384" : undefined;
    case "rsa": {
      const sizeFits = modulusLength >= RSA_MODULUS_BITS.min && modulusLength <= RSA_MODULUS_BITS.max;
      return sizeFits && publicExponent >= 3n && publicExponent < 1n << BigInt(8 * MAX_RSA_EXPONENT_BYTES) ? "rsa" : undefined;
    }
    default: return undefined;
  }
}

/** The field of a public key whose {@link algorithmOfKey} is `algorithm`. */
export function hiOfKey(algorithm: HostKeyAlgorithm, key: KeyObject): Uint8Array {
  // As JWK: a key that was written with a compressed point keeps that form in SubjectPublicKeyInfo.
  const { x, y, e, n } = key.export({ format: "jwk" });
  if (algorithm !== "rsa") return hiOfPublicKey(algorithm, concatBytes(jwkBytes(x), jwkBytes(y)));
  const exponent = jwkBytes(e);
  return concatBytes(Uint8Array.of(exponent.length), exponent, jwkBytes(n));
}

/** The key behind i3's form of a public key. Throws WireError: a wrong length, a point off the curve, a modulus that is none. */
export function keyOfPublicKey(algorithm: HostKeyAlgorithm, publicKey: Uint8Array): KeyObject {
  return algorithm === "rsa" ? rsaKey(publicKey) : ecdsaKey(algorithm, publicKey);
}

function ecdsaKey(algorithm: "ecdsa-p256" | "ecdsa-p384", point: Uint8Array): KeyObject {
  const { pointBytes, name } = CURVES[algorithm];
  if (point.length !== pointBytes) throw new WireError("HOST_ID", `a point of ${point.length} bytes`);
  const half = pointBytes / 2;
  try {
    // Node checks the point here too, and takes 0.1 ms where a SubjectPublicKeyInfo takes 0.18: a fifth of what a responder pays for an exchange.
    return createPublicKey({ key: { kty: "EC", crv: name, x: base64url(point.subarray(0, half)), y: base64url(point.subarray(half)) }, format: "jwk" });
  } catch {
    throw new WireError("HOST_ID", "the point is not on the curve");
  }
}

function rsaKey(hi: Uint8Array): KeyObject {
  // A length of 0 announces one of two bytes, which only exponents above 255 bytes need: more than are taken.
  const exponentBytes = hi[0] ?? 0;
  if (exponentBytes === 0 || exponentBytes > MAX_RSA_EXPONENT_BYTES) throw new WireError("HOST_ID", "an RSA exponent too long");
  const exponent = hi.subarray(1, 1 + exponentBytes);
  const modulus = hi.subarray(1 + exponentBytes);
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
  if (exponent[0] === 0 || modulus[0] === 0) throw new WireError("HOST_ID", "leading zeros in an RSA key");
  if (bits < RSA_MODULUS_BITS.min || bits > RSA_MODULUS_BITS.max) throw new WireError("HOST_ID", `an RSA modulus of ${bits} bits`);
  const isOdd = ((exponent.at(-1) ?? 0) & (modulus.at(-1) ?? 0) & 1) === 1;
  if (!isOdd || (exponentBytes === 1 && exponent[0] === 1)) throw new WireError("HOST_ID", "not an RSA key");
  try {
    return createPublicKey({ key: { kty: "RSA", n: base64url(modulus), e: base64url(exponent) }, format: "jwk" });
  } catch {
    throw new WireError("HOST_ID", "not an RSA key");
  }
}

/**
 * Algorithm and i3's form of the public key in a Host Identity field that came from a peer. Checks the form, not the key.
 * A point may begin with the byte 0x04 of SEC 1: RFC 7401 says "octet-string format [RFC6090]", which has no form for points,
 * and cutehip reads it so. Throws WireError.
 */
export function splitHi(algorithm: number, hi: Uint8Array): { readonly algorithm: HostKeyAlgorithm; readonly publicKey: Uint8Array } {
  if (algorithm === HI_ALGORITHM.rsa) return { algorithm: "rsa", publicKey: hi };
  if (algorithm !== HI_ALGORITHM.ecdsa) throw new WireError("HOST_ID", `unknown algorithm ${algorithm}`);
  const number = hi.length < CURVE_BYTES ? undefined : ((hi[0] ?? 0) << 8) | (hi[1] ?? 0);
  const name = HOST_KEY_ALGORITHMS.find((candidate) => candidate !== "rsa" && CURVES[candidate].number === number);
  if (name === undefined || name === "rsa") throw new WireError("HOST_ID", number === undefined ? "truncated" : `unknown curve ${number}`);
  const isMarked = hi.length === CURVE_BYTES + 1 + CURVES[name].pointBytes && hi[CURVE_BYTES] === UNCOMPRESSED;
  return { algorithm: name, publicKey: hi.subarray(isMarked ? CURVE_BYTES + 1 : CURVE_BYTES) };
}

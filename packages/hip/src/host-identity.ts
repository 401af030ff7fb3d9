/**
 * Host identities: ECDSA P-256 keys, their HIP encoding and host identity tags (RFC 7401 §3, §5.2.9; RFC 7343).
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";

import { concatBytes, fromHex, I3Error } from "@i3/common";

/** HIT suite ECDSA/SHA-384 (RFC 7401 §5.2.10), the OGA id of the ORCHID. */
export const HIT_SUITE_ECDSA_SHA384 = 2;
/** Curve number of NIST P-256 in a HOST_ID (RFC 7401 §5.2.9). */
const HI_CURVE_P256 = 1;
/** ORCHIDv2 context id of HIP (RFC 7401 §3.2). */
const HIT_CONTEXT_ID = fromHex("F0EFF02FBFF43D0FE7930C3C6E6174EA");
/** Length of a P-256 point as x | y. */
export const P256_POINT_BYTES = 64;
/** SubjectPublicKeyInfo of P-256 up to and including the byte 0x04 that begins an uncompressed point (RFC 5480). */
const P256_SPKI_PREFIX = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");
const SIGNATURE_ENCODING = "ieee-p1363";
const SELF_TEST = new TextEncoder().encode("i3/1 self-test\0");

/** A host's own key, its public half and the names derived from it. */
export interface HostIdentity {
  readonly privateKey: KeyObject;
  /** x | y, 64 bytes. */
  readonly point: Uint8Array;
  /** 16 bytes. */
  readonly hit: Uint8Array;
}

/** The HOST_ID encoding: curve (2 bytes) and point; what HITs are made of. */
export const hostIdEncoding = (point: Uint8Array): Uint8Array => concatBytes(Uint8Array.of(0, HI_CURVE_P256), point);

/**
 * HIT of a P-256 key (x | y, 64 bytes): 2001:20::/28, suite, middle 96 bits of SHA-384(context | host identity). 16 bytes.
 */
export function hitOf(point: Uint8Array): Uint8Array {
  if (point.length !== P256_POINT_BYTES) throw new RangeError(`P-256 point of ${point.length} bytes`);
  const hash = createHash("sha384").update(HIT_CONTEXT_ID).update(hostIdEncoding(point)).digest();
  return concatBytes(Uint8Array.of(0x20, 0x01, 0x00, 0x20 | HIT_SUITE_ECDSA_SHA384), hash.subarray(18, 30));
}

/** PKCS #8 PEM, for the key file. */
export const hostIdentityToPem = (identity: HostIdentity): string =>
  identity.privateKey.export({ type: "pkcs8", format: "pem" }) as string;

/** Throws I3Error ERR_I3_KEY when the text is not a P-256 private key. */
export function hostIdentityFromPem(pem: string): HostIdentity {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new I3Error("ERR_I3_KEY", "not a private key in PEM form", { cause });
  }
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw new I3Error("ERR_I3_KEY", `a key of type ${key.asymmetricKeyType}, where ECDSA P-256 is expected`);
  }
  const identity = identityOf(key);
  // A file holds the public half beside the private one, and nothing else compares them.
  if (!verifyWithHost(identity.point, SELF_TEST, signWithHost(identity, SELF_TEST))) {
    throw new I3Error("ERR_I3_KEY", "a key whose halves do not belong together");
  }
  return identity;
}

/** The identity of a P-256 private key. */
export function identityOf(privateKey: KeyObject): HostIdentity {
  // As JWK: a key that was written with a compressed point keeps that form in SubjectPublicKeyInfo.
  const { x = "", y = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  const point = new Uint8Array(Buffer.concat([Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]));
  return Object.freeze({ privateKey, point, hit: hitOf(point) });
}

/** ECDSA P-256 with SHA-256, r | s, 64 bytes. */
export const signWithHost = (identity: HostIdentity, message: Uint8Array): Uint8Array =>
  new Uint8Array(sign("sha256", message, { key: identity.privateKey, dsaEncoding: SIGNATURE_ENCODING }));

/** Whether `signature` over `message` is that of the key with this point. Any bytes: never throws. */
export function verifyWithHost(point: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (point.length !== P256_POINT_BYTES || signature.length !== 64) return false;
  try {
    const key = createPublicKey({ key: Buffer.concat([P256_SPKI_PREFIX, point]), format: "der", type: "spki" });
    return verify("sha256", message, { key, dsaEncoding: SIGNATURE_ENCODING }, signature);
  } catch {
    return false; // the point is not on the curve
  }
}

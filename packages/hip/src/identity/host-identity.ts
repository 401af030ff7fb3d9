/** A host's own key: ECDSA P-256, ECDSA P-384 or RSA (RFC 7401 §3, §5.2.9), and its PEM form. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";

import { I3Error } from "@i3/common";

import type { P256, P256Key } from "../crypto/p256.js";
import { algorithmOfKey, hiOfKey, publicKeyOfHi } from "./host-identity-field.js";
import { hitSuiteOf, type HostKey } from "./host-key.js";
import { signWithHost, verifyWithHost } from "./host-signature.js";
import { hitOfHi } from "./hit.js";

const SELF_TEST = new TextEncoder().encode("i3/1 self-test\0");
/** RFC 5915 §3 and DER: 30 77 02 01 01 04 20, then the private key. */
const SEC1_SCALAR = { start: 7, end: 39 } as const;
const NO_POINT = new Uint8Array(0);

/** A host's own key, its public half and the names derived from it. */
export interface HostIdentity extends HostKey {
  readonly privateKey: KeyObject;
  /** x | y, 64 bytes, of a P-256 key; empty for the others. */
  readonly point: Uint8Array;
  /** Signs in place of node:crypto, for a P-256 key. */
  readonly p256Key?: P256Key | undefined;
}

/** A host's public key as i3 messages carry it (docs/wire.md §4.1): x | y (64 or 96 bytes), or RSA by RFC 3110. */
export const hostPublicKey = ({ algorithm, hi }: Pick<HostIdentity, "algorithm" | "hi">): Uint8Array => publicKeyOfHi(algorithm, hi);

/** PKCS #8 PEM, for the key file. */
export const hostIdentityToPem = (identity: HostIdentity): string =>
  identity.privateKey.export({ type: "pkcs8", format: "pem" }) as string;

function keyText(key: KeyObject): string {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const size = namedCurve ?? (modulusLength === undefined ? undefined : `${modulusLength} bits`);
  return `a key of type ${key.asymmetricKeyType ?? "unknown"}${size === undefined ? "" : ` (${size})`}`;
}

/** Throws I3Error ERR_I3_KEY when the text is not a private key of ECDSA P-256 or P-384, or RSA of 2,048 to 4,096 bits. */
export function hostIdentityFromPem(pem: string): HostIdentity {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new I3Error("ERR_I3_KEY", "not a private key in PEM form", { cause });
  }
  if (algorithmOfKey(key) === undefined) {
    throw new I3Error("ERR_I3_KEY", `${keyText(key)}, where ECDSA P-256, ECDSA P-384 or RSA of 2048 to 4096 bits is expected`);
  }
  // A file holds the public half beside the private one, and nothing else compares them.
  try {
    const identity = identityOf(key);
    if (verifyWithHost(hostPublicKey(identity), SELF_TEST, signWithHost(identity, SELF_TEST), identity.algorithm)) return identity;
  } catch (cause) {
    throw new I3Error("ERR_I3_KEY", "a key that does not sign", { cause });
  }
  throw new I3Error("ERR_I3_KEY", "a key whose halves do not belong together");
}

/** The identity of a private key. Throws RangeError for a key of another kind. */
export function identityOf(privateKey: KeyObject): HostIdentity {
  const algorithm = algorithmOfKey(privateKey);
  if (algorithm === undefined) throw new RangeError(keyText(privateKey));
  const publicKey = createPublicKey(privateKey);
  const hi = hiOfKey(algorithm, publicKey);
  const hitSuite = hitSuiteOf(algorithm);
  const point = algorithm === "ecdsa-p256" ? publicKeyOfHi(algorithm, hi).slice() : NO_POINT;
  return Object.freeze({ algorithm, hi, hit: hitOfHi(hitSuite, hi), hitSuite, publicKey, privateKey, point });
}

/** The same identity, whose signatures `p256` makes and checks, and those of the peers that it meets; one of another algorithm only checks with it. */
export function withP256(identity: HostIdentity, p256: P256): HostIdentity {
  if (identity.algorithm !== "ecdsa-p256") return Object.freeze({ ...identity, p256 });
  const der = identity.privateKey.export({ type: "sec1", format: "der" });
  const p256Key = p256.openKey(der.subarray(SEC1_SCALAR.start, SEC1_SCALAR.end), identity.point);
  der.fill(0);
  return Object.freeze({ ...identity, p256, p256Key });
}

/** Ed25519 keys behind private ids (docs/wire.md §2): one key, one prefix, many suffixes. */
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";

import { I3Error, privatePrefix } from "@i3/common";

const ED25519_SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const ED25519_PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

export interface TriggerKey {
  readonly privateKey: KeyObject;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The first 16 bytes of every id that this key may insert. */
  readonly prefix: Uint8Array;
}

/** Of a key that was read, not generated: node 20 deadlocks when it collects the job that has generated a key while it exports that key. */
function triggerKeyOf(privateKey: KeyObject): TriggerKey {
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const publicKey = new Uint8Array(spki.subarray(ED25519_SPKI_PREFIX.length));
  return Object.freeze({ privateKey, publicKey, prefix: privatePrefix(publicKey) });
}

/** The secret of 32 bytes, for the state file. */
export function triggerKeySeed(key: TriggerKey): Uint8Array {
  const der = key.privateKey.export({ type: "pkcs8", format: "der" });
  return new Uint8Array(der.subarray(ED25519_PKCS8_PREFIX.length));
}

/** The inverse of {@link triggerKeySeed}. Throws I3Error ERR_I3_KEY. */
export function triggerKeyFromSeed(seed: Uint8Array): TriggerKey {
  if (seed.length !== 32) throw new I3Error("ERR_I3_KEY", `an Ed25519 secret of ${seed.length} bytes`);
  return triggerKeyOf(createPrivateKey({ key: Buffer.concat([ED25519_PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" }));
}

export const signWithTriggerKey = (key: TriggerKey, message: Uint8Array): Uint8Array =>
  new Uint8Array(sign(null, message, key.privateKey));

/** As a JWK (RFC 8037), which node hands to OpenSSL as it is: by way of DER a key takes longer to read than a signature to check. */
function publicKeyOf(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

/**
 * Whether `signature` (64 bytes) is that of `publicKey` (32 bytes) over `message`; never for what is no point on the curve. libsodium.ts has one
 * that takes half the time.
 */
export type Ed25519Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;

function verifyByNode(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(null, message, publicKeyOf(publicKey), signature);
  } catch {
    return false;
  }
}

/** Any bytes: never throws. */
export function verifyWithTriggerKey(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array, ed25519: Ed25519Verify = verifyByNode): boolean {
  return publicKey.length === 32 && signature.length === 64 && ed25519(publicKey, message, signature);
}

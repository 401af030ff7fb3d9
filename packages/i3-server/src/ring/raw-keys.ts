/** Ed25519 and X25519 keys (RFC 8032, RFC 7748) as their 32 bytes, which node:crypto only takes in an envelope (RFC 8410). */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";

export const RAW_KEY_BYTES = 32;

export type Curve = "ed25519" | "x25519";

const SPKI: Readonly<Record<Curve, Buffer>> = { ed25519: Buffer.from("302a300506032b6570032100", "hex"), x25519: Buffer.from("302a300506032b656e032100", "hex") };
const PKCS8: Readonly<Record<Curve, Buffer>> = {
  ed25519: Buffer.from("302e020100300506032b657004220420", "hex"), x25519: Buffer.from("302e020100300506032b656e04220420", "hex"),
};

/** `secret`: 32 bytes, which stay the caller's. */
export function privateKeyOf(curve: Curve, secret: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8[curve], secret]);
  try {
    return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  } finally {
    der.fill(0);
  }
}

/** `bytes`: 32. Any of them are a key; what it is good for shows when it is used. */
export const publicKeyOf = (curve: Curve, bytes: Uint8Array): KeyObject => createPublicKey({ key: Buffer.concat([SPKI[curve], bytes]), format: "der", type: "spki" });

/** The 32 bytes that others may know of a secret of 32 bytes. */
export function publicBytesOf(curve: Curve, secret: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKeyOf(curve, secret)).export({ type: "spki", format: "der" });
  return new Uint8Array(spki.subarray(SPKI[curve].length));
}

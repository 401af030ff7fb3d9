/**
 * Ed25519 signatures checked by libsodium, in half the time that node's OpenSSL takes (bench/README.md, "server"). It refuses more than that one: points of small
 * order, as keys and in signatures, for which a signature could hold for much.
 */
import { createRequire } from "node:module";
import type { Ed25519Verify } from "./trigger-key.js";

/** What we use of sodium-native, which declares no types. Throws for wrong lengths. */
interface Libsodium {
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
}

/** null: not installed, or not there for this platform. */
export function loadLibsodiumEd25519(): Ed25519Verify | null {
  try {
    const libsodium = createRequire(import.meta.url)("sodium-native") as Libsodium;
    return (publicKey, message, signature) => libsodium.crypto_sign_verify_detached(signature, message, publicKey);
  } catch {
    return null;
  }
}

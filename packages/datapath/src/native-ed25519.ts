/** Ed25519 signatures checked in the addon (native/ed25519.cc), of keys as they are on the wire. */
import { loadNativeIo } from "./native-io.js";

/** What the addon has. Wrong lengths: TypeError. */
interface Ed25519Addon {
  /** `publicKey` 32 bytes, `signature` 64. false for what is no point on the curve too. */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** Throws I3Error ERR_I3_NO_NATIVE as {@link loadNativeIo}. */
export function loadNativeEd25519(): Ed25519Addon["ed25519Verify"] {
  const addon = loadNativeIo() as unknown as Ed25519Addon;
  return (publicKey, message, signature) => addon.ed25519Verify(publicKey, message, signature);
}

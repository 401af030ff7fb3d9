/** ECDH and ECDSA on P-256 in the addon (native/p256.cc), as the encrypted set-up takes them. Wrong lengths: TypeError. */
import { loadNativeIo } from "./native-io.js";

/** A key of `p256OpenKey`; OpenSSL wipes it when it is collected. */
export type P256Handle = object & { readonly __brand: "i3-p256-key" };

/** What the addon has. Points are x | y, 64 bytes; signatures r | s, 64 bytes, of SHA-384 of `message`. */
export interface P256Addon {
  p256IsPoint(point: Uint8Array): boolean;
  /** false for a point off the curve too. */
  p256Verify(point: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** Throws EIO when OpenSSL refuses it: a scalar that is 0 or not below the order, a point that is not its. */
  p256OpenKey(scalar: Uint8Array, point: Uint8Array): P256Handle;
  /** x, 32 bytes; null for a point off the curve. */
  p256Secret(key: P256Handle, point: Uint8Array): Uint8Array | null;
  p256Sign(key: P256Handle, message: Uint8Array): Uint8Array;
}

export interface NativeP256Key {
  secret(point: Uint8Array): Uint8Array | null;
  sign(message: Uint8Array): Uint8Array;
}

export interface NativeP256 {
  isPoint(point: Uint8Array): boolean;
  verify(point: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  openKey(scalar: Uint8Array, point: Uint8Array): NativeP256Key;
}

/** Throws I3Error ERR_I3_NO_NATIVE as {@link loadNativeIo}. */
export function loadNativeP256(): NativeP256 {
  const addon = loadNativeIo() as unknown as P256Addon;
  return Object.freeze({
    isPoint: (point: Uint8Array) => addon.p256IsPoint(point),
    verify: (point: Uint8Array, message: Uint8Array, signature: Uint8Array) => addon.p256Verify(point, message, signature),
    openKey: (scalar: Uint8Array, point: Uint8Array) => {
      const key = addon.p256OpenKey(scalar, point);
      return Object.freeze({ secret: (peer: Uint8Array) => addon.p256Secret(key, peer), sign: (message: Uint8Array) => addon.p256Sign(key, message) });
    },
  });
}

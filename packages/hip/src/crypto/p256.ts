/**
 * P-256 from outside, since node:crypto checks and rebuilds keys and group for each call, which takes longer than the arithmetic. Whoever is given none
 * computes with node:crypto. @i3/datapath has one in its addon (native-p256.ts).
 */

/** A private key. It is wiped when nobody refers to it. */
export interface P256Key {
  /** ECDH: 32 bytes, the caller's to wipe; null for a point off the curve. TypeError unless `point` has 64 bytes. */
  secret(point: Uint8Array): Uint8Array | null;
  /** r | s over SHA-384 of `message`, 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

/** Points are x | y, 64 bytes: TypeError for other lengths. */
export interface P256 {
  isPoint(point: Uint8Array): boolean;
  /** Whether `signature` (r | s, 64 bytes) is that of SHA-384 of `message`; never for a point off the curve. */
  verify(point: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** `scalar`: 32 bytes, 1 to the order less 1, copied; `point` is its. Throws for others. */
  openKey(scalar: Uint8Array, point: Uint8Array): P256Key;
}

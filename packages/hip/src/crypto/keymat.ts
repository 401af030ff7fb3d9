/**
 * KEYMAT, the keying material of an association (RFC 7401 §6.5): HKDF with RHASH over
 *
 *     input  Kij, the Diffie-Hellman secret        salt  #I | #J        info  the two HITs, the smaller one first
 *
 * What is drawn, in this order; HOST_g is the host with the greater HIT, HOST_l the other one:
 *
 *     HIP-gl encryption, HIP-gl integrity      HIP packets that HOST_g sends
 *     HIP-lg encryption, HIP-lg integrity      HIP packets that HOST_l sends
 *     SA-gl encryption, SA-gl authentication   ESP packets that HOST_g sends (RFC 7402 §7; see esp-suites.ts)
 *     SA-lg encryption, SA-lg authentication   ESP packets that HOST_l sends
 *
 * A rekey goes on drawing ESP keys at the index that the hosts agree on (RFC 7402 §6.9), or begins a new KEYMAT at index 0 when there
 * is a new Kij; it never draws HIP keys again.
 */
import { concatBytes, HIT_BYTES } from "@i3/common";

import { hipCipherLengths, type HipCipherSuite } from "./hip-cipher.js";
import { HkdfStream } from "./hkdf.js";
import { RHASH_BYTES, type Rhash } from "./rhash.js";

export class Keymat extends HkdfStream {
  /** `kij` as {@link DhKeyPair.secret} gives it; `i` and `j` of RHASH_len bytes; the HITs of both hosts in any order. RangeError for wrong lengths or equal HITs. */
  constructor(rhash: Rhash, kij: Uint8Array, i: Uint8Array, j: Uint8Array, hitA: Uint8Array, hitB: Uint8Array) {
    const length = RHASH_BYTES[rhash];
    if (i.length !== length || j.length !== length) throw new RangeError(`#I and #J of ${i.length} and ${j.length} bytes for ${rhash}`);
    super(rhash, kij, concatBytes(i, j), isGreaterHit(hitA, hitB) ? concatBytes(hitB, hitA) : concatBytes(hitA, hitB));
  }
}

/** Whether `a` is greater than `b`, as unsigned 128-bit numbers in network byte order. RangeError unless both are 16 bytes and differ. */
export function isGreaterHit(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== HIT_BYTES || b.length !== HIT_BYTES) throw new RangeError(`HITs of ${a.length} and ${b.length} bytes`);
  const order = Buffer.compare(a, b);
  // One host with itself: both directions would have one key.
  if (order === 0) throw new RangeError("an association of a host with itself");
  return order > 0;
}

/** What is drawn for each of two directions, seen from this host. */
export interface Directions<T> {
  /** For what this host sends. */
  readonly out: T;
  /** For what it receives. */
  readonly in: T;
}

/** Draws for HOST_g, then for HOST_l, and says which is ours. */
export function drawDirections<T>(ownHit: Uint8Array, peerHit: Uint8Array, draw: () => T): Directions<T> {
  const ownIsG = isGreaterHit(ownHit, peerHit);
  const ofG = draw();
  const ofL = draw();
  return ownIsG ? { out: ofG, in: ofL } : { out: ofL, in: ofG };
}

export interface HipDirectionKeys {
  /** Of the HIP cipher; empty for NULL. */
  readonly encryption: Uint8Array;
  /** Of HIP_MAC; RHASH_len bytes. */
  readonly integrity: Uint8Array;
}

export type HipKeys = Directions<HipDirectionKeys>;

/** The four HIP keys, the first that are drawn from a fresh KEYMAT (RFC 7401 §6.5). RangeError when something was drawn before. */
export function hipKeysOf(keymat: Keymat, cipher: HipCipherSuite, ownHit: Uint8Array, peerHit: Uint8Array): HipKeys {
  if (keymat.index !== 0) throw new RangeError(`HIP keys at index ${keymat.index} of KEYMAT; they stand at its beginning`);
  const { keyBytes } = hipCipherLengths(cipher);
  return drawDirections(ownHit, peerHit, () => ({
    encryption: keymat.draw(keyBytes),
    integrity: keymat.draw(RHASH_BYTES[keymat.rhash]),
  }));
}

/** Overwrites keys that are no longer used, HIP's or ESP's. */
export function wipeKeys(keys: Directions<object>): void {
  wipeSecrets(keys.out);
  wipeSecrets(keys.in);
}

/** The same for one direction. */
export function wipeSecrets(direction: object): void {
  for (const secret of Object.values(direction) as unknown[]) if (secret instanceof Uint8Array) secret.fill(0);
}

/**
 * The Diffie-Hellman groups of DIFFIE_HELLMAN (RFC 7401 §5.2.7).
 *
 *     group      public value                                      Kij
 *     7 P-256    x | y, 64 bytes (RFC 5903 §7)                     x, 32 bytes
 *     8 P-384    x | y, 96                                         x, 48
 *     9 P-521    x | y, 132, each behind 7 zero bits               x, 66
 *     3 MODP     192 bytes, 1,536 bits (RFC 3526)                  192
 *    11 MODP     256 bytes, 2,048 bits                             256
 *     4 MODP     384 bytes, 3,072 bits                             384
 *
 * Kij keeps its leading zeros. RFC 7401 does not say so, but RFC 5903 §7 and RFC 2631 §2.1.2 do, from which the groups are taken.
 */
import { createDiffieHellman, createECDH, getDiffieHellman } from "node:crypto";

import { concatBytes, fromHex, WireError } from "@i3/common";

import type { P256 } from "./p256.js";

/** Group ids (IANA hip-parameters): 3, 11 and 4 are MODP of 1,536, 2,048 and 3,072 bits; 7, 8 and 9 the NIST curves. */
export type DhGroup = 3 | 4 | 7 | 8 | 9 | 11;

/** A key pair of one exchange. Its private half is inside node's object, which OpenSSL wipes when it is collected. */
export interface DhKeyPair {
  readonly group: DhGroup;
  /** As on the wire: x | y of a curve, or a number padded to the length of the modulus. */
  readonly publicValue: Uint8Array;
  /**
   * Kij with a peer's public value; the caller owns and wipes it. WireError for a wrong length, a point off the curve, or a number
   * that is 0, 1, p - 1 or not below p.
   */
  secret(peer: Uint8Array): Uint8Array;
}

/** Where an exchange gets its key pairs; a core is given one. */
export type DhSource = (group: DhGroup) => DhKeyPair;

interface Curve {
  readonly name: string;
  readonly coordinateBytes: number;
  /** Bits of a private key's first byte that may be set. */
  readonly topMask: number;
  readonly order: Uint8Array;
}

// SEC 2 §2.4.2, §2.5.1, §2.6.1.
const CURVES = {
  7: { name: "prime256v1", coordinateBytes: 32, topMask: 0xff, order: fromHex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") },
  8: { name: "secp384r1", coordinateBytes: 48, topMask: 0xff, order: fromHex("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973") },
  9: { name: "secp521r1", coordinateBytes: 66, topMask: 0x01, order: fromHex(`01${"ff".repeat(32)}fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409`) },
} as const satisfies Record<number, Curve>;

interface Modulus {
  /** Node's name of the group (RFC 3526). */
  readonly name: string;
  readonly bytes: number;
  /** Length of private exponents: the larger estimate of RFC 3526 §8, rounded up to whole 8 bytes. */
  readonly exponentBytes: number;
}

const MODULI = {
  3: { name: "modp5", bytes: 192, exponentBytes: 32 },
  11: { name: "modp14", bytes: 256, exponentBytes: 40 },
  4: { name: "modp15", bytes: 384, exponentBytes: 56 },
} as const satisfies Record<number, Modulus>;

/** A candidate is out of range with a chance of 2^-32 at most, so a source that fails this often is broken. */
const MAX_CANDIDATES = 8;
/** An uncompressed point begins with it (SEC 1 §2.3.3). */
const UNCOMPRESSED = Uint8Array.of(4);

export const isDhGroup = (number: number): number is DhGroup => Object.hasOwn(CURVES, number) || Object.hasOwn(MODULI, number);

/** Length of a public value on the wire, in bytes. */
export const publicValueBytes = (group: DhGroup): number => (isCurve(group) ? 2 * CURVES[group].coordinateBytes : MODULI[group].bytes);

/** A key pair from `random`, which yields fresh unpredictable bytes; what it yields is wiped here. `p256` computes for group 7, if there is one. */
export function dhKeyPair(group: DhGroup, random: (bytes: number) => Uint8Array, p256?: P256): DhKeyPair {
  return isCurve(group) ? curveKeyPair(group, CURVES[group], random, p256) : modulusKeyPair(group, MODULI[group], random);
}

const isCurve = (group: DhGroup): group is keyof typeof CURVES => Object.hasOwn(CURVES, group);

function curveKeyPair(group: DhGroup, curve: Curve, random: (bytes: number) => Uint8Array, p256: P256 | undefined): DhKeyPair {
  const ecdh = createECDH(curve.name);
  const scalar = curveScalar(curve, random);
  ecdh.setPrivateKey(scalar);
  const publicValue = new Uint8Array(ecdh.getPublicKey().subarray(UNCOMPRESSED.length));
  const key = group === 7 ? p256?.openKey(scalar, publicValue) : undefined;
  scalar.fill(0);
  const secret = (peer: Uint8Array): Uint8Array => {
    if (peer.length !== publicValue.length) throw wrongValue(group, `${peer.length} bytes`);
    if (key !== undefined) {
      const shared = key.secret(peer);
      if (shared === null) throw offCurve(group);
      return shared;
    }
    try {
      return takeSecret(ecdh.computeSecret(concatBytes(UNCOMPRESSED, peer)));
    } catch (cause) {
      // Node decodes the point with EC_POINT_oct2point, which refuses one that is not on the curve; the others have the full order.
      if ((cause as NodeJS.ErrnoException).code !== "ERR_CRYPTO_ECDH_INVALID_PUBLIC_KEY") throw cause;
      throw offCurve(group);
    }
  };
  return Object.freeze({ group, publicValue, secret });
}

/** A number from 1 to the order less 1, each equally likely (FIPS 186-4 §B.4.2). */
function curveScalar(curve: Curve, random: (bytes: number) => Uint8Array): Uint8Array {
  for (let candidates = 0; candidates < MAX_CANDIDATES; candidates++) {
    const scalar = randomOf(random, curve.coordinateBytes);
    scalar[0] = (scalar[0] ?? 0) & curve.topMask;
    if (scalar.some((byte) => byte !== 0) && Buffer.compare(scalar, curve.order) < 0) return scalar;
  }
  throw new RangeError(`${MAX_CANDIDATES} candidates for a key of ${curve.name} out of range: the random source is broken`);
}

function modulusKeyPair(group: DhGroup, modulus: Modulus, random: (bytes: number) => Uint8Array): DhKeyPair {
  const named = getDiffieHellman(modulus.name);
  const prime = new Uint8Array(named.getPrime());
  const dh = createDiffieHellman(prime, named.getGenerator());
  const exponent = randomOf(random, modulus.exponentBytes);
  exponent[0] = (exponent[0] ?? 0) | 0x80; // of full length, so never 0 or small
  dh.setPrivateKey(exponent);
  exponent.fill(0);
  // Computes the public half of the private one that is set.
  const publicValue = leftPadded(dh.generateKeys(), modulus.bytes);
  const secret = (peer: Uint8Array): Uint8Array => {
    // RFC 7401 does not say that the value is padded, and a peer that strips zeros sends a shorter one every 256th time.
    if (peer.length === 0 || peer.length > modulus.bytes) throw wrongValue(group, `${peer.length} bytes`);
    const value = leftPadded(peer, modulus.bytes);
    if (!isBetweenOneAndLast(value, prime)) throw wrongValue(group, "a number that makes the secret known");
    return takeSecret(dh.computeSecret(value)); // which node pads to the length of the modulus
  };
  return Object.freeze({ group, publicValue, secret });
}

/** Whether 1 < value < prime - 1, for big-endian numbers of one length. A prime is odd, so only its last byte differs in prime - 1. */
function isBetweenOneAndLast(value: Uint8Array, prime: Uint8Array): boolean {
  const end = value.length - 1;
  const small = value.subarray(0, end).every((byte) => byte === 0) && (value[end] ?? 0) < 2;
  const last = prime.slice();
  last[end] = (last[end] ?? 0) - 1;
  return !small && Buffer.compare(value, last) < 0;
}

function leftPadded(number: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  out.set(number, length - number.length);
  return out;
}

function randomOf(random: (bytes: number) => Uint8Array, bytes: number): Uint8Array {
  const out = random(bytes);
  if (out.length !== bytes) throw new RangeError(`random source gave ${out.length} bytes for ${bytes}`);
  return out;
}

/** Node's answer as plain bytes, with no copy left behind. */
function takeSecret(buffer: Buffer): Uint8Array {
  const secret = new Uint8Array(buffer);
  buffer.fill(0);
  return secret;
}

const offCurve = (group: DhGroup): WireError => wrongValue(group, "not a point of the curve");
const wrongValue = (group: DhGroup, why: string): WireError => new WireError("DIFFIE_HELLMAN", `public value of group ${group}: ${why}`);

/**
 * Host identity tags (RFC 7401 §3.2, RFC 7343 §2): 16 bytes.
 *
 *     2001:002 (28 bits) | suite (4 bits, the OGA id) | middle 96 bits of hash(context id | Host Identity)
 */
import { createHash } from "node:crypto";

import { concatBytes, fromHex, HIT_BYTES, WireError } from "@i3/common";

import type { Rhash } from "../crypto/rhash.js";

// RFC 7401 and RFC 7343:
/** ORCHIDv2 context id of HIP (RFC 7401 §3.2). */
const CONTEXT_ID = fromHex("F0EFF02FBFF43D0FE7930C3C6E6174EA");
/** HIT suites RSA,DSA/SHA-256 and ECDSA/SHA-384 (RFC 7401 §5.2.10). */
export const HIT_SUITE = { rsa: 1, ecdsa: 2 } as const;
export type HitSuite = (typeof HIT_SUITE)[keyof typeof HIT_SUITE];
const MIDDLE_BYTES = 12;

/** The hash function of a HIT suite (RFC 7401 §5.2.10, table 10). */
export const hashOfSuite = (suite: HitSuite): Rhash => (suite === HIT_SUITE.rsa ? "sha256" : "sha384");

/** HIT of a Host Identity field of any length. 16 bytes. */
export function hitOfHi(suite: HitSuite, hi: Uint8Array): Uint8Array {
  const hash = createHash(hashOfSuite(suite)).update(CONTEXT_ID).update(hi).digest();
  const start = (hash.length - MIDDLE_BYTES) / 2;
  return concatBytes(Uint8Array.of(0x20, 0x01, 0x00, 0x20 | suite), hash.subarray(start, start + MIDDLE_BYTES));
}

/** Whether 16 bytes lie in 2001:20::/28, of whatever suite: no host is there. */
export const isInHitRange = ([a, b, c, d = 0]: Uint8Array): boolean => a === 0x20 && b === 0x01 && c === 0x00 && d >> 4 === 2;

/** The suite in a HIT. Throws WireError when these bytes are no HIT, or one of a suite that is not spoken here. */
export function suiteOfHit(hit: Uint8Array): HitSuite {
  if (hit.length !== HIT_BYTES) throw new WireError("HIT", `${hit.length} bytes`);
  if (!isInHitRange(hit)) throw new WireError("HIT", "outside of 2001:20::/28");
  const suite = (hit[3] ?? 0) & 0xf;
  if (suite !== HIT_SUITE.rsa && suite !== HIT_SUITE.ecdsa) throw new WireError("HIT", `unknown suite ${suite}`);
  return suite;
}

/** RHASH when this is the Responder's HIT (RFC 7401 §2.3). Throws WireError as {@link suiteOfHit}. */
export const rhashOf = (hit: Uint8Array): Rhash => hashOfSuite(suiteOfHit(hit));

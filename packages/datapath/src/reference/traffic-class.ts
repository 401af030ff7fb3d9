/**
 * DSCP and ECN of a packet: the second byte of an IPv4 header, across the first two bytes of an IPv6 header.
 *
 *     IPv4 | version 4 | IHL 4 | DSCP 6 | ECN 2 |          IPv6 | version 4 | DSCP 6 | ECN 2 | flow label 20 |
 */
import { adjustChecksum, wordDelta } from "./checksum.js";
import { IPV4, innerVersion } from "./inner-packet.js";
import { put16, u16, u8 } from "./octets.js";

export const ECN = { notEct: 0, ect1: 1, ect0: 2, ce: 3 } as const;
const ECN_MASK = 3;

/** All 8 bits. */
export const trafficClassOf = (bytes: Uint8Array, at: number): number => (innerVersion(bytes, at) === 4 ? u8(bytes, at + 1) : (u16(bytes, at) >>> 4) & 0xff);

/** RFC 6040 §4.2, figure 4: the ECN field with which a packet leaves the tunnel, from the two traffic classes; null: dropped. */
export function combineEcn(innerClass: number, outerClass: number): number | null {
  const inner = innerClass & ECN_MASK;
  const outer = outerClass & ECN_MASK;
  if (outer === ECN.ce) return inner === ECN.notEct ? null : ECN.ce;
  return inner === ECN.ect0 && outer === ECN.ect1 ? ECN.ect1 : inner;
}

/** Writes the ECN field, and updates the checksum of an IPv4 header. */
export function setEcn(bytes: Uint8Array, at: number, ecn: number): void {
  const shift = innerVersion(bytes, at) === 4 ? 0 : 4;
  const before = u16(bytes, at);
  const after = (before & ~(ECN_MASK << shift)) | (ecn << shift);
  if (after === before) return;
  put16(bytes, at, after);
  if (shift === 0) adjustChecksum(bytes, at + IPV4.checksum, wordDelta(before, after));
}

/**
 * HIP_SIGNATURE and HIP_SIGNATURE_2 (RFC 7401 §5.2.14, §5.2.15), HIP_MAC and HIP_MAC_2 (§5.2.12, §5.2.13).
 *
 *     0  algorithm 2                0  MAC, as long as RHASH: 32 or 48
 *     2  signature
 */
import { concatBytes } from "@i3/common";
import { exactly, FieldReader, uintBytes } from "../fields.js";
import type { RhashBytes } from "./puzzle.js";

export interface HipSignature {
  /** As in HOST_ID: 5 RSA, 7 ECDSA. */
  readonly algorithm: number;
  readonly signature: Uint8Array;
}

export const encodeHipSignature = ({ algorithm, signature }: HipSignature): Uint8Array => concatBytes(uintBytes(2, algorithm), signature);

export function decodeHipSignature(contents: Uint8Array): HipSignature {
  const reader = new FieldReader("HIP_SIGNATURE", contents);
  return { algorithm: reader.uint(2), signature: reader.rest(1) };
}

export const encodeHipMac = (mac: Uint8Array): Uint8Array => exactly("MAC", mac, 32, 48).slice();

export function decodeHipMac(contents: Uint8Array, rhashBytes: RhashBytes): Uint8Array {
  const reader = new FieldReader("HIP_MAC", contents);
  const mac = reader.bytes(rhashBytes);
  reader.end();
  return mac;
}

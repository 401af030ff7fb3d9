/**
 * Who is in a group (docs/wire.md §2): whoever founds it makes an Ed25519 key and certifies the members' keys off line. Each
 * member then inserts triggers at the group's ids with its own key.
 *
 *      0  group key 32
 *     32  member key 32 (Ed25519)
 *     64  not after 8, s since 1970
 *     72  signature 64: Ed25519 of the group key over "i3/1 group member" 0 and all before it
 */
import { concatBytes, MEMBER_CERTIFICATE_BYTES, u64Bytes, WireError } from "@i3/common";

import { signWithTriggerKey, verifyWithTriggerKey, type Ed25519Verify, type TriggerKey } from "./trigger-key.js";

const DOMAIN = new TextEncoder().encode("i3/1 group member\0");
const OFFSET_MEMBER_KEY = 32;
const OFFSET_NOT_AFTER = 64;
const OFFSET_SIGNATURE = 72;
/** In ms still an integer. */
const MAX_NOT_AFTER_S = Math.floor(Number.MAX_SAFE_INTEGER / 1_000);

export interface GroupMembership {
  /** 32 bytes. */
  readonly groupKey: Uint8Array;
  /** 32 bytes. */
  readonly memberKey: Uint8Array;
  /** Wall time, s since 1970. */
  readonly notAfterS: number;
}

/** The certificate (136 bytes) by which `memberKey` (32 bytes) is in the group until `notAfterS`. */
export function certifyMember(group: TriggerKey, memberKey: Uint8Array, notAfterS: number): Uint8Array {
  if (memberKey.length !== 32) throw new RangeError(`a member key of ${memberKey.length} bytes`);
  if (!Number.isInteger(notAfterS) || notAfterS < 0 || notAfterS > MAX_NOT_AFTER_S) throw new RangeError(`not after ${notAfterS} s`);
  const covered = concatBytes(group.publicKey, memberKey, u64Bytes(notAfterS));
  return concatBytes(covered, signWithTriggerKey(group, concatBytes(DOMAIN, covered)));
}

/** What a certificate says; whether it is true, {@link verifyMembership} knows. Throws WireError on another length. */
export function readMembership(certificate: Uint8Array): GroupMembership {
  if (certificate.length !== MEMBER_CERTIFICATE_BYTES) throw new WireError("member certificate", `${certificate.length} bytes`);
  const notAfterS = Number(new DataView(certificate.buffer, certificate.byteOffset).getBigUint64(OFFSET_NOT_AFTER));
  return {
    groupKey: certificate.slice(0, OFFSET_MEMBER_KEY), memberKey: certificate.slice(OFFSET_MEMBER_KEY, OFFSET_NOT_AFTER),
    notAfterS: Math.min(notAfterS, MAX_NOT_AFTER_S),
  };
}

/** Whether the group's key signed it. Any bytes: never throws. `ed25519` @default node's */
export function verifyMembership(certificate: Uint8Array, ed25519?: Ed25519Verify): boolean {
  if (certificate.length !== MEMBER_CERTIFICATE_BYTES) return false;
  const covered = concatBytes(DOMAIN, certificate.subarray(0, OFFSET_SIGNATURE));
  return verifyWithTriggerKey(certificate.subarray(0, OFFSET_MEMBER_KEY), covered, certificate.subarray(OFFSET_SIGNATURE), ed25519);
}

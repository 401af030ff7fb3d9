/** Who says what is in a record of the ring (docs/wire.md §4.3): the Ed25519 key whose hash is its place. */
import { concatBytes, decodeRecord, encodeRecordFields, RECORD_SIGNATURE_BYTES, type RecordFields, type SignedRecord } from "@i3/common";

import { signWithTriggerKey, verifyWithTriggerKey, type TriggerKey } from "./trigger-key.js";

const DOMAIN = new TextEncoder().encode("i3/1 record\0");

/** Signs a record: at most 1,000 bytes. Throws WireError when the fields make none. */
export function signRecord(key: TriggerKey, fields: Omit<RecordFields, "signer">): SignedRecord {
  const bytes = encodeRecordFields({ ...fields, signer: key.publicKey });
  return decodeRecord(concatBytes(bytes, signWithTriggerKey(key, concatBytes(DOMAIN, bytes))));
}

/** Whether its signer has signed it. Never throws. */
export function isRecordSigned({ bytes, signer, signature }: SignedRecord): boolean {
  return verifyWithTriggerKey(signer, concatBytes(DOMAIN, bytes.subarray(0, bytes.length - RECORD_SIGNATURE_BYTES)), signature);
}

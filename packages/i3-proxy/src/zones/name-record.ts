/** What a zone's key says about a name (docs/wire.md §4.3, kind 2): a label of the zone, and the HIT that it stands for. */
import { formatIpText, isKnownHit, normalName, RECORD_KIND, sameBytes, toHex, type SignedRecord } from "@i3/common";
import { isRecordSigned } from "@i3/hip";
import { recordEndText, recordFromText, RecordProblem, recordToText } from "@i3/i3-client";

const FIRST_LINE = "i3 name record 1";
/** Of a record (docs/wire.md §4.3). */
const MAX_LABEL_CHARACTERS = 63;

/** A name within a zone as records have it: `nas`, `nas.office`; undefined when no record can have it. */
export function zoneLabel(text: string): string | undefined {
  const label = normalName(text);
  return label === undefined || label.length > MAX_LABEL_CHARACTERS ? undefined : label;
}

/** Checks that a record names a host in the zone of this key (Ed25519, 32 bytes). Throws RecordProblem. Whether it has ended is for the caller. */
export function checkNameRecord(record: SignedRecord, key: Uint8Array): SignedRecord {
  if (record.kind !== RECORD_KIND.name) throw new RecordProblem("is a record of another kind");
  if (!sameBytes(record.signer, key)) throw new RecordProblem(`is of the key ${toHex(record.signer)}, not of ${toHex(key)}`);
  if (zoneLabel(record.label) !== record.label) throw new RecordProblem(`is about "${record.label}", which is no name`);
  if (!isKnownHit(record.value)) throw new RecordProblem(`names ${formatIpText(record.value)}, a HIT of an unknown suite`);
  if (!isRecordSigned(record)) throw new RecordProblem("is damaged: its signature is wrong");
  return record;
}

/** Throws RecordProblem. */
export const nameRecordFromText = (text: string, key: Uint8Array): SignedRecord => checkNameRecord(recordFromText(text, FIRST_LINE), key);

export const nameRecordToText = (record: SignedRecord): string => recordToText(FIRST_LINE, `${record.label} is ${formatIpText(record.value)}, until ${recordEndText(record)}`, record);

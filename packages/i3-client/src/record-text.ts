/**
 * Signed records (docs/wire.md §4.3) as text files, whether written by whoever has the signing key or kept beside the state:
 *
 *     i3 server list 1              or another first line, which says what it is
 *     record 2000 hex digits at most
 *
 * Blank lines and those that begin with # mean nothing.
 */
import { decodeRecord, fromHex, toHex, WireError, type SignedRecord } from "@i3/common";

/** Why a record is refused: continues the name of its file. */
export class RecordProblem extends Error {}

/** Its form only: whose it is and what it says is for the caller. Throws RecordProblem. */
export function recordFromText(text: string, firstLine: string): SignedRecord {
  const [first = "", ...lines] = text.split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  if (first !== firstLine) throw new RecordProblem(`does not begin with the line "${firstLine}"`);
  const [line = "", ...more] = lines;
  const hex = /^record ([0-9a-f]{2,2000})$/i.exec(line)?.[1] ?? "";
  if (hex === "" || hex.length % 2 !== 0 || more.length > 0) throw new RecordProblem("is damaged: not one line with a record");
  try {
    return decodeRecord(fromHex(hex));
  } catch (cause) {
    if (cause instanceof WireError) throw new RecordProblem("is damaged", { cause });
    throw cause;
  }
}

/** @param comment one line, for people */
export const recordToText = (firstLine: string, comment: string, { bytes }: SignedRecord): string => `${firstLine}
# ${comment}
record ${toHex(bytes)}
`;

/** The last day of a record, for people. */
export const recordEndText = ({ notAfterS }: SignedRecord): string => new Date(Math.min(notAfterS * 1_000, 8.64e15)).toISOString().slice(0, 10);

/**
 * Names of zones that were found, as text, so that they outlive a restart, and with them how new each was: an older record is not taken again.
 *
 *     i3 zone records 1
 *     record hex digits                a line each, the one used longest ago first
 */
import { decodeRecord, fromHex, I3Error, RECORD_KIND, toHex, WireError, type SignedRecord } from "@i3/common";

import { MAX_ZONE_NAMES } from "./zone-names.js";

const FIRST_LINE = "i3 zone records 1";
const LINE = /^record ([0-9a-f]{2,2000})$/;

export const zoneRecordsToText = (records: readonly SignedRecord[]): string => [FIRST_LINE, ...records.map(({ bytes }) => `record ${toHex(bytes)}`)].map((line) => `${line}\n`).join("");

/**
 * The inverse; whether they are signed is for {@link ZoneNames} to see. Throws I3Error ERR_I3_STATE with the line that is wrong: with half of them, older records would be taken.
 * @param file its name, for errors
 */
export function zoneRecordsFromText(text: string, file: string): readonly SignedRecord[] {
  const damaged = (line: number, why: string): never => {
    throw new I3Error("ERR_I3_STATE", `${file}:${line}: ${why}`, { remedy: "Restore the file from a backup, or delete it: then names of zones are looked for anew, and the first records that come are believed." });
  };
  const [first, ...lines] = text.split("\n");
  if (first !== FIRST_LINE) damaged(1, `not the line "${FIRST_LINE}"`);
  if (lines.pop() !== "") damaged(lines.length + 2, "the last line is cut off");
  if (lines.length > MAX_ZONE_NAMES) damaged(MAX_ZONE_NAMES + 2, `more than ${MAX_ZONE_NAMES} records`);
  return lines.map((line, i) => recordOf(line) ?? damaged(i + 2, "not the record of a name"));
}

function recordOf(line: string): SignedRecord | undefined {
  const hex = LINE.exec(line)?.[1] ?? "";
  if (hex === "" || hex.length % 2 !== 0) return undefined;
  try {
    const record = decodeRecord(fromHex(hex));
    return record.kind === RECORD_KIND.name ? record : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

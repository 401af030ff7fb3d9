/** Names of zones that were found, on disk: `zone-names` in the state directory, mode 0600, written whole or not at all. What it holds: zones/zone-record-text.ts. */
import { join } from "node:path";

import type { Log, SignedRecord } from "@i3/common";

import { zoneRecordsFromText, zoneRecordsToText } from "../zones/zone-record-text.js";
import { LaterFile } from "./later-file.js";
import { readStateFile } from "./state-file.js";

export const zoneRecordFileOf = (stateDirectory: string): string => join(stateDirectory, "zone-names");

/** A missing file is none. Throws I3Error ERR_I3_STATE for one that is damaged or that others may change: without it older records would be taken. */
export function readZoneRecords(file: string): readonly SignedRecord[] {
  const text = readStateFile(file, "the names of zones");
  return text === null ? [] : zoneRecordsFromText(text, file);
}

export class ZoneRecordFile extends LaterFile {
  /** @param records what is to be written, when it is */
  constructor(file: string, log: Log, records: () => readonly SignedRecord[]) {
    super({
      file, log, text: () => zoneRecordsToText(records()),
      failure: { event: "zone-names-failed", remedy: "Is the disk full? Until it can be written, names of zones that are new are forgotten at a restart; it is tried again with each change." },
    });
  }
}

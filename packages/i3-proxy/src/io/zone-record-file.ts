/** Names of zones that were found, on disk: `zone-names` in the state directory, mode 0600, written whole or not at all. What it holds: zones/zone-record-text.ts. */
import { join } from "node:path";

import { errorLine, type Log, type SignedRecord } from "@i3/common";
import { replaceDurably } from "@i3/i3-client";

import { zoneRecordsFromText, zoneRecordsToText } from "../zones/zone-record-text.js";
import { readStateFile } from "./state-file.js";

/** Of several that change at once, one is written: a program that waits for a name does not wait for the disk. */
const WRITE_AFTER_MS = 1_000;

export const zoneRecordFileOf = (stateDirectory: string): string => join(stateDirectory, "zone-names");

/** A missing file is none. Throws I3Error ERR_I3_STATE for one that is damaged or that others may change: without it older records would be taken. */
export function readZoneRecords(file: string): readonly SignedRecord[] {
  const text = readStateFile(file, "the names of zones");
  return text === null ? [] : zoneRecordsFromText(text, file);
}

export class ZoneRecordFile {
  readonly #file: string;
  readonly #log: Log;
  readonly #records: () => readonly SignedRecord[];
  #timer: NodeJS.Timeout | undefined;

  /** @param records what is to be written, when it is */
  constructor(file: string, log: Log, records: () => readonly SignedRecord[]) {
    this.#file = file;
    this.#log = log;
    this.#records = records;
  }

  /** They have changed. */
  changed(): void {
    this.#timer ??= setTimeout(() => this.#write(), WRITE_AFTER_MS).unref();
  }

  /** What has changed is written now. */
  close(): void {
    if (this.#timer !== undefined) this.#write();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      replaceDurably(this.#file, zoneRecordsToText(this.#records()));
    } catch (error) {
      this.#log("error", "zone-names-failed", { file: this.#file, error: errorLine(error), remedy: "Is the disk full? Until it can be written, names of zones that are new are forgotten at a restart; it is tried again with each change." });
    }
  }
}

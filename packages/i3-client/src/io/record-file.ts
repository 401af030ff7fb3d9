/** Signed records on disk (record-text.ts), and whatever else is public and replaced as a whole. */
import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

import { makeFolder, syncPath, writeDurably, type SignedRecord } from "@i3/common";

import { RecordProblem } from "../record-text.js";

/** A record has at most 2,000 hex digits; people may write around it. */
export const MAX_RECORD_FILE_BYTES = 16_384;

/** The text of such a file; undefined when there is none. Throws RecordProblem. Who may write it does not matter: what it holds is signed. */
export function readRecordFile(file: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK); // opening a FIFO would wait for a writer
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new RecordProblem("is not a regular file");
    if (stats.size > MAX_RECORD_FILE_BYTES) throw new RecordProblem(`has ${stats.size} bytes`);
    return readFileSync(fd, "utf8");
  } catch (cause) {
    if (cause instanceof RecordProblem) throw cause;
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new RecordProblem("cannot be read", { cause });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Whole or not at all, of mode 0600, in the place of what is there; its folder is made. Throws what the system says. */
export function replaceDurably(file: string, text: string): void {
  const next = `${file}.new`;
  makeFolder(dirname(file));
  rmSync(next, { force: true });
  try {
    writeDurably(next, text);
    renameSync(next, file);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
  syncPath(dirname(file));
}

/** What everybody may read, mode 0644, in the place of what is there. Throws what the system says. */
export function replacePublicly(file: string, text: string): void {
  const next = `${file}.new`;
  rmSync(next, { force: true });
  writeFileSync(next, text, { flag: "wx", mode: 0o644 });
  renameSync(next, file);
}

/** Of a record that is signed at `wallMs` (ms since 1970): newer than the one in its place, whatever the clock shows. */
export const nextSequence = (there: SignedRecord | undefined, wallMs: number): number => Math.max(wallMs, (there?.sequence ?? 0) + 1);

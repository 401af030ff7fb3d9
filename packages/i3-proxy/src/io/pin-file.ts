/** Pinned host keys on disk: `pins` in the state directory, mode 0600, written whole or not at all. What it holds: policy/pins.ts. */
import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

import { I3Error, makeFolder, syncPath, writeDurably } from "@i3/common";

import { Pins, pinsFromText, pinsToText } from "../policy/pins.js";

/** Of 4,096 of the longest names, and what people write between. */
const MAX_FILE_BYTES = 4_194_304;

export const pinFileOf = (stateDirectory: string): string => join(stateDirectory, "pins");

/**
 * Reads the pins; a missing file is none. Throws I3Error ERR_I3_STATE for a file that is damaged or that others may change or read: it is never
 * replaced by an empty one, which would trust whoever answers next.
 */
export function readPins(file: string): Pins {
  let text: string | null;
  try {
    text = readOwnFile(file);
  } catch (cause) {
    if (cause instanceof I3Error) throw cause;
    throw new I3Error("ERR_I3_STATE", `cannot read the pinned host keys ${file}`, { cause, remedy: "It must be a file that this user may read." });
  }
  return text === null ? new Pins() : pinsFromText(text, file);
}

function readOwnFile(file: string): string | null {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK); // opening a FIFO would wait for a writer
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new I3Error("ERR_I3_STATE", `${file} is not a regular file`, { remedy: "Move it away." });
    if ((stats.mode & 0o077) !== 0) {
      throw new I3Error("ERR_I3_STATE", `${file} can be read or changed by others (mode ${(stats.mode & 0o777).toString(8)})`, { remedy: `See whether its lines are right, then run: chmod 600 ${file}` });
    }
    if (stats.size > MAX_FILE_BYTES) throw new I3Error("ERR_I3_STATE", `${file} is too large: ${stats.size} bytes`, { remedy: "Restore it from a backup." });
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/** Throws I3Error ERR_I3_STATE; the file is then as it was. */
export function writePins(file: string, pins: Pins): void {
  const next = `${file}.new`;
  try {
    makeFolder(dirname(file));
    rmSync(next, { force: true });
    writeDurably(next, pinsToText(pins));
    renameSync(next, file);
    syncPath(dirname(file));
  } catch (cause) {
    rmSync(next, { force: true });
    throw new I3Error("ERR_I3_STATE", `cannot write the pinned host keys ${file}`, { cause, remedy: "Is the disk full? Until it can be written, keys that are new are forgotten at a restart." });
  }
}

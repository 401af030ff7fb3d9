/** Files that are there after a power failure. */
import { randomBytes } from "node:crypto";
import { closeSync, constants, fsyncSync, linkSync, mkdirSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** A new file of mode 0600; throws when there is one. */
export function writeDurably(file: string, text: string): void {
  const fd = openSync(file, "wx", 0o600);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A new file of mode 0600, whole or not at all. Throws with code EEXIST when there is one, also one that another process has made meanwhile. */
export function writeNewDurably(file: string, text: string): void {
  // Random: after a crash a process of the same id must not find the leftover in its way.
  const temporary = `${file}.${randomBytes(8).toString("hex")}.new`;
  try {
    writeDurably(temporary, text);
    linkSync(temporary, file); // never overwrites
  } finally {
    rmSync(temporary, { force: true });
  }
  syncPath(dirname(file));
}

/** So that a power failure does not take a new name in the folder away. */
export function syncPath(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * A folder of mode 0700, and those above it that are missing. Throws what mkdir(2) says: the recursive mkdirSync of node never ends where a name in a folder
 * that is there gives ENOENT, as in /proc.
 */
export function makeFolder(folder: string): void {
  const isThere = (): boolean => statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isThere()) return;
  if (dirname(folder) !== folder) makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!isThere()) throw error;
  }
}

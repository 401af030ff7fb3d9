/** Files that are there after a power failure. */
import { randomBytes } from "node:crypto";
import { closeSync, constants, fsyncSync, linkSync, openSync, rmSync, writeFileSync } from "node:fs";
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

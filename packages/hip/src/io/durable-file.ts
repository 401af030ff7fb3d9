/** Files that are there after a power failure. */
import { closeSync, constants, fsyncSync, openSync, writeFileSync } from "node:fs";

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

/** So that a power failure does not take a new name in the folder away. */
export function syncPath(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Small files of the state directory that nobody else may change or read: mode 0600, read and written whole. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

import { I3Error } from "@i3/common";

/** Of 4,096 lines of the longest kind, and what people write between. */
const MAX_FILE_BYTES = 4_194_304;

/**
 * The text; null when there is no such file. Throws I3Error ERR_I3_STATE for one that cannot be read, is too large or open to others.
 * @param what "the pinned host keys"
 */
export function readStateFile(file: string, what: string): string | null {
  try {
    return readOwnFile(file);
  } catch (cause) {
    if (cause instanceof I3Error) throw cause;
    throw new I3Error("ERR_I3_STATE", `cannot read ${what} ${file}`, { cause, remedy: "It must be a file that this user may read." });
  }
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

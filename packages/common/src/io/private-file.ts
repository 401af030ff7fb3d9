/** Files with something secret in them: for nobody else to read, written whole or not at all, never over another. */
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync, type Stats } from "node:fs";

import { I3Error } from "../errors.js";
import { writeNewDurably } from "./durable-file.js";

const MAX_FILE_BYTES = 4_096;

const isErrno = (error: unknown, code: string): boolean => error instanceof Error && (error as NodeJS.ErrnoException).code === code;

/** For who may not read a file that may well be there. */
function accessRemedy(file: string): string {
  const user = process.geteuid?.() ?? 0;
  let stats: Stats;
  try {
    stats = statSync(file);
  } catch {
    return `The user ${user} may not enter its folder: run as the user whose it is, or let ${user} in.`;
  }
  return stats.uid === user ? `Run: chmod 600 ${file}` : `It belongs to the user ${stats.uid}: run as that one, or run: chown ${user} ${file}`;
}

export class PrivateFiles {
  readonly #code: `ERR_I3_${string}`;

  /** @param code of all errors */
  constructor(code: `ERR_I3_${string}`) {
    this.#code = code;
  }

  error(message: string, remedy: string, cause?: unknown): I3Error {
    return new I3Error(this.#code, message, { cause, remedy });
  }

  /**
   * The text of the file. Throws I3Error when it is missing, no regular file, open to others, another user's or longer than 4,096 bytes.
   * @param what "the ring credential"
   * @param remedy for who does not have it
   */
  read(file: string, what: string, remedy: string): string {
    let fd: number | undefined;
    try {
      // O_NONBLOCK: opening a FIFO would wait for a writer.
      fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
      const stats = fstatSync(fd);
      if (!stats.isFile()) throw this.error(`${file} is not a regular file`, remedy);
      if ((stats.mode & 0o077) !== 0) throw this.error(`${file} can be read by others (mode ${(stats.mode & 0o777).toString(8)})`, `Run: chmod 600 ${file}`);
      const user = process.geteuid?.() ?? 0;
      // Its owner can read it and put another in its place, whatever its mode.
      if (stats.uid !== user && stats.uid !== 0) {
        throw this.error(`${file} belongs to the user ${stats.uid}, who can read and change it`, `See whether it is the right one, then run: chown ${user} ${file}`);
      }
      if (stats.size > MAX_FILE_BYTES) throw this.error(`${file} has ${stats.size} bytes, more than ${MAX_FILE_BYTES}`, remedy);
      return readFileSync(fd, "utf8");
    } catch (cause) {
      if (cause instanceof I3Error) throw cause;
      throw this.error(`cannot read ${what} ${file}`, isErrno(cause, "EACCES") ? accessRemedy(file) : remedy, cause);
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  /** A new file of mode 0600 that is there after a power failure. Throws I3Error, also when there is one. */
  writeNew(file: string, text: string): void {
    try {
      writeNewDurably(file, text);
    } catch (cause) {
      if (isErrno(cause, "EEXIST")) throw this.error(`${file} is there already, and is never overwritten`, "Name another file.");
      throw this.error(`cannot write ${file}`, "Check that its folder is there, and its permissions.", cause);
    }
  }
}

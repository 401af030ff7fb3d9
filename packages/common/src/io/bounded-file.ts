/** Reading configuration: regular files only, never more than a bound. */
import { constants, type BigIntStats } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { ConfigError } from "../config/config-error.js";

/** What changes when a file is written to or replaced. */
export interface FileStamp {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

export interface FileContent {
  readonly bytes: Uint8Array;
  readonly stamp: FileStamp;
}

export const sameStamp = (a: FileStamp, b: FileStamp): boolean =>
  a.device === b.device &&
  a.inode === b.inode &&
  a.size === b.size &&
  a.modifiedNs === b.modifiedNs &&
  a.changedNs === b.changedNs;

const toStamp = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileStamp => ({
  device: dev,
  inode: ino,
  size,
  modifiedNs: mtimeNs,
  changedNs: ctimeNs,
});

/** Reads to the end of the file, or one byte further than it should be long. */
async function readAll(handle: FileHandle, size: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(size + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

const refuse = (file: string, problem: string, expected: string, more: { readonly cause?: unknown; readonly remedy?: string } = {}): never => {
  throw new ConfigError({ file, line: 0, path: "/", expected }, problem, more);
};

/** The stamp of a file as it is now. Throws ConfigError when it is missing. */
export async function readStamp(file: string): Promise<FileStamp> {
  try {
    return toStamp(await stat(file, { bigint: true }));
  } catch (error) {
    return refuse(file, "cannot be read", "a readable file", { cause: error });
  }
}

/**
 * A whole regular file and its stamp from before it was read. Symbolic links are followed.
 * @param remedy what the reader should do when there is none
 * @throws ConfigError when it is missing, cannot be read, is no regular file or is larger than `maxBytes`
 */
export async function readBoundedFile(file: string, maxBytes: number, remedy?: string): Promise<FileContent> {
  let handle: FileHandle | undefined;
  try {
    // O_NONBLOCK: opening a FIFO would wait for a writer.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await handle.stat({ bigint: true });
    const stamp = toStamp(stats);
    if (!stats.isFile()) return refuse(file, "not a regular file", "a file");
    if (stamp.size > BigInt(maxBytes)) return refuse(file, `${stamp.size} bytes`, `at most ${maxBytes} bytes`);
    const bytes = await readAll(handle, Number(stamp.size));
    if (BigInt(bytes.length) !== stamp.size) return refuse(file, "changed while it was read", "a file at rest");
    return { bytes, stamp };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return refuse(file, "cannot be read", "a readable file", { cause: error, ...(isMissing && remedy !== undefined ? { remedy } : {}) });
  } finally {
    await handle?.close();
  }
}

/** Lists of servers on disk: server-list.ts. */
import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";

import { makeFolder, syncPath, writeDurably } from "@i3/common";

import { serverListFromText, ServerListProblem, serverListToText, type ServerList } from "../server-list.js";

/** A list has at most 2,000 hex digits; people may write around it. */
const MAX_FILE_BYTES = 16_384;

/** Undefined when there is no such file. Throws ServerListProblem for one that is no list of this key (Ed25519, 32 bytes) or cannot be read. Who may write it does not matter: it is signed. */
export function readServerList(file: string, key: Uint8Array): ServerList | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK); // opening a FIFO would wait for a writer
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new ServerListProblem("is not a regular file");
    if (stats.size > MAX_FILE_BYTES) throw new ServerListProblem(`has ${stats.size} bytes`);
    return serverListFromText(readFileSync(fd, "utf8"), key);
  } catch (cause) {
    if (cause instanceof ServerListProblem) throw cause;
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new ServerListProblem("cannot be read", { cause });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Whole or not at all, of mode 0600. Throws what the system says. */
export function writeServerList(file: string, list: ServerList): void {
  const next = `${file}.new`;
  makeFolder(dirname(file));
  rmSync(next, { force: true });
  writeDurably(next, serverListToText(list));
  renameSync(next, file);
  syncPath(dirname(file));
}

/** The key of a program's private ids on disk: one line of text, mode 0600, written whole or not at all. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";

import { fromHex, makeFolder, toHex, writeNewDurably } from "@i3/common";
import { generateTriggerKey, triggerKeyFromSeed, triggerKeySeed, type TriggerKey } from "@i3/hip";

import { ClientError } from "../errors.js";

const LINE = /^i3 client key 1 ([0-9a-f]{64})\n$/;
const MAX_FILE_BYTES = 1_024;

const hasCode = (error: unknown, code: string): boolean => error instanceof Error && "code" in error && error.code === code;

/** Reads the key, or makes one when the file does not exist. Throws ClientError ERR_I3_KEY_FILE. */
export function readOrCreateProgramKey(file: string): TriggerKey {
  const text = readPrivate(file) ?? create(file);
  const [, seed] = LINE.exec(text) ?? [];
  if (seed === undefined) throw new ClientError("ERR_I3_KEY_FILE", `${file} is damaged`, { remedy: "Restore it from a backup; or move it away, and this program gets other ids." });
  return triggerKeyFromSeed(fromHex(seed));
}

/** Undefined: there is none. */
function readPrivate(file: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK); // opening a FIFO would wait for a writer
    const { mode, size, uid } = fstatSync(fd);
    if ((mode & 0o077) !== 0) throw new ClientError("ERR_I3_KEY_FILE", `${file} can be read by others (mode ${(mode & 0o777).toString(8)})`, { remedy: `Run: chmod 600 ${file}` });
    const user = process.geteuid?.() ?? uid;
    if (uid !== user && uid !== 0) throw new ClientError("ERR_I3_KEY_FILE", `${file} belongs to the user ${uid}, who can read and change it`, { remedy: "Name a stateDir of this user's own." });
    if (size > MAX_FILE_BYTES) throw new ClientError("ERR_I3_KEY_FILE", `${file} is too large for a key: ${size} bytes`, { remedy: "Name another stateDir." });
    return readFileSync(fd, "utf8");
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return undefined;
    if (cause instanceof ClientError) throw cause;
    throw new ClientError("ERR_I3_KEY_FILE", `cannot read ${file}`, { cause, remedy: "Name a stateDir that this user may read and write." });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function create(file: string): string {
  const text = `i3 client key 1 ${toHex(triggerKeySeed(generateTriggerKey()))}\n`;
  try {
    makeFolder(dirname(file));
    writeNewDurably(file, text);
    return text;
  } catch (cause) {
    // Another process was faster.
    const other = hasCode(cause, "EEXIST") ? readPrivate(file) : undefined;
    if (other !== undefined) return other;
    throw new ClientError("ERR_I3_KEY_FILE", `cannot write ${file}`, { cause, remedy: "Name a stateDir that this user may read and write." });
  }
}

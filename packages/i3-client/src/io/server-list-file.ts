/** Lists of servers on disk: server-list.ts. */
import { serverListFromText, serverListToText, type ServerList } from "../server-list.js";
import { readRecordFile, replaceDurably } from "./record-file.js";

/** Undefined when there is no such file. Throws ServerListProblem for one that is no list of this key (Ed25519, 32 bytes) or cannot be read. */
export function readServerList(file: string, key: Uint8Array): ServerList | undefined {
  const text = readRecordFile(file);
  return text === undefined ? undefined : serverListFromText(text, key);
}

/** Whole or not at all, of mode 0600. Throws what the system says. */
export const writeServerList = (file: string, list: ServerList): void => replaceDurably(file, serverListToText(list));

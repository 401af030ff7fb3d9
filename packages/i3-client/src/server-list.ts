/** Signed lists of a ring's servers (docs/wire.md §4.3), and their text files (record-text.ts). */
import { decodeServerList, locatorText, RECORD_KIND, sameBytes, toHex, type RingNode, type SignedRecord } from "@i3/common";
import { isRecordSigned } from "@i3/hip";

import { recordEndText, recordFromText, RecordProblem as ServerListProblem, recordToText } from "./record-text.js";

const FIRST_LINE = "i3 server list 1";

export interface ServerList {
  readonly record: SignedRecord;
  readonly servers: readonly RingNode[];
}

/** Why a list is refused: continues its name. */
export { ServerListProblem };

/** A list that this key (Ed25519, 32 bytes) has signed. Throws ServerListProblem. Whether it has ended is for {@link newestList}. */
export function serverListOf(record: SignedRecord, key: Uint8Array): ServerList {
  if (record.kind !== RECORD_KIND.serverList) throw new ServerListProblem("is a record of another kind");
  if (!sameBytes(record.signer, key)) throw new ServerListProblem(`is of the key ${toHex(record.signer)}, not of ${toHex(key)}`);
  if (!isRecordSigned(record)) throw new ServerListProblem("is damaged: its signature is wrong");
  return { record, servers: decodeServerList(record.value) };
}

/** Throws ServerListProblem. */
export const serverListFromText = (text: string, key: Uint8Array): ServerList => serverListOf(recordFromText(text, FIRST_LINE), key);

export const serverListToText = ({ record, servers }: ServerList): string =>
  recordToText(FIRST_LINE, `${servers.length} servers, until ${recordEndText(record)}: ${servers.map(({ locator }) => locatorText(locator)).join(" ")}`, record);

/** Of several lists the newest that has not ended; undefined when all have. `wallMs`: ms since 1970. */
export function newestList(lists: readonly (ServerList | undefined)[], wallMs: number): ServerList | undefined {
  let newest: ServerList | undefined;
  for (const list of lists) {
    if (list === undefined || list.record.notAfterS * 1_000 <= wallMs) continue;
    if (newest === undefined || list.record.sequence > newest.record.sequence) newest = list;
  }
  return newest;
}

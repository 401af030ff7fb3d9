/**
 * Signed lists of a ring's servers (docs/wire.md §4.3) as text files, whether written by whoever has the signing key or kept beside the state:
 *
 *     i3 server list 1
 *     record 2000 hex digits at most
 *
 * Blank lines and those that begin with # mean nothing.
 */
import { decodeRecord, decodeServerList, fromHex, locatorText, RECORD_KIND, sameBytes, toHex, WireError, type RingNode, type SignedRecord } from "@i3/common";
import { isRecordSigned } from "@i3/hip";

const FIRST_LINE = "i3 server list 1";

export interface ServerList {
  readonly record: SignedRecord;
  readonly servers: readonly RingNode[];
}

/** Why a list is refused: continues its name. */
export class ServerListProblem extends Error {}

/** A list that this key (Ed25519, 32 bytes) has signed. Throws ServerListProblem. Whether it has ended is for {@link newestList}. */
export function serverListOf(record: SignedRecord, key: Uint8Array): ServerList {
  if (record.kind !== RECORD_KIND.serverList) throw new ServerListProblem("is a record of another kind");
  if (!sameBytes(record.signer, key)) throw new ServerListProblem(`is of the key ${toHex(record.signer)}, not of ${toHex(key)}`);
  if (!isRecordSigned(record)) throw new ServerListProblem("is damaged: its signature is wrong");
  return { record, servers: decodeServerList(record.value) };
}

/** Throws ServerListProblem. */
export function serverListFromText(text: string, key: Uint8Array): ServerList {
  const [first = "", ...lines] = text.split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  if (first !== FIRST_LINE) throw new ServerListProblem(`does not begin with the line "${FIRST_LINE}"`);
  const [line = "", ...more] = lines;
  const hex = /^record ([0-9a-f]{2,2000})$/i.exec(line)?.[1] ?? "";
  if (hex === "" || hex.length % 2 !== 0 || more.length > 0) throw new ServerListProblem("is damaged: not one line with a record");
  try {
    return serverListOf(decodeRecord(fromHex(hex)), key);
  } catch (cause) {
    if (cause instanceof WireError) throw new ServerListProblem("is damaged", { cause });
    throw cause;
  }
}

export const serverListToText = ({ record, servers }: ServerList): string => `${FIRST_LINE}
# ${servers.length} servers, until ${new Date(Math.min(record.notAfterS * 1_000, 8.64e15)).toISOString().slice(0, 10)}: ${servers.map(({ locator }) => locatorText(locator)).join(" ")}
record ${toHex(record.bytes)}
`;

/** Of several lists the newest that has not ended; undefined when all have. `wallMs`: ms since 1970. */
export function newestList(lists: readonly (ServerList | undefined)[], wallMs: number): ServerList | undefined {
  let newest: ServerList | undefined;
  for (const list of lists) {
    if (list === undefined || list.record.notAfterS * 1_000 <= wallMs) continue;
    if (newest === undefined || list.record.sequence > newest.record.sequence) newest = list;
  }
  return newest;
}

/** `i3-server ring list`: signs a list of a ring's servers with the key of its authority (docs/wire.md §4.3). */
import { constants, closeSync, fstatSync, openSync, readFileSync } from "node:fs";

import { encodeServerList, fromHex, I3Error, makeLocator, parseIpText, RECORD_KIND, toHex, WireError, type RingNode, type SignedRecord } from "@i3/common";
import { signRecord, triggerKeyFromSeed } from "@i3/hip";
import { nextSequence, readServerList, replacePublicly, serverListOf, ServerListProblem, serverListToText } from "@i3/i3-client";

import type { RingAuthority } from "../ring/ring-files.js";
import { fileError } from "./private-file.js";

const DAY_S = 86_400;
const MAX_FILE_BYTES = 65_536;
/** Of a list (docs/wire.md §4.3). */
const MAX_SERVERS = 32;
const LINE = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})\s+([0-9a-fA-F]{32})$/;
const FORM = 'A line for each of 1 to 32 servers: "192.0.2.1:5610 NODE" or "[2001:db8::1]:5610 NODE", NODE as the server\'s READY line says it; a server with an address of each family has a line for each; # begins a comment.';

export interface ListOptions {
  readonly serversFile: string;
  readonly outFile: string;
  /** ms since 1970. */
  readonly wallMs: number;
  readonly days: number;
}

/** Writes the list, in the place of an older one. What is to be printed. Throws I3Error ERR_I3_RING_CREDENTIAL. */
export function listServers(authority: RingAuthority, { serversFile, outFile, wallMs, days }: ListOptions): string {
  const servers = readServers(serversFile);
  const fields = { kind: RECORD_KIND.serverList, label: "", sequence: nextSequence(readOld(outFile, authority.publicKey), wallMs), notAfterS: Math.floor(wallMs / 1_000) + days * DAY_S, value: encoded(serversFile, servers) };
  try {
    const list = serverListOf(signRecord(triggerKeyFromSeed(authority.secret), fields), authority.publicKey);
    replacePublicly(outFile, serverListToText(list));
  } catch (cause) {
    if (cause instanceof WireError) throw fileError(`${serversFile} has too many servers for one list`, "About 25 over IPv6 fit.", cause);
    throw fileError(`cannot write ${outFile}`, "Check that its folder is there, and its permissions.", cause);
  }
  return `${outFile}: ${servers.length} servers, for ${days} days, signed by ${toHex(authority.publicKey)}
Bring it to clients; nothing in it is secret. In their configuration: <server-list key="${toHex(authority.publicKey)}" file="…"/>
`;
}

/** The list that is to be replaced, if there is one. */
function readOld(outFile: string, key: Uint8Array): SignedRecord | undefined {
  try {
    return readServerList(outFile, key)?.record;
  } catch (cause) {
    if (cause instanceof ServerListProblem) throw fileError(`${outFile} ${cause.message}`, "It would be overwritten: name another file, or move it away.", cause);
    throw cause;
  }
}

function encoded(file: string, servers: readonly RingNode[]): Uint8Array {
  if (servers.length === 0 || servers.length > MAX_SERVERS) throw fileError(`${file} names ${servers.length === 0 ? "no server" : `${servers.length} servers`}`, FORM);
  try {
    return encodeServerList(servers);
  } catch (cause) {
    if (cause instanceof WireError) throw fileError(`${file}: ${cause.message.replace(/^\S+: /, "")}`, FORM);
    throw cause;
  }
}

function readServers(file: string): readonly RingNode[] {
  return readText(file).split("\n").map((text, i) => [text.replace(/#.*/, "").trim(), i + 1] as const).filter(([text]) => text !== "").map(([text, line]) => {
    const [, v6, v4, port, key = ""] = LINE.exec(text) ?? [];
    const address = parseIpText(v6 ?? v4 ?? "");
    if (address === undefined || Number(port) < 1 || Number(port) > 65_535) throw fileError(`${file}:${line}: ${JSON.stringify(text)} is no server`, FORM);
    return { key: fromHex(key), locator: makeLocator(address, Number(port)) };
  });
}

function readText(file: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK); // opening a FIFO would wait for a writer
    const stats = fstatSync(fd);
    if (!stats.isFile() || stats.size > MAX_FILE_BYTES) throw fileError(`${file} is no regular file of at most ${MAX_FILE_BYTES} bytes`, FORM);
    return readFileSync(fd, "utf8");
  } catch (cause) {
    if (cause instanceof I3Error) throw cause;
    throw fileError(`cannot read the servers ${file}`, FORM, cause);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

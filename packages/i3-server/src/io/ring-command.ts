/** `i3-server ring …`: makes a ring's authority, admits servers to it, and signs lists of them. */
import { commandUsage, readKeyCommand, toHex } from "@i3/common";

import { listServers } from "./ring-list.js";
import { admitToRing, makeRingAuthority, membershipText, readRingAuthority } from "./ring-credential.js";

const DAY_MS = 86_400_000;
/** Who has a list of a ring that is gone asks servers that are not there; a new one is signed long before. */
const DEFAULT_LIST_DAYS = 90;

/** What is to be printed. Throws I3Error: ERR_I3_USAGE or ERR_I3_RING_CREDENTIAL. `wallMs`: ms since 1970. */
export function ringCommand(args: readonly string[], wallMs: number): string {
  const { positionals, days } = readKeyCommand("i3-server", args);
  const [what, file, out, ...more] = positionals;
  if (what === "make" && file !== undefined && out === undefined && days === undefined) return make(file);
  if (what === "admit" && file !== undefined && out !== undefined && more.length === 0) return admit(file, out, days === undefined ? Infinity : wallMs + days * DAY_MS);
  const [outFile] = more;
  if (what === "list" && file !== undefined && out !== undefined && outFile !== undefined && more.length === 1) {
    const options = { serversFile: out, outFile, wallMs, days: days ?? DEFAULT_LIST_DAYS };
    return listServers(readRingAuthority(file), options);
  }
  throw commandUsage("i3-server", "neither ring make FILE, ring admit AUTHORITY_FILE OUT_FILE [--days N] nor ring list AUTHORITY_FILE SERVERS_FILE OUT_FILE [--days N]");
}

const make = (file: string): string => `${file}: the authority of a new ring, ${toHex(makeRingAuthority(file).publicKey)}
Whoever has this file can admit servers: keep it where no server is, and keep a backup.
For each server: i3-server ring admit ${file} OUT_FILE
`;

const admit = (authorityFile: string, out: string, endMs: number): string => `${out}: ${membershipText(admitToRing(readRingAuthority(authorityFile), out, endMs))}
Bring it to one server, which nobody else may read it on (mode 600), and delete it here; name it in that server's configuration:
<ring credential-file="…">. Another server needs another one.
`;

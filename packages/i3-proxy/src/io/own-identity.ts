/**
 * This machine's key. It is made at the first start and never in the place of one that was lost: names, access lists and pins of others stand for the old one,
 * so a new one would make this machine a stranger without a word. The journal knows whose key it was.
 */
import { existsSync } from "node:fs";

import { formatIpText, I3Error, sameBytes, type ProxyConfig } from "@i3/common";
import { checkHostKey, readHostKey, readOrCreateHostKey, type HostIdentity } from "@i3/hip";

import { hitOfJournal, journalFile } from "./journal.js";

type IdentityConfig = Pick<ProxyConfig, "identity" | "state">;

/** Reads the key, or makes one at the first start; `created` says which. Throws I3Error ERR_I3_KEY_FILE. */
export function openIdentity(config: IdentityConfig): { readonly identity: HostIdentity; readonly created: boolean } {
  checkOwner(config);
  return readOrCreateHostKey(config.identity.keyFile, config.identity.algorithm);
}

/** The same checks, and nothing is made. */
export function checkIdentity(config: IdentityConfig): void {
  checkOwner(config);
  checkHostKey(config.identity.keyFile, config.identity.algorithm);
}

function checkOwner({ identity: { keyFile, algorithm }, state: { directory } }: IdentityConfig): void {
  const known = hitOfJournal(directory);
  if (known === null) return;
  const problem = existsSync(keyFile) ? otherKey(readHostKey(keyFile, algorithm), known) : "does not exist";
  if (problem === null) return;
  throw new I3Error("ERR_I3_KEY_FILE", `the key file ${keyFile} ${problem}, and this machine was ${formatIpText(known)}`, {
    remedy: `Restore it from a backup. If this machine shall be another host from now on, remove ${journalFile(directory)}, and change its HIT in all address books.`,
  });
}

const otherKey = ({ hit }: HostIdentity, known: Uint8Array): string | null => (sameBytes(hit, known) ? null : `holds the key of ${formatIpText(hit)}`);

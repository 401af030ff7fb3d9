/**
 * A daemon's own key. It is made at the first start and never in the place of one that was lost: names, access lists and pins of others stand for the old one, so a new
 * one would make this machine a stranger without a word. Whose key it was stands in one line beside it, `<key file>.hit`, and perhaps elsewhere.
 */
import { randomBytes } from "node:crypto";
import { lstatSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";

import { formatIpText, I3Error, parseIpText, sameBytes, syncPath, writeDurably } from "@i3/common";

import type { HostKeyAlgorithm } from "../identity/host-identity-field.js";
import type { HostIdentity } from "../identity/host-identity.js";
import { checkHostKey, readHostKey, readOrCreateHostKey } from "./key-file.js";

const HIT_BYTES = 16;
/** Of text. */
const MAX_MARKER_BYTES = 64;

/** A file that shows whose key a machine has had. */
export interface KeyWitness {
  readonly file: string;
  /** 16 bytes; null: it had one, and the file does not tell which. */
  readonly hit: Uint8Array | null;
}

export interface OwnKeyOptions {
  readonly keyFile: string;
  readonly algorithm: HostKeyAlgorithm;
  /** Beside the file next to the key. @default none */
  readonly witnesses?: readonly KeyWitness[];
  /** What else is to be done by who wants this machine to be another host. @default nothing */
  readonly advice?: string;
}

export const markerFile = (keyFile: string): string => `${keyFile}.hit`;

/** Reads the key, or makes one at the first start; `created` says which. Throws I3Error ERR_I3_KEY_FILE, and has written nothing then. */
export function openOwnKey(options: OwnKeyOptions): { readonly identity: HostIdentity; readonly created: boolean } {
  const { keyFile, algorithm } = options;
  checkWitnesses(options);
  const opened = readOrCreateHostKey(keyFile, algorithm);
  mark(keyFile, opened.identity.hit);
  return opened;
}

/** The same checks, and nothing is made. */
export function checkOwnKey(options: OwnKeyOptions): void {
  checkWitnesses(options);
  checkHostKey(options.keyFile, options.algorithm);
}

function checkWitnesses({ keyFile, algorithm, witnesses = [], advice = "" }: OwnKeyOptions): void {
  const marker = readMarker(keyFile);
  const all = marker === null ? witnesses : [marker, ...witnesses];
  if (all.length === 0) return;
  if (!isThere(keyFile)) return refuse("does not exist", all);
  const { hit } = readHostKey(keyFile, algorithm);
  const against = all.filter((witness) => witness.hit !== null && !sameBytes(witness.hit, hit));
  if (against.length > 0) refuse(`holds the key of ${formatIpText(hit)}`, against);

  function refuse(problem: string, by: readonly KeyWitness[]): never {
    const known = by.find((witness) => witness.hit !== null)?.hit ?? null;
    const files = by.map(({ file }) => file).join(" and ");
    throw new I3Error("ERR_I3_KEY_FILE", `the key file ${keyFile} ${problem}, and this machine ${known === null ? "had a key before" : `was ${formatIpText(known)}`}`, {
      remedy: `Restore it from a backup. If this machine shall be another host from now on, remove ${files}${advice}.`,
    });
  }
}

/** Anything in its place but a missing file says that there was a key. */
function readMarker(keyFile: string): KeyWitness | null {
  const file = markerFile(keyFile);
  if (!isThere(file)) return null;
  try {
    const stats = lstatSync(file);
    const hit = stats.isFile() && stats.size <= MAX_MARKER_BYTES ? parseIpText(readFileSync(file, "utf8").trim()) : undefined;
    return { file, hit: hit?.length === HIT_BYTES ? hit : null };
  } catch {
    return { file, hit: null };
  }
}

/** Whether something has that name, even if it cannot be read. */
function isThere(file: string): boolean {
  try {
    lstatSync(file);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

function mark(keyFile: string, hit: Uint8Array): void {
  const marker = readMarker(keyFile);
  if (marker !== null && marker.hit !== null && sameBytes(marker.hit, hit)) return;
  const temporary = `${markerFile(keyFile)}.${randomBytes(8).toString("hex")}.new`;
  try {
    writeDurably(temporary, `${formatIpText(hit)}\n`);
    renameSync(temporary, markerFile(keyFile));
    syncPath(dirname(keyFile));
  } catch {
    // In a folder that cannot be written to no other key is made either; for a full disk it is tried again at the next start.
    rmSync(temporary, { force: true });
  }
}

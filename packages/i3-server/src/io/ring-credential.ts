/** The files of a ring on disk: what a server is admitted with, and what admits it. */
import { randomBytes } from "node:crypto";

import { toHex, type Log } from "@i3/common";

import { admitServer, type RingMembership } from "../ring/credential.js";
import { RAW_KEY_BYTES } from "../ring/raw-keys.js";
import { authorityFromText, authorityOf, authorityToText, membershipFromText, membershipToText, RingFileProblem, type RingAuthority } from "../ring/ring-files.js";
import { fileError, readPrivateFile, writeNewPrivateFile } from "./private-file.js";

const DAY_MS = 86_400_000;
/** Of a credential that ends this soon people are told. */
const WARN_DAYS = 14;

const MAKE_CREDENTIAL = "Make one where the ring's authority is, with: i3-server ring admit AUTHORITY_FILE OUT_FILE, and bring it here.";
const MAKE_AUTHORITY = "Name the file that i3-server ring make has made; when it is lost, restore it from a backup.";

const dateText = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** Throws I3Error ERR_I3_RING_CREDENTIAL when it is missing, open to others, damaged or past its end. `wallMs`: ms since 1970. */
export function readRingCredential(file: string, wallMs: number): RingMembership {
  const text = readPrivateFile(file, "the ring credential", MAKE_CREDENTIAL);
  const membership = explained(file, MAKE_CREDENTIAL, () => membershipFromText(text));
  const { endMs } = membership.credential;
  if (endMs <= wallMs) throw fileError(`the ring credential ${file} has ended on ${dateText(endMs)}`, `${MAKE_CREDENTIAL} If it has not ended, set this machine's clock, which shows ${dateText(wallMs)}.`);
  return membership;
}

/** What is to be known of a credential that ends soon, or has ended; null for others. */
export function endingSoon({ credential: { endMs } }: RingMembership, wallMs: number): string | null {
  if (endMs - wallMs > WARN_DAYS * DAY_MS) return null;
  return endMs > wallMs ? `the ring credential ends on ${dateText(endMs)}; get another one before` : `the ring credential has ended on ${dateText(endMs)}; the ring does without this server until it has another one`;
}

/** Tells of a credential that ends soon: now, and then once a day. What is returned ends that. `wallMs`: ms since 1970. */
export function tellEnds(membership: RingMembership, wallMs: () => number, log: Log): () => void {
  const tell = (): void => {
    const message = endingSoon(membership, wallMs());
    if (message !== null) log("warn", "credential-ends", { message, remedy: "Make one where the ring's authority is, with: i3-server ring admit, put it in the place of this one, and restart; the next server only when this one has said claims." });
  };
  tell();
  const timer = setInterval(tell, DAY_MS).unref();
  return () => clearInterval(timer);
}

/** Throws I3Error ERR_I3_RING_CREDENTIAL. */
export function readRingAuthority(file: string): RingAuthority {
  const text = readPrivateFile(file, "the authority of a ring", MAKE_AUTHORITY);
  return explained(file, MAKE_AUTHORITY, () => authorityFromText(text));
}

/** A new ring's. Throws I3Error ERR_I3_RING_CREDENTIAL. */
export function makeRingAuthority(file: string): RingAuthority {
  const authority = authorityOf(new Uint8Array(randomBytes(RAW_KEY_BYTES)));
  writeNewPrivateFile(file, authorityToText(authority));
  return authority;
}

/**
 * Writes a new server's credential. Throws I3Error ERR_I3_RING_CREDENTIAL.
 * @param endMs ms since 1970; Infinity: never
 */
export function admitToRing(authority: RingAuthority, file: string, endMs: number): RingMembership {
  const membership = admitServer(authority.secret, (length) => new Uint8Array(randomBytes(length)), endMs === Infinity ? 0 : Math.ceil(endMs / 1_000));
  writeNewPrivateFile(file, membershipToText(membership));
  return membership;
}

/** For people. */
export function membershipText({ credential: { authority, nodeKey, endMs } }: RingMembership): string {
  return `node ${toHex(nodeKey)} of the ring of ${toHex(authority)}, ${endMs === Infinity ? "without end" : `until ${dateText(endMs)}`}`;
}

function explained<T>(file: string, remedy: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof RingFileProblem) throw fileError(`${file} ${cause.message}`, remedy, cause.cause);
    throw cause;
  }
}

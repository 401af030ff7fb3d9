/** The host key on disk: PKCS #8 PEM, mode 0600, written whole or not at all. */
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";

import { I3Error, makeFolder, writeNewDurably } from "@i3/common";

import type { HostKeyAlgorithm } from "../identity/host-identity-field.js";
import { hostIdentityFromPem, hostIdentityToPem, type HostIdentity } from "../identity/host-identity.js";
import { generateHostIdentity } from "./generate.js";

/** A P-256 key takes 241, an RSA key of 4,096 bits 3,272. */
const MAX_KEY_FILE_BYTES = 16_384;

const isErrno = (error: unknown, code: string): boolean => error instanceof Error && (error as NodeJS.ErrnoException).code === code;

/**
 * Throws I3Error ERR_I3_KEY_FILE when it is missing, damaged, open to others, another user's, or not of the algorithm.
 * @param algorithm @default any of the three
 */
export function readHostKey(file: string, algorithm?: HostKeyAlgorithm): HostIdentity {
  const identity = readAnyHostKey(file);
  if (algorithm === undefined || identity.algorithm === algorithm) return identity;
  throw new I3Error("ERR_I3_KEY_FILE", `${file} holds a key for ${identity.algorithm}, where ${algorithm} is configured`, {
    remedy: `Write algorithm="${identity.algorithm}" in <identity>, or name another key-file; a new identity is never made over an old one.`,
  });
}

function readAnyHostKey(file: string): HostIdentity {
  let pem: string;
  try {
    pem = readPrivateFile(file);
  } catch (cause) {
    if (cause instanceof I3Error) throw cause;
    throw new I3Error("ERR_I3_KEY_FILE", `cannot read the host key ${file}`, { cause, remedy: "Restore it from a backup, or name another key-file." });
  }
  try {
    return hostIdentityFromPem(pem);
  } catch (cause) {
    throw new I3Error("ERR_I3_KEY_FILE", `${file} is damaged`, { cause, remedy: "Restore it from a backup; a new identity is never made over an old one." });
  }
}

function readPrivateFile(file: string): string {
  // O_NONBLOCK: opening a FIFO would wait for a writer.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new I3Error("ERR_I3_KEY_FILE", `${file} is not a regular file`, { remedy: "Name another key-file." });
    if ((stats.mode & 0o077) !== 0) {
      throw new I3Error("ERR_I3_KEY_FILE", `${file} can be read by others (mode ${(stats.mode & 0o777).toString(8)})`, { remedy: `Run: chmod 600 ${file}` });
    }
    const user = process.geteuid?.() ?? 0;
    // Its owner can read it and put another in its place, whatever its mode.
    if (stats.uid !== user && stats.uid !== 0) {
      throw new I3Error("ERR_I3_KEY_FILE", `${file} belongs to the user ${stats.uid}, who can read and change it`, { remedy: `See whether it is the right key, then run: chown ${user} ${file}` });
    }
    if (stats.size > MAX_KEY_FILE_BYTES) throw new I3Error("ERR_I3_KEY_FILE", `${file} is too large for a key: ${stats.size} bytes`, { remedy: "Name another key-file." });
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/** For `--check`: as {@link readHostKey}, but a missing file is fine, for it is made at the first start. */
export function checkHostKey(file: string, algorithm: HostKeyAlgorithm = "ecdsa-p256"): void {
  try {
    readHostKey(file, algorithm);
  } catch (error) {
    if (!(error instanceof I3Error) || !isErrno(error.cause, "ENOENT")) throw error;
  }
}

/** Reads the key, or makes one when the file does not exist. `created` says which. Throws as {@link readHostKey}. */
export function readOrCreateHostKey(file: string, algorithm: HostKeyAlgorithm = "ecdsa-p256"): { readonly identity: HostIdentity; readonly created: boolean } {
  try {
    lstatSync(file);
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) return createHostKey(file, algorithm);
  }
  return { identity: readHostKey(file, algorithm), created: false };
}

function createHostKey(file: string, algorithm: HostKeyAlgorithm): { identity: HostIdentity; created: boolean } {
  const identity = generateHostIdentity(algorithm);
  try {
    makeFolder(dirname(file));
    writeNewDurably(file, hostIdentityToPem(identity));
  } catch (cause) {
    if (isErrno(cause, "EEXIST")) return { identity: readHostKey(file, algorithm), created: false };
    throw new I3Error("ERR_I3_KEY_FILE", `cannot write the host key ${file}`, { cause, remedy: "Check the folder's permissions." });
  }
  return { identity, created: true };
}

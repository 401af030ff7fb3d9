/** The host key on disk: PKCS #8 PEM, mode 0600, written whole or not at all. */
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, statSync, unlinkSync, writeSync } from "node:fs";
import { dirname } from "node:path";

import { I3Error } from "@i3/common";

import { generateHostIdentity, hostIdentityFromPem, hostIdentityToPem, type HostIdentity } from "../host-identity.js";

const isErrno = (error: unknown, code: string): boolean => error instanceof Error && (error as NodeJS.ErrnoException).code === code;

/** Throws I3Error ERR_I3_KEY_FILE when it is missing, damaged or open to others. */
export function readHostKey(file: string): HostIdentity {
  let pem: string;
  try {
    const mode = statSync(file).mode;
    if ((mode & 0o077) !== 0) {
      throw new I3Error("ERR_I3_KEY_FILE", `${file} can be read by others (mode ${(mode & 0o777).toString(8)})`, { remedy: `Run: chmod 600 ${file}` });
    }
    pem = readFileSync(file, "utf8");
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

/** Reads the key, or makes one when the file does not exist. `created` says which. */
export function readOrCreateHostKey(file: string): { readonly identity: HostIdentity; readonly created: boolean } {
  try {
    statSync(file);
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) return createHostKey(file);
  }
  return { identity: readHostKey(file), created: false };
}

function createHostKey(file: string): { identity: HostIdentity; created: boolean } {
  const identity = generateHostIdentity();
  const temporary = `${file}.${process.pid}.new`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const fd = openSync(temporary, "wx", 0o600);
    writeSync(fd, hostIdentityToPem(identity));
    fsyncSync(fd);
    closeSync(fd);
    try {
      linkSync(temporary, file); // fails if another process was faster, and never overwrites
    } finally {
      unlinkSync(temporary);
    }
  } catch (cause) {
    if (isErrno(cause, "EEXIST")) return { identity: readHostKey(file), created: false };
    throw new I3Error("ERR_I3_KEY_FILE", `cannot write the host key ${file}`, { cause, remedy: "Check the folder's permissions." });
  }
  return { identity, created: true };
}

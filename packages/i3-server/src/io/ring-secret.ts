/** The ring's secret on disk: the same file on every server of a ring, for nobody else to read. */
import { readFileSync, statSync } from "node:fs";

import { I3Error } from "@i3/common";

const MIN_SECRET_BYTES = 16;
const MAX_SECRET_BYTES = 1_024;
const MAKE_ONE = (file: string): string => `Make one with: (umask 077; openssl rand -hex 32 > ${file}), and copy it to every server of the ring.`;

/**
 * The bytes of the file without line ends behind them. Throws I3Error ERR_I3_RING_SECRET when it is missing, open to others,
 * shorter than 16 bytes or longer than 1,024.
 */
export function readRingSecret(file: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    const { mode, size } = statSync(file);
    if ((mode & 0o077) !== 0) throw secretError(`${file} can be read by others (mode ${(mode & 0o777).toString(8)})`, `Run: chmod 600 ${file}`);
    if (size > MAX_SECRET_BYTES) throw secretError(`${file} has ${size} bytes, more than ${MAX_SECRET_BYTES}`, MAKE_ONE(file));
    bytes = readFileSync(file);
  } catch (cause) {
    if (cause instanceof I3Error) throw cause;
    throw secretError(`cannot read the ring secret ${file}`, MAKE_ONE(file), cause);
  }
  const secret = withoutLineEnd(bytes);
  if (secret.length < MIN_SECRET_BYTES) throw secretError(`${file} has ${secret.length} bytes, fewer than ${MIN_SECRET_BYTES}`, MAKE_ONE(file));
  return secret;
}

function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end -= 1;
  return new Uint8Array(bytes.subarray(0, end));
}

const secretError = (message: string, remedy: string, cause?: unknown): I3Error => new I3Error("ERR_I3_RING_SECRET", message, { cause, remedy });

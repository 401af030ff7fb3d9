/**
 * The files of a ring as text: a first line that says what it is, then `name value` lines; blank lines and those that begin with # mean nothing.
 *
 *     i3 ring authority 1           i3 ring credential 1
 *     public-key 64 hex digits      credential 306 hex digits
 *     private-key 64 hex digits     private-key 64 hex digits
 */
import { CREDENTIAL_BYTES, HexFieldsProblem as RingFileProblem, readHexFields, sameBytes, toHex } from "@i3/common";

import { isSigned, readCredential, type Credential, type RingMembership } from "./credential.js";
import { publicBytesOf, RAW_KEY_BYTES } from "./raw-keys.js";

const AUTHORITY_LINE = "i3 ring authority 1";
const CREDENTIAL_LINE = "i3 ring credential 1";

export interface RingAuthority {
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 32 bytes. */
  readonly secret: Uint8Array;
}

/** Why a file is refused: continues its name. */
export { RingFileProblem };

export const authorityOf = (secret: Uint8Array): RingAuthority => ({ publicKey: publicBytesOf("ed25519", secret), secret });

export const authorityToText = ({ publicKey, secret }: RingAuthority): string => `${AUTHORITY_LINE}
# Whoever has this file can admit servers to the ring. Keep it where no server is, and keep a backup.
public-key ${toHex(publicKey)}
private-key ${toHex(secret)}
`;

export const membershipToText = ({ credential, privateKey }: RingMembership): string => `${CREDENTIAL_LINE}
# Of one server, which is in the ring as long as it has this file: nobody else may read it, and no other server may have it.
credential ${toHex(credential.bytes)}
private-key ${toHex(privateKey)}
`;

/** Throws RingFileProblem. */
export function authorityFromText(text: string): RingAuthority {
  const fields = readFields(text, AUTHORITY_LINE, { "public-key": RAW_KEY_BYTES, "private-key": RAW_KEY_BYTES });
  const authority = authorityOf(fields["private-key"]);
  if (!sameBytes(authority.publicKey, fields["public-key"])) throw new RingFileProblem("is damaged: its keys do not belong together");
  return authority;
}

/** Throws RingFileProblem. That it has not ended is for the caller to see. */
export function membershipFromText(text: string): RingMembership {
  const fields = readFields(text, CREDENTIAL_LINE, { credential: CREDENTIAL_BYTES, "private-key": RAW_KEY_BYTES });
  let credential: Credential;
  try {
    credential = readCredential(fields.credential);
  } catch (cause) {
    throw new RingFileProblem("is damaged", { cause });
  }
  if (!isSigned(credential)) throw new RingFileProblem("is damaged: its signature is wrong");
  if (!sameBytes(publicBytesOf("x25519", fields["private-key"]), credential.publicKey)) throw new RingFileProblem("is damaged: its keys do not belong together");
  return { credential, privateKey: fields["private-key"] };
}

function readFields<Name extends string>(text: string, firstLine: string, sizes: Readonly<Record<Name, number>>): Readonly<Record<Name, Uint8Array>> {
  const other = whatItIs((text.split("\n")[0] ?? "").trim(), firstLine);
  if (other !== null) throw new RingFileProblem(other);
  return readHexFields(text, firstLine, sizes);
}

/** Null: what is expected, or nothing that is known. */
function whatItIs(first: string, expected: string): string | null {
  if (first === expected) return null;
  if (first === AUTHORITY_LINE) return "is the file of a ring's authority, not of a server";
  if (first === CREDENTIAL_LINE) return "is the credential of a server, not the file of a ring's authority";
  return /^i3 ring (?:authority|credential) \d+$/.test(first) ? "is of a later version" : null;
}

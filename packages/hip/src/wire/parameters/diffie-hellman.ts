/**
 * DH_GROUP_LIST and DIFFIE_HELLMAN (RFC 7401 §5.2.6, §5.2.7).
 *
 *     0  group 1, group 1, …         0  group 1 | length of the public value 2
 *                                    3  public value
 *
 * A list is by preference. Whether a value fits its group is for Diffie-Hellman itself to say.
 */
import { concatBytes } from "@i3/common";
import { FieldReader, uintBytes, uintListBytes } from "../fields.js";

/** Ours: the registry has 11 groups; what follows is dropped unread. */
export const MAX_DH_GROUPS = 16;

export interface DiffieHellman {
  readonly group: number;
  readonly publicValue: Uint8Array;
}

export const encodeDhGroupList = (groups: readonly number[]): Uint8Array => uintListBytes(1, groups, MAX_DH_GROUPS);

export const decodeDhGroupList = (contents: Uint8Array): readonly number[] => new FieldReader("DH_GROUP_LIST", contents).uints(1, MAX_DH_GROUPS);

export const encodeDiffieHellman = (fields: DiffieHellman): Uint8Array =>
  concatBytes(uintBytes(1, fields.group), uintBytes(2, fields.publicValue.length), fields.publicValue);

export function decodeDiffieHellman(contents: Uint8Array): DiffieHellman {
  const reader = new FieldReader("DIFFIE_HELLMAN", contents);
  const group = reader.uint(1);
  const publicValue = reader.bytes(reader.uint(2));
  // RFC 5201 let a second value follow; version 2 has one.
  reader.end();
  return { group, publicValue };
}

/**
 * NAT_TRAVERSAL_MODE (RFC 9028 §5.4; RFC 5770 §5.4), by preference.
 *
 *     0  reserved 2 | mode 2, mode 2, …
 */
import { concatBytes } from "@i3/common";
import { FieldReader, uintBytes, uintListBytes } from "../fields.js";

/** Modes of RFC 9028 and, the second, of RFC 5770. */
export const NAT_TRAVERSAL_MODE = { udpEncapsulation: 1, iceStunUdp: 2, iceHipUdp: 3 } as const;
/** Ours: the registry has three. */
export const MAX_NAT_MODES = 6;

export const encodeNatTraversalMode = (modes: readonly number[]): Uint8Array => concatBytes(uintBytes(2, 0), uintListBytes(2, modes, MAX_NAT_MODES));

export function decodeNatTraversalMode(contents: Uint8Array): readonly number[] {
  const reader = new FieldReader("NAT_TRAVERSAL_MODE", contents);
  reader.skip(2);
  return reader.uints(2, MAX_NAT_MODES);
}

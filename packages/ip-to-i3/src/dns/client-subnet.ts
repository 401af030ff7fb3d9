/**
 * The EDNS option by which resolvers say for whom they ask (RFC 7871 §6). Whoever asks may write what he likes into it: it narrows who is meant by the answer, and grants nothing.
 *
 *     | family 2 | source prefix 1 | scope prefix 1 | as many bytes of the address as the source prefix has |
 */
import type { Network } from "@i3/common";

export const SUBNET_OPTION = 8;
const HEAD_BYTES = 4;
const FAMILY_BYTES: Readonly<Record<number, 4 | 16>> = { 1: 4, 2: 16 };

export interface ClientSubnet {
  /** As it came. */
  readonly data: Uint8Array;
  /** 4 or 16 bytes, zeros behind the prefix. */
  readonly address: Uint8Array;
  readonly bits: number;
}

/** Null: it is malformed, which is a FORMERR (§7.1.2). */
export function readClientSubnet(data: Uint8Array): ClientSubnet | null {
  const [, , bits = 0, scope = 0] = data;
  const length = FAMILY_BYTES[((data[0] ?? 0) << 8) | (data[1] ?? 0)];
  if (data.length < HEAD_BYTES || length === undefined || scope !== 0 || bits > length * 8 || data.length !== HEAD_BYTES + Math.ceil(bits / 8)) return null;
  const address = new Uint8Array(length);
  address.set(data.subarray(HEAD_BYTES));
  if (bits % 8 !== 0 && ((address[bits >> 3] ?? 0) & (0xff >> bits % 8)) !== 0) return null;
  return { data, address, bits };
}

/** What goes back. @param scope bits that the answer is for; 0: for everybody */
export function answeredSubnet({ data }: ClientSubnet, scope: number): Uint8Array {
  const out = data.slice();
  out[3] = scope;
  return out;
}

/** Wide enough for what a site has, as resolvers say it (§11.1). */
const SITE_BITS = { 4: 24, 16: 56 } as const;

/** The site that is meant: always as wide, so that two are the same or apart. Null: nobody in particular. */
export function siteOf({ address, bits }: ClientSubnet): Network | null {
  const width = address.length === 4 ? SITE_BITS[4] : SITE_BITS[16];
  if (bits < width) return null;
  return { address: address.map((byte, i) => (i < width / 8 ? byte : 0)), bits: width };
}

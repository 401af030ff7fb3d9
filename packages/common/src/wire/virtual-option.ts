/**
 * What a gateway and its clients say of virtual addresses of servers (docs/wire.md §11): the EDNS option by which a client asks the gateway's DNS server for them (RFC 6891 §6.1.2; 65001 is
 * for local use), and which an answer with such ones has too; and the prefix of those with IPv6.
 *
 *     | version 1: 1 | try 1: 0 to 7 | prefix length 1: 8 to 24 | network 4, of the client's virtual IPv4 range |
 */
import { concatBytes } from "../bytes.js";
import { domainHash } from "../hash.js";
import type { AddressRange } from "../ids.js";

export const VIRTUAL_OPTION = 65_001;
/** A client that has a virtual address already asks for another one, up to this. */
export const MAX_TRY = 7;
/** Bits that the IPv6 addresses of all servers behind one gateway have in common. */
export const SERVER_PREFIX6_BITS = 64;
const VERSION = 1;
const BYTES = 7;
const [LEAST_BITS, MOST_BITS] = [8, 24] as const;

export interface VirtualOption {
  readonly tries: number;
  readonly range: AddressRange;
}

export const encodeVirtualOption = ({ tries, range }: VirtualOption): Uint8Array => concatBytes(Uint8Array.of(VERSION, tries, range.prefixBits), range.network);

/** Null: of another shape. */
export function decodeVirtualOption(bytes: Uint8Array): VirtualOption | null {
  const [version, tries = 0, prefixBits = 0] = bytes;
  if (bytes.length !== BYTES || version !== VERSION || tries > MAX_TRY || prefixBits < LEAST_BITS || prefixBits > MOST_BITS) return null;
  const network = Uint8Array.from(bytes.subarray(3));
  const number = new DataView(network.buffer).getUint32(0);
  return number % 2 ** (32 - prefixBits) === 0 ? { tries, range: { network, prefixBits } } : null;
}

/** `fd | H("gateway", HIT)[5] | 0 0`: the first 8 bytes of virtual IPv6 addresses of servers behind a gateway. */
export const serverPrefix6 = (gatewayHit: Uint8Array): Uint8Array => concatBytes(Uint8Array.of(0xfd), domainHash("gateway", gatewayHit).subarray(0, 5), new Uint8Array(2));

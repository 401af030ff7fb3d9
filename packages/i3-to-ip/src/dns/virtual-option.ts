/**
 * The EDNS option by which a client asks a gateway's DNS server for virtual addresses (RFC 6891 §6.1.2; 65001 is for local use), and which an answer with such ones has too:
 *
 *     | version 1: 1 | try 1: 0 to 7 | prefix length 1: 8 to 24 | network 4, of the client's virtual IPv4 range |
 */
import { concatBytes, type AddressRange } from "@i3/common";
import { MAX_TRY } from "../leases/server-leases.js";

export const VIRTUAL_OPTION = 65_001;
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

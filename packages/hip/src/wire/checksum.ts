/** The checksum of a HIP packet that stands directly in IP (RFC 7401 §5.1.1). In UDP it is 0 and not looked at (RFC 9028 §5.1). */
import { HIP_HEADER_BYTES, HIP_OFFSET } from "@i3/common";

/** Protocol number of HIP in IP. */
export const HIP_PROTOCOL = 139;

function sumOf(bytes: Uint8Array, start: number): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  return sum;
}

/**
 * What belongs in the checksum field, whatever stands in it now. Addresses: both 4 bytes or both 16, of the packet that carries this one; the pseudo-header
 * of either family (RFC 768, RFC 8200 §8.1) adds up to the same words. RangeError otherwise.
 */
export function hipChecksum(bytes: Uint8Array, source: Uint8Array, destination: Uint8Array): number {
  if (bytes.length < HIP_HEADER_BYTES) throw new RangeError("shorter than a HIP header");
  if ((source.length !== 4 && source.length !== 16) || destination.length !== source.length) throw new RangeError("addresses of two families or of none");
  let sum = sumOf(bytes, HIP_PROTOCOL + bytes.length);
  sum -= ((bytes[HIP_OFFSET.checksum] ?? 0) << 8) | (bytes[HIP_OFFSET.checksum + 1] ?? 0);
  sum = sumOf(destination, sumOf(source, sum));
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Writes the field in place. */
export function setChecksum(bytes: Uint8Array, checksum: number): void {
  if (bytes.length < HIP_HEADER_BYTES) throw new RangeError("shorter than a HIP header");
  bytes[HIP_OFFSET.checksum] = checksum >> 8;
  bytes[HIP_OFFSET.checksum + 1] = checksum & 0xff;
}

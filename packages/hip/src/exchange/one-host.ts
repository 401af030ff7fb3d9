/** Addresses at which one other host can be. */
import { isInHitRange } from "../identity/hit.js";

/** Not loopback, multicast, broadcast, unspecified or reserved, nor link-local without its interface, nor a HIT. 4 or 16 bytes. */
export function canBeOneHosts(address: Uint8Array): boolean {
  const [first = 0, second = 0] = address;
  if (address.length === 4) return first !== 0 && first !== 127 && first < 224 && !(first === 169 && second === 254);
  const isLow = address.subarray(0, 15).every((byte) => byte === 0) && (address[15] ?? 0) <= 1;
  return !isLow && first !== 0xff && !(first === 0xfe && (second & 0xc0) === 0x80) && !isInHitRange(address);
}

/** The part of the virtual range that an instance has its addresses from. Without I/O. */
import type { AddressRange } from "@i3/common";

// Ours: as long a prefix as the option of docs/wire.md §11 can say, and so many parts of the range.
const MOST_BITS = 24;
const PART_BITS = 8;

/**
 * A random part: an instance that had to ask its gateway for another address, since one of this machine's other identities has the first, would tell that gateway of both.
 * A range of 24 bits is its own part.
 */
export function rangePart({ network, prefixBits }: AddressRange, randomBytes: (length: number) => Uint8Array): AddressRange {
  const bits = Math.min(prefixBits + PART_BITS, MOST_BITS);
  const part = new DataView(randomBytes(4).slice().buffer).getUint32(0) % 2 ** (bits - prefixBits);
  const out = network.slice();
  const view = new DataView(out.buffer);
  view.setUint32(0, view.getUint32(0) + part * 2 ** (32 - bits));
  return { network: out, prefixBits: bits };
}

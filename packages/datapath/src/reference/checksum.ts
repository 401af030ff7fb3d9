/**
 * Ones' complement sums (RFC 1071) and their incremental update (RFC 1624 eqn. 3: HC' = ~(~HC + ~m + m')).
 * A *delta* is the folded sum of ~m + m' over the words that changed; the same delta updates every checksum that covers them.
 */
import { put16, u16 } from "./octets.js";

/** Adds the carries back in until 16 bits are left. `sum` is below 2^32, which no packet of 65,535 bytes reaches. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/** Sum of the words of `bytes[from … to]`, folded; an odd last byte is the high half of a word. */
export function sumWords(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0;
  let at = from;
  for (; at + 1 < to; at += 2) sum += u16(bytes, at);
  if (at < to) sum += (bytes[at] as number) << 8;
  return fold(sum);
}

/** The delta of one word. */
export const wordDelta = (before: number, after: number): number => (~before & 0xffff) + after;

/** The delta of a field of an even number of bytes. */
export function fieldDelta(before: Uint8Array, after: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < before.length; at += 2) sum += wordDelta(u16(before, at), u16(after, at));
  return fold(sum);
}

/** Updates the checksum at `at` and returns the delta of that word itself, for a checksum that covers it. */
export function adjustChecksum(bytes: Uint8Array, at: number, delta: number): number {
  const before = u16(bytes, at);
  const after = ~fold((~before & 0xffff) + delta) & 0xffff;
  put16(bytes, at, after);
  return wordDelta(before, after);
}

/** Updates a partial checksum, which is a sum that is not inverted; 0 says nothing else there. */
export const adjustPartial = (bytes: Uint8Array, at: number, delta: number): void => put16(bytes, at, fold(u16(bytes, at) + delta));

/** As {@link adjustChecksum} for UDP: 0 says "none" and stays (RFC 768); a result of 0 is written as 0xffff. */
export function adjustUdpChecksum(bytes: Uint8Array, at: number, delta: number): number {
  const before = u16(bytes, at);
  if (before === 0) return 0;
  const sum = ~fold((~before & 0xffff) + delta) & 0xffff;
  const after = sum === 0 ? 0xffff : sum;
  put16(bytes, at, after);
  return wordDelta(before, after);
}

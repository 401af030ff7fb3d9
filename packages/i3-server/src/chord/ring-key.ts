/** Arithmetic on the identifier circle: ring keys are 16 bytes, big-endian, modulo 2^128. */

export const RING_KEY_BITS = 128;

/** Negative, zero or positive, as for sort. Keys have the same length. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Whether `x` lies in the open interval (from, to) of the circle. `from` equal to `to`: the whole circle except `from`. */
export function inOpen(from: Uint8Array, x: Uint8Array, to: Uint8Array): boolean {
  const order = compareKeys(from, to);
  if (order < 0) return compareKeys(from, x) < 0 && compareKeys(x, to) < 0;
  if (order > 0) return compareKeys(from, x) < 0 || compareKeys(x, to) < 0;
  return compareKeys(from, x) !== 0;
}

/** Whether `x` lies in (from, to]. `from` equal to `to`: the whole circle. */
export const inHalfOpen = (from: Uint8Array, x: Uint8Array, to: Uint8Array): boolean =>
  compareKeys(x, to) === 0 || inOpen(from, x, to);

/** `key` + 2^`bit`, `bit` 0–127. */
export function plusPowerOfTwo(key: Uint8Array, bit: number): Uint8Array {
  const out = new Uint8Array(key); // slice of a Buffer would be a view
  let carry = 1 << (bit % 8);
  for (let i = out.length - 1 - Math.floor(bit / 8); i >= 0 && carry !== 0; i -= 1) {
    const sum = (out[i] ?? 0) + carry;
    out[i] = sum & 0xff;
    carry = sum >> 8;
  }
  return out;
}

/** `key` − 1. */
export function minusOne(key: Uint8Array): Uint8Array {
  const out = new Uint8Array(key); // slice of a Buffer would be a view
  for (let i = out.length - 1; i >= 0; i -= 1) {
    const value = out[i] ?? 0;
    out[i] = (value - 1) & 0xff;
    if (value !== 0) break;
  }
  return out;
}

/** How many bits of `to` − `from` are zero before the first one that is not, of the first 32; 32 when all are. */
export function zeroBitsBetween(from: Uint8Array, to: Uint8Array): number {
  let borrow = 0;
  for (let i = 4; i < from.length; i += 1) {
    const difference = (to[i] ?? 0) - (from[i] ?? 0);
    if (difference === 0) continue;
    borrow = difference < 0 ? 1 : 0;
    break;
  }
  return Math.clz32((wordOf(to) - wordOf(from) - borrow) >>> 0);
}

const wordOf = (key: Uint8Array): number => (((key[0] ?? 0) << 24) | ((key[1] ?? 0) << 16) | ((key[2] ?? 0) << 8) | (key[3] ?? 0)) >>> 0;

/** The way from `from` to `to` as a part of the circle, 0–1. */
export function partBetween(from: Uint8Array, to: Uint8Array): number {
  let part = 0;
  for (let i = 7; i >= 0; i -= 1) part = (part + (to[i] ?? 0) - (from[i] ?? 0)) / 256;
  return part < 0 ? part + 1 : part;
}

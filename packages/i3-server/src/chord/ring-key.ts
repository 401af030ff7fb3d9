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

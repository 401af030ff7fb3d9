/** Big-endian integers in byte arrays, for places whose bounds the caller has checked. */

export const u8 = (bytes: Uint8Array, at: number): number => bytes[at] as number;

export const u16 = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);

export const u32 = (bytes: Uint8Array, at: number): number => ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0;

export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value & 0xffff);
}

/** `a[aAt … + a.length of b]` equals `b`. A loop: for the 4 to 32 bytes of our fields it beats a call into C++. */
export function equalAt(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

/** Copies a few bytes, by a loop for the same reason. */
export function putBytes(into: Uint8Array, at: number, bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) into[at + i] = bytes[i] as number;
}

/** So few are copied faster one by one than by a call. */
const FEW_BYTES = 64;

/** A copy that shares no memory (`Buffer.slice` would) and is a plain Uint8Array: for upcalls, whose arrays the receiver owns. */
export function copyBytes(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const out = new Uint8Array(end - start);
  if (end - start <= FEW_BYTES) for (let i = start; i < end; i++) out[i - start] = bytes[i] as number;
  else out.set(bytes.subarray(start, end));
  return out;
}

/** The same memory as a Buffer, whose `latin1` strings and `copy` are the fast ones. */
export const asBuffer = (bytes: Uint8Array): Buffer => (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));

/** A private copy as a Buffer. */
export const ownBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

/** Throws RangeError when an argument of the control plane has a wrong length: a fault of the programmer. */
export function requireLength(what: string, bytes: Uint8Array, ...lengths: readonly number[]): void {
  if (!lengths.includes(bytes.length)) throw new RangeError(`${what} of ${bytes.length} bytes, expected ${lengths.join(" or ")}`);
}

/** BLAKE2s with a key and any length of digest (RFC 7693), for MACs of WireGuard: node:crypto has it without a key only. */
const IV = Uint32Array.of(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);
const SIGMA: readonly (readonly number[])[] = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
].map((row) => [...row].map((digit) => parseInt(digit, 16)));
const BLOCK_BYTES = 64;

const rotated = (word: number, bits: number): number => ((word >>> bits) | (word << (32 - bits))) >>> 0;

/** `key` of up to 32 bytes, `length` of 1 to 32. */
export function blake2s(key: Uint8Array, message: Uint8Array, length: number): Uint8Array {
  const state = Uint32Array.from(IV);
  state[0] = (state[0] ?? 0) ^ 0x0101_0000 ^ (key.length << 8) ^ length;
  const keyBytes = key.length === 0 ? 0 : BLOCK_BYTES;
  const input = new Uint8Array(Math.max(1, Math.ceil((keyBytes + message.length) / BLOCK_BYTES)) * BLOCK_BYTES);
  input.set(key);
  input.set(message, keyBytes);
  for (let at = 0; at < input.length; at += BLOCK_BYTES) {
    const isLast = at + BLOCK_BYTES >= input.length;
    compress(state, new DataView(input.buffer, at, BLOCK_BYTES), isLast ? keyBytes + message.length : at + BLOCK_BYTES, isLast);
  }
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => out.setUint32(4 * i, word, true));
  return new Uint8Array(out.buffer, 0, length);
}

function compress(state: Uint32Array, block: DataView, counted: number, isLast: boolean): void {
  const v = new Uint32Array(16);
  v.set(state);
  v.set(IV, 8);
  v[12] = (v[12] ?? 0) ^ counted;
  if (isLast) v[14] = ~(v[14] ?? 0);
  const mix = (a: number, b: number, c: number, d: number, x: number, y: number): void => {
    const at = (i: number): number => v[i] ?? 0;
    for (const [word, first, second] of [[x, 16, 12], [y, 8, 7]] as const) {
      v[a] = at(a) + at(b) + block.getUint32(4 * word, true);
      v[d] = rotated(at(d) ^ at(a), first);
      v[c] = at(c) + at(d);
      v[b] = rotated(at(b) ^ at(c), second);
    }
  };
  for (const row of SIGMA) {
    const word = (i: number): number => row[i] ?? 0;
    for (let i = 0; i < 4; i++) mix(i, 4 + i, 8 + i, 12 + i, word(2 * i), word(2 * i + 1));
    for (let i = 0; i < 4; i++) mix(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4), word(8 + 2 * i), word(9 + 2 * i));
  }
  for (let i = 0; i < 8; i++) state[i] = (state[i] ?? 0) ^ (v[i] ?? 0) ^ (v[i + 8] ?? 0);
}

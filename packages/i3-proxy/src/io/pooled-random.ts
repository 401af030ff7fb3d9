/** Randomness from the system, fetched for many uses at once. */
import { randomBytes } from "node:crypto";

const RANDOM_POOL_BYTES = 4_096;

/** No byte is used twice. */
export function pooledRandom(): (length: number) => Uint8Array {
  let pool = randomBytes(RANDOM_POOL_BYTES);
  let used = 0;
  return (length) => {
    if (used + length > pool.length) {
      pool = randomBytes(Math.max(RANDOM_POOL_BYTES, length));
      used = 0;
    }
    const out = new Uint8Array(pool.subarray(used, used + length));
    pool.fill(0, used, used + length);
    used += length;
    return out;
  };
}

/**
 * Challenge cookies (docs/wire.md §4.1): the server keeps nothing until a client has shown that it receives at its address.
 *
 *     0  time 8 (ms of the server's monotonic clock)
 *     8  HMAC-SHA-256(secret; time 8 | locator length 1, locator | ring key 16), first 16 bytes
 */
import { timingSafeEqual } from "node:crypto";

import { COOKIE_BYTES, encodeLocator, sha256, u64Bytes, type Locator } from "@i3/common";

import { COOKIE_LIFE_MS, COOKIE_SECRET_BYTES, COOKIE_SECRET_MS } from "./constants.js";

const TIME_BYTES = 8;
const BLOCK_BYTES = 64;
const HASH_BYTES = 32;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

export class Cookies {
  readonly #random: (length: number) => Uint8Array;
  #current: Uint8Array;
  #previous: Uint8Array;
  #sinceMs = -Infinity;

  constructor(random: (length: number) => Uint8Array) {
    this.#random = random;
    this.#current = random(COOKIE_SECRET_BYTES);
    this.#previous = random(COOKIE_SECRET_BYTES);
  }

  make(nowMs: number, from: Locator, ringKey: Uint8Array): Uint8Array {
    this.#rotate(nowMs);
    const time = u64Bytes(Math.floor(nowMs));
    const out = new Uint8Array(COOKIE_BYTES);
    out.set(time);
    out.set(mac(this.#current, time, from, ringKey), TIME_BYTES);
    return out;
  }

  /** Whether this server made the cookie (24 bytes) for that address and ring key, in the last 30 s. */
  check(nowMs: number, from: Locator, ringKey: Uint8Array, cookie: Uint8Array): boolean {
    this.#rotate(nowMs);
    const time = cookie.subarray(0, TIME_BYTES);
    const madeMs = Number(new DataView(cookie.buffer, cookie.byteOffset).getBigUint64(0));
    if (madeMs > nowMs || nowMs - madeMs > COOKIE_LIFE_MS) return false;
    const secret = madeMs >= Math.floor(this.#sinceMs) ? this.#current : this.#previous;
    return timingSafeEqual(mac(secret, time, from, ringKey), cookie.subarray(TIME_BYTES));
  }

  #rotate(nowMs: number): void {
    if (nowMs - this.#sinceMs < COOKIE_SECRET_MS) return;
    this.#previous = this.#current;
    this.#current = this.#random(COOKIE_SECRET_BYTES);
    this.#sinceMs = nowMs;
  }
}

/** HMAC (RFC 2104) by two plain hashes: a third of what an object of `createHmac` takes, and each insert needs two. */
function mac(secret: Uint8Array, time: Uint8Array, from: Locator, ringKey: Uint8Array): Uint8Array {
  const locator = encodeLocator(from);
  const inner = padded(secret, INNER_PAD, time.length + 1 + locator.length + ringKey.length);
  inner.set(time, BLOCK_BYTES);
  inner[BLOCK_BYTES + time.length] = locator.length;
  inner.set(locator, BLOCK_BYTES + time.length + 1);
  inner.set(ringKey, BLOCK_BYTES + time.length + 1 + locator.length);
  const outer = padded(secret, OUTER_PAD, HASH_BYTES);
  outer.write(sha256(inner), BLOCK_BYTES, "latin1");
  const out = Buffer.allocUnsafe(HASH_BYTES);
  out.write(sha256(outer), "latin1");
  return out.subarray(0, COOKIE_BYTES - TIME_BYTES);
}

/** A block of the secret, which is shorter, xor `pad`, and room for so many bytes. */
function padded(secret: Uint8Array, pad: number, room: number): Buffer {
  const out = Buffer.allocUnsafe(BLOCK_BYTES + room).fill(pad, 0, BLOCK_BYTES);
  for (let i = 0; i < secret.length; i += 1) out[i] = (secret[i] as number) ^ pad;
  return out;
}

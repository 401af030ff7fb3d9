/**
 * Challenge cookies (docs/wire.md §4.1): the server keeps nothing until a client has shown that it receives at its address.
 *
 *     0  time 8 (ms of the server's monotonic clock)
 *     8  HMAC-SHA-256(secret; time 8 | locator length 1, locator | ring key 16), first 16 bytes
 */
import { createHmac, timingSafeEqual } from "node:crypto";

import { COOKIE_BYTES, encodeLocator, u64Bytes, type Locator } from "@i3/common";

import { COOKIE_LIFE_MS, COOKIE_SECRET_BYTES, COOKIE_SECRET_MS } from "./constants.js";

const TIME_BYTES = 8;

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

function mac(secret: Uint8Array, time: Uint8Array, from: Locator, ringKey: Uint8Array): Uint8Array {
  const locator = encodeLocator(from);
  const hmac = createHmac("sha256", secret).update(time).update(Uint8Array.of(locator.length)).update(locator).update(ringKey);
  return hmac.digest().subarray(0, COOKIE_BYTES - TIME_BYTES);
}

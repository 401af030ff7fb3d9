/**
 * Challenge cookies (docs/wire.md §4.1): the server keeps nothing until a client has shown that it receives at its address.
 *
 *     0  time 8 (ms of the server's monotonic clock)
 *     8  HMAC-SHA-256(secret; time 8 | locator length 1, locator | ring key 16), first 16 bytes
 */
import { timingSafeEqual } from "node:crypto";

import { COOKIE_BYTES, encodeLocator, RING_KEY_BYTES, sha256, u64Bytes, type Locator } from "@i3/common";

import { COOKIE_LIFE_MS, COOKIE_SECRET_BYTES, COOKIE_SECRET_MS } from "./constants.js";

const TIME_BYTES = 8;
const BLOCK_BYTES = 64;
const HASH_BYTES = 32;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;
const MAX_LOCATOR_BYTES = 18;
const LOCATOR_AT = BLOCK_BYTES + TIME_BYTES + 1;

export class Cookies {
  readonly #random: (length: number) => Uint8Array;
  #current: CookieMac;
  #previous: CookieMac;
  #sinceMs = -Infinity;

  constructor(random: (length: number) => Uint8Array) {
    this.#random = random;
    this.#current = new CookieMac(random(COOKIE_SECRET_BYTES));
    this.#previous = new CookieMac(random(COOKIE_SECRET_BYTES));
  }

  make(nowMs: number, from: Locator, ringKey: Uint8Array): Uint8Array {
    this.#rotate(nowMs);
    const time = u64Bytes(Math.floor(nowMs));
    const out = new Uint8Array(COOKIE_BYTES);
    out.set(time);
    out.set(this.#current.of(time, from, ringKey), TIME_BYTES);
    return out;
  }

  /** Whether this server made the cookie (24 bytes) for that address and ring key, in the last 30 s. */
  check(nowMs: number, from: Locator, ringKey: Uint8Array, cookie: Uint8Array): boolean {
    this.#rotate(nowMs);
    const time = cookie.subarray(0, TIME_BYTES);
    const madeMs = Number(new DataView(cookie.buffer, cookie.byteOffset).getBigUint64(0));
    if (madeMs > nowMs || nowMs - madeMs > COOKIE_LIFE_MS) return false;
    // Not by its time: the engine, which makes most of them, gets a secret a little later, and its clock is a little behind.
    const isOf = (mac: CookieMac): boolean => timingSafeEqual(mac.of(time, from, ringKey), cookie.subarray(TIME_BYTES));
    return isOf(this.#current) || isOf(this.#previous);
  }

  /** What they are made with now, {@link COOKIE_SECRET_BYTES}; another object when it changes. */
  secret(nowMs: number): Uint8Array {
    this.#rotate(nowMs);
    return this.#current.secret;
  }

  #rotate(nowMs: number): void {
    if (nowMs - this.#sinceMs < COOKIE_SECRET_MS) return;
    this.#previous = this.#current;
    this.#current = new CookieMac(this.#random(COOKIE_SECRET_BYTES));
    this.#sinceMs = nowMs;
  }
}

/**
 * HMAC (RFC 2104) by two plain hashes, in memory that is prepared once for a secret, which is no longer than a block: a third of what an object of
 * `createHmac` takes, and each insert needs one or two.
 */
class CookieMac {
  readonly secret: Uint8Array;
  /** A block each, xor its pad, and what is hashed behind it. */
  readonly #inner = Buffer.alloc(BLOCK_BYTES + TIME_BYTES + 1 + MAX_LOCATOR_BYTES + RING_KEY_BYTES);
  readonly #outer = Buffer.alloc(BLOCK_BYTES + HASH_BYTES);

  constructor(secret: Uint8Array) {
    this.secret = secret;
    for (let i = 0; i < BLOCK_BYTES; i += 1) {
      this.#inner[i] = (secret[i] ?? 0) ^ INNER_PAD;
      this.#outer[i] = (secret[i] ?? 0) ^ OUTER_PAD;
    }
  }

  /** The first bytes of it, in memory that the next call writes over. */
  of(time: Uint8Array, from: Locator, ringKey: Uint8Array): Uint8Array {
    const locator = encodeLocator(from);
    const inner = this.#inner;
    inner.set(time, BLOCK_BYTES);
    inner[BLOCK_BYTES + TIME_BYTES] = locator.length;
    inner.set(locator, LOCATOR_AT);
    inner.set(ringKey, LOCATOR_AT + locator.length);
    this.#outer.write(sha256(inner.subarray(0, LOCATOR_AT + locator.length + RING_KEY_BYTES)), BLOCK_BYTES, "latin1");
    inner.write(sha256(this.#outer), BLOCK_BYTES, "latin1");
    return inner.subarray(BLOCK_BYTES, BLOCK_BYTES + COOKIE_BYTES - TIME_BYTES);
  }
}

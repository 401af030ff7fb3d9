import { createHmac } from "node:crypto";

import { makeLocator } from "@i3/common";
import { describe, expect, it } from "vitest";

import { Cookies } from "../../src/triggers/cookies.js";

const SECRET = Uint8Array.from({ length: 32 }, (_, i) => 7 * i);
const RING_KEY = new Uint8Array(16).fill(5);
const TIME = Buffer.from("0000000000001388", "hex");

describe("a cookie", () => {
  it.each([
    ["IPv4", makeLocator(Uint8Array.of(192, 0, 2, 1), 5_610), Uint8Array.of(6, 192, 0, 2, 1, 0x15, 0xea)],
    ["IPv6", makeLocator(new Uint8Array(16).fill(0x20), 1), Uint8Array.from([18, ...new Uint8Array(16).fill(0x20), 0, 1])],
  ])("is the time and an HMAC-SHA-256 (docs/wire.md §4.1), %s", (_name, from, locator) => {
    const cookies = new Cookies(() => SECRET);
    const cookie = cookies.make(5_000, from, RING_KEY);
    const mac = createHmac("sha256", SECRET).update(TIME).update(locator).update(RING_KEY).digest();
    expect(Buffer.from(cookie).toString("hex")).toBe(Buffer.concat([TIME, mac.subarray(0, 16)]).toString("hex"));
    expect(cookies.check(5_001, from, RING_KEY, cookie)).toBe(true);
    expect(cookies.secret(5_001)).toEqual(SECRET);
    cookie[23] = (cookie[23] ?? 0) ^ 1;
    expect(cookies.check(5_001, from, RING_KEY, cookie)).toBe(false);
  });

  it("that was made with a secret a little after its time, or with the next one a little before, is good for its 30 s", () => {
    let drawn = 0;
    const cookies = new Cookies((length) => new Uint8Array(length).fill((drawn += 1)));
    const from = makeLocator(Uint8Array.of(192, 0, 2, 1), 5_610);
    const first = cookies.secret(1_000);
    expect(cookies.secret(60_999)).toBe(first);
    const second = cookies.secret(61_000);
    expect(second).not.toEqual(first);
    const made = (secret: Uint8Array, ms: number): Uint8Array => new Cookies(() => secret).make(ms, from, RING_KEY);
    const isGood = (nowMs: number, secret: Uint8Array, ms: number): boolean => cookies.check(nowMs, from, RING_KEY, made(secret, ms));
    expect([isGood(61_010, first, 61_005), isGood(61_010, second, 60_990), isGood(90_990, second, 60_990), isGood(91_005, first, 61_005)]).toEqual([true, true, true, true]);
    expect([isGood(90_991, second, 60_990), isGood(91_006, first, 61_005), isGood(61_010, second, 61_011), isGood(61_010, SECRET, 61_005)]).toEqual([false, false, false, false]);
    expect(cookies.secret(121_000)).not.toEqual(second);
    expect([isGood(121_000, second, 121_000), isGood(121_000, first, 121_000)]).toEqual([true, false]);
  });
});

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
    cookie[23] = (cookie[23] ?? 0) ^ 1;
    expect(cookies.check(5_001, from, RING_KEY, cookie)).toBe(false);
  });
});

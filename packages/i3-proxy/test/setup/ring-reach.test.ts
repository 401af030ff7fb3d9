/** By which family the ring is reached, and when it is silent. */
import { describe, expect, it } from "vitest";

import { ESP_SUITE } from "@i3/hip";

import { largestRelayed } from "../../src/setup/esp-room.js";
import { RingReach } from "../../src/setup/ring-reach.js";

const FOUR = { address: Uint8Array.of(192, 0, 2, 1), port: 5_610 };
const SIX = { address: new Uint8Array(16).fill(0x20), port: 5_610 };

describe("the ring", () => {
  it("is silent three seconds after the last server, until there is one again", () => {
    const ring = new RingReach();
    expect([ring.handleFirstHop(0, FOUR), ring.isSilent, ring.deadlineMs()]).toEqual([false, false, Infinity]);
    expect([ring.handleFirstHop(1_000, null), ring.deadlineMs()]).toEqual([false, 4_000]);
    expect([ring.handleTimer(3_999), ring.isSilent]).toEqual([false, false]);
    expect([ring.handleTimer(4_000), ring.isSilent, ring.deadlineMs()]).toEqual([true, true, Infinity]);
    expect([ring.handleFirstHop(5_000, FOUR), ring.isSilent]).toEqual([true, false]);
  });

  it("is reached by the family of the server that was first last", () => {
    const ring = new RingReach();
    expect([ring.handleFirstHop(0, SIX), ring.is6]).toEqual([true, true]);
    expect([ring.handleFirstHop(1, SIX), ring.handleFirstHop(2, null), ring.is6]).toEqual([false, false, true]);
    expect([ring.handleFirstHop(3, FOUR), ring.is6]).toEqual([true, false]);
  });
});

describe("packets by i3 over IPv6", () => {
  it.each([
    ["in clear", 45, null, 1_280 - 48 - 45],
    ["with AES-GCM", 45, ESP_SUITE.aesGcm16, 1_142],
    ["with AES-CBC", 45, ESP_SUITE.aes256CbcSha256, 1_102],
    ["behind the longest header", 1_000, null, 576],
  ])("are as long as come out in 1,280 bytes: %s", (_, headerBytes, suite, most) => {
    expect(largestRelayed(headerBytes, suite)).toBe(most);
  });
});

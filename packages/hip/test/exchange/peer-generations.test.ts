/** What a host remembers of the R1s of others is bounded, in number and in time. */
import { describe, expect, it } from "vitest";

import { MAX_R1_COUNTERS, R1_COUNTER_MS } from "../../src/exchange/limits.js";
import { PeerGenerations } from "../../src/exchange/peer-generations.js";

const hit = (n: number): Uint8Array => Uint8Array.of(0x20, 1, 0, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, n >> 16, n >> 8, n);

describe("R1 generations of peers", () => {
  it("are remembered for ten minutes after the last R1", () => {
    const generations = new PeerGenerations();
    generations.remember(0, hit(1), 7n);
    generations.remember(1_000, hit(1), 8n);
    expect([R1_COUNTER_MS + 999, R1_COUNTER_MS + 1_000].map((nowMs) => generations.least(nowMs, hit(1)))).toEqual([8n, 0n]);
    expect(generations.least(0, hit(2))).toBe(0n);
  });

  it("are those of a bounded number of peers, the ones heard last", () => {
    const generations = new PeerGenerations();
    for (let n = 0; n < MAX_R1_COUNTERS; n++) generations.remember(n, hit(n), 5n);
    generations.remember(MAX_R1_COUNTERS, hit(0), 6n);
    expect(generations.least(MAX_R1_COUNTERS, hit(1))).toBe(5n);
    generations.remember(MAX_R1_COUNTERS, hit(MAX_R1_COUNTERS), 5n);
    expect([0, 1, 2, MAX_R1_COUNTERS].map((n) => generations.least(MAX_R1_COUNTERS, hit(n)))).toEqual([6n, 0n, 5n, 5n]);
  });
});

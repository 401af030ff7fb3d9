/** A rate that many share by what they have taken lately. */
import { describe, expect, it } from "vitest";

import { FairRate, FairShares, Taker } from "../../src/fallback/fair-rate.js";

describe("a fair rate", () => {
  it("gives one alone half of it at once, and all of it when it goes on", () => {
    const [rate, one] = [new FairRate(100, 100), new Taker()];
    const take = (nowMs: number): number => {
      let taken = 0;
      for (; rate.has(nowMs, one); taken += 1) rate.take(nowMs, one);
      return taken;
    };
    expect(take(0)).toBe(50);
    let taken = 0;
    for (let nowMs = 5_000; nowMs < 15_000; nowMs += 10) taken += take(nowMs);
    expect(taken).toBeGreaterThan(950);
    expect(taken).toBeLessThanOrEqual(1_100);
  });

  it("of many networks is as much for one host as for a network of many", () => {
    const all = new FairRate(1_000, 1_000);
    const many = Array.from({ length: 10 }, () => new FairShares(new FairRate(10_000, 10_000), all, () => 10));
    const one = new FairShares(new FairRate(10_000, 10_000), all, () => 1);
    const taken = { many: 0, one: 0 };
    for (let nowMs = 0; nowMs < 20_000; nowMs += 10) {
      for (let i = 0; i < 20; i += 1) {
        for (const host of many) if (host.take(nowMs)) taken.many += 1;
        if (one.take(nowMs)) taken.one += 1;
      }
    }
    expect(taken.one / taken.many).toBeGreaterThan(0.7);
    expect(taken.one + taken.many).toBeLessThanOrEqual(21_000);
  });
});

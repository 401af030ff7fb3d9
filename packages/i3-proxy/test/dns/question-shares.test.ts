import { describe, expect, it } from "vitest";

import { QuestionShares } from "../../src/dns/question-shares.js";

describe("shares of questions", () => {
  it("bound what one client has on its way, and leave others theirs", () => {
    const shares = new QuestionShares({ perSecond: 50, burst: 200, mostOfOne: 32, mostOfAll: 1_024 });
    expect(Array.from({ length: 40 }, () => shares.begin(0, "one")).filter(Boolean)).toHaveLength(32);
    expect(shares.begin(0, "other")).toBe(true);
    shares.end("one");
    expect([shares.begin(0, "one"), shares.begin(0, "one")]).toEqual([true, false]);
    expect(shares.counters.tooMany).toBe(9);
  });

  it("bound how fast one asks", () => {
    const shares = new QuestionShares({ perSecond: 50, burst: 200, mostOfOne: 32, mostOfAll: 1_024 });
    const ask = (nowMs: number): boolean => {
      const may = shares.begin(nowMs, "one");
      if (may) shares.end("one");
      return may;
    };
    expect(Array.from({ length: 300 }, () => ask(0)).filter(Boolean)).toHaveLength(200);
    expect(Array.from({ length: 300 }, () => ask(1_000)).filter(Boolean)).toHaveLength(50);
    expect(shares.counters.tooFast).toBe(350);
  });

  it("bound all of them, and forget who is idle", () => {
    const shares = new QuestionShares({ perSecond: 50, burst: 200, mostOfOne: 32, mostOfAll: 1_024 });
    const key = (n: number): string => String(n);
    expect(Array.from({ length: 5_000 }, (_, n) => shares.begin(0, key(n))).filter(Boolean)).toHaveLength(1_024);
    for (let n = 0; n < 1_024; n += 1) shares.end(key(n));
    expect(shares.begin(0, key(9_999))).toBe(true);
  });
});

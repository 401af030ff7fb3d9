/** A run that was not made under the conditions that it is about is no result. */
import { describe, expect, it } from "vitest";

import { brokenConditions, makeRow, missedRows, type Row } from "../src/report.js";

const flood = (perSecond: number, isCondition: boolean): Row => ({
  ...makeRow({ name: `sent ${perSecond}`, unit: "1/s", better: "higher", runs: [perSecond], baselines: { required: 50_000 }, limits: { required: 1 } }), isCondition,
});

describe("a row", () => {
  const lost = (runs: readonly number[]): Row => makeRow({ name: "lost", unit: "", better: "lower", runs, baselines: { limit: 0 }, limits: { limit: 1 } });

  it("of which nothing is wanted is good when there is nothing, and bad otherwise", () => {
    expect([lost([0]).ratios["limit"], lost([3]).ratios["limit"]]).toEqual([1, 0]);
  });

  it.each([["lower", [0, 0, 3, 0, 0], 3], ["higher", [9, 9, 2, 9, 9], 2]] as const)("of which each run counts is as good as its worst, where %s is better", (better, runs, ours) => {
    const [least, row] = [{ lower: 0, higher: 5 }[better], { name: "x", unit: "", better, runs, limits: { limit: 1 }, isRequired: true }];
    expect(makeRow({ ...row, judged: "worst", baselines: { limit: least } }).ours).toBe(ours);
    expect(missedRows([makeRow({ ...row, judged: "worst", baselines: { limit: least } })])).toEqual(["x"]);
    expect(missedRows([makeRow({ ...row, baselines: { limit: least } })])).toEqual([]);
  });

  it("of which each run counts, and there is none, was not measured", () => {
    expect(makeRow({ name: "x", unit: "", better: "lower", judged: "worst", runs: [], baselines: {} }).ours).toBeNaN();
  });
});

describe("conditions of a run", () => {
  it("hold when their limits are met", () => {
    expect(brokenConditions([flood(50_000, true), flood(51_000, true)])).toEqual([]);
  });

  it("are broken by what is below them or was not measured, and only those that are conditions", () => {
    expect(brokenConditions([flood(49_999, true), flood(60_000, true), flood(10, false), flood(NaN, true)])).toEqual(["sent 49999", "sent NaN"]);
  });

  it("are none of a row that says nothing of it", () => {
    expect(brokenConditions([makeRow({ name: "x", unit: "ms", better: "lower", runs: [9], baselines: { required: 1 }, limits: { required: 1 } })])).toEqual([]);
  });
});

describe("limits that a run has to meet", () => {
  const way = (ms: number, isRequired: boolean): Row => ({ ...makeRow({ name: `after ${ms}`, unit: "ms", better: "lower", runs: [ms], baselines: { limit: 3_000 }, limits: { limit: 1 } }), isRequired });

  it("are missed by what is beyond them or was not measured, of rows that say so", () => {
    expect(missedRows([way(3_000, true), way(3_001, true), way(NaN, true), way(NaN, false)])).toEqual(["after 3001", "after NaN"]);
  });
});

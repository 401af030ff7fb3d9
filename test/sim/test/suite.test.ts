import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

import { Draw } from "../src/suite/draw.js";
import { measureChurn } from "../src/suite/churn.js";
import { measureLookups } from "../src/suite/lookups.js";
import { measureNearness } from "../src/suite/nearness.js";
import { hopsAllowed, measureSuite, memoryProblem, parseSuiteArgs, QUICK, WHOLE } from "../src/suite/suite.js";
import { TOPOLOGY_NODES, transitStub } from "../src/suite/topology.js";

const MAIN = path.resolve(import.meta.dirname, "../dist/main.js");

describe("sim --suite, its small rings", () => {
  it("of 16 and 256 nodes need as few hops as is demanded, and all lookups are right", () => {
    for (const size of [16, 256]) {
      const { right, meanHops } = measureLookups(2, size, 1_000);
      expect(right).toBe(1_000);
      expect(meanHops, `${size}`).toBeLessThanOrEqual(hopsAllowed(size));
      expect(meanHops).toBeGreaterThan(1);
    }
  });

  it("under churn: nodes that live 10 minutes, and lookups that are right all the same", () => {
    const { crashed, joined, lookups, wrong, notFound, wrongAfterRetry } = measureChurn(3, { size: 48, meanLifetimeMs: 600_000, forMs: 60_000, lookupsPerSecond: 50 });
    expect(joined).toBe(crashed);
    expect(crashed).toBeGreaterThan(1);
    expect(lookups).toBeGreaterThan(2_900);
    expect(wrong + notFound).toBeLessThanOrEqual(lookups * 0.003);
    expect(wrongAfterRetry).toBe(0);
  });

  it("lookups take less time with near fingers than without", () => {
    const [near, any] = [true, false].map((isNear) => measureNearness(4, { near: isNear, searchMs: 30_000, lookups: 500, size: 100 }));
    expect(near?.right).toBe(near?.lookups);
    expect((near?.lookupMs ?? 0) / (near?.roundTripMs ?? 1)).toBeLessThanOrEqual(1.5);
    expect((any?.lookupMs ?? 0) / (any?.roundTripMs ?? 1)).toBeGreaterThan(1.6);
  });

  it("come out the same from the same seed, and otherwise from another", () => {
    const rows = (seed: number): string[] => {
      const lines: string[] = [];
      measureSuite({ ...QUICK, seed, only: ["lookups"], sizes: [24] }, (line) => lines.push(line));
      return lines;
    };
    expect(rows(1)).toEqual(rows(1));
    // Two may have the same mean of hops.
    expect(new Set([1, 2, 3, 4].map((seed) => rows(seed).join("\n"))).size).toBeGreaterThan(1);
  });
});

describe("the transit-stub network", () => {
  it("has the delays that it says, the same both ways, and the shortest within a stub", () => {
    const draw = new Draw(5);
    const delay = transitStub(draw);
    const all: number[] = [];
    for (let i = 0; i < 20_000; i += 1) {
      const [a, b] = [draw.below(TOPOLOGY_NODES), draw.below(TOPOLOGY_NODES)];
      if (a === b) continue;
      expect(delay(a, b)).toBe(delay(b, a));
      all.push(delay(a, b));
    }
    all.sort((a, b) => a - b);
    expect(all[0]).toBeGreaterThanOrEqual(2);
    expect(all.at(-1)).toBeLessThan(400);
    expect(all.filter((ms) => ms <= 6).length / all.length).toBeGreaterThan(0.005);
    expect(all.filter((ms) => ms >= 40).length / all.length).toBeGreaterThan(0.7);
  });
});

it("arguments are read, and of bad ones it is said what is wrong", () => {
  expect(parseSuiteArgs(["--suite"])).toEqual(WHOLE);
  expect(parseSuiteArgs(["--quick", "--seed", "7", "--only=lookups,churn"])).toEqual({ ...QUICK, seed: 7, only: ["lookups", "churn"] });
  expect(parseSuiteArgs(["--largest", "4096", "--churn-minutes", "60"])).toMatchObject({ sizes: [16, 256, 4_096], churnMinutes: 60 });
  const bad: readonly (readonly [readonly string[], RegExp])[] = [
    [["--seed"], /--seed needs a value/], [["--seed", "x"], /--seed x is no whole number/], [["--only", "all"], /no part "all", but lookups, churn, nearness/], [["--only", "lookups,lookups"], /names one twice/],
    [["--churn-minutes", "0"], /--churn-minutes 0 is no/], [["8"], /8 is no option/], [["--quick", "--quick"], /--quick is there twice/], [["--only", "lookups", "--largest", "3"], /--largest 3 leaves no ring: there are those of 16, 256/],
    [["--largest", "3"], /leaves no ring/], [["--only", "churn", "--largest", "16"], /--largest is of the part lookups/], [["--events", "3"], /--events is no option/],
  ];
  for (const [args, wrong] of bad) expect(() => parseSuiteArgs(args), args.join(" ")).toThrow(wrong);
});

describe("memory", () => {
  const GB = 1e9;

  it("that the largest ring needs and is not there is said, and what to do", () => {
    expect(memoryProblem(WHOLE, 8 * GB, 12 * GB)).toBeNull();
    expect(memoryProblem(WHOLE, 4 * GB, 12 * GB)).toBe("the ring of 65536 takes 4.6 GB, and this machine has 4.0 GB. --largest 4096 leaves it out");
    expect(memoryProblem(WHOLE, 8 * GB, 2.2 * GB)).toBe("the ring of 65536 takes 4.6 GB, and node may use 2.2 GB: start it with --max-old-space-size=12000. --largest 4096 leaves it out");
  });

  it("is not looked at without that ring", () => {
    for (const args of [["--quick"], ["--largest", "4096"], ["--only", "churn,nearness"]]) expect(memoryProblem(parseSuiteArgs(args), GB, GB), args.join(" ")).toBeNull();
  });

  it("that node may not use ends the suite with status 2 before it measures", async () => {
    const run = promisify(execFile)(process.execPath, ["--max-old-space-size=500", MAIN, "--suite", "--only", "lookups"], { timeout: 15_000 });
    await expect(run).rejects.toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(/^sim: the ring of 65536 takes 4\.6 GB, and .*See: npm run sim -- --help\n$/) as unknown });
  });
});

it("nothing measured is not all met", () => {
  expect(measureSuite({ ...QUICK, only: ["lookups"], sizes: [] }, () => undefined)).toBe(false);
});

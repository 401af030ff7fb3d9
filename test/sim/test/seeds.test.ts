import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

import { failureText, readArguments } from "@i3/sim";

const MAIN = path.resolve(import.meta.dirname, "../dist/main.js");
const LIMIT_MS = 240_000;

/** What `npm run sim` says, and its exit status. */
async function sim(...args: string[]): Promise<{ readonly stdout: string; readonly status: number }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], { timeout: LIMIT_MS });
    return { stdout, status: 0 };
  } catch (error) {
    const { stdout, code } = error as { readonly stdout: string; readonly code: number };
    return { stdout, status: code };
  }
}

describe("a ring with faults", () => {
  it("holds all that is checked, and says how many faults of each kind there were", { timeout: LIMIT_MS }, async () => {
    const { stdout, status } = await sim("--seeds", "1..3", "--events", "180");
    expect(stdout).toContain("3 seeds, 540 events, 0 failed");
    for (const kind of ["crash", "join", "leave", "restart", "loss", "duplication", "reordering", "slowness", "partition", "one-way", "silence", "skew", "replay", "stranger"]) {
      expect(stdout).toMatch(new RegExp(`\\b${kind} [1-9]`));
    }
    expect(status).toBe(0);
  });

  it("goes the same way twice, to the last byte, and another way with another seed", { timeout: LIMIT_MS }, async () => {
    const [first, second, other] = await Promise.all(["a", "a", "b"].map((seed) => sim("--seed", seed, "--events", "30")));
    expect(first?.stdout).toMatch(/digest [0-9a-f]{64}/);
    expect(second).toEqual(first);
    expect(other?.stdout).not.toBe(first?.stdout);
  });
});

it("a failure names the seed, the checker, the virtual time and the command that replays it, behind the last lines", () => {
  const failure = { checker: "one-ring", message: "server 3 is in another ring", lines: ["1.000 server 3: joined"] };
  const text = failureText({ seed: "17", events: 812, counts: new Map(), digest: "ab", endMs: 95_250, datagrams: 1, inputs: 1, failure }, 1_000);
  expect(text.split("\n")).toEqual([
    "1.000 server 3: joined", "seed 17: one-ring at 95.250 s of virtual time: server 3 is in another ring", "digest ab", "replay: npm run sim -- --seed 17 --events 1000",
  ]);
});

describe("the arguments", () => {
  it.each<[string, string[] | null, number]>([
    ["--seed 7", ["7"], 1_000], ["--seed a.b --events 20", ["a.b"], 20], ["--seeds 3..5", ["3", "4", "5"], 1_000], ["--events 5 --seeds 0..0", ["0"], 5],
    ["", null, 0], ["--seed", null, 0], ["--seeds 5..3", null, 0], ["--seeds 1-3", null, 0], ["--seed 1 --seeds 1..2", null, 0], ["--seed 1 --events 0", null, 0], ["--seed 1 --evnts 3", null, 0],
  ])("%s", (text, seeds, events) => {
    expect(readArguments(text.split(" ").filter((word) => word !== ""))).toEqual(seeds === null ? null : { seeds, events });
  });

  it("that are no good are said to be, with exit status 2", async () => {
    expect((await sim("--sed", "1")).status).toBe(2);
  });
});

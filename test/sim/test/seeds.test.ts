import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

import { failureText, readArguments, Totals } from "@i3/sim";

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
    const { stdout, status } = await sim("--seeds", "1..3", "--events", "180", "--jobs", "2");
    expect(stdout).toContain("3 seeds, 540 events, 0 failed");
    for (const kind of ["crash", "join", "leave", "restart", "loss", "duplication", "reordering", "slowness", "partition", "one-way", "silence", "skew", "replay", "stranger", "rogue"]) {
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

it("totals name the checkers that fired, with their seeds", () => {
  const totals = new Totals();
  const run = { events: 10, counts: new Map([["crash", 2], ["send", 3]] as const), digest: "", endMs: 0, datagrams: 0, inputs: 0 };
  totals.add({ ...run, seed: "1", failure: null });
  totals.add({ ...run, seed: "2", failure: { checker: "one-ring", message: "", lines: [] } });
  totals.add({ ...run, seed: "4", failure: { checker: "one-ring", message: "", lines: [] } });
  expect(totals.text().split("\n")).toEqual(["faults: crash 6", "clients: send 9", "checker one-ring fired in 2: seeds 2, 4", "3 seeds, 30 events, 2 failed"]);
});

describe("the arguments", () => {
  it.each<[string, ReturnType<typeof readArguments>]>([
    ["--seed 7", { seed: "7", events: 1_000 }], ["--seed a.b --events 20", { seed: "a.b", events: 20 }], ["--seeds 3..5", { from: 3, to: 5, events: 1_000, jobs: 1 }],
    ["--events 5 --seeds 0..0", { from: 0, to: 0, events: 5, jobs: 1 }], ["--seeds 1..9 --jobs 12", { from: 1, to: 9, events: 1_000, jobs: 12 }],
    ["", null], ["--seed", null], ["--seeds 5..3", null], ["--seeds 1-3", null], ["--seed 1 --seeds 1..2", null], ["--seed 1 --events 0", null], ["--seed 1 --evnts 3", null], ["--seed 1 --jobs 2", null],
    ["--seeds 1..2 --jobs 0", null],
  ])("%s", (text, wanted) => {
    expect(readArguments(text.split(" ").filter((word) => word !== ""))).toEqual(wanted);
  });

  it("that are no good are said to be, with exit status 2", async () => {
    expect((await sim("--sed", "1")).status).toBe(2);
  });
});

it("a run of seeds that is stopped says what it has done, and how to go on", { timeout: LIMIT_MS }, async () => {
  const child = spawn(process.execPath, [MAIN, "--seeds", "7..90000", "--events", "1"], { stdio: ["ignore", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.on("data", (bytes: Buffer) => {
    stdout += bytes.toString();
    if (!child.killed) child.kill("SIGTERM");
  });
  const [status] = (await once(child, "close")) as [number];
  expect(stdout).toMatch(/resume: npm run sim -- --seeds \d+\.\.90000 --events 1 --jobs 1\n/);
  expect(stdout).toMatch(/\d+ seeds, \d+ events, 0 failed\n$/);
  expect(status).toBe(1);
});

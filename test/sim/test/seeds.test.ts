import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";

import { failureText, readArguments, Totals } from "@i3/sim";

const MAIN = path.resolve(import.meta.dirname, "../dist/main.js");
const LIMIT_MS = 240_000;

/** What `npm run sim` says, and its exit status. */
async function sim(...args: string[]): Promise<{ readonly stdout: string; readonly stderr: string; readonly status: number }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN, ...args], { timeout: LIMIT_MS });
    return { stdout, stderr, status: 0 };
  } catch (error) {
    const { stdout, stderr, code } = error as { readonly stdout: string; readonly stderr: string; readonly code: number };
    return { stdout, stderr, status: code };
  }
}

describe("a ring with faults", () => {
  it("holds all that is checked, and says how many faults of each kind there were, and how often it looked", { timeout: LIMIT_MS }, async () => {
    const { stdout, status } = await sim("--seeds", "1..4", "--events", "1000", "--jobs", "2");
    expect(stdout).toContain("4 seeds, 4000 events, 0 failed");
    for (const what of ["invariant", "nine principals", "list", "place", "packet", "straight packet"]) expect(stdout).toMatch(new RegExp(`, ${what} [1-9]|: ${what} [1-9]`));
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
  const text = failureText({ seed: "17", events: 812, counts: new Map(), digest: "ab", endMs: 95_250, datagrams: 1, inputs: 1, checks: new Map(), failure }, 1_000);
  expect(text.split("\n")).toEqual([
    "1.000 server 3: joined", "seed 17: one-ring at 95.250 s of virtual time: server 3 is in another ring", "digest ab", "replay: npm run sim -- --seed 17 --events 1000",
  ]);
});

it("totals of no run have no empty lines", () => {
  expect(new Totals().text()).toBe("0 seeds, 0 events, 0 failed");
});

it("totals name the checkers that fired, with their seeds", () => {
  const totals = new Totals();
  const run = { events: 10, counts: new Map([["crash", 2], ["send", 3]] as const), digest: "", endMs: 0, datagrams: 0, inputs: 0, checks: new Map([["invariant", 4], ["packet", 1]] as const) };
  totals.add({ ...run, seed: "1", failure: null });
  totals.add({ ...run, seed: "2", failure: { checker: "one-ring", message: "", lines: [] } });
  totals.add({ ...run, seed: "4", failure: { checker: "one-ring", message: "", lines: [] } });
  expect(totals.text().split("\n")).toEqual(["faults: crash 6", "clients: send 9", "checked: invariant 12, nine principals 0, principals of fewer 0, too few settled 0, list 0, place 0, packet 3, straight packet 0", "checker one-ring fired in 2: seeds 2, 4", "3 seeds, 30 events, 2 failed"]);
});

describe("the arguments", () => {
  const words = (text: string): string[] => text.split(" ").filter((word) => word !== "");

  it.each<[string, ReturnType<typeof readArguments>]>([
    ["--seed 7", { seed: "7", events: 1_000 }], ["--seed a.b --events 20", { seed: "a.b", events: 20 }], ["--seeds 3..5", { from: 3, to: 5, events: 1_000, jobs: 1 }],
    ["--events 5 --seeds 0..0", { from: 0, to: 0, events: 5, jobs: 1 }], ["--seeds 1..9 --jobs 12", { from: 1, to: 9, events: 1_000, jobs: 12 }],
    ["--seed=7", { seed: "7", events: 1_000 }], ["--seed 1.5", { seed: "1.5", events: 1_000 }], ["--seeds=1..2 --events=3", { from: 1, to: 2, events: 3, jobs: 1 }],
  ])("%s", (text, wanted) => {
    expect(readArguments(words(text))).toEqual(wanted);
  });

  it.each([
    ["", /--seed S, --seeds FROM..TO or --suite/], ["--seed", /--seed needs a value/], ["--seed --events 3", /--seed needs a value/], ["--seeds 5..3", /--seeds 5..3 ends before/], ["--seeds 1-3", /--seeds 1-3 is not FROM..TO/],
    ["--seed 1 --seeds 1..2", /--seed and --seeds/], ["--seed 1 --events 0", /--events 0 is no whole number from 1 to/], ["--seed 1 --evnts 3", /--evnts is no option/], ["--seed 1 --jobs 2", /--jobs is for --seeds/],
    ["--seeds 1..2 --jobs 0", /--jobs 0 is no whole number from 1 to 99/], ["--bogus", /--bogus is no option/], ["7", /^7 is no option/], ["--seed 7 --seed 8", /--seed is there twice/], ["--seed 7 --quick", /--quick is no option/],
  ])("%s: said what is wrong", (text, wrong) => {
    expect(() => readArguments(words(text))).toThrow(wrong);
  });

  it("that are no good are said to be, with exit status 2 and no run", async () => {
    for (const args of [["--sed", "1"], ["--suite", "--largest", "3"]]) {
      const { status, stdout, stderr } = await sim(...args);
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(new RegExp(`^sim: ${args.at(-2)}.*See: npm run sim -- --help\n$`));
    }
  });
});

it.each(["sim", "test"])("npm run %s -- --help says all there is, before anything is installed or built", async (name) => {
  const folder = await mkdtemp(path.join(tmpdir(), "i3-help-"));
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
  // The scripts alone: what has to be prepared is not there.
  await cp(path.resolve(import.meta.dirname, "../../../scripts"), path.join(folder, "scripts"), { recursive: true });
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [path.join(folder, `scripts/${name}.mjs`), "--only", "x", "--help"], { timeout: LIMIT_MS });
  expect(stderr).toBe("");
  const options = name === "sim" ? ["--seed", "--seeds", "--events", "--jobs", "--suite", "--quick", "--only", "--largest", "--churn-minutes"] : ["--only", "-t", "lint,unit,system,fuzz"];
  for (const option of options) expect(stdout).toContain(`${option} `);
  expect(stdout).toMatch(/^Usage: npm [^]*Exit status: 0 /);
  expect(await readdir(folder)).toEqual(["scripts"]);
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

/** A failure that is printed can be had again: with the seed alone, and behind another run in the same process. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const RUN = path.join(import.meta.dirname, "mutants/replay.mjs");
const LIMIT_MS = 240_000;
const SEED = "4";

/** One line for each seed that was run, in one process. */
async function run(...seeds: string[]): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [RUN, "120", ...seeds], { timeout: LIMIT_MS });
  return stdout.trim().split("\n");
}

it("a run in which a checker fires goes the same way again, alone and behind another", { timeout: LIMIT_MS }, async () => {
  const [[alone], [again], behind] = await Promise.all([run(SEED), run(SEED), run("5", SEED)]);
  expect(alone).toMatch(/^4 injected at \d+(\.\d+)? ms of virtual time, digest [0-9a-f]{64}: npm run sim -- --seed 4 --events 120$/);
  expect(again).toBe(alone);
  expect(behind[0]).toMatch(/^5 /);
  expect(behind[1]).toBe(alone);
});

/** Whether the checkers see anything: faults are put into the cores, and one of the checkers must fire. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import ts from "typescript";
import { expect, it } from "vitest";

import { MUTANTS, type Mutant } from "./mutants/mutants.js";

const PACKAGES = path.resolve(import.meta.dirname, "../../../packages");
const RUN = path.join(import.meta.dirname, "mutants/run.mjs");
const EVENTS = 500;
const SEEDS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
const LIMIT_MS = 240_000;

/** The changed module, by the end of its URL in dist/. */
async function changed({ file, from, to }: Mutant): Promise<Record<string, string>> {
  const source = await readFile(path.join(PACKAGES, file), "utf8");
  expect(source.split(from), `${file} has the text to be changed once`).toHaveLength(2);
  const { outputText } = ts.transpileModule(source.replace(from, () => to), { compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext } });
  return { [`/packages/${file.replace("/src/", "/dist/").replace(/\.ts$/, ".js")}`]: outputText };
}

async function firstCaught(sources: Record<string, string>, seeds: readonly string[]): Promise<{ readonly seed: string; readonly checker: string } | null> {
  const directory = await mkdtemp(path.join(tmpdir(), "i3-mutant-"));
  try {
    const file = path.join(directory, "sources.json");
    await writeFile(file, JSON.stringify(sources));
    const { stdout } = await promisify(execFile)(process.execPath, [RUN, file, String(EVENTS), ...seeds], { timeout: LIMIT_MS });
    return JSON.parse(stdout) as { readonly seed: string; readonly checker: string } | null;
  } finally {
    await rm(directory, { recursive: true });
  }
}

it.concurrent.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))("a core that %s is caught", { timeout: LIMIT_MS }, async (_name, mutant) => {
  const { seed = "1" } = mutant;
  const caught = await firstCaught(await changed(mutant), [seed, ...SEEDS.filter((other) => other !== seed)]);
  expect(caught).not.toBeNull();
});

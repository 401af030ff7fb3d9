/** Whether the checkers see anything: faults are put into the cores, and of each the checker that is named must fire; without them none. */
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
const NAMED = [...new Set(MUTANTS.flatMap(({ seed }) => seed ?? []))].filter((seed) => !SEEDS.includes(seed));
const FILES = [...new Set(MUTANTS.map(({ file }) => file))];
const LIMIT_MS = 240_000;

interface Fired {
  readonly seed: string;
  readonly checker: string;
}

/** A module of dist/ by the end of its URL, made of a source's text. */
function module(file: string, text: string): Record<string, string> {
  const { outputText } = ts.transpileModule(text, { compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext } });
  return { [`/packages/${file.replace("/src/", "/dist/").replace(/\.ts$/, ".js")}`]: outputText };
}

const read = (file: string): Promise<string> => readFile(path.join(PACKAGES, file), "utf8");

async function changed({ file, from, to }: Mutant): Promise<Record<string, string>> {
  const text = await read(file);
  expect(text.split(from), `${file} has the text to be changed once`).toHaveLength(2);
  return module(file, text.replace(from, () => to));
}

/** All that fired in these runs, up to the first in which `checker` did. */
async function fired(sources: Record<string, string>, checker: string, seeds: readonly string[]): Promise<readonly Fired[]> {
  const directory = await mkdtemp(path.join(tmpdir(), "i3-mutant-"));
  try {
    const file = path.join(directory, "sources.json");
    await writeFile(file, JSON.stringify(sources));
    const { stdout } = await promisify(execFile)(process.execPath, [RUN, file, String(EVENTS), checker, ...seeds], { timeout: LIMIT_MS });
    return JSON.parse(stdout) as readonly Fired[];
  } finally {
    await rm(directory, { recursive: true });
  }
}

it.concurrent.each([SEEDS, NAMED].map((seeds) => [seeds] as const))("cores that are as they are pass with seeds %j", { timeout: LIMIT_MS }, async (seeds) => {
  const sources: Record<string, string> = {};
  for (const file of FILES) Object.assign(sources, module(file, await read(file)));
  expect(await fired(sources, "none", seeds)).toEqual([]);
});

it.concurrent.each(MUTANTS.map((mutant) => [mutant.name, mutant.checker, mutant] as const))("a core that %s is caught by %s", { timeout: LIMIT_MS }, async (_name, checker, mutant) => {
  const { seed = "1" } = mutant;
  const all = await fired(await changed(mutant), checker, [seed, ...SEEDS.filter((other) => other !== seed)]);
  expect(all.at(-1)?.checker, `fired: ${JSON.stringify(all)}`).toBe(checker);
});

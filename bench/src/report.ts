/** Rows of a suite, as a table for people and as JSON (bench/README.md, "The report"). */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

export interface Row {
  readonly name: string;
  /** Median of `runs`, or what `judged` says. */
  readonly ours: number;
  readonly unit: string;
  readonly better: "higher" | "lower";
  /** The worst of `runs` counts: one that is beyond a limit misses it. @default the median */
  readonly judged?: "worst";
  readonly runs: readonly number[];
  /** Measured in the same run. */
  readonly baselines: Readonly<Record<string, number>>;
  /** More than 1 is good: ours/baseline where higher is better, baseline/ours where lower is. */
  readonly ratios: Readonly<Record<string, number>>;
  /** The least ratio to a baseline that we ask of ourselves. */
  readonly limits?: Readonly<Record<string, number>>;
  /** What else was seen in the same runs: by what it is, with its unit, and whose it is. */
  readonly beside?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** The other rows of the run are about what this one says: it fails unless the limits are met. */
  readonly isCondition?: boolean;
  /** The run fails when a limit is missed. */
  readonly isRequired?: boolean;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
};

export const worst = (values: readonly number[], better: Row["better"]): number => (values.length === 0 ? NaN : better === "higher" ? Math.min(...values) : Math.max(...values));

/** A row with its ratios. */
export function makeRow(row: Omit<Row, "ours" | "ratios">): Row {
  const ours = row.judged === "worst" ? worst(row.runs, row.better) : median(row.runs);
  // None at all is as good as none at all.
  const ratio = (baseline: number): number => (ours === baseline ? 1 : row.better === "higher" ? ours / baseline : baseline / ours);
  return { ...row, ours, ratios: Object.fromEntries(Object.entries(row.baselines).map(([name, value]) => [name, ratio(value)])) };
}

const shown = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

const NAME_COLUMNS = 58;

/** "met", or by how much a limit is missed. */
function verdict(ratio: number, least: number): string {
  if (ratio >= least) return "met";
  const percent = (1 - ratio / least) * 100;
  return Number.isNaN(ratio) ? "missed: not measured" : `missed by ${percent.toFixed(percent < 1 ? 1 : 0)} %`;
}

export function printTable(rows: readonly Row[]): void {
  for (const { name, ours, unit, better, baselines, ratios, limits = {}, beside = {} } of rows) {
    const compared = Object.entries(baselines).map(([baseline, value]) => `${baseline} ${shown(value)} (×${shown(ratios[baseline] ?? NaN)})`);
    process.stdout.write(`${name.padEnd(NAME_COLUMNS)} ${shown(ours).padStart(8)} ${unit.padEnd(6)} ${compared.join("   ")}\n`);
    for (const [what, values] of Object.entries(beside)) {
      process.stdout.write(`    ${what}: ${Object.entries(values).map(([whose, value]) => `${whose} ${shown(value)}`).join(", ")}\n`);
    }
    for (const [baseline, least] of Object.entries(limits)) {
      const value = baselines[baseline] ?? NaN;
      const bound = better === "higher" ? `at least ${shown(value * least)}` : `at most ${shown(value / least)}`;
      process.stdout.write(`    ${bound} ${unit}, ×${shown(least)} of ${baseline}: ${verdict(ratios[baseline] ?? NaN, least)}\n`);
    }
  }
}

/** What was not measured misses its limits. */
const isMissed = ({ ratios, limits = {} }: Row): boolean => Object.entries(limits).some(([baseline, least]) => !((ratios[baseline] ?? NaN) >= least));
const namesOf = (rows: readonly Row[]): readonly string[] => rows.map(({ name }) => name);

/** Names of the conditions that do not hold. */
export const brokenConditions = (rows: readonly Row[]): readonly string[] => namesOf(rows.filter((row) => row.isCondition === true && isMissed(row)));

/** Names of the rows that had to meet their limits and did not. */
export const missedRows = (rows: readonly Row[]): readonly string[] => namesOf(rows.filter((row) => row.isRequired === true && isMissed(row)));

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "unknown";
  }
}

export function writeJson(file: string, suite: string, rows: readonly Row[]): void {
  const machine = { cpu: cpus()[0]?.model ?? "", cores: cpus().length, memoryBytes: totalmem(), kernel: release(), node: process.version };
  writeFileSync(file, `${JSON.stringify({ commit: commit(), machine, suite, rows }, null, 2)}\n`);
}

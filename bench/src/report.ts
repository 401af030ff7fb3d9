/** Rows of a suite, as a table for people and as the JSON of architecture §9. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

export interface Row {
  readonly name: string;
  /** Median of `runs`. */
  readonly ours: number;
  readonly unit: string;
  readonly better: "higher" | "lower";
  readonly runs: readonly number[];
  /** Measured in the same run. */
  readonly baselines: Readonly<Record<string, number>>;
  /** More than 1 is good: ours/baseline where higher is better, baseline/ours where lower is. */
  readonly ratios: Readonly<Record<string, number>>;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
};

/** A row with its ratios. */
export function makeRow(row: Omit<Row, "ours" | "ratios">): Row {
  const ours = median(row.runs);
  const ratio = (baseline: number): number => (row.better === "higher" ? ours / baseline : baseline / ours);
  return { ...row, ours, ratios: Object.fromEntries(Object.entries(row.baselines).map(([name, value]) => [name, ratio(value)])) };
}

const shown = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

export function printTable(rows: readonly Row[]): void {
  for (const { name, ours, unit, baselines, ratios } of rows) {
    const beside = Object.entries(baselines).map(([baseline, value]) => `${baseline} ${shown(value)} (×${shown(ratios[baseline] ?? NaN)})`);
    process.stdout.write(`${name.padEnd(58)} ${shown(ours).padStart(8)} ${unit.padEnd(6)} ${beside.join("   ")}\n`);
  }
}

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

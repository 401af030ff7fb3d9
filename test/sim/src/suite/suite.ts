/**
 * The figures of large rings (docs/simulation-suite.md): `npm run sim -- --suite [--quick] [--seed S] [--only lookups,churn,nearness] [--largest SIZE] [--churn-minutes M]`.
 * Exit status 0: all are met; 1: one is not; 2: bad arguments.
 */
import { totalmem } from "node:os";
import { getHeapStatistics } from "node:v8";

import { BadArgument, readOptions, wholeNumber } from "../options.js";
import { measureChurn, type ChurnOptions } from "./churn.js";
import { measureLookups } from "./lookups.js";
import { measureNearness } from "./nearness.js";

interface Row {
  readonly figure: string;
  readonly measured: string;
  readonly demanded: string;
  readonly met: boolean;
}

const PARTS = ["lookups", "churn", "nearness"] as const;
type Part = (typeof PARTS)[number];

export interface SuiteOptions {
  readonly seed: number;
  readonly only: readonly Part[];
  /** Rings of which sizes, and how large the others are. */
  readonly sizes: readonly number[];
  readonly churnSize: number;
  readonly churnMinutes: number;
  readonly nearnessSize: number;
  /** How long near fingers are looked for, ms. */
  readonly searchMs: number;
}

export const WHOLE: SuiteOptions = { seed: 1, only: PARTS, sizes: [16, 256, 4_096, 65_536], churnSize: 4_096, churnMinutes: 10, nearnessSize: 2_000, searchMs: 300_000 };
/** Of seconds, for every run of the tests; its rings are too small for the figures of churn and nearness, which it shows beside the same limits. */
export const QUICK: SuiteOptions = { ...WHOLE, sizes: [16, 256], churnSize: 128, churnMinutes: 1, nearnessSize: 200, searchMs: 60_000 };

/** Mean hops that a ring of `size` may need: half a hop for each bit, and half a hop more. */
export const hopsAllowed = (size: number): number => Math.log2(size) / 2 + 0.5;

function* lookupRows({ seed, sizes }: SuiteOptions): Iterable<Row> {
  for (const size of sizes) {
    const lookups = Math.max(2_000, Math.floor(size / 4));
    const { right, meanHops, mostHops } = measureLookups(seed, size, lookups);
    yield {
      figure: `ring of ${size}: mean hops of ${lookups} lookups`, measured: `${meanHops.toFixed(2)} (at most ${mostHops}; ${lookups - right} wrong)`, demanded: `≤ ${hopsAllowed(size).toFixed(2)}`,
      met: meanHops <= hopsAllowed(size) && right === lookups,
    };
  }
}

/** An hour of churn takes longer than that. */
const sayChurn: NonNullable<ChurnOptions["onProgress"]> = ({ ranMs, crashed, lookups }) => console.error(`churn: ${ranMs / 60_000} min, ${crashed} crashes, ${lookups} lookups`);

function churnRows({ seed, churnSize, churnMinutes }: SuiteOptions): Row[] {
  const f = measureChurn(seed, { size: churnSize, meanLifetimeMs: 3_600_000, forMs: churnMinutes * 60_000, lookupsPerSecond: 100, onProgress: sayChurn });
  const right = f.lookups - f.wrong - f.notFound;
  const what = `ring of ${churnSize}, lifetimes of 1 h, ${churnMinutes} min (${f.crashed} crashes, ${f.joined} joins)`;
  return [
    { figure: `${what}: right the first time`, measured: `${((100 * right) / f.lookups).toFixed(3)} % of ${f.lookups} (${f.wrong} wrong, ${f.notFound} not found)`, demanded: "≥ 99.9 %", met: right >= 0.999 * f.lookups },
    { figure: "after retry", measured: `${f.wrongAfterRetry} still wrong`, demanded: "none", met: f.wrongAfterRetry === 0 },
    { figure: "latency", measured: `median ${f.medianMs} ms, 99 % ${f.p99Ms} ms; ${f.messagesPerNodeSecond.toFixed(1)} messages per node and second`, demanded: "–", met: true },
  ];
}

function* nearnessRows({ seed, nearnessSize: size, searchMs }: SuiteOptions): Iterable<Row> {
  for (const near of [true, false]) {
    const f = measureNearness(seed, { near, searchMs: near ? searchMs : 60_000, lookups: 5_000, size });
    const what = near ? "with proximity selection" : "without";
    const ofMeans = f.lookupMs / f.roundTripMs;
    yield* [
      {
        figure: `${size} nodes, transit-stub, ${what}: mean lookup and answer over mean round trip`,
        measured: `${ofMeans.toFixed(2)} (${f.lookupMs.toFixed(0)} over ${f.roundTripMs.toFixed(0)} ms; ${f.meanHops.toFixed(2)} hops)`, demanded: near ? "≤ 1.50" : "–", met: !near || ofMeans <= 1.5,
      },
      { figure: "  the same for each lookup: median, mean", measured: `${f.medianRatio.toFixed(2)}, ${f.meanRatio.toFixed(2)}`, demanded: near ? "median ≤ 1.50" : "–", met: !near || f.medianRatio <= 1.5 },
    ];
  }
}

const ROWS: Readonly<Record<Part, (options: SuiteOptions) => Iterable<Row>>> = { lookups: lookupRows, churn: churnRows, nearness: nearnessRows };

/** Prints a row as soon as it is measured. Returns whether there are figures, and all are met. */
export function measureSuite(options: SuiteOptions, print: (line: string) => void): boolean {
  let rows = 0;
  let missed = 0;
  for (const part of options.only) {
    for (const row of ROWS[part](options)) {
      print(`${row.met ? "ok    " : "missed"} ${row.figure}: ${row.measured}; demanded ${row.demanded}`);
      rows += 1;
      if (!row.met) missed += 1;
    }
  }
  return rows > 0 && missed === 0;
}

const MAX_NUMBER = 999_999_999;

/** Throws BadArgument. */
export function parseSuiteArgs(args: readonly string[]): SuiteOptions {
  const given = readOptions(args, ["--seed", "--only", "--largest", "--churn-minutes"], ["--suite", "--quick"]);
  const base = given.has("--quick") ? QUICK : WHOLE;
  const only = partsOf(given.get("--only"));
  for (const [option, part] of [["--largest", "lookups"], ["--churn-minutes", "churn"]] as const) {
    if (given.has(option) && !only.includes(part)) throw new BadArgument(`${option} is of the part ${part}, which --only leaves out`);
  }
  const largest = wholeNumber(given, "--largest", [1, MAX_NUMBER], Infinity);
  const sizes = base.sizes.filter((size) => size <= largest);
  if (sizes.length === 0) throw new BadArgument(`--largest ${largest} leaves no ring: there are those of ${base.sizes.join(", ")}`);
  const seed = wholeNumber(given, "--seed", [1, MAX_NUMBER], base.seed);
  return { ...base, seed, only, sizes, churnMinutes: wholeNumber(given, "--churn-minutes", [1, MAX_NUMBER], base.churnMinutes) };
}

function partsOf(text: string | undefined): readonly Part[] {
  if (text === undefined) return PARTS;
  const names = text.split(",");
  const unknown = names.find((name) => !PARTS.some((part) => part === name));
  if (unknown !== undefined) throw new BadArgument(`--only ${text}: there is no part "${unknown}", but ${PARTS.join(", ")}`);
  if (new Set(names).size < names.length) throw new BadArgument(`--only ${text} names one twice`);
  return PARTS.filter((part) => names.includes(part));
}

/** Bytes of a node that looks up, and of the largest ring that goes without a look at the memory. */
const NODE_BYTES = 70_000;
const SMALL_RING = 4_096;

/** What the rings need and there is not, for people; null: there is enough. `machine`, `heap`: bytes that this machine has, and that node may use. */
export function memoryProblem({ only, sizes }: SuiteOptions, machine: number, heap: number): string | null {
  const largest = only.includes("lookups") ? Math.max(...sizes) : 0;
  const need = largest * NODE_BYTES;
  if (largest <= SMALL_RING || Math.min(machine, heap) >= need) return null;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  const has = machine < need ? `this machine has ${gigabytes(machine)}` : `node may use ${gigabytes(heap)}: start it with --max-old-space-size=12000`;
  return `the ring of ${largest} takes ${gigabytes(need)}, and ${has}. --largest ${SMALL_RING} leaves it out`;
}

/** 0: all figures are met, 1: one is not. Throws BadArgument. */
export function runSuite(args: readonly string[]): number {
  const options = parseSuiteArgs(args);
  // Half an hour on it would otherwise end without a figure of what comes after it.
  const problem = memoryProblem(options, totalmem(), getHeapStatistics().heap_size_limit);
  if (problem !== null) throw new BadArgument(problem);
  console.log(`sim --suite: seed ${options.seed}`);
  const met = measureSuite(options, (line) => console.log(line));
  console.log(met ? "sim --suite: all figures are met" : "sim --suite: not all figures are met");
  return met ? 0 : 1;
}

/**
 * The figures of large rings (docs/simulation-suite.md): `npm run sim -- --suite [--quick] [--seed S] [--only lookups,churn,nearness] [--largest SIZE] [--churn-minutes M]`.
 * Exit status 0: all are met; 1: one is not; 2: bad arguments.
 */
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

/** Prints a row as soon as it is measured. Returns whether all figures are met. */
export function measureSuite(options: SuiteOptions, print: (line: string) => void): boolean {
  let met = true;
  for (const part of options.only) {
    for (const row of ROWS[part](options)) {
      print(`${row.met ? "ok    " : "missed"} ${row.figure}: ${row.measured}; demanded ${row.demanded}`);
      met &&= row.met;
    }
  }
  return met;
}

/** Null when an argument is not understood. */
export function parseSuiteArgs(args: readonly string[]): SuiteOptions | null {
  let options = args.includes("--quick") ? QUICK : WHOLE;
  const rest = args.filter((arg) => arg !== "--quick");
  for (let i = 0; i < rest.length; i += 2) {
    const [name, value = ""] = rest.slice(i, i + 2);
    const number = /^[1-9]\d{0,8}$/.test(value) ? Number(value) : null;
    const only = PARTS.filter((part) => value.split(",").includes(part));
    if (name === "--seed" && number !== null) options = { ...options, seed: number };
    else if (name === "--churn-minutes" && number !== null) options = { ...options, churnMinutes: number };
    else if (name === "--largest" && number !== null) options = { ...options, sizes: options.sizes.filter((size) => size <= number) };
    else if (name === "--only" && only.length === value.split(",").length) options = { ...options, only };
    else return null;
  }
  return options;
}

export function runSuite(args: readonly string[]): number {
  const options = parseSuiteArgs(args);
  if (options === null) {
    console.error("sim --suite: expected --quick, --seed S, --only lookups,churn,nearness, --largest SIZE or --churn-minutes M");
    return 2;
  }
  console.log(`sim --suite: seed ${options.seed}`);
  const met = measureSuite(options, (line) => console.log(line));
  console.log(met ? "sim --suite: all figures are met" : "sim --suite: not all figures are met");
  return met ? 0 : 1;
}

/** npm run sim -- --seed S [--events N] [--seeds FROM..TO [--jobs J]]: rings with faults, one run a seed (docs/simulation.md). */
import { runCampaign } from "./campaign.js";
import { runSeed } from "./run-seed.js";
import { failureText, Totals } from "./totals.js";

const EVENTS = 1_000;
const USAGE = "npm run sim -- --seed S [--events N], or --seeds FROM..TO [--events N] [--jobs J]";

type Arguments = { readonly seed: string; readonly events: number } | { readonly from: number; readonly to: number; readonly events: number; readonly jobs: number };

/** Null: they are no good. */
export function readArguments(args: readonly string[]): Arguments | null {
  let seed: string | null = null;
  let range: readonly [number, number] | null = null;
  let events = EVENTS;
  let jobs: number | null = null;
  for (let i = 0; i < args.length; i += 2) {
    const value = args[i + 1];
    if (value === undefined) return null;
    const ends = /^(\d{1,9})\.\.(\d{1,9})$/.exec(value);
    if (args[i] === "--seed") seed = value;
    else if (args[i] === "--seeds" && ends !== null && Number(ends[1]) <= Number(ends[2])) range = [Number(ends[1]), Number(ends[2])];
    else if (args[i] === "--events" && /^[1-9]\d{0,6}$/.test(value)) events = Number(value);
    else if (args[i] === "--jobs" && /^[1-9]\d?$/.test(value)) jobs = Number(value);
    else return null;
  }
  if (seed !== null) return range === null && jobs === null ? { seed, events } : null;
  return range === null ? null : { from: range[0], to: range[1], events, jobs: jobs ?? 1 };
}

/** Runs them; 0: no checker fired, 1: one did, or not all were run, 2: bad arguments. */
export async function runSeeds(args: readonly string[]): Promise<number> {
  const wanted = readArguments(args);
  if (wanted === null) {
    console.error(USAGE);
    return 2;
  }
  if ("from" in wanted) return runCampaign(wanted);
  const outcome = runSeed(wanted.seed, wanted.events);
  const totals = new Totals();
  totals.add(outcome);
  if (outcome.failure !== null) console.log(failureText(outcome, wanted.events));
  else console.log(`seed ${wanted.seed}: ${outcome.datagrams} datagrams in ${(outcome.endMs / 1_000).toFixed(0)} s of virtual time, digest ${outcome.digest}`);
  console.log(totals.text());
  return totals.failed === 0 ? 0 : 1;
}

/** npm run sim -- --seed S [--events N] [--seeds FROM..TO [--jobs J]]: rings with faults, one run a seed (docs/simulation.md). */
import { BadArgument, readOptions, wholeNumber } from "../options.js";
import { runCampaign } from "./campaign.js";
import { runSeed } from "./run-seed.js";
import { failureText, Totals } from "./totals.js";

const EVENTS = 1_000;
const MAX_EVENTS = 9_999_999;
const MAX_JOBS = 99;

type Arguments = { readonly seed: string; readonly events: number } | { readonly from: number; readonly to: number; readonly events: number; readonly jobs: number };

/** Throws BadArgument. A seed is a text: `1.5` is one, and `07` another than `7`. */
export function readArguments(args: readonly string[]): Arguments {
  const options = readOptions(args, ["--seed", "--seeds", "--events", "--jobs"]);
  const [seed, seeds] = [options.get("--seed"), options.get("--seeds")];
  const events = wholeNumber(options, "--events", [1, MAX_EVENTS], EVENTS);
  const jobs = wholeNumber(options, "--jobs", [1, MAX_JOBS], null);
  if (seed !== undefined && seeds !== undefined) throw new BadArgument("--seed and --seeds do not go together");
  if (seed !== undefined && jobs !== null) throw new BadArgument("--jobs is for --seeds: one run has one thread");
  if (seed !== undefined) return { seed, events };
  if (seeds === undefined) throw new BadArgument("it is to be said what to run: --seed S, --seeds FROM..TO or --suite");
  const [, from, to] = /^(\d{1,9})\.\.(\d{1,9})$/.exec(seeds) ?? [];
  if (from === undefined || to === undefined) throw new BadArgument(`--seeds ${seeds} is not FROM..TO, such as 1..60`);
  if (Number(from) > Number(to)) throw new BadArgument(`--seeds ${seeds} ends before it begins`);
  return { from: Number(from), to: Number(to), events, jobs: jobs ?? 1 };
}

/** Runs them; 0: no checker fired, 1: one did, or not all were run. Throws BadArgument. */
export async function runSeeds(args: readonly string[]): Promise<number> {
  const wanted = readArguments(args);
  if ("from" in wanted) return runCampaign(wanted);
  const outcome = runSeed(wanted.seed, wanted.events);
  const totals = new Totals();
  totals.add(outcome);
  if (outcome.failure !== null) console.log(failureText(outcome, wanted.events));
  else console.log(`seed ${wanted.seed}: ${outcome.datagrams} datagrams in ${(outcome.endMs / 1_000).toFixed(0)} s of virtual time, digest ${outcome.digest}`);
  console.log(totals.text());
  return totals.failed === 0 ? 0 : 1;
}

/** npm run sim -- --seed S [--events N] [--seeds FROM..TO]: rings with faults, one run a seed (docs/simulation.md). */
import { CLIENT_ACTIONS, type EventKind } from "./events.js";
import { runSeed, type Outcome } from "./run-seed.js";

const EVENTS = 1_000;
const USAGE = "npm run sim -- --seed S [--events N], or --seeds FROM..TO [--events N]";

interface Arguments {
  readonly seeds: readonly string[];
  readonly events: number;
}

/** Null: they are no good. */
export function readArguments(args: readonly string[]): Arguments | null {
  let seeds: string[] | null = null;
  let events = EVENTS;
  for (let i = 0; i < args.length; i += 2) {
    const value = args[i + 1];
    if (value === undefined) return null;
    const range = /^(\d{1,9})\.\.(\d{1,9})$/.exec(value);
    if (args[i] === "--seed" && seeds === null) seeds = [value];
    else if (args[i] === "--seeds" && seeds === null && range !== null && Number(range[1]) <= Number(range[2])) {
      seeds = Array.from({ length: Number(range[2]) - Number(range[1]) + 1 }, (_, n) => String(Number(range[1]) + n));
    } else if (args[i] === "--events" && /^[1-9]\d{0,6}$/.test(value)) events = Number(value);
    else return null;
  }
  return seeds === null ? null : { seeds, events };
}

/** Runs them; 0: no checker fired, 1: one did, 2: bad arguments. */
export function runSeeds(args: readonly string[]): number {
  const wanted = readArguments(args);
  if (wanted === null) {
    console.error(USAGE);
    return 2;
  }
  const counts = new Map<EventKind, number>();
  let events = 0;
  let failed = 0;
  for (const [i, seed] of wanted.seeds.entries()) {
    const outcome = runSeed(seed, wanted.events);
    events += outcome.events;
    for (const [kind, count] of outcome.counts) counts.set(kind, (counts.get(kind) ?? 0) + count);
    if (outcome.failure !== null) {
      failed += 1;
      console.log(failureText(outcome, wanted.events));
    } else if (wanted.seeds.length === 1) console.log(`seed ${seed}: ${outcome.datagrams} datagrams in ${(outcome.endMs / 1_000).toFixed(0)} s of virtual time, digest ${outcome.digest}`);
    if (i % 10 === 9 && wanted.seeds.length > 10) console.log(`${i + 1} seeds, ${failed} failed`);
  }
  console.log(summary(counts, wanted.seeds.length, events, failed));
  return failed === 0 ? 0 : 1;
}

export function failureText({ seed, failure, endMs, digest }: Outcome, events: number): string {
  return [
    ...(failure?.lines ?? []),
    `seed ${seed}: ${failure?.checker} at ${(endMs / 1_000).toFixed(3)} s of virtual time: ${failure?.message}`,
    `digest ${digest}`, `replay: npm run sim -- --seed ${seed} --events ${events}`,
  ].join("\n");
}

function summary(counts: ReadonlyMap<EventKind, number>, seeds: number, events: number, failed: number): string {
  const list = (isAction: boolean): string =>
    [...counts].filter(([kind]) => CLIENT_ACTIONS.includes(kind) === isAction).sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, count]) => `${kind} ${count}`).join(", ");
  return [`faults: ${list(false)}`, `clients: ${list(true)}`, `${seeds} seeds, ${events} events, ${failed} failed`].join("\n");
}

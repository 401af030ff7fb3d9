/** Answers a second of several ways to a server, measured in turns. */
import { makeRow, median, type Row } from "../report.js";
import { inTurns } from "../tunnel/plan.js";
import { loadRun, type Load, type LoadRun, type Watched } from "./load.js";
import { say } from "./plan.js";

export interface Way {
  readonly name: string;
  readonly load: Load;
  readonly watched: readonly Watched[];
}

/** So that V8 has compiled what it will. */
export async function warmUp(seconds: number, ways: readonly Way[]): Promise<void> {
  for (const { load, watched } of ways) await loadRun(load, seconds, watched);
}

/** Runs of each way, by its name. */
export async function loadsInTurns(what: string, runs: number, seconds: number, ways: readonly Way[]): Promise<ReadonlyMap<string, readonly LoadRun[]>> {
  const samples = await inTurns(runs, ways, async ({ name, load, watched }, run) => {
    const result = await loadRun(load, seconds, watched);
    say(`${what}, run ${run + 1}: ${name} ${result.perSecond.toFixed(0)}/s; processor ms for each: ${Object.entries(result.milliseconds).map(([who, ms]) => `${who} ${ms.toFixed(3)}`).join(", ")}`);
    return result;
  });
  return new Map([...samples].map(([{ name }, each]) => [name, each]));
}

/** The first way is ours, the second what `share` is of. */
export function rateRow(name: string, samples: ReadonlyMap<string, readonly LoadRun[]>, share: number): Row {
  const [[, ours] = ["", []], ...others] = [...samples];
  const programs = [...new Set([...samples.values()].flatMap((each) => each.flatMap(({ milliseconds }) => Object.keys(milliseconds))))];
  const timeOf = (program: string): Record<string, number> =>
    Object.fromEntries([...samples].flatMap(([way, each]) => (each[0]?.milliseconds[program] === undefined ? [] : [[way, median(each.map(({ milliseconds }) => milliseconds[program] ?? NaN))]])));
  return {
    ...makeRow({
      name, unit: "1/s", better: "higher", runs: ours.map(({ perSecond }) => perSecond),
      baselines: Object.fromEntries(others.map(([way, each]) => [way, median(each.map(({ perSecond }) => perSecond))])), limits: Object.fromEntries(others.slice(0, 1).map(([way]) => [way, share])),
      beside: Object.fromEntries(programs.map((program) => [`CPU ms for each, ${program}`, timeOf(program)])),
    }), isRequired: true,
  };
}

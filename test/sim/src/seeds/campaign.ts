/** Many runs on several threads: seeds are given out in order, one at a time, so that a run of them that was stopped goes on where it was. */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

import { runSeed, type Outcome } from "./run-seed.js";
import { failureText, Totals } from "./totals.js";

const PROGRESS_MS = 30_000;
const ROLE = "i3-seeds";
/** Most of what a run makes is soon garbage: less of it is looked through when there is room for more. */
const YOUNG_MB = 64;

export interface Campaign {
  readonly from: number;
  readonly to: number;
  readonly events: number;
  readonly jobs: number;
}

/** Runs them; ends early, with what is done, at SIGINT and SIGTERM. Returns 0: no checker fired, all done; 1: otherwise. */
export async function runCampaign({ from, to, events, jobs }: Campaign): Promise<number> {
  const startMs = performance.now();
  const totals = new Totals();
  const unfinished = new Set<number>();
  let next = from;
  const first = (): number => Math.min(next, ...unfinished);
  const resume = (): string => (first() > to ? "all done" : `resume: npm run sim -- --seeds ${first()}..${to} --events ${events} --jobs ${jobs}`);
  const progress = (): void => {
    const tookMs = performance.now() - startMs;
    const all = to - from + 1;
    const speed = totals.events === 0 ? "" : `, ${(process.cpuUsage().user / 1_000 / totals.events).toFixed(2)} ms of a processor an event, ${((tookMs / totals.seeds) * (all - totals.seeds) / 3_600_000).toFixed(1)} h left`;
    console.log(`${totals.seeds} of ${all} seeds, ${totals.failed} failed${speed}; ${resume()}`);
  };
  const workers: Worker[] = [];
  const stop = (): void => {
    for (const worker of workers) void worker.terminate();
  };
  const timer = setInterval(progress, PROGRESS_MS);
  process.once("SIGINT", stop).once("SIGTERM", stop);
  progress();
  try {
    await Promise.all(Array.from({ length: Math.min(jobs, to - from + 1) }, () => new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { role: ROLE, events }, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } });
      workers.push(worker);
      const giveOut = (): void => {
        if (next > to) return void worker.postMessage(null);
        unfinished.add(next);
        worker.postMessage(String(next));
        next += 1;
      };
      worker.on("message", (outcome: Outcome) => {
        totals.add(outcome);
        unfinished.delete(Number(outcome.seed));
        if (outcome.failure !== null) console.log(failureText(outcome, events));
        giveOut();
      });
      worker.once("error", reject).once("exit", () => resolve());
      giveOut();
    })));
  } finally {
    clearInterval(timer);
    process.off("SIGINT", stop).off("SIGTERM", stop);
    stop();
  }
  progress();
  console.log(totals.text());
  return totals.failed === 0 && first() > to ? 0 : 1;
}

interface Job {
  readonly role: string;
  readonly events: number;
}

const isJob = (data: unknown): data is Job => typeof data === "object" && data !== null && "role" in data && data.role === ROLE;

if (!isMainThread && isJob(workerData)) {
  const { events } = workerData;
  parentPort?.on("message", (seed: string | null) => {
    if (seed === null) parentPort?.close();
    else parentPort?.postMessage(runSeed(seed, events));
  });
}

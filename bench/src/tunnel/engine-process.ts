/**
 * What the bench's programs with an engine have in common (engine-host.ts, engine-relay.ts): the engine is opened, told of and asserted
 * to be the native one; then each line of standard input is a request `{id, command, …}` and yields a line `{id, result}`.
 * The first line is `READY {…}` with {@link Ready}.
 */
import { createInterface } from "node:readline";

import { NativeEngine, type Counters, type NativeEngineOptions, type Offloading, type RunningNativeEngine, type SystemCalls } from "@i3/datapath";

import { Churn, type ChurnReport } from "./churn.js";
import { ENGINE_ADDRESS } from "./modes.js";

export interface Ready {
  readonly implementation: "native" | "reference";
  readonly workers: number;
  readonly offloads: Offloading;
}

/** Answers by command. */
export interface Answers {
  readonly counters: { readonly counters: Counters; readonly calls: SystemCalls; readonly offloads: Offloading };
  readonly "churn-start": null;
  readonly "churn-report": ChurnReport;
  readonly "churn-stop": null;
}

export type Command = keyof Answers;
export interface Request {
  readonly id: number;
  readonly command: Command;
}

export function openEngine({ port, ...options }: Pick<NativeEngineOptions, "tun"> & { readonly port: number }): RunningNativeEngine {
  const engine = NativeEngine.open({
    ...options, udp: { address: ENGINE_ADDRESS, port, mark: 0 }, workers: 1, clock: { nowMs: () => performance.now() },
    onUpcalls: () => undefined,
    onFailure: (error) => {
      process.stderr.write(`${error.message}\n`);
      process.exit(1);
    },
  });
  // The type says so; the bench must not rest on it.
  const { implementation }: { readonly implementation: string } = engine;
  if (implementation !== "native") throw new Error(`the engine is the ${implementation} one`);
  return engine;
}

/** Until standard input ends. */
export function serve(engine: RunningNativeEngine): void {
  const churn = new Churn(engine);
  const answers: { readonly [C in Command]: () => Answers[C] } = {
    counters: () => ({ counters: engine.counters(), calls: engine.systemCalls(), offloads: engine.offloads() }),
    "churn-start": () => {
      churn.start();
      return null;
    },
    "churn-report": () => churn.report(),
    "churn-stop": () => {
      churn.stop();
      return null;
    },
  };
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const { id, command } = JSON.parse(line) as Request;
    process.stdout.write(`${JSON.stringify({ id, result: answers[command]() })}\n`);
  });
  lines.on("close", () => {
    engine.close();
    process.exit(0);
  });
  const ready: Ready = { implementation: engine.implementation, workers: engine.workers, offloads: engine.offloads() };
  process.stdout.write(`READY ${JSON.stringify(ready)}\n`);
}

/**
 * Base exchanges of an i3-proxy, as its users run it, with hosts that call it straight over UDP.
 *
 *     generator 198.18.x.y ──veth──► home (i3-proxy) ──veth── s1 (i3-server)
 */
import { fileURLToPath } from "node:url";

import { Laptop, startRing } from "@i3/demo";
import { Topology, type Child, type Host } from "@i3/netns";

import { succeed } from "../tunnel/bed.js";
import type { InitiatorOptions, Round, Step, StepResult } from "./initiators.js";
import { say, WARM_ROUNDS, type Plan } from "./plan.js";
import { threadSeconds, type ThreadSeconds } from "./processor-seconds.js";

const INITIATORS = fileURLToPath(new URL("initiators.js", import.meta.url));
/** For benchmarks (RFC 2544). */
const SOURCE_NET = "198.18.0.0/15";
const SOURCES = 250;
const START_MS = 60_000;
const STEP_MS = 60_000;
/** Of the slow warm-up, so that its costs can be compared. */
const WARM_UP_PARTS = 5;

/** What a whole exchange, I1 to R2, takes on the responder's processors, in seconds. */
export interface OurResponder {
  /** One for each run. */
  readonly warmUps: readonly WarmUp[];
  /** Hosts that call for the first time: each gets a mapping, with addresses, journal, routes. */
  readonly newcomers: readonly ThreadSeconds[];
  /** Hosts with an association, which call again. */
  readonly known: readonly ThreadSeconds[];
}

/** What goes before the exchanges that count: V8 compiles what runs often, and that is most of what the first ones cost. */
export interface WarmUp {
  readonly seconds: number;
  readonly exchanges: number;
  /** What an exchange cost in its first part, its last one, and in the round at full speed behind it. */
  readonly first: ThreadSeconds;
  readonly last: ThreadSeconds;
  readonly fast: ThreadSeconds;
}

export const totalSeconds = ({ main, engine, others }: ThreadSeconds): number => main + engine + others;

export async function measureOurResponder({ runs, initiators, warmUpCalls }: Plan): Promise<OurResponder> {
  const measured: RunCosts[] = [];
  for (let run = 0; run < runs; run += 1) {
    const costs = await oneRun(initiators, warmUpCalls);
    const { warmUp } = costs;
    say(`responder, run ${run + 1}: ours, newcomers ${told(costs.newcomers)}, known ${told(costs.known)}`);
    say(`responder, run ${run + 1}: warm-up ${warmUp.seconds.toFixed(0)} s, ${warmUp.exchanges} exchanges, from ${us(totalSeconds(warmUp.first))} to ${us(totalSeconds(warmUp.last))} µs each, at full speed ${us(totalSeconds(warmUp.fast))}`);
    measured.push(costs);
  }
  return { newcomers: measured.map(({ newcomers }) => newcomers), known: measured.map(({ known }) => known), warmUps: measured.map(({ warmUp }) => warmUp) };
}

interface RunCosts {
  readonly newcomers: ThreadSeconds;
  readonly known: ThreadSeconds;
  readonly warmUp: WarmUp;
}

const us = (seconds: number): string => (seconds * 1e6).toFixed(0);
const told = (cost: ThreadSeconds): string =>
  `${(1 / totalSeconds(cost)).toFixed(0)} exchanges for a processor second (${us(cost.main)} µs main thread, ${us(cost.engine)} engine, ${us(cost.others)} others)`;

async function oneRun(count: number, warmUpCalls: number): Promise<RunCosts> {
  const topology = await Topology.create();
  try {
    const [generator, home, server] = [topology.host("generator"), topology.host("home"), topology.host("s1")];
    topology.link(generator, home, { subnet: "192.0.2.0/30" });
    topology.link(server, home, { subnet: "192.0.2.4/30" });
    await topology.up();
    await succeed(generator, "ip", ["route", "add", "local", SOURCE_NET, "dev", "lo"]);
    await succeed(home, "ip", ["route", "add", SOURCE_NET, "via", generator.address4]);
    await startRing([server]);
    const responder = await Laptop.make(home, { serverAddresses: [server.address4], logLevel: "info" });
    await responder.start();
    const { pid, port } = nativeProcess(responder);
    const warmCount = count;
    const options: InitiatorOptions = { address: home.address4, port, hit: responder.hit, count, warmCount, warmUpCalls, sources: SOURCES };
    const calling = await startInitiators(generator, options);
    const warming: StepCost[] = [];
    for (let part = 0; part < WARM_UP_PARTS; part += 1) warming.push(await costOf(calling, "warm-up", pid, warmUpCalls));
    // All calls first: what answers 50 I2 a second asks for puzzles.
    const cost = new Map<Step, StepCost>();
    const rounds: readonly Round[] = [...WARM_ROUNDS, "first", "again"];
    for (const half of ["call", "finish"] as const) for (const round of rounds) cost.set(`${round} ${half}`, await costOf(calling, `${round} ${half}`, pid, count));
    const whole = (which: Round): ThreadSeconds => combined(cost.get(`${which} call`), cost.get(`${which} finish`), (call, finish) => call + finish);
    const [first, last] = [warming[0], warming.at(-1)];
    if (first === undefined || last === undefined) throw new RangeError("no warm-up");
    const seconds = [...warming, ...WARM_ROUNDS.map((round) => cost.get(`${round} finish`))].reduce((sum, step) => sum + (step?.took ?? 0), 0);
    const warmUp: WarmUp = { seconds, exchanges: WARM_UP_PARTS * warmUpCalls + WARM_ROUNDS.length * warmCount, first, last, fast: whole("warm 5") };
    await responder.stop();
    return { newcomers: whole("first"), known: whole("again"), warmUp };
  } finally {
    await topology.close();
  }
}

/** Of a daemon that has started. Throws unless it runs the native engine. */
export function nativeProcess({ child }: Laptop): { readonly pid: number; readonly port: number } {
  const ready = child?.lines.map(({ text }) => /READY .*port=(\d+) engine=native/.exec(text)).find((found) => found !== null);
  if (child?.pid === undefined || ready === undefined) throw new Error("i3-proxy does not run the native engine");
  return { pid: child.pid, port: Number(ready[1]) };
}

async function startInitiators(host: Host, options: InitiatorOptions): Promise<Child> {
  const child = host.spawn(process.execPath, [INITIATORS, JSON.stringify(options)]);
  await child.waitForLine(/^READY$/, START_MS);
  return child;
}

interface StepCost extends ThreadSeconds {
  /** Seconds by the clock, of the whole step. */
  readonly took: number;
}

/** Processor seconds of `pid` for one exchange's share of a step. */
async function costOf(child: Child, step: Step, pid: number, count: number): Promise<StepCost> {
  const before = threadSeconds(pid);
  const { done, seconds } = await ask(child, step);
  const cost = combined(before, threadSeconds(pid), (from, to) => (to - from) / done);
  say(`${step}: ${done} of ${count} in ${seconds.toFixed(2)} s, ${us(cost.main)} µs main thread, ${us(cost.engine)} engine, ${us(cost.others)} others each`);
  if (done < count * 0.99) throw new Error(`only ${done} of ${count} exchanges got through "${step}": a machine with too much else to do cannot measure this, since I2s are good for 10 s and a responder in a hurry asks for puzzles\n${child.tail()}`);
  return { ...cost, took: seconds };
}

function combined(a: ThreadSeconds | undefined, b: ThreadSeconds | undefined, both: (a: number, b: number) => number): ThreadSeconds {
  const of = (thread: keyof ThreadSeconds): number => both(a?.[thread] ?? NaN, b?.[thread] ?? NaN);
  return { main: of("main"), engine: of("engine"), others: of("others") };
}

async function ask(child: Child, step: Step): Promise<StepResult> {
  const answer = new Promise<StepResult>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer to "${step}"\n${child.tail()}`)), STEP_MS);
    child.on("line", function onLine({ text }) {
      if (!text.startsWith(`{"step":"${step}"`)) return;
      clearTimeout(timer);
      child.off("line", onLine);
      resolve(JSON.parse(text) as StepResult);
    });
  });
  child.stdin.write(`${step}\n`);
  return answer;
}

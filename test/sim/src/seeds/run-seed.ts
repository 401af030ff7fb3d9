/** One run: a ring and its clients, half of the events in fair weather and half in foul, quiet time after each, and the checks. */
import { Draw } from "./draw.js";
import { Events, type EventKind } from "./events.js";
import { checkQuiet, isAtRest } from "./quiet-checks.js";
import { SteadyChecks } from "./steady-checks.js";
import { CheckFailed } from "./trace.js";
import { World } from "./world.js";

const LEAST_SERVERS = 10;
const MOST_SERVERS = 11;
const CLIENTS = 4;
/** All have joined. */
const START_MS = 6_000;
/** Mean time from event to event, ms. In fair weather what may go wrong is limited by time: there servers come and go as often as they may. */
const EVENT_MS = { fair: 50, foul: 25 };
/** Partitions are healed by asking those who were lost one by one, and what is registered where it does not belong ends after 30 s. */
const QUIET_MS = 45_000;
/** Quiet ends sooner when all has been in its place for so long: all triggers were refreshed, and dead servers would have been missed. What nobody wants may be there until its life ends. */
const REST_MS = 6_000;
/** But for so many of them, which last to the end: then nothing is left, and what goes wrong in quiet shows there. */
const WHOLE_QUIETS = 0.125;
const LOOK_MS = 500;

export interface Outcome {
  readonly seed: string;
  readonly events: number;
  readonly counts: ReadonlyMap<EventKind, number>;
  /** Of all datagrams and all that happened: 64 hexadecimal digits. */
  readonly digest: string;
  /** Virtual time at the end, ms. */
  readonly endMs: number;
  readonly datagrams: number;
  readonly inputs: number;
  /** What was checked → how often. */
  readonly checks: ReadonlyMap<string, number>;
  readonly failure: { readonly checker: string; readonly message: string; readonly lines: readonly string[] } | null;
}

/** @param events how many faults and actions of clients */
export function runSeed(seed: string, events: number): Outcome {
  const world = new World(seed);
  const drawn = new Events(seed, world);
  const steady = new SteadyChecks(seed, drawn);
  world.steady = steady;
  let done = 0;
  let failure: Outcome["failure"] = null;
  try {
    const draw = new Draw(`${seed}/phases`);
    build(world, draw);
    const fairFirst = draw.chance(0.5);
    for (const isFair of [fairFirst, !fairFirst]) {
      world.isFair = isFair;
      steady.turn(world.nowMs, isFair);
      world.note(`-- ${isFair ? "fair" : "foul"} weather`);
      for (const end = isFair === fairFirst ? Math.round(events / 2) : events; done < end; done += 1) {
        world.run(world.nowMs + draw.below(2 * EVENT_MS[isFair ? "fair" : "foul"]));
        drawn.next();
      }
      // Foul weather may follow at once; before fair weather the ring must be whole.
      if (isFair && fairFirst) continue;
      const isWhole = draw.chance(WHOLE_QUIETS);
      beQuiet(world, draw, isWhole);
      checkQuiet(world, drawn, isWhole, done < events ? 2 : Infinity);
    }
    world.ringWire.checkPending();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const checker = error instanceof CheckFailed ? error.checker : "no-error";
    failure = { checker, message: error instanceof CheckFailed ? error.message : (error.stack ?? error.message), lines: world.trace.lines() };
  }
  const { nowMs: endMs, datagrams, inputs } = world;
  return { seed, events: done, counts: drawn.counts, digest: world.trace.digest(), endMs, datagrams, inputs, checks: world.checks, failure };
}

function build(world: World, draw: Draw): void {
  const servers = draw.between(LEAST_SERVERS, MOST_SERVERS);
  for (let i = 0; i < servers; i += 1) {
    world.startServer(world.addServer());
    world.run(world.nowMs + draw.below(500));
  }
  for (let i = 0; i < CLIENTS; i += 1) world.addClient();
  world.run(START_MS);
}

/** All faults end: who is down comes back or is gone for good. */
function beQuiet(world: World, draw: Draw, isWhole: boolean): void {
  world.isFair = false;
  world.quietMs = world.nowMs;
  world.steady?.turn(world.nowMs, false);
  world.forgetLater();
  world.network.calm();
  for (const server of world.servers.values()) server.isMute = false;
  world.note("-- quiet");
  let running = world.talking().length;
  for (const server of [...world.servers.values()]) {
    if (server.isUp || (server.number > 2 && running >= LEAST_SERVERS && draw.chance(0.7))) continue;
    world.startServer(server);
    running += 1;
  }
  const endMs = world.nowMs + QUIET_MS;
  const restMs = isWhole ? Infinity : REST_MS;
  let movedMs = world.nowMs;
  while (world.nowMs < endMs && world.nowMs - movedMs < restMs) {
    world.run(world.nowMs + LOOK_MS);
    if (!isAtRest(world)) movedMs = world.nowMs;
  }
}

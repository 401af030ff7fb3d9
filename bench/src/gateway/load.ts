/** wrk: as many requests as come back, from so many connections at once. */
import type { Host } from "@i3/netns";

import { processorSeconds, threadSeconds } from "../handshake/processor-seconds.js";
import { succeed } from "../tunnel/bed.js";

/** ip-to-i3 lets one source wait with so many connections that have not said whom they mean. */
export const CONNECTIONS = 16;
/** Others may have the processor for long; a request that takes longer has failed. */
const TIMEOUT_S = 10;
const END_MS = 20_000;
const MS = 1_000;

export interface Load {
  readonly from: Host;
  readonly url: string;
  /** A connection for each request, or the same ones for all. */
  readonly connections: "new" | "kept";
}

/** A program whose processor time is told. */
export interface Watched {
  readonly name: string;
  readonly pid: number;
  /** Of a daemon of ours: its main thread and what V8 does beside it, or its packet engine. @default all */
  readonly part?: "javascript" | "engine";
}

export interface LoadRun {
  /** Answers a second. */
  readonly perSecond: number;
  /** Processor milliseconds an answer, by name. */
  readonly milliseconds: Readonly<Record<string, number>>;
}

/** Rejects when a request failed: a row of refusals would be fast. */
export async function loadRun({ from, url, connections }: Load, seconds: number, watched: readonly Watched[]): Promise<LoadRun> {
  const before = watched.map(secondsOf);
  const args = ["-t", "1", "-c", String(CONNECTIONS), "-d", `${seconds}s`, "--timeout", `${TIMEOUT_S}s`, ...(connections === "new" ? ["-H", "Connection: close"] : []), url];
  const { answers, perSecond } = readWrk(await succeed(from, "wrk", args, seconds * MS + END_MS));
  const used = watched.map((one, i) => [one.name, ((secondsOf(one) - (before[i] ?? NaN)) * MS) / answers] as const);
  return { perSecond, milliseconds: Object.fromEntries(used) };
}

function secondsOf({ pid, part }: Watched): number {
  if (part === undefined) return processorSeconds(pid);
  const { main, engine, others } = threadSeconds(pid);
  return part === "engine" ? engine : main + others;
}

/** What wrk says at its end. Throws when a request failed, or none was answered. */
export function readWrk(output: string): { readonly answers: number; readonly perSecond: number } {
  const answers = Number(/^\s*(\d+) requests in /m.exec(output)?.[1]);
  const perSecond = Number(/^Requests\/sec:\s+([0-9.]+)/m.exec(output)?.[1]);
  const [failed] = /^\s*(Socket errors:|Non-2xx).*/m.exec(output) ?? [];
  if (failed !== undefined) throw new Error(`wrk: ${failed.trim()}`);
  if (!(answers > 0 && perSecond > 0)) throw new Error(`wrk got no answer:\n${output}`);
  return { answers, perSecond };
}

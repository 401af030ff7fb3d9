/** UDP with numbers both ways between two hosts, and what of it came when (native/udp-probe.c). */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { Child, NetNode } from "@i3/netns";

import { scratchDirectory } from "../tunnel/bed.js";

export const INTERVAL_MS = 5;
const PORT = 7_000;
const RECORD_BYTES = 24;
const ON_THE_WAY_MS = 500;
const SOURCE = fileURLToPath(new URL("../../native/udp-probe.c", import.meta.url));

export type Direction = "fromMover" | "toMover";

/** One packet that came; since 1970. */
export interface Arrival {
  readonly number: number;
  readonly sentMs: number;
  readonly cameMs: number;
}

export interface Flow {
  readonly sent: number;
  /** In the order in which they came. */
  readonly arrivals: readonly Arrival[];
}

export interface Probes {
  /** Ends both. */
  stop(): Promise<Readonly<Record<Direction, Flow>>>;
}

export interface Ends {
  readonly mover: NetNode;
  readonly desk: NetNode;
  /** As programs of the other end call them, IPv4 or IPv6. */
  readonly deskAddress: string;
  readonly moverAddress: string;
}

let program: Promise<string> | undefined;
let files = 0;

async function compile(): Promise<string> {
  const out = `${scratchDirectory()}/udp-probe`;
  await promisify(execFile)("gcc", ["-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-o", out, SOURCE]);
  return out;
}

/** Resolves when both send. */
export async function startProbes({ mover, desk, deskAddress, moverAddress }: Ends): Promise<Probes> {
  const path = await (program ??= compile());
  const start = (host: NetNode, peer: string): { readonly child: Child; readonly file: string } => {
    const file = `${host.directory}/probe-${(files += 1)}`;
    return { child: host.spawn(path, [String(PORT), peer.includes(":") ? peer : `::ffff:${peer}`, String(INTERVAL_MS * 1_000), file]), file };
  };
  const [atMover, atDesk] = [start(mover, deskAddress), start(desk, moverAddress)];
  await Promise.all([atMover, atDesk].map(({ child }) => child.waitForLine(/^READY/)));
  for (const { child } of [atMover, atDesk]) child.stdin.write("\n");
  await Promise.all([atMover, atDesk].map(({ child }) => child.waitForLine(/^SENDING/)));
  const end = async ({ child, file }: typeof atMover): Promise<{ sent: number; arrivals: readonly Arrival[] }> => {
    await child.stop();
    const [, sent = ""] = await child.waitForLine(/^SENT (\d+)$/);
    return { sent: Number(sent), arrivals: arrivalsOf(await readFile(file)) };
  };
  return {
    stop: async () => {
      for (const { child } of [atMover, atDesk]) child.kill("SIGUSR1");
      await sleep(ON_THE_WAY_MS);
      const [mine, its] = await Promise.all([end(atMover), end(atDesk)]);
      return { fromMover: { sent: mine.sent, arrivals: its.arrivals }, toMover: { sent: its.sent, arrivals: mine.arrivals } };
    },
  };
}

function arrivalsOf(bytes: Buffer): readonly Arrival[] {
  const read = (at: number): number => Number(bytes.readBigUInt64LE(at));
  const found: Arrival[] = [];
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) found.push({ number: read(at), sentMs: read(at + 8) / 1_000, cameMs: read(at + 16) / 1_000 });
  return found.sort((a, b) => a.cameMs - b.cameMs);
}

/** Since 1970. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Stall {
  /** The longest time without an arrival, ms; to the end of the window when nothing came any more. */
  readonly gapMs: number;
  /** From the beginning of the window to its end. */
  readonly overAfterMs: number;
  /** The longest without what is the machine's: what the sender was late by, or the part of it that was `busy`. */
  readonly ownGapMs: number;
}

interface Gap extends Span {
  /** What the sender was late by, ms. */
  readonly lateMs: number;
}

/** Between arrivals, the first since the last one before `fromMs`, the last until `toMs`. */
function gapsOf({ arrivals }: Pick<Flow, "arrivals">, { fromMs, toMs }: Span): readonly Gap[] {
  const gaps: Gap[] = [];
  let last = arrivals.filter(({ cameMs }) => cameMs < fromMs).at(-1);
  for (const next of arrivals) {
    if (next.cameMs < fromMs || next.cameMs > toMs) continue;
    const lateMs = last === undefined ? 0 : Math.max(0, next.sentMs - last.sentMs - (next.number - last.number) * INTERVAL_MS);
    gaps.push({ fromMs: last?.cameMs ?? fromMs, toMs: next.cameMs, lateMs });
    last = next;
  }
  return [...gaps, { fromMs: last?.cameMs ?? fromMs, toMs, lateMs: 0 }];
}

const lengthOf = ({ fromMs, toMs }: Span): number => Math.max(0, toMs - fromMs);
const overlapMs = (a: Span, b: Span): number => lengthOf({ fromMs: Math.max(a.fromMs, b.fromMs), toMs: Math.min(a.toMs, b.toMs) });

/** Of what arrived in the window. */
export function stallOf(flow: Pick<Flow, "arrivals">, window: Span, busy: readonly Span[] = []): Stall {
  const gaps = gapsOf(flow, window);
  const longest = gaps.reduce((a, b) => (lengthOf(b) > lengthOf(a) ? b : a));
  const own = (gap: Gap): number => lengthOf(gap) - Math.max(gap.lateMs, ...busy.map((span) => overlapMs(gap, span)));
  return { gapMs: lengthOf(longest), overAfterMs: longest.toMs - window.fromMs, ownGapMs: Math.max(...gaps.map(own)) };
}

export interface Recovery {
  /** To the first arrival of what was sent after the event; to the end of the window when there is none. */
  readonly afterMs: number;
  /** The longest time without an arrival from then on. */
  readonly behindMs: number;
}

/** @param event from when something is done, to the end of what is looked at */
export function recoveryOf(flow: Pick<Flow, "arrivals">, event: Span): Recovery {
  const at = flow.arrivals.findIndex(({ cameMs, sentMs }) => sentMs > event.fromMs && cameMs > event.fromMs && cameMs <= event.toMs);
  const arrivals = at < 0 ? [] : flow.arrivals.slice(at);
  const fromMs = arrivals[0]?.cameMs ?? event.toMs;
  return { afterMs: fromMs - event.fromMs, behindMs: at < 0 ? lengthOf(event) : stallOf({ arrivals }, { fromMs, toMs: event.toMs }).gapMs };
}

/** When nothing came for more than two intervals, of packets to which nothing happens: then it was the machine that was busy. */
export const busySpans = (flow: Pick<Flow, "arrivals">, window: Span): readonly Span[] => gapsOf(flow, window).filter((gap) => lengthOf(gap) > 2 * INTERVAL_MS);

/** Numbers that never came, of those that were sent since then: behind the last that was sent before and came. */
export function lostOf({ sent, arrivals }: Flow, { fromMs }: Pick<Span, "fromMs">): number {
  const first = arrivals.reduce((next, { number, sentMs }) => (sentMs < fromMs ? Math.max(next, number + 1) : next), 0);
  return sent - first - new Set(arrivals.map(({ number }) => number).filter((number) => number >= first)).size;
}

/** UDP with numbers both ways between two hosts, and what of it came when (native/udp-probe.c). */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { Child, Host } from "@i3/netns";

import { scratchDirectory } from "../tunnel/bed.js";

export const INTERVAL_MS = 5;
const PORT = 7_000;
const RECORD_BYTES = 24;
const ON_THE_WAY_MS = 500;
const SOURCE = fileURLToPath(new URL("../../native/udp-probe.c", import.meta.url));

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
  stop(): Promise<{ readonly fromMover: Flow; readonly toMover: Flow }>;
}

export interface Ends {
  readonly mover: Host;
  readonly desk: Host;
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
  const start = (host: Host, peer: string): { readonly child: Child; readonly file: string } => {
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

export interface Stall {
  /** The longest time without an arrival, ms; to the end of the window when nothing came any more. */
  readonly gapMs: number;
  /** The same without what the sender was late by, which a busy machine keeps waiting. */
  readonly spreadMs: number;
  /** From the beginning of the window to the end of the longest gap. */
  readonly overAfterMs: number;
}

/** Of what arrived from `fromMs` to `toMs`, since 1970. */
export function stallOf({ arrivals }: Pick<Flow, "arrivals">, fromMs: number, toMs: number): Stall {
  let last = arrivals.filter(({ cameMs }) => cameMs < fromMs).at(-1);
  let [gapMs, spreadMs, overMs] = [0, 0, fromMs];
  const see = (cameMs: number, lateMs: number): void => {
    const gap = cameMs - (last?.cameMs ?? fromMs);
    if (gap > gapMs) [gapMs, overMs] = [gap, cameMs];
    spreadMs = Math.max(spreadMs, gap - Math.max(0, lateMs));
  };
  for (const next of arrivals) {
    if (next.cameMs < fromMs || next.cameMs > toMs) continue;
    see(next.cameMs, last === undefined ? 0 : next.sentMs - last.sentMs - (next.number - last.number) * INTERVAL_MS);
    last = next;
  }
  see(toMs, 0);
  return { gapMs, spreadMs, overAfterMs: overMs - fromMs };
}

/** Numbers that never came. */
export const lostOf = ({ sent, arrivals }: Flow): number => sent - new Set(arrivals.map(({ number }) => number)).size;

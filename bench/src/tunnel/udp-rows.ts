/** UDP datagrams of 1,200 bytes: the highest rate that arrives, and the processor's time for one. */
import { makeRow, median, type Row } from "../report.js";
import type { Bed, Subject } from "./bed.js";
import { udpRun } from "./iperf.js";
import { inTurns, say, type Plan } from "./plan.js";
import { withProcessorTime } from "./processor-time.js";

const LOSS_MAX = 0.005;
const FIRST_MBIT = 200;
const LAST_MBIT = 12_800;
/** Steps of the bisection: rates are found to (upper / lower)^(1/32). */
const BISECTIONS = 5;
/** Where a later run looks around what the one before found. */
const AROUND = { lower: 0.7, upper: 1.4 } as const;
/** A failed rate is tried again: strangers on the machine cost a packet too. */
const TRIES = 3;
/** The client cannot send as much as it was told: more would change nothing. */
const CLIENT_LIMIT = 0.97;

/** What every subject carries, and what only we do: there packets follow each other closely enough to share a wake-up. */
const COMMON_MBIT = 150;
export const OUR_MBIT = 1_000;
const CPU_LIMIT_US = 3;
const PAPER_US = { send: 73, receive: 44 } as const;

interface Probe {
  readonly mbitPerSecond: number;
  readonly passed: boolean;
  readonly clientLimited: boolean;
}

export async function udpRows(bed: Bed, { rows, runs, probeSeconds }: Plan): Promise<readonly Row[]> {
  if (!rows.has("udp")) return [];
  const ours = bed.ours["encrypted-direct"];
  const fastd = bed.peers.filter(({ name }) => name === "fastd");
  const highestRate = findHighestRate(probeSeconds);
  const rates = await inTurns(runs, [ours, ...fastd], async (subject, run) => {
    const rate = await highestRate(subject);
    say(`UDP, run ${run + 1}: ${subject.name} ${rate.toFixed(0)} Mbit/s`);
    return rate;
  });
  const baselines = Object.fromEntries(fastd.map((subject) => [subject.name, median(rates.get(subject) ?? [])]));
  return [makeRow({ name: "UDP, 1,200-byte datagrams, loss < 0.5 %: encrypted direct", unit: "Mbit/s", better: "higher", runs: rates.get(ours) ?? [], baselines, limits: { fastd: 3 } })];
}

/** Finds the highest rate of a subject in Mbit/s, by probes of so many seconds; later ones look around what the one before found. */
export function findHighestRate(seconds: number): (subject: Subject) => Promise<number> {
  const found = new Map<Subject, number>();
  return async (subject) => {
    const rate = await highestRateNear(subject, seconds, found.get(subject));
    found.set(subject, rate);
    return rate;
  };
}

/** Mbit/s received, of the highest rate with less loss than {@link LOSS_MAX}: doubling until it fails, then bisection of the logarithm. */
async function highestRateNear(subject: Subject, seconds: number, before: number | undefined): Promise<number> {
  let best = 0;
  const probe = async (mbit: number): Promise<Probe> => {
    const result = await probeRate(subject, mbit, seconds);
    if (result.passed) best = Math.max(best, result.mbitPerSecond);
    return result;
  };
  let lower = before === undefined ? FIRST_MBIT : before * AROUND.lower;
  let upper = before === undefined ? LAST_MBIT : before * AROUND.upper;
  const bottom = await probe(lower);
  if (bottom.clientLimited) return best;
  // Not even that: from far below.
  if (!bottom.passed) [lower, upper] = [lower / 8, lower];
  else if (before === undefined) {
    for (upper = lower * 2; upper <= LAST_MBIT; upper *= 2) {
      const { passed, clientLimited } = await probe(upper);
      if (clientLimited) return best;
      if (!passed) break;
      lower = upper;
    }
  }
  for (let i = 0; i < BISECTIONS; i += 1) {
    const middle = Math.sqrt(lower * upper);
    const { passed, clientLimited } = await probe(middle);
    if (clientLimited) return best;
    if (passed) lower = middle;
    else upper = middle;
  }
  return best;
}

async function probeRate(subject: Subject, mbit: number, seconds: number): Promise<Probe> {
  let mbitPerSecond = 0;
  for (let i = 0; i < TRIES; i += 1) {
    const run = await udpRun(subject, mbit, seconds);
    mbitPerSecond = run.mbitPerSecond;
    if (run.loss < LOSS_MAX) return { mbitPerSecond, passed: true, clientLimited: mbitPerSecond < mbit * CLIENT_LIMIT };
  }
  return { mbitPerSecond, passed: false, clientLimited: false };
}

/** The processor's time of either end for one packet, µs. */
export async function packetTime(subject: Subject, mbit: number, seconds: number): Promise<{ readonly send: number; readonly receive: number; readonly loss: number }> {
  const { result: { received, loss }, used } = await withProcessorTime(subject, () => udpRun(subject, mbit, seconds));
  // Both by what arrived: what was dropped on the way must not make packets cheap.
  return { send: (used.a / received) * 1e6, receive: (used.b / received) * 1e6, loss };
}

/** Our processor time for one packet: at a rate of ours, and at a lower one that peers carry too, where fewer packets share a wake-up. */
export async function cpuRows(bed: Bed, { rows, runs, udpSeconds }: Plan): Promise<readonly Row[]> {
  if (!rows.has("cpu")) return [];
  const ours = bed.ours["encrypted-direct"];
  const peers = bed.peers.filter(({ name }) => name === "fastd" || name === "wireguard-go").map((subject) => ({ subject, mbit: COMMON_MBIT }));
  const [fast, slow] = [{ subject: ours, mbit: OUR_MBIT }, { subject: ours, mbit: COMMON_MBIT }];
  const samples = await inTurns(runs, [fast, slow, ...peers], async ({ subject, mbit }, run) => {
    const sample = await packetTime(subject, mbit, udpSeconds);
    say(`CPU, run ${run + 1}: ${subject.name} at ${mbit} Mbit/s ${sample.send.toFixed(2)} / ${sample.receive.toFixed(2)} µs a packet, loss ${(sample.loss * 100).toFixed(2)} %`);
    return sample;
  });
  return (["send", "receive"] as const).map((side) => {
    const pick = (which: typeof fast): number[] => (samples.get(which) ?? []).map((sample) => sample[side]);
    const besides = [slow, ...peers].map((which): [string, number] => [which === slow ? "ours" : which.subject.name, median(pick(which))]);
    return makeRow({
      name: `CPU for a 1,200-byte packet at ${OUR_MBIT} Mbit/s, ${side}: encrypted direct`, unit: "µs", better: "lower", runs: pick(fast),
      baselines: { limit: CPU_LIMIT_US, paper: PAPER_US[side] }, limits: { limit: 1 }, beside: { [`µs at ${COMMON_MBIT} Mbit/s`]: Object.fromEntries(besides) },
    });
  });
}

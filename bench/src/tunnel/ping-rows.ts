/** Round trips of pings: idle beside peers, and while a control plane keeps its process busy. */
import { makeRow, median, type Row } from "../report.js";
import { succeed, type Bed, type EngineProcess, type Subject } from "./bed.js";
import { inTurns, say, type Plan } from "./plan.js";

const INTERVAL_S = 0.01;
/** Root of the namespace may ask as often as this. */
const SHORT_INTERVAL_S = 0.002;
const ANSWER_S = 2;
const END_MS = 20_000;
const PERCENTILE = 0.999;
const US_PER_MS = 1_000;
/** What a control plane inserts while the pings go: they go on until it has, for so many rounds at most. */
const TRIGGERS_INSERTED_MIN = 1_000_000;
const ROUNDS_MAX = 6;

/** Each round trip in µs, in no order. Throws when more than one in a hundred got no answer. */
async function roundTrips({ a, address, name }: Subject, count: number, intervalS: number): Promise<readonly number[]> {
  const args = ["-n", "-c", String(count), "-i", String(intervalS), "-W", String(ANSWER_S), address];
  const output = await succeed(a, "ping", args, count * intervalS * 1_000 + END_MS);
  const trips = [...output.matchAll(/time=([0-9.]+) ms/g)].map(([, ms]) => Number(ms) * US_PER_MS);
  if (trips.length < count * 0.99) throw new Error(`${name}: only ${trips.length} of ${count} pings were answered`);
  return trips;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** µs. */
export const medianRoundTrip = async (subject: Subject, count: number): Promise<number> => median(await roundTrips(subject, count, INTERVAL_S));

export async function pingRows(bed: Bed, { rows, runs, pings }: Plan): Promise<readonly Row[]> {
  if (!rows.has("ping")) return [];
  const ours = bed.ours["encrypted-direct"];
  const others = bed.peers;
  const medians = await inTurns(runs, [ours, ...others], async (subject, run) => {
    const us = await medianRoundTrip(subject, pings);
    say(`ping, run ${run + 1}: ${subject.name} ${us.toFixed(0)} µs`);
    return us;
  });
  const baselines = Object.fromEntries(others.map((subject) => [subject.name, median(medians.get(subject) ?? [])]));
  return [makeRow({ name: "ping, median, idle: encrypted direct", unit: "µs", better: "lower", runs: medians.get(ours) ?? [], baselines, limits: { fastd: 1 } })];
}

/** Through a process whose JavaScript inserts triggers and collects garbage meanwhile, beside the same one idle. */
export async function pauseRows(bed: Bed, { rows, runs, manyPings }: Plan): Promise<readonly Row[]> {
  if (!rows.has("pauses")) return [];
  const busy: readonly { readonly who: string; readonly engine: EngineProcess; readonly subject: Subject }[] = [
    { who: "server", engine: bed.engines.relay, subject: bed.ours["encrypted-relay"] },
    { who: "host", engine: bed.engines.a, subject: bed.ours["encrypted-direct"] },
  ];
  const result: Row[] = [];
  for (const { who, engine, subject } of busy) {
    const measured = await inTurns(runs, ["idle", "busy"] as const, async (state, run) => {
      const us = percentile(state === "idle" ? await roundTrips(subject, manyPings, SHORT_INTERVAL_S) : await whileBusy(engine, subject, manyPings), PERCENTILE);
      say(`pauses, run ${run + 1}: ${who} ${state} ${us.toFixed(0)} µs`);
      return us;
    });
    result.push(makeRow({
      name: `ping, 99.9th percentile, ${who}'s control plane busy: ${subject.name}`, unit: "µs", better: "lower", runs: measured.get("busy") ?? [],
      baselines: { idle: median(measured.get("idle") ?? []) }, limits: { idle: 0.5 },
    }));
  }
  return result;
}

/** Round trips in rounds of `count`, at least until the control plane has inserted what it shall. */
async function whileBusy(engine: EngineProcess, subject: Subject, count: number): Promise<readonly number[]> {
  await engine.ask("churn-start");
  try {
    const trips: number[] = [];
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      trips.push(...(await roundTrips(subject, count, SHORT_INTERVAL_S)));
      const { inserted, collections } = await engine.ask("churn-report");
      if (inserted < TRIGGERS_INSERTED_MIN) continue;
      say(`${inserted} triggers inserted and garbage collected ${collections} times during ${trips.length} pings`);
      return trips;
    }
    throw new Error(`the control plane inserted too few triggers during ${trips.length} pings`);
  } finally {
    await engine.ask("churn-stop");
  }
}

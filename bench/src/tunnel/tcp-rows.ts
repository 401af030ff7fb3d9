/** One TCP stream through each of our modes and each peer, and the processor's seconds that a gigabyte cost. */
import { makeRow, median, type Row } from "../report.js";
import type { Bed, Subject } from "./bed.js";
import { tcpRun } from "./iperf.js";
import type { Mode } from "./modes.js";
import { inTurns, say, type Plan } from "./plan.js";
import { withProcessorTime } from "./processor-time.js";

const TCP_MODES = ["encrypted-direct", "encrypted-relay", "plain-direct", "auth-direct"] as const satisfies readonly Mode[];

/** What we ask of ourselves (bench/README.md, "limit"): at least so many times the baseline. */
const LIMITS: Readonly<Partial<Record<Mode, Readonly<Record<string, number>>>>> = {
  "encrypted-direct": { fastd: 4.5, "wireguard-go": 7 },
  "encrypted-relay": { "encrypted direct": 0.9 },
  "plain-direct": { "encrypted direct": 1.3 },
};

interface Sample {
  readonly mbitPerSecond: number;
  /** Seconds of the tunnel's processes, and of the whole machine, for a gigabyte (10⁹ bytes) of payload. */
  readonly tunnelPerGigabyte: number;
  readonly systemPerGigabyte: number;
}

export async function tcpRows(bed: Bed, { rows, runs, tcpSeconds }: Plan): Promise<readonly Row[]> {
  const wanted = TCP_MODES.filter((mode) => rows.has(mode));
  if (wanted.length === 0) return [];
  // Others are measured against it.
  const modes: readonly Mode[] = [...new Set<Mode>(["encrypted-direct", ...wanted])];
  const subjects = [...modes.map((mode) => bed.ours[mode]), ...bed.peers];
  const samples = await inTurns(runs, subjects, async (subject, run): Promise<Sample> => {
    const { result, used } = await withProcessorTime(subject, () => tcpRun(subject, tcpSeconds));
    const gigabytes = result.bytes / 1e9;
    say(`TCP, run ${run + 1}: ${subject.name} ${result.mbitPerSecond.toFixed(0)} Mbit/s, ${(used.all / gigabytes).toFixed(2)} s/GB`);
    return { mbitPerSecond: result.mbitPerSecond, tunnelPerGigabyte: used.all / gigabytes, systemPerGigabyte: used.system / gigabytes };
  });
  return wanted.map((mode) => rowOf(bed, mode, samples));
}

function rowOf(bed: Bed, mode: Mode, samples: ReadonlyMap<Subject, readonly Sample[]>): Row {
  const ours = bed.ours[mode];
  const direct = bed.ours["encrypted-direct"];
  const others = [...(mode === "encrypted-direct" ? [] : [direct]), ...bed.peers];
  const pick = (subject: Subject, what: keyof Sample): number[] => (samples.get(subject) ?? []).map((sample) => sample[what]);
  const besides = (what: keyof Sample): Record<string, number> =>
    Object.fromEntries([ours, ...others].map((subject) => [subject === ours ? "ours" : subject.name, median(pick(subject, what))]));
  return makeRow({
    name: `TCP, one stream: ${ours.name}`, unit: "Mbit/s", better: "higher", runs: pick(ours, "mbitPerSecond"),
    baselines: Object.fromEntries(others.map((subject) => [subject.name, median(pick(subject, "mbitPerSecond"))])),
    limits: LIMITS[mode] ?? {}, beside: { "CPU s/GB": besides("tunnelPerGigabyte"), "CPU s/GB, whole machine": besides("systemPerGigabyte") },
  });
}

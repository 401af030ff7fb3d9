/** What a client that sends all it can costs the 500 others of its gateway: beside the same flood through a gateway of its own, which takes as much of the machine. */
import { openCrowdBed, type CrowdBed, type LoadResult } from "@i3/crowd";

import { processorSeconds } from "../handshake/processor-seconds.js";
import { makeRow, median, type Row } from "../report.js";
import { inTurns } from "../tunnel/plan.js";
import { startNginx } from "./nginx.js";
import { say, type Plan } from "./plan.js";

const CLIENTS = 500;
const KEPT = 0.9;
/** Each client asks so often, whatever the answers, and has no use for one that takes a second. */
const PACE = { everyMs: 700, limitMs: 1_000 } as const;
const IPERF_PORT = 5_202;
/** Until the flood has its rate, and after the load. */
const AROUND_S = 2;
const MS = 1_000;
const END_MS = 30_000;

const FLOODS = { "UDP up": ["-u", "-b", "0", "-l", "1200"], "UDP down": ["-u", "-b", "0", "-l", "1200", "-R"], "eight TCP streams down": ["-P", "8", "-R"] } as const;
type Place = "at their gateway" | "at another one" | "nowhere";

export async function crowdRows({ rows, runs, loadSeconds }: Plan): Promise<readonly Row[]> {
  if (!rows.has("crowd")) return [];
  say(`${CLIENTS} clients begin`);
  const bed = await openCrowdBed(CLIENTS, (server) => startNginx(server, { port: 80 }));
  try {
    await bed.server.spawn("iperf3", ["-s", "-p", String(IPERF_PORT), "--forceflush"]).waitForLine(/Server listening/);
    const made: Row[] = [];
    for (const [what, args] of Object.entries(FLOODS)) made.push(await row(bed, { what, args, runs, loadSeconds }));
    return made;
  } finally {
    await bed.topology.close();
  }
}

interface Flood {
  readonly what: string;
  readonly args: readonly string[];
  readonly runs: number;
  readonly loadSeconds: number;
}

async function row(bed: CrowdBed, { what, args, runs, loadSeconds }: Flood): Promise<Row> {
  const places: readonly Place[] = ["nowhere", "at another one", "at their gateway"];
  const samples = await inTurns(runs, places, async (place, run) => {
    const { child } = bed.gate;
    const flooding = place === "nowhere" ? Promise.resolve(0) : flood(bed, place === "at their gateway" ? bed.ways.crowded : bed.ways.alone, loadSeconds + 2 * AROUND_S, args);
    await new Promise((resolve) => setTimeout(resolve, AROUND_S * MS));
    const before = processorSeconds(child?.pid ?? 0);
    const result = await bed.crowd.load({ ...PACE, seconds: loadSeconds });
    const gateSeconds = (processorSeconds(child?.pid ?? 0) - before) / loadSeconds;
    const bits = await flooding;
    tell(`${what} ${place}, run ${run + 1}`, result, bits);
    return { perSecond: result.answered / loadSeconds, medianMs: result.medianMs, p99Ms: result.p99Ms, megabits: bits / 1e6, gateSeconds };
  });
  const of = (place: Place, key: "perSecond" | "medianMs" | "p99Ms" | "megabits" | "gateSeconds"): number[] => (samples.get(place) ?? []).map((sample) => sample[key]);
  const beside = (key: "medianMs" | "p99Ms" | "megabits" | "gateSeconds"): Record<string, number> => ({ ours: median(of("at their gateway", key)), "at another one": median(of("at another one", key)), "nobody floods": median(of("nowhere", key)) });
  return {
    ...makeRow({
      name: `answers of ${CLIENTS} clients in a second's time, one more floods: ${what}`, unit: "1/s", better: "higher", runs: of("at their gateway", "perSecond"),
      baselines: { "what they had": median(of("nowhere", "perSecond")), "the flood at another gateway": median(of("at another one", "perSecond")) }, limits: { "what they had": KEPT, "the flood at another gateway": KEPT },
      beside: { "ms of an answer, median": beside("medianMs"), "ms of an answer, of 99 in 100": beside("p99Ms"), "flood that arrives, Mbit/s": beside("megabits"), "CPU s a second, their gateway": beside("gateSeconds") },
    }), isRequired: true,
  };
}

/** What arrived, bit/s. */
async function flood({ hostile }: CrowdBed, address: string, seconds: number, args: readonly string[]): Promise<number> {
  const { status, stdout } = await hostile.host.exec("iperf3", ["-c", address, "-p", String(IPERF_PORT), "-t", String(seconds), "-J", ...args], { timeoutMs: seconds * MS + END_MS });
  const { end, error } = JSON.parse(stdout) as { end: { sum_received?: { bits_per_second: number }; sum?: { bits_per_second: number } }; error?: string };
  const bits = (end.sum_received ?? end.sum)?.bits_per_second ?? 0;
  if (status !== 0 || bits === 0) throw new Error(`iperf3: ${error ?? "nothing arrived"}`);
  return bits;
}

const tell = (what: string, { answered, asked, medianMs, p99Ms }: LoadResult, bits: number): void =>
  say(`${what}: ${answered} of ${asked} answered, median ${medianMs.toFixed(1)} ms, 99 in 100 ${p99Ms.toFixed(1)} ms; the flood ${(bits / 1e6).toFixed(0)} Mbit/s`);

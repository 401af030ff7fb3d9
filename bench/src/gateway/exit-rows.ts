/** What a gateway carries: one TCP stream each way and pings, beside the tunnel to the gateway itself, and new connections, beside an exit of wireguard-go. */
import { makeRow, median, type Row } from "../report.js";
import { tcpRun } from "../tunnel/iperf.js";
import { medianRoundTrip } from "../tunnel/ping-rows.js";
import { inTurns } from "../tunnel/plan.js";
import { withProcessorTime } from "../tunnel/processor-time.js";
import type { ExitBed } from "./exit-bed.js";
import type { Watched } from "./load.js";
import { say, type Plan } from "./plan.js";
import { loadsInTurns, rateRow, warmUp, type Way } from "./rate-rows.js";

const THROUGHPUT_SHARE = 0.9;
const CONNECTIONS_SHARE = 0.5;
const ADDED_US = 300;
const MS = 1_000;

export async function throughputRows({ through, direct }: ExitBed, { runs, tcpSeconds }: Plan): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const direction of ["up", "down"] as const) {
    const samples = await inTurns(runs, [direct, through], async (subject, run) => {
      const { result, used } = await withProcessorTime(subject, () => tcpRun(subject, tcpSeconds, direction));
      const gigabytes = result.bytes / 1e9;
      say(`TCP ${direction}, run ${run + 1}: ${subject.name} ${result.mbitPerSecond.toFixed(0)} Mbit/s`);
      return { rate: result.mbitPerSecond, client: used.a / gigabytes, gate: used.b / gigabytes, machine: used.system / gigabytes };
    });
    const of = (subject: typeof direct, what: "rate" | "client" | "gate" | "machine"): number[] => (samples.get(subject) ?? []).map((sample) => sample[what]);
    const beside = (what: "client" | "gate" | "machine"): Record<string, number> => ({ ours: median(of(through, what)), [direct.name]: median(of(direct, what)) });
    rows.push({
      ...makeRow({
        name: `TCP, one stream ${direction}, through i3-to-IP`, unit: "Mbit/s", better: "higher", runs: of(through, "rate"), baselines: { [direct.name]: median(of(direct, "rate")) }, limits: { [direct.name]: THROUGHPUT_SHARE },
        beside: { "CPU s/GB, client's proxy": beside("client"), "CPU s/GB, gateway": beside("gate"), "CPU s/GB, whole machine": beside("machine") },
      }), isRequired: true,
    });
  }
  return rows;
}

export async function roundTripRow({ through, direct }: ExitBed, { runs, pings }: Plan): Promise<Row> {
  const trips = await inTurns(runs, [direct, through], async (subject, run) => {
    const { result: us, used } = await withProcessorTime(subject, () => medianRoundTrip(subject, pings));
    say(`ping, run ${run + 1}: ${subject.name} ${us.toFixed(0)} µs`);
    return { us, client: (used.a * MS) / pings, gate: (used.b * MS) / pings };
  });
  const of = (subject: typeof direct, what: "us" | "client" | "gate"): number[] => (trips.get(subject) ?? []).map((trip) => trip[what]);
  const base = median(of(direct, "us"));
  const ours = of(through, "us");
  const both = (what: "client" | "gate"): Record<string, number> => ({ ours: median(of(through, what)), [direct.name]: median(of(direct, what)) });
  return {
    ...makeRow({ name: "ping, median, through i3-to-IP", unit: "µs", better: "lower", runs: ours, baselines: { [direct.name]: base, [`that and ${ADDED_US} µs`]: base + ADDED_US }, limits: { [`that and ${ADDED_US} µs`]: 1 } }),
    beside: { "longer, µs": { ours: median(ours) - base }, "CPU ms for each, client's proxy": both("client"), "CPU ms for each, gateway": both("gate") }, isRequired: true,
  };
}

export async function connectionRow({ through, nginx, exit }: ExitBed, { runs, loadSeconds, warmUpSeconds }: Plan): Promise<Row> {
  const server: Watched = { name: "server", pid: nginx.pid ?? 0 };
  const ours: Way = {
    name: "ours", load: { from: through.a, url: `http://${through.address}/`, connections: "new" },
    watched: [{ name: "client's side", pid: through.pids.a }, { name: "gateway's side: engine", pid: through.pids.b, part: "engine" }, { name: "gateway's side: JavaScript", pid: through.pids.b, part: "javascript" }, server],
  };
  const wireguard: Way = {
    name: "wireguard-go exit", load: { from: exit.client, url: `http://${exit.serverAddress}/`, connections: "new" },
    watched: [{ name: "client's side", pid: exit.pids.client }, { name: "gateway's side: engine", pid: exit.pids.exit }, server],
  };
  await warmUp(warmUpSeconds, [ours, wireguard]);
  const samples = await loadsInTurns("new TCP connections", runs, loadSeconds, [ours, wireguard]);
  return rateRow("new TCP connections through i3-to-IP", samples, CONNECTIONS_SHARE);
}

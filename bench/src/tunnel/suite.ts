/**
 * Suite `tunnel`: the native packet engine beside wireguard-go, nebula, tinc and fastd in the same run (bench/README.md).
 *
 *     npm run bench -- tunnel [--json FILE] [--only ROW,ROW] [--quick]
 */
import type { Row } from "../report.js";
import { associationRows } from "./association-rows.js";
import { openBed, PEERS, type Bed, type EngineProcess, type Peer } from "./bed.js";
import { forwardingRows } from "./forwarding-rows.js";
import { memoryRows } from "./memory-rows.js";
import { pauseRows, pingRows } from "./ping-rows.js";
import { makePlan, say, type Plan, type RowName } from "./plan.js";
import { tcpRows } from "./tcp-rows.js";
import { cpuRows, udpRows } from "./udp-rows.js";

/** Rows that are measured between two hosts, and the peers they are measured beside. */
const BETWEEN_HOSTS: Readonly<Partial<Record<RowName, readonly Peer[]>>> = {
  "encrypted-direct": PEERS, "encrypted-relay": PEERS, "plain-direct": PEERS, "auth-direct": PEERS,
  udp: ["fastd"], cpu: ["wireguard-go", "fastd"], ping: PEERS, pauses: [], associations: [],
};

export async function tunnel(options: { readonly quick: boolean; readonly only: string | undefined }): Promise<readonly Row[]> {
  const plan = makePlan(options);
  return [...(await betweenHosts(plan)), ...(await forwardingRows(plan)), ...(await memoryRows(plan))];
}

async function betweenHosts(plan: Plan): Promise<readonly Row[]> {
  const peersOfRows = [...plan.rows].map((row) => BETWEEN_HOSTS[row]).filter((peers) => peers !== undefined);
  if (peersOfRows.length === 0) return [];
  const bed = await openBed(PEERS.filter((peer) => peersOfRows.some((peers) => peers.includes(peer))));
  try {
    const { a } = bed.engines;
    say(`our engine: ${a.ready.implementation}, ${a.ready.workers} worker, offloads ${JSON.stringify(a.ready.offloads)}`);
    const rows: Row[] = [];
    for (const measure of [tcpRows, udpRows, cpuRows, pingRows, pauseRows, associationRows]) rows.push(...(await measure(bed, plan)));
    await requireNativeWork(bed);
    return rows;
  } finally {
    await bed.close();
  }
}

/** No packet went up to JavaScript, and the packets did pass the engines. */
async function requireNativeWork({ engines }: Bed): Promise<void> {
  for (const [name, engine] of Object.entries(engines) as [string, EngineProcess][]) {
    const { counters, calls, offloads } = await engine.ask("counters");
    const dropped = Object.entries(counters.drops).filter(([, count]) => count > 0).map(([reason, count]) => `${reason} ${count}`);
    const perCall = (packets: number, count: number): string => (count === 0 ? "-" : (packets / count).toFixed(1));
    say(
      `engine ${name}: packets a system call: TUN ${perCall(counters.tunIn, calls.tunReads)} in, ${perCall(counters.tunOut, calls.tunWrites)} out, ` +
        `UDP ${perCall(counters.udpIn, calls.udpReads)} in, ${perCall(counters.udpOut, calls.udpSends)} out; offloads in use ${JSON.stringify(offloads)}; dropped: ${dropped.join(", ") || "nothing"}`,
    );
    if (counters.upcalls > 0 || counters.udpIn === 0) throw new Error(`engine ${name} made ${counters.upcalls} upcalls for ${counters.udpIn} datagrams`);
  }
}

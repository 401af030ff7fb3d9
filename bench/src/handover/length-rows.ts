/**
 * What a way costs that takes as long as another: past i3, and by a server, beside plain IP between the same hosts. Round trips on a path without a limit; TCP where the mover's
 * link has one, as it fills that link: bytes there, with all headers, and what comes to programs. What is sent twice fills the link too, and shows in the latter alone.
 */
import { setTimeout as sleep } from "node:timers/promises";

import { pings } from "../handshake/first-answer-rows.js";
import { makeRow, median, type Row } from "../report.js";
import { startPeer, succeed } from "../tunnel/bed.js";
import { tcpRun } from "../tunnel/iperf.js";
import { openBed, type Bed, type BedOptions } from "./bed.js";
import { say, type Plan } from "./plan.js";
import { startOurs } from "./subject.js";

const ROUND_TRIP_MS = 20;
const RATE_KBIT = 20_000;
/** Between the same hosts, for round trips: wireguard-go as in the other rows, fastd as the nearest of those in bench `tunnel`. */
const LENGTH_PEERS = ["wireguard-go", "fastd"] as const;
/** Pings go in turns, so that a busy time is everybody's. */
const PINGS_IN_TURN = 20;
/** TCP has filled the link by then. */
const WARM_UP_MS = 3_000;
const MS = 0.2;

const WAYS = [
  { name: "past i3", mayGoStraight: true, addedMs: MS, share: 0.98 },
  { name: "by a server", mayGoStraight: false, addedMs: null, share: 0.97 },
] as const;
type Way = (typeof WAYS)[number];

export async function lengthRows(plan: Plan): Promise<readonly Row[]> {
  if (!plan.rows.has("length")) return [];
  const rows: Row[] = [];
  for (const way of WAYS) rows.push(await pingRow(plan, way), ...(await tcpRows(plan, way)));
  return rows;
}

/** Two ways between the same hosts: `ours`, `plain` the address of the far end by each. */
async function withBoth<T>(way: Way, options: Partial<BedOptions>, work: (bed: Bed, to: { readonly ours: string; readonly plain: string }) => Promise<T>): Promise<T> {
  const bed = await openBed({ roundTripMs: ROUND_TRIP_MS, ...options });
  try {
    const subject = await startOurs(bed, way);
    const ours = subject.proxies.desk.address4;
    // TCP and pings alone keep the way past i3, once it is there.
    const talking = bed.mover.spawn("ping", ["-n", "-q", "-i", "0.2", ours]);
    await subject.settle();
    const result = await work(bed, { ours, plain: bed.desk.address4 });
    await talking.stop();
    return result;
  } finally {
    await bed.topology.close();
  }
}

async function pingRow({ runs, pings: count, subjects }: Plan, way: Way): Promise<Row> {
  return withBoth(way, {}, async ({ mover, desk }, to) => {
    const peers: Record<string, string> = {};
    if (way.mayGoStraight && subjects.has("wireguard-go")) for (const peer of LENGTH_PEERS) peers[peer] = (await startPeer(peer, mover, desk)).address;
    const ways: Readonly<Record<string, string>> = { plain: to.plain, ours: to.ours, ...peers };
    const medians: Readonly<Record<string, number>>[] = [];
    for (let run = 0; run < runs; run += 1) {
      const times = new Map(Object.keys(ways).map((name) => [name, [] as number[]]));
      for (let done = 0; done < count; done += PINGS_IN_TURN) for (const [name, address] of Object.entries(ways)) times.get(name)?.push(...(await pings(mover, address, PINGS_IN_TURN)));
      medians.push(Object.fromEntries([...times].map(([name, each]) => [name, median(each)])));
    }
    const of = (each: Readonly<Record<string, number>>, name: string): number => each[name] ?? NaN;
    const plain = median(medians.map((each) => of(each, "plain")));
    const added = (name: string): number => median(medians.map((each) => of(each, name) - of(each, "plain")));
    say(`round trip ${way.name}: ${medians.map((each) => Object.entries(each).map(([name, ms]) => `${name} ${ms.toFixed(2)}`).join(" ")).join(", ")} ms`);
    const row = makeRow({
      name: `round trip ${way.name}, ${ROUND_TRIP_MS} ms`, unit: "ms", better: "lower", runs: medians.map((each) => plain + of(each, "ours") - of(each, "plain")),
      baselines: { "plain IP": plain, ...(way.addedMs === null ? {} : { limit: plain + way.addedMs }) }, limits: way.addedMs === null ? {} : { limit: 1 },
    });
    return { ...row, beside: { "longer than plain IP, ms": Object.fromEntries(["ours", ...Object.keys(peers)].map((name) => [name, added(name)])) }, isRequired: true };
  });
}

async function tcpRows({ runs, transferSeconds }: Plan, way: Way): Promise<readonly Row[]> {
  return withBoth(way, { rateKbit: RATE_KBIT }, async (bed, to) => {
    const seen = { ours: [] as Transfer[], plain: [] as Transfer[] };
    for (let run = 0; run < runs; run += 1) {
      for (const which of ["plain", "ours"] as const) seen[which].push(await transfer(bed, to[which], transferSeconds));
    }
    const of = (which: keyof typeof seen, what: keyof Transfer): number => median(seen[which].map((each) => each[what]));
    for (const which of ["plain", "ours"] as const) say(`TCP ${way.name}, ${which}: ${seen[which].map(({ onTheWire, toPrograms }) => `${onTheWire.toFixed(2)} Mbit/s on the wire, ${toPrograms.toFixed(2)} to programs`).join("; ")}`);
    const name = `TCP ${way.name}, ${ROUND_TRIP_MS} ms, ${RATE_KBIT / 1_000} Mbit/s`;
    const onTheWire = makeRow({
      name: `${name}, on the wire`, unit: "Mbit/s", better: "higher", runs: seen.ours.map((each) => each.onTheWire), baselines: { "plain IP": of("plain", "onTheWire") }, limits: { "plain IP": way.share },
    });
    const plain = of("plain", "toPrograms");
    const toPrograms = makeRow({
      name: `${name}, to programs`, unit: "Mbit/s", better: "higher", runs: seen.ours.map((each) => each.toPrograms),
      baselines: { "plain IP": plain, "plain IP with our headers": (plain * of("ours", "payloadShare")) / of("plain", "payloadShare") }, limits: { "plain IP with our headers": way.share },
    });
    const shares = { ours: of("ours", "payloadShare"), "plain IP": of("plain", "payloadShare") };
    return [{ ...onTheWire, isRequired: true }, { ...toPrograms, beside: { "a program's share of a packet": shares }, isRequired: true }];
  });
}

interface Transfer {
  /** Mbit/s. */
  readonly onTheWire: number;
  /** Mbit/s. */
  readonly toPrograms: number;
  /** Of a long packet that came out of the link, what is the program's. */
  readonly payloadShare: number;
}

async function transfer({ mover, desk, core }: Bed, address: string, seconds: number): Promise<Transfer> {
  // What has passed the emulated link, IP headers included.
  const delivered = async (): Promise<{ readonly bytes: number; readonly atMs: number }> => ({ bytes: Number(await succeed(core, "cat", ["/sys/class/net/to-wifi/statistics/rx_bytes"])), atMs: performance.now() });
  await core.namespace.nft(LONG_PACKETS);
  const running = tcpRun({ name: "", a: mover, b: desk, address, pids: { a: 0, b: 0, between: [] } }, seconds + WARM_UP_MS / 1_000);
  await sleep(WARM_UP_MS);
  const from = await delivered();
  await sleep(seconds * 1_000);
  const to = await delivered();
  const { mbitPerSecond, segmentBytes } = await running;
  const [, packets = "", bytes = ""] = /packets (\d+) bytes (\d+)/.exec(await succeed(core, "nft", ["list", "table", "inet", "long"])) ?? [];
  return { onTheWire: ((to.bytes - from.bytes) * 8) / (to.atMs - from.atMs) / 1_000, toPrograms: mbitPerSecond, payloadShare: (segmentBytes * Number(packets)) / Number(bytes) };
}

/** Counts, from zero, what a full segment makes: checks, pings and acknowledgements are shorter. */
const LONG_PACKETS = `add table inet long
delete table inet long
table inet long {
  chain delivered {
    type filter hook prerouting priority raw
    iifname "to-wifi" meta length > 1200 counter
  }
}
`;

/**
 * From a program's first packet to its first answer, and what a later connection waits: two laptops behind NATs and one i3 server, a path of 20 ms from end to end and back.
 *
 *     laptop ── nat1 ── 5 ms ── core ── 5 ms ── nat2 ── home          s1 (i3-server) at core
 *
 * The plain path's round trip is that of pings from either end to the server, added up. The name was asked before, so that DNS is not part of it. Both daemons
 * start with nothing but their keys each time: no mapping, no private id, no association.
 */
import { Laptop, startRing } from "@i3/demo";
import { standardTopology, type Host } from "@i3/netns";

import { makeRow, median, type Row } from "../report.js";
import { succeed } from "../tunnel/bed.js";
import { say, type Plan } from "./plan.js";
import { nativeProcess } from "./responder-ours.js";

const ONE_WAY_MS = 5;
const WEB_PORT = 80;
const LATER = 9;
/** I1 and R1, I2 and R2, the packet and its answer. */
const ROUND_TRIPS = 3;
/** What five packets cost on their way through programs that sleep, and the work on four signatures: three tenths of a round trip of 20 ms. */
const PROCESSING_ROUND_TRIPS = 0.3;
/** Of TCP's handshake, on a path that exists. */
const LATER_ROUND_TRIPS = 1.05;
const LISTENER = `require("node:net").createServer((c) => c.destroy()).listen(${WEB_PORT}, "0.0.0.0", () => console.log("LISTENING"))`;

export async function firstAnswerRows({ rows, firstAnswers }: Plan): Promise<readonly Row[]> {
  if (!rows.has("first-answer")) return [];
  const delayed = { delayMs: ONE_WAY_MS };
  const bed = await standardTopology({ servers: 1, wan: { nat1: delayed, nat2: delayed } });
  try {
    await startRing(bed.servers);
    const [server] = bed.servers;
    if (server === undefined) throw new Error("no server");
    const options = { serverAddresses: [server.address4], logLevel: "info" } as const;
    const [laptop, home] = [await Laptop.make(bed.laptop, options), await Laptop.make(bed.home, options)];
    for (const each of [laptop, home]) await each.writeBook({ "laptop.i3": laptop, "home.i3": home });
    await bed.home.spawn(process.execPath, ["-e", LISTENER]).waitForLine(/LISTENING/);
    const [first, later, plain]: [number[], number[], number[]] = [[], [], []];
    for (let run = 0; run < firstAnswers; run += 1) {
      await Promise.all([laptop, home].map((each) => startAnew(each)));
      const plainMs = median(await pings(bed.laptop, server.address4, LATER)) + median(await pings(bed.home, server.address4, LATER));
      await succeed(bed.laptop, "dig", ["+short", "+time=3", "home.i3", "A"]);
      const [firstMs = NaN] = await pings(bed.laptop, home.address4, 1);
      const laterMs = median(await connects(bed.laptop, home.address4));
      say(`first answer, run ${run + 1}: ${firstMs.toFixed(1)} ms, later connections ${laterMs.toFixed(1)} ms, plain path ${plainMs.toFixed(1)} ms`);
      first.push(firstMs / plainMs);
      later.push(laterMs / plainMs);
      plain.push(plainMs);
      await Promise.all([laptop.stop(), home.stop()]);
    }
    const beside = { "plain path, ms": { "round trip": median(plain) } };
    return [
      { ...makeRow({ name: "first answer over i3 after a program's first packet", unit: "trips", better: "lower", runs: first, baselines: { "3 and processing": ROUND_TRIPS + PROCESSING_ROUND_TRIPS }, limits: { "3 and processing": 1 } }), beside },
      { ...makeRow({ name: "a later connection to the same peer (TCP)", unit: "trips", better: "lower", runs: later, baselines: { "1.05": LATER_ROUND_TRIPS }, limits: { "1.05": 1 } }), beside },
    ];
  } finally {
    await bed.topology.close();
  }
}

async function startAnew(laptop: Laptop): Promise<void> {
  await laptop.forget();
  await laptop.start();
  nativeProcess(laptop);
}

/** Round trips in ms. Throws unless all were answered. */
export async function pings(host: Host, address: string, count: number): Promise<readonly number[]> {
  const output = await succeed(host, "ping", ["-n", "-c", String(count), "-i", "0.05", "-W", "5", address]);
  return [...output.matchAll(/time=([0-9.]+) ms/g)].map(([, ms]) => Number(ms));
}

/** Times of TCP's handshake in ms, each a connection of its own. */
async function connects(host: Host, address: string): Promise<readonly number[]> {
  const times: number[] = [];
  for (let i = 0; i < LATER; i += 1) {
    // The listener closes at once, which is curl's failure 52 or 56.
    const { stdout } = await host.exec("curl", ["-s", "-o", "/dev/null", "-m", "5", "-w", "%{time_connect}", `http://${address}:${WEB_PORT}/`]);
    times.push(Number(stdout) * 1_000);
  }
  return times;
}

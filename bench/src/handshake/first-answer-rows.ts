/**
 * From a program's first packet to its first answer, and what a later connection waits, on a path of 20 ms from end to end and back: over i3, between two laptops
 * behind NATs with one i3 server, and straight in UDP.
 *
 *     laptop ── nat1 ── 5 ms ── core ── 5 ms ── nat2 ── home          s1 (i3-server) at core          near ── 10 ms ── far
 *
 * The plain path's round trip is that of pings from either end to the server, added up, or from end to end. The name was asked before, so that DNS is not part of it.
 * Both daemons start with nothing but their keys each time: no mapping, no private id, no association. Round trips are counted in captures of the program's
 * side (TUN) and of both ends (`trips.ts`), and told by the clock beside.
 */
import { Laptop, startRing } from "@i3/demo";
import { standardTopology, Topology, type Host } from "@i3/netns";

import { makeRow, median, type Row } from "../report.js";
import { succeed } from "../tunnel/bed.js";
import { addressBytes } from "../tunnel/modes.js";
import { captureAll } from "./capture.js";
import { addressKey, readIp, type CapturedPacket } from "./pcap.js";
import { say, type Plan } from "./plan.js";
import { nativeProcess } from "./responder-ours.js";
import { IncompleteTraceError, longestChain, timesOf, tripsOf, type Span, type Trip } from "./trips.js";

const ONE_WAY_MS = 5;
const WEB_PORT = 80;
const LATER = 9;
/** I1 and R1, I2 and R2, the packet and its answer. */
const ROUND_TRIPS = 3;
/** What five packets cost on their way through programs that sleep, and the work on four signatures: three tenths of a round trip of 20 ms. */
const PROCESSING_ROUND_TRIPS = 0.3;
/** Of TCP's handshake, on a path that exists. */
const LATER_ROUND_TRIPS = 1.05;
/** The server's answer cannot be faster, and may well be slower. */
const ASKING_MS = 1.9 * ONE_WAY_MS;
/** As the configuration has it. */
const TUN_NAME = "i3";
/** Nobody is there: who reaches all by address needs no server. */
const NO_SERVER = "192.0.2.250";
const EXCHANGE = ["i1", "r1", "i2", "r2"];
const LISTENER = `require("node:net").createServer((c) => c.destroy()).listen(${WEB_PORT}, "::", () => console.log("LISTENING"))`;

interface Path {
  /** As the rows call it. */
  readonly name: string;
  readonly near: Laptop;
  readonly far: Laptop;
  /** Of the server, from either end; null: without one. */
  readonly server: string | null;
  /** What DNS tells of the far end. Nobody knows yet whether a host that is known by its address has IPv4 addresses inside. */
  readonly question: "A" | "AAAA";
  /** Attributes of the other end in an address book. */
  bookOf(peer: Laptop): string;
  close(): Promise<void>;
}

/** One wait of a program. */
interface Wait {
  readonly chain: readonly Trip[];
  readonly wholeMs: number;
  readonly onTheWayMs: number;
  readonly atTheEndsMs: number;
}

interface Run {
  readonly plainMs: number;
  readonly first: Wait;
  readonly later: readonly Wait[];
}

export async function firstAnswerRows({ rows, firstAnswers }: Plan): Promise<readonly Row[]> {
  if (!rows.has("first-answer")) return [];
  const made: Row[] = [];
  for (const open of [openOverI3, openStraight]) {
    const path = await open();
    try {
      const runs: Run[] = [];
      for (let run = 0; run < firstAnswers; run += 1) {
        runs.push(await measure(path));
        say(`first answer ${path.name}, run ${run + 1}: ${told(runs.at(-1) as Run)}`);
      }
      made.push(...rowsOf(path.name, runs));
    } finally {
      await path.close();
    }
  }
  return made;
}

async function openOverI3(): Promise<Path> {
  const delayed = { delayMs: ONE_WAY_MS };
  const bed = await standardTopology({ servers: 1, wan: { nat1: delayed, nat2: delayed } });
  try {
    await startRing(bed.servers);
    const server = bed.servers[0]?.address4 ?? "";
    const [near, far] = await makeBoth(bed.laptop, bed.home, { serverAddresses: [server] });
    return { name: "over i3", near, far, server, question: "A", bookOf: () => "", close: () => bed.topology.close() };
  } catch (error) {
    await bed.topology.close().catch(() => undefined);
    throw error;
  }
}

async function openStraight(): Promise<Path> {
  const topology = await Topology.create();
  try {
    const [one, two] = [topology.host("near"), topology.host("far")];
    topology.link(one, two, { subnet: "192.0.2.0/30", wan: { delayMs: 2 * ONE_WAY_MS } });
    await topology.up();
    const [near, far] = await makeBoth(one, two, { serverAddresses: [NO_SERVER], hip: '<hip udp-port="10500"/>' });
    return { name: "straight", near, far, server: null, question: "AAAA", bookOf: ({ host }) => `address="${host.address4}"`, close: () => topology.close() };
  } catch (error) {
    await topology.close().catch(() => undefined);
    throw error;
  }
}

async function makeBoth(near: Host, far: Host, options: { readonly serverAddresses: readonly string[]; readonly hip?: string }): Promise<readonly [Laptop, Laptop]> {
  await far.spawn(process.execPath, ["-e", LISTENER]).waitForLine(/LISTENING/);
  const make = (host: Host): Promise<Laptop> => Laptop.make(host, { ...options, logLevel: "info" });
  return [await make(near), await make(far)];
}

/** One run, from the start of both daemons. */
async function measure(path: Path): Promise<Run> {
  const { near, far, server, question } = path;
  await Promise.all(([[near, far, "far.i3"], [far, near, "near.i3"]] as const).map(async ([laptop, peer, name]) => {
    await laptop.writeBook({ [name]: peer }, path.bookOf(peer));
    await laptop.forget();
    await laptop.start();
    nativeProcess(laptop);
  }));
  const plainMs = server === null
    ? median(await pings(near.host, far.host.address4, LATER))
    : median(await pings(near.host, server, LATER)) + median(await pings(far.host, server, LATER));
  const address = (await succeed(near.host, "dig", ["+short", "+time=3", "far.i3", question])).trim();
  const device = (laptop: Laptop): string => laptop.host.interfaces[0]?.name ?? "";
  const [program = [], atNear = [], atFar = []] = await captureAll(
    [{ host: near.host, device: TUN_NAME, filter: "ip or ip6" }, { host: near.host, device: device(near), filter: "udp" }, { host: far.host, device: device(far), filter: "udp" }],
    async () => {
      await pings(near.host, address, 1);
      for (let i = 0; i < LATER; i += 1) await connect(near.host, address);
    },
    async () => void (await pings(near.host, address, 1)),
  );
  const { first, later } = spansOf(program, address);
  const ends = { near: { address: near.host.address4, packets: atNear }, far: { address: far.host.address4, packets: atFar } };
  const trips = tripsOf(ends, { untilMs: later.at(-1)?.endMs ?? NaN, askingMs: server === null ? null : ASKING_MS });
  const wait = (span: Span): Wait => {
    const chain = longestChain(trips, span);
    return { chain, ...timesOf(chain, span) };
  };
  await Promise.all([near.stop(), far.stop()]);
  const run = { plainMs, first: wait(first), later: later.map(wait) };
  const missing = EXCHANGE.filter((kind) => !run.first.chain.some((trip) => trip.kind === kind));
  if (missing.length > 0) throw new IncompleteTraceError(`an exchange without ${missing.join(", ")}: ${shown(run.first.chain)}`);
  return run;
}

/** Of the first ping and of each TCP handshake, as the program's side saw them. Throws unless all are there. */
function spansOf(program: readonly CapturedPacket[], address: string): { readonly first: Span; readonly later: readonly Span[] } {
  const peer = addressKey(addressBytes(address));
  const marks = program.flatMap(({ timeMs, bytes }) => {
    const mark = markOf(bytes, peer);
    return mark === null ? [] : [{ timeMs, ...mark }];
  });
  const spans = marks.filter(({ isAnswer }) => !isAnswer).map(({ name, timeMs: startMs }) => {
    const answer = marks.find((mark) => mark.isAnswer && mark.name === name && mark.timeMs >= startMs);
    return { name, startMs, endMs: answer?.timeMs ?? NaN };
  });
  const first = spans.find(({ name }) => name.startsWith("ping"));
  const later = spans.filter(({ name }) => name.startsWith("tcp"));
  if (first === undefined || later.length !== LATER || [first, ...later].some(({ endMs }) => Number.isNaN(endMs))) {
    throw new IncompleteTraceError(`the program's side shows ${later.length} connections and not ${LATER}, or one without its answer: ${JSON.stringify(spans)}`);
  }
  return { first, later };
}

const ECHOES = new Map([[1, { request: 8, reply: 0 }], [58, { request: 128, reply: 129 }]]);
const TCP = 6;
const TCP_FLAGS_OFFSET = 13;
const SYN = 0x02;
const ACK = 0x10;

/** An echo or a TCP SYN to or from `peer`: its name is the same for both directions. */
function markOf(bytes: Uint8Array, peer: string): { readonly name: string; readonly isAnswer: boolean } | null {
  const { source, destination, protocol, payload } = readIp(bytes);
  if (source !== peer && destination !== peer) return null;
  const isAnswer = source === peer;
  const echo = ECHOES.get(protocol);
  if (echo !== undefined) return payload[0] === (isAnswer ? echo.reply : echo.request) ? { name: `ping ${payload.subarray(4, 8).join(".")}`, isAnswer } : null;
  const flags = payload[TCP_FLAGS_OFFSET] ?? 0;
  if (protocol !== TCP || (flags & SYN) === 0 || ((flags & ACK) !== 0) !== isAnswer) return null;
  return { name: `tcp ${(isAnswer ? payload.subarray(2, 4) : payload.subarray(0, 2)).join(".")}`, isAnswer };
}

const tripsIn = ({ chain }: Wait): number => chain.length / 2;
const shown = (chain: readonly Trip[]): string => chain.map(({ kind }) => kind).join(" ");
const msOf = (ms: number): string => `${ms.toFixed(1)} ms`;

function told({ plainMs, first, later }: Run): string {
  return `${msOf(first.wholeMs)} (${msOf(first.onTheWayMs)} on the way: ${shown(first.chain)}), later connections ${msOf(median(later.map(({ wholeMs }) => wholeMs)))}, plain path ${msOf(plainMs)}`;
}

function rowsOf(path: string, runs: readonly Run[]): readonly Row[] {
  const plainMs = median(runs.map((run) => run.plainMs));
  const pair = (name: string, waitsOf: (run: Run) => readonly Wait[], traced: number, clocked: Readonly<Record<string, number>>): readonly Row[] => {
    const byClock = runs.map((run) => median(waitsOf(run).map(({ wholeMs }) => wholeMs)) / run.plainMs);
    // The worst of each run: one that waits for more is not to vanish among those that do not.
    const byTrace = runs.map((run) => Math.max(...waitsOf(run).map(tripsIn)));
    const ms = (pick: (wait: Wait) => number): number => median(runs.map((run) => median(waitsOf(run).map(pick))));
    return [
      {
        ...makeRow({ name: `${name}, by the trace`, unit: "trips", better: "lower", runs: byTrace, baselines: { required: traced }, limits: { required: 1 } }),
        beside: {
          "round trips": { "by the trace, median": median(byTrace), worst: Math.max(...byTrace), "by the clock": median(byClock) },
          ms: { whole: ms((wait) => wait.wholeMs), "on the way": ms((wait) => wait.onTheWayMs), "at the ends": ms((wait) => wait.atTheEndsMs), "plain round trip": plainMs },
        },
      },
      makeRow({ name: `${name}, by the clock`, unit: "trips", better: "lower", runs: byClock, baselines: clocked, limits: Object.fromEntries(Object.keys(clocked).map((key) => [key, 1])) }),
    ];
  };
  return [
    ...pair(`first answer ${path} after a program's first packet`, ({ first }) => [first], ROUND_TRIPS, { "3 and processing": ROUND_TRIPS + PROCESSING_ROUND_TRIPS }),
    ...pair(`a later connection to the same peer (TCP) ${path}`, ({ later }) => later, 1, { "1.05": LATER_ROUND_TRIPS }),
  ];
}

/** Round trips in ms. Throws unless all were answered. */
export async function pings(host: Host, address: string, count: number): Promise<readonly number[]> {
  const output = await succeed(host, "ping", ["-n", "-c", String(count), "-i", "0.05", "-W", "5", address]);
  return [...output.matchAll(/time=([0-9.]+) ms/g)].map(([, ms]) => Number(ms));
}

/** A TCP connection, which the listener closes at once: curl's failure 52 or 56. */
async function connect(host: Host, address: string): Promise<void> {
  await host.exec("curl", ["-s", "-o", "/dev/null", "-m", "5", `http://${address.includes(":") ? `[${address}]` : address}:${WEB_PORT}/`]);
}

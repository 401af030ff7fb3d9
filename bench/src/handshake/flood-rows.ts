/**
 * 50,000 I1 a second from forged sources against an i3-proxy that has other things to do.
 *
 *     flooder ──┐                    ┌── s1 (i3-server)
 *     caller  ──┤ core (drops R1s    ├── home (i3-proxy, flooded)
 *     n1 … n3 ──┘  to nobody)        └── laptop (i3-proxy, pings home 100 times a second through the flood)
 *
 * Straight: to home's UDP port, half from IPv4 and half from IPv6 sources. Relayed: to home's public id by way of the server. Newcomers are proxies that have never
 * spoken with home (n1 …, over i3), and HIP hosts straight over UDP (at `caller`).
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { parseIpText } from "@i3/common";
import { I3_PORT, Laptop, startRing } from "@i3/demo";
import { Topology, type Host, type Router } from "@i3/netns";

import { makeRow, median, type Row } from "../report.js";
import { scratchDirectory, succeed } from "../tunnel/bed.js";
import { arrivedI1s, countI1s, sentPackets, type Way } from "./flood-counters.js";
import { relayedI1, rangesText, straightI1, type ForgedDatagram } from "./forged-i1.js";
import type { NewcomerOptions } from "./newcomers.js";
import { say, type Plan } from "./plan.js";
import { nativeProcess } from "./responder-ours.js";

const RATE = 50_000;
/** The generators aim a little higher, so that a clock that is late does not make the flood a smaller one. */
const AIMED_RATE = 1.02 * RATE;
const WAYS = ["straight", "relayed"] as const;
/** Proxies. */
const NEWCOMERS = 3;
const CALLER_NET = "198.18.0.0/15";
const PING_S = 0.01;
/** The flood goes for so long before anybody new comes. */
const LEAD_MS = 1_000;
const END_MS = 20_000;
const LOSS_LIMIT_PERCENT = 1;
const CURVE_POINTS = 10;
const NEWCOMER_LIMIT_MS = 3_000;
/** The counters of a daemon are told within. */
const COUNTERS_MS = 5_000;
const SOURCE = fileURLToPath(new URL("../../native/forged-flood.c", import.meta.url));
const CALLERS = fileURLToPath(new URL("newcomers.js", import.meta.url));

interface Bed {
  readonly topology: Topology;
  readonly flooder: Host;
  readonly caller: Host;
  readonly server: Host;
  readonly home: Laptop;
  readonly laptop: Laptop;
  readonly newcomers: readonly Laptop[];
}

interface Outcome {
  /** A second. */
  readonly i1s: {
    /** By the generators. */
    readonly sent: number;
    /** By the interface that they send with, everything. */
    readonly left: number;
    /** At home's interface. */
    readonly arrived: number;
    readonly answered: number;
  };
  /** Through the tunnel; a machine with too much else to do sends fewer than 100 a second. */
  readonly pingsSent: number;
  readonly pingsAnswered: number;
  readonly memoryBefore: number;
  /** Bytes, {@link CURVE_POINTS} and the beginning; when half of the flood is over tables, arenas and V8's heap have their size. */
  readonly memoryCurve: readonly number[];
  /** Milliseconds; Infinity: not in at all. */
  readonly overI3: readonly number[];
  readonly straight: readonly number[];
}

export async function floodRows(plan: Plan): Promise<readonly Row[]> {
  if (!plan.rows.has("flood")) return [];
  const program = `${scratchDirectory()}/forged-flood`;
  await promisify(execFile)("gcc", ["-O2", "-Wall", "-Wextra", "-o", program, SOURCE]);
  const rows: Row[] = [];
  for (const way of WAYS) {
    // Newcomers are new once.
    const bed = await openBed();
    try {
      const outcome = await flood(bed, way, program, plan);
      say(`flood, ${way}: ${JSON.stringify(outcome)}`);
      rows.push(...rowsOf(way, outcome, plan));
    } finally {
      await bed.topology.close();
    }
  }
  return rows;
}

async function openBed(): Promise<Bed> {
  const topology = await Topology.create();
  try {
    const core = topology.router("core");
    const connect = (name: string, i: number): Host => {
      const host = topology.host(name);
      topology.link(core, host, { subnet: `192.0.2.${4 * i}/30`, subnet6: `2001:db8:${i}::/64` });
      return host;
    };
    const [server, home, laptop, flooder, caller] = ["s1", "home", "laptop", "flooder", "caller"].map(connect) as [Host, Host, Host, Host, Host];
    const hosts = Array.from({ length: NEWCOMERS }, (_, i) => connect(`n${i + 1}`, 5 + i));
    await topology.up();
    await routeCallers(core, caller);
    await startRing([server]);
    const options = { serverAddresses: [server.address4], logLevel: "info" } as const;
    const machines: Laptop[] = [];
    for (const host of [home, laptop, ...hosts]) machines.push(await Laptop.make(host, options));
    const [homeProxy, laptopProxy, ...newcomers] = machines as [Laptop, Laptop, ...Laptop[]];
    for (const machine of machines) {
      await machine.writeBook({ "home.i3": homeProxy, "laptop.i3": laptopProxy });
      await machine.start();
      nativeProcess(machine);
    }
    for (const machine of [laptopProxy, ...newcomers]) await succeed(machine.host, "dig", ["+short", "+time=3", "home.i3", "A"]);
    await succeed(laptop, "ping", ["-n", "-c", "3", "-W", "5", homeProxy.address4]);
    return { topology, flooder, caller, server, home: homeProxy, laptop: laptopProxy, newcomers };
  } catch (error) {
    await topology.close().catch(() => undefined);
    throw error;
  }
}

/** Those who call straight are at 198.18.0.0/15; what goes to anybody else that does not exist ends at core without a word. */
async function routeCallers(core: Router, caller: Host): Promise<void> {
  await succeed(caller, "ip", ["route", "add", "local", CALLER_NET, "dev", "lo"]);
  for (const args of [["route", "add", CALLER_NET, "via", caller.address4], ["route", "add", "blackhole", "default"], ["-6", "route", "add", "blackhole", "default"]]) {
    const { status, stderr } = await core.exec("ip", args);
    if (status !== 0) throw new Error(`core: ip ${args.join(" ")}: ${stderr}`);
  }
}

async function flood(bed: Bed, way: Way, program: string, { floodSeconds: seconds, straightNewcomers, isQuick }: Plan): Promise<Outcome> {
  const { home, laptop, flooder } = bed;
  const { pid } = nativeProcess(home);
  const datagramBytes = i1Of(bed, way).bytes.length;
  await countI1s(home.host, way);
  const before = { memory: residentBytes(pid), counters: await engineCounters(home), left: await sentPackets(flooder) };
  const pinging = laptop.host.exec("ping", ["-n", "-q", "-i", String(PING_S), "-w", String(seconds), home.address4], { timeoutMs: seconds * 1_000 + END_MS });
  let isFlooding = true;
  const flooding = start(bed, way, program, seconds).finally(() => (isFlooding = false));
  const curve = memoryCurve(pid, seconds);
  await sleep(LEAD_MS);
  const duringFlood = (who: string): void => {
    if (isFlooding) return;
    if (!isQuick) throw new Error(`the flood was over before all newcomers ${who} had their turn`);
    say(`flood, ${way}: a newcomer ${who} came when the flood was over`);
  };
  const straight = callStraight(bed, straightNewcomers).then((times) => {
    duringFlood("straight");
    return times;
  });
  const overI3: number[] = [];
  for (const newcomer of bed.newcomers) {
    overI3.push(await firstAnswerMs(newcomer, home));
    duringFlood("over i3");
  }
  const sent = (await flooding).reduce((sum, count) => sum + count, 0);
  const left = (await sentPackets(flooder)) - before.left;
  const { stdout } = await pinging;
  const [pingsSent = NaN, pingsAnswered = NaN] = (/(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? []).slice(1).map(Number);
  const after = await engineCounters(home);
  const arrived = await arrivedI1s(home.host, datagramBytes);
  const gained = (pick: (counters: EngineCounters) => number): number => pick(after) - pick(before.counters);
  say(`flood, ${way}: home: ${gained((c) => c.hipAnswered)} answered, dropped ${JSON.stringify(Object.fromEntries(Object.entries(after.drops).filter(([, count]) => count > 0)))}, ${gained((c) => c.udpIn)} datagrams read; I1s: ${sent} sent, ${left} packets left, ${arrived} arrived`);
  if (gained((c) => c.drops["malformed"] ?? 0) + gained((c) => c.drops["hip"] ?? 0) > 0) throw new Error("the flood is not one of I1s for this host");
  const i1s = { sent: sent / seconds, left: left / seconds, arrived: arrived / seconds, answered: gained((c) => c.hipAnswered) / seconds };
  return { i1s, pingsSent, pingsAnswered, memoryBefore: before.memory, memoryCurve: await curve, overI3, straight: await straight };
}

/** Resident bytes at the beginning and after each tenth of the flood. */
async function memoryCurve(pid: number, seconds: number): Promise<readonly number[]> {
  const curve = [residentBytes(pid)];
  const startMs = performance.now();
  for (let i = 1; i <= CURVE_POINTS; i += 1) {
    await sleep(Math.max(0, startMs + (i * seconds * 1_000) / CURVE_POINTS - performance.now()));
    curve.push(residentBytes(pid));
  }
  return curve;
}

const i1Of = ({ home }: Bed, way: Way): ForgedDatagram => (way === "relayed" ? relayedI1 : straightI1)(parseIpText(home.hit) as Uint8Array);

/** Resolves with how many each generator has sent. */
function start(bed: Bed, way: Way, program: string, seconds: number): Promise<readonly number[]> {
  const i1 = i1Of(bed, way);
  const one = async (name: string, address: string, rate: number, port: number): Promise<number> => {
    const file = await bed.flooder.writeFile(name, i1.bytes);
    const command = `exec ${program} ${address} ${port} ${rate} ${seconds} ${rangesText(i1)} < ${file}`;
    return Number(await succeed(bed.flooder, "sh", ["-c", command], seconds * 1_000 + END_MS));
  };
  if (way === "relayed") return Promise.all([one("i1", bed.server.address4, AIMED_RATE, I3_PORT)]);
  const { port } = nativeProcess(bed.home);
  const { address4, address6 } = bed.home.host;
  return Promise.all([one("i1-4", address4, AIMED_RATE / 2, port), one("i1-6", address6, AIMED_RATE / 2, port)]);
}

async function callStraight({ caller, home }: Bed, count: number): Promise<readonly number[]> {
  const options: NewcomerOptions = { address: home.host.address4, port: nativeProcess(home).port, hit: home.hit, sources: Array.from({ length: count }, (_, i) => `198.18.1.${i + 1}`) };
  const child = caller.spawn(process.execPath, [CALLERS, JSON.stringify(options)]);
  await child.ended;
  return child.lines.filter(({ stream }) => stream === "stdout").map(({ text }) => (text === "failed" ? Infinity : Number(text)));
}

/** A program's view: from its first packet to its first answer. Infinity: none. */
async function firstAnswerMs({ host }: Laptop, home: Laptop): Promise<number> {
  const startMs = performance.now();
  // Pings again, since a proxy that gives up tells its programs so.
  const { status, stdout } = await host.exec("ping", ["-n", "-c", "1", "-W", "10", home.address4]);
  const ms = Number(/time=([0-9.]+) ms/.exec(stdout)?.[1] ?? NaN);
  if (status === 0 && !Number.isNaN(ms)) return ms;
  say(`a newcomer got no answer within ${(performance.now() - startMs).toFixed(0)} ms: ${stdout.trim().split("\n").at(-1) ?? ""}`);
  return Infinity;
}

interface EngineCounters {
  readonly udpIn: number;
  readonly hipAnswered: number;
  readonly drops: Readonly<Record<string, number>>;
}

/** As the daemon tells them on SIGUSR1. */
async function engineCounters({ child }: Laptop): Promise<EngineCounters> {
  if (child === null) throw new Error("no daemon");
  const told = new Promise<EngineCounters>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no counters\n${child.tail()}`)), COUNTERS_MS);
    child.on("line", function onLine({ text }) {
      if (!text.includes('"event":"counters"')) return;
      clearTimeout(timer);
      child.off("line", onLine);
      resolve((JSON.parse(text) as { readonly engine: EngineCounters }).engine);
    });
  });
  child.kill("SIGUSR1");
  return told;
}

const residentBytes = (pid: number): number => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? NaN) * 1_024;

/** It may grow by 2 % in the second half. */
const MEMORY_RATIO = 1 / 1.02;

function rowsOf(way: Way, outcome: Outcome, { floodSeconds, isQuick }: Plan): readonly Row[] {
  const name = `50,000 I1/s ${way}`;
  const { i1s, pingsSent, pingsAnswered, memoryBefore, memoryCurve: curve } = outcome;
  const megabytes = curve.map((bytes) => bytes / 1e6);
  const newcomers = (who: string, times: readonly number[]): readonly Row[] => [["median", median(times)] as const, [`slowest of ${times.length}`, Math.max(...times)] as const].map(([which, ms]) =>
    makeRow({ name: `${name}: newcomer in, ${who}, ${which}`, unit: "ms", better: "lower", runs: [ms], baselines: { required: NEWCOMER_LIMIT_MS }, limits: { required: 1 } }));
  // Of a smaller flood nothing that follows says what it should.
  const load = (what: "sent" | "arrived"): Row => ({
    ...makeRow({ name: `${name}: really ${what}`, unit: "1/s", better: "higher", runs: [i1s[what]], baselines: { required: RATE }, limits: { required: 1 } }), isCondition: !isQuick,
  });
  return [
    { ...load("sent"), beside: { "I1 a second": i1s } },
    load("arrived"),
    {
      ...makeRow({ name: `${name}: established traffic lost`, unit: "%", better: "lower", runs: [100 * (1 - pingsAnswered / pingsSent)], baselines: { required: LOSS_LIMIT_PERCENT }, limits: { required: 1 } }),
      beside: { pings: { sent: pingsSent, answered: pingsAnswered } },
    },
    {
      ...makeRow({
        name: `${name}: resident memory, most of the second half`, unit: "MB", better: "lower", runs: [Math.max(...megabytes.slice(CURVE_POINTS / 2))],
        baselines: { before: memoryBefore / 1e6, halfway: megabytes[CURVE_POINTS / 2] ?? NaN }, limits: { halfway: MEMORY_RATIO },
      }),
      beside: { MB: Object.fromEntries(megabytes.map((value, i) => [`${((i * floodSeconds) / CURVE_POINTS).toFixed(floodSeconds < CURVE_POINTS ? 1 : 0)} s`, value])) },
    },
    ...newcomers("over i3", outcome.overI3),
    ...newcomers("straight", outcome.straight),
  ];
}

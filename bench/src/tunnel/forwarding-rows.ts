/**
 * How many datagrams of 64 bytes a second a server passes on, beside an echo in C that makes two system calls for each.
 *
 *     generator, core 0 ──veth──► server, core 1 ──veth──► counter, in the kernel of the generator's host
 *
 * Both servers send to the generator's host, ours to where the triggers point, the echo to where the datagram came from. An nftables rule counts there and
 * drops, so that no third program takes part. It sees a GSO train as one packet of many bytes; each packet has the same headers
 * and each datagram the same length, so that bytes and packets together tell the number of datagrams.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Topology, type Host } from "@i3/netns";

import { makeRow, median, type Row } from "../report.js";
import { EngineProcess, scratchDirectory, succeed } from "./bed.js";
import { inTurns, say, type Plan } from "./plan.js";

const GENERATOR_CORE = "0";
const SERVER_CORE = "1";
const SINK_PORT = 9;
const FIRST_SERVER_PORT = 5_700;
const DATAGRAM_BYTES = 64;
const IP_AND_UDP_BYTES = 28;
const FEW = 1_000;
const MANY = 1_000_000;
/** Readings of the counter, some ms each, that must be alike before the server has sent on what waited in its socket. */
const STILL_READINGS = 3;
/** A generator that goes on beyond its end would keep the counter running. */
const MAX_READINGS = 1_000;
const RELAY_PROGRAM = fileURLToPath(new URL("engine-relay.js", import.meta.url));
const SOURCES = fileURLToPath(new URL("../../native/", import.meta.url));

const COUNTER_RULES = `table ip bench {
  counter forwarded { }
  chain arriving {
    type filter hook prerouting priority raw; policy accept;
    udp sport ${FIRST_SERVER_PORT}-${FIRST_SERVER_PORT + 9} counter name forwarded drop
  }
}
`;

type Input = "trains" | "single";
interface Case {
  readonly server: string;
  readonly port: number;
  readonly triggers: number;
  readonly input: Input;
}

const SERVERS = [
  { server: "1 k triggers", port: FIRST_SERVER_PORT, triggers: FEW },
  { server: "1 M triggers", port: FIRST_SERVER_PORT + 1, triggers: MANY },
  { server: "echo", port: FIRST_SERVER_PORT + 2, triggers: FEW },
] as const;

export async function forwardingRows({ rows, runs, forwardingSeconds }: Plan): Promise<readonly Row[]> {
  if (!rows.has("forwarding")) return [];
  const programs = await compile();
  const topology = await Topology.create();
  try {
    const [source, server] = [topology.host("source"), topology.host("server")];
    topology.link(source, server, { subnet: "192.0.2.0/30" });
    await topology.up();
    await succeed(source, "nft", ["-f", await source.writeFile("counter.nft", COUNTER_RULES)]);
    const engines = await startServers(source, server, programs.echo);
    const cases: readonly Case[] = (["trains", "single"] as const).flatMap((input) => SERVERS.map((each) => ({ ...each, input })));
    const rates = await inTurns(runs, cases, async (each, run) => {
      const rate = await forwardingRate(source, server, programs.generator, each, forwardingSeconds);
      say(`forwarding, run ${run + 1}: ${each.server}, ${each.input} ${(rate / 1e3).toFixed(0)} k/s`);
      return rate;
    });
    for (const engine of engines) await requireForwarding(engine);
    return rowsOf((name, input) => [...rates].find(([each]) => each.server === name && each.input === input)?.[1] ?? []);
  } finally {
    await topology.close();
  }
}

/** Both programs, in a directory that ends with the sandbox. */
async function compile(): Promise<{ readonly generator: string; readonly echo: string }> {
  const directory = scratchDirectory();
  const build = async (name: string): Promise<string> => {
    const program = `${directory}/${name}`;
    await promisify(execFile)("gcc", ["-O2", "-march=native", "-Wall", "-Wextra", "-o", program, `${SOURCES}${name}.c`]);
    return program;
  };
  return { generator: await build("datagram-generator"), echo: await build("datagram-echo") };
}

async function startServers(source: Host, server: Host, echoProgram: string): Promise<readonly EngineProcess[]> {
  const engines: EngineProcess[] = [];
  for (const { server: name, port, triggers } of SERVERS) {
    if (name === "echo") {
      await server.spawn("taskset", ["-c", SERVER_CORE, echoProgram, "0.0.0.0", String(port)]).waitForLine(/READY/);
    } else {
      engines.push(await EngineProcess.start(server, RELAY_PROGRAM, { port, triggers, sink: { address: source.address4, port: SINK_PORT } }, SERVER_CORE));
    }
  }
  return engines;
}

/** Datagrams a second that came out. */
async function forwardingRate(source: Host, server: Host, generator: string, { port, triggers, input }: Case, seconds: number): Promise<number> {
  const before = await countedDatagrams(source);
  await succeed(source, "taskset", ["-c", GENERATOR_CORE, generator, server.address4, String(port), String(triggers), String(seconds), input]);
  return ((await settledDatagrams(source)) - before) / seconds;
}

async function settledDatagrams(source: Host): Promise<number> {
  let [last, alike] = [-1, 0];
  for (let readings = 0; readings < MAX_READINGS; readings += 1) {
    const now = await countedDatagrams(source);
    alike = now === last ? alike + 1 : 1;
    if (alike === STILL_READINGS) return now;
    last = now;
  }
  throw new Error("datagrams go on coming after their generator has ended");
}

async function countedDatagrams(source: Host): Promise<number> {
  const text = await succeed(source, "nft", ["-j", "list", "counter", "ip", "bench", "forwarded"]);
  const { nftables } = JSON.parse(text) as { readonly nftables: readonly { readonly counter?: { readonly packets: number; readonly bytes: number } }[] };
  const counter = nftables.find((entry) => entry.counter !== undefined)?.counter;
  if (counter === undefined) throw new Error(`nft shows no counter: ${text}`);
  return (counter.bytes - counter.packets * IP_AND_UDP_BYTES) / DATAGRAM_BYTES;
}

/** Each datagram was for one of its triggers and none went up to JavaScript. */
async function requireForwarding(engine: EngineProcess): Promise<void> {
  const { counters } = await engine.ask("counters");
  const { upcalls, udpIn, drops } = counters;
  if (upcalls > 0 || udpIn === 0) throw new Error(`a server that forwards made ${upcalls} upcalls for ${udpIn} datagrams: ${JSON.stringify(drops)}`);
}

function rowsOf(runsOf: (server: string, input: Input) => readonly number[]): readonly Row[] {
  const row = (input: Input, server: string, limits: Readonly<Record<string, number>>, baselines: Readonly<Record<string, number>>): Row =>
    makeRow({ name: `server forwarding 64-byte datagrams, ${input === "trains" ? "in GSO trains" : "one by one"}: ${server}`, unit: "1/s", better: "higher", runs: runsOf(server, input), baselines, limits });
  return (["trains", "single"] as const).flatMap((input) => {
    const echo = { echo: median(runsOf("echo", input)) };
    return [
      row(input, "1 k triggers", { echo: input === "trains" ? 3 : 1 }, echo),
      row(input, "1 M triggers", { "1 k triggers": 0.6 }, { "1 k triggers": median(runsOf("1 k triggers", input)), ...echo }),
    ];
  });
}

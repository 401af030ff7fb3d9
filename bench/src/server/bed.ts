/**
 * One machine, all over its loopback: who serves is on core 1, who loads it on core 0.
 *
 *     core 0: load.js, ask-answer, fan-out, redis-benchmark ──lo──► core 1: i3-server, or bare-verify.js, redis-server, mosquitto
 *
 * Clients have addresses of their own in 127.0.0.0/8, as many hosts have: what a server allows each source stays as it is shipped.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { repositoryPath } from "@i3/demo";
import { Topology, type Child, type Host } from "@i3/netns";

import { scratchDirectory, succeed } from "../tunnel/bed.js";
import type { Load, LoadResult } from "./load.js";

export const LOAD_CORE = "0";
export const SERVER_CORE = "1";
export const LOOPBACK = "127.0.0.1";
const I3_SERVER = repositoryPath("packages/i3-server/dist/main.js");
const LOAD_PROGRAM = fileURLToPath(new URL("load.js", import.meta.url));
const SOURCES = fileURLToPath(new URL("../../native/", import.meta.url));
const FIRST_PORT = 5_610;
const START_MS = 30_000;
/** A million triggers take some minutes. */
const LOAD_MS = 30 * 60_000;

export interface Bed {
  readonly host: Host;
  /** Path of a program of bench/native. */
  readonly program: (name: string) => Promise<string>;
  readonly startServer: (options?: { readonly environment?: Readonly<Record<string, string>> }) => Promise<ServerProcess>;
  /** On the load's core, until it ends. */
  readonly load: (load: Load) => Promise<LoadResult>;
  close(): Promise<void>;
}

export interface ServerProcess {
  readonly child: Child;
  readonly port: number;
}

export async function openBed(): Promise<Bed> {
  const topology = await Topology.create();
  const host = topology.host("machine");
  // A host has an interface.
  topology.link(topology.host("nobody"), host, { subnet: "192.0.2.0/30" });
  const programs = new Map<string, Promise<string>>();
  let servers = 0;
  try {
    await topology.up();
    const directory = scratchDirectory();
    return {
      host,
      program: (name) => {
        const known = programs.get(name);
        if (known !== undefined) return known;
        const built = compile(directory, name);
        programs.set(name, built);
        return built;
      },
      startServer: async ({ environment = {} } = {}) => {
        const port = FIRST_PORT + servers;
        const file = (what: string): string => `${directory}/${what}-${servers}`;
        servers += 1;
        const config = await host.writeFile(`i3-server-${port}.xml`, serverXml(file("key"), port));
        const child = host.spawn("taskset", ["-c", SERVER_CORE, process.execPath, I3_SERVER, "--config", config], { env: environment });
        const [line] = await child.waitForLine(/^READY .*/, START_MS);
        if (!line.includes("engine=native")) throw new Error(`the reference engine runs instead of the native one: ${line}`);
        return { child, port };
      },
      load: async (load) => {
        const text = await succeed(host, "taskset", ["-c", LOAD_CORE, process.execPath, LOAD_PROGRAM, JSON.stringify(load)], LOAD_MS);
        return JSON.parse(text) as LoadResult;
      },
      close: () => topology.close(),
    };
  } catch (error) {
    await topology.close().catch(() => undefined);
    throw error;
  }
}

/** All limits are the default ones. */
const serverXml = (keyFile: string, port: number): string =>
  `<i3-server version="1"><identity key-file="${keyFile}"/><listen address="${LOOPBACK}" port="${port}"/><log level="warn"/><engine kind="native"/></i3-server>`;

async function compile(directory: string, name: string): Promise<string> {
  const [program, ...flags] = name.endsWith(".so") ? [name.slice(0, -3), "-shared", "-fPIC"] : [name];
  const out = `${directory}/${name}`;
  await promisify(execFile)("gcc", ["-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", ...flags, "-o", out, `${SOURCES}${program}.c`]);
  return out;
}

export const pinned = (host: Host, core: string, program: string, args: readonly string[], timeoutMs?: number): Promise<string> =>
  succeed(host, "taskset", ["-c", core, program, ...args], timeoutMs);

/** Resident memory, bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (match === null) throw new Error(`process ${pid} has no VmRSS`);
  return Number(match[1]) * 1_024;
}

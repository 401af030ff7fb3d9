/**
 * The machines of the suite, in namespaces joined by veth pairs without any impairment:
 *
 *     ours:      host a ───────── host b        a peer:   host a ───────── host b
 *                     \         /
 *                      relay ──
 *
 * Every program has a pair of hosts of its own, so that all run at once and are measured in turns. The wires are the same for our
 * direct and our relayed modes; the relay's namespace routes nothing: what passes it has passed its engine.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Topology, type Child, type Host } from "@i3/netns";

import type { HostOptions } from "./engine-host.js";
import type { Answers, Command, Ready } from "./engine-process.js";
import type { RelayOptions } from "./engine-relay.js";
import { MODES, overlayAddress, TUN_NAME, type Mode } from "./modes.js";

export const PEERS = ["wireguard-go", "nebula", "tinc", "fastd"] as const;
export type Peer = (typeof PEERS)[number];

/** One way to get from host `a` to `address` on host `b`. */
export interface Subject {
  readonly name: string;
  readonly a: Host;
  readonly b: Host;
  readonly address: string;
  /** The address that a program on `b` then listens at. @default `address` */
  readonly listensAt?: string;
  /** Processes that carry packets, on either host and between them. */
  readonly pids: { readonly a: number; readonly b: number; readonly between: readonly number[] };
}

const PEER_SCRIPT = fileURLToPath(new URL("../../peers/tunnel.sh", import.meta.url));
const HOST_PROGRAM = fileURLToPath(new URL("engine-host.js", import.meta.url));
const RELAY_PROGRAM = fileURLToPath(new URL("engine-relay.js", import.meta.url));
const PEER_START_MS = 60_000;
/** A server is ready when it has its triggers, and there may be a million. */
const ENGINE_START_MS = 120_000;
const ANSWER_MS = 60_000;
/** Which is a tmpfs of the sandbox's own: nothing outlives it. */
const SCRATCH = "/run/i3-bench-";

/** A program of ours with an engine, and what it was told when it was ready. */
export class EngineProcess {
  readonly ready: Ready;
  readonly #child: Child;
  #requests = 0;

  private constructor(child: Child, ready: Ready) {
    this.#child = child;
    this.ready = ready;
  }

  /** `cores`: as taskset takes them. @default all */
  static async start(host: Host, program: string, options: HostOptions | RelayOptions, cores?: string): Promise<EngineProcess> {
    const node = [process.execPath, "--expose-gc", program, JSON.stringify(options)];
    const argv = cores === undefined ? node : ["taskset", "-c", cores, ...node];
    const child = host.spawn(argv[0] ?? "", argv.slice(1));
    const [, text = ""] = await child.waitForLine(/^READY (.*)$/, ENGINE_START_MS);
    const ready = JSON.parse(text) as Ready;
    if (ready.implementation !== "native") throw new Error(`${host.name}: the ${ready.implementation} engine runs instead of the native one`);
    return new EngineProcess(child, ready);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async ask<C extends Command>(command: C): Promise<Answers[C]> {
    const id = (this.#requests += 1);
    this.#child.stdin.write(`${JSON.stringify({ id, command })}\n`);
    const [, text = ""] = await this.#child.waitForLine(new RegExp(`^{"id":${id},"result":(.*)}$`), ANSWER_MS);
    return JSON.parse(text) as Answers[C];
  }
}

/** Our two hosts and the relay. */
export interface OurHosts {
  readonly a: EngineProcess;
  readonly b: EngineProcess;
  readonly relay: EngineProcess;
}

export interface Bed {
  /** By mode and by peer. */
  readonly ours: Readonly<Record<Mode, Subject>>;
  readonly engines: OurHosts;
  readonly peers: readonly Subject[];
  close(): Promise<void>;
}

/** A directory that ends with the sandbox. */
export const scratchDirectory = (): string => mkdtempSync(SCRATCH);

export async function openBed(peers: readonly Peer[]): Promise<Bed> {
  const topology = await Topology.create();
  try {
    const [a, b, relay] = [topology.host("ours-a"), topology.host("ours-b"), topology.host("ours-relay")];
    topology.link(a, b, { subnet: "192.0.2.0/30" });
    topology.link(a, relay, { subnet: "192.0.2.4/30" });
    topology.link(relay, b, { subnet: "192.0.2.8/30" });
    const pairs = peers.map((peer, i) => {
      const pair = { peer, a: topology.host(`p${i}-a`), b: topology.host(`p${i}-b`) };
      topology.link(pair.a, pair.b, { subnet: `198.51.100.${4 * i}/30` });
      return pair;
    });
    await topology.up();
    const engines = await startOurs(a, b, relay);
    const started: Subject[] = [];
    for (const { peer, a: first, b: second } of pairs) started.push(await startPeer(peer, first, second));
    return { ours: subjectsOf(a, b, engines), engines, peers: started, close: () => topology.close() };
  } catch (error) {
    await topology.close().catch(() => undefined);
    throw error;
  }
}

async function startOurs(a: Host, b: Host, relay: Host): Promise<OurHosts> {
  const address = (host: Host, index: number): string => host.interfaces[index]?.address4 ?? "";
  const engines = {
    a: await EngineProcess.start(a, HOST_PROGRAM, { side: "a", peer: b.address4, relay: address(relay, 0) }),
    b: await EngineProcess.start(b, HOST_PROGRAM, { side: "b", peer: a.address4, relay: address(relay, 1) }),
    relay: await EngineProcess.start(relay, RELAY_PROGRAM, { hosts: { a: address(a, 1), b: address(b, 1) } }),
  };
  for (const [host, side] of [[a, "a"], [b, "b"]] as const) {
    for (const mode of MODES) await succeed(host, "ip", ["addr", "add", `${overlayAddress(mode, side)}/24`, "dev", TUN_NAME]);
  }
  for (const mode of MODES) await succeed(a, "ping", ["-c1", "-W5", "-q", overlayAddress(mode, "b")]);
  return engines;
}

function subjectsOf(a: Host, b: Host, engines: OurHosts): Record<Mode, Subject> {
  const subject = (mode: Mode): Subject => {
    const between = mode.endsWith("-relay") ? [engines.relay.pid] : [];
    return { name: mode.replace("-", " "), a, b, address: overlayAddress(mode, "b"), pids: { a: engines.a.pid, b: engines.b.pid, between } };
  };
  return Object.fromEntries(MODES.map((mode) => [mode, subject(mode)])) as Record<Mode, Subject>;
}

/** One of {@link PEERS}, started as peers/tunnel.sh does it. Its processes end with the namespaces. */
export async function startPeer(peer: Peer, a: Host, b: Host): Promise<Subject> {
  const directory = scratchDirectory();
  const args = [peer, a.namespace.name, a.address4, b.namespace.name, b.address4, directory];
  const { stdout } = await promisify(execFile)(PEER_SCRIPT, args, { timeout: PEER_START_MS });
  const [pidA = 0, pidB = 0] = readFileSync(`${directory}/pids`, "utf8").trim().split("\n").map(Number);
  return { name: peer, a, b, address: stdout.trim(), pids: { a: pidA, b: pidB, between: [] } };
}

/** Runs a program to its end. Rejects unless its status is 0. */
export async function succeed(host: Pick<Host, "name" | "exec">, program: string, args: readonly string[], timeoutMs?: number, input = ""): Promise<string> {
  const { status, stdout, stderr } = await host.exec(program, args, { input, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  if (status === 0) return stdout;
  throw new Error(`${host.name}: ${program} ${args.join(" ")}: status ${status}: ${(stderr || stdout).trim().slice(-1_000)}`);
}

/** The running server: the core, an engine with a socket, the clock, signals. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { I3Error, locatorText, nodeKey, stderrLog, toHex, type Log, type RunningDaemon, type ServerConfig } from "@i3/common";
import { ReferenceEngine, type Upcall } from "@i3/datapath";
import { EngineDriver, openDgramDriver, type DriverOptions } from "@i3/datapath/io";
import { checkHostKey, readOrCreateHostKey, type HostIdentity } from "@i3/hip";

import { ServerCore } from "../server/server-core.js";
import { literalMembers, ownLocator, resolveMembers } from "./addresses.js";
import { readRingSecret } from "./ring-secret.js";

/** Names of members are looked up again this often. */
const RESOLVE_MS = 30_000;
/** A resolver that does not answer delays the start by this; its members are tried when it does. */
const FIRST_RESOLVE_MS = 2_000;
/** Longest sleep, so that a jump of the timers is noticed. */
const MAX_SLEEP_MS = 1_000;
/** What is to go out at the end has this long. */
const LAST_WORDS_MS = 20;
/** Leaving the ring takes 80 ms; a stuck one must not keep the process. */
const MAX_LEAVING_MS = 1_000;
/** Rings have no authority yet, so node keys have no nonce (docs/wire.md §2). */
const NO_NONCE = new Uint8Array(16);

/** Checks everything that the configuration names, and creates nothing. Throws I3Error. */
export function checkFiles(config: ServerConfig): void {
  if (config.ring !== undefined) readRingSecret(config.ring.secretFile);
  checkHostKey(config.identity.keyFile);
}

interface OpenedDriver {
  readonly driver: EngineDriver;
  readonly io: "addon" | "dgram";
  /** Why the addon is not used, when it should be. */
  readonly without: I3Error | undefined;
}

async function openDriver(config: ServerConfig, options: DriverOptions): Promise<OpenedDriver> {
  const udp = { address: config.listen.host.text, port: config.listen.port, mark: 0 };
  let without: I3Error | undefined;
  if (config.engine.kind !== "dgram") {
    try {
      return { driver: EngineDriver.open({ ...options, udp }), io: "addon", without };
    } catch (error) {
      if (!(error instanceof I3Error) || error.code !== "ERR_I3_NO_NATIVE" || config.engine.kind !== "auto") throw error;
      without = error;
    }
  }
  return { driver: await openDgramDriver({ ...options, udp }), io: "dgram", without };
}

/** Starts serving. Throws (rejects with) I3Error for what a person must mend: key, secret, port. */
export async function startServer(config: ServerConfig, onFailure: (error: I3Error) => void): Promise<RunningDaemon> {
  const log = stderrLog(config.log);
  const secret = config.ring === undefined ? null : readRingSecret(config.ring.secretFile);
  const { identity, created } = readOrCreateHostKey(config.identity.keyFile);
  if (created) log("info", "key-created", { file: config.identity.keyFile });
  const daemon = new Daemon(config, log);
  await daemon.open(identity, secret, onFailure);
  return daemon;
}

class Daemon implements RunningDaemon {
  readonly #config: ServerConfig;
  readonly #log: Log;
  readonly #engine = new ReferenceEngine();
  readonly ended: Promise<void>;
  #end: () => void = () => undefined;
  #core: ServerCore | undefined;
  #driver: EngineDriver | undefined;
  #timer: NodeJS.Timeout | undefined;
  #resolver: NodeJS.Timeout | undefined;
  #unknownMembers = "";
  #stopping = false;
  ready = "";

  constructor(config: ServerConfig, log: Log) {
    this.#config = config;
    this.#log = log;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  async open(identity: HostIdentity, secret: Uint8Array | null, onFailure: (error: I3Error) => void): Promise<void> {
    const clock = { nowMs: () => performance.now() };
    const onUpcalls = (upcalls: readonly Upcall[]): void => this.#run((core, nowMs) => core.handleUpcalls(nowMs, upcalls));
    const { driver, io, without } = await openDriver(this.#config, { core: this.#engine, clock, onUpcalls, onFailure });
    this.#driver = driver;
    if (without !== undefined) this.#log("warn", "no-addon", { message: without.message, remedy: without.remedy });
    const { locator, guessed } = await ownLocator(this.#config, driver.udp.port);
    if (guessed) this.#log("warn", "loopback-only", { message: "this machine has no route; others cannot reach this server", remedy: "Name its address with <advertise>." });
    const members = this.#config.ring?.members ?? [];
    const named = members.some(({ host }) => host.kind === "name");
    const resolved = await Promise.race([resolveMembers(members), sleep(FIRST_RESOLVE_MS, { locators: literalMembers(members) }, { ref: false })]);
    const { triggers, triggersPerSource } = this.#config.limits;
    this.#core = new ServerCore({
      self: { key: new Uint8Array(nodeKey(identity.point, NO_NONCE)), locator },
      members: resolved.locators,
      ringSecret: secret, datapath: this.#engine, limits: { triggers, perSource: triggersPerSource },
      random: (length) => new Uint8Array(randomBytes(length)), wallMs: () => Date.now(), log: this.#log,
    });
    this.#run((core, nowMs) => core.start(nowMs));
    if (named) {
      this.#resolver = setInterval(() => void this.#resolve(), RESOLVE_MS);
      void this.#resolve();
    }
    const key = toHex(nodeKey(identity.point, NO_NONCE));
    this.ready = `port=${driver.udp.port} locator=${locatorText(locator)} node=${key} io=${io}`;
    this.#log("info", "started", { port: driver.udp.port, locator: locatorText(locator), node: key, engine: this.#engine.implementation, io, members: members.length });
  }

  /** Calls the core, then sends what it left in the engine and sets the clock for its next deadline. */
  #run(work: (core: ServerCore, nowMs: number) => void): void {
    const core = this.#core;
    if (core === undefined) return;
    work(core, performance.now());
    if (this.#engine.pending()) this.#driver?.wake();
    if (this.#stopping && core.hasLeft) return this.#close();
    clearTimeout(this.#timer);
    const sleepMs = Math.min(MAX_SLEEP_MS, Math.max(0, core.deadlineMs() - performance.now()));
    this.#timer = setTimeout(() => this.#run((c, nowMs) => c.handleTimer(nowMs)), Math.ceil(sleepMs));
  }

  async #resolve(): Promise<void> {
    const { locators, unknown } = await resolveMembers(this.#config.ring?.members ?? []);
    if (this.#stopping) return;
    const text = unknown.join(" ");
    if (text !== this.#unknownMembers && text !== "") this.#log("warn", "member-unknown", { names: unknown, remedy: "Check the names, and this machine's resolver." });
    this.#unknownMembers = text;
    this.#core?.setMembers(locators);
  }

  stop(): void {
    if (this.#stopping) return this.#close();
    this.#stopping = true;
    this.#log("info", "stopping", {});
    setTimeout(() => this.#close(), MAX_LEAVING_MS).unref();
    this.#run((core, nowMs) => core.leave(nowMs));
  }

  #close(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#resolver);
    setTimeout(() => {
      this.#driver?.close();
      this.#end();
    }, LAST_WORDS_MS);
  }

  logCounters(): void {
    const { upcalls, udpIn, udpOut, drops } = this.#driver?.counters() ?? this.#engine.counters();
    const dropped = Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0));
    this.#log("info", "counters", { control: this.#core?.counters.snapshot(), engine: { udpIn, udpOut, upcalls, drops: dropped }, ring: this.#core?.inspect() });
  }
}

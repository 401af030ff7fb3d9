/** The running server: the core, an engine with a socket, the clock, signals. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { I3Error, locatorText, nodeKey, stderrLog, toHex, type Locator, type Log, type RunningDaemon, type ServerConfig } from "@i3/common";
import { engineCounterFields, engineFields, openEngine, type RunningEngine } from "@i3/datapath/io";
import { checkOwnKey, hostPublicKey, openOwnKey, verifyStep, verifyTrigger, type HostIdentity } from "@i3/hip";
import { loadLibsodiumEd25519 } from "@i3/hip/libsodium";

import { ServerCore } from "../server/server-core.js";
import { Fallback, readTlsFiles } from "./fallback.js";
import { checkPrivate, cutOffProblem, MemberLookup, ownLocators, privateProblem } from "./addresses.js";
import type { RingMembership } from "../ring/credential.js";
import { endingSoon, readRingCredential, tellEnds } from "./ring-credential.js";

/** Names of members are looked up again this often. */
const RESOLVE_MS = 30_000;
/** While one of them means nothing: so soon after the last answer, for at the start of a machine the resolver often comes later than we. */
const RESOLVE_UNKNOWN_MS = 2_000;
/** A resolver that does not answer delays the start by this; its members are tried when it does. */
const FIRST_RESOLVE_MS = 2_000;
/** Longest sleep, so that a jump of the timers is noticed. */
const MAX_SLEEP_MS = 1_000;
/** What is to go out at the end has this long. */
const LAST_WORDS_MS = 20;
/** Leaving takes 3.6 s (LINGER_MS and what the neighbours are told); a stuck one must not keep the process. */
const MAX_LEAVING_MS = 5_000;
/** A server without a ring has no authority that chooses one (docs/wire.md §2). */
const NO_NONCE = new Uint8Array(16);

/** Checks everything that the configuration names, and creates nothing. Throws (rejects with) I3Error. */
export async function checkFiles(config: ServerConfig): Promise<readonly string[]> {
  const ring = membershipOf(config);
  checkOwnKey(config.identity);
  if (config.fallback !== undefined) readTlsFiles(config.fallback);
  const ending = ring === null ? null : endingSoon(ring, Date.now());
  const unreached = cutOffProblem(config) ?? (await checkPrivate(config));
  return [...(ending === null ? [] : [ending]), ...(unreached === null ? [] : [`${unreached.message}. ${unreached.remedy}`])];
}

/** What the first start will make. */
export function firstStartNotes({ identity: { keyFile } }: ServerConfig): readonly string[] {
  if (existsSync(keyFile)) return [];
  const folder = dirname(keyFile);
  return [`there is no key file ${keyFile} yet; the first start makes it${existsSync(folder) ? "" : `, and its folder ${folder}`}`];
}

const membershipOf = ({ ring }: ServerConfig): RingMembership | null => (ring === undefined ? null : readRingCredential(ring.credentialFile, Date.now()));

/** Starts serving. Throws (rejects with) I3Error for what a person must mend: key, credential, port. */
export async function startServer(config: ServerConfig, onFailure: (error: I3Error) => void): Promise<RunningDaemon> {
  const log = stderrLog(config.log);
  const ring = membershipOf(config);
  const cutOff = cutOffProblem(config);
  if (cutOff !== null) log("warn", "loopback-only", cutOff);
  const { keyFile } = config.identity;
  const madeFolder = existsSync(dirname(keyFile)) ? {} : { folder: dirname(keyFile) };
  const { identity, created } = openOwnKey(config.identity);
  if (created) log("info", "key-created", { file: keyFile, ...madeFolder });
  const daemon = new Daemon(config, log);
  await daemon.open(identity, ring, onFailure);
  return daemon;
}

/** The port may be that of a server that was stopped a moment ago. */
function withPortAdvice(error: unknown): unknown {
  if (!(error instanceof I3Error) || error.code !== "ERR_I3_PORT_IN_USE") return error;
  const remedy = `${error.remedy ?? ""} A server that was stopped passes packets on, and keeps its port, for up to 4 s.`;
  return new I3Error("ERR_I3_PORT_IN_USE", error.message, { cause: error.cause, remedy });
}

class Daemon implements RunningDaemon {
  readonly #config: ServerConfig;
  readonly #log: Log;
  readonly ended: Promise<void>;
  #end: () => void = () => undefined;
  /** Undefined: not yet, or not any more. */
  #core: ServerCore | undefined;
  #engine: RunningEngine | undefined;
  #fallback: Fallback | undefined;
  #timer: NodeJS.Timeout | undefined;
  #resolver: NodeJS.Timeout | undefined;
  #unknownMembers = "";
  #quietEnds: () => void = () => undefined;
  #saidPrivate = false;
  #stopping = false;
  ready = "";

  constructor(config: ServerConfig, log: Log) {
    this.#config = config;
    this.#log = log;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  async open(identity: HostIdentity, ring: RingMembership | null, onFailure: (error: I3Error) => void): Promise<void> {
    if (ring !== null) this.#quietEnds = tellEnds(ring, () => Date.now(), this.#log);
    const engine = await this.#openEngine(onFailure);
    const { locator, other, guessed } = await ownLocators(this.#config, engine.udp.port);
    if (guessed) this.#log("warn", "loopback-only", { message: "this machine has no route; others cannot reach this server", remedy: "Name its address with <advertise>." });
    const members = this.#config.ring?.members ?? [];
    const named = members.some(({ host }) => host.kind === "name");
    const looking = new MemberLookup(members);
    await Promise.race([looking.done, sleep(FIRST_RESOLVE_MS, undefined, { ref: false })]);
    const { locators, unknown } = looking.now();
    this.#tellPrivate(locator, locators);
    const { triggers, triggersPerSource, claimsPerName, records, recordsPerSource } = this.#config.limits;
    const self = { key: ring?.credential.nodeKey ?? nodeKey(hostPublicKey(identity), NO_NONCE), locator, ...(other === undefined ? {} : { other }) };
    const ed25519 = loadLibsodiumEd25519() ?? undefined;
    this.#core = new ServerCore({
      self, ring,
      members: locators, hasUnknownMembers: unknown.length > 0,
      datapath: engine.datapath, limits: { triggers, perSource: triggersPerSource, claimsPerName }, records: { records, perSource: recordsPerSource },
      random: (length) => new Uint8Array(randomBytes(length)), wallMs: () => Date.now(), log: this.#log,
      verify: (message, toKey) => verifyTrigger(message, toKey, ed25519), verifyStep: (step, source) => verifyStep(step, source, ed25519),
    });
    this.#run((core, nowMs) => core.start(nowMs));
    await this.#openFallback(locator, other);
    const key = toHex(self.key);
    const otherText = other === undefined ? undefined : locatorText(other);
    this.ready = `port=${engine.udp.port} locator=${locatorText(locator)}${otherText === undefined ? "" : ` other=${otherText}`} node=${key} engine=${engine.implementation} io=${engine.io}`;
    this.#log("info", "started", { port: engine.udp.port, locator: locatorText(locator), ...(otherText === undefined ? {} : { other: otherText }), node: key, engine: engine.implementation, io: engine.io, members: members.length });
    if (named) void this.#follow(looking, locator);
  }

  /** Once. */
  #tellPrivate(own: Locator, members: readonly Locator[]): void {
    const problem = this.#saidPrivate ? null : privateProblem(this.#config, own, members);
    if (problem === null) return;
    this.#saidPrivate = true;
    this.#log("warn", "private-address", problem);
  }

  /** Throws (rejects with) I3Error; what is open then is closed. */
  async #openFallback(self: Locator, other: Locator | undefined): Promise<void> {
    const { fallback: config, listen } = this.#config;
    if (config === undefined) return;
    try {
      this.#fallback = await Fallback.open({ config, listen, log: this.#log, self, other, isServer: (nowMs, locator) => this.#core?.isServer(nowMs, locator) === true });
    } catch (error) {
      this.#close();
      throw error;
    }
    this.#log("info", "fallback", { port: this.#fallback.port });
  }

  async #openEngine(onFailure: (error: I3Error) => void): Promise<RunningEngine> {
    const { listen, engine: settings } = this.#config;
    const engine = await openEngine({
      ...settings, udp: { address: listen.host.text, port: listen.port, mark: 0 }, clock: { nowMs: () => performance.now() },
      onUpcalls: (upcalls) => this.#run((core, nowMs) => core.handleUpcalls(nowMs, upcalls)), onFailure,
    }).catch((error: unknown) => {
      throw withPortAdvice(error);
    });
    this.#engine = engine;
    const { without } = engine;
    if (without !== undefined) this.#log("warn", "no-native-engine", { message: `no native engine: ${without.message}`, remedy: without.remedy });
    this.#log("info", "engine", engineFields(engine));
    return engine;
  }

  /** Calls the core, then sends what it left in the engine and sets the clock for its next deadline. */
  #run(work: (core: ServerCore, nowMs: number) => void): void {
    const core = this.#core;
    if (core === undefined) return;
    work(core, performance.now());
    this.#engine?.settle();
    if (this.#stopping && core.hasLeft) return this.#close();
    clearTimeout(this.#timer);
    const sleepMs = Math.min(MAX_SLEEP_MS, Math.max(0, core.deadlineMs() - performance.now()));
    this.#timer = setTimeout(() => this.#run((c, nowMs) => c.handleTimer(nowMs)), Math.ceil(sleepMs));
  }

  /** Tells the core what names of members mean, and looks them up again. */
  async #follow(looking: MemberLookup, own: Locator): Promise<void> {
    await looking.done;
    if (this.#stopping) return;
    const { locators, unknown } = looking.now();
    const text = unknown.join(" ");
    if (text !== this.#unknownMembers && text !== "") this.#log("warn", "member-unknown", { names: unknown, remedy: "Check the names, and this machine's resolver; they are looked up again, and then this server joins." });
    this.#unknownMembers = text;
    this.#tellPrivate(own, locators);
    this.#run((core, nowMs) => core.setMembers(nowMs, locators));
    this.#resolver = setTimeout(() => void this.#follow(new MemberLookup(this.#config.ring?.members ?? []), own), text === "" ? RESOLVE_MS : RESOLVE_UNKNOWN_MS);
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
    clearTimeout(this.#resolver);
    this.#quietEnds();
    this.#fallback?.close();
    this.#core = undefined;
    setTimeout(() => {
      this.#engine?.close();
      this.#engine = undefined;
      this.#end();
    }, LAST_WORDS_MS);
  }

  logCounters(): void {
    if (this.#core === undefined || this.#engine === undefined) return;
    this.#log("info", "counters", { control: this.#core.counters.snapshot(), engine: engineCounterFields(this.#engine), ring: this.#core.inspect(), fallback: this.#fallback?.counters() });
  }
}

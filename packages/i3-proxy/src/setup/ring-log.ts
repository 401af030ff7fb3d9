/** Tells people what the ring does to this host: its server, its triggers. */
import { locatorText, REFUSAL, toHex, type Log } from "@i3/common";
import type { ClientEvent, ServerClock } from "@i3/i3-client";

import { clockTrouble, isUndecided } from "../policy/clock.js";

/** Clocks are compared when all servers have answered, so long at most after the first. */
const CLOCKS_MS = 1_000;

export type ToldEvent = Extract<ClientEvent, { kind: "first-hop" | "near-key" | "trigger-live" | "trigger-lost" | "trigger-refused" }>;

export interface RingLogEnvironment {
  readonly log: Log;
  /** The servers' against ours. */
  readonly clocks: () => readonly ServerClock[];
  /** Those of single calls come and go all the time. */
  readonly isReturnId: (id: Uint8Array) => boolean;
}

export class RingLog {
  readonly #env: RingLogEnvironment;
  /** That were said to be in the ring: put in again elsewhere is no news. */
  readonly #live = new Set<string>();
  #saidFamily = false;
  /** When the clocks are compared at the latest. */
  #clocksMs = Infinity;
  /** Servers whose wrong clocks were told. */
  readonly #saidClocks = new Set<string>();

  constructor(environment: RingLogEnvironment) {
    this.#env = environment;
  }

  tell(nowMs: number, event: ToldEvent): void {
    switch (event.kind) {
      case "first-hop": return this.#server(nowMs, event.server);
      case "near-key": return this.#env.log("debug", "near-key", { server: locatorText(event.server), rttMs: Math.round(event.rttMs * 10) / 10 });
      case "trigger-live": return this.#triggerLive(event);
      case "trigger-lost": return this.#triggerLost(event);
      case "trigger-refused": return this.#triggerRefused(event);
    }
  }

  /** Its trigger was removed. */
  forget(id: Uint8Array): void {
    this.#live.delete(toHex(id));
  }

  /** Compares clocks, when it is time to. */
  look(nowMs: number): void {
    if (this.#clocksMs === Infinity) return;
    const clocks = this.#env.clocks();
    if (nowMs < this.#clocksMs && isUndecided(clocks)) return;
    this.#clocksMs = Infinity;
    const trouble = clockTrouble(clocks);
    if (trouble === null || (!trouble.isOwn && trouble.servers.every((server) => this.#saidClocks.has(server)))) return;
    if (!trouble.isOwn) for (const server of trouble.servers) this.#saidClocks.add(server);
    this.#env.log("warn", "clock", { why: trouble.why, remedy: trouble.remedy });
  }

  deadlineMs(): number {
    return this.#clocksMs;
  }

  #server(nowMs: number, server: Extract<ToldEvent, { kind: "first-hop" }>["server"]): void {
    const { log } = this.#env;
    this.#clocksMs = server === null ? Infinity : nowMs + CLOCKS_MS;
    if (server === null) return log("warn", "no-server", { remedy: "No i3 server answers. Is this machine online?" });
    log("info", "server", { server: locatorText(server) });
  }

  #triggerLive({ id, server }: Extract<ToldEvent, { kind: "trigger-live" }>): void {
    const isNews = !this.#live.has(toHex(id)) && !this.#env.isReturnId(id);
    this.#live.add(toHex(id));
    this.#env.log(isNews ? "info" : "debug", "trigger-live", { id: shortId(id), server: locatorText(server) });
  }

  #triggerRefused({ id, code }: Extract<ToldEvent, { kind: "trigger-refused" }>): void {
    if (code !== REFUSAL.otherFamily) return this.#env.log("warn", "trigger-refused", { id: shortId(id), code });
    if (this.#saidFamily) return;
    this.#saidFamily = true;
    this.#env.log("warn", "other-family", { id: shortId(id), message: "the id's server has no address that this host can reach: one of them has IPv4 alone, the other IPv6", remedy: "Each server of the ring needs an address of both. Until then nobody finds this host by ids of that server." });
  }

  #triggerLost({ id, why }: Extract<ToldEvent, { kind: "trigger-lost" }>): void {
    this.forget(id);
    const remedy = "It is put into the ring again by itself, which takes a second or two when a server answers: trigger-live says so. Until then nobody finds this host by that id.";
    this.#env.log(this.#env.isReturnId(id) ? "debug" : "warn", "trigger-lost", { id: shortId(id), why, remedy });
  }
}

const shortId = (id: Uint8Array): string => toHex(id.subarray(0, 8));

/** The server of `<domain>`: port 53, for everybody's resolvers. */
import { errorLine, TokenBucket, type Log, type PublishConfig, type PublishedDomain } from "@i3/common";
import { DnsListener } from "@i3/i3-proxy";

import { Authority, type WaypointQuestion } from "../dns/authority.js";
import { PublishedZone } from "../dns/published-zone.js";
import { ResponseRate } from "../dns/response-rate.js";
import type { Waypoints } from "./waypoints.js";

export interface DomainServerOptions {
  readonly domain: PublishedDomain;
  readonly waypoints: Pick<Waypoints, "answer" | "families"> | null;
  readonly log: Log;
}

export class DomainServer {
  readonly #options: DomainServerOptions;
  readonly #serial = Math.floor(Date.now() / 1_000) % 2 ** 32;
  readonly #rate = new ResponseRate();
  readonly #faultLines = new TokenBucket(1, 10);
  readonly #listener: DnsListener;
  readonly #counts = { answered: 0, noQuestion: 0, internal: 0 };
  #authority: Authority;

  private constructor(options: DomainServerOptions, publish: PublishConfig) {
    this.#options = options;
    this.#authority = this.#make(publish);
    this.#listener = new DnsListener({
      own: options.domain.listen.map(({ bytes }) => bytes), isClient: () => true, answer: (from, message, transport) => this.#answer(from, message, transport),
      remedy: "Another DNS server of this machine has it: have that one listen on other addresses, or correct listen= of <domain>.",
    });
  }

  /** Rejects with I3Error. */
  static async open(options: DomainServerOptions, publish: PublishConfig): Promise<DomainServer> {
    const server = new DomainServer(options, publish);
    await server.#listener.open();
    return server;
  }

  counters(): object {
    return { ...this.#counts, ...this.#rate.counters, ...this.#listener.counters };
  }

  /** Its names are in use from now on. */
  setNames(publish: PublishConfig): void {
    this.#authority = this.#make(publish);
  }

  close(): Promise<void> {
    return this.#listener.close();
  }

  #make({ names }: PublishConfig): Authority {
    const { domain, waypoints } = this.#options;
    return new Authority({ zone: new PublishedZone(domain, names), families: waypoints?.families ?? [], serial: this.#serial });
  }

  async #answer(from: Uint8Array, message: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | null> {
    if (transport === "tcp") this.#rate.saw(performance.now(), from);
    const rate = transport === "tcp" ? "answer" : this.#rate.decide(performance.now(), from);
    if (rate === "drop") return null;
    const verdict = this.#authority.read(message, transport, rate === "cut");
    if (verdict.kind === "drop") {
      this.#counts.noQuestion += 1;
      return null;
    }
    this.#counts.answered += 1;
    return verdict.kind === "answer" ? verdict.bytes : await this.#answerWaypoint(verdict.question, from);
  }

  async #answerWaypoint(question: WaypointQuestion, from: Uint8Array): Promise<Uint8Array> {
    const authority = this.#authority;
    try {
      return authority.answerWaypoint(question, (await this.#options.waypoints?.answer(question, from)) ?? null);
    } catch (error) {
      // A fault of ours that a question has found costs that question, never the proxy.
      this.#counts.internal += 1;
      if (this.#faultLines.take(performance.now())) this.#options.log("warn", "unanswered", { error: errorLine(error) });
      return authority.answerWaypoint(question, null);
    }
  }
}

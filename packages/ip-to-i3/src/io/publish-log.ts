/** What the log and the counters say of clients that were not served: about each a line a minute at most, since whoever likes may connect. */
import { formatIpText, type Log } from "@i3/common";
import { FewLines } from "@i3/i3-proxy";

import { HostError } from "./errors.js";

const MAX_REASONS = 64;
const IPV6_SITE_BYTES = 8;

export class PublishLog {
  readonly #log: Log;
  readonly #refusals = new FewLines();
  readonly #failures = new FewLines();
  /** By reason. */
  readonly #counts = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  get counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  count(reason: string): void {
    if (this.#counts.has(reason) || this.#counts.size < MAX_REASONS) this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  /** @param name a DNS name, or null where the client named none that could be one */
  refused(client: Uint8Array, by: string, why: string, name: string | null): void {
    this.count(why);
    if (!this.#refusals.take(performance.now(), client.length === 4 ? client : client.subarray(0, IPV6_SITE_BYTES))) return;
    this.#log("info", "publish-refused", { client: formatIpText(client), by, why, ...(name === null ? {} : { name }) });
  }

  /** A host that is published does not answer. */
  failed(name: string, error: unknown): void {
    const why = error instanceof HostError ? error.why : "failed";
    this.count(`host-${why}`);
    if (why === "left" || !this.#failures.take(performance.now(), new TextEncoder().encode(name))) return;
    const cause = error instanceof Error && error.cause instanceof Error ? (error.cause as NodeJS.ErrnoException).code : undefined;
    this.#log("warn", "publish-unreachable", { host: name, why, ...(cause === undefined ? {} : { error: cause }), remedy: REMEDIES[why] });
  }
}

const REMEDIES: Readonly<Record<HostError["why"] | "failed", string>> = {
  refused: "Clients hear that it cannot be reached. Only hosts of the overlay other than this one are published, and servers of gateways where go=\"gateway\" says so: correct to= of <publish>.",
  unknown: "Clients hear that it cannot be reached. Put it into the address book, or correct to= of <publish>.",
  unreachable: "Clients hear that it cannot be reached. Is the host running, does a program listen on that port there, and does its <access> admit this machine?",
  timeout: "Clients hear that it does not answer. Is the host running, and does its <access> admit this machine?",
  left: "",
  failed: "Clients hear that it cannot be reached.",
};

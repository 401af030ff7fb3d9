/** Addresses of the servers of the configuration. Names that cannot be looked up are tried again for as long as the proxy runs: a laptop may start offline. */
import { lookup } from "node:dns/promises";

import { errorLine, makeLocator, parseIpText, type Endpoint, type Locator, type Log } from "@i3/common";

// Ours:
/** The start does not wait longer for a resolver that keeps silent. */
const FIRST_MS = 3_000;
const AGAIN_MS = 2_000;
/** Doubled up to this. */
const MAX_AGAIN_MS = 30_000;

export interface ServerNamesEnvironment {
  readonly log: Log;
  /** Addresses that were found after {@link ServerNames.first} had ended. */
  readonly onFound: (locators: readonly Locator[]) => void;
  /** @default that of the system */
  readonly lookup?: (name: string) => Promise<readonly string[]>;
}

/** As programs look names up; rejects when there is no address. */
export const systemLookup = async (name: string): Promise<readonly string[]> => (await lookup(name, { all: true })).map(({ address }) => address);

export class ServerNames {
  readonly #env: ServerNamesEnvironment;
  readonly #timers = new Set<NodeJS.Timeout>();
  #found: Locator[] | null = [];
  #isClosed = false;

  constructor(environment: ServerNamesEnvironment) {
    this.#env = environment;
  }

  /** What is known at once, or within {@link FIRST_MS}. */
  async first(servers: readonly Endpoint[]): Promise<readonly Locator[]> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, FIRST_MS)));
    await Promise.race([Promise.all(servers.map((server) => this.#resolve(server, AGAIN_MS))), limit]);
    clearTimeout(timer);
    const found = this.#found ?? [];
    this.#found = null;
    return found;
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  async #resolve(server: Endpoint, againMs: number): Promise<void> {
    const { host, port } = server;
    if (host.kind !== "name") return this.#take([makeLocator(host.bytes, port)]);
    let why = "it has no address";
    try {
      const addresses = (await (this.#env.lookup ?? systemLookup)(host.text)).map((text) => parseIpText(text)).filter((bytes) => bytes !== undefined);
      if (addresses.length > 0) return this.#take(addresses.map((bytes) => makeLocator(bytes, port)));
    } catch (cause) {
      why = errorLine(cause);
    }
    if (this.#isClosed) return;
    // Once for each name.
    if (againMs === AGAIN_MS) this.#env.log("warn", "server-unknown", { name: host.text, why, remedy: "It is looked up again all the time. Is this machine online, and is the name in <servers> right?" });
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#resolve(server, Math.min(2 * againMs, MAX_AGAIN_MS));
    }, againMs);
    this.#timers.add(timer);
  }

  #take(locators: readonly Locator[]): void {
    if (this.#isClosed) return;
    if (this.#found === null) this.#env.onFound(locators);
    else this.#found.push(...locators);
  }
}

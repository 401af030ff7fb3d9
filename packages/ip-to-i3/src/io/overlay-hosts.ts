/**
 * Hosts of the overlay by their virtual addresses, and connections to them. Nowhere else do any lead: an address must be that of a mapping of the proxy's, not its own, or where the configuration says
 * so (go="gateway") that of a server behind a gateway, and is looked at again just before each connect. So what clients say never opens a way to this machine, its networks or the internet.
 */
import { connect, type Socket } from "node:net";

import { formatIpText, type PublishedWay } from "@i3/common";

import { HostError } from "./errors.js";

/** The proxy's names and mappings, as far as they are needed here. */
export interface OverlayNames {
  /** As `NameSource` of @i3/i3-proxy. */
  resolve(name: string): { readonly v4: Uint8Array | null; readonly v6: Uint8Array | null } | "unknown" | "elsewhere" | "unavailable" | "looking";
  whenKnown?(name: string, done: () => void): () => void;
  /** When it returns, the way to the address exists. */
  told?(address: Uint8Array): void;
}

/** Servers behind gateways, as programs of this machine find them. */
export interface GatewayServers {
  /** Whether a rule leads the name to a gateway now. */
  leads(name: string): boolean;
  /** Virtual addresses of 4 and 16 bytes; the way to them exists. Rejects when nobody answers. */
  ask(name: string, signal: AbortSignal): Promise<readonly Uint8Array[]>;
  /** Whether an address is such a server's now. */
  has(address: Uint8Array): boolean;
}

/** What is published of: a name, and where it must lead. */
export interface Destination {
  readonly to: string;
  readonly go: PublishedWay;
}

export interface OverlayHostsOptions {
  readonly names: OverlayNames;
  readonly gateways: GatewayServers;
  /** Whether an address is now that of another host, by a mapping. */
  readonly isMapped: (address: Uint8Array) => boolean;
  /** All of it: the name, the keys, the host's answer. */
  readonly connectMs: number;
}

/** Of which another address of the host may know better: one family may have no program that listens. */
const TRY_OTHER = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EADDRNOTAVAIL"]);

export class OverlayHosts {
  readonly #options: OverlayHostsOptions;

  constructor(options: OverlayHostsOptions) {
    this.#options = options;
  }

  /**
   * A connection to a host or server; half of it may be closed.
   * @param first its first bytes
   * @param signal who wanted it has gone
   * @throws (rejects with) HostError
   */
  async connect(destination: Destination, port: number, first: Uint8Array, signal: AbortSignal): Promise<Socket> {
    return await this.#within(`${destination.to} does not answer on port ${port}`, signal, async (ended) => {
      const socket = await this.#connect(destination, port, ended);
      if (first.length > 0) socket.write(first);
      return socket;
    });
  }

  /** Its virtual addresses, of 4 and 16 bytes, IPv4 first; the way to them exists. @throws (rejects with) HostError */
  async addressesOf(destination: Destination, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const found = await this.#within(`${destination.to} is not found in time`, signal, (ended) => this.#addresses(destination, ended));
    if (!found.every((address) => this.#isThere(destination, address))) throw new HostError("refused", `${destination.to} is not a host behind the overlay`);
    return found;
  }

  async #within<T>(late: string, signal: AbortSignal, work: (ended: AbortSignal) => Promise<T>): Promise<T> {
    const ended = new AbortController();
    const leave = (): void => ended.abort(new HostError("left", "who wanted it has gone"));
    const timer = setTimeout(() => ended.abort(new HostError("timeout", late)), this.#options.connectMs);
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    try {
      return await work(ended.signal);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
    }
  }

  async #connect(destination: Destination, port: number, ended: AbortSignal): Promise<Socket> {
    let last: unknown;
    for (const address of await this.#addresses(destination, ended)) {
      try {
        return await this.#connectTo(destination, address, port, ended);
      } catch (error) {
        if (error instanceof HostError) throw error;
        last = error;
        if (!TRY_OTHER.has((error as NodeJS.ErrnoException).code ?? "")) break;
      }
    }
    throw new HostError("unreachable", `${destination.to} cannot be reached on port ${port}`, last);
  }

  #isThere({ go }: Destination, address: Uint8Array): boolean {
    return go === "gateway" ? this.#options.gateways.has(address) : this.#options.isMapped(address);
  }

  async #addresses({ to, go }: Destination, ended: AbortSignal): Promise<readonly Uint8Array[]> {
    if (go === "i3") return await this.#hostAddresses(to, ended);
    const { gateways } = this.#options;
    if (!gateways.leads(to)) throw new HostError("refused", `${to} leads to no gateway`);
    try {
      return await gateways.ask(to, ended);
    } catch (error) {
      if (ended.aborted) throw ended.reason;
      throw new HostError("unreachable", `the gateway does not say where ${to} is`, error);
    }
  }

  async #hostAddresses(name: string, ended: AbortSignal): Promise<readonly Uint8Array[]> {
    const { names } = this.#options;
    let verdict = names.resolve(name);
    while (verdict === "looking") {
      await this.#known(name, ended);
      verdict = names.resolve(name);
    }
    if (verdict === "elsewhere") throw new HostError("refused", `${name} leads elsewhere than into the overlay`);
    if (verdict === "unknown") throw new HostError("unknown", `${name} is no host of the address book or a zone`);
    if (verdict === "unavailable") throw new HostError("unreachable", `${name} cannot be looked up now`);
    // Programs that listen on one family only have IPv4 more often.
    const found = [verdict.v4, verdict.v6].filter((address) => address !== null);
    for (const address of found) names.told?.(address);
    return found;
  }

  #known(name: string, ended: AbortSignal): Promise<void> {
    const { names } = this.#options;
    return new Promise((resolve, reject) => {
      let takeBack = (): void => undefined;
      const give = (): void => {
        takeBack();
        reject(ended.reason as HostError);
      };
      if (ended.aborted) return give();
      if (names.whenKnown === undefined) return reject(new HostError("unreachable", `${name} cannot be looked up now`));
      ended.addEventListener("abort", give, { once: true });
      takeBack = names.whenKnown(name, () => {
        ended.removeEventListener("abort", give);
        resolve();
      });
    });
  }

  #connectTo(destination: Destination, address: Uint8Array, port: number, ended: AbortSignal): Promise<Socket> {
    if (!this.#isThere(destination, address)) return Promise.reject(new HostError("refused", `${destination.to} is not a host behind the overlay`));
    return new Promise((resolve, reject) => {
      if (ended.aborted) return reject(ended.reason as HostError);
      const socket = connect({ host: formatIpText(address), port, allowHalfOpen: true, noDelay: true });
      const give = (): void => {
        socket.destroy();
        reject(ended.reason as HostError);
      };
      ended.addEventListener("abort", give, { once: true });
      socket.once("error", (error) => {
        ended.removeEventListener("abort", give);
        reject(error);
      });
      socket.once("connect", () => {
        ended.removeEventListener("abort", give);
        socket.removeAllListeners("error");
        // Between here and who wanted it.
        socket.once("error", () => undefined);
        resolve(socket);
      });
    });
  }
}

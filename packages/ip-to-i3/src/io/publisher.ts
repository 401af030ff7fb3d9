/** The ports of `<publish>`, all of them: what ip-to-i3 adds to a proxy. */
import { once } from "node:events";
import type { Server } from "node:net";

import { I3Error, type FixedPort, type PublishConfig } from "@i3/common";

import { PublishedNames } from "../names/published-names.js";
import { PLACE_LIMITS, Places, type PlaceLimits } from "../places/places.js";
import { TIMINGS, type PortEnvironment, type Timings } from "./client.js";
import { fixedServer } from "./fixed-port.js";
import { HttpPort } from "./http-port.js";
import type { OverlayHosts } from "./overlay-hosts.js";
import type { PublishLog } from "./publish-log.js";
import { tlsServer } from "./tls-port.js";

export interface PublisherOptions {
  readonly config: PublishConfig;
  readonly hosts: Pick<OverlayHosts, "connect">;
  readonly log: PublishLog;
  /** @default PLACE_LIMITS */
  readonly limits?: PlaceLimits;
  /** @default TIMINGS */
  readonly timings?: Timings;
  /** How long a stop waits for connections that are open. @default 10,000 */
  readonly drainMs?: number;
}

const DRAIN_MS = 10_000;
const LOOK_MS = 20;

interface OpenPort {
  readonly server: Server;
  readonly stop: () => void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #places: Places;
  readonly #log: PublishLog;
  readonly #ports: OpenPort[] = [];
  /** Of clients, and of nobody else. */
  readonly #sockets = new Set<{ destroy: () => void }>();
  #config: PublishConfig;
  #names: PublishedNames;
  #stopping: Promise<void> | undefined;

  private constructor(options: PublisherOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#names = sharedNames(options.config);
    this.#places = new Places(options.limits ?? PLACE_LIMITS);
    this.#log = options.log;
  }

  /** Opens all ports. Rejects with I3Error when one cannot be; then none is open. */
  static async open(options: PublisherOptions): Promise<Publisher> {
    const publisher = new Publisher(options);
    try {
      await publisher.#open();
      return publisher;
    } catch (error) {
      await publisher.close();
      throw error;
    }
  }

  counters(): object {
    return { open: this.#places.size, waiting: this.#places.waiting, ...this.#places.counters, ...this.#log.counters };
  }

  /** Names and hosts of another configuration are in use from now on; connections that are open go on. False: it has other ports, which are opened at a start only. */
  setConfig(config: PublishConfig): boolean {
    const ports = ({ listen, shared, ports }: PublishConfig): string =>
      JSON.stringify([listen.map(({ text }) => text), shared.map(({ port, by, forwarded }) => [port, by, forwarded]), ports.map((each) => each.listen)]);
    this.#names = sharedNames(config);
    this.#config = config;
    return ports(config) === ports(this.#options.config);
  }

  /** Takes no more connections, and resolves when those that are open have ended, or after ten seconds. */
  drain(): Promise<void> {
    return (this.#stopping ??= this.#drain());
  }

  async close(): Promise<void> {
    for (const { stop } of this.#ports) stop();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#ports.splice(0).map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve()))));
  }

  async #open(): Promise<void> {
    const { listen, shared, ports } = this.#config;
    const env: PortEnvironment = {
      names: () => this.#names, hosts: this.#options.hosts, places: this.#places, log: this.#log, timings: this.#options.timings ?? TIMINGS,
    };
    for (const { text } of listen) {
      for (const { port, by, forwarded } of shared) await this.#listen(by === "sni" ? plain(tlsServer(env)) : http(new HttpPort(env, forwarded)), text, port);
      for (const { listen: port } of ports) await this.#listen(plain(fixedServer(env, () => this.#fixedPort(port))), text, port);
    }
  }

  #fixedPort(listen: number): FixedPort | undefined {
    return this.#config.ports.find((each) => each.listen === listen);
  }

  async #listen(open: OpenPort, host: string, port: number): Promise<void> {
    const { server } = open;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.listen({ host, port });
    try {
      await once(server, "listening");
    } catch (cause) {
      throw new I3Error("ERR_I3_PORT", `TCP port ${port} of ${host} cannot be opened for <publish>`, { cause, remedy: remedyOf((cause as NodeJS.ErrnoException).code) });
    }
    this.#ports.push(open);
    // EMFILE on accept: the connection is lost, the server is not.
    server.on("error", () => this.#log.count("accept-failed"));
  }

  async #drain(): Promise<void> {
    for (const { stop } of this.#ports) stop();
    const endMs = performance.now() + (this.#options.drainMs ?? DRAIN_MS);
    while (this.#sockets.size > 0 && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    await this.close();
  }
}

/** Names with a waypoint lead elsewhere in DNS. */
const sharedNames = ({ names }: PublishConfig): PublishedNames => new PublishedNames(names, ({ waypoint }) => waypoint === undefined);

const plain = (server: Server): OpenPort => ({ server, stop: () => server.close() });
const http = (port: HttpPort): OpenPort => ({ server: port.server, stop: () => port.stop() });

function remedyOf(code: string | undefined): string {
  if (code === "EAFNOSUPPORT") return 'This machine has no IPv6: write listen="0.0.0.0" into <publish>.';
  if (code === "EADDRINUSE") return "Another program has it: choose another port, or stop that program.";
  if (code === "EADDRNOTAVAIL") return "No interface of this machine has that address: correct listen= of <publish>.";
  return "Ports below 1024 need root or CAP_NET_BIND_SERVICE.";
}

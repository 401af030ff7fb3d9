/** Where others' DNS questions arrive: UDP and TCP, port 53 of some addresses of this machine. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";

import { bytesKey, formatIpText, I3Error, parseIpText, SharedRoom, sourceKey } from "@i3/common";

import { dnsFrame, DnsFrameReader } from "./dns-port-frames.js";

// Ours:
const PORT = 53;
const IDLE_MS = 10_000;
const MAX_CONNECTIONS = 256;
const MAX_CONNECTIONS_EACH = 4;
const MAX_BUFFERED_BYTES = 256 * 1024;
/** What one owner has, most times: an IPv4 /24, an IPv6 /48. */
const GROUP_BYTES = { 4: 3, 16: 6 } as const;

export interface DnsListenerOptions {
  /** 4 or 16 bytes each. */
  readonly own: readonly Uint8Array[];
  /** Whether an address may hold a connection. */
  readonly isClient: (from: Uint8Array) => boolean;
  /** Who shares connections: all of a group count together where room is short. @default an IPv4 address of its /24, an IPv6 /64 of its /48 */
  readonly clientOf?: (from: Uint8Array) => { readonly group: string; readonly key: string };
  /** What to do where another program has the port. */
  readonly remedy: string;
  /** The answer to one message from an address (4 or 16 bytes); null: there is none. */
  readonly answer: (from: Uint8Array, message: Uint8Array, transport: "udp" | "tcp") => Promise<Uint8Array | null>;
}

/** All connections have their room: where it is short whoever has most gives the one that has been idle longest, so that nobody is kept out by connections that are held. */
export class DnsListener {
  readonly counters = { udp: 0, tcp: 0, connections: 0, refusedConnections: 0, displacedConnections: 0, unsent: 0 };
  readonly #options: DnsListenerOptions;
  readonly #udp: UdpSocket[] = [];
  readonly #tcp: Server[] = [];
  readonly #room = new SharedRoom({ most: MAX_CONNECTIONS, mostOfOne: MAX_CONNECTIONS_EACH });
  readonly #connections = new Set<Socket>();

  constructor(options: DnsListenerOptions) {
    this.#options = options;
  }

  /** Rejects with I3Error ERR_I3_PORT_IN_USE or ERR_I3_DNS_PORT. */
  async open(): Promise<void> {
    for (const own of this.#options.own) {
      const address = formatIpText(own);
      try {
        await this.#openUdp(address, own.length === 4 ? "udp4" : "udp6");
        await this.#openTcp(address);
      } catch (cause) {
        await this.close();
        throw portError(cause, address, this.#options.remedy);
      }
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    await Promise.all([...this.#udp.splice(0).map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))), ...this.#tcp.splice(0).map((server) => new Promise<void>((resolve) => server.close(() => resolve())))]);
  }

  async #openUdp(address: string, type: "udp4" | "udp6"): Promise<void> {
    const socket = createSocket({ type, ipv6Only: type === "udp6" });
    this.#udp.push(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ address, port: PORT, exclusive: true }, () => {
        socket.off("error", reject);
        // An ICMP error about an answer: the client's program is gone.
        socket.on("error", () => undefined);
        resolve();
      });
    });
    socket.on("message", (message, from) => {
      this.counters.udp += 1;
      // Nobody can be answered at port 0, which send would throw for.
      if (from.port > 0) void this.#onUdp(socket, message, from);
    });
  }

  async #onUdp(socket: UdpSocket, message: Uint8Array, { address, port }: { readonly address: string; readonly port: number }): Promise<void> {
    const answer = await this.#answer(address, message, "udp");
    if (answer === null || !this.#udp.includes(socket)) return;
    try {
      socket.send(answer, port, address, (error) => {
        if (error !== null) this.counters.unsent += 1;
      });
    } catch {
      this.counters.unsent += 1;
    }
  }

  async #openTcp(address: string): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => this.#onConnection(socket));
    this.#tcp.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: address, port: PORT, exclusive: true }, () => {
        server.off("error", reject);
        // EMFILE on accept: the connection is lost, the server is not.
        server.on("error", () => undefined);
        resolve();
      });
    });
  }

  #onConnection(socket: Socket): void {
    const from = socket.remoteAddress ?? "";
    const address = parseIpText(from.replace(/%.*$/, ""));
    socket.on("error", () => socket.destroy());
    if (address === undefined || !this.#options.isClient(address)) {
      this.counters.refusedConnections += 1;
      socket.destroy();
      return;
    }
    const { group, key } = this.#options.clientOf?.(address) ?? { group: bytesKey(address.subarray(0, address.length === 4 ? GROUP_BYTES[4] : GROUP_BYTES[16])), key: sourceKey(address) };
    const place = this.#room.enter(group, key, () => {
      this.counters.displacedConnections += 1;
      socket.destroy();
    });
    this.#connections.add(socket);
    this.counters.connections = this.#room.size;
    socket.on("close", () => {
      place.leave();
      this.#connections.delete(socket);
      this.counters.connections = this.#room.size;
    });
    const reader = new DnsFrameReader();
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      for (const message of reader.push(chunk)) {
        place.touch();
        void this.#onTcp(socket, from, message);
      }
    });
  }

  async #onTcp(socket: Socket, from: string, message: Uint8Array): Promise<void> {
    this.counters.tcp += 1;
    const answer = await this.#answer(from, message, "tcp");
    // A client that cannot be answered is one too many.
    if (answer === null || socket.writableLength > MAX_BUFFERED_BYTES) return void socket.destroy();
    socket.write(dnsFrame(answer));
  }

  #answer(from: string, message: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | null> {
    const address = parseIpText(from.replace(/%.*$/, ""));
    return address === undefined ? Promise.resolve(null) : this.#options.answer(address, new Uint8Array(message), transport);
  }
}

function portError(cause: unknown, address: string, remedy: string): I3Error {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") return new I3Error("ERR_I3_PORT_IN_USE", `port ${PORT} of ${address} is in use: names are asked for there`, { cause, remedy });
  if (code === "EADDRNOTAVAIL") return new I3Error("ERR_I3_DNS_PORT", `no interface of this machine has the address ${address}`, { cause, remedy: "DNS is to listen there: correct the configuration, or give an interface that address." });
  return new I3Error("ERR_I3_DNS_PORT", `DNS port ${PORT} of ${address} cannot be opened`, { cause, remedy: "Run as root or with CAP_NET_BIND_SERVICE." });
}

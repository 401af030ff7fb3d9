/**
 * DNS over TCP (RFC 7766): several queries on a connection, answered as they come. What is not ours goes to the resolver that the
 * program meant, over one connection a client, and what that sends comes back as it is (a transfer has many messages).
 */
import { createServer, type Server, type Socket } from "node:net";
import { connectMarkedTcp } from "@i3/datapath/io";
import type { NativeIo } from "@i3/datapath/native-io";
import type { DnsVerdict, GatewayQuestion } from "../dns/dns-core.js";
import { HostShares } from "../dns/host-shares.js";
import { dnsFrame, DnsFrameReader } from "./dns-port-frames.js";
import { UPSTREAM_TIMEOUT_MS } from "./dns-upstream.js";
import { type Resolver, resolverText } from "./dns-upstream-resolvers.js";

export interface TcpListenerOptions {
  readonly io: NativeIo;
  readonly mark: number;
  readonly answer: (query: Uint8Array) => DnsVerdict;
  /** For a verdict "wait": gives another one, once. */
  readonly wait: (query: Uint8Array, name: string, client: string, settled: (verdict: DnsVerdict) => void) => void;
  /** For a verdict "gateway": gives the answer, once. */
  readonly toGateway: (query: Uint8Array, verdict: GatewayQuestion, client: string, reply: (answer: Uint8Array) => void) => void;
  readonly resolver: () => Resolver;
}

/** Without anything in flight; half a minute would let idle programs use up the connections. */
const IDLE_MS = 10_000;
const MAX_CONNECTIONS = 128;
/** A side that does not read stops the other one. */
const MAX_BUFFERED_BYTES = 256 * 1024;

export class TcpListener {
  readonly #options: TcpListenerOptions;
  readonly #server: Server;
  readonly #clients = new HostShares<TcpClient>();

  constructor(options: TcpListenerOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#onConnection(socket));
  }

  get connections(): number {
    return this.#clients.size;
  }

  /** Rejects with the system's error (EADDRINUSE, EADDRNOTAVAIL). */
  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port, ipv6Only: true, exclusive: true }, () => {
        this.#server.off("error", reject);
        // EMFILE on accept: the connection is lost, the server is not.
        this.#server.on("error", () => undefined);
        resolve();
      });
    });
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const client of [...this.#clients.all()]) client.destroy();
    await closed;
  }

  #onConnection(socket: Socket): void {
    // The longest idle of the host that has most.
    if (this.#clients.size >= MAX_CONNECTIONS) this.#clients.first()?.destroy();
    const client = new TcpClient(socket, this.#options, { onActivity: () => this.#clients.use(client), onClose: () => this.#clients.delete(client) });
    this.#clients.add(socket.remoteAddress ?? "", client);
  }
}

interface ClientEvents {
  readonly onActivity: () => void;
  readonly onClose: () => void;
}

class TcpClient {
  readonly #socket: Socket;
  readonly #options: TcpListenerOptions;
  readonly #events: ClientEvents;
  readonly #reader = new DnsFrameReader();
  #upstream: Socket | null = null;
  /** Questions that went upstream and have no answer. */
  #waiting = 0;
  /** Those whose names are looked for, or that gateways are asked. */
  #looking = 0;
  #ended = false;

  constructor(socket: Socket, options: TcpListenerOptions, events: ClientEvents) {
    this.#socket = socket;
    this.#options = options;
    this.#events = events;
    socket.setTimeout(IDLE_MS, () => this.destroy());
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("end", () => {
      this.#ended = true;
      this.#endWhenDone();
    });
    socket.on("error", () => this.destroy());
    socket.on("close", () => this.destroy());
    socket.on("drain", () => this.#upstream?.resume());
  }

  destroy(): void {
    this.#socket.destroy();
    this.#upstream?.destroy();
    this.#upstream = null;
    this.#events.onClose();
  }

  #onData(chunk: Buffer): void {
    this.#events.onActivity();
    for (const query of this.#reader.push(chunk)) {
      if (!this.#follow(query, this.#options.answer(query)) || this.#socket.destroyed) return;
    }
    this.#endWhenDone();
  }

  /** False: the connection is at its end. */
  #follow(query: Buffer, verdict: DnsVerdict): boolean {
    if (verdict.kind === "answer") this.#write(verdict.bytes);
    else if (verdict.kind === "forward") this.#forward(query);
    else if (verdict.kind === "wait") this.#wait(query, verdict.name);
    else if (verdict.kind === "gateway") this.#toGateway(query, verdict);
    else {
      // RFC 7766 §8 knows no message that is neither: whoever sends such a thing has lost count.
      this.destroy();
      return false;
    }
    return true;
  }

  #wait(query: Buffer, name: string): void {
    this.#looking += 1;
    this.#options.wait(query, name, this.#socket.remoteAddress ?? "", (verdict) => {
      this.#looking -= 1;
      if (this.#socket.destroyed || !this.#follow(query, verdict)) return;
      this.#endWhenDone();
    });
  }

  #toGateway(query: Buffer, verdict: GatewayQuestion): void {
    this.#looking += 1;
    this.#options.toGateway(query, verdict, this.#socket.remoteAddress ?? "", (answer) => {
      this.#looking -= 1;
      this.#write(answer);
      this.#endWhenDone();
    });
  }

  #forward(query: Buffer): void {
    const upstream = (this.#upstream ??= this.#connect());
    if (upstream === null) return this.destroy();
    this.#waiting += 1;
    if (!upstream.write(dnsFrame(query)) && upstream.writableLength > MAX_BUFFERED_BYTES) this.#socket.pause();
  }

  /** Null when there is no such way; the program sees its connection end, as it would without us. */
  #connect(): Socket | null {
    const { io, mark } = this.#options;
    const resolver = this.#options.resolver();
    try {
      const socket = connectMarkedTcp(io, { address: resolverText(resolver), port: resolver.port, mark });
      return this.#listenTo(socket);
    } catch {
      return null;
    }
  }

  #listenTo(socket: Socket): Socket {
    const reader = new DnsFrameReader();
    socket.setNoDelay(true);
    socket.setTimeout(UPSTREAM_TIMEOUT_MS, () => this.#onUpstreamEnd(socket));
    socket.on("data", (chunk: Buffer) => {
      for (const answer of reader.push(chunk)) {
        this.#waiting = Math.max(0, this.#waiting - 1);
        this.#write(answer);
      }
      if (this.#socket.writableLength > MAX_BUFFERED_BYTES) socket.pause();
      this.#endWhenDone();
    });
    socket.on("drain", () => this.#socket.resume());
    socket.on("error", () => this.#onUpstreamEnd(socket));
    socket.on("close", () => this.#onUpstreamEnd(socket));
    return socket;
  }

  /** A resolver may end an idle connection (the next question opens another); one that owes answers takes the client's with it. */
  #onUpstreamEnd(socket: Socket): void {
    socket.destroy();
    if (this.#upstream !== socket) return;
    this.#upstream = null;
    if (this.#waiting > 0) this.destroy();
  }

  #write(message: Uint8Array): void {
    if (this.#socket.destroyed) return;
    if (this.#socket.writableLength > MAX_BUFFERED_BYTES * 4) return this.destroy();
    this.#socket.write(dnsFrame(message));
  }

  #endWhenDone(): void {
    if (!this.#ended || this.#waiting + this.#looking > 0) return;
    this.#socket.end(() => this.destroy());
  }
}

/**
 * WebSockets over TLS for hosts whose networks let no UDP through, and a UDP socket for each of them: so the ring reaches it at an address of
 * this machine, and triggers, replicas and challenges are as everybody's (docs/wire.md §10). What may pass is fallback/fallback-core.ts.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createSecureContext } from "node:tls";
import type { Duplex } from "node:stream";

import { DETOUR_PATH, DETOUR_PIECES, errorLine, formatIpText, I3Error, makeLocator, MAX_DETOUR_FRAME_BYTES, parseIpText, type IpEndpoint, type Locator, type Log, type ServerConfig } from "@i3/common";
import { WebSocketServer, type RawData, type WebSocket } from "ws";

import { FallbackCore, type FallbackConnection, type FallbackInit } from "../fallback/fallback-core.js";
import { MAX_CONNECTIONS } from "../fallback/limits.js";

// Ours:
const MAX_HEADER_BYTES = 8 * 1024;
/** Datagrams wait in the kernel while JavaScript is busy. */
const RECEIVE_BUFFER_BYTES = 512 * 1024;
const SWEEP_MS = 1_000;
/**
 * Not 1.3: there OpenSSL takes any number of KeyUpdates, which JavaScript neither sees nor is asked about, and one read may hold thousands. In 1.2 node ends a
 * connection that begins another handshake more than three times, and OpenSSL one with more than a few alerts or empty records.
 */
const TLS_VERSION = "TLSv1.2";
const MAX_CACHED_ORIGINS = 64;

export interface FallbackOptions extends FallbackInit {
  readonly config: NonNullable<ServerConfig["fallback"]>;
  /** Of the main port: the same addresses. */
  readonly listen: IpEndpoint;
  readonly log: Log;
  /** Monotonic, ms. @default performance.now */
  readonly nowMs?: () => number;
}

/** The PEM files of the configuration. Throws I3Error for what a person must mend. */
export function readTlsFiles({ certificateFile, keyFile }: FallbackOptions["config"]): { readonly cert: Buffer; readonly key: Buffer } {
  const read = (file: string): Buffer => {
    try {
      return readFileSync(file);
    } catch (cause) {
      throw new I3Error("ERR_I3_TLS_FILE", `${file} cannot be read`, { cause, remedy: "Make a certificate and its key with openssl, as deploy/examples/i3-server.xml shows, or leave <fallback> out." });
    }
  };
  const [cert, key] = [read(certificateFile), read(keyFile)];
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw new I3Error("ERR_I3_TLS_FILE", `${certificateFile} and ${keyFile} are not a certificate and its key in PEM`, { cause, remedy: "Name the certificate (the server's own first) and the private key that it is of." });
  }
  return { cert, key };
}

export class Fallback {
  readonly #options: FallbackOptions;
  readonly #core: FallbackCore;
  readonly #tcp: Server;
  readonly #https: HttpsServer;
  readonly #webSockets = new WebSocketServer({ ...DETOUR_PIECES, noServer: true, maxPayload: MAX_DETOUR_FRAME_BYTES, perMessageDeflate: false, clientTracking: false, autoPong: false });
  /** By the other end of their TCP connection. */
  readonly #hosts = new Map<string, Host>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #nowMs: () => number;

  private constructor(options: FallbackOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#core = new FallbackCore(options);
    this.#https = createHttpsServer({ ...readTlsFiles(options.config), minVersion: TLS_VERSION, maxVersion: TLS_VERSION, maxHeaderSize: MAX_HEADER_BYTES });
    // Nothing but WebSockets: whoever wants something else hears nothing.
    this.#https.on("request", (request) => void request.socket.destroy());
    this.#https.on("tlsClientError", (_error, socket) => void socket.destroy());
    this.#https.on("clientError", (_error, socket) => void socket.destroy());
    this.#https.on("upgrade", (request, stream: Duplex, head: Buffer) => this.#upgrade(request, stream, head));
    this.#tcp = createServer({ noDelay: true }, (socket) => this.#take(socket));
    this.#tcp.maxConnections = 2 * MAX_CONNECTIONS;
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  /** Listens. Rejects with I3Error. */
  static async open(options: FallbackOptions): Promise<Fallback> {
    const fallback = new Fallback(options);
    try {
      await fallback.#listen();
      return fallback;
    } catch (error) {
      fallback.close();
      throw error;
    }
  }

  get port(): number {
    return (this.#tcp.address() as AddressInfo).port;
  }

  counters(): object {
    return { open: this.#core.size, ...this.#core.counters };
  }

  close(): void {
    clearInterval(this.#sweeper);
    this.#tcp.close();
    for (const host of [...this.#hosts.values()]) host.end();
  }

  async #listen(): Promise<void> {
    const { config: { port }, listen: { host } } = this.#options;
    this.#tcp.listen({ host: host.text, port });
    try {
      await once(this.#tcp, "listening");
    } catch (cause) {
      throw new I3Error("ERR_I3_TCP_PORT", `TCP port ${port} of ${host.text} cannot be listened on`, { cause, remedy: `Does another program have it ("ss -tlpn sport = :${port}" names it), or may this user not open ports below 1024 (CAP_NET_BIND_SERVICE)?` });
    }
    this.#tcp.on("error", (error) => this.#options.log("error", "fallback", { error: errorLine(error) }));
  }

  #take(socket: Socket): void {
    const [name, from] = [nameOf(socket), originOf(socket.remoteAddress, socket.remotePort)];
    const connection = from === null ? null : this.#core.admit(this.#nowMs(), from, () => this.#hosts.get(name)?.end());
    if (connection === null) return void socket.destroy();
    const host = new Host(socket, connection, this.#core, this.#options.listen, this.#nowMs);
    this.#hosts.set(name, host);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      if (this.#hosts.get(name) === host) this.#hosts.delete(name);
      host.end();
    });
    // TLS, and HTTP in it.
    this.#https.emit("connection", socket);
  }

  #upgrade(request: Parameters<WebSocketServer["handleUpgrade"]>[0], stream: Duplex, head: Buffer): void {
    const host = this.#hosts.get(nameOf(request.socket));
    if (host === undefined || request.url !== DETOUR_PATH) return void stream.destroy();
    stream.on("error", () => stream.destroy());
    host.bind(() => this.#webSockets.handleUpgrade(request, stream, head, (webSocket) => host.open(webSocket)));
  }

  /** Closes what has taken too long, and counts what came without messages; each second by itself. */
  sweep(): void {
    const nowMs = this.#nowMs();
    for (const host of [...this.#hosts.values()]) {
      if (host.connection.isOver(nowMs)) host.end();
      else host.count();
    }
  }
}

/** One connection: first TCP, then TLS, then a WebSocket with a UDP socket. */
class Host {
  readonly #nowMs: () => number;
  #webSocket: WebSocket | undefined;
  #udp: UdpSocket | undefined;
  #isEnded = false;
  /** While nothing is read. */
  #rest: NodeJS.Timeout | undefined;
  /** Bytes of {@link socket} that were counted. */
  #read = 0;
  /** Of those heard lately, by address and port as node says them: parsing costs more than the rest. */
  readonly #origins = new Map<string, Locator>();

  constructor(
    readonly socket: Socket,
    readonly connection: FallbackConnection,
    private readonly core: FallbackCore,
    private readonly listen: IpEndpoint,
    nowMs: () => number,
  ) {
    this.#nowMs = nowMs;
  }

  get #isDual(): boolean {
    return this.listen.host.kind === "ipv6";
  }

  /** Only one WebSocket each. */
  bind(onBound: () => void): void {
    if (this.#isEnded || this.#udp !== undefined) return this.end();
    this.#bindUdp(onBound);
  }

  #bindUdp(onBound: () => void): void {
    const family = this.#isDual ? 6 : 4;
    const udp = createSocket({ type: `udp${family}`, recvBufferSize: RECEIVE_BUFFER_BYTES, lookup: (name, _options, callback) => callback(null, name, family) });
    // First: bind may fail before it returns.
    this.#udp = udp;
    udp.on("error", () => {
      this.core.counters.ioErrors += 1;
      if (udp === this.#udp) this.end();
    });
    udp.on("message", (bytes, from) => {
      if (udp === this.#udp) this.#fromRing(bytes, from);
    });
    udp.bind({ address: this.listen.host.text, port: 0, exclusive: true }, () => {
      if (!this.#isEnded) onBound();
    });
  }

  /** Another port: the ring sees it by what the host sends next, and the host by the answers. */
  #move(): void {
    if (!this.connection.moved(this.#nowMs())) return this.end();
    this.#udp?.close();
    this.#bindUdp(() => undefined);
  }

  open(webSocket: WebSocket): void {
    if (this.#isEnded) return webSocket.terminate();
    this.#webSocket = webSocket;
    webSocket.on("error", () => this.end());
    webSocket.on("close", () => this.end());
    webSocket.on("message", (data, isBinary) => {
      this.#fromHost(data, isBinary);
      this.count();
    });
    for (const kind of ["ping", "pong"]) {
      webSocket.on(kind, () => {
        this.connection.pinged(this.#nowMs());
        this.count();
      });
    }
    this.connection.opened(this.#nowMs());
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#rest);
    this.connection.closed();
    this.#webSocket?.terminate();
    this.#udp?.close();
    this.socket.destroy();
  }

  /** Counts what has come. Reads nothing for a moment when the host has said too much: TCP pushes back; and ends one that goes on nevertheless. */
  count(): void {
    // What is left of a piece of TLS comes nevertheless.
    if (this.#isEnded) return;
    const [nowMs, { bytesRead }] = [this.#nowMs(), this.socket];
    this.connection.heard(nowMs, bytesRead - this.#read);
    this.#read = bytesRead;
    if (this.connection.isMisused) return this.end();
    // Before there is a WebSocket nothing can be paused.
    if (this.#webSocket === undefined || this.#rest !== undefined) return;
    const restMs = this.connection.restMs(nowMs);
    if (restMs === 0) return;
    this.core.counters.rests += 1;
    this.#webSocket.pause();
    this.#restFor(restMs);
  }

  /** Longer when more of the same piece of TLS was counted meanwhile. */
  #restFor(restMs: number): void {
    this.#rest = setTimeout(() => {
      const moreMs = this.connection.restMs(this.#nowMs());
      if (moreMs > 0) return this.#restFor(moreMs);
      this.#rest = undefined;
      this.#webSocket?.resume();
    }, restMs).unref();
  }

  #fromHost(data: RawData, isBinary: boolean): void {
    const frame = this.connection.fromHost(this.#nowMs(), isBinary && data instanceof Buffer ? data : NOTHING);
    if (this.connection.isMisused) return this.end();
    if (frame === null || this.#isEnded) return;
    const { locator: { address, port }, bytes } = frame;
    if (address.length === 16 && !this.#isDual) return void (this.core.counters.ioErrors += 1);
    const to = formatIpText(address);
    this.#udp?.send(bytes, port, this.#isDual && address.length === 4 ? `::ffff:${to}` : to, (error) => {
      if (error !== null) this.core.counters.ioErrors += 1;
    });
  }

  #fromRing(bytes: Buffer, { address, port }: RemoteInfo): void {
    const from = this.#originOf(address, port);
    const message = from === null ? null : this.connection.fromRing(this.#nowMs(), from, bytes, this.#webSocket?.bufferedAmount ?? 0);
    if (this.connection.isFlooded) return this.#move();
    if (message !== null) this.#webSocket?.send(message);
  }

  #originOf(address: string, port: number): Locator | null {
    const key = `${address} ${port}`;
    const known = this.#origins.get(key);
    if (known !== undefined) return known;
    const origin = originOf(address, port);
    if (this.#origins.size >= MAX_CACHED_ORIGINS) this.#origins.clear();
    if (origin !== null) this.#origins.set(key, origin);
    return origin;
  }
}

/** What is no message of a host's. */
const NOTHING = new Uint8Array(0);

const nameOf = ({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string => `${remoteAddress} ${remotePort}`;

function originOf(address: string | undefined, port: number | undefined): Locator | null {
  const bytes = parseIpText((address ?? "").split("%", 1)[0] ?? "");
  return bytes === undefined || port === undefined || port === 0 ? null : makeLocator(bytes, port);
}

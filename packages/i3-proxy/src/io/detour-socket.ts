/** WebSockets over TLS to servers of the ring (docs/wire.md §10): one at a time, and one datagram a message. What is sent when is setup/detour.ts. */
import { createHash } from "node:crypto";
import { isIP, type Socket } from "node:net";
import { connect as connectTls, TLSSocket, type ConnectionOptions } from "node:tls";

import { decodeDetourFrame, DETOUR_PATH, DETOUR_PIECES, encodeDetourFrame, errorLine, makeLocator, MAX_DETOUR_FRAME_BYTES, parseIpText, sameBytes, WireError, type Locator, type ServerEndpoint, type TcpEntry } from "@i3/common";
import { WebSocket, type ClientOptions } from "ws";

import type { DetourLink } from "../setup/detour.js";

// Ours:
/** The core gives up a little earlier, and says so. */
const HANDSHAKE_MS = 10_000;
/** Beyond it datagrams are dropped: more would only make them late. */
const MAX_WAITING_BYTES = 256 * 1024;

export interface DetourSocketOptions {
  /** Those that take WebSockets. */
  readonly servers: readonly (ServerEndpoint & { readonly tcp: TcpEntry })[];
  readonly onOpened: () => void;
  readonly onClosed: (why: string) => void;
  readonly onDatagram: (from: Locator, bytes: Uint8Array) => void;
  /** Begins a connection past rules by address; null: there are none, and the system's way is good. @default it always is */
  readonly connectTcp?: (server: ServerEndpoint & { readonly tcp: TcpEntry }) => Promise<Socket> | null;
}

export const tcpServers = (servers: readonly ServerEndpoint[]): DetourSocketOptions["servers"] => servers.flatMap((server) => (server.tcp === undefined ? [] : { ...server, tcp: server.tcp }));

/** What node calls with options of TLS and what takes the connection once it is there. */
const connectionOver = (tcp: Promise<Socket>): NonNullable<ClientOptions["createConnection"]> => ((options: ConnectionOptions, taken: (error: Error | null, socket?: TLSSocket) => void): undefined => {
  const { host = "" } = options;
  tcp.then((socket) => taken(null, connectTls({ ...options, path: undefined, socket, servername: isIP(host) === 0 ? host : "" })), (error: unknown) => taken(error as Error));
}) as unknown as NonNullable<ClientOptions["createConnection"]>;

export class DetourSocket implements DetourLink {
  readonly names: readonly string[];
  /** Messages that are no frame; datagrams that found no room. */
  readonly counters = { malformed: 0, queueFull: 0 };
  readonly #options: DetourSocketOptions;
  #socket: WebSocket | undefined;
  #tls: TLSSocket | undefined;

  constructor(options: DetourSocketOptions) {
    this.#options = options;
    this.names = options.servers.map(({ host, tcp }) => `${host.kind === "ipv6" ? `[${host.text}]` : host.text}:${tcp.port}`);
  }

  connect(index: number): void {
    this.disconnect();
    const server = this.#options.servers[index];
    if (server === undefined) throw new RangeError(`server ${index} of ${this.names.length}`);
    // Any certificate: what is inside is protected from end to end, and servers have no names that anybody vouches for.
    const tcp = this.#options.connectTcp?.(server) ?? null;
    const socket = new WebSocket(`wss://${this.names[index]}${DETOUR_PATH}`, {
      ...DETOUR_PIECES, rejectUnauthorized: false, perMessageDeflate: false, maxPayload: MAX_DETOUR_FRAME_BYTES, handshakeTimeout: HANDSHAKE_MS, followRedirects: false, autoPong: false, ...(tcp === null ? {} : { createConnection: connectionOver(tcp) }),
    });
    this.#socket = socket;
    let tls: unknown;
    let why = "it was closed";
    socket.on("upgrade", (response) => (tls = response.socket));
    socket.on("error", (error) => (why = errorLine(error)));
    socket.on("close", () => this.#closed(socket, why));
    socket.on("message", (data, isBinary) => this.#received(socket, data, isBinary));
    socket.on("open", () => {
      if (this.#socket !== socket) return;
      this.#tls = tls instanceof TLSSocket ? tls : undefined;
      this.#tls?.setNoDelay(true);
      if (isExpected(tls, server.tcp.pin)) return this.#options.onOpened();
      why = "its TLS key is not the one of tls-pin";
      socket.terminate();
    });
  }

  disconnect(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#tls = undefined;
    socket?.terminate();
  }

  local(): Uint8Array | null {
    const [text = ""] = this.#tls?.localAddress?.split("%") ?? [];
    const address = parseIpText(text);
    return address === undefined ? null : makeLocator(address, 1).address;
  }

  send(to: Locator, bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount + bytes.length > MAX_WAITING_BYTES) this.counters.queueFull += 1;
    else socket.send(encodeDetourFrame({ locator: to, bytes }));
  }

  #closed(socket: WebSocket, why: string): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.#options.onClosed(why);
  }

  #received(socket: WebSocket, data: unknown, isBinary: boolean): void {
    if (this.#socket !== socket) return;
    try {
      if (!isBinary || !(data instanceof Uint8Array)) throw new WireError("detour frame", "text");
      const { locator, bytes } = decodeDetourFrame(data);
      this.#options.onDatagram(locator, bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.counters.malformed += 1;
    }
  }
}

function isExpected(tls: unknown, pin: Uint8Array | undefined): boolean {
  if (pin === undefined) return true;
  const key = tls instanceof TLSSocket ? tls.getPeerX509Certificate()?.publicKey.export({ type: "spki", format: "der" }) : undefined;
  return key !== undefined && sameBytes(createHash("sha256").update(key).digest(), pin);
}

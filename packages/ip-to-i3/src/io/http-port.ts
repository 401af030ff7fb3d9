/**
 * `<shared by="host">`: a reverse proxy for HTTP/1.x. node:http reads and writes every message anew (strictly: RFC 9112), so that what a host gets is what was looked at
 * here, on a kept connection too: each request is for the name of the first, and says who asks.
 */
import { Agent, createServer, request, type ClientRequest, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { pipeline, type Duplex } from "node:stream";

import { formatIpText, type PublishedName } from "@i3/common";

import { answerOf, rawAnswer, type RefusalStatus } from "../http-host/answers.js";
import { passedAnswer, passedRequest } from "../http-host/passed-headers.js";
import { isUpgrade, nameOfRequest, valuesOf, type RequestVerdict } from "../http-host/request-name.js";
import { admit, firstBytes, type Client, type PortEnvironment } from "./client.js";
import { HostError } from "./errors.js";
import { endWith, relay } from "./relay.js";

const MAX_HEAD_BYTES = 16_384;
/** Requests of one connection that came before the answers to others. */
const MAX_PIPELINED = 4;
/** Of a head; node would leave out what is more without a word. */
const MAX_FIELDS = 200;
const LOOK_MS = 500;
/** Of which a second one does no harm (RFC 9110 §9.2.2), and that have no body. */
const REPEATABLE = new Set(["GET", "HEAD", "OPTIONS"]);

type Named = Extract<RequestVerdict, { readonly kind: "name" }>;

/** A connection of a client. */
interface Connection {
  readonly socket: Socket;
  readonly client: Client;
  /** What its first request was for. */
  name: string | null;
  /** Its connection to the host, and which that is. */
  agent: { readonly to: string; readonly connections: Agent } | null;
  open: number;
  /** It is no more node's. */
  isRelay: boolean;
}

type Connect = () => Promise<Socket>;
type Connected = (error: Error | null, socket: Duplex) => void;

/** As node:http wants to be given a connection that takes a while. */
const connecting = (connect: Connect) => (_options: object, done?: Connected): undefined => {
  connect().then((socket) => done?.(null, socket), (error: unknown) => (done as ((error: unknown) => void) | undefined)?.(error));
};

/** Connections to a host, one after the other. */
class HostAgent extends Agent {
  readonly #connecting: (options: object, done?: Connected) => undefined;

  constructor(connect: Connect) {
    super({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
    this.#connecting = connecting(connect);
  }

  override createConnection(options: object, done?: Connected): undefined {
    return this.#connecting(options, done);
  }
}

export class HttpPort {
  readonly server: Server;
  readonly #env: PortEnvironment;
  readonly #forwarded: boolean;
  readonly #connections = new Map<Duplex, Connection>();
  readonly #refused = new WeakSet<Duplex>();
  #isStopping = false;

  constructor(env: PortEnvironment, forwarded: boolean) {
    this.#env = env;
    this.#forwarded = forwarded;
    const { firstBytesMs, keepAliveMs, idleMs } = env.timings;
    this.server = createServer({
      headersTimeout: firstBytesMs, requestTimeout: 0, keepAliveTimeout: keepAliveMs, connectionsCheckingInterval: Math.min(LOOK_MS, firstBytesMs), maxHeaderSize: MAX_HEAD_BYTES,
      insecureHTTPParser: false, requireHostHeader: false, noDelay: true,
    });
    this.server.timeout = idleMs;
    this.server.maxHeadersCount = 0;
    // Before node's own listener, which reads.
    this.server.prependListener("connection", (socket) => this.#onConnection(socket));
    this.server.on("request", (req, res) => this.#onRequest(req, res));
    this.server.on("checkContinue", (req: IncomingMessage, res: ServerResponse) => this.#onRequest(req, res));
    this.server.on("connect", (req, socket) => this.#onConnect(req, socket));
    this.server.on("upgrade", (req, socket, head) => this.#onUpgrade(req, socket, head));
    this.server.on("clientError", (error, socket) => this.#onClientError(error, socket));
  }

  /** No more requests; those that are being answered go on. */
  stop(): void {
    this.#isStopping = true;
    this.server.close();
    for (const connection of this.#connections.values()) endIfIdle(connection);
  }

  #onConnection(socket: Socket): void {
    const client = admit(socket, this.#env.places, true);
    if (client === null) return;
    const connection: Connection = { socket, client, name: null, agent: null, open: 0, isRelay: false };
    this.#connections.set(socket, connection);
    socket.once("close", () => {
      this.#connections.delete(socket);
      connection.agent?.connections.destroy();
    });
  }

  #onRequest(req: IncomingMessage, res: ServerResponse): void {
    const connection = this.#connections.get(req.socket);
    if (connection === undefined) return void req.socket.destroy();
    connection.open += 1;
    if (connection.open > MAX_PIPELINED) {
      this.#env.log.count("pipelined");
      return void req.socket.destroy();
    }
    res.sendDate = false;
    res.once("close", () => {
      connection.open -= 1;
      if (this.#isStopping) endIfIdle(connection);
    });
    if (req.rawHeaders.length > 2 * MAX_FIELDS) return refuse(res, 431);
    const verdict = nameOfRequest(req);
    const published = this.#judge(connection, verdict);
    if (typeof published === "number" || verdict.kind === "refuse") refuse(res, published as RefusalStatus);
    else this.#pass({ connection, req, res, verdict, published }, true);
  }

  /** The published name, or what the client hears. */
  #judge(connection: Connection, verdict: RequestVerdict): PublishedName | RefusalStatus {
    const { place, source } = connection.client;
    if (verdict.kind === "refuse") {
      this.#env.log.refused(source.address, "host", verdict.reason, null);
      return 400;
    }
    const { name } = verdict;
    const published = this.#env.names().find(name);
    if (published === undefined) {
      this.#env.log.refused(source.address, "host", "not-published", name);
      return 404;
    }
    connection.name ??= name;
    if (connection.name !== name) {
      this.#env.log.refused(source.address, "host", "misdirected", name);
      return 421;
    }
    place.settle();
    return published;
  }

  #pass(passing: Passing, mayRepeat: boolean): void {
    const { connection, req, res, verdict, published } = passing;
    const out = this.#ask(passing, null);
    if (out === null) return refuse(res, 400);
    out.on("continue", () => res.writeContinue());
    out.on("response", (answer) => {
      this.#env.log.count("passed");
      // A host that is through with a body before it has come: the rest of it is nobody's.
      const isEarly = !req.complete && answer.headers.connection?.toLowerCase() === "close";
      if (isEarly) req.unpipe(out).resume();
      if (this.#isStopping || isEarly) res.shouldKeepAlive = false;
      sendOn(answer, res);
    });
    // Nobody asked for it.
    out.on("upgrade", (_, host) => {
      host.destroy();
      refuse(res, 502);
    });
    out.on("error", (error) => {
      if (res.headersSent) return void res.destroy();
      if (res.destroyed) return;
      const isRepeatable = mayRepeat && out.reusedSocket && verdict.framing === undefined && REPEATABLE.has(req.method ?? "");
      if (isRepeatable) return this.#pass(passing, false);
      this.#env.log.failed(published.to, error);
      refuse(res, statusOf(error));
    });
    res.once("close", () => {
      if (!res.writableFinished || !req.complete) out.destroy();
    });
    if (verdict.framing === undefined) out.end();
    else req.pipe(out);
    // A host that has answered may close before it has read all.
    req.on("error", () => out.destroy());
    if (connection.socket.destroyed) out.destroy();
  }

  /** Null: it cannot be asked for. */
  #ask({ connection, req, verdict, published }: Asked, upgrade: string | null): ClientRequest | null {
    const { client } = connection;
    const connect = (): Promise<Socket> => this.#env.hosts.connect(published, published.http, firstBytes(client, published.proxyProtocol), client.gone);
    const forwarded = this.#forwarded ? { client: formatIpText(client.source.address) } : null;
    const { method = "" } = req;
    const isKept = upgrade === null && verdict.framing === undefined && REPEATABLE.has(method);
    const last = upgrade === null ? ["Connection", isKept ? "keep-alive" : "close"] : ["Connection", "Upgrade", "Upgrade", upgrade];
    const headers = passedRequest(req, verdict.host, verdict.framing, forwarded, last);
    const how = isKept ? { agent: agentOf(connection, published, connect) } : { createConnection: connecting(connect) };
    try {
      return request({ method, path: verdict.target, setHost: false, headers, ...how });
    } catch (error) {
      // A target that node's parser takes and its writer does not.
      if (error instanceof TypeError) return null;
      throw error;
    }
  }

  #onConnect(req: IncomingMessage, socket: Duplex): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return void socket.destroy();
    this.#judge(connection, nameOfRequest(req));
    endWith(connection.socket, rawAnswer(400), this.#env.timings.lingerMs);
  }

  /** The connection is no more node's: until the host agrees, its answer is written here. */
  #onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return void socket.destroy();
    socket.on("error", () => undefined);
    connection.isRelay = true;
    const { timings, log } = this.#env;
    let hasBegun = false;
    // Amid an answer nothing can be said.
    const end = (status: RefusalStatus): void => (hasBegun ? void socket.destroy() : endWith(connection.socket, rawAnswer(status), timings.lingerMs));
    // Answers to earlier requests would have to be waited for.
    if (connection.open > 0) return void socket.destroy();
    const verdict = nameOfRequest(req);
    const published = this.#judge(connection, verdict);
    if (typeof published === "number" || verdict.kind === "refuse") return end(published as RefusalStatus);
    const [upgrade = ""] = valuesOf(req.rawHeaders, "upgrade");
    const out = isUpgrade(req, verdict.framing) ? this.#ask({ connection, req, verdict, published }, upgrade) : null;
    if (out === null) {
      log.refused(connection.client.source.address, "host", "bad-upgrade", verdict.name);
      return end(400);
    }
    // node has let go of the connection: nothing else would end a wait for the host.
    const late = setTimeout(() => out.destroy(new HostError("timeout", "no answer to an upgrade")), timings.keepAliveMs);
    out.once("close", () => clearTimeout(late));
    out.on("upgrade", (answer, host, hostHead) => {
      log.count("upgraded");
      const fields = [...passedAnswer(answer.rawHeaders), "Connection", "Upgrade", "Upgrade", answer.headers.upgrade ?? upgrade];
      clearTimeout(late);
      hasBegun = true;
      socket.write(headText("101 Switching Protocols", fields), "latin1");
      if (head.length > 0) socket.unshift(head);
      if (hostHead.length > 0) host.unshift(hostHead);
      relay(connection.socket, host, timings.idleMs);
    });
    out.on("response", (answer) => {
      clearTimeout(late);
      if (!isFinal(answer)) return out.destroy(new HostError("refused", "a status that is none"));
      hasBegun = true;
      // What else the client sends is nobody's; its end, or silence, is that of the answer.
      connection.socket.setTimeout(timings.idleMs, () => socket.destroy());
      socket.on("end", () => socket.destroy());
      socket.resume();
      socket.write(headText(`${answer.statusCode} ${answer.statusMessage ?? ""}`, [...passedAnswer(answer.rawHeaders), "Connection", "close"]), "latin1");
      pipeline(answer, socket, () => connection.socket.destroySoon());
    });
    out.on("error", (error) => {
      if (socket.destroyed) return;
      log.failed(published.to, error);
      end(statusOf(error));
    });
    socket.once("close", () => out.destroy());
    out.end();
  }

  #onClientError(error: Error & { readonly code?: string }, socket: Duplex): void {
    // What comes behind a refusal is read by node's parser again.
    if (this.#refused.has(socket)) return;
    const connection = this.#connections.get(socket);
    if (connection === undefined || !socket.writable || error.code === "ECONNRESET") return void socket.destroy();
    this.#refused.add(socket);
    const isLate = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
    this.#env.log.refused(connection.client.source.address, "host", isLate ? "late" : "malformed", null);
    // Amid an answer nothing can be said.
    if (isLate || connection.open > 0) socket.destroy();
    else endWith(connection.socket, rawAnswer(error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400), this.#env.timings.lingerMs);
  }
}

/** A request that may be passed on. */
interface Asked {
  readonly connection: Connection;
  readonly req: IncomingMessage;
  readonly verdict: Named;
  readonly published: PublishedName;
}

interface Passing extends Asked {
  readonly res: ServerResponse;
}

/** The host of a name is another one when the configuration has changed. */
function agentOf(connection: Connection, { to, http, proxyProtocol }: PublishedName, connect: Connect): Agent {
  const host = `${to} ${http} ${proxyProtocol}`;
  if (connection.agent !== null && connection.agent.to !== host) {
    connection.agent.connections.destroy();
    connection.agent = null;
  }
  connection.agent ??= { to: host, connections: new HostAgent(connect) };
  return connection.agent.connections;
}

function endIfIdle({ socket, open, isRelay }: Connection): void {
  if (open === 0 && !isRelay) socket.destroySoon();
}

const statusOf = (error: Error): RefusalStatus => (error instanceof HostError && error.why === "timeout" ? 504 : 502);

function refuse(res: ServerResponse, status: RefusalStatus): void {
  if (res.headersSent || res.destroyed) return;
  const { reason, body, headers } = answerOf(status);
  res.writeHead(status, reason, { ...headers });
  res.end(body);
}

/** A status that ends a request (RFC 9110 §15): node's parser takes others, which its writer throws for. */
const isFinal = ({ statusCode = 0 }: IncomingMessage): boolean => statusCode >= 200 && statusCode <= 999;

/** @param fields names and values in turn */
const headText = (status: string, fields: readonly string[]): string =>
  [`HTTP/1.1 ${status}`, ...fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1] ?? ""}`] : [])), "", ""].join("\r\n");

/** What comes of a host to the client, and if it breaks off there, it does so here. */
function sendOn(answer: IncomingMessage, res: ServerResponse): void {
  try {
    if (!isFinal(answer)) throw new RangeError("a status that is none");
    res.writeHead(answer.statusCode ?? 0, answer.statusMessage, passedAnswer(answer.rawHeaders));
  } catch {
    // A head that node's parser takes and its writer does not.
    answer.destroy();
    return refuse(res, 502);
  }
  pipeline(answer, res, () => undefined);
}

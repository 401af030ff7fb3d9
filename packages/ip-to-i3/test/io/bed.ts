/** A publisher on loopback, whose hosts of the overlay are servers beside it. */
import { once } from "node:events";
import { createServer, connect as connectTcp, type AddressInfo, type Server, type Socket } from "node:net";

import type { Log, PublishConfig, PublishedName } from "@i3/common";
import { onTestFinished } from "vitest";

import { HostError } from "../../src/io/errors.js";
import { TIMINGS, type Timings } from "../../src/io/client.js";
import { PublishLog } from "../../src/io/publish-log.js";
import { Publisher, type PublisherOptions } from "../../src/io/publisher.js";
import { PLACE_LIMITS, type PlaceLimits } from "../../src/places/places.js";

export const LOOPBACK = { kind: "ipv4", text: "127.0.0.1", bytes: Uint8Array.of(127, 0, 0, 1) } as const;

export async function listening(server: Server): Promise<number> {
  server.on("connection", (socket: Socket) => socket.on("error", () => undefined));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** The connections of a server that does nothing with them, in their order. */
export function connectionsOf(server: Server): () => Promise<Socket> {
  const come: Socket[] = [];
  const wanted: ((socket: Socket) => void)[] = [];
  server.on("connection", (socket: Socket) => {
    onTestFinished(() => void socket.destroy());
    const want = wanted.shift();
    if (want === undefined) come.push(socket);
    else want(socket);
  });
  return () => new Promise((resolve) => {
    const socket = come.shift();
    if (socket === undefined) wanted.push(resolve);
    else resolve(socket);
  });
}

export function client(port: number): Socket {
  const socket = connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** All that a socket gets until the other side ends or breaks off. */
export async function rest(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve) => {
    socket.once("end", resolve);
    socket.once("close", () => resolve());
  });
  return Buffer.concat(chunks);
}

/** Resolves in the turn of the event loop in which it holds. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** Reads until as many bytes have come. */
export async function atLeast(socket: Socket, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < count) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    chunks.push(chunk);
    length += chunk.length;
  }
  return Buffer.concat(chunks);
}

export interface PublishBed {
  readonly publisher: Publisher;
  readonly port: number;
  readonly config: PublishConfig;
  readonly lines: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[];
  /** What was connected to: name and port. */
  readonly asked: string[];
  readonly counters: () => Readonly<Record<string, number>>;
  readonly line: (event: string) => Promise<Readonly<Record<string, unknown>>>;
}

export interface BedOptions {
  readonly by: "sni" | "host" | "fixed";
  readonly forwarded?: boolean;
  readonly names?: readonly Partial<PublishedName>[];
  readonly proxyProtocol?: "none" | "v2";
  /** Port of the host behind; null: it cannot be reached. */
  readonly to: number | null;
  readonly why?: HostError["why"];
  readonly timings?: Partial<Timings>;
  readonly limits?: Partial<PlaceLimits>;
  readonly drainMs?: number;
  readonly connect?: PublisherOptions["hosts"]["connect"];
}

export async function publish(options: BedOptions): Promise<PublishBed> {
  const { by, to, names = [{ name: "home.example.org" }], proxyProtocol = "none" } = options;
  const port = await freePort();
  const config: PublishConfig = {
    listen: [LOOPBACK],
    shared: by === "fixed" ? [] : [{ port, by, forwarded: options.forwarded ?? true, line: 1 }],
    ports: by === "fixed" ? [{ listen: port, to: "home.i3", go: "i3", port: 22, proxyProtocol, line: 1 }] : [],
    names: names.map((each) => ({ name: "home.example.org", to: "home.i3", go: "i3" as const, waypoint: undefined, https: 443, http: 80, proxyProtocol, line: 1, ...each })),
    domain: undefined, waypoints: undefined,
  };
  const lines: PublishBed["lines"] = [];
  const heard: (() => void)[] = [];
  const log: Log = (_, event, fields) => {
    lines.push({ event, fields });
    for (const each of heard.splice(0)) each();
  };
  const asked: string[] = [];
  const connect: PublisherOptions["hosts"]["connect"] = async (host, hostPort, first) => {
    asked.push(`${host.to}:${hostPort}`);
    if (to === null) throw new HostError(options.why ?? "unreachable", "a test");
    const socket = connectTcp({ host: "127.0.0.1", port: to, allowHalfOpen: true });
    await once(socket, "connect");
    if (first.length > 0) socket.write(first);
    return socket;
  };
  const publisher = await Publisher.open({
    config, log: new PublishLog(log), hosts: { connect: options.connect ?? connect }, timings: { ...TIMINGS, ...options.timings }, limits: { ...PLACE_LIMITS, ...options.limits }, drainMs: options.drainMs ?? 10_000,
  });
  onTestFinished(() => publisher.close());
  const line = async (event: string): Promise<Readonly<Record<string, unknown>>> => {
    for (;;) {
      const found = lines.find((each) => each.event === event);
      if (found !== undefined) return found.fields;
      await new Promise<void>((resolve) => heard.push(resolve));
    }
  };
  return { publisher, port, config, lines, asked, line, counters: () => publisher.counters() as Readonly<Record<string, number>> };
}

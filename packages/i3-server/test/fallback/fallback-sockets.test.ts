/** WebSockets of hosts at a server's real sockets, on loopback: what a host says goes to servers, and what it should not do ends in silence. */
import { spawnSync } from "node:child_process";
import { createSocket, Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";

import { decodeDetourFrame, encodeDetourFrame, I3Error, makeLocator, parseServerConfig, type Locator } from "@i3/common";
import { encodeDataHeader } from "@i3/datapath";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";

import { FallbackConnection } from "../../src/fallback/fallback-core.js";
import { DATAGRAMS_BURST, HANDSHAKE_MS, HANDSHAKES_PER_SOURCE_BURST, IDLE_MS, MAX_CONNECTIONS_PER_SOURCE, MAX_MALFORMED, PORTS_BURST, STRANGERS_BURST, UNUSED_MS } from "../../src/fallback/limits.js";
import { Fallback, readTlsFiles } from "../../src/io/fallback.js";

const directory = mkdtempSync(join(tmpdir(), "i3-fallback-"));
const [certificateFile, keyFile] = [join(directory, "crt"), join(directory, "key")];
const { listen } = parseServerConfig('<i3-server version="1"><identity key-file="k"/><listen address="127.0.0.1"/></i3-server>', "x.xml");
const DATA = encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 255, payloadKind: 1, nonce: new Uint8Array(8), ids: [new Uint8Array(32)] });

interface Peer {
  readonly socket: UdpSocket;
  readonly locator: Locator;
  readonly got: Buffer[];
}

/** Answers each datagram with the same and one byte more. */
async function peer(): Promise<Peer> {
  const socket = createSocket("udp4");
  const got: Buffer[] = [];
  socket.on("message", (bytes, { address, port }) => {
    got.push(bytes);
    socket.send(Buffer.concat([bytes, Buffer.of(0xaa)]), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { socket, got, locator: makeLocator(Uint8Array.of(127, 0, 0, 1), socket.address().port) };
}

let fallback: Fallback;
let server: Peer;
let stranger: Peer;
let nowMs: number;
const open: (WebSocket | Socket)[] = [];
beforeAll(() => {
  const { status, stderr } = spawnSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=i3", "-keyout", keyFile, "-out", certificateFile], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
});
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(async () => {
  nowMs = 1_000;
  [server, stranger] = await Promise.all([peer(), peer()]);
  fallback = await Fallback.open({ config: { port: 0, certificateFile, keyFile }, listen, self: server.locator, isServer: () => false, log: () => undefined, nowMs: () => nowMs });
});
afterEach(() => {
  for (const one of open.splice(0)) one instanceof WebSocket ? one.terminate() : one.destroy();
  fallback.close();
  for (const { socket } of [server, stranger]) socket.close();
});

function webSocket(path = "/i3"): WebSocket {
  const socket = new WebSocket(`wss://127.0.0.1:${fallback.port}${path}`, { rejectUnauthorized: false });
  socket.on("error", () => undefined);
  open.push(socket);
  return socket;
}

async function opened(): Promise<WebSocket> {
  const socket = webSocket();
  await once(socket, "open");
  return socket;
}

function tcp(): Socket {
  const socket = connectTcp(fallback.port, "127.0.0.1");
  socket.on("error", () => undefined);
  open.push(socket);
  return socket;
}

/** All that a connection yields until it is closed. */
async function all(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}

const frame = (to: Locator, bytes: Uint8Array = DATA): Uint8Array => encodeDetourFrame({ locator: to, bytes });

/** Sends to the server and waits for its answer: what was sent before has been seen by then. */
async function roundTrip(socket: WebSocket): Promise<void> {
  const answer = once(socket, "message");
  socket.send(frame(server.locator));
  const [message] = (await answer) as [Buffer];
  const { locator, bytes } = decodeDetourFrame(message);
  expect([locator, Buffer.from(bytes)]).toEqual([server.locator, Buffer.concat([DATA, Buffer.of(0xaa)])]);
}

/** As {@link roundTrip}, with others before the answer. */
async function roundTripAmong(socket: WebSocket): Promise<void> {
  const answered = new Promise<void>((resolve) => socket.on("message", (message: Buffer) => void (message.length < 1_000 && resolve())));
  socket.send(frame(server.locator));
  await answered;
}

describe("a host's WebSocket", () => {
  it("carries datagrams to a server and back, each host with a port of its own", async () => {
    const [one, two] = await Promise.all([opened(), opened()]);
    const ports = new Set<number>();
    server.socket.on("message", (_, { port }) => ports.add(port));
    await roundTrip(one);
    await roundTrip(two);
    expect(ports.size).toBe(2);
    expect(fallback.counters()).toMatchObject({ open: 2, fromHosts: 2, toHosts: 2 });
  });

  it("carries nothing to strangers, nor from them", async () => {
    const host = await opened();
    const got: unknown[] = [];
    host.on("message", (message) => got.push(message));
    host.send(frame(stranger.locator));
    server.socket.on("message", (_, { port }) => stranger.socket.send(DATA, port, "127.0.0.1"));
    await roundTrip(host);
    await roundTrip(host);
    expect(stranger.got).toEqual([]);
    expect(got).toHaveLength(2);
    expect(fallback.counters()).toMatchObject({ fromHosts: 2, toHosts: 2 });
  });

  it("drops what is no frame, and goes on", async () => {
    const host = await opened();
    host.send(new Uint8Array());
    host.send("text");
    host.send(Uint8Array.of(6, 1));
    await roundTrip(host);
    expect(server.got).toHaveLength(1);
    expect(fallback.counters()).toMatchObject({ malformed: 3, fromHosts: 1 });
  });

  it("ends when it goes on with what is no frame", async () => {
    const host = await opened();
    for (let i = 0; i < MAX_MALFORMED; i += 1) host.send(Uint8Array.of(1));
    await once(host, "close");
    expect(fallback.counters()).toMatchObject({ open: 0, malformed: MAX_MALFORMED, misused: 1 });
  });

  it("ends with a message of 70,000 bytes, of which nothing goes on", async () => {
    const host = await opened();
    host.send(frame(server.locator, new Uint8Array(70_000).fill(0x11)));
    await once(host, "close");
    await roundTrip(await opened());
    expect(server.got).toHaveLength(1);
    expect(fallback.counters()).toMatchObject({ open: 1 });
  });

  it("ends with a message in fragments, and with one in hundreds of TLS records: what is not whole is kept", async () => {
    const host = await opened();
    const ended = once(host, "close");
    host.send(frame(server.locator).subarray(0, 4), { fin: false });
    host.send(frame(server.locator).subarray(4), { fin: true });
    await ended;
    const raw = connectTls({ port: fallback.port, host: "127.0.0.1", rejectUnauthorized: false });
    raw.on("error", () => undefined);
    open.push(raw);
    await once(raw, "secureConnect");
    raw.write("GET /i3 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    await once(raw, "data");
    // A binary frame of 60,000 bytes, masked with zeros.
    raw.write(Buffer.of(0x82, 0x80 | 126, 60_000 >> 8, 60_000 & 255, 0, 0, 0, 0));
    const closed = all(raw);
    const oneByOne = async (): Promise<void> => {
      for (let i = 0; i < 1_000 && raw.writable; i += 1) await new Promise<void>((resolve) => void raw.write(Buffer.of(0x11), () => resolve()));
    };
    await Promise.all([oneByOne(), closed]);
    expect(server.got).toEqual([]);
    expect(fallback.counters()).toMatchObject({ open: 0 });
  });

  it("that is never read is kept waiting with a quarter of a mebibyte, and the rest is dropped", async () => {
    const host = await opened();
    let port = 0;
    server.socket.on("message", (_, from) => (port = from.port));
    await roundTrip(host);
    host.pause();
    const large = Buffer.alloc(60_000);
    large.set(DATA);
    const dropped = (): number => (fallback.counters() as { readonly queueFull: number }).queueFull;
    for (let i = 0; i < 5_000 && dropped() < 20; i += 1) await new Promise((resolve) => void server.socket.send(large, port, "127.0.0.1", () => setImmediate(resolve)));
    expect(dropped()).toBeGreaterThanOrEqual(20);
    host.resume();
    await roundTripAmong(host);
  });

  it("that says too much is not read until it may go on, so that hardly anything is lost", async () => {
    const host = await opened();
    const large = new Uint8Array(60_000);
    large.set(DATA);
    const count = 600;
    for (let i = 0; i < count; i += 1) host.send(frame(server.locator, large));
    const counted = (): { readonly fromHosts: number; readonly rate: number; readonly rests: number } => fallback.counters() as ReturnType<typeof counted>;
    // Time goes by while it rests alone.
    for (let rests = 0; counted().fromHosts + counted().rate < count; await new Promise(setImmediate)) {
      if (counted().rests === rests) continue;
      rests = counted().rests;
      nowMs += 500;
    }
    expect(counted().rests).toBeGreaterThan(5);
    expect(counted().rate).toBeLessThan(2 * counted().rests);
  });

  it("ends with PINGs of WebSockets, which no proxy sends", async () => {
    const host = await opened();
    const closed = once(host, "close");
    for (let i = 0; i < DATAGRAMS_BURST; i += 1) host.ping();
    await closed;
    expect(fallback.counters()).toMatchObject({ open: 0, misused: 1 });
  });

  it("is read again when all is paid that came in one piece with what was too much", async () => {
    const [host, resume, rest] = [await opened(), vi.spyOn(WebSocket.prototype, "resume"), vi.spyOn(FallbackConnection.prototype, "restMs")];
    for (let i = 0; i < DATAGRAMS_BURST + 1_000; i += 1) host.send(frame(stranger.locator));
    while ((fallback.counters() as { readonly rests: number }).rests === 0) await new Promise(setImmediate);
    const before = rest.mock.calls.length;
    rest.mockReturnValueOnce(5).mockReturnValueOnce(0);
    while (resume.mock.calls.length === 0) await new Promise(setImmediate);
    const [[resumed = 0], asked] = [resume.mock.invocationCallOrder, rest.mock.invocationCallOrder.slice(before)];
    for (const spy of [resume, rest]) spy.mockRestore();
    expect(asked.filter((order) => order < resumed)).toHaveLength(2);
  });

  it("does not rest before it is one: that would hold it back afterwards", async () => {
    const raw = connectTls({ port: fallback.port, host: "127.0.0.1", rejectUnauthorized: false });
    raw.on("error", () => undefined);
    open.push(raw);
    await once(raw, "secureConnect");
    const rest = vi.spyOn(FallbackConnection.prototype, "restMs").mockReturnValue(10_000);
    fallback.sweep();
    rest.mockRestore();
    expect(fallback.counters()).toMatchObject({ open: 1, rests: 0 });
  });

  it("ends at once when there is no UDP socket for it", async () => {
    const { bind } = UdpSocket.prototype;
    const elsewhere = vi.spyOn(UdpSocket.prototype, "bind").mockImplementation(function (this: UdpSocket, ...[, done]: unknown[]) {
      return bind.call(this, { address: "203.0.113.1", port: 0, exclusive: true }, done as () => void);
    });
    const host = webSocket();
    await new Promise((resolve) => void host.once("close", resolve));
    elsewhere.mockRestore();
    expect(fallback.counters()).toMatchObject({ open: 0, ioErrors: 1 });
  });

  it("has all bytes of its connection counted, those of TLS too", async () => {
    const heard = vi.spyOn(FallbackConnection.prototype, "heard");
    const host = await opened();
    for (let i = 0; i < 100; i += 1) await new Promise((resolve) => host.send(frame(server.locator, DATA), resolve));
    await roundTrip(host);
    const bytes = heard.mock.calls.reduce((sum, [, more]) => sum + more, 0);
    const [least, most] = [22, 120].map((overhead) => 101 * (frame(server.locator).length + overhead));
    expect(bytes).toBeGreaterThan(least ?? 0);
    expect(bytes).toBeLessThan(most ?? 0);
    heard.mockRestore();
  });

  it("has another port when strangers fill the one that it has, and ends when they fill these too", async () => {
    const host = await opened();
    let port = 0;
    server.socket.on("message", (_, from) => (port = from.port));
    let isClosed = false;
    host.on("close", () => (isClosed = true));
    const counted = (): { readonly moved: number } => fallback.counters() as ReturnType<typeof counted>;
    const fill = async (isDone: () => boolean): Promise<void> => {
      for (let i = 0; i < 100 * STRANGERS_BURST && !isDone(); i += 1) await new Promise((resolve) => void stranger.socket.send(DATA, port, "127.0.0.1", () => setImmediate(resolve)));
    };
    const ports = new Set<number>();
    for (let moved = 0; moved < PORTS_BURST; moved += 1) {
      await roundTrip(host);
      ports.add(port);
      await fill(() => counted().moved > moved);
    }
    await roundTrip(host);
    expect([ports.size, ports.has(port), isClosed]).toEqual([PORTS_BURST, false, false]);
    await fill(() => isClosed);
    expect([isClosed, fallback.counters()]).toMatchObject([true, { open: 0, moved: PORTS_BURST, flooded: 1 }]);
  });

  it("has its bytes counted each second, and ends then too when they are too many", async () => {
    const heard = vi.spyOn(FallbackConnection.prototype, "heard");
    const [host, raw] = [await opened(), connectTls({ port: fallback.port, host: "127.0.0.1", rejectUnauthorized: false })];
    raw.on("error", () => undefined);
    open.push(raw);
    await once(raw, "secureConnect");
    fallback.sweep();
    expect(new Set(heard.mock.contexts.filter((_, i) => (heard.mock.calls[i]?.[1] ?? 0) > 0)).size).toBe(2);
    heard.mockRestore();
    const misused = vi.spyOn(FallbackConnection.prototype, "isMisused", "get").mockReturnValue(true);
    const closed = Promise.all([once(host, "close"), once(raw, "close")]);
    fallback.sweep();
    misused.mockRestore();
    await closed;
    expect(fallback.counters()).toMatchObject({ open: 0 });
  });

  it("ends when the host is silent for too long", async () => {
    const host = await opened();
    const closed = once(host, "close");
    nowMs += IDLE_MS;
    fallback.sweep();
    await closed;
    expect(fallback.counters()).toMatchObject({ open: 0, idle: 1 });
  });

  it("ends when it makes room for another", async () => {
    const hosts: WebSocket[] = [];
    for (let i = 0; i < MAX_CONNECTIONS_PER_SOURCE; i += 1) {
      nowMs += 500;
      hosts.push(await opened());
    }
    const closed = Promise.race(hosts.map((host) => once(host, "close")));
    nowMs += UNUSED_MS;
    await Promise.all([opened(), closed]);
    expect(fallback.counters()).toMatchObject({ open: MAX_CONNECTIONS_PER_SOURCE, displaced: 1, refused: 0 });
  });

  it("gives its place back when it ends", async () => {
    const host = await opened();
    await roundTrip(host);
    host.close();
    await once(host, "close");
    await roundTrip(await opened());
    expect(fallback.counters()).toMatchObject({ open: 1, connections: 2 });
  });
});

describe("whoever wants something else", () => {
  it("is closed without a word when there are too many of one source", async () => {
    const sockets = Array.from({ length: HANDSHAKES_PER_SOURCE_BURST + 20 }, () => tcp());
    const texts = await Promise.all(sockets.slice(HANDSHAKES_PER_SOURCE_BURST).map(all));
    expect(texts.join("")).toBe("");
    expect(fallback.counters()).toMatchObject({ open: HANDSHAKES_PER_SOURCE_BURST, refused: 20 });
  });

  it("is closed without a word when its handshake takes too long, wherever it has stopped", async () => {
    const silent = tcp();
    const half = tcp();
    const inTls = connectTls({ port: fallback.port, host: "127.0.0.1", rejectUnauthorized: false });
    open.push(inTls);
    inTls.on("error", () => undefined);
    await Promise.all([once(silent, "connect"), once(half, "connect"), once(inTls, "secureConnect")]);
    half.write(Buffer.of(0x16, 3, 1, 2, 0));
    inTls.write("GET /i3 HTTP/1.1\r\nUpgrade: webso");
    const texts = Promise.all([silent, half, inTls].map(all));
    await roundTrip(await opened());
    nowMs += HANDSHAKE_MS;
    fallback.sweep();
    expect(await texts).toEqual(["", "", ""]);
    expect(fallback.counters()).toMatchObject({ open: 1, slow: 3 });
  });

  it("has TLS in which nothing goes on for nothing: no KeyUpdates, and few new handshakes", async () => {
    const socket = connectTls({ port: fallback.port, host: "127.0.0.1", rejectUnauthorized: false });
    const errors: unknown[] = [];
    socket.on("error", (error) => errors.push(error));
    open.push(socket);
    await once(socket, "secureConnect");
    expect(socket.getProtocol()).toBe("TLSv1.2");
    const closed = new Promise<false>((resolve) => void socket.once("close", () => resolve(false)));
    let more = 0;
    const renegotiated = (): Promise<boolean> => new Promise((resolve) => void (socket.renegotiate({ rejectUnauthorized: false }, (error) => resolve(error === null)) === false && resolve(false)));
    while (more < 10 && (await Promise.race([renegotiated(), closed]))) more += 1;
    await closed;
    expect(more).toBe(3);
    expect(fallback.counters()).toMatchObject({ open: 0 });
  });

  it.each([["a page", "GET /i3 HTTP/1.1\r\nHost: a\r\n\r\n"], ["another path", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"], ["nothing that is HTTP", "hello\r\n\r\n"]])("hears nothing: %s", async (_, text) => {
    const socket = connectTls({ port: fallback.port, host: "127.0.0.1", rejectUnauthorized: false });
    socket.on("error", () => undefined);
    open.push(socket);
    await once(socket, "secureConnect");
    socket.write(text);
    expect(await all(socket)).toBe("");
    expect(fallback.counters()).toMatchObject({ open: 0 });
  });
});

describe("a configuration that cannot work", () => {
  it("is refused with what to do", async () => {
    expect(() => readTlsFiles({ port: 443, certificateFile: join(directory, "none"), keyFile })).toThrow(I3Error);
    const other = join(directory, "other");
    writeFileSync(other, "no key");
    expect(() => readTlsFiles({ port: 443, certificateFile, keyFile: other })).toThrow(/not a certificate and its key/);
    const taken = Fallback.open({ config: { port: fallback.port, certificateFile, keyFile }, listen, self: server.locator, isServer: () => false, log: () => undefined });
    await expect(taken).rejects.toMatchObject({ code: "ERR_I3_TCP_PORT" });
  });
});

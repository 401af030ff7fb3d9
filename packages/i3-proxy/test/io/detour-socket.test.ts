/** A proxy's WebSocket to a server, on loopback: what opens, what does not, and what passes. */
import { spawnSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createServer, type Server } from "node:https";
import { connect, createServer as createTcpServer, type AddressInfo, type Socket as TcpSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { encodeDetourFrame, makeLocator, parseProxyConfig, type Locator } from "@i3/common";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";

import { DetourSocket, tcpServers } from "../../src/io/detour-socket.js";

const directory = mkdtempSync(join(tmpdir(), "i3-detour-"));
const RING = makeLocator(Uint8Array.of(192, 0, 2, 1), 5_610);
let https: Server;
let sockets: WebSocketServer;
let pin: string;
let socket: DetourSocket | undefined;
beforeAll(async () => {
  const [crt, key] = [join(directory, "crt"), join(directory, "key")];
  const { status, stderr } = spawnSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=i3", "-keyout", key, "-out", crt], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  const [cert, privateKey] = [readFileSync(crt), readFileSync(key)];
  pin = createHash("sha256").update(new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" })).digest("hex");
  https = createServer({ cert, key: privateKey });
  sockets = new WebSocketServer({ server: https, path: "/i3" });
  https.listen(0, "127.0.0.1");
  await once(https, "listening");
});
afterEach(() => {
  socket?.disconnect();
  for (const client of sockets.clients) client.terminate();
});
afterAll(() => {
  https.close();
  rmSync(directory, { recursive: true });
});

/** To the server with these attributes besides, as a configuration names it. Emits opened, closed and datagram. */
function make(attributes: string, port = (https.address() as AddressInfo).port, connectTcp?: () => Promise<TcpSocket>): EventEmitter {
  const text = `<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.9"/><server address="127.0.0.1" tcp-port="${port}" ${attributes}/></servers></i3-proxy>`;
  const events = new EventEmitter();
  socket = new DetourSocket({
    servers: tcpServers(parseProxyConfig(text, "x.xml").servers), onOpened: () => void events.emit("opened"), onClosed: (why) => void events.emit("closed", why),
    onDatagram: (from, bytes) => void events.emit("datagram", from, bytes), ...(connectTcp === undefined ? {} : { connectTcp }),
  });
  expect(socket.names).toEqual([`127.0.0.1:${port}`]);
  return events;
}

it("goes over a connection that somebody else begins, and says why there is none", async () => {
  const { port } = https.address() as AddressInfo;
  const begun = connect(port, "127.0.0.1");
  const accepted = once(sockets, "connection") as Promise<[WebSocket, IncomingMessage]>;
  const opened = make(`tls-pin="${pin}"`, port, () => Promise.resolve(begun));
  socket?.connect(0);
  await once(opened, "opened");
  expect((await accepted)[1].socket.remotePort).toBe(begun.localPort);
  const closed = make("", port, () => Promise.reject(new Error("nobody knows the name")));
  socket?.connect(0);
  expect(await once(closed, "closed")).toEqual([expect.stringContaining("nobody knows the name")]);
});

it("opens with any certificate, and carries datagrams both ways", async () => {
  const events = make("");
  const accepted = once(sockets, "connection") as Promise<[WebSocket]>;
  socket?.connect(0);
  await once(events, "opened");
  const [server] = await accepted;
  const message = once(server, "message");
  socket?.send(RING, Uint8Array.of(0x11, 7));
  expect(Uint8Array.from((await message)[0] as Buffer)).toEqual(encodeDetourFrame({ locator: RING, bytes: Uint8Array.of(0x11, 7) }));
  const datagram = once(events, "datagram") as Promise<[Locator, Uint8Array]>;
  server.send("text");
  server.send(Uint8Array.of(6, 1));
  server.send(encodeDetourFrame({ locator: RING, bytes: Uint8Array.of(0x19, 8) }));
  const [from, bytes] = await datagram;
  expect([from, Uint8Array.from(bytes)]).toEqual([RING, Uint8Array.of(0x19, 8)]);
  expect(socket?.counters).toEqual({ malformed: 2, queueFull: 0 });
  server.terminate();
  expect(await once(events, "closed")).toEqual(["it was closed"]);
});

it("opens with the key of its pin, and with no other", async () => {
  const right = make(`tls-pin="${pin}"`);
  socket?.connect(0);
  await once(right, "opened");
  socket?.disconnect();
  const wrong = make(`tls-pin="${"0".repeat(64)}"`);
  wrong.on("opened", () => expect.unreachable("another key was taken"));
  socket?.connect(0);
  expect(await once(wrong, "closed")).toEqual(["its TLS key is not the one of tls-pin"]);
});

it("says why when nobody is there, and nothing when it is given up", async () => {
  const events = make("", 1);
  socket?.connect(0);
  expect((await once(events, "closed"))[0]).toMatch(/ECONNREFUSED/);
  const given = make("");
  given.on("closed", () => expect.unreachable("told of what was given up"));
  const accepted = once(sockets, "connection") as Promise<[WebSocket]>;
  socket?.connect(0);
  const [server] = await accepted;
  socket?.disconnect();
  await once(server, "close");
});

it("drops what a slow way does not take", async () => {
  const events = make("");
  const accepted = once(sockets, "connection") as Promise<[WebSocket]>;
  socket?.connect(0);
  await once(events, "opened");
  (await accepted)[0].pause();
  for (let i = 0; i < 2_000; i += 1) socket?.send(RING, new Uint8Array(10_000).fill(0x11));
  expect(socket?.counters.queueFull).toBeGreaterThan(100);
});

it("lets a server go that never finishes TLS, without a word", async () => {
  const silent = createTcpServer();
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const events = make("", (silent.address() as AddressInfo).port);
  const closed: unknown[] = [];
  events.on("closed", (why) => closed.push(why));
  const accepted = once(silent, "connection") as Promise<[TcpSocket]>;
  socket?.connect(0);
  const [other] = await accepted;
  expect(socket?.local()).toBeNull();
  other.on("error", () => undefined);
  other.resume();
  const ended = once(other, "close");
  socket?.disconnect();
  await ended;
  expect(closed).toEqual([]);
  silent.close();
});

it("knows by which address of ours it leaves, while it is open", async () => {
  const events = make("");
  expect(socket?.local()).toBeNull();
  socket?.connect(0);
  await once(events, "opened");
  expect(socket?.local()).toEqual(Uint8Array.of(127, 0, 0, 1));
  socket?.disconnect();
  expect(socket?.local()).toBeNull();
});

it("ends with a message in fragments", async () => {
  const events = make("");
  const accepted = once(sockets, "connection") as Promise<[WebSocket]>;
  socket?.connect(0);
  await once(events, "opened");
  const [server] = await accepted;
  const closed = once(events, "closed");
  server.send(Buffer.of(6), { fin: false });
  server.send(Buffer.of(1), { fin: true });
  expect((await closed)[0]).toMatch(/fragments/);
});

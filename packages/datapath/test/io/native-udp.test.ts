import { createSocket } from "node:dgram";
import { readdirSync, readlinkSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { makeDatagramBatch } from "@i3/datapath";
import { connectMarkedTcp } from "@i3/datapath/io";
import { loadNativeIo } from "@i3/datapath/native-io";
import { addressHex, receiveTexts, sendAll, textOf, turns, until } from "./batches.js";

const ADDON = fileURLToPath(new URL("../../build/Release/i3_native_io.node", import.meta.url));
const io = loadNativeIo();
const opened = new Set<number>();
afterEach(() => {
  for (const fd of opened) io.closeFd(fd);
  opened.clear();
});

function bind(family: 4 | 6 = 4, address = family === 4 ? "127.0.0.1" : "::1", port = 0): { fd: number; port: number } {
  const socket = io.openUdp({ family, address, port, mark: 0, bufferBytes: 1 << 20 });
  opened.add(socket.fd);
  return socket;
}

/** What the descriptors of this process are: "socket:[12345]" and so on. */
const openLinks = (): string[] =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // that of readdir itself
    }
  });

const openFds = (): number => readdirSync("/proc/self/fd").length;

describe("UDP batches", () => {
  it.each([
    { family: 4, address: "127.0.0.1" },
    { family: 6, address: "::1" },
  ] as const)("carries 200 datagrams over IPv$family in order", async ({ family, address }) => {
    const [a, b] = [bind(family), bind(family)];
    const texts = Array.from({ length: 200 }, (_, i) => `datagram ${i} ${"x".repeat(i)}`);
    expect(sendAll(io, a.fd, texts.map((text) => ({ text, address, port: b.port })))).toBe(200);
    expect(await receiveTexts(io, b.fd, 200)).toEqual(texts);
  });

  it("says where a datagram came from, IPv4 as mapped address", async () => {
    const [a, b, both] = [bind(4), bind(6), bind(6, "::")];
    sendAll(io, a.fd, [{ text: "four", address: "127.0.0.1", port: both.port }]);
    sendAll(io, b.fd, [{ text: "six", address: "::1", port: both.port }]);
    const batch = makeDatagramBatch(4, 100);
    await until(() => (batch.count += io.receiveBatch(both.fd, batch.arena.subarray(batch.count * 100), 100, batch.lengths.subarray(batch.count), batch.addresses.subarray(batch.count * 18))) === 2, "two datagrams");
    expect(textOf(batch, 0)).toBe("four");
    expect(addressHex(batch, 0)).toBe("00000000000000000000ffff7f000001");
    expect(((batch.addresses[16] ?? 0) << 8) | (batch.addresses[17] ?? 0)).toBe(a.port);
    expect(addressHex(batch, 1)).toBe("00000000000000000000000000000001");
  });

  it("says it in the same form on an IPv4 socket", async () => {
    const [a, b] = [bind(), bind()];
    sendAll(io, a.fd, [{ text: "x", address: "127.0.0.1", port: b.port }]);
    const batch = makeDatagramBatch(1, 100);
    await until(() => io.receiveBatch(b.fd, batch.arena, 100, batch.lengths, batch.addresses) === 1, "a datagram");
    expect(Buffer.from(batch.addresses).toString("hex")).toBe(`00000000000000000000ffff7f000001${a.port.toString(16).padStart(4, "0")}`);
  });

  it("sends to both families from a dual-stack socket", async () => {
    const [a, b, both] = [bind(4), bind(6), bind(6, "::")];
    expect(sendAll(io, both.fd, [{ text: "to4", address: "127.0.0.1", port: a.port }, { text: "to6", address: "::1", port: b.port }])).toBe(2);
    expect(await receiveTexts(io, a.fd, 1)).toEqual(["to4"]);
    expect(await receiveTexts(io, b.fd, 1)).toEqual(["to6"]);
  });

  it("skips what the kernel refuses and what the family cannot reach, and sends the rest", async () => {
    const [a, b] = [bind(), bind()];
    const sent = sendAll(io, a.fd, [
      { text: "one", address: "127.0.0.1", port: b.port },
      { text: "port 0", address: "127.0.0.1", port: 0 },
      { text: "no route for loopback", address: "255.255.255.255", port: b.port },
      { text: "family", address: "2001:db8::7f00:1", port: b.port },
      { text: "two", address: "127.0.0.1", port: b.port },
    ]);
    expect(sent).toBe(2);
    expect(await receiveTexts(io, b.fd, 2)).toEqual(["one", "two"]);
  });

  it("tells the real length of a datagram that was cut", async () => {
    const [a, b] = [bind(), bind()];
    sendAll(io, a.fd, [{ text: "y".repeat(150), address: "127.0.0.1", port: b.port }]);
    const batch = makeDatagramBatch(2, 100);
    await until(() => io.receiveBatch(b.fd, batch.arena, 100, batch.lengths, batch.addresses) === 1, "a datagram");
    expect(batch.lengths[0]).toBe(150);
    expect(batch.arena[100]).toBe(0);
  });

  it("goes on after ICMP port unreachable", async () => {
    const closed = bind();
    io.closeFd(closed.fd);
    opened.delete(closed.fd);
    const [a, b] = [bind(), bind()];
    let calls = 0;
    const watch = io.watchReadable(a.fd, () => (calls += 1));
    for (let i = 0; i < 10; i++) sendAll(io, a.fd, [{ text: "into the void", address: "127.0.0.1", port: closed.port }]);
    await turns();
    expect(calls).toBe(0);
    sendAll(io, b.fd, [{ text: "alive", address: "127.0.0.1", port: a.port }]);
    await until(() => calls > 0, "readable");
    expect(await receiveTexts(io, a.fd, 1)).toEqual(["alive"]);
    watch.close();
  });

  it("names a port in use", () => {
    const { port } = bind();
    expect(() => bind(4, "127.0.0.1", port)).toThrow(expect.objectContaining({ code: "EADDRINUSE", syscall: "bind", errno: -98 }));
  });
});

describe("watchReadable", () => {
  it("calls once per turn while something is left, and not after close", async () => {
    const [a, b] = [bind(), bind()];
    let calls = 0;
    const watch = io.watchReadable(b.fd, () => {
      calls += 1;
      if (calls === 3) watch.close();
    });
    sendAll(io, a.fd, [{ text: "never read", address: "127.0.0.1", port: b.port }]);
    await until(() => calls >= 3, "three calls");
    await turns();
    expect(calls).toBe(3);
  });

  it("runs next ticks and promises before the callback of another descriptor", async () => {
    const [sender, ...receivers] = [bind(), bind(), bind()];
    const order: string[] = [];
    // Both are readable before the event loop looks.
    for (const { port } of receivers) sendAll(io, sender.fd, [{ text: "x", address: "127.0.0.1", port }]);
    const watches = receivers.map(({ fd }, i) =>
      io.watchReadable(fd, () => {
        watches[i]?.close();
        order.push("callback");
        void Promise.resolve().then(() => order.push("microtask"));
        process.nextTick(() => order.push("tick"));
      }),
    );
    await until(() => order.length === 6, "two callbacks");
    expect(order).toEqual(["callback", "tick", "microtask", "callback", "tick", "microtask"]);
  });

  it("allows one watch per descriptor, and another after close", () => {
    const { fd } = bind();
    const first = io.watchReadable(fd, () => {});
    expect(() => io.watchReadable(fd, () => {})).toThrow(expect.objectContaining({ code: "EEXIST" }));
    first.close();
    first.close();
    io.watchReadable(fd, () => {}).close();
  });

  it("survives closeFd from its own callback, and the descriptor's number used again at once", async () => {
    const a = bind();
    for (let round = 0; round < 200; round++) {
      const socket = io.openUdp({ family: 4, address: "127.0.0.1", port: 0, mark: 0, bufferBytes: 0 });
      let calls = 0;
      const watch = io.watchReadable(socket.fd, () => {
        calls += 1;
        io.closeFd(socket.fd);
        watch.close();
      });
      sendAll(io, a.fd, [{ text: "x", address: "127.0.0.1", port: socket.port }]);
      if (round % 2 === 0) await until(() => calls === 1, "callback");
      else io.closeFd(socket.fd);
    }
  });

  it("leaks no descriptor", () => {
    const before = openFds();
    for (let i = 0; i < 500; i++) {
      const { fd } = io.openUdp({ family: i % 2 === 0 ? 4 : 6, address: i % 2 === 0 ? "127.0.0.1" : "::1", port: 0, mark: 0, bufferBytes: 0 });
      const watch = io.watchReadable(fd, () => {});
      if (i % 3 === 0) watch.close();
      io.closeFd(fd);
      io.watchNetlink(() => {}).close();
      expect(() => io.openUdp({ family: 4, address: "203.0.113.1", port: 0, mark: 0, bufferBytes: 0 })).toThrow("EADDRNOTAVAIL");
    }
    // The netlink watches close theirs in the next turn.
    return until(() => openFds() <= before, "every descriptor closed");
  });

  it("makes an exception of the callback an uncaught one, as node does for its own events", async () => {
    const worker = new Worker(
      `const io = require(${JSON.stringify(ADDON)});
       const { fd, port } = io.openUdp({ family: 4, address: "127.0.0.1", port: 0, mark: 0, bufferBytes: 0 });
       io.watchReadable(fd, () => { throw new Error("from the callback"); });
       require("node:dgram").createSocket("udp4").send("x", port, "127.0.0.1");`,
      { eval: true },
    );
    const [error] = (await once(worker, "error")) as [Error];
    expect(error.message).toBe("from the callback");
  });

  it("closes everything when a worker ends in the middle", async () => {
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(
        `const io = require(${JSON.stringify(ADDON)});
         const { readdirSync, readlinkSync } = require("node:fs");
         const sockets = () => readdirSync("/proc/self/fd").flatMap((fd) => { try { return [readlinkSync("/proc/self/fd/" + fd)]; } catch { return []; } });
         const before = new Set(sockets());
         const { fd } = io.openUdp({ family: 4, address: "127.0.0.1", port: 0, mark: 0, bufferBytes: 0 });
         io.watchReadable(fd, () => {}); io.watchNetlink(() => {}); io.listAddresses(4);
         require("node:worker_threads").parentPort.postMessage(sockets().filter((link) => link.startsWith("socket:") && !before.has(link)));`,
        { eval: true },
      );
      const [opened] = (await once(worker, "message")) as [string[]];
      expect(opened).toHaveLength(3);
      await worker.terminate();
      await until(() => openLinks().every((link) => !opened.includes(link)), "the worker's sockets closed");
    }
  });
});

describe("connectMarkedTcp", () => {
  it.each(["127.0.0.1", "::1"])("talks both ways with a server at %s", async (address) => {
    const server = createServer((socket) => socket.pipe(socket)).listen(0, address);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const socket = connectMarkedTcp(io, { address, port, mark: 0 });
    await once(socket, "connect");
    const sent = Buffer.alloc(1 << 20, "abc");
    const received: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => received.push(chunk));
    socket.end(sent);
    await once(socket, "close");
    expect(Buffer.concat(received).equals(sent)).toBe(true);
    server.close();
  });

  it("reports a refused connection like net.connect", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const { port } = holder.address() as AddressInfo;
    await new Promise((resolve) => holder.close(resolve));
    const before = openFds();
    const refusal = async (begin: () => ReturnType<typeof connect>): Promise<unknown> => (await once(begin(), "error"))[0];
    const ours = await refusal(() => connectMarkedTcp(io, { address: "127.0.0.1", port, mark: 0 })).catch((error: unknown) => error);
    const theirs = await refusal(() => connect(port, "127.0.0.1")).catch((error: unknown) => error);
    expect(ours).toMatchObject({ code: "ECONNREFUSED", syscall: "connect" });
    expect(ours).toMatchObject({ code: (theirs as NodeJS.ErrnoException).code ?? "" });
    await until(() => openFds() <= before, "sockets closed");
  });
});

it("is no obstacle to other UDP sockets of node", async () => {
  const theirs = createSocket("udp4").bind(0, "127.0.0.1");
  await once(theirs, "listening");
  const ours = bind();
  sendAll(io, ours.fd, [{ text: "hello", address: "127.0.0.1", port: theirs.address().port }]);
  const [message] = (await once(theirs, "message")) as [Buffer];
  expect(message.toString()).toBe("hello");
  theirs.close();
});

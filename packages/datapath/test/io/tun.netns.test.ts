/**
 *     test socket ── UDP ──▶ kernel ──▶ i3t… (TUN) ──▶ addon ──▶ test
 *                ◀─────────          ◀──           ◀──       ◀──
 */
import { readdirSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { once } from "node:events";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { makePacketBatch } from "@i3/datapath";
import { loadNativeIo } from "@i3/datapath/native-io";
import { receiveTexts, sendAll, turns, until } from "./batches.js";
import { ip, makeTun, requireOwnNamespace } from "./namespace.js";

const io = loadNativeIo();
const fds: number[] = [];
beforeAll(() => requireOwnNamespace(io));
afterEach(() => {
  for (const fd of fds.splice(0)) io.closeFd(fd);
});

function openTun(name: string, net: number): { readonly fd: number; readonly index: number } {
  const tun = makeTun(io, name, net);
  fds.push(tun.fd);
  return tun;
}

function openSocket(address = "0.0.0.0", mark = 0): { readonly fd: number; readonly port: number } {
  const socket = io.openUdp({ family: 4, address, port: 0, mark, bufferBytes: 1 << 20 });
  fds.push(socket.fd);
  return socket;
}

/** Drops what the kernel itself sends to a new interface (router solicitations, multicast reports). */
const isTest = (bytes: Uint8Array): boolean => bytes[0] === 0x45 && bytes[9] === 17;

describe("a TUN device", () => {
  it("yields what is sent to it, in batches and in order", async () => {
    const tun = openTun("i3t0", 1);
    const socket = openSocket();
    const texts = Array.from({ length: 150 }, (_, i) => `packet ${i}`);
    expect(sendAll(io, socket.fd, texts.map((text) => ({ text, address: "10.99.1.7", port: 9 })))).toBe(150);
    const batch = makePacketBatch(64, 2_048);
    const seen: string[] = [];
    const sizes: number[] = [];
    while ((batch.count = io.readBatch(tun.fd, batch.arena, 2_048, batch.lengths)) > 0) {
      sizes.push(batch.count);
      for (let i = 0; i < batch.count; i++) {
        const packet = batch.arena.subarray(i * 2_048, i * 2_048 + (batch.lengths[i] ?? 0));
        if (isTest(packet)) seen.push(Buffer.from(packet.subarray(28)).toString());
      }
    }
    expect(seen).toEqual(texts);
    expect(Math.max(...sizes)).toBe(64);
    expect(io.readBatch(tun.fd, batch.arena, 2_048, batch.lengths)).toBe(0);
  });

  it("takes packets in batches, refuses those that are no IP, and takes the rest", async () => {
    const tun = openTun("i3t1", 2);
    const socket = openSocket("10.99.2.1");
    const out = makePacketBatch(5, 100);
    const texts = ["zero", "one", "not IP", "three", "four"];
    texts.forEach((text, i) => {
      const packet = udpPacket([10, 99, 2, 7], [10, 99, 2, 1], 9, socket.port, text);
      if (text === "not IP") packet[0] = 0x05;
      out.arena.set(packet, i * 100);
      out.lengths[i] = packet.length;
    });
    expect(io.writeBatch(tun.fd, out.arena, 100, out.lengths, 5)).toBe(4);
    expect(await receiveTexts(io, socket.fd, 4)).toEqual(["zero", "one", "three", "four"]);
  });

  it("counts packets as not taken while the interface is down", () => {
    const tun = openTun("i3t2", 3);
    io.setLink({ index: tun.index, up: false, mtu: 0 });
    const out = makePacketBatch(1, 100);
    const packet = udpPacket([10, 99, 3, 7], [10, 99, 3, 1], 9, 9, "x");
    out.arena.set(packet);
    out.lengths[0] = packet.length;
    expect(io.writeBatch(tun.fd, out.arena, 100, out.lengths, 1)).toBe(0);
  });

  it("cannot be had twice, and its name can be the kernel's choice", () => {
    openTun("i3t3", 4);
    expect(() => io.openTun({ name: "i3t3", kind: "tun" })).toThrow(expect.objectContaining({ code: "EBUSY", syscall: "ioctl" }));
    const chosen = io.openTun({ name: "i3auto%d", kind: "tun" });
    expect(chosen.name).toBe("i3auto0");
    io.closeFd(chosen.fd);
    expect(() => io.openTun({ name: "lo", kind: "tun" })).toThrow(expect.objectContaining({ code: "EINVAL" }));
  });

  it("vanishes with its descriptor, also when a worker that has it ends", async () => {
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < 20; i++) io.closeFd(makeTun(io, "i3t4", 5).fd);
    const addon = fileURLToPath(new URL("../../build/Release/i3_native_io.node", import.meta.url));
    const worker = new Worker(
      `const io = require(${JSON.stringify(addon)}); const { fd } = io.openTun({ name: "i3t4", kind: "tun" });
       io.watchReadable(fd, () => {}); require("node:worker_threads").parentPort.postMessage("ready");`,
      { eval: true },
    );
    await once(worker, "message");
    expect(io.interfaceIndex("i3t4")).toBeGreaterThan(0);
    await worker.terminate();
    await until(() => readdirSync("/proc/self/fd").length <= before, "descriptors closed");
    expect(() => io.interfaceIndex("i3t4")).toThrow(expect.objectContaining({ code: "ENODEV" }));
  });

  it("that was removed is told to the watch once, and the read says EBADFD", async () => {
    const tun = openTun("i3t5", 6);
    const batch = makePacketBatch(4, 2_048);
    const codes: unknown[] = [];
    const watch = io.watchReadable(tun.fd, () => {
      try {
        io.readBatch(tun.fd, batch.arena, 2_048, batch.lengths);
      } catch (error) {
        codes.push((error as NodeJS.ErrnoException).code);
      }
    });
    ip("link", "delete", "i3t5");
    await until(() => codes.length > 0, "an error");
    await turns();
    expect(codes).toEqual(["EBADFD"]);
    watch.close();
  });
});

describe("marks", () => {
  it("steer UDP by a rule", () => {
    const tun = openTun("i3t6", 7);
    io.setRoute({ type: "unicast", destination: Uint8Array.of(192, 0, 2, 0), prefixBits: 24, index: tun.index, table: 7_777, metric: 0, source: null });
    io.setRule({ family: 4, priority: 77, table: 7_777, mark: 0x33, from: null, to: null });
    const batch = makePacketBatch(64, 2_048);
    const arrives = (mark: number): boolean => {
      while (io.readBatch(tun.fd, batch.arena, 2_048, batch.lengths) > 0);
      const socket = openSocket("0.0.0.0", mark);
      sendAll(io, socket.fd, [{ text: "x", address: "192.0.2.7", port: 9 }]);
      return io.readBatch(tun.fd, batch.arena, 2_048, batch.lengths) > 0;
    };
    expect([arrives(0), arrives(0x33), arrives(0x34)]).toEqual([false, true, false]);
    io.removeRule({ family: 4, priority: 77, table: 7_777, mark: 0x33, from: null, to: null });
  });
});

/** IPv4 with a right header checksum, UDP with none. */
function udpPacket(source: readonly number[], destination: readonly number[], sourcePort: number, port: number, text: string): Uint8Array {
  const total = 28 + text.length;
  const packet = Buffer.alloc(total);
  packet.set([0x45, 0, total >> 8, total & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, ...source, ...destination]);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += packet.readUInt16BE(i);
  sum = (sum & 0xffff) + (sum >> 16);
  packet.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 10);
  packet.writeUInt16BE(sourcePort, 20);
  packet.writeUInt16BE(port, 22);
  packet.writeUInt16BE(8 + text.length, 24);
  packet.write(text, 28, "latin1");
  return packet;
}

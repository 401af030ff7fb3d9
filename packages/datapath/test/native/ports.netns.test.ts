/** The native engine's ports and threads on real devices: what they carry, what they say when something is wrong, how they end. */
import { execFileSync, spawnSync, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { OFFLOAD_NAMES, type OffloadName } from "@i3/common";
import type { RunningNativeEngine } from "@i3/datapath";
import { loadNativeIo } from "@i3/datapath/native-io";
import { until } from "../io/batches.js";
import { ipJson, requireOwnNamespace, ip } from "../io/namespace.js";
import { ECHO_PORT, FAR, joinEngines, loopback, NEAR, openPort, startEcho, type EndOptions, type JoinedEngines } from "./joined-engines.js";

const io = loadNativeIo();
const engines: { close(): void }[] = [];
const children: ChildProcess[] = [];
const sockets: Socket[] = [];
beforeAll(() => requireOwnNamespace(io));
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const socket of sockets.splice(0)) socket.close();
  for (const engine of engines.splice(0)) engine.close();
});

const open = (tun: string | null, options: EndOptions = {}, port = 0): RunningNativeEngine => {
  const engine = openPort(tun, options, port);
  engines.push(engine);
  return engine;
};

const openFiles = (): number => readdirSync("/proc/self/fd").length;
const devices = (): readonly unknown[] => ipJson("link").map(({ ifname }) => ifname);
/** Threads of this process that move packets. */
const threads = (): number => readdirSync("/proc/self/task").filter((id) => nameOf(id) === "i3-engine\n").length;
function nameOf(thread: string): string {
  try {
    return readFileSync(`/proc/self/task/${thread}/comm`, "utf8");
  } catch {
    return ""; // it ended meanwhile
  }
}

async function openSocket(): Promise<Socket> {
  const socket = createSocket("udp4");
  sockets.push(socket);
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

describe("opening and closing", () => {
  it("makes the device, and takes it away again with the threads", () => {
    open(null).close();
    const before = openFiles();
    const engine = open("i3p%d", { workers: 3 });
    expect(engine.tun?.name).toBe("i3p0");
    expect(engine.udp.port).toBeGreaterThan(0);
    expect(ipJson("link", "show", "i3p0")[0]).toMatchObject({ mtu: 1_360, ifindex: engine.tun?.index });
    expect(threads()).toBe(3);
    engine.close();
    engine.close();
    expect(devices()).not.toContain("i3p0");
    expect(threads()).toBe(0);
    expect(openFiles()).toBe(before);
    expect(() => engine.counters()).toThrow(expect.objectContaining({ code: "EBADF" }));
  });

  it.each([1, 3])("says when the port or the device is somebody else's (%d workers)", (workers) => {
    const engine = open("i3p1", { workers });
    const before = openFiles();
    for (const others of [1, 3]) {
      expect(() => open(null, { workers: others }, engine.udp.port)).toThrow(expect.objectContaining({ code: "ERR_I3_PORT_IN_USE" }));
      if (others === workers) expect(() => open("i3p1", { workers: others })).toThrow(expect.objectContaining({ code: "ERR_I3_TUN_BUSY" }));
    }
    expect(() => open("lo")).toThrow(expect.objectContaining({ code: "ERR_I3_TUN_BUSY" }));
    expect(openFiles()).toBe(before);
  });

  it("sizes the device's trains so that each leaves in one call", () => {
    open("i3p2");
    const [link] = ipJson("-d", "link", "show", "i3p2");
    const { gso_max_segs: segments, gso_max_size: bytes } = link as { gso_max_segs: number; gso_max_size: number };
    expect(segments * (1_360 + 100)).toBeLessThanOrEqual(65_000);
    expect(bytes).toBeGreaterThan(segments * 1_360);
    expect(bytes).toBeLessThan(65_536);
  });
});

describe("offloads", () => {
  const all = (value: boolean): Record<OffloadName, boolean> => Object.fromEntries(OFFLOAD_NAMES.map((name) => [name, value])) as Record<OffloadName, boolean>;

  it("are what this kernel has", () => {
    expect(open("i3p3").offloads()).toEqual(all(true));
    expect(open(null).offloads()).toEqual({ ...all(false), udpSegment: true, udpReceive: true, trafficClass: true });
  });

  it.each(OFFLOAD_NAMES)("%s stays off when it must", (name) => {
    const { offloads } = open("i3p4", { without: [name] });
    const onChecksums = { tunChecksum: false, tunTcp4: false, tunTcp6: false, tunUdp: false };
    expect(offloads.call(engines.at(-1))).toEqual({ ...all(true), [name]: false, ...(name === "tunChecksum" ? onChecksums : {}) });
  });
});

describe("datagrams", () => {
  const CONTROL = Uint8Array.of(0x19, 1, 2, 3);

  it.each([1, 4])("come up and go out (%d workers)", async (workers) => {
    const seen: string[] = [];
    const engine = open(null, { workers, onUpcalls: (upcalls) => seen.push(...upcalls.map((upcall) => (upcall.kind === "control" ? String(upcall.from.port) : upcall.kind))) });
    const clients = await Promise.all(Array.from({ length: 16 }, openSocket));
    const answers: string[] = [];
    for (const client of clients) {
      client.on("message", (bytes) => answers.push(bytes.toString()));
      client.send(CONTROL, engine.udp.port, "127.0.0.1");
    }
    await until(() => seen.length === clients.length, "the upcalls");
    const ports = clients.map((client) => client.address().port);
    expect(seen.map(Number).sort()).toEqual([...ports].sort());
    engine.send(ports.map((port) => ({ locator: loopback(port), bytes: Buffer.from(`to ${port}`) })));
    await until(() => answers.length === clients.length, "the answers");
    expect(answers.sort()).toEqual(ports.map((port) => `to ${port}`).sort());
    expect(engine.counters()).toMatchObject({ udpIn: 16, udpOut: 16, upcalls: 16 });
    expect(engine.systemCalls().udpReads).toBeGreaterThan(0);
  });

  it("that wait to be sent are sent before the socket closes", async () => {
    const client = await openSocket();
    const received: string[] = [];
    client.on("message", (bytes) => received.push(bytes.toString()));
    for (let i = 0; i < 50; i++) {
      const engine = open(null);
      engine.send([{ locator: loopback(client.address().port), bytes: Buffer.from(`last word ${i}`) }]);
      engine.close();
    }
    await until(() => received.length === 50, "all last words");
  });

  it("that cannot be sent are counted", async () => {
    const engine = open(null);
    // Nothing leads there in this namespace.
    engine.send([{ locator: { ...loopback(9), address: Uint8Array.of(192, 0, 2, 1) }, bytes: CONTROL }]);
    await until(() => engine.counters().drops["io-error"] === 1, "the count");
  });
});

describe.each(["tunnel", "esp"] as const)("two engines (%s)", (kind) => {
  const join = async (options: EndOptions = {}): Promise<JoinedEngines> => {
    const joined = joinEngines(io, kind, options);
    engines.push(joined);
    children.push(await startEcho());
    return joined;
  };

  const variants: readonly (readonly [string, EndOptions])[] = [
    ["all offloads", {}],
    ["several workers", { workers: 3 }],
    ["no vnet header", { without: ["tunChecksum"] }],
    ["no trains from the TUN", { without: ["tunTcp4", "tunTcp6", "tunUdp"] }],
    ["no UDP_SEGMENT", { without: ["udpSegment"] }],
    ["no UDP_GRO", { without: ["udpReceive"] }],
    ["nothing", { without: OFFLOAD_NAMES }],
  ];
  it.each(variants)("carry pings and TCP of both families: %s", async (_, options) => {
    const { near, far } = await join(options);
    for (const family of [4, 6] as const) {
      // One by one: of several, ping waits for the last no longer than twice the longest before it.
      for (let i = 0; i < 5; i += 1) expect(execFileSync("ping", [`-${family}`, "-c", "1", "-W", "2", FAR[family][0]], { encoding: "utf8" })).toContain(" 0% packet loss");
      expect(await echo(FAR[family][0], 4_000_000)).toBe("as sent");
    }
    for (const engine of [near, far]) {
      expect(engine.counters().drops).toMatchObject({ malformed: 0, integrity: 0, replay: 0, "inner-malformed": 0, "inner-address": 0, "too-big": 0, "io-error": 0 });
    }
  });

  it("send datagram by datagram what the way takes no trains of", async () => {
    const { near } = await join();
    ip("link", "set", "lo", "mtu", "1380");
    try {
      expect(await echo(FAR[4][0], 2_000_000)).toBe("as sent");
    } finally {
      ip("link", "set", "lo", "mtu", "65536");
    }
    expect(near.offloads().udpSegment).toBe(true);
    expect(near.counters().drops["io-error"]).toBe(0);
  });

  it("use few system calls", async () => {
    const { near } = await join();
    expect(await echo(FAR[4][0], 20_000_000)).toBe("as sent");
    const { tunIn, udpIn } = near.counters();
    const { tunReads, udpReads } = near.systemCalls();
    expect(tunIn / tunReads).toBeGreaterThan(3);
    expect(udpIn / udpReads).toBeGreaterThan(3);
  });

  it("may be closed in the midst of traffic", async () => {
    for (let i = 0; i < 3; i++) {
      const joined = await join({ workers: 2 });
      const transfer = echo(FAR[4][0], 500_000_000, 300);
      await until(() => joined.near.counters().tunIn > 1_000, "some traffic");
      joined.near.close();
      engines.pop();
      joined.close();
      children.pop()?.kill("SIGKILL");
      expect(await transfer).toMatch(/^E/);
    }
    expect(threads()).toBe(0);
  });
});

/** Sends and compares what comes back; the code of the error if it does not. */
async function echo(host: string, bytes: number, timeoutMs = 20_000): Promise<string> {
  const socket = connect({ host, port: ECHO_PORT, timeout: timeoutMs });
  const pattern = createHash("sha512").update(host).digest();
  const block = Buffer.concat(Array.from({ length: 1_000 }, () => pattern));
  const [sent, received] = [createHash("sha1"), createHash("sha1")];
  socket.on("data", (data) => received.update(data));
  const ended = new Promise<string>((resolve) => {
    socket.on("end", () => resolve("end"));
    socket.on("timeout", () => socket.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "E"));
    socket.on("close", () => resolve("ECLOSED"));
  });
  await Promise.race([once(socket, "connect").catch(() => undefined), ended]);
  for (let at = 0; at < bytes && !socket.destroyed; at += block.length) {
    const part = block.subarray(0, Math.min(block.length, bytes - at));
    sent.update(part);
    if (!socket.write(part)) await Promise.race([once(socket, "drain").catch(() => undefined), ended]);
  }
  socket.end();
  const result = await ended;
  socket.destroy();
  if (result !== "end") return result;
  return sent.digest("hex") === received.digest("hex") ? "as sent" : "not as sent";
}

describe("a device that somebody removes", () => {
  it.each([1, 3])("is told once, and UDP goes on (%d workers)", async (workers) => {
    const failures: string[] = [];
    const upcalls: string[] = [];
    const engine = open("i3p5", { workers, onFailure: ({ code }) => failures.push(code), onUpcalls: (batch) => upcalls.push(...batch.map(({ kind }) => kind)) });
    ip("link", "delete", "i3p5");
    await until(() => failures.length > 0, "the failure");
    engine.inject([Uint8Array.from([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, ...NEAR[4][1], ...FAR[4][1]])]);
    await until(() => engine.counters().drops["io-error"] === 1, "the packet counted");
    const client = await openSocket();
    client.send(Uint8Array.of(0x19), engine.udp.port, "127.0.0.1");
    await until(() => upcalls.length === 1, "the upcall");
    const cpuBefore = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 200));
    // Nobody spins on what is gone.
    const { user, system } = process.cpuUsage(cpuBefore);
    expect(user + system).toBeLessThan(150_000);
    expect(failures).toEqual(["ERR_I3_NO_TUN"]);
  });
});

describe("the end of a thread or process that has engines", () => {
  const addon = JSON.stringify(fileURLToPath(new URL("../../build/Release/i3_native_io.node", import.meta.url)));
  /** An engine that sends control datagrams to itself, all the time. */
  const busy = `
    const io = require(${addon});
    const options = { workers: 2, tun: { name: "i3pw%d", mtu: 1360 }, udp: { family: 6, address: "::", port: 0, mark: 0, bufferBytes: 0 }, hip: null, ip: false, nowMs: 0, without: [], onFailure: () => {} };
    const engine = io.openEngine({ ...options, onUpcalls: () => { io.engineTakeUpcalls(engine.handle); } });
    const endpoint = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1, engine.port >> 8, engine.port & 255);
    setInterval(() => { for (let i = 0; i < 50; i++) io.engineSend(engine.handle, endpoint, Uint8Array.of(0x19, i)); }, 1);
  `;

  it.each([
    ["terminated", ""],
    ["ends by itself", "setTimeout(() => process.exit(), 50);"],
    ["throws", "setTimeout(() => { throw new Error('meant'); }, 50);"],
  ])("closes them: a worker that is %s", async (_, ending) => {
    const before = openFiles();
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(`${busy} require("node:worker_threads").parentPort.postMessage("ready"); ${ending}`, { eval: true });
      worker.on("error", () => undefined);
      const gone = new Promise((resolve) => worker.once("exit", resolve));
      await once(worker, "message");
      expect(threads()).toBe(2);
      if (ending === "") await worker.terminate();
      await gone;
      expect(threads()).toBe(0);
    }
    expect(devices().filter((name) => String(name).startsWith("i3pw"))).toEqual([]);
    await until(() => openFiles() <= before + 1, "descriptors closed");
  });

  it.each([
    ["process.exit()", "setTimeout(() => process.exit(7), 30);", 7],
    ["process.exit() when it is told of upcalls", "setTimeout(() => { io.engineTakeUpcalls = () => process.exit(7); }, 30);", 7],
    ["an exception", "setTimeout(() => { throw new Error('meant'); }, 30);", 1],
    ["an exception when it is told of upcalls", "setTimeout(() => { io.engineTakeUpcalls = () => { throw new Error('meant'); }; }, 30);", 1],
    ["closing", "setTimeout(() => { io.closeEngine(engine.handle); process.exitCode = 5; io.engineSend = () => {}; setTimeout(() => process.exit(), 10); }, 30);", 5],
  ])("is no crash: %s", (_, ending, status) => {
    for (let i = 0; i < 5; i++) {
      const result = spawnSync(process.execPath, ["-e", busy + ending], { encoding: "utf8", timeout: 10_000 });
      expect({ status: result.status, signal: result.signal }, result.stderr).toEqual({ status, signal: null });
    }
  });

  it("does not come while an engine is open, and does when it is closed", () => {
    const result = spawnSync(process.execPath, ["-e", `${busy.replace(/setInterval.*/, "")} setTimeout(() => io.closeEngine(engine.handle), 200).unref(); console.log("open");`], {
      encoding: "utf8", timeout: 10_000,
    });
    expect(result).toMatchObject({ status: 0, signal: null });
  });
});

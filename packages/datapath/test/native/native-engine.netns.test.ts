/**
 *     program's socket ── 10.99.1.1 → 10.99.1.7 ──▶ i3n… (TUN) ──▶ engine ── data packet ──▶ peer's socket
 *                      ◀──────── addresses and ports the other way ──────◀────────────────
 */
import { createSocket, type Socket } from "node:dgram";
import { connect } from "node:net";
import { makeLocator, OFFLOAD_NAMES, type I3Error } from "@i3/common";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { LIMITS, type Upcall } from "../../src/datapath.js";
import { NativeEngine, type NativeEngineOptions, type RunningNativeEngine } from "../../src/native-engine.js";
import { loadNativeIo } from "../../src/native-io.js";
import { encodeDataHeader, PAYLOAD_KIND } from "../../src/wire/data-header.js";
import { ip, ipJson, requireOwnNamespace } from "../io/namespace.js";
import { bytes, concat, ip4, makeId } from "../reference/packets.js";

const io = loadNativeIo();
const LOOPBACK = ip4("127.0.0.1");
const open: (RunningNativeEngine | Socket)[] = [];
beforeAll(() => requireOwnNamespace(io));
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

function engineOn(name: string | null, more: Partial<NativeEngineOptions> = {}) {
  const upcalls: Upcall[] = [];
  const failures: I3Error[] = [];
  const tun = name === null ? {} : { tun: { name, mtu: 1_360 } };
  const engine = NativeEngine.open({
    ...tun, udp: { address: "::", port: 0, mark: 0 }, clock: { nowMs: () => performance.now() },
    onUpcalls: (batch) => void upcalls.push(...batch), onFailure: (error) => void failures.push(error), ...more,
  });
  open.push(engine);
  return { engine, upcalls, failures };
}

async function socketOn(address: string): Promise<{ readonly socket: Socket; readonly port: number; readonly received: Uint8Array[] }> {
  const socket = createSocket("udp4");
  const received: Uint8Array[] = [];
  socket.on("message", (message) => void received.push(new Uint8Array(message)));
  await new Promise<void>((resolve) => socket.bind(0, address, resolve));
  open.push(socket);
  return { socket, port: socket.address().port, received };
}

const dataHeader = (id: Uint8Array): Uint8Array =>
  encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 64, payloadKind: PAYLOAD_KIND.ipPacket, nonce: new Uint8Array(8), ids: [id] });

/** Addresses and ports of an IPv4 UDP packet swapped: every checksum stays right. */
const swapped = (packet: Uint8Array): Uint8Array =>
  concat(packet.subarray(0, 12), packet.subarray(16, 20), packet.subarray(12, 16), packet.subarray(22, 24), packet.subarray(20, 22), packet.subarray(24));

describe("the native engine on real ports", () => {
  it("sets the MTU, brings the device up, tells its offloads, and takes the device away with it", () => {
    const { engine } = engineOn("i3n0");
    expect(ipJson("link", "show", "i3n0")[0]).toMatchObject({ mtu: 1_360, flags: expect.arrayContaining(["UP"]) as string[], ifindex: engine.tun?.index });
    expect(Object.keys(engine.offloads()).toSorted()).toEqual([...OFFLOAD_NAMES].toSorted());
    expect(() => engineOn("i3n0")).toThrow(expect.objectContaining({ code: "ERR_I3_TUN_BUSY" }));
    engine.close();
    engine.close();
    expect(ipJson("link").map(({ ifname }) => ifname)).not.toContain("i3n0");
    expect(() => engine.counters()).toThrow(expect.objectContaining({ code: "EBADF" }));
  });

  it.each([1, 4])("names a port that is in use (%i workers)", (workers) => {
    const { engine } = engineOn(null, { workers });
    const udp = { address: "::", port: engine.udp.port, mark: 0 };
    expect(() => engineOn(null, { workers, udp })).toThrow(expect.objectContaining({ code: "ERR_I3_PORT_IN_USE" }));
    engine.close();
    expect(engineOn(null, { workers, udp }).engine.udp.port).toBe(udp.port);
  });

  it("keeps off what it must do without", () => {
    const { engine } = engineOn("i3n1", { without: OFFLOAD_NAMES });
    expect(Object.values(engine.offloads())).toEqual(OFFLOAD_NAMES.map(() => false));
  });

  it.each<readonly [string, Partial<NativeEngineOptions>]>([["all offloads", {}], ["no offloads", { without: OFFLOAD_NAMES }], ["four workers", { workers: 4 }]])("carries packets both ways with %s", async (_, more) => {
    const { engine, upcalls } = engineOn("i3n2", more);
    io.addAddress({ index: engine.tun?.index ?? 0, address: ip4("10.99.1.1"), prefixBits: 24 });
    const [program, peer] = [await socketOn("10.99.1.1"), await socketOn("127.0.0.1")];
    const [there, back] = [makeId(1, 1), makeId(2, 2)];
    const same = (address: Uint8Array) => ({ from: address, to: address });
    engine.setFlow(ip4("10.99.1.7"), { action: "setup" });
    engine.setInbound(back, { action: "tun", flow: ip4("10.99.1.7"), source4: same(ip4("10.99.1.7")), destination4: same(ip4("10.99.1.1")), source6: null, destination6: null });
    engine.setDefaultServer(makeLocator(LOOPBACK, peer.port));
    peer.socket.on("message", (message) => peer.socket.send(concat(dataHeader(back), swapped(new Uint8Array(message.subarray(48)))), engine.udp.port, "127.0.0.1"));

    program.socket.send("first", 9, "10.99.1.7");
    const isSetup = (upcall: Upcall): boolean => upcall.kind === "flow-setup";
    await expect.poll(() => upcalls.filter(isSetup)).toMatchObject([{ kind: "flow-setup", address: ip4("10.99.1.7") }]);
    expect(peer.received).toEqual([]);
    engine.setFlow(ip4("10.99.1.7"), { action: "tunnel", header: dataHeader(there), source: ip4("10.99.1.1"), mtu: 1_360 });
    engine.release(ip4("10.99.1.7"));
    await expect.poll(() => program.received.map((text) => Buffer.from(text).toString())).toEqual(["first"]);
    for (let i = 0; i < 50; i++) program.socket.send(`${i}`, 9, "10.99.1.7");
    await expect.poll(() => program.received.length).toBe(51);
    expect(engine.flowCounters(ip4("10.99.1.7"))).toMatchObject({ packetsOut: 51, packetsIn: 51 });
    expect(Math.abs(performance.now() - (engine.lastUse(ip4("10.99.1.7")) ?? 0))).toBeLessThan(2_000);
    const { tunReads, tunWrites, udpReads, udpSends } = engine.systemCalls();
    expect(Math.min(tunReads, tunWrites, udpReads, udpSends)).toBeGreaterThan(0);
  });

  it("tells a program at once that an address is refused", async () => {
    const { engine } = engineOn("i3n3");
    io.addAddress({ index: engine.tun?.index ?? 0, address: ip4("10.99.1.1"), prefixBits: 24 });
    engine.setFlow(ip4("10.99.1.8"), { action: "refuse" });
    const refusal = await new Promise((resolve) => connect({ host: "10.99.1.8", port: 9, localAddress: "10.99.1.1" }).on("error", resolve));
    expect(refusal).toMatchObject({ code: "EHOSTUNREACH" });
    expect(engine.counters().drops.refused).toBeGreaterThan(0);
  });

  it("hands up a flood of control datagrams by the batch, and timers get their turn", async () => {
    const sizes: number[] = [];
    const { engine } = engineOn(null, { onUpcalls: (batch) => void sizes.push(batch.length) });
    const { socket } = await socketOn("127.0.0.1");
    let timers = 0;
    const timer = setInterval(() => (timers += 1), 1);
    for (let round = 0; round < 15; round++) {
      for (let i = 0; i < 100; i++) socket.send(bytes(0x19, round, i), engine.udp.port, "127.0.0.1");
      await expect.poll(() => sizes.reduce((sum, size) => sum + size, 0), { interval: 2 }).toBe(100 * (round + 1));
    }
    clearInterval(timer);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(LIMITS.upcallsPerBatch);
    expect(timers).toBeGreaterThan(10);
    expect(engine.counters()).toMatchObject({ udpIn: 1_500, upcalls: 1_500 });
  });

  it("sends by itself what the control plane gives it, the last words too", async () => {
    const { engine } = engineOn(null);
    const { port, received } = await socketOn("127.0.0.1");
    engine.send([{ locator: makeLocator(LOOPBACK, port), bytes: bytes(0x19, 1) }]);
    await expect.poll(() => received.length).toBe(1);
    engine.send([{ locator: makeLocator(LOOPBACK, port), bytes: bytes(0x19, 2) }]);
    engine.close();
    await expect.poll(() => received.map(([, value]) => value)).toEqual([1, 2]);
  });

  it("goes on with UDP when somebody removes the device", async () => {
    const { engine, failures, upcalls } = engineOn("i3n4", { workers: 2 });
    ip("link", "delete", "i3n4");
    await expect.poll(() => failures).toMatchObject([{ code: "ERR_I3_NO_TUN", message: expect.stringContaining("i3n4") as string }]);
    const { socket } = await socketOn("127.0.0.1");
    socket.send(bytes(0x19, 1), engine.udp.port, "127.0.0.1");
    await expect.poll(() => upcalls.length).toBe(1);
    expect(failures).toHaveLength(1);
  });
});

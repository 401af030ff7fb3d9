/** Opening engines: errors for people, the choice between native and reference, upcalls by the batch. The addon is a fake, node:dgram is not. */
import { createSocket } from "node:dgram";
import { I3Error, makeLocator } from "@i3/common";
import { describe, expect, it } from "vitest";
import { LIMITS, type Upcall } from "../../src/datapath.js";
import { engineCounterFields, engineFields, openEngine, type OpenEngineOptions } from "../../src/io/open-engine.js";
import type { EngineOptions, RawUpcall } from "../../src/native-addon.js";
import { DROP_REASONS, NativeEngine, type NativeEngineOptions } from "../../src/native-engine.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { fakeAddon, systemError } from "./fake-addon.js";

const clock = { nowMs: () => 5 };
const TUN = { name: "i3x", mtu: 1_360 };
const UDP = { address: "::", port: 5_610, mark: 7 };
const OPENED = { handle: {}, tun: { name: "i3x", index: 9 }, port: 5_610 };
const options = (more: Partial<NativeEngineOptions> = {}): NativeEngineOptions => ({ tun: TUN, udp: UDP, clock, onUpcalls: () => undefined, onFailure: () => undefined, ...more });

describe("NativeEngine.open", () => {
  it("asks for ports and brings the TUN up", () => {
    const { addon, calls } = fakeAddon({ openEngine: () => OPENED });
    const engine = NativeEngine.open(options({ addon, workers: 2, without: ["tunUdp"] }));
    expect(calls[0]).toMatchObject(["openEngine", { workers: 2, tun: TUN, udp: { family: 6, address: "::", port: 5_610, mark: 7 }, nowMs: 5, without: ["tunUdp"] }]);
    expect(calls[1]).toEqual(["setLink", { index: 9, up: true, mtu: 0 }]);
    expect([engine.implementation, engine.tun, engine.udp, engine.workers]).toEqual(["native", { name: "i3x", index: 9 }, { port: 5_610, family: 6 }, 2]);
  });

  it("needs no TUN", () => {
    const { addon, calls } = fakeAddon({ openEngine: () => ({ ...OPENED, tun: null }) });
    const { udp } = options();
    const engine = NativeEngine.open({ udp: { ...udp, address: "192.0.2.1" }, clock, onUpcalls: () => undefined, onFailure: () => undefined, addon });
    expect(calls).toMatchObject([["openEngine", { workers: 1, tun: null, udp: { family: 4 }, without: [] }]]);
    expect(engine.tun).toBeNull();
  });

  it.each([
    ["EPERM", "open", "ERR_I3_NO_TUN", "CAP_NET_ADMIN"],
    ["EACCES", "open", "ERR_I3_NO_TUN", "0666"],
    ["ENOENT", "open", "ERR_I3_NO_TUN", "modprobe tun"],
    ["EBUSY", "ioctl", "ERR_I3_TUN_BUSY", "another TUN name"],
    ["EINVAL", "ioctl", "ERR_I3_TUN_BUSY", "another TUN name"],
    ["EPERM", "RTM_NEWLINK", "ERR_I3_NO_TUN", "CAP_NET_ADMIN"],
    ["EADDRINUSE", "bind", "ERR_I3_PORT_IN_USE", "ss -ulpn sport = :5610"],
    ["EADDRNOTAVAIL", "bind", "ERR_I3_NO_UDP", "ip address"],
    ["EPERM", "setsockopt", "ERR_I3_NO_UDP", "CAP_NET_ADMIN"],
    ["EACCES", "bind", "ERR_I3_NO_UDP", "CAP_NET_BIND_SERVICE"],
  ])("explains %s of %s", (code, call, ours, remedy) => {
    const { addon } = fakeAddon({ openEngine: () => { throw systemError(code, call); } });
    expect(() => NativeEngine.open(options({ addon, udp: { ...UDP, address: "::1" } }))).toThrow(expect.objectContaining({ name: "I3Error", code: ours, remedy: expect.stringContaining(remedy) as string }));
  });

  it("explains what is no fault of the TUN when there is none", () => {
    const { addon } = fakeAddon({ openEngine: () => { throw systemError("ENOMEM", "pthread_create"); } });
    const { tun: _, ...server } = options({ addon });
    expect(() => NativeEngine.open(server)).toThrow(expect.objectContaining({ code: "ERR_I3_NO_UDP" }));
  });

  it("closes what it opened when the TUN cannot be brought up", () => {
    const { addon, calls } = fakeAddon({ openEngine: () => OPENED, setLink: () => { throw systemError("EPERM", "netlink"); } });
    expect(() => NativeEngine.open(options({ addon }))).toThrow(expect.objectContaining({ code: "ERR_I3_NO_TUN" }));
    expect(calls.at(-1)).toEqual(["closeEngine", OPENED.handle]);
  });

  it.each(["EAFNOSUPPORT", "EADDRNOTAVAIL"])("falls back to IPv4 when there is no IPv6 (%s)", (code) => {
    const openIpv4 = ({ udp }: EngineOptions): typeof OPENED => {
      if (udp.family === 6) throw systemError(code, "bind");
      return OPENED;
    };
    const { addon, calls } = fakeAddon({ openEngine: openIpv4 });
    expect(NativeEngine.open(options({ addon })).udp.family).toBe(4);
    expect(calls[1]).toMatchObject(["openEngine", { udp: { family: 4, address: "0.0.0.0", mark: 7 } }]);
    expect(() => NativeEngine.open(options({ addon, udp: { ...UDP, address: "::1" } }))).toThrow(expect.objectContaining({ code: "ERR_I3_NO_UDP" }));
  });

  it.each([
    ["an MTU below IPv6's least", { tun: { ...TUN, mtu: 1_279 } }],
    ["an MTU that no datagram could carry", { tun: { ...TUN, mtu: 65_536 } }],
    ["no workers", { workers: 0 }],
    ["17 workers", { workers: 17 }],
    ["half a worker", { workers: 1.5 }],
  ])("refuses %s", (_, more) => {
    const { addon, calls } = fakeAddon();
    expect(() => NativeEngine.open(options({ addon, ...more }))).toThrow(RangeError);
    expect(calls).toEqual([]);
  });

  it("leaves faults of the program what they are", () => {
    const { addon } = fakeAddon({ openEngine: () => { throw new TypeError("name: too long"); } });
    expect(() => NativeEngine.open(options({ addon }))).toThrow(TypeError);
  });
});

/** An open engine on a fake addon with `waiting` upcalls, and what the addon calls. */
function running(waiting: number, more: Partial<NativeEngineOptions> = {}) {
  const upcalls = Array.from({ length: waiting }, (): RawUpcall => ({ kind: 3, name: new Uint8Array(16), from: encodeEndpoint(makeLocator(Uint8Array.of(10, 0, 0, 1), 4_000)) }));
  let told: EngineOptions | undefined;
  const { addon, calls } = fakeAddon({
    openEngine: (given: EngineOptions) => {
      told = given;
      return OPENED;
    },
    engineTakeUpcalls: () => upcalls.splice(0, LIMITS.upcallsPerBatch),
    engineUpcallsWait: () => upcalls.length > 0,
  });
  const batches: number[] = [];
  const engine = NativeEngine.open(options({ addon, onUpcalls: (batch: readonly Upcall[]) => void batches.push(batch.length), ...more }));
  return { engine, addon, calls, batches, upcalls, told: told as EngineOptions };
}

describe("a running engine", () => {
  it("hands upcalls up in batches, and leaves some for the next turn", () => {
    const { told, batches, upcalls } = running(2_500);
    told.onUpcalls();
    expect(batches).toEqual(Array<number>(8).fill(256));
    expect(upcalls).toHaveLength(452);
    told.onUpcalls();
    told.onUpcalls();
    expect(batches.slice(8)).toEqual([256, 196]);
  });

  it("may be closed by whom it calls", () => {
    const { told, engine, calls, batches } = running(1_000, { onUpcalls: () => engine.close() });
    told.onUpcalls();
    expect(calls.slice(2).map(([name]) => name)).toEqual(["engineTakeUpcalls", "closeEngine"]);
    expect([engine.closed, batches]).toEqual([true, []]);
  });

  it("tells of each broken port once, and not after its end", () => {
    const failures: I3Error[] = [];
    const { told, engine } = running(0, { onFailure: (error) => void failures.push(error) });
    told.onFailure("udp", systemError("EBADF", "recvmmsg"));
    for (let i = 0; i < 2; i++) told.onFailure("tun", systemError("EBADFD", "read"));
    expect(failures).toMatchObject([{ code: "ERR_I3_NO_UDP" }, { code: "ERR_I3_NO_TUN", message: expect.stringContaining("i3x") as string, cause: { code: "EBADFD" } }]);
    engine.close();
    told.onFailure("udp", systemError("EBADF", "recvmmsg"));
    expect(failures).toHaveLength(2);
  });
});

describe("openEngine", () => {
  const noNative = (): never => {
    throw new I3Error("ERR_I3_NO_NATIVE", "it is not built", { remedy: "Build it." });
  };
  const choose = (more: Partial<OpenEngineOptions>): OpenEngineOptions => ({
    kind: "auto", udp: { address: "127.0.0.1", port: 0, mark: 0 }, clock, onUpcalls: () => undefined, onFailure: () => undefined, loadAddon: noNative, ...more,
  });
  const counted = Float64Array.from({ length: DROP_REASONS.length + 12 }, (_, i) => (i < DROP_REASONS.length ? Number(i === 2) : i - DROP_REASONS.length + 1));
  const offloads = { tunChecksum: true, tunTcp4: true, tunTcp6: true, tunUdp: false, udpSegment: true, udpReceive: true, trafficClass: true };

  it.each(["auto", "native"] as const)("of kind %s is the native one where the addon loads", async (kind) => {
    const { addon, calls } = fakeAddon({ openEngine: () => OPENED, engineCounters: () => counted, engineOffloads: () => offloads });
    const engine = await openEngine(choose({ kind, tun: TUN, workers: 3, loadAddon: () => addon }));
    expect(engine).toMatchObject({ implementation: "native", io: "native", udp: { port: 5_610, family: 4 }, tun: { name: "i3x", index: 9 }, workers: 3, without: undefined });
    expect(engineFields(engine)).toEqual({ engine: "native", io: "native", workers: 3, offloads });
    expect(engineCounterFields(engine)).toEqual({
      drops: { hip: 1 }, tunIn: 1, tunOut: 2, udpIn: 3, udpOut: 4, upcalls: 5, hipAnswered: 6, refreshed: 7, challenged: 8, offloads, packetsPerCall: { tunRead: 0.1, tunWrite: 0.2, udpRead: 0.3, udpSend: 0.3 },
    });
    engine.settle();
    engine.close();
    expect(calls.at(-1)?.[0]).toBe("closeEngine");
  });

  it("says nothing of a TUN's offloads where there is none", async () => {
    const { addon } = fakeAddon({ openEngine: () => ({ ...OPENED, tun: null }), engineCounters: () => counted, engineOffloads: () => ({ ...offloads, tunChecksum: false }) });
    const engine = await openEngine(choose({ kind: "native", loadAddon: () => addon }));
    const expected = { udpSegment: true, udpReceive: true, trafficClass: true };
    expect(engineFields(engine)["offloads"]).toEqual(expected);
    expect(engineCounterFields(engine)["offloads"]).toEqual(expected);
    engine.close();
  });

  it("of kind auto is the reference one where it does not, and says why", async () => {
    const engine = await openEngine(choose({}));
    expect(engine).toMatchObject({ implementation: "reference", io: "dgram", tun: null, workers: 0, without: { code: "ERR_I3_NO_NATIVE", remedy: "Build it." } });
    expect(engineFields(engine)).toEqual({ engine: "reference", io: "dgram", workers: 0 });
    expect(engineCounterFields(engine)).toEqual({ drops: {}, tunIn: 0, tunOut: 0, udpIn: 0, udpOut: 0, upcalls: 0, hipAnswered: 0, refreshed: 0, challenged: 0 });
    engine.close();
  });

  it("of kind reference sends what it is settled with, and hands up what comes", async () => {
    const upcalls: Upcall[] = [];
    const engine = await openEngine(choose({ kind: "reference", onUpcalls: (batch) => void upcalls.push(...batch) }));
    expect(engine.without).toBeUndefined();
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    const arrived = new Promise<Uint8Array>((resolve) => socket.once("message", resolve));
    engine.datapath.send([{ locator: { address: Uint8Array.of(127, 0, 0, 1), port: socket.address().port }, bytes: Uint8Array.of(0x19, 1) }]);
    engine.settle();
    expect([...(await arrived)]).toEqual([0x19, 1]);
    socket.send(Uint8Array.of(0x19, 2), engine.udp.port, "127.0.0.1");
    await expect.poll(() => upcalls).toMatchObject([{ kind: "control", bytes: Uint8Array.of(0x19, 2) }]);
    expect(engineCounterFields(engine)).toMatchObject({ udpIn: 1, udpOut: 1, upcalls: 1 });
    socket.close();
    engine.close();
    engine.close();
  });

  it.each<readonly [string, Partial<OpenEngineOptions>]>([["kind native", { kind: "native" }], ["a TUN", { tun: TUN }]])("with %s needs the addon", async (_, more) => {
    await expect(openEngine(choose(more))).rejects.toMatchObject({ code: "ERR_I3_NO_NATIVE", remedy: "Build it." });
  });

  it("of kind reference has no TUN", async () => {
    await expect(openEngine(choose({ kind: "reference", tun: TUN }))).rejects.toThrow(RangeError);
  });

  it("does not take a port that is in use for a missing addon", async () => {
    const { addon } = fakeAddon({ openEngine: () => { throw systemError("EADDRINUSE", "bind"); } });
    await expect(openEngine(choose({ loadAddon: () => addon }))).rejects.toMatchObject({ code: "ERR_I3_PORT_IN_USE" });
  });
});

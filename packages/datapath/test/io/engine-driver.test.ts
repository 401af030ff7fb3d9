import { describe, expect, it, vi } from "vitest";
import { I3Error } from "@i3/common";
import type { Batch, DatagramBatch, PacketBatch, StepInput, Upcall } from "@i3/datapath";
import { BATCHES_PER_TURN, EngineDriver, SLOTS_PER_BATCH, type DriverOptions } from "@i3/datapath/io";
import { loadNativeIo, type NativeIo } from "@i3/datapath/native-io";
import type { Port, PortDrops, TunPort, UdpPort } from "../../src/io/ports.js";
import { receiveTexts, sendAll, until } from "./batches.js";
import { EchoCore, TestCore } from "./echo-core.js";

const clock = { nowMs: () => 1_234 };
const io = loadNativeIo();
const UPCALL: Upcall = { kind: "flow-setup", address: Uint8Array.of(10, 0, 0, 1), packet: new Uint8Array(20) };

/** A port whose packets are counts: `waiting` are there to read, `written` were written. */
class FakePort<Packets extends Batch> implements Port<Packets> {
  readonly drops: PortDrops = { ioError: 0, tooBig: 0 };
  readonly name = "fake0";
  readonly index = 9;
  readonly port = 5_000;
  readonly family = 4;
  waiting = 0;
  written = 0;
  reads = 0;
  closed = 0;
  watched = 0;
  broken: Error | undefined;
  readable: () => void = () => {};

  read(batch: Packets): boolean {
    this.reads += 1;
    if (this.broken !== undefined) throw this.broken;
    batch.count = Math.min(this.waiting, batch.lengths.length);
    this.waiting -= batch.count;
    return batch.count === batch.lengths.length;
  }
  write(batch: Packets): void {
    const { count } = batch;
    batch.count = 0;
    if (this.broken !== undefined) throw this.broken;
    this.written += count;
  }
  watch(callback: () => void): { close(): void } {
    this.readable = callback;
    this.watched += 1;
    return { close: () => (this.watched -= 1) };
  }
  close(): void {
    this.closed += 1;
  }
}

/** Yields `queued` datagrams, as many a step as fit. */
class QueueCore extends TestCore {
  queued = 0;
  upcalls: Upcall[] = [];

  override work(_nowMs: number, _input: StepInput, _tunOut: PacketBatch, udpOut: DatagramBatch): readonly Upcall[] {
    udpOut.count = Math.min(this.queued, udpOut.lengths.length);
    this.queued -= udpOut.count;
    return this.upcalls.splice(0);
  }
  override pending(): boolean {
    return this.queued > 0 || this.upcalls.length > 0;
  }
}

function setUp<Core extends TestCore>(core: Core, more: Partial<DriverOptions> = {}) {
  const [tun, udp] = [new FakePort<PacketBatch>(), new FakePort<DatagramBatch>()];
  const driver = new EngineDriver({ core, clock, onUpcalls: () => {}, ...more }, tun satisfies TunPort, udp satisfies UdpPort);
  return { tun, udp, driver, core };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a turn", () => {
  it("ends after a bounded number of batches, and the next one goes on", () => {
    const { tun, core } = setUp(new EchoCore());
    tun.waiting = 10_000;
    tun.readable();
    expect(core.tunIn).toBe(BATCHES_PER_TURN * SLOTS_PER_BATCH);
    expect(tun.written).toBe(core.tunIn);
    tun.readable();
    expect(core.tunIn).toBe(2 * BATCHES_PER_TURN * SLOTS_PER_BATCH);
  });

  it("reads once when the batch was not full", () => {
    const { udp, core } = setUp(new EchoCore());
    udp.waiting = SLOTS_PER_BATCH - 1;
    udp.readable();
    expect([udp.reads, core.steps, udp.written]).toEqual([1, 1, SLOTS_PER_BATCH - 1]);
  });

  it("gives the core the clock's time", () => {
    const core = new EchoCore();
    const work = vi.spyOn(core, "step");
    setUp(core).udp.readable();
    expect(work.mock.calls[0]?.[0]).toBe(1_234);
  });

  it("hands upcalls up as one array, after the step's output was written", () => {
    const core = new QueueCore();
    const seen: [number, number][] = [];
    const { udp } = setUp(core, { onUpcalls: (upcalls) => seen.push([upcalls.length, udp.written]) });
    core.queued = 3;
    core.upcalls = [UPCALL, UPCALL];
    udp.readable();
    expect(seen).toEqual([[2, 3]]);
  });

  it("sends in the same turn what an upcall's receiver asked for", () => {
    const core = new QueueCore();
    const { udp, driver } = setUp(core, {
      onUpcalls: () => {
        core.queued = 5;
        driver.wake();
      },
    });
    core.upcalls = [UPCALL];
    udp.readable();
    expect(udp.written).toBe(5);
  });
});

describe("packets for a TUN without vnet headers", () => {
  it("have whole checksums: partial ones are completed, others are left", () => {
    const partial = Uint8Array.from([0x45, 0, 0, 29, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x13, 0x88, 0, 53, 0, 9, 0x14, 0x1d, 7]);
    class PartialCore extends TestCore {
      override work(_nowMs: number, _input: StepInput, tunOut: PacketBatch): readonly Upcall[] {
        for (const state of [1, 0, 2]) {
          tunOut.arena.set(partial, tunOut.count * tunOut.slotBytes);
          tunOut.lengths[tunOut.count] = partial.length;
          tunOut.checksums[tunOut.count] = state;
          tunOut.count += 1;
        }
        return [];
      }
    }
    const { tun } = setUp(new PartialCore());
    const checksums: number[][] = [];
    vi.spyOn(tun, "write").mockImplementation((batch) => {
      for (let i = 0; i < batch.count; i++) checksums.push([...batch.arena.subarray(i * batch.slotBytes + 26, i * batch.slotBytes + 28)]);
      batch.count = 0;
    });
    tun.readable();
    // ~(0x141d + 0x1388 + 0x0035 + 0x0009 + 0x0700), by hand.
    expect(checksums).toEqual([[0xd1, 0x1c], [0x14, 0x1d], [0x14, 0x1d]]);
  });
});

describe("wake", () => {
  it("flushes once, soon, however often it is called", async () => {
    const { udp, driver, core } = setUp(new QueueCore());
    core.queued = 7;
    driver.wake();
    driver.wake();
    expect(udp.written).toBe(0);
    await nextTurn();
    expect([udp.written, core.steps, udp.reads]).toEqual([7, 1, 0]);
  });

  it("goes on over several turns until nothing waits", async () => {
    const { udp, driver, core } = setUp(new QueueCore());
    core.queued = SLOTS_PER_BATCH * (BATCHES_PER_TURN + 1);
    driver.wake();
    await nextTurn();
    expect(udp.written).toBe(SLOTS_PER_BATCH * BATCHES_PER_TURN);
    await nextTurn();
    expect(udp.written).toBe(SLOTS_PER_BATCH * (BATCHES_PER_TURN + 1));
  });

  it("lets timers run while the core always has more", async () => {
    const { driver, core } = setUp(new QueueCore());
    core.queued = Infinity;
    driver.wake();
    await new Promise((resolve) => setTimeout(resolve, 5));
    driver.close();
  });

  it("happens by itself when the core has something at the start", async () => {
    const core = new QueueCore();
    core.queued = 1;
    const { udp } = setUp(core);
    await nextTurn();
    expect(udp.written).toBe(1);
  });

  it("does nothing after close", async () => {
    const { udp, driver, core } = setUp(new QueueCore());
    core.queued = 7;
    driver.wake();
    driver.close();
    driver.wake();
    await nextTurn();
    expect([udp.written, core.steps]).toEqual([0, 0]);
  });
});

describe("ports that fail", () => {
  it("are told once; the other port goes on", () => {
    const failures: I3Error[] = [];
    const { tun, udp, driver } = setUp(new EchoCore(), { onFailure: (error) => failures.push(error) });
    tun.broken = Object.assign(new Error("gone"), { code: "EBADFD" });
    tun.readable();
    tun.readable();
    expect(failures.map(({ code }) => code)).toEqual(["ERR_I3_NO_TUN"]);
    expect(failures[0]?.cause).toBe(tun.broken);
    expect(tun.watched).toBe(0);
    udp.waiting = 3;
    udp.readable();
    expect(udp.written).toBe(3);
    driver.close();
    expect([tun.closed, udp.closed, udp.watched]).toEqual([1, 1, 0]);
  });

  it("throw when nobody wants to know", () => {
    const { tun } = setUp(new EchoCore());
    tun.broken = new Error("gone");
    expect(() => tun.readable()).toThrow(I3Error);
  });

  it("and drops of the ports are in the counters", () => {
    const { tun, udp, driver } = setUp(new EchoCore());
    tun.drops.ioError = 2;
    udp.drops.ioError = 3;
    udp.drops.tooBig = 4;
    expect(driver.counters().drops).toMatchObject({ "io-error": 5, "too-big": 4, malformed: 0 });
  });

  it("absent TUN: what is for it is counted io-error", () => {
    const udp = new FakePort<DatagramBatch>();
    const core = new (class extends TestCore {
      override work(_nowMs: number, _input: StepInput, tunOut: PacketBatch): readonly Upcall[] {
        tunOut.count = 2;
        return [];
      }
    })();
    const driver = new EngineDriver({ core, clock, onUpcalls: () => {} }, null, udp);
    udp.readable();
    expect(driver.counters().drops["io-error"]).toBe(2);
    driver.close();
  });
});

describe("close", () => {
  it("may come from onUpcalls, in the middle of a turn", () => {
    const core = new QueueCore();
    const { tun, udp, driver } = setUp(core, { onUpcalls: () => driver.close() });
    core.upcalls = [UPCALL];
    core.queued = 1_000;
    tun.waiting = 1_000;
    tun.readable();
    driver.close();
    expect([core.steps, tun.closed, udp.closed, tun.watched, udp.watched]).toEqual([1, 1, 1, 0, 0]);
  });
});

const systemError = (code: string): Error => Object.assign(new Error(code), { code });
const openWith = (fake: Partial<NativeIo>, address = "::"): EngineDriver =>
  EngineDriver.open({ core: new EchoCore(), clock, onUpcalls: () => {}, io: { ...io, ...fake }, tun: { name: "i3x", mtu: 1_360 }, udp: { address, port: 0, mark: 0 } });

describe("open", () => {
  const openTun = (code: string) => ({ openTun: () => { throw systemError(code); } });

  it.each([
    ["EPERM", "ERR_I3_NO_TUN", "CAP_NET_ADMIN"],
    ["EACCES", "ERR_I3_NO_TUN", "0666"],
    ["ENOENT", "ERR_I3_NO_TUN", "modprobe tun"],
    ["EBUSY", "ERR_I3_TUN_BUSY", "another TUN name"],
    ["EINVAL", "ERR_I3_TUN_BUSY", "another TUN name"],
  ])("explains %s of the TUN and leaves nothing open", (code, ours, remedy) => {
    const closed: number[] = [];
    const closeFd = (fd: number): void => {
      closed.push(fd);
      io.closeFd(fd);
    };
    let error: unknown;
    try {
      openWith({ ...openTun(code), closeFd });
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code: ours, remedy: expect.stringContaining(remedy) });
    expect(closed).toHaveLength(1);
  });

  it.each(["setLink", "interfaceIndex"] as const)("closes the TUN when %s fails", (call) => {
    const closed: number[] = [];
    const fake = { openTun: () => ({ fd: 77, name: "i3x" }), interfaceIndex: () => 9, [call]: () => { throw systemError("EPERM"); } };
    const closeFd = (fd: number): void => {
      closed.push(fd);
      if (fd !== 77) io.closeFd(fd);
    };
    expect(() => openWith({ ...fake, closeFd })).toThrow(expect.objectContaining({ code: "ERR_I3_NO_TUN" }));
    expect(closed[0]).toBe(77);
    expect(closed).toHaveLength(2);
  });

  it("refuses an MTU that its slots cannot hold", () => {
    const open = (mtu: number) => () => EngineDriver.open({ core: new EchoCore(), clock, onUpcalls: () => {}, tun: { name: "i3x", mtu }, udp: { address: "::", port: 0, mark: 0 } });
    expect(open(1_279)).toThrow(RangeError);
    expect(open(8_193)).toThrow(RangeError);
  });

  it.each(["EAFNOSUPPORT", "EADDRNOTAVAIL"])("falls back to IPv4 when there is no IPv6 (%s)", (code) => {
    const openUdp: NativeIo["openUdp"] = (options) => {
      if (options.family === 6) throw systemError(code);
      return io.openUdp(options);
    };
    const driver = EngineDriver.open({ core: new EchoCore(), clock, onUpcalls: () => {}, io: { ...io, openUdp }, udp: { address: "::", port: 0, mark: 0 } });
    expect(driver.udp.family).toBe(4);
    driver.close();
    expect(() => openWith({ openUdp }, "::1")).toThrow(expect.objectContaining({ code: "ERR_I3_NO_UDP" }));
  });

  it("names the port that is in use and how to find who has it", () => {
    const open = (port: number) => EngineDriver.open({ core: new EchoCore(), clock, onUpcalls: () => {}, udp: { address: "::", port, mark: 0 } });
    const first = open(0);
    const { port } = first.udp;
    expect(() => open(port)).toThrow(expect.objectContaining({ code: "ERR_I3_PORT_IN_USE", remedy: expect.stringContaining(`ss -ulpn sport = :${port}`) }));
    first.close();
    open(port).close();
  });
});

describe("over real UDP", () => {
  it("echoes to both families, drops what is too big, and ends cleanly", async () => {
    const core = new EchoCore();
    const driver = EngineDriver.open({ core, clock, onUpcalls: () => {}, udp: { address: "::", port: 0, mark: 0 } });
    const { port } = driver.udp;
    for (const [family, address] of [[4, "127.0.0.1"], [6, "::1"]] as const) {
      const socket = io.openUdp({ family, address, port: 0, mark: 0, bufferBytes: 0 });
      const batch = ["a", "b"].map((text) => ({ text, address, port }));
      sendAll(io, socket.fd, batch);
      expect(await receiveTexts(io, socket.fd, 2)).toEqual(["a", "b"]);
      const large = { arena: new Uint8Array(3 * 9_300).fill(120), lengths: Int32Array.of(4, 9_217, 9_216), addresses: new Uint8Array(54) };
      for (let i = 0; i < 3; i++) large.addresses.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...(family === 4 ? [255, 255, 127, 0, 0, 1] : [0, 0, 0, 0, 0, 1]), port >> 8, port & 255], i * 18);
      expect(io.sendBatch(socket.fd, large.arena, 9_300, large.lengths, large.addresses, 3)).toBe(3);
      await until(() => core.udpIn % 4 === 0, "two of three arrived");
      io.closeFd(socket.fd);
    }
    expect(driver.counters()).toMatchObject({ udpIn: 8, drops: { "too-big": 2 } });
    driver.close();
  });
});

import { describe, expect, it, vi } from "vitest";
import { I3Error } from "@i3/common";
import type { DatagramBatch, PacketBatch, StepInput, Upcall } from "@i3/datapath";
import { BATCHES_PER_TURN, EngineDriver, SLOTS_PER_BATCH, type DriverOptions } from "@i3/datapath/io";
import type { PortDrops, UdpPort } from "../../src/io/ports.js";
import { EchoCore, TestCore } from "./echo-core.js";

const clock = { nowMs: () => 1_234 };
const UPCALL: Upcall = { kind: "flow-setup", address: Uint8Array.of(10, 0, 0, 1), strength: 2, packet: new Uint8Array(20) };

/** A port whose packets are counts: `waiting` are there to read, `written` were written. */
class FakePort implements UdpPort {
  readonly drops: PortDrops = { ioError: 0, tooBig: 0 };
  onSendFailed: UdpPort["onSendFailed"];
  readonly port = 5_000;
  readonly family = 4;
  waiting = 0;
  written = 0;
  reads = 0;
  closed = 0;
  watched = 0;
  broken: Error | undefined;
  readable: () => void = () => {};

  read(batch: DatagramBatch): boolean {
    this.reads += 1;
    if (this.broken !== undefined) throw this.broken;
    batch.count = Math.min(this.waiting, batch.lengths.length);
    this.waiting -= batch.count;
    return batch.count === batch.lengths.length;
  }
  write(batch: DatagramBatch): void {
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
  const udp = new FakePort();
  const driver = new EngineDriver({ core, clock, onUpcalls: () => {}, ...more }, udp);
  return { udp, driver, core };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a turn", () => {
  it("ends after a bounded number of batches, and the next one goes on", () => {
    const { udp, core } = setUp(new EchoCore());
    udp.waiting = 10_000;
    udp.readable();
    expect(core.udpIn).toBe(BATCHES_PER_TURN * SLOTS_PER_BATCH);
    expect(udp.written).toBe(core.udpIn);
    udp.readable();
    expect(core.udpIn).toBe(2 * BATCHES_PER_TURN * SLOTS_PER_BATCH);
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

describe("a port that fails", () => {
  it("is told once, and is still closed", () => {
    const failures: I3Error[] = [];
    const { udp, driver } = setUp(new EchoCore(), { onFailure: (error) => failures.push(error) });
    udp.broken = Object.assign(new Error("gone"), { code: "EBADF" });
    udp.readable();
    udp.readable();
    expect(failures.map(({ code }) => code)).toEqual(["ERR_I3_NO_UDP"]);
    expect(failures[0]?.cause).toBe(udp.broken);
    expect(udp.watched).toBe(0);
    driver.close();
    expect([udp.closed, udp.watched]).toEqual([1, 0]);
  });

  it("throws when nobody wants to know", () => {
    const { udp } = setUp(new EchoCore());
    udp.broken = new Error("gone");
    expect(() => udp.readable()).toThrow(I3Error);
  });
});

describe("counters", () => {
  it("have the drops of the port", () => {
    const { udp, driver } = setUp(new EchoCore());
    udp.drops.ioError = 3;
    udp.drops.tooBig = 4;
    expect(driver.counters().drops).toMatchObject({ "io-error": 3, "too-big": 4, malformed: 0 });
  });

  it("have what is for the TUN, which is not there, as io-error", () => {
    const core = new (class extends TestCore {
      override work(_nowMs: number, _input: StepInput, tunOut: PacketBatch): readonly Upcall[] {
        tunOut.count += 2;
        return [];
      }
    })();
    const { udp, driver } = setUp(core);
    udp.readable();
    udp.readable();
    expect(driver.counters().drops["io-error"]).toBe(4);
    driver.close();
  });
});

describe("close", () => {
  it("may come from onUpcalls, in the middle of a turn", () => {
    const core = new QueueCore();
    const { udp, driver } = setUp(core, { onUpcalls: () => driver.close() });
    core.upcalls = [UPCALL];
    core.queued = 1_000;
    udp.waiting = 1_000;
    udp.readable();
    driver.close();
    expect([core.steps, udp.closed, udp.watched]).toEqual([1, 1, 0]);
  });
});

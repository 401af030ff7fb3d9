/** The emulator in virtual time: what is asked for is what comes out, and the seed decides all of it. */
import { describe, expect, test } from "vitest";
import { EmulatedPath, NetnsError, type Impairment } from "../src/index.js";

interface Arrival {
  readonly atMs: number;
  readonly serial: number;
}

const PACKET_BYTES = 1_000;

function packet(serial: number, bytes = PACKET_BYTES): Uint8Array {
  const data = new Uint8Array(bytes);
  new DataView(data.buffer).setUint32(0, serial);
  return data;
}

/** Sends `count` packets, one every `intervalMs`, and polls exactly at the deadlines. */
function drive(path: EmulatedPath, count: number, intervalMs: number, bytes?: number): Arrival[] {
  const arrivals: Arrival[] = [];
  let deadlineMs: number | undefined;
  const pollUntil = (untilMs: number): void => {
    while (deadlineMs !== undefined && deadlineMs <= untilMs) {
      const atMs = deadlineMs;
      const result = path.poll(atMs);
      if (result.packets.length === 0) throw new Error(`nothing was due at the deadline ${atMs}`);
      for (const data of result.packets) arrivals.push({ atMs, serial: new DataView(data.buffer).getUint32(0) });
      deadlineMs = result.deadlineMs;
    }
  };
  for (let serial = 0; serial < count; serial++) {
    const nowMs = serial * intervalMs;
    pollUntil(nowMs);
    path.input(nowMs, packet(serial, bytes));
    deadlineMs = path.poll(-Infinity).deadlineMs;
  }
  pollUntil(Infinity);
  return arrivals;
}

function serials(arrivals: readonly Arrival[]): number[] {
  return arrivals.map(({ serial }) => serial);
}

const ROUGH: Impairment = {
  delayMs: 10, jitterMs: 20, rateKbit: 20_000, lossPercent: 2, burstStartPercent: 1, reorderPercent: 3, duplicatePercent: 2,
};

describe("seed", () => {
  test("the same one gives the same run, another one another", () => {
    const run = (seed: number): Arrival[] => drive(new EmulatedPath(ROUGH, seed), 2_000, 0.5);
    expect(run(7)).toEqual(run(7));
    expect(run(7)).not.toEqual(run(8));
  });

  test.each<Impairment>([
    { lossPercent: 10 }, { burstStartPercent: 5 }, { burstStartPercent: 100, burstEndPercent: 0, burstLossPercent: 50 }, { jitterMs: 10 },
    { reorderPercent: 10 }, { duplicatePercent: 10 },
  ])("decides %o alone", (impairment) => {
    const run = (seed: number): Arrival[] => drive(new EmulatedPath(impairment, seed), 500, 1);
    expect(run(7)).toEqual(run(7));
    expect(run(7)).not.toEqual(run(8));
  });

  test("changing one parameter leaves the fate that others decide", () => {
    const lost = (extra: Impairment): number[] => {
      const arrived = new Set(serials(drive(new EmulatedPath({ lossPercent: 10, ...extra }, 3), 1_000, 1)));
      return Array.from({ length: 1_000 }, (_, serial) => serial).filter((serial) => !arrived.has(serial));
    };
    expect(lost({ jitterMs: 50, duplicatePercent: 10, reorderPercent: 10 })).toEqual(lost({}));
  });
});

test("a plain wire delivers at once, in order, everything", () => {
  const arrivals = drive(new EmulatedPath({}, 1), 100, 1);
  expect(arrivals).toEqual(Array.from({ length: 100 }, (_, serial) => ({ atMs: serial, serial })));
});

test("delay shifts every packet by the same time", () => {
  const arrivals = drive(new EmulatedPath({ delayMs: 40 }, 1), 100, 1);
  expect(arrivals).toEqual(Array.from({ length: 100 }, (_, serial) => ({ atMs: serial + 40, serial })));
});

test("jitter spreads arrivals over its range and keeps the order", () => {
  const arrivals = drive(new EmulatedPath({ delayMs: 20, jitterMs: 30 }, 1), 5_000, 100);
  expect(serials(arrivals)).toEqual(Array.from({ length: 5_000 }, (_, serial) => serial));
  const extra = arrivals.map(({ atMs, serial }) => atMs - serial * 100 - 20);
  expect(Math.min(...extra)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...extra)).toBeLessThan(30);
  expect(extra.reduce((sum, ms) => sum + ms, 0) / extra.length).toBeCloseTo(15, 0);
});

test("jitter larger than the distance between packets still keeps the order", () => {
  const arrivals = drive(new EmulatedPath({ jitterMs: 30 }, 1), 1_000, 1);
  expect(serials(arrivals)).toEqual(Array.from({ length: 1_000 }, (_, serial) => serial));
});

describe("rate", () => {
  test("many packets at once leave at the bottleneck's rate, after the burst", () => {
    const path = new EmulatedPath({ rateKbit: 8_000, burstBytes: 2_000, queueBytes: 1_000_000 }, 1);
    const arrivals = drive(path, 100, 0);
    expect(arrivals.map(({ atMs }) => atMs)).toEqual(Array.from({ length: 100 }, (_, serial) => Math.max(0, serial - 1)));
  });

  test("in the long run no more passes than the rate, and a slower sender is not held up", () => {
    const fast = drive(new EmulatedPath({ rateKbit: 8_000 }, 1), 20_000, 0.5);
    const lastMs = fast.at(-1)?.atMs ?? 0;
    expect((fast.length * PACKET_BYTES * 8) / lastMs).toBeCloseTo(8_000, -2);
    const slow = drive(new EmulatedPath({ rateKbit: 8_000 }, 1), 100, 1);
    expect(slow.every(({ atMs, serial }) => Math.abs(atMs - serial) < 1e-6)).toBe(true);
  });

  test("the queue is bounded, drops at its tail, and bounds the delay", () => {
    const path = new EmulatedPath({ rateKbit: 8_000, burstBytes: 1_000, queueBytes: 10_000 }, 1);
    const arrivals = drive(path, 50, 0);
    expect(serials(arrivals)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(arrivals.at(-1)?.atMs).toBe(10);
    expect(path.stats.queueDropped).toBe(39);
  });

  test("room in the queue comes back as packets leave", () => {
    const path = new EmulatedPath({ rateKbit: 8_000, burstBytes: 1_000, queueBytes: 10_000 }, 1);
    for (const nowMs of [0, 100, 105]) for (let i = 0; i < 11; i++) path.input(nowMs, packet(i));
    expect(path.stats.queueDropped).toBe(6);
    expect(path.poll(115)).toMatchObject({ packets: { length: 27 }, deadlineMs: undefined });
  });
});

describe("loss", () => {
  test("is what was asked for, independent from packet to packet", () => {
    const path = new EmulatedPath({ lossPercent: 5 }, 1);
    const arrived = drive(path, 100_000, 1).length;
    expect(path.stats.lost / 1_000).toBeCloseTo(5, 0);
    expect(arrived + path.stats.lost).toBe(100_000);
  });

  test.each([0, 100])("of %d percent is exact", (lossPercent) => {
    expect(drive(new EmulatedPath({ lossPercent }, 1), 1_000, 1)).toHaveLength(lossPercent === 0 ? 1_000 : 0);
  });

  test("in bursts has the mean length and the share that the two chances give", () => {
    const arrivals = drive(new EmulatedPath({ burstStartPercent: 1, burstEndPercent: 20 }, 1), 200_000, 1);
    const gaps = serials(arrivals).map((serial, i, all) => serial - (all[i - 1] ?? -1) - 1).filter((gap) => gap > 0);
    const lost = gaps.reduce((sum, gap) => sum + gap, 0);
    expect(lost / gaps.length).toBeGreaterThan(4.5);
    expect(lost / gaps.length).toBeLessThan(5.5);
    expect(lost / 200_000).toBeCloseTo(1 / 21, 2);
  });

  test("in bursts may be partial", () => {
    const path = new EmulatedPath({ burstStartPercent: 100, burstEndPercent: 0, burstLossPercent: 30 }, 1);
    drive(path, 20_000, 1);
    expect(path.stats.burstLost / 200).toBeCloseTo(30, 0);
  });
});

test("reordered packets are overtaken by those of the time they were held back, others keep their order", () => {
  const path = new EmulatedPath({ delayMs: 10, reorderPercent: 5, reorderMs: 3.5 }, 1);
  const order = serials(drive(path, 100_000, 1));
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100_000 }, (_, serial) => serial));
  const late = order.filter((serial, i) => order.slice(Math.max(0, i - 10), i).some((before) => before > serial));
  const lastTooLateToBeOvertaken = 4;
  expect(path.stats.reordered - late.length).toBeLessThanOrEqual(lastTooLateToBeOvertaken);
  expect(path.stats.reordered).toBeGreaterThanOrEqual(late.length);
  expect(late.length / 1_000).toBeCloseTo(5, 0);
});

test("duplicates arrive together, and as often as asked for", () => {
  const path = new EmulatedPath({ delayMs: 5, duplicatePercent: 10 }, 1);
  const arrivals = drive(path, 100_000, 1);
  const twins = arrivals.filter(({ serial, atMs }, i) => arrivals[i - 1]?.serial === serial && arrivals[i - 1]?.atMs === atMs);
  expect(twins.length).toBe(path.stats.duplicated);
  expect(arrivals.length).toBe(100_000 + twins.length);
  expect(twins.length / 1_000).toBeCloseTo(10, 0);
});

describe("changes while running", () => {
  test("a cut loses what is on its way and all that follows, until it is mended", () => {
    const path = new EmulatedPath({ delayMs: 100, rateKbit: 8_000 }, 1);
    path.input(0, packet(0));
    path.set({ isCut: true });
    path.input(1, packet(1));
    expect(path.poll(1_000)).toEqual({ packets: [], deadlineMs: undefined });
    expect(path.stats.cutDropped).toBe(2);
    path.set({ isCut: false });
    path.input(2, packet(2));
    expect(path.poll(102).packets).toHaveLength(1);
  });

  test("after a cut the bottleneck is idle and the order begins anew", () => {
    const path = new EmulatedPath({ delayMs: 1, rateKbit: 800 }, 1);
    for (let i = 0; i < 50; i++) path.input(0, packet(i));
    path.set({ isCut: true });
    path.set({ isCut: false });
    path.input(2, packet(50));
    expect(path.poll(3).packets).toHaveLength(1);
  });

  test("a shorter delay does not overtake, an unmentioned parameter stays", () => {
    const path = new EmulatedPath({ delayMs: 100, lossPercent: 0 }, 1);
    path.input(0, packet(0));
    path.set({ delayMs: 10 });
    path.input(1, packet(1));
    expect(path.poll(99)).toEqual({ packets: [], deadlineMs: 100 });
    expect(path.poll(100).packets.map((data) => new DataView(data.buffer).getUint32(0))).toEqual([0, 1]);
    path.set({ lossPercent: 100 });
    path.set({ delayMs: 1 });
    path.input(101, packet(2));
    expect(path.stats.lost).toBe(1);
  });
});

test("no more than a fixed number of packets is on its way", () => {
  const path = new EmulatedPath({ delayMs: 1_000 }, 1);
  const one = new Uint8Array(20);
  for (let i = 0; i < 70_000; i++) path.input(0, one);
  expect(path.inFlight).toBe(65_536);
  expect(path.stats.overflowDropped).toBe(70_000 - 65_536);
});

test.each<[string, Record<string, unknown>]>([
  ["a negative delay", { delayMs: -1 }],
  ["more than all", { lossPercent: 101 }],
  ["no number", { rateKbit: Number.NaN }],
  ["a delay in microseconds", { delayMs: 100_000 }],
  ["an unknown name", { lossPercents: 1 }],
  ["another type", { isCut: 1 }],
])("%s is refused", (_, impairment) => {
  expect(() => new EmulatedPath(impairment, 1)).toThrow(NetnsError);
});

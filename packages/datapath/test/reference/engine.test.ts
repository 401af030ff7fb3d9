import { MAX_CHECK_BYTES, MAX_CONTROL_BYTES, makeLocator } from "@i3/common";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/datapath.js";
import { ReferenceEngine } from "../../src/reference/engine.js";
import { MAX_HELD_BYTES } from "../../src/reference/outputs.js";
import { MAX_RATED_SOURCES, SourceRates } from "../../src/reference/rate-limits.js";
import { makeDatagramBatch, makePacketBatch } from "../../src/reference/step.js";
import { MAX_WAITING_UPCALLS } from "../../src/reference/upcalls.js";
import { Harness, dataPacket, locator } from "./harness.js";
import { bytes, data, ip6, makeId } from "./packets.js";

const PEER = locator("192.0.2.1");
const control = (...rest: readonly number[]): Uint8Array => bytes(0x19, ...rest);

describe("datagrams by first byte", () => {
  it.each<readonly [string, Uint8Array, object]>([
    ["nothing", bytes(), { malformed: 1 }],
    ["HIP", bytes(0, 0, 0, 0, 1), { hip: 1 }],
    ["0x01", bytes(1, 2), { malformed: 1 }],
    ["data of another version", bytes(0x12, 2), { version: 1 }],
    ["control of another version", bytes(0x18, 2), { version: 1 }],
    ["ESP without a whole header", bytes(0x20, 0, 0, 1), { malformed: 1 }],
    ["ESP of no association", bytes(0x20, 0, 0, 1, 0, 0, 0, 1), { "unknown-spi": 1 }],
    ["keep-alive", bytes(0xff), {}],
    ["keep-alive and more", bytes(0xff, 0xff), { malformed: 1 }],
    ["short data", dataPacket({}).subarray(0, 47), { malformed: 1 }],
    ["data of 16 bytes", dataPacket({}).subarray(0, 16), { malformed: 1 }],
    ["empty stack", dataPacket({}).fill(0, 4, 5), { malformed: 1 }],
    ["control that is too long", new Uint8Array(MAX_CONTROL_BYTES + 1).fill(0x19), { malformed: 1 }],
    ["CHECK that is too long", new Uint8Array(MAX_CHECK_BYTES + 1).fill(18).fill(0x19, 0, 1), { malformed: 1 }],
  ])("%s", (_, datagram, drops) => {
    const harness = new Harness();
    expect(harness.fromUdp(PEER, datagram)).toEqual({ tun: [], udp: [], upcalls: [], drops });
    expect(harness.engine.counters().udpIn).toBe(1);
  });

  it.each([PEER, makeLocator(ip6(7), 9)])("control goes up as it is", (from) => {
    expect(new Harness().fromUdp(from, control(7), new Uint8Array(MAX_CONTROL_BYTES).fill(0x19)).upcalls).toEqual([
      { kind: "control", from, bytes: control(7) },
      { kind: "control", from, bytes: new Uint8Array(MAX_CONTROL_BYTES).fill(0x19) },
    ]);
  });

  it("a CHECK of 9,000 bytes goes up", () => {
    const check = new Uint8Array(MAX_CHECK_BYTES).fill(18).fill(0x19, 0, 1);
    expect(new Harness().fromUdp(PEER, check).upcalls).toEqual([{ kind: "control", from: PEER, bytes: check }]);
  });

  it("port 0 and lengths that are not the slot's are malformed", () => {
    const engine = new ReferenceEngine();
    const udp = makeDatagramBatch(3, 16);
    udp.arena.fill(0x19);
    udp.lengths.set([4, 17, -1]);
    udp.addresses.fill(1, 18);
    udp.count = 3;
    const tun = makePacketBatch(1, 16);
    tun.lengths[0] = 17;
    tun.count = 1;
    expect(engine.step(1, { tun, udp }, makePacketBatch(1, 1), makeDatagramBatch(1, 1))).toEqual([]);
    expect(engine.counters().drops).toMatchObject({ malformed: 3, "inner-malformed": 1 });
  });
});

describe("rates", () => {
  it("2,000 upcalls a second per source address, whatever the port", () => {
    const harness = new Harness();
    let told = 0;
    const flood = (): void => {
      for (let i = 0; i < 11; i++) told += harness.step([], Array.from({ length: 250 }, (_, j) => ({ from: locator("192.0.2.1", 1 + j), bytes: control() }))).upcalls.length;
      while (harness.engine.pending()) told += harness.step().upcalls.length;
    };
    flood();
    expect(told).toBe(2_000);
    expect(harness.engine.counters().drops.rate).toBe(750);
    expect(harness.fromUdp(locator("192.0.2.2"), control()).upcalls).toHaveLength(1);
    harness.nowMs += 500;
    flood();
    expect(told).toBe(3_000);
  });

  it("payloads for the control plane are limited too, packets for the TUN are not", () => {
    const harness = new Harness();
    harness.engine.setInbound(makeId(9), { action: "upcall" });
    const many = Array.from({ length: 2_010 }, () => dataPacket({}));
    harness.fromUdp(PEER, ...many);
    expect(harness.engine.counters().drops.rate).toBe(10);
  });

  it("a bounded number of sources have buckets, others share one, idle ones are forgotten", () => {
    const rates = new SourceRates(2);
    for (let i = 0; i < MAX_RATED_SOURCES; i++) expect(rates.allow(5_000, String(i))).toBe(true);
    const late = [0, 1, 2].map((i) => rates.allow(5_000, String(MAX_RATED_SOURCES + i)));
    expect(late).toEqual([true, true, false]);
    expect(rates.sources).toBe(MAX_RATED_SOURCES);
    expect(rates.allow(6_000, "late")).toBe(true);
    expect(rates.sources).toBe(1);
  });
});

describe("batches", () => {
  it("at most 256 upcalls a step, the rest kept in order, at most 4,096", () => {
    const harness = new Harness();
    const from = (i: number) => locator(`10.0.${i >> 8}.${i & 0xff}`);
    const first = harness.step([], Array.from({ length: 4_200 }, (_, i) => ({ from: from(i), bytes: control(i & 0xff) })));
    expect(first.upcalls).toHaveLength(LIMITS.upcallsPerBatch);
    expect(first.drops).toEqual({ "queue-full": 4_200 - MAX_WAITING_UPCALLS });
    const second = harness.step();
    expect(second.upcalls[0]).toEqual({ kind: "control", from: from(256), bytes: control(0) });
    let left = MAX_WAITING_UPCALLS - 512;
    while (harness.engine.pending()) left -= harness.step().upcalls.length;
    expect(left).toBe(0);
    expect(harness.engine.counters().upcalls).toBe(MAX_WAITING_UPCALLS);
  });

  it("output that finds no slot waits, in order, before later output", () => {
    const harness = new Harness({ slots: 2, slotBytes: 100 });
    const numbered = [0, 1, 2, 3, 4].map((i) => data(i + 1));
    harness.engine.send(numbered.map((datagram) => ({ locator: PEER, bytes: datagram })));
    harness.engine.inject(numbered);
    expect(harness.engine.pending()).toBe(true);
    const sent: Uint8Array[] = [];
    const injected: Uint8Array[] = [];
    while (harness.engine.pending()) {
      const { tun, udp } = harness.step();
      expect(tun.length).toBeLessThanOrEqual(2);
      sent.push(...udp.map((datagram) => datagram.bytes));
      injected.push(...tun);
    }
    expect([sent, injected]).toEqual([numbered, numbered]);
    expect(harness.engine.counters()).toMatchObject({ tunOut: 5, udpOut: 5, tunIn: 0, udpIn: 0 });
  });

  it("what arrives while the batch is full goes behind what waits", () => {
    const harness = new Harness({ slots: 2, slotBytes: 100 });
    harness.engine.setResponsibility({ kind: "all" });
    harness.engine.setTriggers(makeId(9).subarray(0, 16), [{ id: makeId(9), target: { kind: "locator", locator: PEER } }]);
    const kinds = (udp: readonly { readonly bytes: Uint8Array }[]): readonly (number | undefined)[] => udp.map((datagram) => datagram.bytes[5]);
    expect(kinds(harness.fromUdp(PEER, ...[1, 2, 3, 4, 5].map((payloadKind) => dataPacket({ payloadKind }))).udp)).toEqual([1, 2]);
    expect(kinds(harness.fromUdp(PEER, dataPacket({ payloadKind: 6 })).udp)).toEqual([3, 4]);
    expect(kinds(harness.step().udp)).toEqual([5, 6]);
    expect(harness.engine.pending()).toBe(false);
  });

  it("appends to batches that are not empty", () => {
    const engine = new ReferenceEngine();
    engine.send([{ locator: PEER, bytes: data(3) }]);
    const udp = makeDatagramBatch(2, 10);
    udp.count = 1;
    engine.step(1, { tun: null, udp: null }, makePacketBatch(1, 1), udp);
    expect([udp.count, udp.lengths[1], udp.arena.slice(10, 13)]).toEqual([2, 3, data(3)]);
    expect(udp.addresses.slice(18)).toEqual(bytes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, 0x0f, 0xa0));
    expect(udp.addresses.slice(0, 18)).toEqual(new Uint8Array(18));
  });

  it("a bounded number of bytes waits, and what fits no slot is too-big", () => {
    const harness = new Harness({ slots: 1, slotBytes: 100 });
    harness.engine.send([{ locator: PEER, bytes: data(101) }, { locator: PEER, bytes: data(5) }]);
    expect(harness.step()).toMatchObject({ udp: [{ bytes: data(5) }], drops: { "too-big": 1 } });
    const block = new Uint8Array(64 * 1024);
    harness.engine.inject(Array.from({ length: MAX_HELD_BYTES / block.length + 3 }, () => block));
    expect(harness.engine.counters().drops["queue-full"]).toBe(3);
    while (harness.engine.pending()) harness.step();
    harness.engine.inject(Array.from({ length: MAX_HELD_BYTES / block.length + 3 }, () => block));
    expect(harness.engine.counters().drops["queue-full"]).toBe(6);
  });

  it("copies what it is given to send", () => {
    const harness = new Harness();
    const given = data(9);
    harness.engine.send([{ locator: PEER, bytes: given }]);
    harness.engine.inject([given]);
    given.fill(0);
    const { udp, tun } = harness.step();
    expect([udp[0]?.bytes, tun[0]]).toEqual([data(9), data(9)]);
  });

  it("counters are a snapshot", () => {
    const harness = new Harness();
    const before = harness.engine.counters();
    harness.fromUdp(PEER, bytes(1));
    expect([before.udpIn, before.drops.malformed]).toEqual([0, 0]);
    expect(harness.engine.counters()).toMatchObject({ udpIn: 1, drops: { malformed: 1 } });
  });

  it("says which implementation it is", () => expect(new ReferenceEngine().implementation).toBe("reference"));
});

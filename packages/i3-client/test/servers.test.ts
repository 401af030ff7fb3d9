import { makeLocator, toHex, type Locator } from "@i3/common";
import { describe, expect, it } from "vitest";

import { CLIENT, FakeRing, filled, WALL_START_MS } from "./fake-ring.js";

const firstHops = (ring: FakeRing): (Locator | null)[] => ring.events.flatMap((event) => (event.kind === "first-hop" ? [event.server] : []));
/** What the engine was told to know, and what it should know. */
const known = (ring: FakeRing): readonly string[] => ring.knownSources.toSorted();
const addresses = (ring: FakeRing): readonly string[] => ring.client.servers().map(({ locator }) => toHex(locator.address)).toSorted();
const status = (ring: FakeRing, number: number): string => ring.client.servers().find(({ locator }) => locator.address[3] === number)?.liveness ?? "gone";

describe("choice of a server", () => {
  it("takes the first that answers, then the nearest", () => {
    const ring = new FakeRing(3);
    [80, 10, 40].forEach((delayMs, i) => (ring.server(i + 1).delayMs = delayMs));
    ring.run(25);
    expect(ring.client.firstHop()).toEqual(ring.server(2).locator);
    ring.run(2_000);
    expect(ring.client.firstHop()).toEqual(ring.server(2).locator);
    expect(ring.defaultServer).toEqual(ring.server(2).locator);
    expect(firstHops(ring)).toEqual([ring.server(2).locator]);
  });

  it("leaves a slower first answer for a much nearer server", () => {
    const ring = new FakeRing(2);
    ring.server(1).delayMs = 40;
    ring.server(2).down = true;
    ring.run(900);
    expect(ring.client.firstHop()).toEqual(ring.server(1).locator);
    ring.server(2).down = false;
    ring.run(5_100);
    expect(firstHops(ring)).toEqual([ring.server(1).locator, ring.server(2).locator]);
  });

  it("does not leave a server for one that is only a little nearer", () => {
    const ring = new FakeRing(2);
    ring.server(1).delayMs = 40;
    ring.server(2).delayMs = 41;
    ring.run(1_000);
    expect(ring.client.firstHop()).toEqual(ring.server(1).locator);
    ring.server(2).delayMs = 30;
    ring.run(200_000);
    expect(firstHops(ring)).toEqual([ring.server(1).locator]);
    ring.server(2).delayMs = 5;
    ring.run(400_000);
    expect(firstHops(ring)).toEqual([ring.server(1).locator, ring.server(2).locator]);
  });

  it("asks the server in use each second, the others each half minute", () => {
    const ring = new FakeRing(2);
    ring.server(2).delayMs = 20;
    ring.run(100);
    const before = [ring.server(1).count("PING"), ring.server(2).count("PING")] as const;
    ring.run(60_000);
    expect(ring.server(1).count("PING") - before[0]).toBeGreaterThanOrEqual(59);
    expect(ring.server(1).count("PING") - before[0]).toBeLessThanOrEqual(61);
    expect(ring.server(2).count("PING") - before[1]).toBe(2);
  });

  it("asks the server that carries packets more often, while it does", () => {
    const ring = new FakeRing(2);
    ring.server(2).delayMs = 20;
    const id = filled(32, 1);
    ring.run(1_000);
    const asked = (): readonly number[] => {
      const before = [1, 2].map((number) => ring.server(number).count("PING"));
      ring.run(20_000);
      return [1, 2].map((number, i) => ring.server(number).count("PING") - (before[i] ?? 0));
    };
    ring.client.openPath(id);
    const [carrying] = asked();
    expect(carrying).toBeGreaterThanOrEqual(48);
    expect(carrying).toBeLessThanOrEqual(51);
    ring.inject(ring.server(1).locator, { type: "CACHE", ringKey: id.slice(0, 16), node: { key: filled(16, 2), locator: ring.server(2).locator }, lifeMs: 30_000 }, ring.client.pathHeader(id, 1).slice(8, 16));
    ring.run(100);
    expect(ring.client.serverOfPath(id)).toEqual(ring.server(2).locator);
    const direct = asked();
    expect(direct[0]).toBeLessThanOrEqual(21);
    expect(direct[1]).toBeGreaterThanOrEqual(48);
    ring.client.setPathActive(id, false);
    expect(asked()[1]).toBeLessThanOrEqual(2);
    ring.client.setPathActive(id, true);
    ring.client.closePath(id);
    expect(asked()[0]).toBeLessThanOrEqual(21);
  });
});

describe("death of a server", () => {
  it.each([1, 10, 50, 100])("on a path of %i ms one way is seen within 2.8 s, and so is its return within 6 s", (delayMs) => {
    for (let phase = 0; phase < 1_000; phase += 130) {
      const ring = new FakeRing(1);
      ring.server(1).delayMs = delayMs;
      ring.run(3_000 + phase);
      ring.server(1).down = true;
      expect(ring.until(() => ring.client.firstHop() === null, 2_800 + delayMs)).toBeGreaterThan(1_000);
      expect([ring.defaultServer, status(ring, 1)]).toEqual([null, "dead"]);
      ring.run(phase * 3);
      ring.server(1).down = false;
      ring.until(() => ring.client.firstHop() !== null, 5_000 + 4 * delayMs);
      expect(firstHops(ring)).toEqual([ring.server(1).locator, null, ring.server(1).locator]);
    }
  });

  it.each([1, 10, 40])("that carries packets, on a path of %i ms one way, is seen within 1.3 s", (delayMs) => {
    for (let phase = 0; phase < 1_000; phase += 130) {
      const ring = new FakeRing(1);
      ring.server(1).delayMs = delayMs;
      ring.client.openPath(filled(32, 1));
      ring.run(3_000 + phase);
      ring.server(1).down = true;
      expect(ring.until(() => ring.client.firstHop() === null, 1_240 + 2 * delayMs)).toBeGreaterThan(700);
    }
  });

  it("that carries packets is seen within 1.3 s though the path was slow until a moment before", () => {
    const ring = new FakeRing(1);
    ring.server(1).delayMs = 400;
    ring.client.openPath(filled(32, 1));
    ring.run(20_000);
    ring.server(1).delayMs = 10;
    ring.run(1_500);
    ring.server(1).down = true;
    expect(ring.until(() => ring.client.firstHop() === null, 1_300)).toBeGreaterThan(700);
  });

  it("that carries packets is not seen when one answer in three is lost, nor on a slow path", () => {
    const ring = new FakeRing(1);
    ring.client.openPath(filled(32, 1));
    ring.server(1).delayMs = 500;
    ring.run(3_000);
    ring.loses = (n) => n % 3 === 0;
    ring.run(120_000);
    expect(firstHops(ring)).toEqual([ring.server(1).locator]);
  });

  it("moves the first hop to the next nearest", () => {
    const ring = new FakeRing(3);
    [5, 20, 40].forEach((delayMs, i) => (ring.server(i + 1).delayMs = delayMs));
    ring.run(2_000);
    ring.server(1).down = true;
    ring.until(() => ring.client.firstHop()?.address[3] === 2, 2_900);
    ring.server(2).down = true;
    ring.until(() => ring.client.firstHop()?.address[3] === 3, 2_900);
  });

  it("is not seen when one answer in three is lost", () => {
    const ring = new FakeRing(1);
    ring.run(1_000);
    ring.loses = (n) => n % 3 === 0;
    ring.run(120_000);
    expect(firstHops(ring)).toEqual([ring.server(1).locator]);
  });

  it.each([350, 700, 1_200])("is not thought of a path of %i ms one way", (delayMs) => {
    const ring = new FakeRing(1);
    ring.server(1).delayMs = delayMs;
    ring.until(() => ring.client.firstHop() !== null, 2 * delayMs + 10);
    const from = ring.events.length;
    ring.run(60_000);
    expect(ring.events.length).toBe(from);
    expect(ring.client.servers()[0]?.rttMs).toBeCloseTo(2 * delayMs, 0);
  });

  it("is not thought of a path that suddenly takes 1.5 s", () => {
    const ring = new FakeRing(1);
    ring.run(5_000);
    ring.server(1).delayMs = 750;
    ring.run(60_000);
    expect(firstHops(ring)).toEqual([ring.server(1).locator]);
  });
});

describe("forged answers to PING", () => {
  it("are ignored and counted", () => {
    const ring = new FakeRing(2);
    ring.server(1).down = true;
    ring.run(10);
    const pong = { type: "PONG", timeMs: 0, observed: CLIENT, nodeKey: filled(16, 0) } as const;
    ring.inject(ring.server(1).locator, pong, filled(8, 1)); // wrong nonce
    ring.inject(makeLocator(filled(4, 9), 9), pong, filled(8, 1)); // from nobody we know
    expect(ring.client.counters).toEqual({ malformed: 0, unexpected: 2 });
    expect(status(ring, 1)).toBe("unknown");
  });

  it("do not count from another source, nor twice", () => {
    const ring = new FakeRing(2);
    const nonces: Uint8Array[] = [];
    const original = ring.client.handleControl.bind(ring.client);
    ring.client.handleControl = (nowMs, from, bytes) => {
      nonces.push(bytes.slice(8, 16));
      original(nowMs, makeLocator(from.address, from.port + 1), bytes);
      expect(status(ring, from.address[3] ?? 0)).toBe("unknown");
      original(nowMs, from, bytes);
      original(nowMs, from, bytes);
    };
    ring.run(30);
    expect(nonces.length).toBe(2);
    expect(ring.client.counters.unexpected).toBe(4);
  });

  it("do no harm as any bytes", () => {
    const ring = new FakeRing(1);
    ring.run(1_000);
    for (const bytes of [[], [0x19], [0x19, 2, 0, 0, 0, 1, 0, 0, ...filled(8, 1), 0x90]]) ring.client.handleControl(ring.nowMs, ring.server(1).locator, Uint8Array.from(bytes));
    expect(ring.client.counters.malformed).toBe(3);
  });
});

describe("the servers' clocks", () => {
  const clocks = (ring: FakeRing): readonly (readonly [number | undefined, number | null])[] =>
    ring.client.clocks().map(({ server, aheadMs }) => [server.address[3], aheadMs === null ? null : Math.round(aheadMs) + 0]);

  it("are each compared with ours, as far as they have answered", () => {
    const ring = new FakeRing(5);
    const aheadMs = [-3_000, 1e15 - WALL_START_MS, 200, -1e12, 500];
    aheadMs.forEach((clockAheadMs, i) => {
      ring.server(i + 1).clockAheadMs = clockAheadMs;
      ring.server(i + 1).delayMs = 10 * (i + 1);
    });
    expect(clocks(ring)).toEqual([1, 2, 3, 4, 5].map((number) => [number, null]));
    ring.run(65);
    expect(clocks(ring)).toEqual(aheadMs.map((ms, i) => [i + 1, i < 3 ? ms : null]));
    ring.run(1_000);
    expect(clocks(ring)).toEqual(aheadMs.map((ms, i) => [i + 1, ms]));
  });

  it("have no say when they are dead, or of servers that were only heard of", () => {
    const ring = new FakeRing(2);
    const stranger = ring.addStranger();
    stranger.clockAheadMs = 3_600_000;
    ring.server(2).clockAheadMs = -3_600_000;
    ring.run(100);
    ring.client.openPath(filled(32, 9));
    ring.inject(ring.server(1).locator, { type: "CACHE", ringKey: filled(16, 9), node: { key: stranger.key, locator: stranger.locator }, lifeMs: 30_000 }, ring.client.pathHeader(filled(32, 9), 1).slice(8, 16));
    ring.run(3_000);
    expect([status(ring, 3), clocks(ring)]).toEqual(["alive", [[1, 0], [2, -3_600_000]]]);
    ring.server(2).down = true;
    ring.run(60_000);
    expect([status(ring, 2), clocks(ring)]).toEqual(["dead", [[1, 0]]]);
  });

  it("of a server with an address of each family is one, as near to ours as one of them says", () => {
    const ring = new FakeRing(2);
    const [first, second] = [ring.server(1), ring.server(2)];
    first.clockAheadMs = 3_600_000;
    second.script = (message) => (message.type === "PING" ? { type: "PONG", timeMs: WALL_START_MS + 1_000 + Math.floor(ring.nowMs), observed: CLIENT, nodeKey: first.key } : undefined);
    ring.run(1_000);
    expect(clocks(ring)).toEqual([[2, 1_000]]);
  });

  it("are compared anew when ours is set", () => {
    const ring = new FakeRing(1);
    ring.run(1_000);
    expect(clocks(ring)).toEqual([[1, 0]]);
    ring.wallAheadMs = -90_000;
    ring.run(2_000);
    expect(clocks(ring)).toEqual([[1, 90_000]]);
  });
});

describe("the table of servers", () => {
  const far = (n: number): Locator => makeLocator(Uint8Array.of(203, 0, 113, 1), n + 1);

  /** Names more servers than there is room for, each by an answer to our own LOCATE. */
  function nameMany(ring: FakeRing, count: number): void {
    for (let n = 0; n < count; n++) {
      const id = new Uint8Array(32);
      new DataView(id.buffer).setUint32(0, n);
      ring.client.openPath(id);
      ring.inject(ring.server(1).locator, { type: "CACHE", ringKey: id.subarray(0, 16), node: { key: filled(16, 1), locator: far(n) }, lifeMs: 30_000 }, ring.client.pathHeader(id, 1).slice(8, 16));
    }
  }

  it("is bounded, and the ones that nobody needs make room", () => {
    const ring = new FakeRing(1);
    ring.run(1_000);
    nameMany(ring, 400);
    expect(ring.client.servers().length).toBe(256);
    expect(known(ring)).toEqual(addresses(ring));
    expect(status(ring, 2)).toBe("gone");
    expect(ring.client.servers().some(({ locator }) => locator.port === 400)).toBe(true);
    expect(ring.client.firstHop()).toEqual(ring.server(1).locator);
    ring.run(10_000);
    expect(ring.client.firstHop()).toEqual(ring.server(1).locator);
  });

  it("forgets learned servers after ten minutes without use, never configured ones", () => {
    const ring = new FakeRing(2);
    ring.run(1_000);
    nameMany(ring, 20);
    expect(ring.client.servers().length).toBe(22);
    expect(known(ring)).toEqual(addresses(ring));
    ring.run(620_000);
    expect(ring.client.servers().map(({ locator }) => locator.address[3])).toEqual([1, 2]);
    expect(known(ring)).toEqual(addresses(ring));
  });
});

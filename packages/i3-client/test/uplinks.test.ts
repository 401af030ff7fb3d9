/** A client with several interfaces: which one it goes over to, whom it asks by each, and what it says of it. Fake servers, virtual time. */
import { sameLocator, type Locator } from "@i3/common";
import { describe, expect, it } from "vitest";

import { FakeRing } from "./fake-ring.js";

const PLACES = [1, 2, 3].map((interfaceIndex) => ({ interfaceIndex, family: 4 as const, prefixes: null }));
/** By the system: the first. */
const ways = (ring: FakeRing, isDead: (interfaceIndex: number, to: Locator) => boolean): void => void (ring.isDeadEnd = (index, to) => isDead(index === 0 ? 1 : index, to));
const uplinks = (ring: FakeRing): readonly unknown[] => ring.events.flatMap((event) => (event.kind === "uplink" ? [`${event.interfaceIndex} ${event.why}`] : []));

describe("a client with several interfaces says why it takes another one", () => {
  it.each([["is preferred now", [3, 1, 2], "0 preferred"], ["is gone", [1, 2], "0 gone"]] as const)("when servers fall silent, when they answer again by one that is preferred, and when the one in use %s", (_, order, last) => {
    const ring = new FakeRing(2);
    ring.client.setUplinks(0, PLACES);
    ring.run(5_000);
    ways(ring, (index) => index < 3);
    ring.run(5_000);
    expect(uplinks(ring)).toEqual(["3 silent"]);
    ways(ring, (index) => index === 1);
    ring.run(10_000);
    expect(uplinks(ring)).toEqual(["3 silent", "2 back"]);
    ways(ring, () => false);
    ring.run(60_000);
    expect(uplinks(ring)).toEqual(["3 silent", "2 back", "0 back"]);
    ways(ring, (index) => index < 3);
    ring.run(5_000);
    expect(uplinks(ring).at(-1)).toBe("3 silent");
    ring.client.setUplinks(ring.nowMs, order.map((interfaceIndex) => ({ interfaceIndex, family: 4, prefixes: null })));
    ring.run(0);
    expect(uplinks(ring).at(-1)).toBe(last);
  });
});

describe("a client that looks for an interface, whose best servers are gone", () => {
  const two = PLACES.slice(0, 2);

  /** Which of its servers it asks by an interface, one after the other. */
  function askedBy(ring: FakeRing, interfaceIndex: number): number[] {
    const asked: number[] = [];
    const { isDeadEnd } = ring;
    ring.isDeadEnd = (index, to) => {
      if (index === interfaceIndex) asked.push(ring.servers.findIndex(({ locator }) => sameLocator(locator, to)) + 1);
      return isDeadEnd(index, to);
    };
    return asked;
  }

  it("asks all in turn, two by two, and who has answered again, and finds it though one of 32 alone lives", () => {
    const ring = new FakeRing(32);
    for (const server of ring.servers.slice(0, 31)) server.down = true;
    ways(ring, (index) => index !== 2);
    const asked = askedBy(ring, 2);
    ring.client.setUplinks(0, two);
    // A question's 0.6 s, eight rounds in 0.56 s, and eight and one of a second each.
    expect(ring.until(() => uplinks(ring).length > 0, 60_000)).toBeLessThan(11_000);
    expect(uplinks(ring)).toEqual(["2 silent"]);
    expect(asked.slice(0, 33)).toEqual([...Array.from({ length: 32 }, (_, i) => i + 1), 32]);
    ring.run(5_000);
    expect(ring.client.firstHop()).toEqual(ring.server(32).locator);
  });

  it("asks all in turn after eight rounds with the best, when these live but are not reached by it", () => {
    const ring = new FakeRing(5);
    for (const { number } of ring.servers) ring.server(number).delayMs = number;
    // The system's way is that by TCP.
    ring.isDeadEnd = (index, to) => index === 1 || (index === 2 && !sameLocator(to, ring.server(5).locator));
    ring.client.setUplinks(0, two);
    ring.run(5_000);
    const asked = askedBy(ring, 2);
    ring.client.setDetoured(ring.nowMs, true);
    expect(ring.until(() => uplinks(ring).length > 0, 60_000)).toBeLessThan(5_000);
    expect(asked.slice(0, 18)).toEqual([...Array.from({ length: 8 }, () => [1, 2]).flat(), 2, 3]);
    expect(uplinks(ring)).toEqual(["2 silent"]);
  });

  it("and again when who had answered does no more", () => {
    const ring = new FakeRing(5);
    for (const { number } of ring.servers) ring.server(number).delayMs = number;
    const answers = { by: 5 };
    ring.isDeadEnd = (index, to) => index === 1 || (index === 2 && !sameLocator(to, ring.server(answers.by).locator));
    ring.client.setUplinks(0, two);
    ring.run(5_000);
    const asked = askedBy(ring, 2);
    ring.client.setDetoured(ring.nowMs, true);
    ring.until(() => asked.includes(5), 10_000);
    answers.by = 3;
    ring.run(9_000);
    expect(uplinks(ring)).toEqual([]);
    expect(ring.until(() => uplinks(ring).length > 0, 10_000)).toBeLessThan(5_000);
  });

  it("asks each second for as long as nothing answers at all", () => {
    const ring = new FakeRing(2);
    const rounds = new Set<number>();
    ring.client.setUplinks(0, two);
    ring.run(5_000);
    ring.isDeadEnd = (index) => {
      if (index === 2) rounds.add(ring.nowMs);
      return true;
    };
    ring.run(120_000);
    const atMs = [...rounds];
    expect(atMs.slice(9).map((ms, i) => ms - (atMs[i + 8] ?? 0))).toEqual(Array.from({ length: atMs.length - 9 }, () => 1_000));
    expect(atMs.length).toBeGreaterThan(100);
  });

  it("asks ever more seldom while they are reached by TCP, and at once again when one answers", () => {
    const ring = new FakeRing(2);
    const [rounds, alive] = [new Set<number>(), { by2: false }];
    ring.isDeadEnd = (index) => {
      if (index === 2) rounds.add(ring.nowMs);
      return index === 1 || (index === 2 && !alive.by2);
    };
    ring.client.setUplinks(0, two);
    ring.run(5_000);
    ring.client.setDetoured(ring.nowMs, true);
    ring.run(120_000);
    const atMs = [...rounds];
    const times = (count: number, ms: number): readonly number[] => Array.from({ length: count }, () => ms);
    expect(atMs.slice(1).map((ms, i) => ms - (atMs[i] ?? 0))).toEqual([...times(8, 70), ...times(16, 1_000), 2_000, 4_000, 8_000, ...times(5, 15_000)]);
    alive.by2 = true;
    expect(ring.until(() => uplinks(ring).length > 0, 60_000)).toBeLessThan(16_500);
  });
});

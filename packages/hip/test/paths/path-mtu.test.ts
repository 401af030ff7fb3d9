/** The longest packet that a path takes, on paths that say nothing of it. */
import { describe, expect, it } from "vitest";

import type { PathPlace } from "../../src/index.js";
import { MTU_RAISE_MS } from "../../src/paths/constants.js";
import { PathMtu } from "../../src/paths/path-mtu.js";
import { isDirect, PathWorld, type Host } from "./path-world.js";

const MOST = 1_477;

function worldOf(mtu: number, delayMs = 10): PathWorld {
  const world = new PathWorld();
  world.mtu = mtu;
  for (const host of [world.a, world.b]) {
    const site = world.site(null);
    site.delayMs = delayMs;
    host.sites.push(site);
    host.mostBytes = MOST;
  }
  world.start();
  return world;
}
const mtuOf = ({ set: { choice } }: Host): number | null => (choice.kind === "straight" ? choice.mtu : null);
/** While packets go, 20 of 1,000 bytes a second. */
function carry(world: PathWorld, ms: number, isDone: () => boolean = () => false): boolean {
  for (let passedMs = 0; passedMs < ms; passedMs += 50) {
    world.a.sentBytes += 1_000;
    if (world.runUntil(isDone, 50)) return true;
  }
  return false;
}
const probes = ({ sent }: Host, sinceMs = 0): number[] => sent.filter(({ atMs, bytes }) => atMs >= sinceMs && bytes > 200).map(({ bytes }) => bytes);

describe("looking for it", () => {
  it.each<readonly [number, number]>([[9_000, MOST], [1_500, MOST], [1_477, MOST], [1_476, 1_472], [1_452, 1_452], [1_420, 1_400], [1_400, 1_400], [1_399, 1_280], [1_280, 1_280], [1_279, 1_200], [1_200, 1_200]])("a path of %i bytes takes %i", (mtu, expected) => {
    const world = worldOf(mtu);
    expect(world.runUntil(() => mtuOf(world.a) !== null, 3_000)).toBe(true);
    expect(mtuOf(world.a)).toBe(expected);
    expect(world.a.sent.every(({ bytes }) => bytes <= MOST)).toBe(true);
  });

  it("one probe is enough where the longest passes, and says nothing before", () => {
    const world = worldOf(1_500);
    world.runUntil(() => isDirect(world.a), 3_000);
    expect(mtuOf(world.a)).toBe(null);
    world.runUntil(() => mtuOf(world.a) !== null, 100);
    expect([mtuOf(world.a), probes(world.a)]).toEqual([MOST, [MOST]]);
    expect(world.a.set.counters.probes).toBe(1);
  });

  it("tries each three times, but the longest once at first", () => {
    const world = worldOf(1_420);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    expect(probes(world.a)).toEqual([MOST, 1_280, 1_400, 1_452, 1_452, 1_452]);
  });

  it("in spite of loss", () => {
    const world = worldOf(1_500);
    world.lossPercent = 20;
    world.runUntil(() => mtuOf(world.a) !== null, 10_000);
    expect(mtuOf(world.a)).toBe(MOST);
  });

  it("asks for nothing where no packet could be longer than every path takes", () => {
    const mtu = new PathMtu(6, 1_280);
    expect([mtu.bytes, mtu.isSettled, mtu.next(0, { rttMs: 10, answeredMs: 0, sentBytes: 1e9 }), mtu.dueMs()]).toEqual([1_280, true, null, Infinity]);
  });

  it("asks for none of a path that is not in use", () => {
    const world = worldOf(1_500);
    world.run(3_000);
    const sinceMs = world.nowMs;
    world.a.set.setActivity(world.nowMs, "warm");
    world.run(2 * MTU_RAISE_MS);
    expect(probes(world.a, sinceMs + 1)).toEqual([]);
  });
});

describe("holding it", () => {
  it("asks nothing again for 10 minutes while little is sent, then for what is known and what is beyond", () => {
    const world = worldOf(1_420);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    const sinceMs = world.nowMs;
    world.run(MTU_RAISE_MS - 1_000);
    expect(probes(world.a, sinceMs)).toEqual([]);
    world.run(5_000);
    expect(probes(world.a, sinceMs)).toEqual([1_452, 1_452, 1_452, 1_400]);
    expect(mtuOf(world.a)).toBe(1_400);
  });

  it("grows when the path has grown", () => {
    const world = worldOf(1_300);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    world.mtu = 1_500;
    world.run(MTU_RAISE_MS + 1_000);
    expect(mtuOf(world.a)).toBe(MOST);
  });

  it("while much is sent asks at most twice a second, and no more than a fifth of it", () => {
    const world = worldOf(1_500);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    const sinceMs = world.nowMs;
    carry(world, 10_000);
    const bytes = probes(world.a, sinceMs).reduce((sum, each) => sum + each, 0);
    expect([bytes > 10 * MOST, bytes < 200_000 / 5]).toEqual([true, true]);
  });

  it.each([1, 10, 50])("a hole shows within 2 s, with a round trip of 4 × %i ms, and lets packets be cut until it is known", (delayMs) => {
    const world = worldOf(1_500, delayMs);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    carry(world, 1_000);
    world.mtu = 1_400;
    expect(carry(world, 2_000, () => mtuOf(world.a) === null)).toBe(true);
    expect(isDirect(world.a)).toBe(true);
    expect(carry(world, 2_500, () => mtuOf(world.a) !== null)).toBe(true);
    expect(mtuOf(world.a)).toBe(1_400);
  });

  it("a path that dies is no hole", () => {
    const world = worldOf(1_500);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    carry(world, 1_000);
    world.a.sites[0]!.isCut = true;
    const seen: (number | null)[] = [];
    carry(world, 1_000, () => (isDirect(world.a) && seen.push(mtuOf(world.a)), false));
    expect(seen.every((mtu) => mtu === MOST)).toBe(true);
    expect(world.a.set.choice.kind).toBe("relay");
  });

  it("one lost probe changes nothing", () => {
    const world = worldOf(1_500);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    const { choice } = world.a.set;
    world.mtu = 1_400;
    carry(world, 5_000, () => probes(world.a).length > 1);
    world.mtu = 1_500;
    carry(world, 5_000);
    expect(world.a.set.choice).toBe(choice);
  });

  it("begins again when the interface refuses what went there, and not for another place", () => {
    const world = worldOf(1_500);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    const to = world.b.sites[0]!.inside;
    world.a.set.tooBig(world.nowMs, { ...to, port: 1 });
    expect(mtuOf(world.a)).toBe(MOST);
    world.mtu = 1_420;
    world.a.set.tooBig(world.nowMs, to);
    expect([mtuOf(world.a), isDirect(world.a)]).toEqual([null, true]);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    expect(mtuOf(world.a)).toBe(1_400);
  });

  it("another path has its own, and one that comes back is asked again", () => {
    const world = worldOf(1_500);
    world.runUntil(() => mtuOf(world.a) !== null, 3_000);
    const first = world.a.sites[0]!;
    const second = world.site(null);
    world.a.sites.unshift(second);
    world.mtu = 1_420;
    world.look(world.a);
    const isAt = (site: typeof first): boolean => (world.a.set.choice as { place?: PathPlace }).place?.interfaceIndex === world.indexOf(site) && mtuOf(world.a) !== null;
    expect(world.runUntil(() => isAt(second), 5_000)).toBe(true);
    expect(mtuOf(world.a)).toBe(1_400);
    world.a.sites.shift();
    world.look(world.a);
    expect(world.runUntil(() => isAt(first) && mtuOf(world.a) === 1_400, 5_000)).toBe(true);
  });
});

describe("a hole or a dead path", () => {
  /** Lost probes of a settled length, 150 ms each; short checks are answered or not. */
  function afterLosses(count: number, isAnswered: boolean): PathMtu {
    const mtu = new PathMtu(4, MOST);
    const path = { rttMs: 10, answeredMs: 0, sentBytes: 0 };
    const nonce = (number: number): Uint8Array => new Uint8Array(8).fill(number);
    mtu.sent(0, nonce(0), mtu.next(0, path) ?? 0, path);
    mtu.answered(10, nonce(0), 0);
    for (let i = 1, nowMs = 1_000; i <= count; i++, nowMs += 150) mtu.sent(nowMs, nonce(i), mtu.next(nowMs, { ...path, answeredMs: isAnswered ? nowMs : 0, sentBytes: 1e6 }) ?? 0, path);
    mtu.next(1_000 + 150 * count, { ...path, answeredMs: isAnswered ? 1_000 + 150 * count : 0, sentBytes: 1e6 });
    return mtu;
  }

  it.each<readonly [number, boolean, number]>([[2, true, MOST], [3, true, 1_200], [3, false, MOST], [10, false, MOST]])("%i lost, short ones answered %s: %i", (count, isAnswered, expected) => {
    expect(afterLosses(count, isAnswered).bytes).toBe(expected);
  });
});

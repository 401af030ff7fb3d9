/** That the checks of one peer are not taken by another, and that no machine gets more of them than docs/wire.md §9.7 says, whoever names it. */
import { makeLocator, type Locator } from "@i3/common";
import { describe, expect, it } from "vitest";

import { sealPathMessage } from "../../src/paths/check-message.js";
import { CheckBudget, PathSet, type CheckShare } from "../../src/index.js";
import { Host, isDirect, PathWorld } from "./path-world.js";

const v4 = (n: number): Uint8Array => Uint8Array.of(198, n >> 16, (n >> 8) & 0xff, n & 0xff);
const victim = Uint8Array.of(203, 0, 113, 9);
const granted = (share: CheckShare, nowMs: number, addresses: readonly Uint8Array[]): number => addresses.filter((address) => share.take(nowMs, address)).length;
const fresh = (from: number, n: number): Uint8Array[] => Array.from({ length: n }, (_, i) => v4(from + i));
const same = (n: number): Uint8Array[] => new Array<Uint8Array>(n).fill(victim);
/** Of so many peers, who have names here. */
const sharesOf = (budget: CheckBudget, n: number): CheckShare[] => Array.from({ length: n }, (_, i) => budget.share(`peer ${i}`, false));

describe("the budget of checks", () => {
  it("lets one peer have 64, then 16 a second, wherever they go", () => {
    const share = new CheckBudget().share("a", false);
    expect(granted(share, 0, fresh(0, 500))).toBe(64);
    expect(granted(share, 1_000, fresh(1_000, 500))).toBe(16);
  });

  it("lets one peer have half of what may go to a machine, and two all of it", () => {
    const budget = new CheckBudget();
    const shares = sharesOf(budget, 3);
    expect(shares.map((share) => granted(share, 0, same(100)))).toEqual([24, 24, 0]);
    expect(shares.map((share) => granted(share, 2_000, same(100)))).toEqual([1, 1, 0]);
  });

  it("knows a peer again, however often its keys are made anew", () => {
    const budget = new CheckBudget();
    let [there, elsewhere] = [0, 0];
    for (let nowMs = 0; nowMs < 10_000; nowMs += 500) {
      const share = budget.share("a", false);
      there += granted(share, nowMs, same(100));
      elsewhere += granted(share, nowMs, fresh(nowMs * 100, 100));
    }
    expect(there).toBeLessThanOrEqual(24 + 5);
    expect(there + elsewhere).toBeLessThanOrEqual(64 + 160);
  });

  it("lets strangers together, who may all be one, have half of all and half of one machine's; others have the rest", () => {
    const budget = new CheckBudget();
    const strangers = Array.from({ length: 20 }, (_, i) => budget.share(`stranger ${i}`, true));
    const ask = (shares: readonly CheckShare[], nowMs: number, from: number): number => shares.reduce((sum, share, i) => sum + granted(share, nowMs, fresh(from + i * 100, 100)), 0);
    expect(strangers.reduce((sum, share) => sum + granted(share, 0, same(100)), 0)).toBe(24);
    expect(ask(strangers, 0, 0)).toBe(200 - 24);
    const named = sharesOf(budget, 20);
    expect(granted(named[0]!, 0, same(100))).toBe(24);
    expect(ask(named, 0, 10_000)).toBe(200 - 24);
    expect([ask(strangers, 1_000, 20_000), ask(named, 1_000, 30_000)]).toEqual([50, 50]);
  });

  it("takes nothing from any bound for what another one refuses", () => {
    const budget = new CheckBudget();
    const shares = sharesOf(budget, 8);
    for (const share of shares) granted(share, 0, same(1_000));
    expect(budget.refused).toBe(8_000 - 48);
    // All but 48 of the 400, and all but 24 of the first one's 64.
    expect(shares.map((share, i) => granted(share, 0, fresh(i * 1_000, 100)))).toEqual([40, 40, 64, 64, 64, 64, 16, 0]);
  });

  it("lets 400 go to all, then 100 a second", () => {
    const budget = new CheckBudget();
    const shares = sharesOf(budget, 100);
    const ask = (nowMs: number, from: number): number => shares.reduce((sum, share, i) => sum + granted(share, nowMs, fresh(from + i * 100, 20)), 0);
    expect(ask(0, 0)).toBe(400);
    expect(ask(1_000, 100_000)).toBe(100);
  });

  it("forgets no machine for others that are named: 48, then one a second", () => {
    const budget = new CheckBudget();
    const shares = sharesOf(budget, 40);
    const there = (nowMs: number): number => shares.reduce((sum, share) => sum + granted(share, nowMs, same(100)), 0);
    expect(there(0)).toBe(48);
    let others = 0;
    for (let nowMs = 100; nowMs <= 46_500; nowMs += 100) for (const share of shares) others += granted(share, nowMs, fresh(nowMs * 10 + others, 3));
    expect([others > 4_500, there(47_000)]).toEqual([true, 47]);
  });
});

describe("a peer that names", () => {
  /** b has two peers: a is honest; the other one says what it likes. */
  function withLiar(): { readonly world: PathWorld; readonly liar: Host } {
    const world = new PathWorld();
    for (const host of [world.a, world.b]) host.sites.push(world.site(null));
    const liar = new Host(world, 0x3000_0009, { in: new Uint8Array(32).fill(8), out: new Uint8Array(32).fill(9) }, 0x3000_0010, world.b.budget);
    liar.sites.push(...world.b.sites);
    liar.set.setActivity(0, "carrying");
    liar.set.setPlaces(0, liar.places());
    return { world, liar };
  }

  /** Each 100 ms another set. */
  function lie(world: PathWorld, liar: Host, forMs: number, locatorsOf: (i: number) => Locator[]): void {
    for (const endMs = world.nowMs + forMs; world.nowMs < endMs; ) {
      liar.set.setPeer(world.nowMs, locatorsOf(Math.round(world.nowMs / 100)).map((locator) => ({ locator, rank: 0 })));
      if (liar.set.dueMs <= world.nowMs) liar.set.handleTimer(world.nowMs);
      world.run(100);
    }
  }

  it("the machine of an honest one at many ports does not keep that from being found", () => {
    const { world, liar } = withLiar();
    const ports = (i: number): Locator[] => Array.from({ length: 16 }, (_, n) => makeLocator(world.a.sites[0]!.inside.address, 1_000 + ((i * 16 + n) % 60_000)));
    lie(world, liar, 60_000, ports);
    world.b.set.setActivity(world.nowMs, "carrying");
    world.b.set.setPlaces(world.nowMs, world.b.places());
    world.b.set.setPeer(world.nowMs, world.a.locators());
    world.a.set.setActivity(world.nowMs, "carrying");
    lie(world, liar, 300, ports);
    expect(world.b.set.choice).toMatchObject({ kind: "straight", creditBytes: null });
  });

  it("ever new machines takes no more than 64, then 16 a second", () => {
    const { world, liar } = withLiar();
    lie(world, liar, 10_000, (i) => Array.from({ length: 16 }, (_, n) => makeLocator(v4(i * 16 + n), 5_610)));
    expect(liar.sent.length).toBeGreaterThan(64 + 100);
    expect(liar.sent.length).toBeLessThanOrEqual(64 + 160);
  });
});

describe("a check that is refused", () => {
  class Gate extends CheckBudget {
    isOpen = false;
    askedMs: number[] = [];

    override share(): CheckShare {
      return { take: (nowMs) => (this.askedMs.push(nowMs), this.isOpen) };
    }
  }

  it("was no try: it is wanted again in 150 ms, then twice as long, up to 1.2 s, until there is a reason to look anew, and six go out once they are let out", () => {
    const gate = new Gate();
    const set = new PathSet({
      random: (bytes) => new Uint8Array(bytes), keys: { in: new Uint8Array(32), out: new Uint8Array(32) }, peerSpi: () => 1, budget: gate.share(), isPlausible: () => true, heardBytes: () => 0, sentBytes: () => 0, mostBytes: () => 1_200,
      send: () => void sentMs.push(nowMs),
    });
    const sentMs: number[] = [];
    let nowMs = 0;
    set.setActivity(0, "carrying");
    set.setPlaces(0, [{ key: "a", family: 4, interfaceIndex: 1, rank: 0, prefixes: null }]);
    set.setPeer(0, [{ locator: makeLocator(victim, 5_610), rank: 0 }]);
    const runTo = (endMs: number): void => {
      for (; set.dueMs <= endMs; set.handleTimer(nowMs)) nowMs = Math.max(nowMs, set.dueMs);
    };
    runTo(3_100);
    expect([sentMs, gate.askedMs]).toEqual([[], [0, 150, 450, 1_050, 2_250]]);
    set.lookAgain(3_100);
    runTo(3_400);
    expect([sentMs, gate.askedMs.slice(5)]).toEqual([[], [3_100, 3_250]]);
    gate.isOpen = true;
    runTo(8_000);
    expect(sentMs).toEqual([0, 150, 300, 600, 1_200, 2_100].map((ms) => 3_550 + ms));
  });
});

describe("what a peer says again", () => {
  const said = (n: number): { locator: Locator; rank: number } => ({ locator: makeLocator(v4(n), 5_610), rank: 0 });
  function resting(): { readonly world: PathWorld; readonly to: (n: number) => number } {
    const world = new PathWorld();
    world.b.sites.push(world.site(null));
    world.b.set.setActivity(0, "carrying");
    world.b.set.setPlaces(0, world.b.places());
    world.b.set.setPeer(0, [said(1), said(2)]);
    world.run(2_200);
    return { world, to: (n) => world.b.sent.filter(({ to }) => to.address.join() === v4(n).join()).length };
  }

  it("is not looked for anew; what is new is", () => {
    const { world, to } = resting();
    world.b.set.setPeer(world.nowMs, [said(1), said(2), said(3)]);
    world.run(2_200);
    expect([to(1), to(2), to(3)]).toEqual([6, 6, 6]);
  });

  it("is looked for anew when it had been taken back", () => {
    const { world, to } = resting();
    world.b.set.setPeer(world.nowMs, [said(2)]);
    world.b.set.setPeer(world.nowMs, [said(1), said(2)]);
    world.run(2_200);
    expect([to(1), to(2)]).toEqual([12, 6]);
  });

  it("is looked for anew when it had only been seen there", () => {
    const { world, to } = resting();
    world.b.set.heardFrom(world.nowMs, said(4).locator);
    world.run(2_200);
    expect(to(4)).toBe(6);
    world.b.set.setPeer(world.nowMs, [said(1), said(2), said(4)]);
    world.run(2_200);
    expect(to(4)).toBe(12);
  });
});

it("the place that carries packets is not forgotten for others that checks come from", () => {
  const world = new PathWorld();
  for (const host of [world.a, world.b]) host.sites.push(world.site(null));
  // Each knows the other by its packets alone.
  for (const host of [world.a, world.b]) {
    host.locators = () => [];
    world.look(host);
    host.set.setActivity(0, "carrying");
  }
  world.run(100);
  world.b.set.heardFrom(world.nowMs, world.a.sites[0]!.inside);
  expect(world.runUntil(() => isDirect(world.b), 1_000)).toBe(true);
  const { choice } = world.b.set;
  for (let n = 0; n < 8; n++) {
    const check = sealPathMessage(new Uint8Array(32).fill(2), { type: "CHECK", spi: world.b.spi, flags: 0 }, Uint8Array.of(0, 0, 0, 32 + n, 0, 0, 0, 0));
    world.arrive(world.b, { address: victim, port: 1_000 + n }, check);
  }
  world.run(1_000);
  expect([world.b.set.choice === choice, world.b.set.counters.refused]).toEqual([true, 0]);
});

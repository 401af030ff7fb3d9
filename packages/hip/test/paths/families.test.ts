/** Paths of IPv4 and IPv6 side by side (docs/wire.md §9.7, "Which path"): which carries packets, and that one takes over from the other. */
import { expect, it } from "vitest";

import { isDirect, PathWorld, type Host, type NatKind } from "./path-world.js";

const NAT: NatKind = { mapping: "ei", filtering: "apd" };
const OTHER = { 4: 6, 6: 4 } as const;

/** Two hosts of one interface each, with both families; ms are those of a way between them. */
function worldOf(ms: { readonly 4: number; readonly 6: number }, nat: NatKind | null = null): PathWorld {
  const world = new PathWorld();
  for (const host of [world.a, world.b]) {
    for (const family of [4, 6] as const) {
      const site = world.site(family === 4 ? nat : null, family);
      site.rank = 0;
      site.delayMs = ms[family] / 2;
      host.sites.push(site);
    }
  }
  return world;
}

const familyOf = ({ set: { choice } }: Host): 4 | 6 | null => (choice.kind === "straight" ? choice.place.family : null);
const familiesOf = ({ a, b }: PathWorld): readonly (4 | 6 | null)[] => [familyOf(a), familyOf(b)];
const cut = (host: Host, family: 4 | 6, isCut: boolean): void => host.sites.filter((site) => site.family === family).forEach((site) => (site.isCut = isCut));

it.each([
  [4, { 4: 20, 6: 40 }], [6, { 4: 40, 6: 20 }], [6, { 4: 31, 6: 25 }], [4, { 4: 25, 6: 31 }],
] as const)("the nearer one carries packets: IPv%i of %j", (family, ms) => {
  const world = worldOf(ms);
  world.start();
  world.run(10_000);
  expect(familiesOf(world)).toEqual([family, family]);
});

it.each([{ 4: 20, 6: 20 }, { 4: 20, 6: 22 }, { 4: 22, 6: 20 }])("both ends stay with the one that they have when the other becomes a little nearer: %j", (ms) => {
  const world = worldOf(ms);
  world.start();
  world.run(3_000);
  const [first] = familiesOf(world);
  expect(familiesOf(world)).toEqual([first, first]);
  const { changes } = world.a.set.counters;
  for (const { sites } of [world.a, world.b]) for (const site of sites) site.delayMs = site.family === first ? 10 : 9;
  world.run(60_000);
  expect([familiesOf(world), world.a.set.counters.changes]).toEqual([[first, first], changes]);
});

it.each([4, 6] as const)("IPv%i that is nearer now takes over, without a word over i3", (family) => {
  const world = worldOf({ 4: family === 4 ? 80 : 40, 6: family === 6 ? 80 : 40 });
  world.start();
  world.run(10_000);
  expect(familiesOf(world)).toEqual([OTHER[family], OTHER[family]]);
  world.relayMs = 1e9;
  for (const { sites } of [world.a, world.b]) for (const site of sites) if (site.family === family) site.delayMs = 5;
  // The one beside it is checked each 5 s, and its round trip is a mean.
  expect(world.runUntil(() => isDirect(world.a) && isDirect(world.b) && familiesOf(world).every((now) => now === family), 60_000)).toBe(true);
});

for (const nat of [null, NAT]) {
  it.each([4, 6] as const)(`when IPv%i dies the other one takes over, at both ends, and the nearer one has the packets again when it lives (${nat === null ? "no NAT" : "NATs before IPv4"})`, (family) => {
    const world = worldOf({ 4: family === 4 ? 20 : 40, 6: family === 6 ? 20 : 40 }, nat);
    world.start();
    world.run(10_000);
    expect(familiesOf(world)).toEqual([family, family]);
    world.relayMs = 1e9;
    cut(world.a, family, true);
    const cutMs = world.nowMs;
    expect(world.runUntil(() => isDirect(world.a) && isDirect(world.b) && familiesOf(world).every((now) => now === OTHER[family]), 2_000)).toBe(true);
    expect(world.nowMs - cutMs).toBeLessThanOrEqual(900);
    world.run(20_000);
    expect(familiesOf(world)).toEqual([OTHER[family], OTHER[family]]);
    cut(world.a, family, false);
    expect(world.runUntil(() => familiesOf(world).every((now) => now === family), 120_000)).toBe(true);
    expect([isDirect(world.a), isDirect(world.b)]).toEqual([true, true]);
  });
}

it("is the one that is there: a host with one family, and one with both", () => {
  const world = worldOf({ 4: 20, 6: 20 });
  world.a.sites.splice(0, 1);
  world.start();
  world.run(5_000);
  expect(familiesOf(world)).toEqual([6, 6]);
});

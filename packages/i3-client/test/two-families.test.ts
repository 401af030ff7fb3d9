/** Servers with a locator of each family (docs/wire.md §4.2, "Two families"), and a client that meets each by one of them. */
import { makeLocator, REFUSAL, type Locator } from "@i3/common";
import { generateTriggerKey } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { FakeRing, filled } from "./fake-ring.js";

const KEY = generateTriggerKey();
const ID = Uint8Array.from([...KEY.prefix, ...filled(16, 1)]);
const isIpv6 = ({ address }: Locator): boolean => address.length === 16;
const otherOf = (number: number): Locator => makeLocator(Uint8Array.from([0x20, 1, 0xd, 0xb8, ...filled(11, 0), number]), 5_610);

/** The client is told both locators of the first `servers`; the last one, a stranger, is its ids' server. */
function dualRing(servers = 2): FakeRing {
  const ring = new FakeRing(servers);
  ring.owner = ring.addStranger();
  for (const [i, server] of ring.servers.entries()) server.other = otherOf(i + 1);
  for (const server of ring.servers.slice(0, servers)) ring.client.addServer(0, otherOf(server.number));
  return ring;
}
/** Nothing of a family arrives anywhere, from now on. */
const cut = (ring: FakeRing, isMeant: (at: Locator) => boolean): void => ring.servers.forEach((server) => (server.isDeafAt = isMeant));
const serverOf = (ring: FakeRing): Locator | null | undefined => ring.client.triggers(ring.nowMs)[0]?.server;
const insert = (ring: FakeRing): void => ring.client.insertTrigger(ring.nowMs, ID, { kind: "private", key: KEY });

describe("a client with both families", () => {
  it("meets each server in the family that answered first, and stays with it", () => {
    const ring = dualRing();
    insert(ring);
    ring.run(200_000);
    expect(serverOf(ring)).toEqual(ring.server(3).locator);
    // Where the key belongs was asked by LOCATE every half minute, always in this family.
    expect(ring.events.filter(({ kind }) => kind === "trigger-live")).toHaveLength(1);
    expect(ring.server(3).count("TRIGGER")).toBe(1);
    expect(ring.server(1).count("LOCATE") + ring.server(2).count("LOCATE")).toBeGreaterThan(5);
  });

  it("goes over to the other one when no server answers in it any more, and comes not back while that does", () => {
    const ring = dualRing();
    insert(ring);
    ring.run(5_000);
    cut(ring, (at) => !isIpv6(at));
    expect(ring.until(() => serverOf(ring) !== null && ring.live(ID) && isIpv6(serverOf(ring) as Locator), 10_000)).toBeLessThan(6_000);
    cut(ring, () => false);
    ring.run(120_000);
    expect(serverOf(ring)).toEqual(otherOf(3));
    expect(isIpv6(ring.client.firstHop() as Locator)).toBe(true);
  });

  it("goes by another server of its family when one dies, not by the same one's other locator", () => {
    const ring = dualRing();
    ring.server(2).delayMs = 30;
    ring.run(1_000);
    expect(ring.client.firstHop()).toEqual(ring.server(1).locator);
    ring.server(1).isDeafAt = (at) => !isIpv6(at);
    ring.run(5_000);
    expect(ring.client.firstHop()).toEqual(ring.server(2).locator);
  });

  it("uses the other family when servers of keys cannot be reached in the first, and says why", () => {
    const ring = dualRing();
    cut(ring, isIpv6);
    ring.run(1_000);
    cut(ring, () => false);
    ring.run(40_000);
    for (const server of ring.servers) server.script = (message) => (message.type === "LOCATE" && ring.client.firstHop()?.address.length === 4 ? { type: "REFUSED", code: REFUSAL.otherFamily, subject: message.ringKey } : undefined);
    insert(ring);
    ring.run(3_000);
    expect(ring.live(ID)).toBe(true);
    expect(serverOf(ring)).toEqual(otherOf(3));
    expect(ring.events.filter((event) => event.kind === "trigger-refused").map(({ code }) => code)).toEqual([REFUSAL.otherFamily]);
  });
});

it("with IPv6 alone everything goes by IPv6, and addresses of IPv4 are asked seldom", () => {
  const ring = dualRing();
  cut(ring, (at) => !isIpv6(at));
  let toIpv4 = 0;
  for (const server of ring.servers) {
    server.isDeafAt = (at) => {
      if (!isIpv6(at)) toIpv4 += 1;
      return !isIpv6(at);
    };
  }
  insert(ring);
  ring.run(2_000);
  expect(serverOf(ring)).toEqual(otherOf(3));
  toIpv4 = 0;
  ring.run(60_000);
  expect(toIpv4).toBeLessThanOrEqual(2 * 3);
});

it("a server without an address of the client's family is told, and asked for again every 10 s, not more often", () => {
  const ring = dualRing(1);
  cut(ring, (at) => !isIpv6(at));
  ring.server(2).other = null;
  insert(ring);
  ring.run(30_500);
  const refused = ring.events.filter((event) => event.kind === "trigger-refused");
  expect(refused.map(({ code }) => code)).toEqual([REFUSAL.otherFamily, REFUSAL.otherFamily, REFUSAL.otherFamily, REFUSAL.otherFamily].slice(0, refused.length));
  expect(refused.length).toBeGreaterThanOrEqual(3);
  expect(ring.server(1).count("LOCATE")).toBeLessThanOrEqual(5);
});

it("servers of keys that cannot be reached in either family are not looked for in one after the other as fast as they answer", () => {
  const ring = dualRing();
  for (const server of ring.servers) server.script = (message) => (message.type === "LOCATE" ? { type: "REFUSED", code: REFUSAL.otherFamily, subject: message.ringKey } : undefined);
  ring.run(1_000);
  insert(ring);
  ring.run(30_000);
  expect(ring.servers.reduce((sum, server) => sum + server.count("LOCATE"), 0)).toBeLessThanOrEqual(8);
});

describe("a client with two interfaces, the second of which has IPv6 alone", () => {
  const PLACES = ([[1, 4], [1, 6], [2, 6]] as const).map(([interfaceIndex, family]) => ({ interfaceIndex, family, prefixes: null }));
  const isDead = (interfaceIndex: number, to: Locator): boolean => interfaceIndex !== 2 || !isIpv6(to);

  /** Of eight servers, in use over IPv4, with packets that go all the time. */
  function talkingRing(): FakeRing {
    const ring = dualRing(8);
    ring.client.setUplinks(0, PLACES);
    insert(ring);
    ring.client.openPath(ID);
    ring.client.setPathActive(ID, true);
    ring.run(65_000);
    expect([isIpv6(ring.client.firstHop() as Locator), ring.live(ID)]).toEqual([false, true]);
    return ring;
  }

  it("goes over to IPv6 with the interface when the first dies, however many servers lived over IPv4", () => {
    const ring = talkingRing();
    ring.isDeadEnd = isDead;
    expect(ring.until(() => [ring.client.firstHop(), serverOf(ring)].every((at) => at?.address.length === 16) && ring.live(ID), 20_000)).toBeLessThan(1_500);
    const since = ring.events.length;
    ring.run(30_000);
    expect(ring.kinds().slice(since)).toEqual([]);
  });

  it("and keeps it, without a loss, when the first is used again, where both are reached", () => {
    const ring = talkingRing();
    ring.isDeadEnd = isDead;
    ring.run(5_000);
    ring.isDeadEnd = () => false;
    const since = ring.events.length;
    ring.run(20_000);
    expect(ring.kinds().slice(since)).toEqual(["uplink"]);
    expect(isIpv6(ring.client.firstHop() as Locator)).toBe(true);
  });
});

it("after the detour the first answer over UDP decides the family, however many servers have answered by TCP in the other", () => {
  const ring = dualRing(8);
  cut(ring, (at) => !isIpv6(at));
  ring.run(1_000);
  cut(ring, () => false);
  insert(ring);
  ring.run(65_000);
  expect([isIpv6(ring.client.firstHop() as Locator), ring.live(ID)]).toEqual([true, true]);
  cut(ring, isIpv6);
  ring.client.leftDetour(ring.nowMs, ring.server(3).locator);
  expect(isIpv6(ring.client.firstHop() as Locator)).toBe(false);
  expect(ring.until(() => ring.live(ID) && serverOf(ring)?.address.length === 4, 20_000)).toBeLessThan(200);
  const since = ring.events.length;
  ring.run(60_000);
  expect(ring.kinds().slice(since)).toEqual([]);
});

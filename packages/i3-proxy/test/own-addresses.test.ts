/** Addresses of a host come, go and change all the time, and it sleeps (docs/wire.md §9.7): what its proxy does about it. Real cores and reference engines, a ring of three, virtual time. */
import { describe, expect, it } from "vitest";

import { CONTROL_TYPES, publicId, sameBytes, type ControlType } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import { addressOf, packet4, roundTrip } from "./traffic.js";

const NEAR = "198.51.100.1";
const FAR = "198.51.100.2";
const bytesOf = (address: string): Uint8Array => Uint8Array.from(address.split(".").map(Number));
const placesOf = (...addresses: readonly string[]) => [{ interfaceIndex: 1, family: 4 as const, addresses: addresses.map(bytesOf), gateway: null, prefixes: null }];

/** @param isCut whether nothing goes between the two but over i3 */
function pair(isCut = (): boolean => false) {
  const world = new World({ delayBetweenMs: (a, b) => (a[0] === 198 && b[0] === 198 ? (isCut() ? 1e9 : 4) : 10) });
  const ring = world.ring(3);
  world.run(3_000);
  const [one, two] = [generateHostIdentity(), generateHostIdentity()];
  const options = { servers: ring, security: "esp", shortcut: true } as const;
  const a = addHost(world, NEAR, { ...options, identity: one, book: bookOf({ "far.i3": two }) });
  const b = addHost(world, FAR, { ...options, identity: two, book: bookOf({ "near.i3": one }) });
  world.run(10_000, () => a.proxy.isReady(world.nowMs) && b.proxy.isReady(world.nowMs));
  roundTrip(world, a, b, "far.i3", "first");
  return { world, a, b };
}

const isOf = (address: Uint8Array, host: Host): boolean => sameBytes(address, host.node.locator.address);
/** Control messages that a host has sent since. */
const said = (world: World, host: Host, type: ControlType, sinceMs: number) =>
  world.wire.filter(({ atMs, from, bytes }) => atMs >= sinceMs && isOf(from.address, host) && bytes[0] === 0x19 && bytes[1] === CONTROL_TYPES[type]);
const pathsLogged = (host: Host, sinceMs: number): readonly unknown[] => host.node.log.filter(({ event, atMs }) => event === "path" && atMs >= sinceMs).map(({ fields }) => fields["to"]);
const pathOf = (host: Host, world: World): unknown => host.proxy.report(world.nowMs).find(({ hit }) => hit !== null)?.path;

/** Both send, each 20 ms; how many of each arrived. */
function talk(world: World, a: Host, b: Host, forMs: number): { readonly atA: number; readonly atB: number; readonly sent: number } {
  const [toB, toA] = [addressOf(a, "far.i3"), b.proxy.mappings.byPeer(publicId(a.identity.hit))?.local4 as Uint8Array];
  const [beforeA, beforeB] = [a.node.received.length, b.node.received.length];
  let sent = 0;
  for (const endMs = world.nowMs + forMs; world.nowMs < endMs; sent += 1) {
    world.inject(a.node, { tun: packet4(a.proxy.own4, toB, `a${sent}`) });
    world.inject(b.node, { tun: packet4(b.proxy.own4, toA, `b${sent}`) });
    world.run(20);
  }
  world.run(100);
  return { atA: a.node.received.length - beforeA, atB: b.node.received.length - beforeB, sent };
}

it("an address that comes beside the one in use, and goes again, touches neither paths nor packets, and costs no signature when it comes", () => {
  const { world, a, b } = pair();
  talk(world, a, b, 2_000);
  const [sinceMs, way] = [world.nowMs, pathOf(a, world)];
  const used = a.proxy.ownPlaces[0]?.key;
  expect(way).toBe(`udp ${FAR}:5610`);
  a.proxy.setPlaces(world.nowMs, placesOf("198.51.100.200", NEAR));
  world.inject(a.node, {});
  expect(pathOf(a, world)).toBe(way);
  const { atA, atB, sent } = talk(world, a, b, 2_000);
  expect([atA, atB]).toEqual([sent, sent]);
  expect(said(world, a, "TRIGGER", sinceMs)).toEqual([]);
  // The peer has heard of it.
  expect(said(world, b, "CHECK", sinceMs).some(({ to }) => sameBytes(to.address, bytesOf("198.51.100.200")))).toBe(true);
  a.proxy.setPlaces(world.nowMs, placesOf(NEAR));
  world.inject(a.node, {});
  expect(pathOf(a, world)).toBe(way);
  const after = talk(world, a, b, 2_000);
  expect([after.atA, after.atB]).toEqual([after.sent, after.sent]);
  expect([pathsLogged(a, sinceMs), pathsLogged(b, sinceMs), a.proxy.ownPlaces[0]?.key]).toEqual([[], [], used]);
});

describe("1,000 changes of address in a minute", () => {
  it("cost five rounds of signatures a second at most, a bounded number of checks and words to peers, and the host is found as before", () => {
    const { world, a, b } = pair();
    talk(world, a, b, 2_000);
    const triggers = a.proxy.client.triggers(world.nowMs).length;
    const sinceMs = world.nowMs;
    for (let i = 0; i < 1_000; i++) {
      a.proxy.setPlaces(world.nowMs, placesOf(`198.51.${101 + (i % 50)}.${3 + (i % 200)}`));
      world.inject(a.node, {});
      world.run(60);
    }
    const lastMs = world.nowMs - 60;
    const counts = (["CHALLENGE_REQUEST", "TRIGGER", "CHECK"] as const).map((type) => said(world, a, type, sinceMs).length);
    // A replica for each.
    const rounds = 3 + 60 * 5;
    expect(counts[0]).toBeGreaterThan(rounds * triggers);
    expect(counts[0]).toBeLessThanOrEqual(rounds * triggers * 2);
    expect(counts[1]).toBeLessThanOrEqual(rounds * triggers * 2);
    expect(counts[2]).toBeLessThanOrEqual(1_000);
    expect(a.proxy.client.triggers(world.nowMs).every(({ live }) => live)).toBe(true);
    world.run(1_000);
    expect(said(world, a, "TRIGGER", lastMs).length).toBeGreaterThanOrEqual(triggers);
    expect(roundTrip(world, a, b, "far.i3", "still").back).not.toBe("nothing");
    a.proxy.setPlaces(world.nowMs, placesOf(NEAR));
    talk(world, a, b, 4_000);
    expect([pathOf(a, world), pathOf(b, world)]).toEqual([`udp ${FAR}:5610`, `udp ${NEAR}:5610`]);
  }, 120_000);
});

/** Its clock stands still meanwhile, as performance.now() does. Ends just after a refresh, so that the next is far. */
function sleep(world: World, { node, proxy }: Host, forMs: number): { readonly awake: () => void } {
  const step = node.engine.step.bind(node.engine);
  const refreshes = world.wire.length;
  world.run(10_000, () => world.wire.slice(refreshes).some(({ from, bytes }) => sameBytes(from.address, node.locator.address) && bytes[0] === 0x19 && bytes[1] === CONTROL_TYPES.REFRESH));
  world.run(200);
  node.engine.step = (nowMs, ...rest) => step(nowMs - forMs, ...rest);
  node.core = {
    handleUpcalls: (nowMs, upcalls) => proxy.handleUpcalls(nowMs - forMs, upcalls), handleTimer: (nowMs) => proxy.handleTimer(nowMs - forMs), deadlineMs: () => proxy.nextDeadlineMs() + forMs,
  };
  node.down = true;
  world.run(forMs);
  node.down = false;
  return { awake: () => proxy.awake(world.nowMs - forMs) };
}

describe("a host that has slept until nobody knew it", () => {
  it("is in the ring again, and reached by packets, as soon as it wakes", () => {
    const { world, a, b } = pair();
    talk(world, a, b, 2_000);
    const { awake } = sleep(world, a, 60_000);
    const wokeMs = world.nowMs;
    awake();
    world.run(100);
    const ids = new Set(said(world, a, "TRIGGER", wokeMs).map(({ bytes }) => Buffer.from(bytes.subarray(20, 52)).toString("hex")));
    expect(ids.size).toBe(a.proxy.client.triggers(0).length);
    const had = a.node.received.length;
    const toA = b.proxy.mappings.byPeer(publicId(a.identity.hit))?.local4 as Uint8Array;
    for (let i = 0; i < 20; i++) {
      world.inject(b.node, { tun: packet4(b.proxy.own4, toA, `awake ${i}`) });
      world.run(10);
    }
    world.run(100);
    expect(a.node.received.length - had).toBe(20);
  });

  it("asks at once where it is seen, and goes straight again through a NAT that has forgotten it", () => {
    const { world, a, b } = pair();
    a.node.natPort = 40_000;
    world.run(3_000);
    talk(world, a, b, 3_000);
    const { awake } = sleep(world, a, 60_000);
    a.node.natPort = 41_000;
    const wokeMs = world.nowMs;
    awake();
    world.run(1);
    // Two servers for each place.
    expect(said(world, a, "PING", wokeMs).length).toBeGreaterThanOrEqual(2);
    talk(world, a, b, 6_000);
    expect([pathOf(a, world), pathOf(b, world)]).toEqual([`udp ${FAR}:5610`, `udp ${NEAR}:41000`]);
  });
});

describe("a host whose NAT has another port for it, where no packet of its gets to the peer straight", () => {
  const wayCut = (inside: string) => {
    let isCut = false;
    const { world, a, b } = pair(() => isCut);
    a.node.natPort = 40_000;
    a.proxy.setPlaces(world.nowMs, placesOf(inside));
    world.inject(a.node, {});
    talk(world, a, b, 3_000);
    expect(pathOf(b, world)).toBe(`udp ${NEAR}:40000`);
    const checked = (sinceMs: number): number => (said(world, b, "CHECK", sinceMs).find(({ to }) => to.port === 41_000)?.atMs ?? Infinity) - sinceMs;
    const cut = (): number => {
      isCut = true;
      a.node.natPort = 41_000;
      return world.nowMs;
    };
    return { world, a, b, cut, checked };
  };

  it.each([["has changed the address too", "192.168.1.2"], ["keeps the address", NEAR]])("is checked there as soon as it wakes, where the NAT %s", (_what, inside) => {
    const { world, a, b, cut, checked } = wayCut(inside);
    const { awake } = sleep(world, a, 60_000);
    const sinceMs = cut();
    awake();
    talk(world, a, b, 1_500);
    // To the server and back, to the peer by way of one or two, and no turn of a clock between.
    expect(checked(sinceMs)).toBeLessThanOrEqual(100);
  });

  it.each([["has changed the address too", "192.168.1.2"], ["keeps the address", NEAR]])("is checked there within 1.5 s while packets go, where the NAT %s", (_what, inside) => {
    const { world, a, b, cut, checked } = wayCut(inside);
    const sinceMs = cut();
    talk(world, a, b, 1_500);
    expect(checked(sinceMs)).toBeLessThanOrEqual(1_500);
  });
});

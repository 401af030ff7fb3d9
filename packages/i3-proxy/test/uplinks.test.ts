/** A host with two interfaces, the first of which dies silently while its packets go by the ring: real cores and reference engines, a ring of three, virtual time. */
import { describe, expect, it } from "vitest";

import { publicId, sameBytes, type Security } from "@i3/common";
import { DATA_FIRST_BYTE } from "@i3/datapath";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, placesOf, World, type Host, type HostOptions, type Node, type Uplink } from "../../../test/sim/world.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

const EVERY_MS = 5;
/** Questions of one search, and of the way back for a while. */
const MAX_ASKED = 60;

interface Bed {
  readonly world: World;
  readonly ring: readonly Node[];
  /** Has two interfaces. */
  readonly mover: Host;
  readonly desk: Host;
  readonly first: Uplink;
  readonly second: Uplink;
}

/** @param delayMs one way, between a host and a server */
function makeBed({ delayMs = 5, security = "esp", loss = 0 }: { readonly delayMs?: number; readonly security?: Security; readonly loss?: number } = {}): Bed {
  const world = new World({ delayMs });
  const ring = world.ring(3);
  world.run(3_000);
  const [one, two] = [generateHostIdentity(), generateHostIdentity()];
  const options: HostOptions = { servers: ring, security };
  const mover = addHost(world, "198.51.100.1", { ...options, identity: one, book: bookOf({ "desk.i3": two }), secondAddress: "198.51.101.1" });
  const desk = addHost(world, "198.51.102.1", { ...options, identity: two, book: bookOf({ "mover.i3": one }) });
  world.run(10_000, () => mover.proxy.isReady(world.nowMs) && desk.proxy.isReady(world.nowMs));
  expect(roundTrip(world, mover, desk, "desk.i3", "hello").back).not.toBe("nothing");
  world.loss = loss;
  const [first, second] = mover.node.uplinks as [Uplink, Uplink];
  return { world, ring, mover, desk, first, second };
}

interface Talk {
  /** The longest time without an arrival, at each end, ms. */
  readonly moverGapMs: number;
  readonly deskGapMs: number;
  readonly lost: number;
}

/** Both send, each 5 ms. */
function talk({ world, mover, desk }: Bed, forMs: number): Talk {
  const ends = [
    { from: mover, to: desk, destination: addressOf(mover, "desk.i3") },
    { from: desk, to: mover, destination: desk.proxy.mappings.byPeer(publicId(mover.identity.hit))?.local4 as Uint8Array },
  ].map((end) => ({ ...end, had: end.to.node.received.length, seen: end.to.node.received.length, lastMs: world.nowMs, gapMs: 0 }));
  let sent = 0;
  const look = (): void => {
    for (const end of ends) {
      if (end.to.node.received.length > end.seen) end.lastMs = world.nowMs;
      end.seen = end.to.node.received.length;
      end.gapMs = Math.max(end.gapMs, world.nowMs - end.lastMs);
    }
  };
  for (const endMs = world.nowMs + forMs; world.nowMs < endMs; sent += 1) {
    for (const { from, destination } of ends) world.inject(from.node, { tun: packet4(from.proxy.own4, destination, `${sent}`) });
    world.run(EVERY_MS);
    look();
  }
  world.run(500);
  const [atDesk, atMover] = ends as [(typeof ends)[number], (typeof ends)[number]];
  return { moverGapMs: atMover.gapMs, deskGapMs: atDesk.gapMs, lost: ends.reduce((all, { to, had }) => all + sent - (to.node.received.length - had), 0) };
}

const uplinkLines = ({ mover }: Bed): readonly unknown[] => mover.node.log.filter(({ event }) => event === "uplink").map(({ fields }) => fields["interface"] ?? "system");
const lastWhy = ({ mover }: Bed): readonly unknown[] => mover.node.log.filter(({ event }) => event === "uplink").slice(-1).map(({ level, fields }) => `${level}: ${String(fields["why"])}`);
/** Datagrams that left the mover by an interface since then. */
const leftBy = ({ world }: Bed, { address }: Uplink, sinceMs: number): number => world.wire.filter(({ atMs, from }) => atMs >= sinceMs && sameBytes(from.address, address)).length;

describe("an interface that dies silently", () => {
  it.each([["esp", 5, 0], ["esp", 5, 130], ["none", 5, 270], ["none", 25, 0]] as const)("with security %s and %i ms to a server, %i ms later, is left within a second", (security, delayMs, laterMs) => {
    const bed = makeBed({ delayMs, security });
    bed.world.run(laterMs);
    talk(bed, 500);
    bed.first.isDead = true;
    const { moverGapMs, deskGapMs } = talk(bed, 2_000);
    expect(Math.max(moverGapMs, deskGapMs)).toBeLessThan(1_000);
    expect(Math.min(moverGapMs, deskGapMs)).toBeGreaterThan(300);
    expect(uplinkLines(bed)).toEqual([2]);
    expect(bed.mover.proxy.client.uplinkCounters.asked).toBeLessThan(MAX_ASKED);
  });

  it("is used again when it has answered for some seconds, and no packet is lost", () => {
    const bed = makeBed();
    talk(bed, 500);
    bed.first.isDead = true;
    talk(bed, 2_000);
    bed.first.isDead = false;
    const mendedMs = bed.world.nowMs;
    const { lost, moverGapMs, deskGapMs } = talk(bed, 10_000);
    expect(lost).toBe(0);
    expect(Math.max(moverGapMs, deskGapMs)).toBeLessThanOrEqual(3 * EVERY_MS);
    expect(uplinkLines(bed)).toEqual([2, "system"]);
    expect(lastWhy(bed)).toEqual(["info: servers answer again by an interface that is preferred to the other one"]);
    const backMs = bed.mover.node.log.findLast(({ event }) => event === "uplink")?.atMs ?? 0;
    expect(backMs - mendedMs).toBeGreaterThan(4_000);
    expect(leftBy(bed, bed.second, backMs + 1)).toBe(0);
  });

  it("is tried ever more seldom when it dies again each time", () => {
    const bed = makeBed({ security: "none" });
    const backs: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      bed.first.isDead = true;
      talk(bed, 1_000);
      bed.first.isDead = false;
      const startMs = bed.world.nowMs;
      const count = uplinkLines(bed).length;
      bed.world.run(60_000, () => uplinkLines(bed).length > count);
      backs.push(bed.world.nowMs - startMs);
      talk(bed, 100);
    }
    expect(backs[1]).toBeGreaterThan(1.8 * (backs[0] as number));
    expect(backs[2]).toBeGreaterThan(1.8 * (backs[1] as number));
  });

  it("is left also before any server has ever answered by it, and by a host that sends nothing", () => {
    const world = new World();
    const ring = world.ring(3);
    world.run(3_000);
    const node = addHost(world, "198.51.100.1", { servers: [], secondAddress: "198.51.101.1" });
    (node.node.uplinks[0] as Uplink).isDead = true;
    node.proxy.addServers(world.nowMs, ring.map(({ locator }) => locator));
    world.run(5_000, () => node.proxy.isReady(world.nowMs));
    expect(node.proxy.isReady(world.nowMs)).toBe(true);
    world.run(20_000);
    for (const uplink of node.node.uplinks) uplink.isDead = !uplink.isDead;
    // The first is back, and the second dead: what looks back finds it, or a search does.
    world.run(4_000);
    expect(node.proxy.client.firstHop()).not.toBeNull();
    expect(node.proxy.isReady(world.nowMs)).toBe(true);
  });
});

describe("what is no dead interface", () => {
  it("servers that die, the one that carries packets among them: another answers by the same one", () => {
    const bed = makeBed({ security: "none" });
    talk(bed, 200);
    const { ring, mover, world, first } = bed;
    const carries = world.wire.findLast(({ from, bytes }) => sameBytes(from.address, first.address) && bytes[0] === DATA_FIRST_BYTE)?.to;
    const stays = ring.find(({ locator }) => carries !== undefined && !sameBytes(carries.address, locator.address));
    for (const server of ring) server.down = server !== stays;
    talk(bed, 1_500);
    world.run(3_000);
    expect(uplinkLines(bed)).toEqual([]);
    expect(leftBy(bed, bed.second, 0)).toBeGreaterThan(0);
    expect(mover.proxy.client.uplinkCounters.asked).toBeLessThan(2 * MAX_ASKED);
    expect(mover.proxy.client.firstHop()).toEqual(stays?.locator);
  });

  it("a ring that is gone for a minute, which is asked for now and then", () => {
    const bed = makeBed({ security: "none" });
    for (const server of bed.ring) server.down = true;
    bed.world.run(2_000);
    const before = bed.mover.proxy.client.uplinkCounters.asked;
    bed.world.run(60_000);
    expect(bed.mover.proxy.client.uplinkCounters.asked - before).toBeLessThan(60 * 8);
    for (const server of bed.ring) server.down = false;
    bed.world.run(10_000);
    expect(bed.mover.proxy.client.firstHop()).not.toBeNull();
    expect(uplinkLines(bed)).toEqual([]);
  });

  it("a single answer by the other interface, when servers come back", () => {
    const bed = makeBed({ security: "none" });
    const { world, ring, first } = bed;
    for (const server of ring) server.down = true;
    world.run(5_000);
    const { uplinkCounters } = bed.mover.proxy.client;
    const { asked } = uplinkCounters;
    world.run(2_000, () => uplinkCounters.asked > asked);
    world.run(100);
    for (const server of ring) server.down = false;
    // The next round, and not the one after it.
    first.isDead = true;
    world.run(1_850);
    first.isDead = false;
    world.run(5_000);
    expect(uplinkLines(bed)).toEqual([]);
    expect(bed.mover.proxy.client.firstHop()).not.toBeNull();
  });

  it("a path that loses one packet in fifty", () => {
    const bed = makeBed({ security: "none", loss: 0.02 });
    for (let i = 0; i < 300; i += 1) talk(bed, EVERY_MS);
    expect(uplinkLines(bed)).toEqual([]);
  });
});

it("goes by the routes again when the interface that it kept to is gone, or is preferred now", () => {
  for (const [left, why] of [[0, "the interface that was chosen is gone"], [1, "the system prefers the one in use now"]] as const) {
    const bed = makeBed({ security: "none" });
    bed.first.isDead = true;
    talk(bed, 1_000);
    expect(uplinkLines(bed)).toEqual([2]);
    expect(lastWhy(bed)).toEqual(["warn: no server answers by the other one"]);
    bed.first.isDead = left === 1;
    const kept = bed.mover.node.uplinks.filter((_, i) => i === left);
    bed.mover.node.uplinks = kept;
    bed.mover.proxy.setPlaces(bed.world.nowMs, placesOf(bed.mover.node));
    expect(textOf(bed.mover.node.received.at(-1))).not.toBe("");
    talk(bed, 500);
    expect(talk(bed, 500).lost).toBe(0);
    expect(uplinkLines(bed)).toEqual([2, "system"]);
    expect(lastWhy(bed)).toEqual([`info: ${why}`]);
  }
});

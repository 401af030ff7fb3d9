/** Hosts that talk past i3 and move (docs/wire.md §9.7): real cores and reference engines, real triggers in a ring of three, virtual time. */
import { expect, it } from "vitest";

import { publicId } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, placesOf, World, type Host, type Uplink } from "../../../test/sim/world.js";
import { addressOf, packet4, roundTrip } from "./traffic.js";

const EVERY_MS = 5;
const bytesOf = (address: string): Uint8Array => Uint8Array.from(address.split(".").map(Number));

/** Each has two interfaces. @param delayMs one way, between any two @param shortcut whether packets may go past i3 */
function makeBed(delayMs: number, shortcut = true) {
  const world = new World({ delayMs });
  const ring = world.ring(3);
  world.run(3_000);
  const [one, two] = [generateHostIdentity(), generateHostIdentity()];
  const options = { servers: ring, security: "esp", shortcut } as const;
  const mover = addHost(world, "198.51.100.1", { ...options, identity: one, book: bookOf({ "desk.i3": two }), secondAddress: "198.51.101.1" });
  const desk = addHost(world, "198.51.102.1", { ...options, identity: two, book: bookOf({ "mover.i3": one }), secondAddress: "198.51.103.1" });
  world.run(10_000, () => mover.proxy.isReady(world.nowMs) && desk.proxy.isReady(world.nowMs));
  expect(roundTrip(world, mover, desk, "desk.i3", "hello").back).not.toBe("nothing");
  return { world, mover, desk };
}

type Bed = ReturnType<typeof makeBed>;

function place(world: World, { node, proxy }: Host, uplinks: readonly Uplink[]): void {
  node.uplinks = uplinks;
  proxy.setPlaces(world.nowMs, placesOf(node));
  world.inject(node, {});
}

const pathOf = (host: Host, world: World): unknown => host.proxy.report(world.nowMs).find(({ hit }) => hit !== null)?.path;
const pathLines = ({ node }: Host): readonly unknown[] => node.log.filter(({ event }) => event === "path").map(({ fields }) => fields["to"]);

interface Talked {
  /** The longest time without an arrival at either end, ms: from the first of `acts` on, if there are any. */
  readonly gapMs: number;
  /** The same at the desk, and at the mover. */
  readonly fromMoverMs: number;
  readonly toMoverMs: number;
  /** Packets that did not come. */
  readonly lost: number;
}

/** Both send, each 5 ms. @param acts by when, ms from the beginning, a multiple of 5 */
function talk({ world, mover, desk }: Bed, forMs: number, acts: ReadonlyMap<number, () => void> = new Map()): Talked {
  const end = (from: Host, to: Host, destination: Uint8Array) => ({ from, to, destination, had: to.node.received.length, seen: to.node.received.length, lastMs: world.nowMs, gapMs: 0 });
  const atDesk = end(mover, desk, addressOf(mover, "desk.i3"));
  const atMover = end(desk, mover, desk.proxy.mappings.byPeer(publicId(mover.identity.hit))?.local4 as Uint8Array);
  const ends = [atDesk, atMover];
  const startMs = world.nowMs;
  const fromMs = startMs + (acts.size === 0 ? 0 : Math.min(...acts.keys()));
  const look = (): void => {
    for (const each of ends) {
      if (world.nowMs >= fromMs) each.gapMs = Math.max(each.gapMs, world.nowMs - each.lastMs);
      if (each.to.node.received.length > each.seen) each.lastMs = world.nowMs;
      each.seen = each.to.node.received.length;
    }
  };
  let sent = 0;
  for (; sent * EVERY_MS < forMs; sent += 1) {
    acts.get(sent * EVERY_MS)?.();
    for (const { from, destination } of ends) world.inject(from.node, { tun: packet4(from.proxy.own4, destination, `${sent}`) });
    const nextMs = startMs + (sent + 1) * EVERY_MS;
    while (world.nowMs < nextMs) {
      world.run(nextMs - world.nowMs, () => ends.some(({ to, seen }) => to.node.received.length > seen));
      look();
    }
  }
  world.run(500);
  return {
    gapMs: Math.max(atDesk.gapMs, atMover.gapMs), fromMoverMs: atDesk.gapMs, toMoverMs: atMover.gapMs,
    lost: ends.reduce((all, { to, had }) => all + sent - (to.node.received.length - had), 0),
  };
}

it.each([10, 50])("both ends get another address at once, %i ms from all: they find each other by their triggers within a second, and go straight again", (delayMs) => {
  const bed = makeBed(delayMs);
  const { world, mover, desk } = bed;
  for (const host of [mover, desk]) place(world, host, host.node.uplinks.slice(0, 1));
  talk(bed, 4_000);
  expect([pathOf(mover, world), pathOf(desk, world)]).toEqual(["udp 198.51.102.1:5610", "udp 198.51.100.1:5610"]);
  for (const [host, address] of [[mover, "198.51.100.99"], [desk, "198.51.102.99"]] as const) place(world, host, [{ interfaceIndex: 1, address: bytesOf(address), isDead: false }]);
  const { gapMs } = talk(bed, 4_000);
  expect(gapMs).toBeGreaterThan(2 * delayMs);
  expect(gapMs).toBeLessThan(1_000);
  expect([pathOf(mover, world), pathOf(desk, world)]).toEqual(["udp 198.51.102.99:5610", "udp 198.51.100.99:5610"]);
});

it("another address of the interface that is not in use, and none of it any more, touch neither packets nor their way", () => {
  const bed = makeBed(10);
  const { world, mover } = bed;
  talk(bed, 4_000);
  const before = [pathOf(mover, world), pathLines(mover).length, pathLines(bed.desk).length];
  const [first, second] = mover.node.uplinks as [Uplink, Uplink];
  for (const uplinks of [[first, { ...second, address: bytesOf("198.51.101.77") }], [first], [first, second]]) {
    place(world, mover, uplinks);
    const { gapMs, lost } = talk(bed, 2_000);
    expect(lost).toBe(0);
    expect(gapMs).toBeLessThanOrEqual(2 * EVERY_MS);
  }
  expect([pathOf(mover, world), pathLines(mover).length, pathLines(bed.desk).length]).toEqual(before);
});

it.each([[10, true], [50, true], [10, false], [50, false]])("make before break, %i ms from all, past i3: %s: nothing is lost, and no gap is longer than two intervals", (delayMs, isStraight) => {
  const bed = makeBed(delayMs, isStraight);
  const { world, mover, desk } = bed;
  const [first, second] = mover.node.uplinks as [Uplink, Uplink];
  place(world, mover, [first]);
  talk(bed, 4_000);
  const paths = (): readonly unknown[] => [pathOf(mover, world), pathOf(desk, world)];
  expect(paths()).toEqual(isStraight ? ["udp 198.51.102.1:5610", "udp 198.51.100.1:5610"] : ["i3", "i3"]);
  const { gapMs, lost } = talk(bed, 7_000, new Map([[1_000, () => place(world, mover, [second, first])], [4_000, () => place(world, mover, [second])]]));
  expect(paths()).toEqual(isStraight ? ["udp 198.51.102.1:5610", "udp 198.51.101.1:5610"] : ["i3", "i3"]);
  expect(lost).toBe(0);
  expect(gapMs).toBeLessThanOrEqual(2 * EVERY_MS);
});

it.each([10, 50])("another address, %i ms from all: a round trip and 20 ms from the host that moves, two and 20 ms towards it", (delayMs) => {
  const bed = makeBed(delayMs);
  const { world, mover, desk } = bed;
  for (const host of [mover, desk]) place(world, host, host.node.uplinks.slice(0, 1));
  talk(bed, 4_000);
  const { fromMoverMs, toMoverMs } = talk(bed, 4_000, new Map([[1_000, () => place(world, mover, [{ interfaceIndex: 1, address: bytesOf("198.51.100.99"), isDead: false }])]]));
  expect([pathOf(mover, world), pathOf(desk, world)]).toEqual(["udp 198.51.102.1:5610", "udp 198.51.100.99:5610"]);
  expect(fromMoverMs).toBeLessThanOrEqual(2 * delayMs + 20);
  expect(toMoverMs).toBeLessThanOrEqual(2 * 2 * delayMs + 20);
  // It did move.
  expect(toMoverMs).toBeGreaterThan(delayMs);
});

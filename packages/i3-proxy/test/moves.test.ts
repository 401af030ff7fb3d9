/** Hosts that talk past i3 and move (docs/wire.md §9.7): real cores and reference engines, real triggers in a ring of three, virtual time. */
import { expect, it } from "vitest";

import { publicId } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, placesOf, World, type Host, type Uplink } from "../../../test/sim/world.js";
import { addressOf, packet4, roundTrip } from "./traffic.js";

const EVERY_MS = 5;
const bytesOf = (address: string): Uint8Array => Uint8Array.from(address.split(".").map(Number));

/** Each has two interfaces. @param delayMs one way, between any two */
function makeBed(delayMs: number) {
  const world = new World({ delayMs });
  const ring = world.ring(3);
  world.run(3_000);
  const [one, two] = [generateHostIdentity(), generateHostIdentity()];
  const options = { servers: ring, security: "esp", shortcut: true } as const;
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

/** Both send, each 5 ms: the longest time without an arrival at either end, ms, and packets that did not come. */
function talk({ world, mover, desk }: Bed, forMs: number): { readonly gapMs: number; readonly lost: number } {
  const ends = [
    { from: mover, to: desk, destination: addressOf(mover, "desk.i3") },
    { from: desk, to: mover, destination: desk.proxy.mappings.byPeer(publicId(mover.identity.hit))?.local4 as Uint8Array },
  ].map((end) => ({ ...end, had: end.to.node.received.length, seen: end.to.node.received.length, lastMs: world.nowMs, gapMs: 0 }));
  let sent = 0;
  for (const endMs = world.nowMs + forMs; world.nowMs < endMs; sent += 1) {
    for (const { from, destination } of ends) world.inject(from.node, { tun: packet4(from.proxy.own4, destination, `${sent}`) });
    world.run(EVERY_MS);
    for (const end of ends) {
      if (end.to.node.received.length > end.seen) end.lastMs = world.nowMs;
      end.seen = end.to.node.received.length;
      end.gapMs = Math.max(end.gapMs, world.nowMs - end.lastMs);
    }
  }
  world.run(500);
  return { gapMs: Math.max(...ends.map(({ gapMs }) => gapMs)), lost: ends.reduce((all, { to, had }) => all + sent - (to.node.received.length - had), 0) };
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

/** Places for hosts that the address book does not name: a newcomer that has paid for an exchange gets in, whoever holds them. Virtual time. */
import { describe, expect, it } from "vitest";

import { formatIpText, publicId } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import type { Mapping } from "../src/mappings/mapping.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

const PLACES = 4;
/** More often than a mapping that carries nothing ends where places are short. */
const PACKET_EVERY_MS = 20_000;

const mappingOf = (host: Host, peer: Host): Mapping | undefined => host.proxy.mappings.byPeer(publicId(peer.identity.hit));
const logged = (host: Host, event: string): number => host.node.log.filter((line) => line.event === event).length;

/** A host whose places are all taken by hosts that it has no name for: `strangers[0]` came first. */
function crowd() {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const friendIdentity = generateHostIdentity();
  const homeIdentity = generateHostIdentity();
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: homeIdentity, book: bookOf({ "friend.i3": friendIdentity }), security: "esp", maxMappings: 4 * PLACES });
  // How hard puzzles get is not asked here.
  Object.assign(home.proxy.setups.hip?.hip ?? {}, { load: () => undefined });
  const book = bookOf({ "home.i3": homeIdentity });
  const host = (n: number, identity = generateHostIdentity()): Host => {
    const made = addHost(world, `203.0.113.${n}`, { servers: ring, identity, book, security: "esp" });
    world.run(10_000, () => made.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    return made;
  };
  const send = (from: Host, text: string): void => world.inject(from.node, { tun: packet4(from.proxy.own4, addressOf(from, "home.i3"), text) });
  const answer = (to: Host, text: string): void => world.inject(home.node, { tun: packet4(home.proxy.own4, mappingOf(home, to)?.local4 as Uint8Array, text) });
  // An echo reply: what the host itself says to whoever asks.
  const pong = (to: Host): void => world.inject(home.node, { tun: packet4(home.proxy.own4, mappingOf(home, to)?.local4 as Uint8Array, "\0\0\0\0", { protocol: 1 }) });
  const comes = (from: Host, text: string): boolean => {
    send(from, text);
    world.run(5_000, () => home.node.received.some((packet) => textOf(packet) === text));
    return home.node.received.some((packet) => textOf(packet) === text);
  };
  const friend = host(9, friendIdentity);
  expect(roundTrip(world, friend, home, "home.i3", "from a friend").back).not.toBe("nothing");
  const strangers = Array.from({ length: PLACES }, (_, n) => host(n + 1));
  for (const [n, stranger] of strangers.entries()) expect(comes(stranger, `stranger ${n}`)).toBe(true);
  expect(home.proxy.mappings.strangersPart).toBe(1);
  return { world, home, friend, strangers, host, send, answer, pong, comes };
}

/** Minutes in which each sends a packet now and then, and `each` happens beside it. */
function pass({ world, strangers, send }: Pick<ReturnType<typeof crowd>, "world" | "strangers" | "send">, rounds: number, each: () => void = () => undefined): void {
  for (let n = 0; n < rounds; n += 1) {
    for (const stranger of strangers) send(stranger, `round ${n}`);
    each();
    world.run(PACKET_EVERY_MS);
  }
}

describe("a stranger's association", () => {
  it("is in the log with its HIT, as is a friend's", () => {
    const { home, strangers, friend } = crowd();
    const opened = (level: string): readonly unknown[] => home.node.log.filter((line) => line.event === "mapping-open" && line.level === level).map(({ fields }) => fields["hit"]);
    const hits = strangers.map(({ identity }) => formatIpText(identity.hit));
    expect([opened("info"), opened("debug")]).toEqual([[formatIpText(friend.identity.hit), ...hits], []]);
  });
});

describe("strangers' places, all taken by hosts that send a packet each 20 s", () => {
  it("are had by a newcomer, though all of them are sent pongs: who was answered longest ago ends, is told, and may come again", () => {
    const bed = crowd();
    const { world, home, strangers, host, comes, answer, pong } = bed;
    const [first, second] = strangers as [Host, Host];
    // The first one was answered once, long ago but later than the second came.
    answer(first, "an answer");
    pass(bed, 15, () => strangers.forEach(pong));
    expect(strangers.map((stranger) => mappingOf(home, stranger)?.state)).toEqual(strangers.map(() => "open"));
    const before = mappingOf(home, second)?.local4 as Uint8Array;
    const newcomer = host(20);
    expect(comes(newcomer, "may I")).toBe(true);
    expect([mappingOf(home, newcomer)?.state, mappingOf(home, second), home.proxy.mappings.strangersPart]).toEqual(["open", undefined, 1]);
    world.run(1_000);
    expect(mappingOf(second, home)?.state).toBe("idle");
    expect([logged(home, "stranger-ended"), logged(home, "strangers-full"), logged(second, "association-closed")]).toEqual([1, 1, 1]);
    // Nothing of it is left in the engine.
    expect(home.node.engine.flowCounters(before)).toBeUndefined();
    expect(comes(second, "me again")).toBe(true);
    expect(home.proxy.internalErrors).toBe(0);
  }, 60_000);

  it("are kept by those whom programs here answer, and the places of hosts with a name are not theirs to have", () => {
    const bed = crowd();
    const { home, friend, strangers, host, comes, answer, world } = bed;
    const spoken = strangers.slice(0, PLACES - 1);
    pass(bed, 15, () => spoken.forEach((stranger) => answer(stranger, "an answer")));
    for (let n = 0; n < 3; n += 1) {
      expect(comes(host(20 + n), `newcomer ${n}`)).toBe(true);
      for (const stranger of spoken) answer(stranger, "an answer");
      world.run(1_000);
    }
    expect([...spoken, friend].map((peer) => mappingOf(home, peer)?.state)).toEqual(Array(PLACES).fill("open"));
  }, 60_000);

  it("are not to be had while all are in use", () => {
    const bed = crowd();
    const { home, strangers, host, comes, answer } = bed;
    pass(bed, 3, () => strangers.forEach((stranger) => answer(stranger, "an answer")));
    strangers.forEach((stranger) => answer(stranger, "an answer"));
    expect(comes(host(20), "may I")).toBe(false);
    expect([strangers.map((stranger) => mappingOf(home, stranger)?.state), logged(home, "stranger-ended")]).toEqual([strangers.map(() => "open"), 0]);
  }, 60_000);
});

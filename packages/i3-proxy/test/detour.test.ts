/** A host that has only TCP (docs/wire.md §10): real proxies and servers, what a server lets pass, reference engines, a ring of three, virtual time. */
import { CONTROL_TYPES, decodeDetourFrame, encodeControl, encodeDetourFrame, locatorKey, makeLocator, publicId, sameBytes, type Locator } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";
import { FallbackCore, type FallbackConnection, type ServerCore } from "@i3/i3-server";
import { describe, expect, it, vi } from "vitest";

import type { DetourLink } from "../src/setup/detour.js";
import { addHost, bookOf, World, type Host, type Node, type Uplink } from "../../../test/sim/world.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

const LAPTOP = "198.51.100.1";
const HOME = "198.51.100.2";
const HANDSHAKE_MS = 60;

/** WebSockets to one server, without delay; each has its own UDP socket, at another port of that machine. */
class Tcp implements DetourLink {
  readonly names = ["s1:443"];
  host: Host | undefined;
  isBlocked = false;
  /** Of the laptop, as its WebSocket leaves by it. */
  address = Uint8Array.of(198, 51, 100, 1);
  readonly connects: number[] = [];
  readonly core: FallbackCore;
  readonly #world: World;
  readonly #server: Node;
  #socket: Node;
  #opened: Uint8Array | null = null;
  #connection: FallbackConnection | null = null;
  #openAtMs = Infinity;

  constructor(world: World, server: Node) {
    this.#world = world;
    const core = server.core as unknown as ServerCore;
    this.core = new FallbackCore({ self: server.locator, isServer: (nowMs, locator) => core.isServer(nowMs, locator) });
    this.#server = server;
    this.#socket = this.#bind();
  }

  #bind(): Node {
    const socket = this.#world.node([...this.#server.locator.address].join("."), 40_000 + this.connects.length);
    socket.tap = (from, bytes) => this.#fromRing(from, bytes);
    socket.core = { handleUpcalls: () => undefined, deadlineMs: () => this.#openAtMs, handleTimer: () => this.#open() };
    return socket;
  }

  get isOpen(): boolean {
    return this.#connection !== null;
  }

  connect(): void {
    this.connects.push(this.#world.nowMs);
    this.#socket.down = true;
    this.#socket = this.#bind();
    this.#openAtMs = this.isBlocked ? Infinity : this.#world.nowMs + HANDSHAKE_MS;
  }

  local(): Uint8Array | null {
    return this.#opened;
  }

  disconnect(): void {
    this.#openAtMs = Infinity;
    this.#connection?.closed();
    this.#connection = null;
    this.#opened = null;
  }

  send(to: Locator, bytes: Uint8Array): void {
    const frame = this.#connection?.fromHost(this.#world.nowMs, encodeDetourFrame({ locator: to, bytes })) ?? null;
    if (frame !== null) this.#world.sendFrom(this.#socket, frame.locator, frame.bytes.slice());
  }

  #open(): void {
    this.#openAtMs = Infinity;
    this.#connection = this.core.admit(this.#world.nowMs, makeLocator(Uint8Array.of(203, 0, 113, 9), 1_234));
    this.#connection?.opened(this.#world.nowMs);
    this.#opened = this.address;
    this.host?.proxy.detour?.handleOpened(this.#world.nowMs);
  }

  #fromRing(from: Locator, bytes: Uint8Array): void {
    const message = this.#connection?.fromRing(this.#world.nowMs, from, bytes, 0) ?? null;
    if (message === null || this.host === undefined) return;
    const { locator, bytes: datagram } = decodeDetourFrame(message);
    this.host.proxy.detour?.handleDatagram(this.#world.nowMs, locator, datagram);
    this.#world.inject(this.host.node, {});
  }
}

/**
 * @param isNear UDP between the two hosts gets through nevertheless, as in one house
 * @param secondAddress of another interface of the laptop
 */
function bed(isBlocked: boolean, isNear = false, secondAddress?: string) {
  const net = { isBlocked };
  const isLaptop = (address: Uint8Array): boolean => sameBytes(address, Uint8Array.of(198, 51, 100, 1));
  const world = new World({ delayBetweenMs: (a, b) => (net.isBlocked && (isLaptop(a) || isLaptop(b)) && !(isNear && a[0] === b[0]) ? 1e12 : 10) });
  const ring = world.ring(3);
  world.run(3_000);
  const [one, two] = [generateHostIdentity(), generateHostIdentity()];
  const tcp = new Tcp(world, ring[0] as Node);
  const options = { servers: ring, security: "esp", shortcut: true } as const;
  const laptop = addHost(world, LAPTOP, { ...options, identity: one, book: bookOf({ "home.i3": two }), detourLink: tcp, ...(secondAddress !== undefined && { secondAddress }) });
  const home = addHost(world, HOME, { ...options, identity: two, book: bookOf({ "laptop.i3": one }) });
  tcp.host = laptop;
  return { world, ring, tcp, laptop, home, net };
}

const turns = (host: Host): readonly unknown[] => host.node.log.filter(({ event }) => event === "detour").map(({ fields }) => fields["on"]);
/** Datagrams of a host's own socket since then, but for those of control. */
const byUdp = (world: World, host: Host, sinceMs: number): number => world.wire.filter(({ atMs, from, bytes }) => atMs >= sinceMs && locatorKey(from) === locatorKey(host.node.locator) && bytes[0] !== 0x19).length;
/** Datagrams to it since then that are neither i3's data nor control. */
const bareTo = (world: World, host: Host, sinceMs: number): number => world.wire.filter(({ atMs, to, bytes }) => atMs >= sinceMs && locatorKey(to) === locatorKey(host.node.locator) && bytes[0] !== 0x19 && bytes[0] !== 0x11).length;

/** Datagrams between the two hosts since then. */
const straight = (world: World, sinceMs: number): World["wire"] => world.wire.filter(({ atMs, from, to }) => atMs >= sinceMs && from.address[0] === 198 && to.address[0] === 198);

describe("a host that has only TCP", () => {
  it("is registered within eight seconds, reaches others and is reached, and no packet for its peers leaves by UDP", () => {
    const { world, tcp, laptop, home } = bed(true);
    world.run(8_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    expect(laptop.proxy.isReady(world.nowMs)).toBe(true);
    const sinceMs = world.nowMs;
    expect(roundTrip(world, laptop, home, "home.i3", "hello")).not.toMatchObject({ back: "nothing" });
    expect(roundTrip(world, home, laptop, "laptop.i3", "and back")).not.toMatchObject({ back: "nothing" });
    world.run(10_000);
    expect(byUdp(world, laptop, sinceMs)).toBe(0);
    expect(tcp.core.counters).toMatchObject({ malformed: 0, rate: 0, queueFull: 0 });
    expect(turns(laptop)).toEqual([true]);
    expect(turns(home)).toEqual([]);
  });

  it("goes on by UDP when that works again, with every packet that was under way", () => {
    const { world, tcp, laptop, home, net } = bed(true);
    world.run(8_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    roundTrip(world, laptop, home, "home.i3", "hello");
    net.isBlocked = false;
    const leftDetour = vi.spyOn(laptop.proxy.client, "leftDetour");
    const to = addressOf(laptop, "home.i3");
    const back = home.proxy.mappings.byPeer(publicId(laptop.identity.hit))?.local4 as Uint8Array;
    let sent = 0;
    const talk = (everyMs: number, forMs: number, done: () => boolean = () => false): void => {
      for (const endMs = world.nowMs + forMs; world.nowMs < endMs && !done(); sent += 1) {
        world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, `a${sent}`) });
        world.inject(home.node, { tun: packet4(home.proxy.own4, back, `b${sent}`) });
        world.run(everyMs);
      }
    };
    talk(50, 30_000, () => turns(laptop).length === 2);
    const turnMs = laptop.node.log.findLast(({ event }) => event === "detour")?.atMs ?? 0;
    // Many are under way, both ways, while the ring learns where this host is.
    talk(4, 1_000);
    talk(50, 15_000);
    expect(turns(laptop)).toEqual([true, false]);
    expect(leftDetour.mock.calls).toEqual([[turnMs, expect.toSatisfy((server: Locator) => server.address[0] === 192)]]);
    // Triggers are renewed at once, and not when a server says that it sees us elsewhere.
    const renewedMs = world.wire.find(({ atMs, from, bytes }) => atMs >= turnMs && locatorKey(from) === locatorKey(laptop.node.locator) && bytes[1] === CONTROL_TYPES.CHALLENGE_REQUEST)?.atMs ?? Infinity;
    expect(renewedMs - turnMs).toBe(0);
    const [there, here] = [home.node.received.filter((packet) => textOf(packet).startsWith("a")).length, laptop.node.received.filter((packet) => textOf(packet).startsWith("b")).length];
    expect({ there, here }).toEqual({ there: sent, here: sent });
    expect(tcp.isOpen).toBe(false);
    expect(byUdp(world, laptop, world.nowMs - 1_000)).toBeGreaterThan(15);
  });

  it("that had UDP and loses it goes on by TCP", () => {
    const { world, laptop, home, net } = bed(false);
    world.run(8_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    expect(roundTrip(world, laptop, home, "home.i3", "hello")).not.toMatchObject({ back: "nothing" });
    world.run(20_000);
    expect(turns(laptop)).toEqual([]);
    net.isBlocked = true;
    world.run(15_000);
    expect(turns(laptop)).toEqual([true]);
    expect(roundTrip(world, laptop, home, "home.i3", "again")).not.toMatchObject({ back: "nothing" });
    expect(roundTrip(world, home, laptop, "laptop.i3", "from there")).not.toMatchObject({ back: "nothing" });
  });

  it("goes by TCP whoever sends it PONGs that answer nothing, be it in the name of its server", () => {
    const { world, ring, laptop, net } = bed(false);
    world.run(8_000, () => laptop.proxy.isReady(world.nowMs));
    net.isBlocked = true;
    for (let i = 0; i < 20; i += 1) {
      for (const from of [makeLocator(Uint8Array.of(198, 51, 100, 7), 4_000), (ring[0] as Node).locator]) {
        world.inject(laptop.node, { udp: { from, bytes: encodeControl({ type: "PONG", timeMs: 0, observed: laptop.node.locator, nodeKey: new Uint8Array(16) }, new Uint8Array(8).fill(i)) } });
      }
      world.run(500);
    }
    expect(laptop.proxy.client.counters.unexpected).toBe(40);
    expect(turns(laptop)).toEqual([true]);
  });

  it("goes by the same WebSocket again, three seconds after UDP has worked for a moment, whatever comes by that", () => {
    const { world, ring, tcp, laptop, net } = bed(true);
    world.run(8_000, () => laptop.proxy.isReady(world.nowMs));
    net.isBlocked = false;
    world.run(60_000, () => turns(laptop).length === 2);
    net.isBlocked = true;
    world.run(1_000);
    // Answers over UDP that were under way are in.
    const silentMs = world.nowMs;
    const server = (ring[0] as Node).locator;
    const answered = new Set<string>();
    for (let i = 0; i < 40 && turns(laptop).length === 2; i += 1) {
      const ping = world.wire.findLast(({ from, to, bytes }) => locatorKey(from) === locatorKey(laptop.node.locator) && locatorKey(to) === locatorKey(server) && bytes[1] === CONTROL_TYPES.PING);
      const nonce = ping?.bytes.slice(8, 16) as Uint8Array;
      answered.add(`${nonce.join()}`);
      laptop.proxy.detour?.handleDatagram(world.nowMs, server, encodeControl({ type: "PONG", timeMs: 0, observed: laptop.node.locator, nodeKey: new Uint8Array(16) }, nonce));
      world.inject(laptop.node, {});
      world.run(100);
    }
    expect([turns(laptop), tcp.connects.length]).toEqual([[true, false, true], 1]);
    expect(answered.size).toBeGreaterThan(1);
    expect(world.nowMs - silentMs).toBeLessThanOrEqual(3_000);
    world.run(5_000);
    expect([laptop.proxy.isReady(world.nowMs), turns(laptop), tcp.connects.length]).toEqual([true, [true, false, true], 1]);
  });

  it("finds no way past the ring where UDP gets nowhere, and tells nobody of an address of a server's", () => {
    const { world, laptop, home } = bed(true);
    world.run(8_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    roundTrip(world, laptop, home, "home.i3", "hello");
    const sinceMs = world.nowMs;
    world.run(20_000);
    expect(straight(world, sinceMs).filter(({ bytes }) => bytes[0] !== 0x19)).toEqual([]);
    expect([laptop, home].map(({ proxy }) => proxy.setups.hip?.straight.counters)).toMatchObject([{ straight: 0, died: 0 }, { straight: 0, died: 0 }]);
    // Checks go to where the two are, and to nobody else.
    const checked = world.wire.filter(({ bytes }) => bytes[0] === 0x19 && (bytes[1] === CONTROL_TYPES.CHECK || bytes[1] === CONTROL_TYPES.CHECKED)).map(({ to }) => locatorKey(to));
    expect(new Set(checked)).toEqual(new Set([laptop, home].map(({ node }) => locatorKey(node.locator))));
  });

  it("sends to a peer that is near by UDP, without the ring, which it reaches by TCP, and goes on so when that works by UDP again", () => {
    const { world, tcp, laptop, home, net } = bed(true, true);
    world.run(8_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    roundTrip(world, laptop, home, "home.i3", "hello");
    world.run(5_000);
    expect([turns(laptop), laptop.proxy.setups.hip?.straight.counters.straight]).toEqual([[true], 1]);
    const to = addressOf(laptop, "home.i3");
    const back = home.proxy.mappings.byPeer(publicId(laptop.identity.hit))?.local4 as Uint8Array;
    const before = { ...tcp.core.counters };
    let sent = 0;
    const talk = (forMs: number, done: () => boolean = () => false): void => {
      for (const endMs = world.nowMs + forMs; world.nowMs < endMs && !done(); sent += 1) {
        world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, `near ${sent}`) });
        world.inject(home.node, { tun: packet4(home.proxy.own4, back, `heard ${sent}`) });
        world.run(50);
      }
    };
    const received = (): number => home.node.received.filter((packet) => textOf(packet).startsWith("near")).length;
    let sinceMs = world.nowMs;
    talk(3_000);
    expect([received(), bareTo(world, home, sinceMs)]).toEqual([sent, sent]);
    // Control alone.
    expect(tcp.core.counters.fromHosts - before.fromHosts).toBeLessThan(50);
    net.isBlocked = false;
    sinceMs = world.nowMs;
    const early = sent;
    talk(30_000, () => turns(laptop).length === 2);
    talk(2_000);
    expect(turns(laptop)).toEqual([true, false]);
    expect([received(), bareTo(world, home, sinceMs)]).toEqual([sent, sent - early]);
    expect(laptop.proxy.setups.hip?.straight.counters).toMatchObject({ straight: 1, died: 0 });
  });

  it("keeps a way past the ring that works when the ring does not answer by UDP any more", () => {
    const { world, laptop, home, net } = bed(false, true);
    world.run(8_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    roundTrip(world, laptop, home, "home.i3", "hello");
    world.run(3_000);
    net.isBlocked = true;
    const to = addressOf(laptop, "home.i3");
    for (let i = 0; i < 300; i += 1) {
      world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, `kept ${i}`) });
      world.run(50);
    }
    expect(turns(laptop)).toEqual([true]);
    expect(home.node.received.filter((packet) => textOf(packet).startsWith("kept"))).toHaveLength(300);
    expect(laptop.proxy.setups.hip?.straight.counters).toMatchObject({ straight: 1, died: 0 });
  });

  it("that moves has a WebSocket from there at once, and is reached by it within half a second", () => {
    const { world, tcp, laptop, home } = bed(true);
    world.run(8_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    roundTrip(world, laptop, home, "home.i3", "hello");
    world.run(5_000);
    const back = home.proxy.mappings.byPeer(publicId(laptop.identity.hit))?.local4 as Uint8Array;
    const movedMs = world.nowMs;
    tcp.address = Uint8Array.of(198, 51, 100, 9);
    laptop.proxy.setPlaces(world.nowMs, [{ interfaceIndex: 2, family: 4, addresses: [tcp.address], gateway: null, prefixes: null }]);
    world.run(0);
    expect(tcp.connects.slice(1)).toEqual([movedMs]);
    world.run(500);
    world.inject(home.node, { tun: packet4(home.proxy.own4, back, "found") });
    world.run(100);
    expect(laptop.node.received.map(textOf)).toContain("found");
    expect(turns(laptop)).toEqual([true]);
    world.run(20_000);
    expect(tcp.connects).toHaveLength(2);
  });

  it("says once when TCP does not get out either", () => {
    const { world, tcp, laptop } = bed(true);
    tcp.isBlocked = true;
    world.run(120_000);
    expect(laptop.node.log.filter(({ event }) => event.startsWith("detour")).map(({ event }) => event)).toEqual(["detour-failed"]);
    expect(laptop.proxy.client.firstHop()).toBe(null);
  });
});

describe("a host of two interfaces that has only TCP", () => {
  /** By neither UDP gets through, for half a minute. */
  function detoured(): ReturnType<typeof bed> & { readonly uplinks: readonly Uplink[]; readonly lines: () => readonly unknown[] } {
    const made = bed(false, false, "198.51.101.1");
    const { world, laptop, home } = made;
    const { uplinks } = laptop.node;
    for (const uplink of uplinks) uplink.isDead = true;
    world.run(30_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    world.run(30_000);
    expect([turns(laptop), laptop.proxy.isReady(world.nowMs)]).toEqual([[true], true]);
    return { ...made, uplinks, lines: () => laptop.node.log.filter(({ event }) => event === "uplink").map(({ fields }) => fields["interface"] ?? "system") };
  }

  it("goes by UDP within 17 s of when the interface lets it through that the system does not prefer, which it asks ever more seldom", () => {
    const { world, laptop, home, uplinks, lines } = detoured();
    const { asked } = laptop.proxy.client.uplinkCounters;
    world.run(60_000);
    expect(laptop.proxy.client.uplinkCounters.asked - asked).toBeLessThan(6 * 8);
    (uplinks[1] as Uplink).isDead = false;
    world.run(17_000);
    expect([turns(laptop), lines()]).toEqual([[true, false], [2]]);
    // The interface that is chosen then is asked at once, and answers after a round trip.
    const [chosenMs, leftMs] = ["uplink", "detour"].map((name) => laptop.node.log.findLast(({ event }) => event === name)?.atMs ?? 0) as [number, number];
    expect(leftMs - chosenMs).toBeLessThanOrEqual(20);
    const outBefore = laptop.proxy.detour?.counters.out;
    expect(roundTrip(world, laptop, home, "home.i3", "hello")).not.toMatchObject({ back: "nothing" });
    expect(laptop.proxy.detour?.counters.out).toBe(outBefore);
  });

  it("and when the one does that it uses, which stays", () => {
    const { world, laptop, uplinks, lines } = detoured();
    world.run(60_000);
    (uplinks[0] as Uplink).isDead = false;
    world.run(15_500);
    expect([turns(laptop), lines()]).toEqual([[true, false], []]);
  });

  it("and when the other one does after that which it has chosen has died too", () => {
    const { world, laptop, uplinks, lines } = detoured();
    (uplinks[1] as Uplink).isDead = false;
    world.run(30_000);
    (uplinks[1] as Uplink).isDead = true;
    world.run(60_000);
    expect([turns(laptop), lines()]).toEqual([[true, false, true], [2]]);
    (uplinks[0] as Uplink).isDead = false;
    world.run(17_000);
    expect([turns(laptop), lines()]).toEqual([[true, false, true, false], [2, 1]]);
  });

  it("is without the ring for three seconds of a minute at most, when a router at the other interface answers all PINGs in the servers' name", () => {
    const { world, laptop, uplinks } = detoured();
    const forged: { readonly from: Locator; readonly nonce: Uint8Array }[] = [];
    (uplinks[1] as Uplink).swallows = (from, bytes) => void (bytes[0] === 0x19 && bytes[1] === CONTROL_TYPES.PING && forged.push({ from, nonce: bytes.slice(8, 16) }));
    let offMs = 0;
    const run = (forMs: number): void => {
      for (const endMs = world.nowMs + forMs; world.nowMs < endMs; world.run(20)) {
        for (const { from, nonce } of forged.splice(0)) world.inject(laptop.node, { udp: { from: { address: from.address, port: from.port }, bytes: encodeControl({ type: "PONG", timeMs: 0, observed: laptop.node.locator, nodeKey: new Uint8Array(16) }, nonce) } });
        if (laptop.proxy.detour?.isOn !== true) offMs += 20;
      }
    };
    run(60_000);
    expect(turns(laptop)).toContain(false);
    expect(offMs).toBeGreaterThan(2_900);
    offMs = 0;
    run(120_000);
    expect(offMs).toBeLessThanOrEqual(2 * 3_100);
    expect([laptop.proxy.isReady(world.nowMs), turns(laptop).at(-1)]).toEqual([true, true]);
  });
});

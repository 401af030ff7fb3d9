/** The encrypted set-up end to end: two proxies, a ring of three, real cores and engines, virtual time. */
import { describe, expect, it } from "vitest";

import { randomBytes } from "node:crypto";

import { concatBytes, locatorKey, makeLocator, publicId, sameBytes, toHex, virtualAddress, type AccessConfig, type Locator, type Security } from "@i3/common";
import type { EspTransform } from "@i3/datapath";
import {
  decodeHipPacket, encodeDhGroupList, encodeHipPacket, generateHostIdentity, HIP_PACKET, HipHost, I3_I1_BYTES, parameter, PARAMETER, systemDhSource, type HipEvent,
} from "@i3/hip";

import { addHost, bookOf, World, type Host, type HostOptions, type LogLine, type Node } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson, type Mapping } from "../src/mappings/mapping.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

const RANGE = { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 };

interface PairOptions {
  readonly delayMs?: number;
  /** @default 3 */
  readonly servers?: number;
  readonly loss?: number;
  readonly laptop?: Security;
  readonly home?: Security;
  readonly homeAccess?: AccessConfig;
}

/** Two machines that know each other's keys, registered with a ring of three, whose return ids are in the ring too. */
function pair(options: PairOptions = {}) {
  const world = new World({ delayMs: options.delayMs ?? 10 });
  const ring = world.ring(options.servers ?? 3);
  world.run(3_000);
  /** Generations that home writes down. */
  const kept: bigint[] = [];
  const laptopIdentity = generateHostIdentity();
  const homeIdentity = generateHostIdentity();
  const book = bookOf({ "laptop.i3": laptopIdentity, "home.i3": homeIdentity });
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: laptopIdentity, book, security: options.laptop ?? "esp" });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: homeIdentity, book, security: options.home ?? "esp", access: options.homeAccess, keepGeneration: (generation) => void kept.push(generation) });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  expect(laptop.proxy.isReady(world.nowMs)).toBe(true);
  world.loss = options.loss ?? 0;
  return { world, ring, laptop, home, book, kept };
}

const NOBODY: AccessConfig = { default: "refuse", entries: [] };
const logged = (host: Host, event: string): readonly LogLine[] => host.node.log.filter((line) => line.event === event);
const mappingOf = (host: Host, peer: Host): Mapping | undefined => host.proxy.mappings.byPeer(publicId(peer.identity.hit));
/** An I1 with a return id and zeros up to so many bytes (docs/wire.md §9). */
function makeTestI1(from: Uint8Array, to: Uint8Array, returnId: Uint8Array, bytes: number): Uint8Array {
  const parameters = [
    { type: PARAMETER.dhGroupList, contents: encodeDhGroupList([7]) }, { type: PARAMETER.i3ReturnId, contents: returnId },
    { type: PARAMETER.i3Padding, contents: new Uint8Array(bytes - 40 - 8 - 40 - 4) },
  ];
  return encodeHipPacket({ type: HIP_PACKET.i1, version: 2, controls: 0, senderHit: from, receiverHit: to }, parameters);
}

/** The same machine with what its journal holds. */
function restarted(world: World, host: Host, address: string, options: Pick<HostOptions, "servers" | "book">): Host {
  const restored = [...host.proxy.mappings.all()].map((mapping) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(mapping)))));
  world.nodes.delete(locatorKey(host.node.locator));
  return addHost(world, address, { ...options, identity: host.identity, sharedKey: host.sharedKey, security: "esp", restored, lastOwn4: host.proxy.own4 });
}
const send = (world: World, from: Host, to: Uint8Array, text: string): void => world.inject(from.node, { tun: packet4(from.proxy.own4, to, text) });
const carries = (world: World, text: string): boolean => world.wire.some((datagram) => Buffer.from(datagram.bytes).includes(text));

describe("encrypted set-up", () => {
  it("carries the first packet and its answer, headers preserved, nothing of them readable on the wire", () => {
    const { world, laptop, home } = pair();
    world.wire.length = 0;
    const address = (host: Host): string => [...virtualAddress(RANGE, publicId(host.identity.hit))].join(".");
    expect(roundTrip(world, laptop, home, "home.i3", "a secret greeting")).toEqual({ there: address(laptop), back: address(home) });
    expect(carries(world, "secret greeting")).toBe(false);
    expect(mappingOf(home, laptop)).toMatchObject({ state: "open", security: "esp" });
  });

  it("authenticates only, when both rules say so", () => {
    const { world, laptop, home } = pair({ laptop: "auth", home: "auth" });
    world.wire.length = 0;
    expect(roundTrip(world, laptop, home, "home.i3", "for everybody to read").back).not.toBe("nothing");
    expect(carries(world, "for everybody to read")).toBe(true);
  });

  it.each([["esp", "auth"], ["auth", "esp"]] as const)("refuses a peer that wants %s where the rules want %s", (laptop, home) => {
    const bed = pair({ laptop, home });
    expect(roundTrip(bed.world, bed.laptop, bed.home, "home.i3", "what now")).toEqual({ there: "nothing", back: "nothing" });
  });

  it("wipes the keys of every event once the engine has copied them, those of an association that it cannot take too", () => {
    const { world, laptop, home } = pair();
    const kept: EspTransform[] = [];
    let isFull = false;
    for (const { engine } of [laptop.node, home.node]) {
      const [setIn, setOut] = [engine.setInboundAssociation.bind(engine), engine.setOutboundAssociation.bind(engine)];
      engine.setInboundAssociation = (spi, association) => {
        if (association !== null) kept.push(association.transform);
        if (association !== null && isFull) throw new Error("full");
        setIn(spi, association);
      };
      engine.setOutboundAssociation = (name, association) => {
        if (association !== null) kept.push(association.transform);
        setOut(name, association);
      };
    }
    const isWiped = (transform: EspTransform): boolean => "key" in transform && transform.key.every((byte) => byte === 0);
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    for (let id = 1; id < 5; id += 1) laptop.proxy.setups.hip?.hip.rekey(world.nowMs, id);
    world.run(2_000);
    expect(roundTrip(world, laptop, home, "home.i3", "behind a rekey").back).not.toBe("nothing");
    expect([kept.length, kept.map(isWiped)]).toEqual([8, kept.map(() => true)]);
    isFull = true;
    for (let id = 1; id < 5; id += 1) laptop.proxy.setups.hip?.hip.close(world.nowMs, id);
    world.run(1_000);
    send(world, laptop, addressOf(laptop, "home.i3"), "no room");
    world.run(1_000);
    expect([kept.length > 8, kept.every(isWiped)]).toEqual([true, true]);
  });

  // Laptop, server, home and back: 40 ms. In a larger ring the first packet to each id that is new goes by one more server: five of them, to a public id, a return id twice, and both private ids.
  it.each([[1, 3 * 40], [3, 3 * 40 + 5 * 10], [8, 3 * 40 + 5 * 10]])("takes three round trips over i3 until the first answer, where several servers have to look for each other five trips between them more, and one for later ones: ring of %i", (servers, limitMs) => {
    const { world, laptop, home } = pair({ delayMs: 10, servers });
    const first = world.nowMs;
    expect(roundTrip(world, laptop, home, "home.i3", "one").back).not.toBe("nothing");
    expect(world.nowMs - first).toBeLessThanOrEqual(limitMs);
    world.run(1_000);
    const second = world.nowMs;
    expect(roundTrip(world, laptop, home, "home.i3", "two").back).not.toBe("nothing");
    expect(world.nowMs - second).toBeLessThanOrEqual(40);
  });

  it("survives loss of a tenth of all datagrams", () => {
    const { world, laptop, home } = pair({ loss: 0.1 });
    const to = addressOf(laptop, "home.i3");
    for (let i = 0; i < 100; i += 1) {
      send(world, laptop, to, `n${i}`);
      world.run(200);
    }
    expect(mappingOf(laptop, home)?.state).toBe("open");
    expect(home.node.received.length).toBeGreaterThan(8);
  });

  it("lets both sides start at once", () => {
    const { world, laptop, home } = pair();
    send(world, laptop, addressOf(laptop, "home.i3"), "from laptop");
    send(world, home, addressOf(home, "laptop.i3"), "from home");
    world.run(5_000);
    expect(home.node.received.map(textOf)).toEqual(["from laptop"]);
    expect(laptop.node.received.map(textOf)).toEqual(["from home"]);
    expect(roundTrip(world, laptop, home, "home.i3", "again").back).not.toBe("nothing");
  });

  it("never falls back to cleartext, whoever asks", () => {
    const { world, laptop, home } = pair({ laptop: "none", home: "esp" });
    expect(roundTrip(world, laptop, home, "home.i3", "in clear").there).toBe("nothing");
    expect(home.proxy.setups.plain.counters.refused).toBeGreaterThan(0);
    expect(mappingOf(home, laptop)).toBeUndefined();
  });

  it("lets in whom the access list names, and nobody else: who is refused hears so at once, and why", () => {
    const { world, laptop, home } = pair({ homeAccess: NOBODY });
    const beganMs = world.nowMs;
    send(world, laptop, addressOf(laptop, "home.i3"), "please");
    world.run(5_000, () => laptop.node.received.length > 0);
    // ICMP host unreachable, three round trips over i3 later.
    expect([laptop.node.received[0]?.[9], [...(laptop.node.received[0] ?? []).slice(20, 22)], world.nowMs - beganMs <= 3 * 40]).toEqual([1, [3, 1], true]);
    expect(logged(laptop, "unreachable")).toMatchObject([{ fields: { peer: "home.i3", code: "refused", why: expect.stringContaining("BLOCKED_BY_POLICY") as unknown } }]);
    expect([mappingOf(home, laptop), home.node.received]).toEqual([undefined, []]);
    const retried = home.proxy.setups.hip?.counters.i2Received;
    world.run(20_000);
    expect([home.proxy.setups.hip?.counters.i2Received, laptop.proxy.setups.hip?.hip.sizes.attempts]).toEqual([retried, 0]);
  });

  it("calls whom the access list does not let in", () => {
    const { world, ring, laptop, home, book } = pair({ homeAccess: NOBODY });
    expect(roundTrip(world, home, laptop, "laptop.i3", "hello").back).not.toBe("nothing");
    // Neither a change of the list nor a fresh exchange of the peer's ends what this host began.
    home.proxy.setAccess(world.nowMs, { ...NOBODY });
    world.run(4_000);
    expect(roundTrip(world, laptop, home, "home.i3", "still there").back).not.toBe("nothing");
    const again = restarted(world, laptop, "198.51.100.1", { servers: ring, book });
    world.run(15_000, () => mappingOf(again, home)?.state === "open");
    expect(mappingOf(again, home)?.state).toBe("open");
    home.proxy.setAccess(world.nowMs, { ...NOBODY });
    expect([mappingOf(home, laptop)?.state, logged(home, "access-ended")]).toEqual(["open", []]);
  });

  it("cuts off a live association as soon as the access list ends it, and what its programs still send does not bring it back", () => {
    const { world, laptop, home } = pair();
    // A program at home asked for the laptop's name once; the laptop is who connects.
    const to = addressOf(home, "laptop.i3");
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    home.proxy.setAccess(world.nowMs, NOBODY);
    world.run(1_000);
    const [atHome, atLaptop] = [home.node.received.length, laptop.node.received.length];
    for (let i = 0; i < 20; i += 1) {
      send(world, laptop, addressOf(laptop, "home.i3"), "data");
      send(world, home, to, "data sent again");
      world.run(500);
    }
    const isData = (packet: Uint8Array): boolean => packet[9] === 253;
    expect([home.node.received.slice(atHome).filter(isData), laptop.node.received.slice(atLaptop).filter(isData)]).toEqual([[], []]);
    // Both sides' programs hear host unreachable.
    expect([home.node.received.length > atHome, laptop.node.received.length > atLaptop]).toEqual([true, true]);
    expect(logged(home, "access-ended")).toHaveLength(1);
    // Whoever asks for the name means it.
    expect(roundTrip(world, home, laptop, "laptop.i3", "a call of our own").back).not.toBe("nothing");
  });

  it("lets a peer that was cut off in again when the list does", () => {
    const { world, laptop, home } = pair();
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    home.proxy.setAccess(world.nowMs, NOBODY);
    world.run(2_000);
    home.proxy.setAccess(world.nowMs, undefined);
    expect(roundTrip(world, laptop, home, "home.i3", "again").back).not.toBe("nothing");
  });

  it("cuts off who was let in before this host restarted, or renewed the keys itself", () => {
    const { world, ring, laptop, home, book } = pair();
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    world.run(4_000);
    const again = restarted(world, home, "198.51.100.2", { servers: ring, book });
    world.run(15_000, () => mappingOf(again, laptop)?.state === "open");
    expect(mappingOf(again, laptop)?.state).toBe("open");
    again.proxy.setAccess(world.nowMs, NOBODY);
    expect(logged(again, "access-ended")).toHaveLength(1);
    const before = again.node.received.length;
    send(world, again, mappingOf(again, laptop)?.local4 as Uint8Array, "data sent again");
    send(world, laptop, addressOf(laptop, "home.i3"), "data");
    world.run(5_000);
    expect(again.node.received.slice(before).filter((packet) => packet[9] === 253)).toEqual([]);
    expect(mappingOf(again, laptop)?.state).not.toBe("open");
  });

  it("a call of ours that crosses with a refused one goes through, and the refused one does not come in behind it", () => {
    const { world, laptop, home } = pair({ homeAccess: NOBODY });
    for (const delayMs of [0, 20, 60, 100, 140]) {
      send(world, laptop, addressOf(laptop, "home.i3"), `no ${delayMs}`);
      world.run(delayMs);
      send(world, home, addressOf(home, "laptop.i3"), `yes ${delayMs}`);
      world.run(5_000);
      expect(laptop.node.received.map(textOf)).toContain(`yes ${delayMs}`);
      for (let id = 1; id < 20; id += 1) home.proxy.setups.hip?.hip.close(world.nowMs, id);
      world.run(40_000);
      const before = home.node.received.length;
      send(world, laptop, addressOf(laptop, "home.i3"), `late ${delayMs}`);
      world.run(5_000);
      expect(home.node.received.slice(before)).toEqual([]);
    }
  });

  it("says that nobody is there, and works when the host has come", () => {
    const { world, ring, laptop, home, book } = pair();
    const lateIdentity = generateHostIdentity();
    const withLate = bookOf({ "laptop.i3": laptop.identity, "home.i3": home.identity, "late.i3": lateIdentity });
    laptop.proxy.setBook(withLate);
    // A server that has just joined does not say yet that somebody is absent.
    world.run(10_000);
    const to = addressOf(laptop, "late.i3");
    send(world, laptop, to, "too early");
    world.run(2_500);
    expect(laptop.node.log.some((line) => line.event === "unreachable")).toBe(true);
    const late = addHost(world, "198.51.100.3", { servers: ring, identity: lateIdentity, book, security: "esp" });
    world.run(20_000, () => late.proxy.isReady(world.nowMs));
    world.run(16_000);
    expect(roundTrip(world, laptop, late, "late.i3", "now").back).not.toBe("nothing");
  });

  it("makes keys anew after a restart of the one that answers, without a word of its programs", () => {
    const { world, ring, laptop, home, book } = pair();
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    // For a moment after an exchange another one counts as a crossing.
    world.run(4_000);
    const again = restarted(world, home, "198.51.100.2", { servers: ring, book });
    world.run(15_000, () => mappingOf(again, laptop)?.state === "open");
    expect(mappingOf(again, laptop)?.state).toBe("open");
    send(world, laptop, addressOf(laptop, "home.i3"), "after");
    world.run(2_000, () => again.node.received.some((packet) => textOf(packet) === "after"));
    expect(again.node.received.map(textOf)).toContain("after");
  });

  it("is called after a restart with its clock set back, if it has written down how far its R1s were", () => {
    for (const isKnown of [true, false]) {
      const { world, ring, laptop, home, book, kept } = pair();
      // Three epochs, so that what was written down at the start is not enough.
      world.run(190_000);
      expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
      world.run(4_000);
      world.nodes.delete(locatorKey(home.node.locator));
      const leastGeneration = isKnown ? (kept.at(-1) as bigint) : 0n;
      const again = addHost(world, "198.51.100.2", { servers: ring, identity: home.identity, book, security: "esp", leastGeneration, clockErrorMs: -86_400_000 });
      world.run(10_000, () => again.proxy.isReady(world.nowMs));
      const to = addressOf(laptop, "home.i3");
      for (let i = 0; i < 60; i += 1) {
        send(world, laptop, to, `n${i}`);
        world.run(500);
      }
      // Without it the peer takes them for replays, for as long as it remembers the newer ones.
      expect([again.node.received.length > 20, (laptop.proxy.setups.hip?.counters.drops.replayed ?? 0) > 0]).toEqual([isKnown, !isKnown]);
    }
  });

  it("notices that nothing is heard of a peer that forgot everything, and makes keys anew", () => {
    const { world, ring, laptop, home, book } = pair();
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    world.nodes.delete(locatorKey(home.node.locator));
    const again = addHost(world, "198.51.100.2", { servers: ring, identity: home.identity, book, security: "esp" });
    world.run(10_000, () => again.proxy.isReady(world.nowMs));
    const to = addressOf(laptop, "home.i3");
    for (let i = 0; i < 60; i += 1) {
      send(world, laptop, to, `n${i}`);
      world.run(500);
    }
    expect(again.node.received.length).toBeGreaterThan(20);
  });

  it("keys of before a rekey are good for 30 s, for packets that are late, and then for none", () => {
    const { world, laptop, home } = pair();
    const isEsp = (bytes: Uint8Array): boolean => bytes[0] === 0x11 && bytes[5] === 4;
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    const late: { readonly from: Locator; readonly bytes: Uint8Array }[] = [];
    for (const text of ["late", "too late"]) {
      world.wire.length = 0;
      send(world, laptop, addressOf(laptop, "home.i3"), text);
      // What its server sends to home, which does not get it yet.
      world.run(100, () => world.wire.some(({ to, bytes }) => isEsp(bytes) && locatorKey(to) === locatorKey(home.node.locator)));
      home.node.down = true;
      late.push(world.wire.find(({ to, bytes }) => isEsp(bytes) && locatorKey(to) === locatorKey(home.node.locator)) as (typeof late)[number]);
      world.run(20);
      home.node.down = false;
    }
    const deliver = (n: number): void => world.inject(home.node, { udp: late[n] as (typeof late)[number] });
    for (let id = 1; id < 5; id += 1) laptop.proxy.setups.hip?.hip.rekey(world.nowMs, id);
    world.run(2_000);
    expect(home.proxy.setups.hip?.counters.rekeyed).toBe(1);
    deliver(0);
    expect(home.node.received.map(textOf)).toContain("late");
    deliver(0);
    expect([home.node.engine.counters().drops.replay, home.node.received.filter((packet) => textOf(packet) === "late").length]).toEqual([1, 1]);
    world.run(30_000);
    const before = home.node.engine.counters().drops["unknown-spi"];
    deliver(1);
    expect([home.node.engine.counters().drops["unknown-spi"], home.node.received.map(textOf).includes("too late")]).toEqual([before + 1, false]);
    expect(roundTrip(world, laptop, home, "home.i3", "behind it").back).not.toBe("nothing");
  });

  it("a storm of I1s through the ring costs the host nothing, sends nobody more than it was sent, and keeps no newcomer out", () => {
    const { world, ring, laptop, home } = pair();
    const attacker = world.node("198.51.100.66");
    const victim = Uint8Array.from(world.random(32));
    const to = publicId(home.identity.hit);
    const server = ring[0] as Node;
    const i1 = (bytes: number): Uint8Array => {
      const hip = makeTestI1(Uint8Array.of(0x20, 1, 0, 0x21, ...world.random(12)), home.identity.hit, victim, bytes);
      return concatBytes(Uint8Array.of(0x11, 0, 16, 64, 1, 3, 0, 0), world.random(8), to, hip);
    };
    const [heard, answered] = [home.proxy.setups.hip?.counters.received, home.node.engine.counters().hipAnswered];
    world.wire.length = 0;
    for (let n = 0; n < 2_000; n += 1) {
      world.inject(server, { udp: { from: attacker.locator, bytes: i1(n % 2 === 0 ? I3_I1_BYTES : 256) } });
      world.run(1);
    }
    world.run(200);
    const storm = { mappings: home.proxy.mappings.size, sizes: home.proxy.setups.hip?.hip.sizes };
    // The engine alone answered those that were long enough, none went up.
    expect(home.node.engine.counters().hipAnswered - answered).toBe(1_000);
    expect([home.proxy.setups.hip?.counters.received, home.node.engine.counters().drops.amplification, storm]).toEqual([heard, 1_000, { mappings: 0, sizes: { attempts: 0, associations: 0 } }]);
    // At the host itself: how many servers a packet crosses hangs on the ids.
    type Sent = (typeof world.wire)[number];
    const bytesOf = (id: Uint8Array, isThere: (sent: Sent) => boolean): number =>
      world.wire.filter((sent) => sent.bytes[0] === 0x11 && sent.bytes[5] === 3 && sameBytes(sent.bytes.subarray(16, 48), id) && isThere(sent)).reduce((sum, { bytes }) => sum + bytes.length, 0);
    const [heardBytes, sentBytes] = [bytesOf(to, (sent) => locatorKey(sent.to) === locatorKey(home.node.locator)), bytesOf(victim, ({ from }) => locatorKey(from) === locatorKey(home.node.locator))];
    expect([sentBytes > 0, sentBytes < heardBytes]).toEqual([true, true]);
    const calledMs = world.nowMs;
    expect(roundTrip(world, laptop, home, "home.i3", "an honest newcomer").back).not.toBe("nothing");
    expect(world.nowMs - calledMs).toBeLessThan(3_000);
  });

  it("uses another return id for each call", () => {
    const { world, laptop, home } = pair({ homeAccess: NOBODY });
    const to = publicId(home.identity.hit);
    /** The return ids in the I1s of a call, which is refused, so that the next packet calls again. */
    const returnIdsOf = (text: string): string[] => {
      world.wire.length = 0;
      send(world, laptop, addressOf(laptop, "home.i3"), text);
      world.run(5_000);
      const i1s = world.wire.filter(({ bytes }) => bytes[0] === 0x11 && bytes[5] === 3 && sameBytes(bytes.subarray(16, 48), to) && bytes[48 + 2] === HIP_PACKET.i1);
      return [...new Set(i1s.map(({ bytes }) => toHex(parameter(decodeHipPacket(bytes.subarray(48)), PARAMETER.i3ReturnId)?.contents ?? new Uint8Array(0))))];
    };
    const calls = ["one", "two"].map(returnIdsOf);
    expect(calls.map((ids) => ids.map(({ length }) => length))).toEqual([[64], [64]]);
    expect(calls[0]).not.toEqual(calls[1]);
  });

  it("is heard at the return id of a call until that is over, and not after it", () => {
    const { world, ring, laptop, home } = pair();
    world.wire.length = 0;
    expect(roundTrip(world, laptop, home, "home.i3", "hello").back).not.toBe("nothing");
    const isHip = ({ bytes }: { readonly bytes: Uint8Array }): boolean => bytes[0] === 0x11 && bytes[5] === 3;
    const i1 = world.wire.find((sent) => isHip(sent) && sent.bytes[48 + 2] === HIP_PACKET.i1)?.bytes ?? new Uint8Array();
    const id = parameter(decodeHipPacket(i1.subarray(48)), PARAMETER.i3ReturnId)?.contents as Uint8Array;
    /** HIP packets for the id that the ring sent to the laptop. */
    const arrived = (): Uint8Array[] => world.wire.filter((sent) => isHip(sent) && locatorKey(sent.to) === locatorKey(laptop.node.locator) && sameBytes(sent.bytes.subarray(16, 48), id)).map(({ bytes }) => bytes);
    const answers = arrived();
    expect(answers.map((bytes) => bytes[48 + 2])).toEqual([HIP_PACKET.r1, HIP_PACKET.r2]);
    world.run(1_000);
    world.wire.length = 0;
    const late = concatBytes(Uint8Array.of(0x11, 0, 16, 64, 1, 3, 0, 0), world.random(8), id, (answers[1] as Uint8Array).subarray(48));
    const heard = laptop.proxy.setups.hip?.counters.received;
    for (const server of ring) world.inject(server, { udp: { from: world.node("203.0.113.9").locator, bytes: late } });
    world.run(1_000);
    expect(arrived()).toHaveLength(0);
    world.inject(laptop.node, { udp: { from: (ring[0] as Node).locator, bytes: late } });
    expect(laptop.proxy.setups.hip?.counters.received).toBe(heard);
  });
});

describe("a host that never heard of i3, straight over UDP", () => {
  // RFC 4303 §2.1 reserves 1 to 255; which of the others it takes is the receiver's business, though ours begin at 0x20000000.
  it.each([256, 0x1900_0000, 0xffff_ffff])("is answered at the SPI that it chose, %d", (spi) => {
    const { world, home } = pair();
    const locator = makeLocator(Uint8Array.of(203, 0, 113, 9), 10_500);
    const events: HipEvent[] = [];
    const identity = generateHostIdentity();
    const stranger = new HipHost({
      identity, ownPublicId: null, random: (bytes) => new Uint8Array(randomBytes(bytes)), dhSource: systemDhSource, r1Generation: 1n,
      send: (_, packet) => world.inject(home.node, { udp: { from: locator, bytes: Uint8Array.of(0, 0, 0, 0, ...packet) } }),
      newSpi: () => spi, admits: () => true, espSuitesFor: () => [9], offerFor: () => ({ privateId: null, preferences: null }), onEvent: (event) => events.push(event), log: () => undefined,
    }, world.nowMs);
    world.wire.length = 0;
    stranger.connect(world.nowMs, { hit: home.identity.hit, path: { kind: "udp", locator: home.node.locator }, returnId: null });
    const toStranger = (): Uint8Array[] => world.wire.splice(0).filter(({ to }) => sameBytes(to.address, locator.address)).map(({ bytes }) => bytes);
    for (let i = 0; i < 200 && !events.some(({ kind }) => kind === "established"); i++) {
      world.run(10);
      for (const bytes of toStranger()) stranger.handle(world.nowMs, bytes.subarray(4), { kind: "udp", locator: home.node.locator });
      stranger.tick(world.nowMs);
    }
    expect(events.map(({ kind }) => kind)).toContain("established");
    world.run(100);
    // A host without i3 has HITs only.
    world.inject(home.node, { tun: Uint8Array.of(0x60, 0, 0, 0, 0, 0, 59, 64, ...home.identity.hit, ...identity.hit) });
    world.run(100);
    expect(toStranger().map((bytes) => Buffer.from(bytes).readUInt32BE(0))).toEqual([spi]);
  });
});

/** Services (docs/datapath.md): each packet takes the same way in both engines, and comes in by the same ones, as a data packet, by ESP and by BEET. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS, type Flow, type Service, type Strength } from "../../src/datapath.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { dataPacket, risen } from "../reference/harness.js";
import { bytes, concat } from "../reference/packets.js";
import { NEEDS, OWN, OWN6, PEER, PEER6, service, SERVICES, udpTo, v4 } from "../reference/service-packets.js";
import { plainArrival, streamPackets, tunArrival, type StreamRecipe } from "./arrival-recipes.js";
import { EnginePair, type TunArrival } from "./engine-pair.js";
import { PLAIN } from "./packet-recipes.js";
import { addressOf, idOf, LOCATORS, NAMES, SPIS, TRANSFORMS } from "./pools.js";

const STRENGTHS = [0, 1, 2] as const;
const FROM = encodeEndpoint(LOCATORS[0]!);
const arrived = (datagram: Uint8Array) => ({ bytes: datagram, segmentBytes: 0, endpoint: FROM, trafficClass: 0 });
const header = (strength: Strength): Uint8Array => dataPacket({ ids: [idOf(strength)] });
const FAMILIES = [[4, OWN, PEER], [6, OWN6, PEER6]] as const;
const WAYS = ["data", "ESP", "ESP in BEET"] as const;

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  pair.change("setDefaultServer", (engine) => engine.setDefaultServer(LOCATORS[0]!));
});
afterEach(() => pair.close());

function drops(act: () => void): object {
  const before = pair.counters().drops;
  act();
  return risen(before, pair.counters().drops);
}
function setFlows(flow: (strength: Strength, source: Uint8Array) => Flow): void {
  for (const [, source, destination] of FAMILIES) {
    for (const strength of STRENGTHS) pair.change("setFlow", (engine) => engine.setFlow(destination, flow(strength, source), strength));
    pair.change("setServices", (engine) => engine.setServices(destination, SERVICES));
  }
}
const tunnel = (strength: Strength, source: Uint8Array): Flow => ({ action: "tunnel", header: header(strength), source });
/** The strengths of the ways that datagrams of {@link tunnel} came by. */
const waysOf = (datagrams: readonly Uint8Array[]): readonly number[] => datagrams.map((datagram) => STRENGTHS.findIndex((strength) => Buffer.from(idOf(strength)).equals(datagram.subarray(16, 48))));

it.each(NEEDS)("out: %s", (_, inner, needs) => {
  setFlows(tunnel);
  for (const offloads of [true, false]) expect(waysOf(pair.step(1, [plainArrival(inner, CHECKSUM.complete)], [], offloads))).toEqual([needs]);
});

describe.each(WAYS)("in by %s", (way) => {
  it.each(NEEDS)("%s", (_, inner, needs) => {
    const same = (address: Uint8Array): { from: Uint8Array; to: Uint8Array } => ({ from: address, to: address });
    // Of both families: the services are those of the flow that is named.
    const target = { flow: PEER, source4: same(OWN), destination4: same(PEER), source6: same(OWN6), destination6: same(PEER6) };
    const association = { transform: TRANSFORMS[0]!, beet: way === "ESP in BEET" ? ((inner[0] ?? 0) >> 4 === 4 ? 4 : 6) : null, checksumState: true } as const;
    const [name, spi] = [(strength: Strength): number => NAMES[strength] ?? 0, (strength: Strength): number => SPIS[strength] ?? 0];
    for (const strength of STRENGTHS) pair.change("setOutboundAssociation", (engine) => engine.setOutboundAssociation(name(strength), { ...association, spi: spi(strength) }));
    setFlows((strength, source) => (way === "data" ? tunnel(strength, source) : { action: "esp", association: name(strength), header: null, locator: LOCATORS[1]!, source }));
    const arrive = (strength: Strength): object => {
      pair.change("setInbound", (engine) => engine.setInbound(idOf(needs), { action: "tun", ...target, strength }));
      pair.change("setInboundAssociation", (engine) => engine.setInboundAssociation(spi(needs), { ...association, ...target, strength }));
      // As BEET takes it: without options, with DF, TTL 64.
      const bare = way === "ESP in BEET" && inner[0] === 0x45 ? Uint8Array.from(inner, (byte, i) => (i === 6 ? byte | 0x40 : byte)) : inner;
      const sent = pair.step(1, [plainArrival(bare, CHECKSUM.complete)], [], true);
      return drops(() => void pair.step(1, [], sent.map(arrived), true));
    };
    const strong = arrive(2);
    // Others' rules are before: errors that quote too little, chains that cannot be walked.
    if (!("inner-address" in strong) && !("inner-malformed" in strong)) expect(strong).toEqual({});
    for (const strength of STRENGTHS) expect(arrive(strength)).toEqual(strength >= needs ? strong : Object.keys(strong).length > 0 ? strong : { policy: 1 });
  });
});

describe("trains", () => {
  const train = (family: 4 | 6, message: "tcp" | "udp", ports: readonly [number, number]): TunArrival =>
    tunArrival({ packet: { ...PLAIN, family, message, payloadBytes: 5_000, ports }, checksum: "complete", start: 0, offset: 0, gsoBytes: 1_000, gsoType: null });

  it.each([
    [4, "tcp", [40_000, 22], 2], [6, "tcp", [80, 40_000], 1], [4, "udp", [53, 40_000], 0], [6, "udp", [54, 40_000], 2],
  ] as const)("a super-packet takes one way: IPv%i, %s, ports %j", (family, message, ports, needs) => {
    setFlows(tunnel);
    expect(waysOf(pair.step(1, [train(family, message, ports)], [], true))).toEqual([needs, needs, needs, needs, needs]);
  });

  it("waits as packets of one way, and leaves by it", () => {
    setFlows(() => ({ action: "setup" }));
    pair.step(1, [train(4, "tcp", [1, 80]), train(4, "tcp", [1, 22]), train(4, "udp", [1, 53])], [], true);
    pair.change("setFlow", (engine) => engine.setFlow(PEER, tunnel(1, OWN), 1));
    expect(waysOf(pair.step(1, [], [], true))).toEqual([1, 1, 1, 1, 1]);
    pair.change("setServices", (engine) => engine.setServices(PEER, { services: [], rest: 1 }));
    expect(waysOf(pair.step(1, [], [], true))).toEqual(Array.from({ length: 10 }, () => 1));
  });

  it.each([[0, 0], [1, 40], [2, 40]] as const)("a row of packets by strength %i: %i come in", (strength, count) => {
    setFlows(tunnel);
    const same = (index: number): { from: Uint8Array; to: Uint8Array } => ({ from: addressOf(4, index), to: addressOf(4, index) });
    pair.change("setInbound", (engine) => engine.setInbound(idOf(5), { action: "tun", flow: PEER, strength, source4: same(0), destination4: same(1), source6: null, destination6: null }));
    pair.change("setServices", (engine) => engine.setServices(PEER, { services: [service(6, 1, [5_000, 5_000])], rest: null }));
    const stream: StreamRecipe = {
      family: 4, protocol: "tcp", flows: 1, count: 40, payloadBytes: 100, lastBytes: 100, trafficClass: 0, ttl: 64, fragment: 0x4000, options: "none", checksum: "right", changes: [], swaps: [], way: { kind: "data", id: 5 },
    };
    const datagrams = streamPackets(stream).map((whole) => arrived(concat(dataPacket({ ids: [idOf(5)] }), whole)));
    expect(drops(() => void pair.step(1, [], datagrams, true))).toEqual(count === 40 ? {} : { policy: 40 });
    expect([pair.written.length, pair.joinedPackets]).toEqual([count, count]);
  });
});

it("pieces of a packet that is cut take the ways that their receiver asks for, whatever these do", () => {
  const whole = v4(17, concat(udpTo(1, 53).subarray(0, 8), new Uint8Array(2_000).fill(7)));
  const ways: readonly (Flow | null)[] = [{ action: "tunnel", header: header(2), source: OWN, mtu: 576 }, { action: "setup" }, { action: "refuse" }, null, { action: "tunnel", header: header(2), source: PEER }];
  for (const flow of ways) {
    setFlows((strength, source) => ({ ...tunnel(strength, source), mtu: 1_400 }));
    pair.change("setFlow", (engine) => engine.setFlow(PEER, flow, 2));
    const datagrams = pair.step(1, [plainArrival(whole, CHECKSUM.complete)], [], true);
    expect(waysOf(datagrams)).toEqual(flow === ways[0] ? [0, 2, 2] : [0]);
    pair.change("discard", (engine) => engine.discard(PEER, false));
    pair.step(1, [], [], true);
  }
});

it("the most services and ranges that there may be, and one more", () => {
  setFlows(tunnel);
  const ports = Array.from({ length: LIMITS.portRangesPerService }, (_, i) => ({ first: 1_000 + 10 * i, last: 1_003 + 10 * i }));
  const last: Service = { protocol: 17, ports, strength: 1 };
  const many = [...Array.from({ length: LIMITS.servicesPerFlow - 1 }, (_, i) => service(17, 2, [2_000 + i, 2_000 + i])), last];
  expect(pair.change("setServices", (engine) => engine.setServices(PEER, { services: many, rest: 0 }))).toBe(true);
  const way = (port: number): number | undefined => waysOf(pair.step(1, [plainArrival(v4(17, udpTo(port, 9)), CHECKSUM.complete)], [], true))[0];
  expect([999, 1_000, 1_003, 1_004, 1_153, 1_154, 2_030, 2_031].map(way)).toEqual([0, 1, 1, 0, 1, 0, 2, 0]);
  for (const wrong of [{ services: [...many, last], rest: null }, { services: [{ ...last, ports: [...ports, { first: 9_000, last: 9_000 }] }], rest: null }]) {
    expect(pair.change("setServices", (engine) => engine.setServices(PEER, wrong))).toBe(false);
  }
  expect(pair.change("setServices", (engine) => engine.setServices(addressOf(4, 3), { services: [], rest: null }))).toBe(false);
  expect(way(1_000)).toBe(1);
});

it("so many flows have services or weaker ways", () => {
  const address = (i: number): Uint8Array => bytes(11, i >> 16, i >> 8, i);
  for (let i = 0; i < LIMITS.flowsWithServices; i++) {
    pair.only((engine) => {
      engine.setFlow(address(i), { action: "setup" }, i % 2 === 0 ? 2 : 0);
      if (i % 2 === 0) engine.setServices(address(i), SERVICES);
    });
  }
  const can = (act: Parameters<EnginePair["change"]>[1]): boolean => pair.change("a flow", act);
  expect(can((engine) => engine.setFlow(PEER, { action: "setup" }))).toBe(true);
  expect(can((engine) => engine.setServices(PEER, SERVICES))).toBe(false);
  expect(can((engine) => engine.setFlow(PEER, { action: "setup" }, 0))).toBe(false);
  expect(can((engine) => engine.setFlow(OWN, { action: "setup" }, 1))).toBe(false);
  expect(can((engine) => engine.setServices(address(1), SERVICES))).toBe(true);
  expect(can((engine) => engine.setFlow(address(0), { action: "setup" }, 1))).toBe(true);
  expect(can((engine) => engine.setFlow(address(1), null, 0))).toBe(true);
  expect(can((engine) => engine.setFlow(OWN, { action: "setup" }, 1))).toBe(true);
  expect(can((engine) => engine.setServices(PEER, SERVICES))).toBe(false);
});

/** Services of a flow (docs/datapath.md, "Services"): which way a packet takes, and what comes too weakly protected. */
import { describe, expect, it } from "vitest";
import { LIMITS, type Flow, type Services, type Strength } from "../../src/datapath.js";
import { strengthFor } from "../../src/reference/services.js";
import { Harness, dataPacket, locator, type Outcome } from "./harness.js";
import { be16, bytes, concat, data, icmp, ip4Packet, makeId, packet } from "./packets.js";
import { back4, back6, NEEDS, OWN, OWN6, PEER, PEER6, piece4, PING, service, SERVICES, tcpTo, udpTo, v4 } from "./service-packets.js";

const SERVER = locator("192.0.2.1");
const STRENGTHS = [0, 1, 2] as const;
const IDS = STRENGTHS.map((strength) => makeId(7, strength));

const tunnel = (strength: Strength, more: { readonly mtu?: number } = {}): Flow => ({ action: "tunnel", header: dataPacket({ ids: [IDS[strength] ?? makeId(7)] }), source: OWN, ...more });
const SETUP: Flow = { action: "setup" };

describe("what a packet needs", () => {
  it.each(NEEDS)("%s", (_, bytesOf, needs) => {
    expect(strengthFor(SERVICES, bytesOf, 0, bytesOf.length)).toBe(needs);
    expect(strengthFor(SERVICES, concat(data(7), bytesOf), 7, bytesOf.length)).toBe(needs);
  });

  it("is refused when no service takes it and the rest is", () => {
    const only: Services = { services: [service(6, 0, [22, 22])], rest: null };
    expect(strengthFor(only, v4(6, tcpTo(1, 22)), 0, 44)).toBe(0);
    expect(strengthFor(only, v4(6, tcpTo(1, 23)), 0, 44)).toBeNull();
    expect(strengthFor(only, v4(17, udpTo(1, 22)), 0, 32)).toBeNull();
    // It could be SSH's.
    expect(strengthFor(only, piece4(1, 6, data(8)), 0, 28)).toBe(0);
    expect(strengthFor(only, piece4(1, 17, data(8)), 0, 28)).toBeNull();
    expect(strengthFor({ services: [], rest: 1 }, v4(6, tcpTo(1, 23)), 0, 44)).toBe(1);
  });
});

function host(ways: readonly (readonly [Strength, Flow])[] = STRENGTHS.map((strength) => [strength, tunnel(strength)]), services: Services | null = SERVICES): Harness {
  const harness = new Harness();
  harness.engine.setDefaultServer(SERVER);
  for (const [strength, flow] of ways) harness.engine.setFlow(PEER, flow, strength);
  harness.engine.setServices(PEER, services);
  return harness;
}
/** By the last byte of the id in the header: the strength of the way. */
const wayOf = ({ udp: sent }: Outcome): readonly number[] => sent.map(({ bytes: datagram }) => IDS.findIndex((id) => Buffer.from(id).equals(datagram.subarray(16, 48))));
const [SSH, HTTP, DNS] = [v4(6, tcpTo(1, 22)), v4(6, tcpTo(1, 80)), v4(17, udpTo(1, 53))];

describe("ways", () => {
  it("a packet takes the way that it needs; without services way 2", () => {
    const harness = host();
    expect(wayOf(harness.fromTun(SSH, HTTP, DNS, v4(1, PING)))).toEqual([2, 1, 0, 0]);
    harness.engine.setServices(PEER, null);
    expect(wayOf(harness.fromTun(SSH, HTTP, DNS))).toEqual([2, 2, 2]);
  });

  it("a way that is not set drops, and what is refused is answered", () => {
    const harness = host([[1, tunnel(1)]], { ...SERVICES, rest: null });
    expect(harness.fromTun(SSH)).toEqual({ tun: [], udp: [], upcalls: [], drops: { policy: 1 } });
    expect(wayOf(harness.fromTun(HTTP))).toEqual([1]);
    expect(harness.fromTun(v4(47, data(9)))).toMatchObject({ udp: [], drops: { policy: 1 }, tun: [{ length: 20 + 8 + 29 }] });
    expect(harness.engine.flowCounters(PEER)).toEqual({ packetsOut: 1, bytesOut: HTTP.length, packetsIn: 0, bytesIn: 0, answersOut: 0 });
    harness.engine.setServices(PEER, null);
    expect(harness.fromTun(HTTP).drops).toEqual({ policy: 1 });
  });

  it("each has its own set-up, queue and upcall", () => {
    const harness = host(STRENGTHS.map((strength) => [strength, SETUP]));
    const { upcalls } = harness.fromTun(HTTP, SSH, HTTP, DNS, SSH);
    expect(upcalls).toEqual([HTTP, SSH, DNS].map((first, i) => ({ kind: "flow-setup", address: PEER, strength: [1, 2, 0][i], packet: first })));
    harness.engine.setFlow(PEER, tunnel(1), 1);
    expect(wayOf(harness.step())).toEqual([1, 1]);
    expect(harness.engine.queuedPackets()).toBe(3);
    const full = harness.fromTun(...Array.from({ length: LIMITS.queuedPacketsPerFlow }, () => DNS));
    expect(full).toMatchObject({ upcalls: [], drops: { "queue-full": 1 } });
    harness.engine.setFlow(PEER, tunnel(0), 0);
    harness.engine.setFlow(PEER, tunnel(2), 2);
    expect(wayOf(harness.step())).toEqual([...Array.from({ length: 16 }, () => 0), 2, 2]);
  });

  it("release and discard are of all", () => {
    const harness = host(STRENGTHS.map((strength) => [strength, SETUP]));
    harness.fromTun(HTTP, SSH);
    harness.engine.release(PEER);
    expect(harness.step().upcalls).toMatchObject([{ strength: 2 }, { strength: 1 }]);
    harness.engine.discard(PEER, true);
    expect(harness.step()).toMatchObject({ tun: [{}, {}], upcalls: [] });
    expect(harness.engine.counters().drops.refused).toBe(2);
    expect(harness.fromTun(HTTP).upcalls).toMatchObject([{ strength: 1 }]);
  });

  it("what waits is judged again when services change", () => {
    const harness = host([[2, SETUP], [1, tunnel(1)], [0, SETUP]], null);
    expect(harness.fromTun(HTTP, DNS, SSH, v4(47, data(9))).upcalls).toMatchObject([{ strength: 2 }]);
    harness.engine.setServices(PEER, { ...SERVICES, rest: null });
    const after = harness.step();
    expect(wayOf(after)).toEqual([1]);
    expect([after.upcalls, after.tun]).toMatchObject([[{ strength: 0 }], [{}]]);
    expect([harness.engine.queuedPackets(), harness.engine.counters().drops.policy]).toEqual([2, 1]);
    // The set-up of way 2 goes on: the control plane knows of it.
    expect(harness.fromTun(SSH).upcalls).toEqual([]);
    harness.engine.setServices(PEER, null);
    expect([harness.step(), harness.engine.queuedPackets()]).toMatchObject([{ udp: [], upcalls: [] }, 3]);
  });

  it("the flow is there until its last way is removed", () => {
    const harness = host();
    harness.fromTun(SSH);
    harness.engine.setFlow(PEER, null, 2);
    harness.engine.setFlow(PEER, null, 2);
    expect(harness.fromTun(SSH).drops).toEqual({ policy: 1 });
    harness.engine.setFlow(PEER, null, 0);
    expect(harness.engine.flowCounters(PEER)?.packetsOut).toBe(1);
    harness.engine.setFlow(PEER, null, 1);
    expect([harness.engine.flowCounters(PEER), harness.engine.lastUse(PEER)]).toEqual([undefined, undefined]);
    expect(harness.fromTun(HTTP).drops).toEqual({ "not-allocated": 1 });
    // Its services went with it.
    harness.engine.setFlow(PEER, tunnel(2));
    expect(wayOf(harness.fromTun(HTTP))).toEqual([2]);
  });

  it("removing all or one drops what waits there", () => {
    const harness = host(STRENGTHS.map((strength) => [strength, SETUP]));
    harness.fromTun(HTTP, SSH, DNS);
    harness.engine.setFlow(PEER, null, 1);
    expect([harness.engine.queuedPackets(), harness.engine.counters().drops["not-allocated"]]).toEqual([2, 1]);
    harness.engine.setFlow(PEER, null);
    expect([harness.engine.queuedPackets(), harness.engine.counters().drops["not-allocated"]]).toEqual([0, 3]);
  });

  it("services belong to a flow, and so many flows have any", () => {
    const { engine } = new Harness();
    expect(() => engine.setServices(PEER, SERVICES)).toThrow(RangeError);
    expect(() => engine.setServices(PEER, null)).not.toThrow();
    const address = (i: number): Uint8Array => bytes(11, i >> 16, i >> 8, i);
    for (let i = 0; i < LIMITS.flowsWithServices; i++) engine.setFlow(address(i), SETUP, i % 2 === 0 ? 2 : 0);
    for (let i = 0; i < LIMITS.flowsWithServices; i += 2) engine.setServices(address(i), SERVICES);
    engine.setFlow(PEER, SETUP);
    const full = expect.objectContaining({ code: "ERR_I3_TABLE_FULL" }) as Error;
    const refused = (act: () => void): void => expect(act).toThrow(full);
    refused(() => engine.setServices(PEER, SERVICES));
    refused(() => engine.setFlow(PEER, SETUP, 1));
    refused(() => engine.setFlow(OWN, SETUP, 1));
    expect(engine.flowCounters(OWN)).toBeUndefined();
    // Those that have some may change them, and have more ways.
    engine.setServices(address(0), { services: [], rest: null });
    engine.setFlow(address(0), SETUP, 1);
    engine.setFlow(address(1), null, 0);
    engine.setServices(PEER, SERVICES);
    engine.setServices(address(0), null);
    refused(() => engine.setFlow(OWN, SETUP, 1));
    engine.setFlow(address(0), null, 1);
    engine.setFlow(OWN, SETUP, 1);
  });

  it("a packet that is cut is judged piece by piece, as its receiver will", () => {
    const harness = host([[0, tunnel(0, { mtu: 1_400 })], [2, tunnel(2, { mtu: 576 })]]);
    const whole = packet(OWN, PEER, 17, concat(udpTo(1, 53).subarray(0, 8), data(2_000)));
    const outcome = harness.fromTun(whole);
    // 1,376 bytes of the payload with ports in cleartext; the rest is cut again, to fit the other way.
    expect(wayOf(outcome)).toEqual([0, 2, 2]);
    const pieces = outcome.udp.map(({ bytes: datagram }) => datagram.subarray(48));
    expect(pieces.map(({ length }) => length)).toEqual([1_396, 572, 20 + 2_008 - 1_376 - 552]);
    for (const piece of pieces) expect(strengthFor(SERVICES, piece, 0, piece.length)).toBe(piece === pieces[0] ? 0 : 2);
    expect(harness.engine.flowCounters(PEER)?.packetsOut).toBe(3);
  });
});

describe("what comes in", () => {
  const same = (address: Uint8Array): { from: Uint8Array; to: Uint8Array } => ({ from: address, to: address });
  const target = { flow: PEER, source4: same(PEER), destination4: same(OWN), source6: same(PEER6), destination6: same(OWN6) };
  function receiver(services: Services | null = SERVICES, ways?: Parameters<typeof host>[0]): Harness {
    const harness = host(ways, services);
    for (const strength of STRENGTHS) harness.engine.setInbound(makeId(9, strength), { action: "tun", ...target, strength });
    return harness;
  }
  const arrive = (harness: Harness, strength: Strength, inner: Uint8Array): Outcome => harness.fromUdp(SERVER, dataPacket({ ids: [makeId(9, strength)] }, inner));

  it.each<readonly [what: string, inner: Uint8Array, needs: Strength | 3]>([
    ["SSH", back4(6, tcpTo(22, 1)), 2],
    ["HTTP over IPv6, by the same flow's services", back6(6, tcpTo(1, 80)), 1],
    ["DNS", back4(17, udpTo(53, 1)), 0],
    ["the first fragment of DNS", ip4Packet({ source: PEER, destination: OWN, protocol: 17, fragment: 0x2000 }, udpTo(53, 1)), 0],
    ["a later fragment of it", ip4Packet({ source: PEER, destination: OWN, protocol: 17, fragment: 1 }, data(8)), 2],
    ["an ICMP error about HTTP", packet(PEER, OWN, 1, icmp(3, 4, concat(bytes(0, 0, 5, 0), v4(6, tcpTo(1, 80))))), 1],
    ["what is refused", back4(47, data(9)), 3],
  ])("%s passes by every way that is strong enough, and is dropped without an answer otherwise", (_, inner, needs) => {
    for (const strength of STRENGTHS) {
      const harness = receiver({ ...SERVICES, rest: needs === 3 ? null : 2 });
      const passes = strength >= needs;
      expect(arrive(harness, strength, inner)).toMatchObject({ tun: passes ? [inner] : [], udp: [], drops: passes ? {} : { policy: 1 } });
      expect(harness.engine.lastUse(PEER)).toBe(passes ? harness.nowMs : undefined);
      expect(harness.engine.flowCounters(PEER)?.packetsIn).toBe(Number(passes));
    }
  });

  it("is not asked for without services or flow, and an entry is of strength 2 unless it says", () => {
    const harness = receiver(null);
    expect(arrive(harness, 0, back4(6, tcpTo(22, 1))).drops).toEqual({});
    harness.engine.setServices(PEER, SERVICES);
    expect(arrive(harness, 0, back4(6, tcpTo(22, 1))).drops).toEqual({ policy: 1 });
    harness.engine.deliver(makeId(9, 0), [back4(6, tcpTo(22, 1))]);
    expect(harness.engine.counters().drops.policy).toBe(2);
    harness.engine.setInbound(makeId(9, 0), { action: "tun", ...target });
    expect(arrive(harness, 0, back4(6, tcpTo(22, 1))).drops).toEqual({});
    harness.engine.setInbound(makeId(9, 0), { action: "tun", ...target, strength: 0 });
    harness.engine.setFlow(PEER, null);
    expect(arrive(harness, 0, back4(6, tcpTo(22, 1))).drops).toEqual({});
  });

  it("an MSS option is lowered to what the way of the answers carries", () => {
    const syn = (port: number): Uint8Array => back4(6, concat(be16(1), be16(port), data(8), bytes(0x60, 2), be16(1_000), be16(0), be16(0), bytes(2, 4, 5, 0xb4)));
    const mss = ({ tun: [whole] }: Outcome): number => ((whole?.[42] ?? 0) << 8) | (whole?.[43] ?? 0);
    const harness = receiver(SERVICES, [[1, tunnel(1, { mtu: 1_300 })], [2, tunnel(2, { mtu: 1_200 })]]);
    expect(mss(arrive(harness, 2, syn(80)))).toBe(1_260);
    expect(mss(arrive(harness, 2, syn(22)))).toBe(1_160);
    harness.engine.setServices(PEER, null);
    expect(mss(arrive(harness, 2, syn(80)))).toBe(1_160);
    harness.engine.setServices(PEER, { services: [], rest: 0 });
    expect(mss(arrive(harness, 2, syn(80)))).toBe(1_460);
  });
});

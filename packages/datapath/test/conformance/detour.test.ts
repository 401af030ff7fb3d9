/** Networks that let no UDP through (docs/datapath.md, "Detour"): the same in both engines. */
import { makeLocator, type Locator } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Datagram, Upcall } from "../../src/datapath.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { espFlow, GCM, inbound, outbound, OWN, PEER } from "../reference/associations.js";
import { dataPacket, NONCE, risen } from "../reference/harness.js";
import { bytes, concat, data, ip4, ip6, makeId, packet, udp } from "../reference/packets.js";
import { plainArrival } from "./arrival-recipes.js";
import { EnginePair, type TunArrival } from "./engine-pair.js";

const SERVER = makeLocator(ip4("192.0.2.1"), 5_610);
const SERVER6 = makeLocator(ip6(0x77), 5_610);
const HEADER = dataPacket({ ids: [makeId(3)] });
const ESP_HEADER = dataPacket({ ids: [makeId(3)], payloadKind: 4 });
const text = (i: number): Uint8Array => packet(OWN, PEER, 17, udp(bytes(i)));
const fromTun = (...packets: readonly Uint8Array[]): readonly TunArrival[] => packets.map((one) => plainArrival(one, CHECKSUM.complete));
const detour = (locator: Locator, datagram: Uint8Array): Upcall => ({ kind: "detour", locator, bytes: datagram });

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  pair.change("setDefaultServer", (engine) => engine.setDefaultServer(SERVER));
});
afterEach(() => pair.close());

const turn = (isOn: boolean): unknown => pair.change("setDetour", (engine) => engine.setDetour(isOn));
const send = (...datagrams: readonly Datagram[]): unknown => pair.change("send", (engine) => engine.send(datagrams));
const arriveBy = (from: Locator, ...datagrams: readonly Uint8Array[]): unknown =>
  pair.change("takeDetoured", (engine) => engine.takeDetoured(datagrams.map((one) => ({ from, bytes: one }))));

describe("while the detour is on", () => {
  beforeEach(() => turn(true));

  it("packets of programs go up in order, whole, and none leaves", () => {
    pair.change("setFlow", (engine) => engine.setFlow(PEER, { action: "tunnel", header: HEADER, source: OWN }));
    const packets = [text(1), text(2), text(3)];
    expect(pair.step(1, fromTun(...packets), [], true)).toEqual([]);
    expect(pair.upcalls).toEqual(packets.map((one) => detour(SERVER, concat(HEADER, one))));
    expect(pair.counters()).toMatchObject({ udpOut: 0, upcalls: 3 });
  });

  it("sealed ones go up too, and each has a number of its own", () => {
    pair.change("setOutboundAssociation", (engine) => engine.setOutboundAssociation(0, outbound({ transform: GCM })));
    pair.change("setFlow", (engine) => engine.setFlow(PEER, espFlow({ association: 0, header: ESP_HEADER, locator: null })));
    expect(pair.step(1, fromTun(text(1), text(2)), [], true)).toEqual([]);
    expect(pair.upcalls.map((upcall) => upcall.kind === "detour" && upcall.bytes[ESP_HEADER.length + 7])).toEqual([1, 2]);
    turn(false);
    expect(pair.step(1, fromTun(text(3)), [], true).map((sealed) => sealed[ESP_HEADER.length + 7])).toEqual([3]);
  });

  it("what goes straight to a peer leaves as ever, as whole as it was to, until its credit is used up", () => {
    pair.change("setOutboundAssociation", (engine) => engine.setOutboundAssociation(0, outbound({ transform: GCM })));
    const at = { ...SERVER6, isWhole: true, interfaceIndex: 3 };
    pair.change("setFlow", (engine) => engine.setFlow(PEER, espFlow({ association: 0, header: null, locator: at })));
    const [sealed = bytes()] = pair.step(1, fromTun(text(1)), [], true);
    expect([sealed[7], pair.upcalls]).toEqual([1, []]);
    pair.change("setFlow", (engine) => engine.setFlow(PEER, espFlow({ association: 0, header: ESP_HEADER, locator: at, credit: { account: 1, bytes: sealed.length + 8 } })));
    expect(pair.step(1, fromTun(text(2), text(3)), [], true).map((one) => one[7])).toEqual([2]);
    expect(pair.upcalls).toMatchObject([{ kind: "detour", locator: SERVER }]);
  });

  it("a datagram that may not be cut is one by TCP, and stays whole without the detour", () => {
    const whole = { ...SERVER, isWhole: true };
    send({ locator: whole, bytes: bytes(0x19, 1) }, { locator: whole, bytes: bytes(0x19, 2), isStraight: true });
    expect(pair.step(1, [], [], true)).toEqual([bytes(0x19, 2)]);
    expect(pair.upcalls).toEqual([detour(SERVER, bytes(0x19, 1))]);
  });

  it("what the control plane sends goes up, but for what is straight and for other ports", () => {
    const hip = { ...SERVER, via: "hip" } as const;
    send({ locator: SERVER, bytes: bytes(0x19, 1) }, { locator: SERVER, bytes: bytes(0x19, 2), isStraight: true }, { locator: hip, bytes: bytes(0, 0, 0, 0, 3) }, { locator: SERVER6, bytes: bytes(0x19, 4) });
    expect(pair.step(1, [], [], true)).toEqual([bytes(0x19, 2), bytes(0, 0, 0, 0, 3)]);
    expect(pair.upcalls).toEqual([detour(SERVER, bytes(0x19, 1)), detour(SERVER6, bytes(0x19, 4))]);
  });

  it("upcalls keep their order among others", () => {
    pair.change("setInbound", (engine) => engine.setInbound(makeId(9), { action: "upcall" }));
    pair.change("setFlow", (engine) => engine.setFlow(PEER, { action: "tunnel", header: HEADER, source: OWN }));
    const other = ip4("10.0.0.3");
    pair.change("setFlow", (engine) => engine.setFlow(other, { action: "setup" }));
    const arrived = { bytes: bytes(0x19, 7), segmentBytes: 0, endpoint: encodeEndpoint(SERVER), trafficClass: 0 };
    pair.step(1, fromTun(text(1), packet(OWN, other, 17, udp(bytes(2))), text(3)), [arrived], true);
    expect(pair.upcalls.map(({ kind }) => kind)).toEqual(["detour", "flow-setup", "detour", "control"]);
  });

  it("is bounded as other upcalls are: the rest is dropped and counted", () => {
    const before = pair.counters().drops;
    send(...Array.from({ length: 4_100 }, () => ({ locator: SERVER, bytes: bytes(0x19) })));
    pair.step(1, [], [], true);
    expect(pair.upcalls).toHaveLength(4_096);
    expect(risen(before, pair.counters().drops)).toEqual({ detour: 4 });
  });

  it("no number of an association is used for what finds no room", () => {
    pair.change("setOutboundAssociation", (engine) => engine.setOutboundAssociation(0, outbound({ transform: GCM })));
    pair.change("setFlow", (engine) => engine.setFlow(PEER, espFlow({ association: 0, header: ESP_HEADER, locator: null })));
    send(...Array.from({ length: 4_096 }, () => ({ locator: SERVER, bytes: bytes(0x19) })));
    pair.step(1, fromTun(text(1)), [], true);
    pair.step(1, fromTun(text(2)), [], true);
    expect(pair.upcalls.map((upcall) => upcall.kind === "detour" && upcall.bytes[ESP_HEADER.length + 7])).toEqual([1]);
  });

  it("a server's trains go up one by one", () => {
    pair.change("setResponsibility", (engine) => engine.setResponsibility({ kind: "all" }));
    pair.change("setTriggers", (engine) => engine.setTriggers(makeId(3).slice(0, 16), [{ id: makeId(3), target: { kind: "locator", locator: SERVER6 } }]));
    const one = dataPacket({ ids: [makeId(3)], nonce: NONCE }, data(100));
    const train = Buffer.concat([one, one, one]);
    expect(pair.step(1, [], [{ bytes: train, segmentBytes: one.length, endpoint: encodeEndpoint(SERVER), trafficClass: 0 }], true)).toEqual([]);
    expect(pair.upcalls.map(({ kind }) => kind)).toEqual(["detour", "detour", "detour"]);
  });

  it("what waits from before goes up, and what waits from then leaves after", () => {
    turn(false);
    send({ locator: SERVER, bytes: bytes(0x19, 1) });
    turn(true);
    expect(pair.step(1, [], [], true)).toEqual([]);
    expect(pair.upcalls).toEqual([detour(SERVER, bytes(0x19, 1))]);
    send({ locator: SERVER, bytes: bytes(0x19, 2) });
    turn(false);
    expect(pair.step(1, [], [], true)).toEqual([bytes(0x19, 2)]);
  });
});

describe("what comes by a detour", () => {
  it("is treated as if it had come by the main port, whether the detour is on or not", () => {
    pair.change("setInbound", (engine) => engine.setInbound(makeId(1), inboundOf()));
    const packets = [text(1), text(2)];
    arriveBy(SERVER, ...packets.map((one) => dataPacket({ ids: [makeId(1)] }, one)), bytes(0x19, 5));
    pair.step(1, [], [], true);
    expect(pair.written).toEqual(packets);
    expect(pair.upcalls).toEqual([{ kind: "control", from: SERVER, bytes: bytes(0x19, 5) }]);
    expect(pair.counters().udpIn).toBe(3);
  });

  it("counts for the limits of its source", () => {
    const before = pair.counters().drops;
    arriveBy(SERVER, ...Array.from({ length: 2_003 }, () => bytes(0x19)));
    pair.step(1, [], [], true);
    expect(pair.upcalls).toHaveLength(2_000);
    expect(risen(before, pair.counters().drops)).toEqual({ rate: 3 });
  });

  it.each<readonly [string, Locator, Uint8Array, object]>([
    ["nothing", SERVER, bytes(), { malformed: 1 }], ["of another version", SERVER, bytes(0x1f), { version: 1 }], ["for nobody", SERVER6, dataPacket({ ids: [makeId(77)] }), { "unknown-id": 1 }], ["too long", SERVER, new Uint8Array(65_508), { "too-big": 1 }],
    ["a packet that is cut off", SERVER, dataPacket({ ids: [makeId(1)] }).subarray(0, 20), { malformed: 1 }],
  ])("that is %s is dropped", (_, from, datagram, drops) => {
    const before = pair.counters().drops;
    arriveBy(from, datagram);
    pair.step(1, [], [], true);
    expect(risen(before, pair.counters().drops)).toEqual(drops);
  });

  it("waits for the next step in bounded room", () => {
    const before = pair.counters().drops;
    arriveBy(SERVER, ...Array.from({ length: 65 }, () => new Uint8Array(65_000).fill(0xff)));
    arriveBy(SERVER, ...Array.from({ length: 3 }, () => new Uint8Array(65_000).fill(0xff)));
    expect(risen(before, pair.counters().drops)).toEqual({ "queue-full": 4 });
  });

  it("from nobody is refused, and nothing of the call is taken", () => {
    const isTaken = pair.change("takeDetoured", (engine) => engine.takeDetoured([{ from: SERVER, bytes: bytes(0x19) }, { from: { address: bytes(1, 2), port: 9 }, bytes: bytes(0x19) }]));
    expect(isTaken).toBe(false);
    pair.step(1, [], [], true);
    expect(pair.upcalls).toEqual([]);
  });

  const inboundOf = () => ({ action: "tun", ...inboundTarget(inbound({})) }) as const;
});

/** The rewrites of an association, for packets in the clear. */
function inboundTarget({ flow, source4, destination4, source6, destination6 }: ReturnType<typeof inbound>) {
  return { flow, source4, destination4, source6, destination6 };
}

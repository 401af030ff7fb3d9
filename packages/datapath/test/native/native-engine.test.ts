/** The native engine's TypeScript side: what it refuses, how it asks the addon, what it makes of the answers. */
import { readFileSync } from "node:fs";
import { MAX_CHECK_BYTES, MAX_CONTROL_BYTES } from "@i3/common";
import { describe, expect, it } from "vitest";
import { LIMITS, MAX_SPI, MIN_RECEIVER_SPI, MIN_SPI, type Datapath, type EspTransform, type Flow, type HipResponder, type InboundAssociation, type OutboundAssociation, type Service, type Strength } from "../../src/datapath.js";
import type { RawUpcall } from "../../src/native-addon.js";
import * as SHARES from "../../src/reference/fair-shares.js";
import { DROP_REASONS, NativeEngine } from "../../src/native-engine.js";
import { encodeEndpoint, encodeRoute } from "../../src/reference/endpoints.js";
import { ReferenceEngine } from "../../src/reference/engine.js";
import { MAX_WAITING_BYTES_PER_SOURCE, MAX_WAITING_ROUTES, MAX_WAITING_ROUTES_PER_SOURCE } from "../../src/reference/next-servers.js";
import { MAX_WAITING_UPCALLS, MORE_KNOWN_UPCALL_BYTES, MORE_KNOWN_UPCALLS } from "../../src/reference/upcalls.js";
import { COPY_BUDGET, HOP_LIMIT, MAX_STACK_LENGTH, PAYLOAD_KIND } from "../../src/wire/data-header.js";
import { MAX_DH_GROUPS, MAX_I1_PARAMETERS, MAX_I2_PARAMETERS } from "../../src/wire/hip.js";
import { dataPacket, locator } from "../reference/harness.js";
import { hit, responder } from "../reference/hip.js";
import { bytes, concat, ip4, ip6, makeId } from "../reference/packets.js";
import { fakeAddon } from "./fake-addon.js";

const ADDRESS = bytes(10, 1, 2, 3);
const RING_KEY = makeId(9).slice(0, 16);
const AT = locator("192.0.2.1", 5_610);
const TUNNEL: Flow = { action: "tunnel", header: dataPacket({}), source: ip4("10.9.9.9") };
const ESP: Flow & { action: "esp" } = { action: "esp", association: 7, header: dataPacket({ payloadKind: PAYLOAD_KIND.esp }), locator: null, source: ip4("10.9.9.9") };
const KEY = (length: number, value = 5): Uint8Array => new Uint8Array(length).fill(value);
const GCM: EspTransform = { kind: "aes-gcm-16", key: KEY(32), salt: KEY(4, 6) };
const CBC: EspTransform = { kind: "aes-cbc-hmac-sha-256", key: KEY(16), integrityKey: KEY(32, 7) };
const NULL: EspTransform = { kind: "null-hmac-sha-256", integrityKey: KEY(32, 7) };
const OUT: OutboundAssociation = { spi: MIN_SPI, transform: GCM, beet: null, checksumState: false };
const PAIR4 = { from: ip4("10.0.0.1"), to: ip4("10.0.0.2") };
const PAIR6 = { from: ip6(1), to: ip6(2) };
const TARGET = { flow: ADDRESS, source4: PAIR4, destination4: { from: ip4("10.0.0.3"), to: ip4("10.0.0.4") }, source6: PAIR6, destination6: { from: ip6(3), to: ip6(4) } };
const IN: InboundAssociation = { transform: GCM, beet: 4, checksumState: true, ...TARGET };
const SSH: Service = { protocol: 6, ports: [{ first: 22, last: 22 }, { first: 0x1234, last: 0xfffe }], strength: 1 };
const HIP: HipResponder = responder();
const HIP_256: HipResponder = responder({ rhash: "sha256", openIds: [] });
const stepped = (answers: Parameters<typeof fakeAddon>[0] = {}): { readonly engine: NativeEngine; readonly calls: ReturnType<typeof fakeAddon>["calls"] } => {
  const { addon, calls } = fakeAddon(answers);
  return { engine: NativeEngine.stepped(addon), calls };
};

function errorOf(action: () => void): Error | undefined {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  return undefined;
}

type Row = readonly [what: string, act: (engine: Datapath) => void];

describe("arguments of a wrong shape are the same RangeErrors as the reference's, and the addon is not asked", () => {
  const flow = (change: object, base: Flow = TUNNEL) => (engine: Datapath) => engine.setFlow(ADDRESS, { ...base, ...change });
  const out = (change: object) => (engine: Datapath) => engine.setOutboundAssociation(7, { ...OUT, ...change });
  const inward = (change: object) => (engine: Datapath) => engine.setInboundAssociation(MIN_SPI, { ...IN, ...change });
  const trigger = (id: Uint8Array, target: object) => (engine: Datapath) => engine.setTriggers(RING_KEY, [{ id, target: target as { kind: "stack"; ids: [] } }]);
  const hip = (change: object) => (engine: Datapath) => engine.setHipResponder({ ...HIP, ...change });
  const puzzles = (change: object) => hip({ puzzles: [{ ...HIP.puzzles[0], ...change }] });
  const services = (...all: readonly Service[]) => (engine: Datapath) => engine.setServices(ADDRESS, { services: all, rest: null });
  const edited = (at: number, value: number): Uint8Array => HIP.r1.map((byte, i) => (i === at ? value : byte));
  it.each<Row>([
    ["flow address", (engine) => engine.setFlow(bytes(1, 2, 3), { action: "setup" })],
    ["address of a flow to remove", (engine) => engine.setFlow(bytes(), null)],
    ["header that is cut off", flow({ header: bytes(0x11) })],
    ["header that is none", flow({ header: dataPacket({}).fill(0x19, 0, 1) })],
    ["empty header", flow({ header: bytes() })],
    ["source of the other family", flow({ source: ip6(1) })],
    ["MTU below IPv4's least", flow({ mtu: 575 })],
    ["MTU below that for IPv6", (engine) => engine.setFlow(ip6(1), { ...TUNNEL, source: ip6(2), mtu: 575 })],
    ["MTU above 65,535", flow({ mtu: 65_536 })],
    ["MTU that is no whole number", flow({ mtu: 1_000.5 })],
    ["MTU that is no number", flow({ mtu: NaN })],
    ["header and locator", flow({ locator: AT }, ESP)],
    ["neither header nor locator", flow({ header: null }, ESP)],
    ...[0, -1, 1.5, NaN, 2 ** 53].map((credited): Row => [`credit ${credited}`, flow({ locator: AT, credit: { account: 1, bytes: credited } }, ESP)]),
    ...[-1, 1.5, NaN, 2 ** 32].map((account): Row => [`credit of account ${account}`, flow({ locator: AT, credit: { account, bytes: 1 } }, ESP)]),
    ["credit without a locator", flow({ credit: { account: 1, bytes: 1 } }, ESP)],
    ["credit with a header of another payload kind", flow({ header: dataPacket({}), locator: AT, credit: { account: 1, bytes: 1 } }, ESP)],
    ["credit by IP with another protocol", flow({ locator: { address: ip4("192.0.2.1"), port: 139, via: "ip" }, credit: { account: 1, bytes: 1 } }, ESP)],
    ["ESP header of another payload kind", flow({ header: dataPacket({}) }, ESP)],
    ["ESP header with bytes behind", flow({ header: concat(ESP.header ?? bytes(), bytes(0)) }, ESP)],
    ["ESP locator", flow({ header: null, locator: { address: bytes(1), port: 1 } }, ESP)],
    ["ESP source", flow({ source: bytes(1) }, ESP)],
    ["ESP MTU", flow({ mtu: 100 }, ESP)],
    ["negative association of a flow", flow({ association: -1 }, ESP)],
    ["too large an association of a flow", flow({ association: 2 ** 32 }, ESP)],
    ["translation within a family", (engine) => engine.setTranslation(ADDRESS, ADDRESS, ip4("10.0.0.9"))],
    ["translation of a flow of the other family", (engine) => engine.setTranslation(ip6(2), ADDRESS, ip6(1))],
    ["translation of no flow", (engine) => engine.setTranslation(bytes(1), ADDRESS, ip6(1))],
    ["translation to remove, of the other family", (engine) => engine.setTranslation(ip6(2), ADDRESS, null)],
    ["translation from no address", (engine) => engine.setTranslation(ADDRESS, bytes(1), ip6(1))],
    ["translation to no address", (engine) => engine.setTranslation(ADDRESS, ADDRESS, bytes(1))],
    ["translation to remove", (engine) => engine.setTranslation(bytes(1), bytes(1), null)],
    ["other flow of one family", (engine) => engine.setForwarding(ADDRESS, true, ip4("10.0.0.9"))],
    ["other flow of no address", (engine) => engine.setForwarding(ADDRESS, true, bytes(1))],
    ["inbound id", (engine) => engine.setInbound(bytes(1), { action: "upcall" })],
    ["inbound id to remove", (engine) => engine.setInbound(bytes(1), null)],
    ["inbound flow", (engine) => engine.setInbound(makeId(1), { action: "tun", ...TARGET, flow: bytes(1) })],
    ["rewrite of the other family", (engine) => engine.setInbound(makeId(1), { action: "tun", ...TARGET, source4: PAIR6 })],
    ["rewrite to the other family", (engine) => engine.setInbound(makeId(1), { action: "tun", ...TARGET, destination6: { ...PAIR6, to: PAIR4.to } })],
    ["name of an outbound association", (engine) => engine.setOutboundAssociation(-1, OUT)],
    ["name that is no whole number", (engine) => engine.setOutboundAssociation(1.5, OUT)],
    ["name to remove", (engine) => engine.setOutboundAssociation(2 ** 32, null)],
    ["name that is asked for", (engine) => void engine.nextSequence(-1)],
    ["outbound SPI too small", out({ spi: MIN_RECEIVER_SPI - 1 })],
    ["outbound SPI too large", out({ spi: 2 ** 32 })],
    ["outbound BEET", out({ beet: 5 })],
    ["first sequence number 0", out({ firstSequence: 0n })],
    ["first sequence number 2^64", out({ firstSequence: 1n << 64n })],
    ["GCM key", out({ transform: { ...GCM, key: KEY(24) } })],
    ["GCM salt", out({ transform: { ...GCM, salt: KEY(8) } })],
    ["NULL key", out({ transform: { ...NULL, integrityKey: KEY(16) } })],
    ["CBC key", out({ transform: { ...CBC, key: KEY(0) } })],
    ["CBC integrity key", out({ transform: { ...CBC, integrityKey: KEY(31) } })],
    ["unknown transform", out({ transform: { kind: "rot13" } })],
    ["inbound SPI too small", (engine) => engine.setInboundAssociation(MIN_SPI - 1, IN)],
    ["inbound SPI too large", (engine) => engine.setInboundAssociation(MAX_SPI + 1, IN)],
    ["inbound SPI to remove", (engine) => engine.setInboundAssociation(0.5, null)],
    ["inbound BEET", inward({ beet: 0 })],
    ["inbound key", inward({ transform: { ...GCM, key: KEY(31) } })],
    ["flow of an inbound association", inward({ flow: bytes(1) })],
    ["rewrite of an inbound association", inward({ source6: PAIR4 })],
    ["where packets of an association are expected from", inward({ watch: { from: { address: bytes(1), port: 1 } } })],
    ...[-1, 1.5, 2 ** 31, NaN].map((interfaceIndex): Row => [`interface ${interfaceIndex}`, flow({ header: null, locator: { ...AT, interfaceIndex } }, ESP)]),
    ["whole datagrams by IP", flow({ header: null, locator: { address: ip4("192.0.2.1"), port: 50, via: "ip", isWhole: true } }, ESP)],
    ["an address of ours of another family", flow({ header: null, locator: { ...AT, local: ip6(1) } }, ESP)],
    ["port 0 where they are expected from", inward({ watch: { from: { ...AT, port: 0 } } })],
    ["HIT of a responder", hip({ hit: bytes(1) })],
    ["another HIT than the R1's", hip({ hit: hit(9) })],
    ["secret of a responder", puzzles({ secret: KEY(31) })],
    ["secret of an older epoch", hip({ puzzles: [...HIP.puzzles, { epoch: 1, difficulty: 1, secret: KEY(33) }] })],
    ["no puzzles", hip({ puzzles: [] })],
    ["puzzles of 9 epochs", hip({ puzzles: Array.from({ length: 9 }, () => HIP.puzzles[0]) })],
    ["another K than the R1's", puzzles({ difficulty: 9 })],
    ["K below 0", hip({ puzzles: [...HIP.puzzles, { epoch: 1, difficulty: -1, secret: KEY(32) }] })],
    ["K above 255", hip({ puzzles: [...HIP.puzzles, { epoch: 1, difficulty: 256, secret: KEY(32) }] })],
    ["RHASH", hip({ rhash: "sha1" })],
    ["RHASH of another length than #I", hip({ rhash: "sha256" })],
    ["RHASH that is none of ours", hip({ rhash: "toString" })],
    ["group 0", hip({ group: 0 })],
    ["group above 255", hip({ group: 256 })],
    ["group that is no whole number", hip({ group: 7.5 })],
    ["epoch below 0", puzzles({ epoch: -1 })],
    ["epoch above 65,535", puzzles({ epoch: 65_536 })],
    ["epoch that is no whole number", puzzles({ epoch: 0.5 })],
    ["R1 too long", hip({ r1: responder({ r1Bytes: 1_240 }).r1 })],
    ["R1 cut off", hip({ r1: HIP.r1.subarray(0, -8) })],
    ["R1 that is an I2", hip({ r1: edited(2, 3) })],
    ["R1 to somebody", hip({ r1: edited(39, 1) })],
    ["R1 with a checksum", hip({ r1: edited(5, 1) })],
    ["R1 with an opaque", hip({ r1: edited(46, 1) })],
    ["R1 with the last byte of #I", hip({ r1: edited(95, 1) })],
    ["R1 without PUZZLE", hip({ r1: edited(41, 2) })],
    ["place of PUZZLE too small", hip({ puzzleOffset: 36 })],
    ["place of PUZZLE too large", hip({ puzzleOffset: 320 })],
    ["place of PUZZLE that is no whole number", hip({ puzzleOffset: 44.5 })],
    ["ring key of triggers", (engine) => engine.setTriggers(bytes(1), [])],
    ["trigger id", trigger(bytes(9), { kind: "locator", locator: AT })],
    ["trigger of another ring key", trigger(makeId(8), { kind: "locator", locator: AT })],
    ["trigger locator", trigger(makeId(9), { kind: "locator", locator: { address: ADDRESS, port: 65_536 } })],
    ["empty stack", trigger(makeId(9), { kind: "stack", ids: [] })],
    ["stack of 16", trigger(makeId(9), { kind: "stack", ids: Array.from({ length: 16 }, () => makeId(1)) })],
    ["short stack id", trigger(makeId(9), { kind: "stack", ids: [bytes(1)] })],
    ["beginning of the range", (engine) => engine.setResponsibility({ kind: "range", from: bytes(1), to: RING_KEY })],
    ["end of the range", (engine) => engine.setResponsibility({ kind: "range", from: RING_KEY, to: bytes(1) })],
    ["ring key of a next server", (engine) => engine.setNextServer(bytes(1), AT)],
    ["ring key of a next server to remove", (engine) => engine.setNextServer(bytes(1), null)],
    ["next server", (engine) => engine.setNextServer(RING_KEY, { address: bytes(1, 2, 3), port: 1 })],
    ["address of a known source", (engine) => engine.setKnownSource(bytes(1, 2, 3), true)],
    ["address of a source to forget", (engine) => engine.setKnownSource(bytes(), false)],
    ["neighbour's port", (engine) => engine.setNeighbours([AT, { address: ADDRESS, port: 0 }])],
    ["end of what is passed on", (engine) => engine.setPassOn({ from: AT, to: { address: ADDRESS, port: 0 } })],
    ["default server's port", (engine) => engine.setDefaultServer({ address: ADDRESS, port: 0 })],
    ["default server's address", (engine) => engine.setDefaultServer({ address: bytes(1, 2, 3), port: 1 })],
    ["uplink", (engine) => engine.setUplink(-1)],
    ["ring key of packets that wait", (engine) => engine.discardRoute(makeId(1))],
    ["address to release", (engine) => engine.release(bytes(1))],
    ["address to discard", (engine) => engine.discard(bytes(1), true)],
    ["receiver", (engine) => engine.send([{ locator: { address: ADDRESS, port: 1.5 }, bytes: bytes(1) }])],
    ["id to deliver for", (engine) => engine.deliver(bytes(1), [bytes(0x45)])],
    ["strength of a flow", (engine) => engine.setFlow(ADDRESS, TUNNEL, 3 as Strength)],
    ["strength of a flow to remove", (engine) => engine.setFlow(ADDRESS, null, -1 as Strength)],
    ["strength of an inbound id", (engine) => engine.setInbound(makeId(1), { action: "tun", ...TARGET, strength: 0.5 as Strength })],
    ["strength of an inbound association", inward({ strength: 3 })],
    ["address of services", (engine) => engine.setServices(bytes(1), { services: [], rest: 2 })],
    ["address of services to remove", (engine) => engine.setServices(bytes(1), null)],
    ["one service too many", services(...Array.from({ length: LIMITS.servicesPerFlow + 1 }, () => ({ ...SSH, ports: [] })))],
    ["strength of the rest", (engine) => engine.setServices(ADDRESS, { services: [], rest: 3 as Strength })],
    ["strength of a service", services({ ...SSH, strength: 3 as Strength })],
    ["protocol below 0", services({ ...SSH, protocol: -1, ports: [] })],
    ["protocol above 255", services({ ...SSH, protocol: 256, ports: [] })],
    ["ports of ICMP", services({ ...SSH, protocol: 1 })],
    ["one range too many", services({ ...SSH, ports: Array.from({ length: LIMITS.portRangesPerService + 1 }, (_, i) => ({ first: i, last: i })) })],
    ["port below 0", services({ ...SSH, ports: [{ first: -1, last: 2 }] })],
    ["port above 65,535", services({ ...SSH, ports: [{ first: 1, last: 65_536 }] })],
    ["port that is no whole number", services({ ...SSH, ports: [{ first: 0.5, last: 2 }] })],
    ["range that ends before it begins", services({ ...SSH, ports: [{ first: 2, last: 1 }] })],
    ["ranges that overlap", services({ ...SSH, ports: [{ first: 1, last: 5 }, { first: 5, last: 6 }] })],
    ["address of a last use", (engine) => void engine.lastUse(bytes(1))],
    ["address of counters", (engine) => void engine.flowCounters(bytes(1))],
  ])("%s", (_, act) => {
    const { engine, calls } = stepped();
    const expected = errorOf(() => act(new ReferenceEngine()));
    expect(expected).toBeInstanceOf(RangeError);
    expect(errorOf(() => act(engine))).toEqual(expected);
    expect(calls).toEqual([]);
  });

  it("services without a flow, of which the addon knows", () => {
    const { engine, calls } = stepped({ engineFlowReport: () => undefined });
    const expected = errorOf(() => services(SSH)(new ReferenceEngine()));
    expect(expected).toBeInstanceOf(RangeError);
    expect(errorOf(() => services(SSH)(engine))).toEqual(expected);
    expect(calls).toEqual([["engineFlowReport", ADDRESS]]);
  });
});

describe("calls of the addon", () => {
  const [NONE, ENDPOINT, ROUTE] = [bytes(), encodeEndpoint(AT), encodeRoute(AT)];
  const STRAIGHT = concat(ENDPOINT, bytes(3), new Uint8Array(20));
  const { header, source } = { header: dataPacket({}), source: ip4("10.9.9.9") };
  const PAIRS4 = concat(PAIR4.from, PAIR4.to, ip4("10.0.0.3"), ip4("10.0.0.4"));
  const PAIRS6 = concat(ip6(1), ip6(2), ip6(3), ip6(4));
  const BIG = [makeId(1), makeId(2), makeId(3)];
  const rows: readonly (readonly [...Row, ...expected: (readonly unknown[])[]])[] = [
    ["setup", (engine) => engine.setFlow(ADDRESS, { action: "setup" }), ["engineSetFlow", ADDRESS, 0, NONE, null, NONE, 0, 65_535, 0, 0, 2]],
    ["tunnel", (engine) => engine.setFlow(ADDRESS, TUNNEL), ["engineSetFlow", ADDRESS, 1, header, null, source, 0, 65_535, 0, 0, 2]],
    ["tunnel with an MTU", (engine) => engine.setFlow(ADDRESS, { ...TUNNEL, mtu: 576 }), ["engineSetFlow", ADDRESS, 1, header, null, source, 0, 576, 0, 0, 2]],
    ["ESP behind a header", (engine) => engine.setFlow(ADDRESS, { ...ESP, mtu: 1_400 }), ["engineSetFlow", ADDRESS, 2, ESP.header, null, source, 7, 1_400, 0, 0, 2]],
    ["ESP straight", (engine) => engine.setFlow(ADDRESS, { ...ESP, header: null, locator: AT, association: 2 ** 32 - 1 }), ["engineSetFlow", ADDRESS, 2, NONE, STRAIGHT, source, 2 ** 32 - 1, 65_535, 0, 0, 2]],
    ["ESP straight for a while", (engine) => engine.setFlow(ADDRESS, { ...ESP, locator: AT, credit: { account: 2 ** 32 - 1, bytes: 2 ** 53 - 1 } }), ["engineSetFlow", ADDRESS, 2, ESP.header, STRAIGHT, source, 7, 65_535, 2 ** 53 - 1, 2 ** 32 - 1, 2]],
    ["ESP straight for a while, and nowhere else", (engine) => engine.setFlow(ADDRESS, { ...ESP, header: null, locator: AT, credit: { account: 1, bytes: 1 } }), ["engineSetFlow", ADDRESS, 2, NONE, STRAIGHT, source, 7, 65_535, 1, 1, 2]],
    ["refuse", (engine) => engine.setFlow(ip6(9), { action: "refuse" }), ["engineSetFlow", ip6(9), 3, NONE, null, NONE, 0, 65_535, 0, 0, 2]],
    ["translation", (engine) => engine.setTranslation(ip4("10.0.0.7"), ADDRESS, ip6(9)), ["engineSetTranslation", ip4("10.0.0.7"), ADDRESS, ip6(9)]],
    ["no translation", (engine) => engine.setTranslation(ip4("10.0.0.7"), ADDRESS, null), ["engineRemoveTranslation", ip4("10.0.0.7"), ADDRESS]],
    ["no flow", (engine) => engine.setFlow(ADDRESS, null), ["engineRemoveFlow", ADDRESS, 3]],
    ["a weaker way", (engine) => engine.setFlow(ADDRESS, { action: "setup" }, 1), ["engineSetFlow", ADDRESS, 0, NONE, null, NONE, 0, 65_535, 0, 0, 1]],
    ["one way less", (engine) => engine.setFlow(ADDRESS, null, 0), ["engineRemoveFlow", ADDRESS, 0]],
    [
      "services", (engine) => { engine.setFlow(ADDRESS, { action: "setup" }); engine.setServices(ADDRESS, { services: [SSH, { protocol: 1, ports: [], strength: 0 }], rest: null }); },
      ["engineSetFlow", ADDRESS, 0, NONE, null, NONE, 0, 65_535, 0, 0, 2], ["engineFlowReport", ADDRESS], ["engineSetServices", ADDRESS, bytes(6, 1, 2, 0, 22, 0, 22, 0x12, 0x34, 0xff, 0xfe, 1, 0, 0), 3],
    ],
    ["no services", (engine) => engine.setServices(ADDRESS, null), ["engineRemoveServices", ADDRESS]],
    ["inbound upcall", (engine) => engine.setInbound(makeId(1), { action: "upcall" }), ["engineSetInboundUpcall", makeId(1)]],
    ["inbound TUN", (engine) => engine.setInbound(makeId(1), { action: "tun", ...TARGET }), ["engineSetInboundTun", makeId(1), ADDRESS, PAIRS4, PAIRS6, 2]],
    ["inbound TUN for packets in cleartext", (engine) => engine.setInbound(makeId(1), { action: "tun", ...TARGET, strength: 0 }), ["engineSetInboundTun", makeId(1), ADDRESS, PAIRS4, PAIRS6, 0]],
    ["half a family is none", (engine) => engine.setInbound(makeId(1), { action: "tun", ...TARGET, destination6: null }), ["engineSetInboundTun", makeId(1), ADDRESS, PAIRS4, NONE, 2]],
    ["no inbound", (engine) => engine.setInbound(makeId(1), null), ["engineRemoveInbound", makeId(1)]],
    ["outbound GCM", (engine) => engine.setOutboundAssociation(7, OUT), ["engineSetOutboundAssociation", 7, MIN_SPI, 0, KEY(32), KEY(4, 6), NONE, 0, false, 1n]],
    [
      "outbound CBC", (engine) => engine.setOutboundAssociation(0, { spi: MAX_SPI, transform: CBC, beet: 6, checksumState: true, firstSequence: 99n }),
      ["engineSetOutboundAssociation", 0, MAX_SPI, 2, KEY(16), NONE, KEY(32, 7), 6, true, 99n],
    ],
    ["no outbound", (engine) => engine.setOutboundAssociation(7, null), ["engineRemoveOutboundAssociation", 7]],
    ["inbound association", (engine) => engine.setInboundAssociation(MIN_SPI, { ...IN, transform: NULL }), ["engineSetInboundAssociation", MIN_SPI, 1, NONE, NONE, KEY(32, 7), 4, true, ADDRESS, PAIRS4, PAIRS6, 2, false, null]],
    ["watched inbound association", (engine) => engine.setInboundAssociation(MIN_SPI, { ...IN, watch: { from: AT } }), ["engineSetInboundAssociation", MIN_SPI, 0, KEY(32), KEY(4, 6), NONE, 4, true, ADDRESS, PAIRS4, PAIRS6, 2, true, encodeEndpoint(AT)]],
    ["inbound association watched for any place", (engine) => engine.setInboundAssociation(MIN_SPI, { ...IN, watch: { from: null } }), ["engineSetInboundAssociation", MIN_SPI, 0, KEY(32), KEY(4, 6), NONE, 4, true, ADDRESS, PAIRS4, PAIRS6, 2, true, null]],
    ["no inbound association", (engine) => engine.setInboundAssociation(MAX_SPI, null), ["engineRemoveInboundAssociation", MAX_SPI]],
    ["HIP responder", (engine) => engine.setHipResponder(HIP), ["engineSetHipResponder", HIP.hit, concat(...HIP.openIds), HIP.r1, 44, 1, 7, new Uint8Array(35)]],
    ["HIP responder with SHA-256", (engine) => engine.setHipResponder(HIP_256), ["engineSetHipResponder", HIP_256.hit, bytes(), HIP_256.r1, 44, 0, 7, new Uint8Array(35)]],
    ["no HIP responder", (engine) => engine.setHipResponder(null), ["engineRemoveHipResponder"]],
    [
      "triggers", (engine) => engine.setTriggers(RING_KEY, [{ id: makeId(9, 1), target: { kind: "locator", locator: AT } }, { id: makeId(9, 2), target: { kind: "stack", ids: BIG } }]),
      ["engineSetTriggers", RING_KEY, concat(makeId(9, 1), bytes(0), ENDPOINT, makeId(9, 2), bytes(1, 3), ...BIG)],
    ],
    ["no triggers", (engine) => engine.setTriggers(RING_KEY, []), ["engineSetTriggers", RING_KEY, NONE]],
    ["responsible for all", (engine) => engine.setResponsibility({ kind: "all" }), ["engineSetResponsibility", 0, NONE, NONE]],
    ["responsible for nothing", (engine) => engine.setResponsibility({ kind: "none" }), ["engineSetResponsibility", 1, NONE, NONE]],
    ["responsible for a range", (engine) => engine.setResponsibility({ kind: "range", from: RING_KEY, to: KEY(16) }), ["engineSetResponsibility", 2, RING_KEY, KEY(16)]],
    ["next server", (engine) => engine.setNextServer(RING_KEY, AT), ["engineSetNextServer", RING_KEY, ENDPOINT]],
    ["no next server", (engine) => engine.setNextServer(RING_KEY, null), ["engineSetNextServer", RING_KEY, null]],
    ["known source", (engine) => engine.setKnownSource(ip6(1), true), ["engineSetKnownSource", ip6(1), true]],
    ["source to forget", (engine) => engine.setKnownSource(bytes(192, 0, 2, 1), false), ["engineSetKnownSource", concat(new Uint8Array(10), bytes(0xff, 0xff, 192, 0, 2, 1)), false]],
    ["neighbours", (engine) => engine.setNeighbours([AT, AT]), ["engineSetNeighbours", concat(ENDPOINT, ENDPOINT)]],
    ["no neighbours", (engine) => engine.setNeighbours([]), ["engineSetNeighbours", NONE]],
    ["pass on", (engine) => engine.setPassOn({ from: AT, to: AT }), ["engineSetPassOn", ENDPOINT, ENDPOINT]],
    ["no pass on", (engine) => engine.setPassOn(null), ["engineSetPassOn", null, null]],
    ["default server", (engine) => engine.setDefaultServer(AT), ["engineSetDefaultServer", ENDPOINT]],
    ["no default server", (engine) => engine.setDefaultServer(null), ["engineSetDefaultServer", null]],
    ["uplink", (engine) => engine.setUplink(7), ["engineSetUplink", 7]],
    ["discard a route", (engine) => engine.discardRoute(RING_KEY), ["engineDiscardRoute", RING_KEY]],
    ["challenge answers", (engine) => engine.setChallengeAnswers({ range: { kind: "range", from: RING_KEY, to: KEY(16) }, secret: KEY(32), nodeKey: KEY(16, 2), wallOffsetMs: 7 }), ["engineSetChallengeAnswers", 2, RING_KEY, KEY(16), KEY(32), KEY(16, 2), 7]],
    ["no challenge answers", (engine) => engine.setChallengeAnswers(null), ["engineRemoveChallengeAnswers"]],
    ["nothing to send", (engine) => engine.send([])],
    ["release", (engine) => engine.release(ADDRESS), ["engineRelease", ADDRESS]],
    ["discard", (engine) => engine.discard(ADDRESS, true), ["engineDiscard", ADDRESS, true]],
    ["send", (engine) => engine.send([{ locator: AT, bytes: bytes(1) }, { locator: AT, bytes: bytes(2) }]), ["engineSendAll", concat(ROUTE, bytes(0, 0, 0, 1, 1), ROUTE, bytes(0, 0, 0, 1, 2))]],
    ["send", (engine) => engine.send([{ locator: AT, bytes: bytes(1) }]), ["engineSend", ROUTE, bytes(1)]],
    ["send without a detour", (engine) => engine.send([{ locator: AT, bytes: bytes(1), isStraight: true }]), ["engineSend", STRAIGHT, bytes(1)]],
    ["send whole, without a detour", (engine) => engine.send([{ locator: { ...AT, isWhole: true }, bytes: bytes(1), isStraight: true }]), ["engineSend", concat(ENDPOINT, bytes(0x13), new Uint8Array(20)), bytes(1)]],
    ["detour", (engine) => engine.setDetour(true), ["engineSetDetour", true]],
    ["nothing that came by a detour", (engine) => engine.takeDetoured([])],
    ["what came by a detour", (engine) => engine.takeDetoured([{ from: AT, bytes: bytes(1) }]), ["engineTakeDetoured", concat(ROUTE, bytes(0, 0, 0, 1, 1))]],
    ["inject", (engine) => engine.inject([bytes(1), bytes(2)]), ["engineInject", bytes(1)], ["engineInject", bytes(2)]],
    ["submit", (engine) => engine.submit([bytes(1)]), ["engineSubmit", bytes(1)]],
    ["deliver", (engine) => engine.deliver(makeId(3), [bytes(1)]), ["engineDeliver", makeId(3), bytes(1)]],
  ];
  it.each(rows.map(([what, act, ...expected]) => ({ what, act, expected })))("$what", ({ act, expected }) => {
    const { engine, calls } = stepped();
    act(engine);
    expect(plain(calls)).toEqual(plain(expected));
    for (const real of [new ReferenceEngine(), NativeEngine.stepped()]) expect(errorOf(() => act(real))).toBeUndefined();
  });

  /** Buffers are as good as plain arrays here. */
  const plain = (value: unknown): unknown => (value instanceof Uint8Array ? Uint8Array.from(value) : Array.isArray(value) ? value.map(plain) : value);
});

describe("what the engine refuses", () => {
  it.each<readonly [table: string, limit: number, ...Row]>([
    ["flow", LIMITS.flows, "engineSetFlow", (engine) => engine.setFlow(ADDRESS, { action: "setup" })],
    ["inbound", LIMITS.inbound, "engineSetInboundUpcall", (engine) => engine.setInbound(makeId(1), { action: "upcall" })],
    ["inbound", LIMITS.inbound, "engineSetInboundTun", (engine) => engine.setInbound(makeId(1), { action: "tun", ...TARGET })],
    ["outbound association", LIMITS.associations, "engineSetOutboundAssociation", (engine) => engine.setOutboundAssociation(7, OUT)],
    ["inbound association", LIMITS.associations, "engineSetInboundAssociation", (engine) => engine.setInboundAssociation(MIN_SPI, IN)],
    ["next-server", LIMITS.nextServers, "engineSetNextServer", (engine) => engine.setNextServer(RING_KEY, AT)],
    ["trigger", LIMITS.triggers, "engineSetTriggers", (engine) => engine.setTriggers(RING_KEY, [])],
  ])("is a full %s table of %i (%s)", (table, limit, call, act) => {
    const message = `the ${table} table is full (${limit} entries)`;
    expect(errorOf(() => act(stepped({ [call]: () => 1 }).engine))).toMatchObject({ name: "DatapathError", code: "ERR_I3_TABLE_FULL", message });
    expect(errorOf(() => act(stepped({ [call]: () => 3 }).engine))).toBeInstanceOf(RangeError);
  });

  it.each<Row>([
    ["engineSetServices", (engine) => engine.setServices(ADDRESS, { services: [SSH], rest: null })],
    ["engineSetFlow", (engine) => engine.setFlow(ADDRESS, { action: "setup" }, 0)],
  ])("is a full table of flows with services (%s)", (call, act) => {
    expect(errorOf(() => act(stepped({ [call]: () => 4 }).engine))).toMatchObject({ code: "ERR_I3_TABLE_FULL", message: `the flow services table is full (${LIMITS.flowsWithServices} entries)` });
    expect(errorOf(() => act(stepped({ [call]: () => 3 }).engine))).toBeInstanceOf(RangeError);
  });

  it("is a full group of triggers, said by either", () => {
    const entry = { id: makeId(9), target: { kind: "locator", locator: AT } } as const;
    const tooMany = Array.from({ length: LIMITS.triggersPerRingKey + 1 }, () => entry);
    const expected = errorOf(() => new ReferenceEngine().setTriggers(RING_KEY, tooMany));
    expect(expected).toMatchObject({ code: "ERR_I3_TABLE_FULL" });
    const { engine, calls } = stepped({ engineSetTriggers: () => 2 });
    expect(errorOf(() => engine.setTriggers(RING_KEY, tooMany))).toEqual(expected);
    expect(calls).toEqual([]);
    expect(errorOf(() => engine.setTriggers(RING_KEY, [entry]))).toEqual(expected);
  });
});

describe("answers", () => {
  const from = encodeEndpoint(AT);
  const [name, nonce] = [makeId(4), KEY(8)];
  it.each<readonly [RawUpcall, object]>([
    [{ kind: 0, bytes: concat(from, bytes(0x19)) }, { kind: "control", from: AT, bytes: bytes(0x19) }],
    [{ kind: 1, name: ADDRESS, strength: 1, bytes: bytes(0x45) }, { kind: "flow-setup", address: ADDRESS, strength: 1, packet: bytes(0x45) }],
    [{ kind: 2, name, from, nonce, payloadKind: 2, bytes: bytes() }, { kind: "payload", id: name, from: AT, nonce, payloadKind: 2, payload: bytes() }],
    [{ kind: 3, name: RING_KEY, from }, { kind: "route-miss", ringKey: RING_KEY, from: AT }],
    [{ kind: 4, name, from, nonce, forwarded: true, requestBytes: 48 }, { kind: "no-trigger", id: name, from: AT, nonce, forwarded: true, requestBytes: 48 }],
    [{ kind: 5, name, from, nonce, shortcutOk: true, requestBytes: 48 }, { kind: "cache-request", id: name, from: AT, nonce, shortcutOk: true, requestBytes: 48 }],
    [{ kind: 8, spi: MIN_SPI, from: encodeRoute({ ...AT, via: "hip", local: ip4("192.0.2.9") }) }, { kind: "elsewhere", spi: MIN_SPI, from: { ...AT, via: "hip", local: ip4("192.0.2.9") } }],
    [{ kind: 9, from: encodeRoute({ ...AT, interfaceIndex: 3 }), reason: 1 }, { kind: "send-failed", locator: { ...AT, interfaceIndex: 3 }, reason: "too-big" }],
    [{ kind: 9, from: encodeRoute({ ...AT, isWhole: true }), reason: 0 }, { kind: "send-failed", locator: { ...AT, isWhole: true }, reason: "unreachable" }],
    [{ kind: 6, from, bytes: bytes(59) }, { kind: "hip", from: AT, bytes: bytes(59) }],
  ])("upcall %#", (raw, expected) => {
    const { addon } = fakeAddon({ stepEngine: () => ({ tun: [], udp: [], upcalls: [raw] }) });
    expect(NativeEngine.stepped(addon).step(1, {}).upcalls).toEqual([expected]);
  });

  it.each<RawUpcall>([{ kind: 7 }, { kind: 8, from: encodeRoute(AT) }, { kind: 9, from: encodeRoute(AT), reason: 2 }, { kind: 6, from }, { kind: 0, bytes: from.subarray(1) }, { kind: 0, from }, { kind: 4, name, from, nonce, requestBytes: 1 }])("an upcall that the addon made wrong is its fault (%#)", (raw) => {
    const { addon } = fakeAddon({ stepEngine: () => ({ tun: [], udp: [], upcalls: [raw] }) });
    expect(() => NativeEngine.stepped(addon).step(1, {})).toThrow(TypeError);
  });

  it("a step's packets go through as they are", () => {
    const output = { tun: [bytes(2)], udp: [{ bytes: bytes(3), segmentBytes: 0, endpoint: from, trafficClass: 3 }], upcalls: [] };
    const { addon, calls } = fakeAddon({ stepEngine: () => output });
    const engine = NativeEngine.stepped(addon);
    expect(engine.step(9, { tun: [bytes(1)], udp: output.udp })).toEqual(output);
    engine.step(10, {}, false);
    for (const queue of ["empty", "waiting", "lost"] as const) engine.step(11, { queue });
    expect(calls.map(([, , ...values]) => values)).toEqual([[9, [bytes(1)], output.udp, true, 0], [10, [], [], false, 0], [11, [], [], true, 1], [11, [], [], true, 2], [11, [], [], true, 3]]);
  });

  it("puzzles go down packed, and the copy is wiped", () => {
    const seen: Uint8Array[] = [];
    const { engine, calls } = stepped({ engineSetHipResponder: (...values: unknown[]) => (seen.push(Uint8Array.from(values.at(-1) as Uint8Array)), 0) });
    engine.setHipResponder(responder({ older: [{ epoch: 0xfffe, difficulty: 255, secret: KEY(32, 9) }] }));
    expect(seen).toEqual([concat(bytes(1, 2, 10), HIP.puzzles[0]?.secret ?? bytes(), bytes(0xff, 0xfe, 255), KEY(32, 9))]);
    expect(calls.at(-1)?.at(-1)).toEqual(new Uint8Array(70));
  });

  it("flow reports", () => {
    const report = (...values: number[]) => stepped({ engineFlowReport: () => Float64Array.from(values) }).engine;
    expect(report(5.5, 1, 2, 3, 4).lastUse(ADDRESS)).toBe(5.5);
    expect(report(5.5, 1, 2, 3, 4, 5).flowCounters(ADDRESS)).toEqual({ packetsOut: 1, bytesOut: 2, packetsIn: 3, bytesIn: 4, answersOut: 5 });
    expect(report(NaN, 0, 0, 0, 0).lastUse(ADDRESS)).toBeUndefined();
    expect(report(NaN, 0, 0, 0, 0, 0).flowCounters(ADDRESS)).toEqual({ packetsOut: 0, bytesOut: 0, packetsIn: 0, bytesIn: 0, answersOut: 0 });
    const none = stepped({ engineFlowReport: () => undefined }).engine;
    expect([none.lastUse(ADDRESS), none.flowCounters(ADDRESS)]).toEqual([undefined, undefined]);
  });

  it.each([[undefined, undefined], [1n, 1n], [2n ** 64n - 1n, 2n ** 64n - 1n], [0n, 2n ** 64n]])("next sequence number %s is %s", (raw, expected) => {
    expect(stepped({ engineNextSequence: () => raw }).engine.nextSequence(7)).toBe(expected);
  });

  it("counters", () => {
    const { engine } = stepped({ engineCounters: () => Float64Array.from({ length: DROP_REASONS.length + 13 }, (_, i) => i + 1) });
    const counters = engine.counters();
    expect(Object.keys(counters.drops).toSorted()).toEqual(Object.keys(new ReferenceEngine().counters().drops).toSorted());
    expect([counters.drops.malformed, counters.drops["io-error"]]).toEqual([1, 29]);
    expect({ ...counters, drops: null }).toEqual({ drops: null, tunIn: 30, tunOut: 31, udpIn: 32, udpOut: 33, upcalls: 34, hipAnswered: 35, refreshed: 36, challenged: 37 });
    expect(engine.systemCalls()).toEqual({ tunReads: 38, tunWrites: 39, udpReads: 40, udpSends: 41 });
    expect(engine.tableBytes()).toBe(42);
  });
});

describe("C++ and TypeScript agree", () => {
  const read = (file: string): string => readFileSync(new URL(`../../src/native/engine/${file}`, import.meta.url), "utf8");

  it("on the order of the reasons for a drop", () => {
    const list = /enum class Drop : uint8_t \{([^}]*)\bnone,/.exec(read("counters.h"))?.[1] ?? "";
    expect([...list.matchAll(/\w+/g)].map(([reason]) => reason.replaceAll("_", "-"))).toEqual(DROP_REASONS);
  });

  it("on every limit", () => {
    const text = read("limits.h");
    const found = new Map<string, number>();
    for (const [, name = "", value = ""] of text.matchAll(/^constexpr \w+ (\w+) = ([^;]+);/gm)) {
      const factors = value.replaceAll("'", "").split("*").map((factor) => found.get(factor.trim()) ?? Number(factor));
      found.set(name, factors.reduce((product, factor) => product * factor, 1));
    }
    const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const limits = { ...LIMITS, waitingUpcalls: MAX_WAITING_UPCALLS, moreKnownUpcalls: MORE_KNOWN_UPCALLS, moreKnownUpcallBytes: MORE_KNOWN_UPCALL_BYTES, waitingRoutes: MAX_WAITING_ROUTES, waitingRoutesPerSource: MAX_WAITING_ROUTES_PER_SOURCE, waitingBytesPerSource: MAX_WAITING_BYTES_PER_SOURCE, i1Parameters: MAX_I1_PARAMETERS, i2Parameters: MAX_I2_PARAMETERS, dhGroups: MAX_DH_GROUPS, controlBytes: MAX_CONTROL_BYTES, checkBytes: MAX_CHECK_BYTES, stackLength: MAX_STACK_LENGTH, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, shareWindowMs: SHARES.WINDOW_MS, shareHoldMs: SHARES.HOLD_MS, shareMostHoldMs: SHARES.MAX_HOLD_MS, shareSoonMs: SHARES.SOON_MS, shareAloneMs: SHARES.ALONE_MS, sharePacketCost: SHARES.PACKET_COST, shareCut: SHARES.CUT, shareGrowth: SHARES.GROWTH, shareLeast: SHARES.LEAST, shareFloorPart: SHARES.FLOOR_PART, shareMost: SHARES.MOST };
    const both = Object.entries(limits).map(([name, value]) => [name, value, found.get(snake(name))]);
    expect(both.filter(([, ours, theirs]) => ours !== theirs)).toEqual([]);
    expect([...found.values()].some(Number.isNaN)).toBe(false);
  });
});

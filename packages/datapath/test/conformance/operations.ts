/**
 * What the random programs of the conformance suite consist of: changes of the tables, calls, and steps with packets, as records
 * that fast-check makes and shrinks.
 */
import fc from "fast-check";
import type { Locator } from "@i3/common";
import type { AddressRewrite, ChallengeAnswers, Flow, HipResponder, Inbound, InboundAssociation, Lease, OutboundAssociation, PassOn, RefreshAnswers, Responsibility, Services, Strength, TriggerEntry } from "../../src/datapath.js";
import { dataPacket } from "../reference/harness.js";
import { bytes } from "../reference/packets.js";
import { datagramRecipes, streamRecipes, tunRecipes, type DatagramRecipe, type StreamRecipe, type TunRecipe } from "./arrival-recipes.js";
import { challengeAnswers, challengeRecipes, type ChallengeRecipe } from "./challenge-recipes.js";
import { packetRecipes, type PacketRecipe } from "./packet-recipes.js";
import { addressOf, BEHIND, TRANSLATED, idOf, LOCATORS, NAMES, RECEIVER_SPIS, RESPONDERS, ringKeyOf, ROUTES, SPIS, TRANSFORMS, type Family } from "./pools.js";
import { leases, refreshAnswers, refreshRecipes, tokenAt, type RefreshRecipe } from "./refresh-recipes.js";
import { address, association, behind, family, firstSequence, flowOf, id, locator, name, prefix, responsibility, ringKey, services, spiIndex, strength, triggers, tunTarget, watch } from "./table-recipes.js";

export type WindowNumber = { readonly advance: number } | { readonly behind: number; readonly which: number };
export type Operation =
  | { readonly kind: "setFlow"; readonly address: Uint8Array; readonly flow: Flow | null; readonly strength?: Strength | undefined }
  | { readonly kind: "setServices"; readonly address: Uint8Array; readonly services: Services | null }
  | { readonly kind: "setBehind"; readonly address: Uint8Array; readonly bits: number; readonly flow: Uint8Array | null }
  | { readonly kind: "setForwarding"; readonly flow: Uint8Array; readonly isOn: boolean; readonly other?: Uint8Array | null }
  | { readonly kind: "setTranslation"; readonly flow: Uint8Array; readonly from: Uint8Array; readonly to: Uint8Array | null }
  | { readonly kind: "setInbound"; readonly id: Uint8Array; readonly inbound: Inbound | null }
  | { readonly kind: "setOutboundAssociation"; readonly name: number; readonly association: OutboundAssociation | null }
  | { readonly kind: "setInboundAssociation"; readonly spi: number; readonly association: InboundAssociation | null }
  | { readonly kind: "setHipResponder"; readonly responder: HipResponder | null }
  | { readonly kind: "setTriggers"; readonly ringKey: Uint8Array; readonly triggers: readonly TriggerEntry[] }
  | { readonly kind: "setLease"; readonly id: Uint8Array; readonly lease: Lease | null }
  | { readonly kind: "setRefreshAnswers"; readonly answers: RefreshAnswers | null }
  /** Refreshes of a lease from its owner, each by so many steps; and what the control plane hears of them. */
  | { readonly kind: "refreshes"; readonly passedMs: number; readonly datagrams: readonly RefreshRecipe[] }
  | { readonly kind: "takeRefreshed" }
  | { readonly kind: "setChallengeAnswers"; readonly answers: ChallengeAnswers | null }
  | { readonly kind: "challenges"; readonly passedMs: number; readonly datagrams: readonly ChallengeRecipe[] }
  | { readonly kind: "setResponsibility"; readonly range: Responsibility }
  | { readonly kind: "setNextServer"; readonly ringKey: Uint8Array; readonly locator: (typeof LOCATORS)[number] | null }
  | { readonly kind: "setPassOn"; readonly passOn: PassOn | null }
  | { readonly kind: "setDefaultServer"; readonly locator: (typeof LOCATORS)[number] | null }
  | { readonly kind: "setUplink"; readonly interfaceIndex: number }
  | { readonly kind: "setNeighbours"; readonly locators: readonly Locator[] }
  | { readonly kind: "setKnownSource"; readonly address: Uint8Array; readonly isKnown: boolean }
  | { readonly kind: "discardRoute"; readonly ringKey: Uint8Array }
  | { readonly kind: "release"; readonly address: Uint8Array }
  | { readonly kind: "discard"; readonly address: Uint8Array; readonly refuse: boolean }
  | { readonly kind: "send"; readonly locator: (typeof ROUTES)[number]; readonly length: number; readonly first: number; readonly isStraight: boolean }
  | { readonly kind: "setDetour"; readonly isOn: boolean }
  | { readonly kind: "takeDetoured"; readonly from: Locator; readonly datagrams: readonly DatagramRecipe[] }
  | { readonly kind: "inject" | "submit"; readonly packet: PacketRecipe }
  | { readonly kind: "deliver"; readonly id: Uint8Array; readonly packet: PacketRecipe }
  | { readonly kind: "step"; readonly passedMs: number; readonly offloads: boolean; readonly tun: readonly TunRecipe[]; readonly udp: readonly DatagramRecipe[] }
  | { readonly kind: "stream"; readonly offloads: boolean; readonly stream: StreamRecipe }
  /** Sealed packets, each so far from the highest number so far, or so far behind one of before. */
  | { readonly kind: "window"; readonly spi: number; readonly numbers: readonly WindowNumber[] }
  | { readonly kind: "flood"; readonly what: "control" | "payload" | "refused" | "setup" | "notice" | "hip"; readonly count: number; readonly sources: number };

/** The first of a flood. */
const FLOOD_SOURCE = bytes(10, 9, 0, 0);

const passedMs = fc.constantFrom(0, 0, 1, 1, 20, 50, 100, 150, 1_100);
const offloads = fc.oneof({ arbitrary: fc.constant(true), weight: 4 }, { arbitrary: fc.constant(false), weight: 1 });
const advances = fc.oneof(
  fc.constantFrom(1, 2, 63, 64, 65, 100, 4_000, 4_160, 8_000, 8_128, 8_191, 8_192, 8_193, 20_000, 0x7fff_ff00, 0x8000_0000, 0xffff_0000, 0xffff_ffff),
  fc.constantFrom(0, -1, -2, -63, -64, -65, -100, -8_128, -8_190, -8_191, -8_192, -20_000),
  fc.integer({ min: -8_200, max: 200 }),
  fc.integer({ min: 1, max: 4_000 }),
);
// A window's size behind one that was seen: its place in the window is the same.
const windowNumbers = fc.oneof(advances.map((advance) => ({ advance })), fc.record({ behind: fc.constantFrom(0, 8_192, 8_192, 16_384), which: fc.nat(10) }));
const steps: fc.Arbitrary<Operation> = fc.record({ kind: fc.constant("step" as const), passedMs, offloads, tun: fc.array(tunRecipes, { maxLength: 4 }), udp: fc.array(datagramRecipes, { maxLength: 4 }) });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { arbitrary: steps, weight: 24 },
  { arbitrary: fc.record({ kind: fc.constant("stream" as const), offloads, stream: streamRecipes }), weight: 4 },
  { arbitrary: fc.record({ kind: fc.constant("window" as const), spi: spiIndex, numbers: fc.array(windowNumbers, { minLength: 1, maxLength: 30 }) }), weight: 1 },
  { arbitrary: fc.tuple(family, fc.nat(3)).chain(([version, index]) => fc.record({ kind: fc.constant("setFlow" as const), address: fc.constant(addressOf(version, index)), flow: flowOf(version), strength })), weight: 7 },
  { arbitrary: fc.record({ kind: fc.constant("setServices" as const), address, services: fc.option(services, { freq: 5 }) }), weight: 4 },
  { arbitrary: prefix.chain(({ version, ...behind }) => fc.record({ kind: fc.constant("setBehind" as const), address: fc.constant(behind.address), bits: fc.constant(behind.bits), flow: fc.option(fc.nat(3).map((index) => addressOf(version, index)), { freq: 4 }) })), weight: 3 },
  { arbitrary: fc.record({ kind: fc.constant("setForwarding" as const), flow: address, isOn: fc.boolean(), other: fc.option(address) }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("setTranslation" as const), flow: address, from: fc.oneof(address, behind), to: fc.option(fc.oneof(address, behind), { freq: 4 }) }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("setInbound" as const), id, inbound: fc.oneof({ arbitrary: tunTarget.map((entry): Inbound => ({ action: "tun", ...entry })), weight: 4 }, { arbitrary: fc.constantFrom<(Inbound | null)[]>(null, { action: "upcall" }), weight: 1 }) }), weight: 3 },
  { arbitrary: fc.record({ kind: fc.constant("setOutboundAssociation" as const), name, association: fc.option(fc.tuple(association, fc.constantFrom(...RECEIVER_SPIS), firstSequence).map(([base, spi, first]): OutboundAssociation => ({ ...base, spi, ...(first === undefined ? {} : { firstSequence: first }) })), { freq: 10 }) }), weight: 3 },
  { arbitrary: fc.record({ kind: fc.constant("setInboundAssociation" as const), spi: spiIndex.map((index) => SPIS[index] ?? SPIS[0]), association: fc.option(fc.tuple(association, tunTarget, watch).map(([base, entry, watched]): InboundAssociation => ({ ...base, ...entry, ...(watched === undefined ? {} : { watch: watched }) })), { freq: 10 }) }), weight: 4 },
  { arbitrary: triggers, weight: 4 },
  { arbitrary: fc.record({ kind: fc.constant("setHipResponder" as const), responder: fc.constantFrom(null, ...RESPONDERS) }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("setLease" as const), id, lease: leases }), weight: 3 },
  { arbitrary: fc.record({ kind: fc.constant("setRefreshAnswers" as const), answers: refreshAnswers(responsibility) }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("refreshes" as const), passedMs: fc.constantFrom(0, 1, 1, 50, 1_100), datagrams: fc.array(refreshRecipes, { minLength: 1, maxLength: 6 }) }), weight: 4 },
  { arbitrary: fc.constant<Operation>({ kind: "takeRefreshed" }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("setChallengeAnswers" as const), answers: challengeAnswers(responsibility) }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("challenges" as const), passedMs, datagrams: fc.array(challengeRecipes, { minLength: 1, maxLength: 6 }) }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("setResponsibility" as const), range: responsibility }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("setNextServer" as const), ringKey, locator: fc.option(locator, { freq: 3 }) }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("setPassOn" as const), passOn: fc.option(fc.record({ from: locator, to: locator }), { freq: 3 }) }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("setDefaultServer" as const), locator: fc.option(locator, { freq: 3 }) }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("setUplink" as const), interfaceIndex: fc.constantFrom(0, 0, 7, 0x7fff_ffff) }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("setKnownSource" as const), address: fc.constantFrom(...LOCATORS.map(({ address: known }) => known), FLOOD_SOURCE), isKnown: fc.boolean() }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("setNeighbours" as const), locators: fc.array(locator, { maxLength: 3 }) }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("discardRoute" as const), ringKey }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("release" as const), address }), weight: 3 },
  { arbitrary: fc.record({ kind: fc.constant("discard" as const), address, refuse: fc.boolean() }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("send" as const), locator: fc.constantFrom(...ROUTES), length: fc.oneof(fc.nat(100), fc.constantFrom(0, 65_507, 65_508)), first: fc.nat(255), isStraight: fc.boolean() }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("setDetour" as const), isOn: fc.boolean() }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("takeDetoured" as const), from: locator, datagrams: fc.array(datagramRecipes, { maxLength: 3 }) }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constantFrom<("inject" | "submit")[]>("inject", "submit"), packet: packetRecipes }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("deliver" as const), id, packet: packetRecipes }), weight: 1 },
);
const flood: fc.Arbitrary<Operation> = fc.record({ kind: fc.constant("flood" as const), what: fc.constantFrom<("control" | "payload" | "refused" | "setup" | "notice" | "hip")[]>("control", "payload", "refused", "setup", "notice", "hip"), count: fc.constantFrom(20, 40, 300, 1_100, 2_100, 4_200), sources: fc.constantFrom(1, 2, 50) });

/** Where a program begins, so that short ones do something. */
export type Beginning = "nothing" | "host" | "services" | "forwarding" | "translation" | "server" | "both";
export interface Program {
  readonly beginning: Beginning;
  readonly operations: readonly Operation[];
}

export const programs: fc.Arbitrary<Program> = fc.record({
  beginning: fc.constantFrom<Beginning[]>("host", "services", "forwarding", "translation", "server", "both", "nothing"),
  operations: fc.array(fc.oneof({ arbitrary: operation, weight: 200 }, { arbitrary: flood, weight: 1 }), { minLength: 1, maxLength: 60, size: "max" }),
});

/** Without changes: packets that the entries of a host are for, so that every form of them gets far. */
export const packetPrograms: fc.Arbitrary<Program> = fc.record({
  beginning: fc.constantFrom<Beginning[]>("host", "services", "forwarding", "translation", "both"),
  operations: fc.array(
    fc.record({
      kind: fc.constant("step" as const),
      passedMs: fc.constantFrom(1, 20),
      offloads,
      tun: fc.array(tunRecipes.chain((recipe) => fc.constantFrom(0, 0, 0, BEHIND, TRANSLATED).map((source) => ({ ...recipe, packet: { ...recipe.packet, source } }))), { maxLength: 2 }),
      udp: fc.array(fc.tuple(datagramRecipes, fc.constantFrom(1, 5)).map(([recipe, only]): DatagramRecipe => ({ ...recipe, form: recipe.form === "bare" ? "bare" : "data", ids: [only], overstated: 0, payloadKind: null, port: null, train: null })), { minLength: 1, maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 30, size: "max" },
  ),
});

const SAME = (version: Family, index: number): AddressRewrite => ({ from: addressOf(version, index), to: addressOf(version, index) });
const TARGET = { flow: addressOf(4, 1), source4: SAME(4, 0), destination4: SAME(4, 1), source6: SAME(6, 0), destination6: SAME(6, 1) };
const [GCM, NULL, CBC] = TRANSFORMS.slice(0, 3) as [(typeof TRANSFORMS)[number], (typeof TRANSFORMS)[number], (typeof TRANSFORMS)[number]];

const HOST: readonly Operation[] = [
  { kind: "setDefaultServer", locator: LOCATORS[0] ?? null },
  { kind: "setOutboundAssociation", name: NAMES[0], association: { spi: SPIS[0], transform: GCM, beet: 4, checksumState: true } },
  { kind: "setOutboundAssociation", name: NAMES[1], association: { spi: SPIS[1], transform: CBC, beet: 6, checksumState: false } },
  ...([4, 6] as const).flatMap((version): Operation[] => [
    { kind: "setFlow", address: addressOf(version, 0), flow: { action: "setup" } },
    { kind: "setFlow", address: addressOf(version, 1), flow: { action: "esp", association: NAMES[0], header: null, locator: LOCATORS[1] ?? null, source: addressOf(version, 0) } },
    { kind: "setFlow", address: addressOf(version, 2), flow: { action: "tunnel", header: dataPacket({ ids: [idOf(0)] }), source: addressOf(version, 0), mtu: 1_280 } },
    { kind: "setFlow", address: addressOf(version, 3), flow: { action: "esp", association: NAMES[1], header: dataPacket({ ids: [idOf(2)], payloadKind: 4 }), locator: null, source: addressOf(version, 0) } },
  ]),
  { kind: "setFlow", address: addressOf(6, 1), flow: { action: "esp", association: NAMES[0], header: dataPacket({ ids: [idOf(2)], payloadKind: 4 }), locator: LOCATORS[1] ?? null, credit: { account: 3, bytes: 1_000 }, source: addressOf(6, 0) } },
  { kind: "setInbound", id: idOf(1), inbound: { action: "tun", ...TARGET } },
  { kind: "setInbound", id: idOf(5), inbound: { action: "tun", ...TARGET, flow: addressOf(4, 2), destination4: { from: addressOf(4, 1), to: addressOf(4, 2) }, destination6: { from: addressOf(6, 1), to: addressOf(6, 3) } } },
  { kind: "setInbound", id: idOf(9), inbound: { action: "upcall" } },
  { kind: "setHipResponder", responder: RESPONDERS[0] ?? null },
  { kind: "setInboundAssociation", spi: SPIS[0], association: { ...TARGET, transform: GCM, beet: 4, checksumState: true, watch: { from: LOCATORS[0]! } } },
  { kind: "setInboundAssociation", spi: SPIS[1], association: { ...TARGET, transform: CBC, beet: 6, checksumState: false, source4: { from: addressOf(4, 0), to: addressOf(4, 3) } } },
  { kind: "setInboundAssociation", spi: SPIS[2], association: { ...TARGET, transform: NULL, beet: 6, checksumState: true, flow: addressOf(6, 2), destination6: { from: addressOf(6, 1), to: addressOf(6, 3) } } },
];

/** Every strength, with ways that send, wait, refuse and are not there. What comes in is of flow 1 or 2. */
const SERVICES: readonly Operation[] = [
  ...HOST,
  ...([4, 6] as const).flatMap((version): Operation[] => [
    { kind: "setFlow", address: addressOf(version, 1), strength: 0, flow: { action: "tunnel", header: dataPacket({ ids: [idOf(3)] }), source: addressOf(version, 0), mtu: 1_300 } },
    { kind: "setFlow", address: addressOf(version, 1), strength: 1, flow: { action: "esp", association: NAMES[1], header: null, locator: LOCATORS[2] ?? null, source: addressOf(version, 0), mtu: 1_280 } },
    { kind: "setFlow", address: addressOf(version, 2), strength: 0, flow: { action: "setup" } },
    { kind: "setFlow", address: addressOf(version, 3), strength: 1, flow: { action: "refuse" } },
    ...[1, 2, 3].map((index): Operation => ({
      kind: "setServices", address: addressOf(version, index),
      services: {
        services: [
          { protocol: version === 4 ? 1 : 58, ports: [], strength: 0 }, { protocol: 6, ports: [{ first: 22, last: 22 }], strength: 2 }, { protocol: 6, ports: [], strength: 1 }, { protocol: 17, ports: [{ first: 5_000, last: 5_000 }], strength: 0 },
        ],
        rest: index === 2 ? null : 2,
      },
    })),
  ]),
  { kind: "setInbound", id: idOf(1), inbound: { action: "tun", ...TARGET, strength: 0 } },
  { kind: "setInboundAssociation", spi: SPIS[0], association: { ...TARGET, transform: GCM, beet: 4, checksumState: true, strength: 1 } },
];

/** A peer with hosts behind it, as a gateway has, and for which packets are passed on, as for a gateway's client. */
const FORWARDING: readonly Operation[] = [
  ...HOST,
  ...([4, 6] as const).flatMap((version): Operation[] => [
    { kind: "setFlow", address: addressOf(version, 0), flow: { action: "esp", association: NAMES[version === 4 ? 0 : 1], header: null, locator: LOCATORS[1] ?? null, source: addressOf(version, 0), mtu: 1_400 } },
    { kind: "setBehind", address: addressOf(version, BEHIND), bits: version === 4 ? 32 : 128, flow: addressOf(version, 0) },
    { kind: "setForwarding", flow: addressOf(version, 0), isOn: true },
    { kind: "setForwarding", flow: addressOf(version, 1), isOn: true },
  ]),
];

/** The same, and what the first address sends to the one behind is of the other family for the TUN. */
const TRANSLATION: readonly Operation[] = [
  ...FORWARDING,
  ...([4, 6] as const).flatMap((version): Operation[] => [
    { kind: "setForwarding", flow: addressOf(version, 0), isOn: true, other: addressOf(version === 4 ? 6 : 4, 0) },
    { kind: "setForwarding", flow: addressOf(version, 1), isOn: true, other: addressOf(version === 4 ? 6 : 4, 1) },
    // The second peer calls so what is another one to the system.
    ...[0, 1].map((peer): Operation => ({ kind: "setTranslation", flow: addressOf(version, peer), from: addressOf(version, BEHIND), to: addressOf(version === 4 ? 6 : 4, peer === 0 ? TRANSLATED : 2) })),
  ]),
  { kind: "setFlow", address: addressOf(6, 1), flow: { action: "tunnel", header: dataPacket({ ids: [idOf(0)] }), source: addressOf(6, 0), mtu: 1_280 } },
];

const SERVER: readonly Operation[] = [
  { kind: "setResponsibility", range: { kind: "range", from: ringKeyOf(1), to: ringKeyOf(0) } },
  { kind: "setTriggers", ringKey: ringKeyOf(0), triggers: [{ id: idOf(0), target: { kind: "locator", locator: LOCATORS[2] ?? LOCATORS[0]! } }] },
  { kind: "setTriggers", ringKey: ringKeyOf(2), triggers: [{ id: idOf(2), target: { kind: "stack", ids: [idOf(0), idOf(3)] } }, { id: idOf(6), target: { kind: "locator", locator: LOCATORS[3] ?? LOCATORS[0]! } }] },
  { kind: "setNextServer", ringKey: ringKeyOf(1), locator: LOCATORS[4] ?? null },
  { kind: "setRefreshAnswers", answers: { range: { kind: "all" }, replicas: LOCATORS.slice(3, 4), lifeMs: 30_000 } },
  { kind: "setChallengeAnswers", answers: { range: { kind: "all" }, secret: new Uint8Array(32).fill(4), nodeKey: ringKeyOf(3), wallOffsetMs: 1_700_000_000_000 } },
  { kind: "setLease", id: idOf(0), lease: { owner: LOCATORS[0]!, token: tokenAt(0), index: 0, endMs: 60_000, isReplica: false } },
  { kind: "setLease", id: idOf(1), lease: { owner: LOCATORS[1]!, token: tokenAt(200), index: 200, endMs: 60_000, isReplica: true } },
];

export const BEGINNINGS: Readonly<Record<Beginning, readonly Operation[]>> = { nothing: [], host: HOST, services: SERVICES, forwarding: FORWARDING, translation: TRANSLATION, server: SERVER, both: [...HOST, ...SERVER] };

/** Entries of the tables as fast-check makes them, and the small parts that all recipes use. */
import fc from "fast-check";
import type { AddressRewrite, Flow, InboundAssociation, Responsibility, Service, Services, Strength, TriggerEntry } from "../../src/datapath.js";
import { dataPacket } from "../reference/harness.js";
import { concat, data } from "../reference/packets.js";
import { addressOf, BEHIND, ID_COUNT, idOf, LOCATORS, ROUTES, NAMES, ringKeyOf, RING_BYTES, SPIS, TRANSFORMS, type Family } from "./pools.js";

export const family = fc.constantFrom<Family>(4, 6);
export const address = fc.tuple(family, fc.oneof({ arbitrary: fc.nat(3), weight: 12 }, { arbitrary: fc.nat(8), weight: 1 })).map(([version, index]) => addressOf(version, index));
export const behind = family.map((version) => addressOf(version, BEHIND));
export const idIndex = fc.nat(ID_COUNT - 1);
export const id = idIndex.map(idOf);
export const ringKey = fc.nat(RING_BYTES.length - 1).map(ringKeyOf);
export const locator = fc.constantFrom(...LOCATORS);
export const spiIndex = fc.nat(SPIS.length - 1);
export const name = fc.constantFrom(...NAMES);
export const transformIndex = fc.nat(TRANSFORMS.length - 1);
export const trafficClass = fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, { arbitrary: fc.constantFrom(1, 2, 3, 0xb8, 0xb9, 0xbb, 0xff), weight: 2 }, { arbitrary: fc.nat(255), weight: 1 });
// 65,535 is none in the native engine.
const mtu = fc.constantFrom(undefined, undefined, 1_280, 1_281, 1_360, 1_400, 9_000, 65_534);
const shortMtu = fc.oneof(mtu, fc.constantFrom(576, 577, 600, 1_144));
const header = (payloadKind: number, set: fc.Arbitrary<number>): fc.Arbitrary<Uint8Array> =>
  fc.tuple(fc.array(id, { minLength: 1, maxLength: 3 }), fc.nat(7), set).map(([ids, flags, more]) => concat(dataPacket({ ids, payloadKind, flags }), data(more)));

export function flowOf(version: Family): fc.Arbitrary<Flow | null> {
  const sending = fc.record({ source: fc.oneof({ arbitrary: fc.constant(0), weight: 7 }, { arbitrary: fc.nat(3), weight: 1 }).map((index) => addressOf(version, index)), mtu: shortMtu });
  const withoutNone = ({ source, mtu: value }: { source: Uint8Array; mtu: number | undefined }): { source: Uint8Array; mtu?: number } => (value === undefined ? { source } : { source, mtu: value });
  const way = fc.oneof(
    header(4, fc.constant(0)).map((bytesOfHeader) => ({ header: bytesOfHeader, locator: null })),
    fc.constantFrom(...ROUTES).map((to) => ({ header: null, locator: to })),
    // Few, so that the same is set again.
    fc.tuple(fc.option(header(4, fc.constant(0))), fc.constantFrom(ROUTES[1]!, ROUTES[7]!), fc.constantFrom(1, 100, 400, 3_000), fc.constantFrom(0, 0, 2 ** 32 - 1)).map(([bytesOfHeader, to, credit, account]) => ({ header: bytesOfHeader, locator: to, credit: { account, bytes: credit } })),
  );
  return fc.oneof(
    { arbitrary: fc.constant(null), weight: 1 },
    { arbitrary: fc.constant<Flow>({ action: "setup" }), weight: 3 },
    { arbitrary: fc.constant<Flow>({ action: "refuse" }), weight: 1 },
    { arbitrary: fc.tuple(sending, header(1, fc.constantFrom(0, 0, 30))).map(([more, bytesOfHeader]): Flow => ({ action: "tunnel", header: bytesOfHeader, ...withoutNone(more) })), weight: 4 },
    { arbitrary: fc.tuple(sending, way, name).map(([more, route, association]): Flow => ({ action: "esp", association, ...route, ...withoutNone(more) })), weight: 6 },
  );
}

/** A host behind a peer, or a prefix in which it is, or others are. */
export const prefix = fc.tuple(family, fc.constantFrom(0, 1, 8, 22, 24, 31, 32, 32, 64, 120, 127, 128, 128, 128)).map(([version, bits]) => {
  const address = addressOf(version, BEHIND);
  const whole = Math.min(bits, address.length * 8);
  return { version, bits: whole, address: address.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, whole - i * 8)))) };
});

const someStrength = fc.constantFrom<Strength[]>(0, 1, 2);
/** Of a way; undefined: as if nobody knew of strengths. */
export const strength = fc.oneof({ arbitrary: fc.constant(undefined), weight: 2 }, { arbitrary: someStrength, weight: 3 });
const PORTS: readonly Service["ports"][] = [[], [{ first: 22, last: 22 }], [{ first: 5_000, last: 5_000 }], [{ first: 0, last: 21 }, { first: 53, last: 53 }, { first: 5_001, last: 65_535 }], [{ first: 0, last: 65_535 }], [{ first: 80, last: 4_999 }]];
const service: fc.Arbitrary<Service> = fc.oneof(
  fc.record({ protocol: fc.constantFrom(6, 17, 6, 17, 132), ports: fc.constantFrom(...PORTS), strength: someStrength }),
  fc.record({ protocol: fc.oneof(fc.constantFrom(1, 58, 6, 17, 47, 44), fc.nat(255)), ports: fc.constant([]), strength: someStrength }),
);
export const services: fc.Arbitrary<Services> = fc.record({
  services: fc.oneof({ arbitrary: fc.array(service, { maxLength: 4 }), weight: 9 }, { arbitrary: fc.array(service, { minLength: 32, maxLength: 32 }), weight: 1 }),
  rest: fc.constantFrom<(Strength | null)[]>(null, 0, 1, 2, 2),
});

const rewrite = (version: Family, from: number): fc.Arbitrary<AddressRewrite | null> =>
  fc.tuple(fc.nat(9), fc.nat(3)).map(([what, to]) => (what === 0 ? null : { from: addressOf(version, from), to: addressOf(version, what < 6 ? from : to) }));
/** Most packets of the suite go from the pool's first address to its second, so most entries are for them. */
export const tunTarget = fc.tuple(fc.constantFrom(0, 0, 0, 2), fc.constantFrom(1, 1, 1, 2, 3)).chain(([source, destination]) =>
  fc.record({ flow: address, strength: someStrength, source4: rewrite(4, source), destination4: rewrite(4, destination), source6: rewrite(6, source), destination6: rewrite(6, destination) }),
);
export const association = fc.record({ transform: fc.constantFrom(...TRANSFORMS), beet: fc.constantFrom<(4 | 6 | null)[]>(4, 6, null), checksumState: fc.boolean() });
/** Of inbound ones; undefined: nothing is watched. */
export const watch = fc.constantFrom<InboundAssociation["watch"][]>(undefined, undefined, { from: null }, { from: LOCATORS[0]! }, { from: LOCATORS[3]! }, { from: { address: LOCATORS[1]!.address, port: 50 } });
export const firstSequence = fc.constantFrom(undefined, undefined, 1n, 2n, 0xffff_fffen, 0x1_0000_0000n, (1n << 64n) - 3n, (1n << 64n) - 1n);

const target = fc.oneof(
  { arbitrary: locator.map((to): TriggerEntry["target"] => ({ kind: "locator", locator: to })), weight: 3 },
  { arbitrary: fc.array(id, { minLength: 1, maxLength: 4 }).map((ids): TriggerEntry["target"] => ({ kind: "stack", ids })), weight: 2 },
  { arbitrary: id.map((only): TriggerEntry["target"] => ({ kind: "stack", ids: Array.from({ length: 15 }, () => only) })), weight: 1 },
);
export const triggers = fc.nat(RING_BYTES.length - 1).chain((ring) => {
  const own = fc.nat(ID_COUNT / RING_BYTES.length - 1).map((suffix) => idOf(ring + RING_BYTES.length * suffix));
  const entries = (maxLength: number): fc.Arbitrary<TriggerEntry[]> => fc.array(fc.record({ id: own, target }), { maxLength });
  return fc.record({ kind: fc.constant("setTriggers" as const), ringKey: fc.constant(ringKeyOf(ring)), triggers: fc.oneof({ arbitrary: entries(3), weight: 8 }, { arbitrary: entries(20), weight: 1 }) });
});
const ringEnd = fc.oneof(ringKey, fc.nat(255).map((value) => new Uint8Array(16).fill(value)));
export const responsibility = fc.oneof(
  { arbitrary: fc.constant<Responsibility>({ kind: "all" }), weight: 3 },
  { arbitrary: fc.constant<Responsibility>({ kind: "none" }), weight: 1 },
  { arbitrary: fc.tuple(ringEnd, ringEnd).map(([from, to]): Responsibility => ({ kind: "range", from, to })), weight: 3 },
);

/** What comes from the TUN and from UDP, as recipes; and how it is made, but for what only a peer with keys can seal. */
import fc from "fast-check";
import { CHECKSUM } from "../../src/reference/step.js";
import { bytes, concat, data, packet } from "../reference/packets.js";
import { checksumPlace, packetsOfTrain, DATA_VALID, GSO, lengthOf, NEEDS_CHECKSUM, NO_VNET, placeOf, summed, TCP, UDP, withHeaderChecksum, withPartialChecksum, withVnet, type Vnet } from "./cut.js";
import type { TunArrival } from "./engine-pair.js";
import { buildPacket, damages, packetRecipes, ports, tcpMessage, udpMessage, type Damage, type PacketRecipe } from "./packet-recipes.js";
import { hipPacket, hit, i2, NO_HIT, parameter } from "../reference/hip.js";
import { addressOf, HITS, idOf, RESPONDERS, ROUTES, nonceOf, type Family } from "./pools.js";
import { family, idIndex, spiIndex, trafficClass, transformIndex } from "./table-recipes.js";

export interface EspRecipe {
  readonly spi: number;
  /** null: that of the inbound association. */
  readonly transform: number | null;
  readonly beet: boolean;
  readonly inner: PacketRecipe;
  /** null: the inner packet's. */
  readonly nextHeader: number | null;
  /** Blocks of padding above the least. */
  readonly padding: number;
  /** Whether the text is not filled to whole blocks, and what the pad length says more than there is. */
  readonly untidy: boolean;
  readonly overstated: number;
  /** How far beyond the last number. */
  readonly advance: number;
  readonly partial: boolean;
}

/** Most are what the entries of a host are for. */
const arriving = fc.tuple(packetRecipes, fc.nat(4)).map(([recipe, other]): PacketRecipe => (other === 0 ? recipe : { ...recipe, source: 0, destination: 1 }));
const espRecipes: fc.Arbitrary<EspRecipe> = fc.record({
  spi: spiIndex,
  transform: fc.option(transformIndex, { freq: 12 }).map((value) => (value === null || value % 7 !== 0 ? null : value)),
  beet: fc.boolean(),
  inner: arriving,
  nextHeader: fc.option(fc.constantFrom(4, 41, 59, 6, 17, 1, 58, 47, 0, 44, 60, 255), { freq: 6 }).map((value) => value),
  padding: fc.oneof({ arbitrary: fc.nat(2), weight: 9 }, { arbitrary: fc.nat(15), weight: 1 }),
  untidy: fc.nat(19).map((value) => value === 19),
  overstated: fc.oneof({ arbitrary: fc.constant(0), weight: 19 }, { arbitrary: fc.nat(255), weight: 1 }),
  advance: fc.oneof({ arbitrary: fc.constant(1), weight: 12 }, { arbitrary: fc.constantFrom(0, -1, -2, 2, 3, 64, 8_191, 8_192, 8_193, -8_191, -8_192, 100_000, 0x7fff_ff00, 0x8000_0000, 0xffff_ff00), weight: 4 }),
  partial: fc.boolean(),
});

/** A HIP packet; what is no I1 is one with another type. */
export interface HipRecipe {
  readonly type: number;
  readonly sender: number;
  /** Which of {@link HITS} it is for. */
  readonly receiver: number;
  /** Its DH_GROUP_LIST; empty: none. */
  readonly groups: readonly number[];
  readonly parameters: readonly (readonly [type: number, bytes: number])[];
  /** I3_RETURN_ID between them. */
  readonly returnId: number | null;
  /** In place of all this an I2 that has solved a puzzle of one of {@link RESPONDERS}, but for a bit of SOLUTION. */
  readonly solution: { readonly responder: number; readonly epoch: number; readonly isForSource: boolean; readonly wrong: number | null } | null;
  readonly length: number;
}

const hipRecipes: fc.Arbitrary<HipRecipe> = fc.record({
  type: fc.oneof({ arbitrary: fc.constant(1), weight: 6 }, { arbitrary: fc.constantFrom(2, 3, 16, 127), weight: 2 }),
  sender: fc.nat(9),
  receiver: fc.oneof({ arbitrary: fc.constant(0), weight: 5 }, { arbitrary: fc.nat(HITS.length - 1), weight: 3 }),
  groups: fc.constantFrom([7], [7], [8, 7], [8], [4, 9], [...Array.from({ length: 16 }, () => 8), 7], []),
  parameters: fc.oneof({ arbitrary: fc.constant([]), weight: 3 }, { arbitrary: fc.array(fc.tuple(fc.constantFrom(511, 32_770, 32_772, 32_778), fc.oneof(fc.constantFrom(31, 32, 33), fc.nat(100))), { maxLength: 4 }), weight: 3 }, { arbitrary: fc.constantFrom(...[12, 13, 14, 15].map((length) => Array.from({ length }, () => [40_000, 1] as const))), weight: 1 }),
  returnId: fc.option(idIndex, { freq: 3 }).map((value) => value),
  solution: fc.option(
    fc.record({ responder: fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, { arbitrary: fc.nat(RESPONDERS.length - 1), weight: 1 }), epoch: fc.nat(1), isForSource: fc.boolean(), wrong: fc.option(fc.nat(8 * 100 - 1), { freq: 1 }) }),
    { freq: 1 },
  ).map((value) => value),
  length: fc.constantFrom(0, 320, 400, 1_232, 2_048),
});

/** @param from address of its sender, 16 bytes */
export function hipOf({ type, sender, receiver, groups, parameters, returnId, solution, length }: HipRecipe, from: Uint8Array): Uint8Array {
  if (solution !== null) return solved({ sender: hit(sender), returnId: idOf(returnId ?? 1) }, solution, from);
  const before = [...(groups.length === 0 ? [] : [parameter(511, bytes(...groups))]), ...parameters.map(([number, count]) => parameter(number, data(count))), ...(returnId === null ? [] : [parameter(32_770, idOf(returnId))])];
  const least = before.reduce((sum, { length: one }) => sum + one, 40);
  return hipPacket(type, hit(sender), HITS[receiver] ?? NO_HIT, ...before, ...(length > least ? [parameter(32_778, data(length - least - 4))] : []));
}

function solved(fields: { readonly sender: Uint8Array; readonly returnId: Uint8Array }, { responder, epoch, isForSource, wrong }: NonNullable<HipRecipe["solution"]>, from: Uint8Array): Uint8Array {
  const given = RESPONDERS[responder] ?? RESPONDERS[0]!;
  const edit = (contents: Uint8Array): Uint8Array => contents.map((byte, i) => (wrong !== null && wrong >> 3 === i ? byte ^ (1 << (wrong & 7)) : byte));
  return i2(given, isForSource ? from : fields.returnId, { ...fields, epoch: epoch % given.puzzles.length, edit });
}

export type Content = { readonly what: "hip"; readonly recipe: HipRecipe } | { readonly what: "packet"; readonly recipe: PacketRecipe } | { readonly what: "esp"; readonly recipe: EspRecipe } | { readonly what: "again"; readonly index: number } | { readonly what: "bytes"; readonly length: number };

const contents: fc.Arbitrary<Content> = fc.oneof(
  { arbitrary: fc.record({ what: fc.constant("packet" as const), recipe: arriving }), weight: 6 },
  { arbitrary: fc.record({ what: fc.constant("esp" as const), recipe: espRecipes }), weight: 5 },
  { arbitrary: fc.record({ what: fc.constant("hip" as const), recipe: hipRecipes }), weight: 4 },
  { arbitrary: fc.record({ what: fc.constant("again" as const), index: fc.nat(40) }), weight: 3 },
  { arbitrary: fc.record({ what: fc.constant("bytes" as const), length: fc.oneof(fc.nat(60), fc.constantFrom(1_232, 1_233, 3_000)) }), weight: 1 },
);

export interface DatagramRecipe {
  /** Without a data header, behind one, behind four zero bytes, or bytes with this first one. */
  readonly form: "bare" | "data" | "marked" | number;
  readonly flags: number;
  readonly hopLimit: number;
  readonly copyBudget: number;
  readonly ids: readonly number[];
  /** What the stack length says more than there is. */
  readonly overstated: number;
  readonly payloadKind: number | null;
  readonly content: Content;
  readonly from: number;
  readonly port: number | null;
  readonly trafficClass: number;
  readonly damage: Damage;
  /** How many in one train, what the last lacks, and bytes that differ in one of them. */
  readonly train: { readonly count: number; readonly shorter: number; readonly edits: readonly (readonly [which: number, at: number, value: number])[] } | null;
}

/** HIP where it is looked at: otherwise hardly any would get there. */
const withHip = (recipe: DatagramRecipe): DatagramRecipe =>
  recipe.content.what !== "hip" ? recipe : { ...recipe, form: recipe.form === "data" ? "data" : "marked", ids: recipe.ids.length === 1 ? [9] : recipe.ids, payloadKind: recipe.payloadKind === 1 ? 1 : null };

export const datagramRecipes: fc.Arbitrary<DatagramRecipe> = fc.record({
  form: fc.oneof({ arbitrary: fc.constant("data" as const), weight: 12 }, { arbitrary: fc.constant("bare" as const), weight: 8 }, { arbitrary: fc.constant("marked" as const), weight: 3 }, { arbitrary: fc.constantFrom(0x19, 0x19, 0xff), weight: 2 }, { arbitrary: fc.nat(255), weight: 1 }),
  flags: fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, { arbitrary: fc.nat(7), weight: 3 }, { arbitrary: fc.nat(255), weight: 1 }),
  hopLimit: fc.oneof({ arbitrary: fc.constant(16), weight: 4 }, { arbitrary: fc.constantFrom(0, 1, 2, 3, 15, 17, 255), weight: 2 }),
  copyBudget: fc.oneof({ arbitrary: fc.constant(255), weight: 4 }, { arbitrary: fc.constantFrom(0, 1, 2, 3, 7, 20, 64), weight: 2 }),
  ids: fc.oneof({ arbitrary: fc.constantFrom([1], [5], [9], [1, 0]), weight: 8 }, { arbitrary: fc.array(idIndex, { minLength: 1, maxLength: 3 }), weight: 8 }, { arbitrary: fc.array(idIndex, { maxLength: 16 }), weight: 2 }),
  overstated: fc.oneof({ arbitrary: fc.constant(0), weight: 19 }, { arbitrary: fc.constantFrom(-1, 1, 200), weight: 1 }),
  payloadKind: fc.option(fc.nat(7), { freq: 4 }).map((value) => value),
  content: contents,
  from: fc.nat(ROUTES.length - 1),
  port: fc.oneof({ arbitrary: fc.constant(null), weight: 30 }, { arbitrary: fc.constantFrom(0, 1), weight: 1 }),
  trafficClass,
  damage: damages,
  train: fc.oneof(
    { arbitrary: fc.constant(null), weight: 5 },
    { arbitrary: fc.record({ count: fc.oneof(fc.integer({ min: 2, max: 5 }), fc.constantFrom(63, 64, 65)), shorter: fc.oneof(fc.constant(0), fc.nat(100)), edits: fc.array(fc.tuple(fc.nat(70), fc.oneof(fc.nat(7), fc.nat(120)), fc.nat(255)), { maxLength: 2 }) }), weight: 2 },
  ),
}).map(withHip);

/** A row of segments or datagrams of some flows, as a receiver's host gets them. */
export interface StreamRecipe {
  readonly family: Family;
  readonly protocol: "tcp" | "udp";
  readonly flows: number;
  readonly count: number;
  readonly payloadBytes: number;
  readonly lastBytes: number;
  readonly trafficClass: number;
  readonly ttl: number;
  readonly fragment: number;
  readonly options: "none" | "times";
  /** What ESP says of it; `odd`: right, with padding that says nothing. */
  readonly checksum: "right" | "partial" | "verified" | "odd";
  /** Changes of one packet: its number, and a byte of it before its checksums are made (null: after). */
  readonly changes: readonly { readonly which: number; readonly at: number; readonly value: number; readonly late: boolean }[];
  /** Swaps a packet with the next. */
  readonly swaps: readonly number[];
  /** Behind a header to an inbound id, bare ESP, or from the control plane. */
  readonly way: { readonly kind: "data"; readonly id: number } | { readonly kind: "esp"; readonly spi: number; readonly beet: boolean } | { readonly kind: "inject" };
}

export const streamRecipes: fc.Arbitrary<StreamRecipe> = fc.record({
  family,
  protocol: fc.constantFrom("tcp", "udp"),
  flows: fc.constantFrom(1, 1, 2, 4, 5, 6),
  count: fc.oneof(fc.integer({ min: 2, max: 10 }), fc.constantFrom(63, 64, 65, 70)),
  payloadBytes: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constantFrom(1_000, 1_300, 1_340)),
  lastBytes: fc.oneof(fc.constant(60), fc.nat(60)),
  trafficClass,
  ttl: fc.oneof({ arbitrary: fc.constant(64), weight: 8 }, { arbitrary: fc.constant(63), weight: 1 }),
  fragment: fc.oneof({ arbitrary: fc.constant(0x4000), weight: 8 }, { arbitrary: fc.constant(0), weight: 1 }),
  options: fc.constantFrom<("none" | "times")[]>("none", "times"),
  checksum: fc.constantFrom<StreamRecipe["checksum"][]>("right", "right", "partial", "verified", "odd"),
  changes: fc.array(fc.record({ which: fc.nat(20), at: fc.nat(70), value: fc.oneof(fc.constantFrom(0x10, 0x18, 0x11, 0x02, 0, 1), fc.nat(255)), late: fc.boolean() }), { maxLength: 2 }),
  swaps: fc.array(fc.nat(20), { maxLength: 1 }),
  way: fc.oneof(
    { arbitrary: fc.record({ kind: fc.constant("data" as const), id: idIndex.map((index) => (index % 2 === 0 ? 1 : index)) }), weight: 2 },
    { arbitrary: fc.record({ kind: fc.constant("esp" as const), spi: spiIndex, beet: fc.boolean() }), weight: 3 },
    { arbitrary: fc.record({ kind: fc.constant("inject" as const) }), weight: 1 },
  ),
});

export interface TunRecipe {
  readonly packet: PacketRecipe;
  /** What the vnet header says of the checksum: `other` names bytes of its own. */
  readonly checksum: "complete" | "partial" | "verified" | "other";
  /** With `other`. */
  readonly start: number;
  readonly offset: number;
  /** A train cut every so many bytes; and what of its vnet header contradicts it. */
  readonly gsoBytes: number | null;
  readonly gsoType: number | null;
}

export const tunRecipes: fc.Arbitrary<TunRecipe> = fc.record({
  packet: packetRecipes,
  checksum: fc.constantFrom("complete", "complete", "partial", "partial", "verified", "other"),
  start: fc.nat(80),
  offset: fc.constantFrom(0, 2, 6, 16),
  gsoBytes: fc.oneof({ arbitrary: fc.constant(null), weight: 7 }, { arbitrary: fc.constantFrom(1, 7, 100, 536, 1_000, 1_340, 1_448), weight: 3 }, { arbitrary: fc.constant(0), weight: 1 }),
  gsoType: fc.option(fc.constantFrom(GSO.tcp4, GSO.tcp6, GSO.udp, 2, 3, 0x7f, GSO.ecn, GSO.ecn | GSO.tcp4, GSO.ecn | GSO.tcp6), { freq: 6 }).map((value) => value),
});

export function dataHeader({ flags, hopLimit, copyBudget, ids, overstated, payloadKind, content }: DatagramRecipe): Uint8Array {
  const kind = payloadKind ?? (content.what === "packet" ? 1 : content.what === "bytes" ? 2 : content.what === "hip" ? 3 : 4);
  return concat(bytes(0x11, flags, hopLimit, copyBudget, (ids.length + overstated) & 255, kind, 0, 0), nonceOf(ids.length), ...ids.map(idOf));
}

export function trainOf(one: Uint8Array, { count, shorter, edits }: NonNullable<DatagramRecipe["train"]>): { readonly bytes: Uint8Array; readonly segmentBytes: number } {
  const fitting = one.length === 0 ? 1 : Math.max(1, Math.min(count, Math.floor(65_507 / one.length)));
  const all = Array.from({ length: fitting }, () => Uint8Array.from(one));
  for (const [which, at, value] of edits) {
    const piece = all[which % fitting];
    if (piece !== undefined && piece.length > 0) piece[at % piece.length] = value;
  }
  const train = concat(...all);
  return { bytes: train.subarray(0, train.length - (fitting > 1 ? Math.min(shorter, one.length - 1) : 0)), segmentBytes: one.length };
}

export function streamPackets(stream: StreamRecipe): readonly Uint8Array[] {
  const { family: version, protocol, flows, count, payloadBytes, lastBytes, trafficClass: innerClass, ttl, fragment, options, checksum, changes, swaps } = stream;
  const packets = Array.from({ length: count }, (_, i) => {
    const [flow, index] = [i % flows, Math.floor(i / flows)];
    const payload = data(i >= count - flows ? Math.min(lastBytes, payloadBytes) : payloadBytes, i);
    const portPair = [ports.source + flow, ports.destination] as const;
    const message = protocol === "udp" ? udpMessage(payload, portPair) : tcpMessage(i === count - 1 ? 0x18 : 0x10, options === "none" ? bytes() : bytes(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8), (1 + index * payloadBytes) >>> 0, payload, portPair);
    const whole = Uint8Array.from(packet(addressOf(version, 0), addressOf(version, 1), protocol === "udp" ? UDP : TCP, message));
    if (version === 4) whole.set([innerClass], 1);
    else whole.set([0x60 | (innerClass >> 4), (innerClass & 15) << 4], 0);
    whole.set([ttl], version === 4 ? 8 : 7);
    if (version === 4) whole.set([i >> 8, i & 255, fragment >> 8, fragment & 255], 4);
    return whole;
  });
  const change = (late: boolean): void => {
    for (const { which, at, value, late: when } of changes) {
      const piece = packets[which % count];
      if (late === when && piece !== undefined) piece[at % piece.length] = value;
    }
  };
  change(false);
  const finished = packets.map((whole) => {
    const place = lengthOf(whole) === whole.length ? checksumPlace(whole) : undefined;
    const header = (whole[0] ?? 0) === 0x45 ? withHeaderChecksum(whole) : whole;
    if (place === undefined) return header;
    const partial = withPartialChecksum(header);
    return checksum === "partial" ? partial : summed(partial, place.start, place.field, place.protocol === UDP);
  });
  finished.forEach((whole, i) => (packets[i] = Uint8Array.from(whole)));
  change(true);
  for (const at of swaps) if (at + 1 < packets.length) packets.splice(at, 2, packets[at + 1]!, packets[at]!);
  return packets;
}

/** A single packet with a checksum state. */
export function plainArrival(packetBytes: Uint8Array, state: number): TunArrival {
  const flags = state === CHECKSUM.verified ? DATA_VALID : state === CHECKSUM.partial ? NEEDS_CHECKSUM : 0;
  const length = lengthOf(packetBytes);
  const place = state === CHECKSUM.partial && length !== undefined ? checksumPlace(packetBytes.subarray(0, length)) : undefined;
  const [checksumStart, checksumOffset] = place === undefined ? (state === CHECKSUM.partial ? [65_535, 65_535] : [0, 0]) : [place.start, place.field - place.start];
  return { vnetPacket: withVnet({ ...NO_VNET, flags, checksumStart, checksumOffset }, packetBytes), packets: [{ bytes: packetBytes, state }] };
}

export function tunArrival(recipe: TunRecipe): TunArrival {
  const { checksum, start, offset, gsoBytes } = recipe;
  const built = buildPacket(recipe.packet).subarray(0, 65_535);
  // More pieces than the reference's output has room for would be dropped there.
  if (gsoBytes !== null) return superArrival(recipe, built, gsoBytes === 0 ? 0 : Math.max(gsoBytes, Math.ceil(built.length / 500)));
  const length = lengthOf(built);
  const whole = length === undefined ? undefined : built.subarray(0, length);
  const place = whole === undefined ? undefined : checksumPlace(whole);
  if (checksum === "other") return otherArrival(built, start, offset);
  if (checksum !== "partial" || whole === undefined || place === undefined) return plainArrival(built, CHECKSUM[checksum]);
  return plainArrival(concat(withPartialChecksum(whole), built.subarray(whole.length)), CHECKSUM.partial);
}

/** A checksum to complete that may be that of another protocol: then it is completed at once. */
function otherArrival(built: Uint8Array, start: number, offset: number): TunArrival {
  const vnetPacket = withVnet({ ...NO_VNET, flags: NEEDS_CHECKSUM, checksumStart: start, checksumOffset: offset }, built);
  const length = lengthOf(built);
  const field = start + offset;
  if (length === undefined) return { vnetPacket, packets: [{ bytes: built, state: CHECKSUM.complete }] };
  const whole = built.subarray(0, length);
  if (checksumPlace(whole)?.field === field) return { vnetPacket, packets: [{ bytes: built, state: CHECKSUM.partial }] };
  if (start >= length || field + 2 > length) return { vnetPacket, packets: [{ bytes: built, state: CHECKSUM.complete }] };
  return { vnetPacket, packets: [{ bytes: concat(summed(whole, start, field, false), built.subarray(length)), state: CHECKSUM.complete }] };
}

function superArrival({ gsoType }: TunRecipe, built: Uint8Array, gsoBytes: number): TunArrival {
  const length = lengthOf(built);
  const place = length === undefined ? undefined : placeOf(built.subarray(0, length));
  const fitting = place?.protocol === UDP ? GSO.udp : (built[0] ?? 0) >> 4 === 6 ? GSO.tcp6 : GSO.tcp4;
  const vnet: Vnet = { flags: NEEDS_CHECKSUM, gsoType: gsoType ?? fitting, headerBytes: 0, gsoBytes, checksumStart: place?.at ?? 0, checksumOffset: place?.protocol === UDP ? 6 : 16 };
  const pieces = packetsOfTrain(vnet, built);
  // One packet that is none has the same end as a train that is none.
  const packets = pieces === undefined ? [{ bytes: bytes(0), state: CHECKSUM.complete }] : pieces.map((piece) => ({ bytes: piece, state: CHECKSUM.partial }));
  return { vnetPacket: withVnet(vnet, built), packets };
}

/**
 * Both engines side by side: the same changes and the same packets for each, and everything that can be seen compared.
 *
 * Two things may differ, both only in packets that the native engine joined to a train for the TUN: the order between streams,
 * and the IPv4 identification of packets that must not be fragmented (with its part of the header's checksum).
 */
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";
import type { ViaLocator } from "@i3/common";
import type { Counters, Datapath, FlowCounters, Refreshed, SendFailure, Upcall } from "../../src/datapath.js";
import type { NativeEngineAddon, RawDatagram, VnetPacket } from "../../src/native-addon.js";
import { NativeEngine, type SteppedNativeEngine } from "../../src/native-engine.js";
import { encodeRoute } from "../../src/reference/endpoints.js";
import { ReferenceEngine } from "../../src/reference/engine.js";
import type { QueueState } from "../../src/reference/fair-shares.js";
import { ADDRESS_SLOT_BYTES, CHECKSUM, WAY_SLOT_BYTES, makeDatagramBatch, makePacketBatch, type DatagramBatch, type PacketBatch, type StepInput } from "../../src/reference/step.js";
import { be16, fullChecksum } from "../reference/packets.js";
import { checksumPlace, completedPacket, packetsOfTrain, cutTrain, GSO, lengthOf, NEEDS_CHECKSUM, placeOf, summed, takeVnet, TCP, UDP, versionOf } from "./cut.js";
import { addressOf, BEHIND, FLOW_ADDRESSES, NAMES } from "./pools.js";

/** One read of the native engine's TUN, and the packets that it stands for. */
export interface TunArrival {
  readonly vnetPacket: VnetPacket;
  readonly packets: readonly { readonly bytes: Uint8Array; readonly state: number }[];
}

interface TunPacket {
  readonly bytes: Uint8Array;
  /** The native engine had joined it with others. */
  readonly joined: boolean;
  /** Came as partial or verified, so that nobody computed it. */
  readonly trusted: boolean;
}

interface Outcome {
  readonly tun: readonly TunPacket[];
  readonly udp: readonly string[];
  readonly datagrams: readonly Uint8Array[];
  readonly upcalls: readonly string[];
}

/** All that both engines were asked and said the same. */
export class Difference extends Error {
  constructor(what: string, native: unknown, reference: unknown) {
    super(`${what}\n  native:    ${show(native)}\n  reference: ${show(reference)}`);
  }
}

// Rooms are taken over and over: they are large, and the engines write only what they use.
const SLOTS = 1_024;
const SLOT_BYTES = 66_000;
const tunOut = makePacketBatch(SLOTS, SLOT_BYTES);
const udpOut = makeDatagramBatch(SLOTS, SLOT_BYTES);

/** Another build of the addon, to see that the suite finds what is wrong with it. */
const ADDON = process.env["I3_CONFORMANCE_ADDON"];

export class EnginePair {
  readonly #native: SteppedNativeEngine;
  readonly #reference = new ReferenceEngine();
  #nowMs = 1_000;
  /** How many packets the native engine wrote joined with others. */
  joinedPackets = 0;
  /** What the last step wrote to the TUN. */
  written: readonly Uint8Array[] = [];
  /** What the last step told the control plane. */
  upcalls: readonly Upcall[] = [];

  constructor() {
    this.#native = NativeEngine.stepped(ADDON === undefined ? undefined : (createRequire(import.meta.url)(ADDON) as NativeEngineAddon));
    this.step(0, [], [], true);
  }

  close(): void {
    this.#native.close();
  }

  /** The same call of both; what they throw must be the same. Returns whether they did. */
  change(what: string, act: (engine: Datapath) => void): boolean {
    const [native, reference] = [errorOf(() => act(this.#native)), errorOf(() => act(this.#reference))];
    if (native?.name !== reference?.name || native?.message !== reference?.message) throw new Difference(`${what} throws`, native, reference);
    this.#compareState(what);
    return native === undefined;
  }

  /** As {@link change}, and nothing is compared: for many. */
  only(act: (engine: Datapath) => void): void {
    act(this.#native);
    act(this.#reference);
  }

  takeRefreshed(): readonly Refreshed[] {
    const [native, reference] = [this.#native.takeRefreshed(), this.#reference.takeRefreshed()];
    if (!isDeepStrictEqual(native, reference)) throw new Difference("leases that were refreshed", native, reference);
    return reference;
  }

  /** As if the system had refused an ESP packet of a flow, in the last step's time. */
  sendFailed(locator: ViaLocator, reason: SendFailure): void {
    this.#native.sendFailed(encodeRoute(locator), reason);
    this.#reference.sendFailed(this.#nowMs, encodeRoute(locator), reason);
  }

  counters(): Counters {
    return this.#reference.counters();
  }

  lastUse(address: Uint8Array): number | undefined {
    const [native, reference] = [this.#native.lastUse(address), this.#reference.lastUse(address)];
    if (native !== reference) throw new Difference("the last use", native, reference);
    return reference;
  }

  /** Of any address; those of the pools are compared after each step. */
  flowCounters(address: Uint8Array): FlowCounters | undefined {
    const [native, reference] = [this.#native.flowCounters(address), this.#reference.flowCounters(address)];
    if (!isDeepStrictEqual(native, reference)) throw new Difference("counters of a flow", native, reference);
    return reference;
  }

  /** `passedMs` later than the last step. `queue`: what is behind what comes. Yields the datagrams that left. */
  step(passedMs: number, tun: readonly TunArrival[], udp: readonly RawDatagram[], offloads: boolean, queue?: QueueState): readonly Uint8Array[] {
    this.#nowMs += passedMs;
    const native = this.#stepNative(tun, udp, offloads, queue);
    const reference = this.#stepReference(tun, udp, queue);
    compareLists("datagrams", native.udp, reference.udp);
    compareLists("upcalls", native.upcalls, reference.upcalls);
    if (offloads) compareTun(native.tun, reference.tun);
    else compareInOrder("packets for the TUN", native.tun, reference.tun);
    this.#compareState("step");
    this.joinedPackets += native.tun.filter(({ joined }) => joined).length;
    this.written = reference.tun.map(({ bytes }) => bytes);
    return reference.datagrams;
  }

  #stepNative(tun: readonly TunArrival[], udp: readonly RawDatagram[], offloads: boolean, queue: QueueState | undefined): Outcome {
    const packets: TunPacket[] = [];
    const datagrams: RawDatagram[] = [];
    const upcalls: Upcall[] = [];
    let [nextTun, nextUdp] = [tun.map(({ vnetPacket }) => vnetPacket), udp];
    let seen = queue === undefined ? {} : { queue };
    do {
      const output = this.#native.step(this.#nowMs, { tun: nextTun, udp: nextUdp, ...seen }, offloads);
      for (const vnetPacket of output.tun) packets.push(...cutOutput(vnetPacket, offloads));
      datagrams.push(...output.udp.flatMap((train) => cutTrain(train.bytes, train.segmentBytes).map((bytes) => ({ ...train, bytes, segmentBytes: 0 }))));
      upcalls.push(...output.upcalls);
      nextTun = [];
      nextUdp = [];
      seen = {};
    } while (this.#native.pending());
    const udpTexts = datagrams.map(({ endpoint, trafficClass, bytes, tells }) => datagramText(endpoint, trafficClass, bytes, tells === true));
    return { tun: packets, udp: udpTexts, datagrams: datagrams.map(({ bytes }) => bytes), upcalls: upcalls.map(upcallText) };
  }

  #stepReference(tun: readonly TunArrival[], udp: readonly RawDatagram[], queue: QueueState | undefined): Outcome {
    const out = { tun: [] as TunPacket[], udp: [] as string[], datagrams: [] as Uint8Array[], upcalls: [] as string[] };
    const upcalls: Upcall[] = [];
    let input: StepInput = { tun: packetBatch(tun), udp: datagramBatch(udp), ...(queue === undefined ? {} : { queue }) };
    do {
      tunOut.count = 0;
      udpOut.count = 0;
      upcalls.push(...this.#reference.step(this.#nowMs, input, tunOut, udpOut));
      for (let i = 0; i < tunOut.count; i++) {
        const bytes = slot(tunOut, i);
        const state = tunOut.checksums[i];
        out.tun.push({ bytes: state === CHECKSUM.partial ? completedPacket(bytes) : bytes, joined: false, trusted: state !== CHECKSUM.complete });
      }
      for (let i = 0; i < udpOut.count; i++) {
        const endpoint = Buffer.concat([udpOut.addresses.subarray(i * ADDRESS_SLOT_BYTES, (i + 1) * ADDRESS_SLOT_BYTES), udpOut.ways.subarray(i * WAY_SLOT_BYTES, (i + 1) * WAY_SLOT_BYTES)]);
        const bytes = slot(udpOut, i);
        out.datagrams.push(bytes);
        out.udp.push(datagramText(endpoint, udpOut.trafficClasses[i] ?? 0, bytes, udpOut.tells[i] === 1));
      }
      input = { tun: null, udp: null };
    } while (this.#reference.pending());
    this.upcalls = upcalls;
    out.upcalls.push(...upcalls.map(upcallText));
    return out;
  }

  #compareState(what: string): void {
    const [native, reference] = [this.#native, this.#reference].map(
      (engine): unknown => ({
        counters: engine.counters(),
        behind: ([4, 6] as const).map((version) => engine.lastUse(addressOf(version, BEHIND))),
        flows: FLOW_ADDRESSES.map((address) => [engine.lastUse(address), engine.flowCounters(address)]),
        sequences: NAMES.map((name) => engine.nextSequence(name)),
      }),
    ) as [{ counters: Counters }, { counters: Counters }];
    if (!isDeepStrictEqual(native, reference)) throw new Difference(`counters after ${what}`, unequalParts(native, reference), unequalParts(reference, native));
  }
}

function errorOf(act: () => void): Error | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
const datagramText = (endpoint: Uint8Array, trafficClass: number, bytes: Uint8Array, tells: boolean): string => `${hex(endpoint)} ${trafficClass} ${tells} ${hex(bytes)}`;
const slot = ({ arena, slotBytes, lengths }: PacketBatch | DatagramBatch, i: number): Uint8Array => arena.slice(i * slotBytes, i * slotBytes + (lengths[i] ?? 0));
const show = (value: unknown): string => (typeof value === "string" ? value : value instanceof Error ? `${value.name}: ${value.message}` : JSON.stringify(plain(value)));

/** With bytes as hex, whatever class they are of. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value);
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value === undefined ? "undefined" : value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, plain(value[key as keyof typeof value])]));
}

const upcallText = (upcall: Upcall): string => JSON.stringify(plain(upcall));

/** What of `one` is not in `other`. */
function unequalParts(one: unknown, other: unknown): unknown {
  if (typeof one !== "object" || one === null || typeof other !== "object" || other === null) return one;
  return Object.fromEntries(
    Object.entries(one).flatMap(([key, value]: [string, unknown]) => {
      const there = (other as Record<string, unknown>)[key];
      return isDeepStrictEqual(value, there) ? [] : [[key, unequalParts(value, there)]];
    }),
  );
}

/** The packets of one write of the native engine, all checksums complete. */
function cutOutput(vnetPacket: VnetPacket, offloads: boolean): readonly TunPacket[] {
  const { vnet, packet } = takeVnet(vnetPacket);
  if (!offloads && vnetPacket.subarray(0, 10).some((value) => value !== 0)) throw new Difference("a vnet header though nothing was offered", hex(vnetPacket), "");
  const needsChecksum = (vnet.flags & NEEDS_CHECKSUM) !== 0;
  const place = checksumPlace(packet);
  if (needsChecksum && (place === undefined || vnet.checksumStart !== place.start || vnet.checksumStart + vnet.checksumOffset !== place.field)) {
    throw new Difference("a vnet header that names another checksum", hex(vnetPacket), place);
  }
  if (vnet.gsoType === GSO.none) {
    const bytes = needsChecksum && place !== undefined ? summed(packet, place.start, place.field, place.protocol === UDP) : packet;
    return [{ bytes, joined: false, trusted: false }];
  }
  const whole = lengthOf(packet) === packet.length && needsChecksum && place !== undefined;
  const pieces = whole ? packetsOfTrain(vnet, packet) : undefined;
  const transportBytes = place?.protocol === TCP ? ((packet[place.start + 12] ?? 0) >> 4) * 4 : 8;
  if (pieces === undefined || place === undefined || pieces.length < 2 || vnet.headerBytes !== place.start + transportBytes) throw new Difference("a train that is none", hex(vnetPacket), "");
  const addresses = packet.subarray(...(versionOf(packet) === 4 ? ([12, 20] as const) : ([8, 40] as const)));
  const pseudoSum = 0xffff - fullChecksum(addresses, be16(place.protocol), be16(packet.length - place.start));
  const field = packet.subarray(place.field, place.field + 2);
  if (hex(field) !== hex(be16(pseudoSum))) throw new Difference("the pseudo-header's sum of a train", hex(vnetPacket), hex(be16(pseudoSum)));
  return pieces.map((piece) => ({ bytes: completedPacket(piece), joined: true, trusted: false }));
}

/** TCP and UDP packets of one flow stay in order; whatever else there is stays where it is among all. */
function flowOf(bytes: Uint8Array): string | null {
  if (lengthOf(bytes) !== bytes.length) return null;
  const place = placeOf(bytes);
  if (place === undefined || (place.protocol !== TCP && place.protocol !== UDP) || place.at !== (versionOf(bytes) === 4 ? 20 : 40)) return null;
  const minimum = place.protocol === TCP ? 20 : 8;
  if (bytes.length < place.at + minimum || (versionOf(bytes) === 4 && (((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0)) !== 0x4000)) return null;
  const transport = place.protocol === TCP ? ((bytes[place.at + 12] ?? 0) >> 4) * 4 : 8;
  if (transport < minimum || place.at + transport > bytes.length) return null;
  if (place.protocol === UDP && (((bytes[place.at + 4] ?? 0) << 8) | (bytes[place.at + 5] ?? 0)) !== bytes.length - place.at) return null;
  return `${place.protocol} ${hex(bytes.subarray(versionOf(bytes) === 4 ? 12 : 8, place.at + 4))}`;
}

/** Sorted by flow between the packets that are of none. */
function byFlow(packets: readonly TunPacket[]): readonly TunPacket[] {
  const out: TunPacket[] = [];
  let flows = new Map<string, TunPacket[]>();
  const finish = (): void => {
    for (const name of [...flows.keys()].sort()) out.push(...(flows.get(name) ?? []));
    flows = new Map();
  };
  for (const packet of packets) {
    const flow = flowOf(packet.bytes);
    if (flow === null) {
      finish();
      out.push(packet);
    } else {
      flows.set(flow, [...(flows.get(flow) ?? []), packet]);
    }
  }
  finish();
  return out;
}

function compareTun(native: readonly TunPacket[], reference: readonly TunPacket[]): void {
  const hasJoined = native.some(({ joined }) => joined);
  compareInOrder(hasJoined ? "packets for the TUN by flow" : "packets for the TUN, sorted by flow", byFlow(native), byFlow(reference));
}

function compareInOrder(what: string, native: readonly TunPacket[], reference: readonly TunPacket[]): void {
  const texts = reference.map(({ bytes, trusted }, i) => [bytes, native[i]?.joined === true, trusted] as const);
  compareLists(
    what,
    native.map(({ bytes, joined }, i) => packetText(bytes, joined, reference[i]?.trusted === true)),
    texts.map(([bytes, joined, trusted]) => packetText(bytes, joined, trusted)),
  );
}

/** `trusted`: a checksum that nobody computed need not have been right; that of a joined packet is. */
function packetText(bytes: Uint8Array, joined: boolean, trusted: boolean): string {
  if (!joined) return hex(bytes);
  const out = Uint8Array.from(bytes);
  const place = checksumPlace(bytes);
  if (trusted && place !== undefined) out.set([0, 0], place.field);
  if (versionOf(bytes) === 6) return `${hex(out)} joined`;
  const isRight = fullChecksum(bytes.subarray(0, 20)) === 0;
  out.set([0, 0], 4);
  out.set([0, 0], 10);
  return `${hex(out)} joined, header checksum ${isRight ? "right" : "wrong"}`;
}

function compareLists(what: string, native: readonly string[], reference: readonly string[]): void {
  const first = native.findIndex((text, i) => text !== reference[i]);
  if (first >= 0 || native.length !== reference.length) {
    const at = first < 0 ? native.length : first;
    throw new Difference(`${what}: number ${at} of ${native.length} and ${reference.length}`, native[at] ?? "none", reference[at] ?? "none");
  }
}

function packetBatch(tun: readonly TunArrival[]): PacketBatch {
  const packets = tun.flatMap(({ packets: several }) => several);
  const batch = makePacketBatch(packets.length, longest(packets));
  packets.forEach(({ bytes, state }, i) => {
    batch.arena.set(bytes, i * batch.slotBytes);
    batch.lengths[i] = bytes.length;
    batch.checksums[i] = state;
  });
  batch.count = packets.length;
  return batch;
}

function datagramBatch(udp: readonly RawDatagram[]): DatagramBatch {
  const datagrams = udp.flatMap(({ bytes, segmentBytes, endpoint, trafficClass }) => cutTrain(bytes, segmentBytes).map((piece) => ({ bytes: piece, endpoint, trafficClass })));
  const batch = makeDatagramBatch(datagrams.length, longest(datagrams));
  datagrams.forEach(({ bytes, endpoint, trafficClass }, i) => {
    batch.arena.set(bytes, i * batch.slotBytes);
    batch.lengths[i] = bytes.length;
    batch.addresses.set(endpoint.subarray(0, ADDRESS_SLOT_BYTES), i * ADDRESS_SLOT_BYTES);
    batch.ways.set(endpoint.subarray(ADDRESS_SLOT_BYTES), i * WAY_SLOT_BYTES);
    batch.trafficClasses[i] = trafficClass;
  });
  batch.count = datagrams.length;
  return batch;
}

const longest = (packets: readonly { readonly bytes: Uint8Array }[]): number => packets.reduce((most, { bytes }) => Math.max(most, bytes.length), 0);

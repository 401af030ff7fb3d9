/** An engine with the batches around it: packets in as arrays, packets out as arrays. */
import type { Locator, ViaLocator } from "@i3/common";
import { makeLocator } from "@i3/common";
import { expect } from "vitest";

import type { DropReason, Upcall } from "../../src/datapath.js";
import { decodeEndpoint, decodeRoute, encodeEndpoint } from "../../src/reference/endpoints.js";
import { ReferenceEngine } from "../../src/reference/engine.js";
import { ADDRESS_SLOT_BYTES, makeDatagramBatch, makePacketBatch, WAY_SLOT_BYTES, type DatagramBatch, type PacketBatch } from "../../src/reference/step.js";
import { COPY_BUDGET, encodeDataHeader, type DataHeader } from "../../src/wire/data-header.js";
import { concat, ip4, makeId } from "./packets.js";

export interface Arrival {
  readonly from: Locator;
  readonly bytes: Uint8Array;
  /** @default 0 */
  readonly trafficClass?: number;
}

export interface Outcome {
  readonly tun: readonly Uint8Array[];
  readonly udp: readonly { readonly to: Locator; readonly bytes: Uint8Array }[];
  readonly upcalls: readonly Upcall[];
  /** Reasons that rose during the step, and by how much. */
  readonly drops: Partial<Record<DropReason, number>>;
}

export interface HarnessSizes {
  readonly slots: number;
  readonly slotBytes: number;
}

export const locator = (text: string, port = 4_000): Locator => makeLocator(ip4(text), port);

export class Harness {
  readonly engine = new ReferenceEngine();
  readonly #slotBytes: number;
  readonly #tunOut: PacketBatch;
  readonly #udpOut: DatagramBatch;
  nowMs = 1_000;
  /** Checksum states and traffic classes of what the last step yielded. */
  tunStates: readonly number[] = [];
  udpClasses: readonly number[] = [];
  /** And by which ways its datagrams go. */
  udpRoutes: readonly ViaLocator[] = [];

  constructor(sizes: HarnessSizes = { slots: 64, slotBytes: 4_096 }) {
    this.#slotBytes = sizes.slotBytes;
    this.#tunOut = makePacketBatch(sizes.slots, sizes.slotBytes);
    this.#udpOut = makeDatagramBatch(sizes.slots, sizes.slotBytes);
  }

  /** `states`: the checksum states of the packets from the TUN, when they are not complete. */
  step(tun: readonly Uint8Array[] = [], udp: readonly Arrival[] = [], states: readonly number[] = []): Outcome {
    const tunIn = makePacketBatch(tun.length, longest(tun));
    const udpIn = makeDatagramBatch(udp.length, longest(udp.map(({ bytes }) => bytes)));
    tun.forEach((packet, i) => {
      tunIn.arena.set(packet, i * tunIn.slotBytes);
      tunIn.lengths[i] = packet.length;
    });
    tunIn.checksums.set(states);
    udp.forEach(({ from, bytes, trafficClass = 0 }, i) => {
      udpIn.trafficClasses[i] = trafficClass;
      udpIn.arena.set(bytes, i * udpIn.slotBytes);
      udpIn.lengths[i] = bytes.length;
      udpIn.addresses.set(encodeEndpoint(from), i * 18);
    });
    tunIn.count = tun.length;
    udpIn.count = udp.length;
    const [tunOut, udpOut, slotBytes] = [this.#tunOut, this.#udpOut, this.#slotBytes];
    tunOut.count = 0;
    udpOut.count = 0;
    const before = this.engine.counters().drops;
    const upcalls = this.engine.step(this.nowMs, { tun: tunIn, udp: udpIn }, tunOut, udpOut);
    const after = this.engine.counters().drops;
    // What the engine was given must not show in what it gave: the driver uses the arenas again.
    tunIn.arena.fill(0xdd);
    udpIn.arena.fill(0xdd);
    udpIn.addresses.fill(0xdd);
    this.tunStates = [...tunOut.checksums.subarray(0, tunOut.count)];
    this.udpClasses = [...udpOut.trafficClasses.subarray(0, udpOut.count)];
    this.udpRoutes = Array.from({ length: udpOut.count }, (_, i) => decodeRoute(udpOut.addresses, i * ADDRESS_SLOT_BYTES, udpOut.ways, i * WAY_SLOT_BYTES));
    const take = (batch: { arena: Uint8Array; lengths: Int32Array }, i: number): Uint8Array => batch.arena.slice(i * slotBytes, i * slotBytes + (batch.lengths[i] ?? 0));
    return {
      tun: Array.from({ length: tunOut.count }, (_, i) => take(tunOut, i)),
      udp: Array.from({ length: udpOut.count }, (_, i) => ({ to: decodeEndpoint(udpOut.addresses, i * 18), bytes: take(udpOut, i) })),
      upcalls,
      drops: risen(before, after),
    };
  }

  fromTun(...packets: readonly Uint8Array[]): Outcome {
    return this.step(packets);
  }

  fromUdp(from: Locator, ...datagrams: readonly Uint8Array[]): Outcome {
    return this.step([], datagrams.map((bytes) => ({ from, bytes })));
  }

  /** A control datagram: what was sent back to `from`, or how many upcalls it made instead. One or the other, and no drop. */
  ask(from: Locator, datagram: Uint8Array): Uint8Array | number {
    const { udp, upcalls, drops } = this.fromUdp(from, datagram);
    expect(drops).toEqual({});
    expect(udp.length + upcalls.length).toBe(1);
    if (udp[0] !== undefined) expect(udp[0].to).toEqual(from);
    return udp[0]?.bytes ?? upcalls.length;
  }
}

const longest = (packets: readonly Uint8Array[]): number => packets.reduce((most, { length }) => Math.max(most, length), 0);

/** Reasons whose number rose. */
export function risen(before: Readonly<Record<DropReason, number>>, after: Readonly<Record<DropReason, number>>): Partial<Record<DropReason, number>> {
  const out: Partial<Record<DropReason, number>> = {};
  for (const [reason, count] of Object.entries(after) as [DropReason, number][]) {
    const rise = count - before[reason];
    if (rise > 0) out[reason] = rise;
  }
  return out;
}

export const NONCE = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** A data packet with a sender's usual values. */
export function dataPacket(fields: Partial<DataHeader>, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const header = encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: COPY_BUDGET, payloadKind: 1, nonce: NONCE, ids: [makeId(9)], ...fields });
  return concat(header, payload);
}

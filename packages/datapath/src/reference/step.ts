/**
 * The core's interface: a {@link Datapath} that is driven step by step with batches of packets (docs/datapath.md, "Steps").
 * A batch is one arena cut into slots of equal size, so that a driver reads and writes many packets with one call and no
 * allocation.
 */
import type { Datapath, Upcall } from "../datapath.js";

/** Packet i is `arena[i * slotBytes … + lengths[i]]`; packets 0…count-1 are there. */
export interface PacketBatch {
  readonly arena: Uint8Array;
  readonly slotBytes: number;
  readonly lengths: Int32Array;
  count: number;
}

/** Datagrams and where each comes from or goes to: 18 bytes a slot, IPv6 or IPv4-mapped address 16, port 2. */
export interface DatagramBatch extends PacketBatch {
  readonly addresses: Uint8Array;
}

/** What arrived since the last step; the engine keeps no reference to it. */
export interface StepInput {
  readonly tun: PacketBatch | null;
  readonly udp: DatagramBatch | null;
}

export interface StepCore extends Datapath {
  /**
   * Takes what arrived at `nowMs` (monotonic; earlier than the last step counts as the same time) and appends what leaves to
   * the two batches. When one is full the engine keeps the rest, bounded, and {@link pending} stays true. The batches of the
   * input and the output must be four different ones.
   */
  step(nowMs: number, input: StepInput, tunOut: PacketBatch, udpOut: DatagramBatch): readonly Upcall[];
  /** There are packets or upcalls that the next step will yield without any input. */
  pending(): boolean;
}

/** Bytes of one address in {@link DatagramBatch.addresses}. */
export const ADDRESS_SLOT_BYTES = 18;

/** An empty batch of `slots` packets of at most `slotBytes` bytes. */
export function makePacketBatch(slots: number, slotBytes: number): PacketBatch {
  return { arena: new Uint8Array(slots * slotBytes), slotBytes, lengths: new Int32Array(slots), count: 0 };
}

/** An empty batch of `slots` datagrams of at most `slotBytes` bytes. */
export function makeDatagramBatch(slots: number, slotBytes: number): DatagramBatch {
  return { ...makePacketBatch(slots, slotBytes), addresses: new Uint8Array(slots * ADDRESS_SLOT_BYTES) };
}

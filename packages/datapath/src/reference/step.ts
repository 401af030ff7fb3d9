/**
 * The core's interface: a {@link Datapath} that is driven step by step with batches of packets (docs/datapath.md, "Two implementations").
 * A batch is one arena cut into slots of equal size, so that a driver reads and writes many packets with one call and no
 * allocation.
 */
import type { Datapath, SendFailure, Upcall } from "../datapath.js";
import type { QueueState } from "./fair-shares.js";

/** Packet i is `arena[i * slotBytes … + lengths[i]]`; packets 0…count-1 are there. */
export interface Batch {
  readonly arena: Uint8Array;
  readonly slotBytes: number;
  readonly lengths: Int32Array;
  count: number;
}

/**
 * State of a packet's TCP or UDP checksum: `complete`, as it stands in the packet and not looked at; `partial`, the field holds the
 * sum of the pseudo-header alone, not inverted (as Linux does for packets on their way to hardware); `verified`, complete and known to be right.
 */
export const CHECKSUM = { complete: 0, partial: 1, verified: 2 } as const;

/** IP packets, with {@link CHECKSUM} states. */
export interface PacketBatch extends Batch {
  readonly checksums: Uint8Array;
}

/**
 * Datagrams, where each comes from or goes to (18 bytes a slot: IPv6 or IPv4-mapped address 16, port 2), and their DSCP and ECN bits.
 * With `ip` a datagram is what stands behind the IP header.
 */
export interface DatagramBatch extends Batch {
  readonly addresses: Uint8Array;
  /** Which of our sockets, and which address and interface of ours: 21 bytes a slot (endpoints.ts). All zero: the main port, the system's choice. */
  readonly ways: Uint8Array;
  /** The outer header's TOS or traffic class, 0 where the system does not tell. */
  readonly trafficClasses: Uint8Array;
  /** 1 for an ESP packet to the locator of a flow: {@link StepCore.sendFailed} is to be told when the system refuses it. */
  readonly tells: Uint8Array;
}

/** What arrived since the last step; the engine keeps no reference to it. */
export interface StepInput {
  readonly tun: PacketBatch | null;
  readonly udp: DatagramBatch | null;
  /** What was behind what came, of each kind that is not null; undefined: nobody has looked. */
  readonly queue?: QueueState;
}

export interface StepCore extends Datapath {
  /**
   * Takes what arrived at `nowMs` (monotonic; earlier than the last step counts as the same time) and appends what leaves to
   * the two batches. When one is full the engine keeps the rest, bounded, and {@link pending} stays true. The batches of the
   * input and the output must be four different ones.
   */
  step(nowMs: number, input: StepInput, tunOut: PacketBatch, udpOut: DatagramBatch): readonly Upcall[];
  /** The system refused a datagram of {@link DatagramBatch.tells}. `route`: its address and way, one behind the other. */
  sendFailed(nowMs: number, route: Uint8Array, reason: SendFailure): void;
  /** There are packets or upcalls that the next step will yield without any input. */
  pending(): boolean;
}

/** Bytes of one address in {@link DatagramBatch.addresses}. */
export const ADDRESS_SLOT_BYTES = 18;

/** Bytes of one way in {@link DatagramBatch.ways}. */
export const WAY_SLOT_BYTES = 21;

/** An empty batch of `slots` packets of at most `slotBytes` bytes. */
export function makePacketBatch(slots: number, slotBytes: number): PacketBatch {
  return { ...makeBatch(slots, slotBytes), checksums: new Uint8Array(slots) };
}

/** An empty batch of `slots` datagrams of at most `slotBytes` bytes. */
export function makeDatagramBatch(slots: number, slotBytes: number): DatagramBatch {
  return { ...makeBatch(slots, slotBytes), addresses: new Uint8Array(slots * ADDRESS_SLOT_BYTES), ways: new Uint8Array(slots * WAY_SLOT_BYTES), trafficClasses: new Uint8Array(slots), tells: new Uint8Array(slots) };
}

const makeBatch = (slots: number, slotBytes: number): Batch => ({ arena: new Uint8Array(slots * slotBytes), slotBytes, lengths: new Int32Array(slots), count: 0 });

/**
 * Packets on their way out. They are written straight into the step's batch; between steps, and when the batch is full, they
 * wait here in order, bounded.
 */
import type { Datapath, DropReason } from "../datapath.js";
import type { CounterSet } from "./counters.js";
import { isPlaceless, putVia, VIA, VIA_STRAIGHT, viaAt, WAY_OFFSET } from "./endpoints.js";
import { asBuffer, put32 } from "./octets.js";
import { ADDRESS_SLOT_BYTES, WAY_SLOT_BYTES, type Batch, type DatagramBatch, type PacketBatch } from "./step.js";

/** Bytes that wait for one of the two batches (ours: as much as all queues hold, so that a release always fits). */
export const MAX_HELD_BYTES = 4 * 1024 * 1024;
/** Packets that wait for one of the two batches: bounds what empty packets cost. */
export const MAX_HELD_PACKETS = 65_536;
/** The most that one UDP datagram over IPv4 carries (RFC 768, RFC 791); sockets take no more. */
export const MAX_DATAGRAM_BYTES = 65_507;

interface Held {
  readonly bytes: Buffer;
  readonly endpoint: Uint8Array | null;
  readonly mark: number;
  readonly tells: boolean;
}

const NO_BYTES = Buffer.alloc(0);

/** Room for a datagram that goes up instead; null: there is none. */
export type Detour = (length: number, endpoint: Uint8Array) => Buffer | null;

export class Output {
  readonly #counters: CounterSet;
  readonly #counter: "tunOut" | "udpOut";
  #batch: Batch | null = null;
  #arena: Buffer = NO_BYTES;
  #addresses: Uint8Array | null = null;
  #ways: Uint8Array = NO_BYTES;
  /** Checksum states of packets, traffic classes of datagrams. */
  #marks: Uint8Array = NO_BYTES;
  /** Of datagrams: whether a refusal is told. */
  #tells: Uint8Array = NO_BYTES;
  #held: Held[] = [];
  #heldBytes = 0;
  /** Where the caller of {@link reserve} writes the packet. */
  buffer: Buffer = NO_BYTES;
  at = 0;
  /** Of datagrams for the main port. */
  detour: Detour | null = null;
  /** {@link Datapath.setUplink} */
  uplink = 0;

  constructor(counters: CounterSet, counter: "tunOut" | "udpOut") {
    this.#counters = counters;
    this.#counter = counter;
  }

  get held(): number {
    return this.#held.length;
  }

  /** From now on packets go into this batch, first those that wait. */
  attach(batch: PacketBatch | DatagramBatch): void {
    this.#batch = batch;
    this.#arena = asBuffer(batch.arena);
    this.#addresses = "addresses" in batch ? batch.addresses : null;
    this.#ways = "addresses" in batch ? batch.ways : NO_BYTES;
    this.#marks = "addresses" in batch ? batch.trafficClasses : batch.checksums;
    this.#tells = "addresses" in batch ? batch.tells : NO_BYTES;
    this.#drain();
  }

  detach(): void {
    this.#batch = null;
    this.#arena = NO_BYTES;
    this.#addresses = null;
    this.#ways = NO_BYTES;
    this.#marks = NO_BYTES;
    this.#tells = NO_BYTES;
    this.buffer = NO_BYTES;
  }

  /**
   * Makes room for a packet of exactly `length` bytes, which the caller then writes whole to `buffer` from `at`. `endpoint`:
   * where a datagram goes, an endpoint for the main port or a route; must not change later. `mark`: its traffic class, or the checksum state of a packet. `tells`: the control plane is told
   * when the system refuses it. Returns null, or why there is no room.
   */
  reserve(length: number, endpoint: Uint8Array | null, mark: number, tells = false): DropReason | null {
    if (endpoint !== null && length > MAX_DATAGRAM_BYTES) return "too-big";
    const batch = this.#batch;
    if (batch !== null && this.detour !== null && isOfMainPort(endpoint)) return this.#divert(this.detour, length, endpoint);
    // While something waits the batch is full: `attach` took out all that it had room for.
    if (batch === null || batch.count >= batch.lengths.length) return this.#hold(length, endpoint, mark, tells);
    if (length > batch.slotBytes) return "too-big";
    this.#claim(batch, length, endpoint, mark, tells);
    return null;
  }

  #divert(detour: Detour, length: number, endpoint: Uint8Array): DropReason | null {
    const room = detour(length, endpoint);
    if (room === null) return "detour";
    this.buffer = room;
    this.at = 0;
    return null;
  }

  #hold(length: number, endpoint: Uint8Array | null, mark: number, tells: boolean): DropReason | null {
    if (this.#heldBytes + length > MAX_HELD_BYTES || this.#held.length >= MAX_HELD_PACKETS) return "queue-full";
    const bytes = Buffer.allocUnsafe(length);
    this.#held.push({ bytes, endpoint, mark, tells });
    this.#heldBytes += length;
    this.buffer = bytes;
    this.at = 0;
    return null;
  }

  #claim(batch: Batch, length: number, endpoint: Uint8Array | null, mark: number, tells: boolean): void {
    const slot = batch.count++;
    batch.lengths[slot] = length;
    this.#marks[slot] = mark;
    if (this.#addresses !== null && endpoint !== null) {
      this.#tells[slot] = tells ? 1 : 0;
      const addressAt = slot * ADDRESS_SLOT_BYTES;
      for (let i = 0; i < ADDRESS_SLOT_BYTES; i++) this.#addresses[addressAt + i] = endpoint[i] as number;
      const wayAt = slot * WAY_SLOT_BYTES;
      for (let i = 0; i < WAY_SLOT_BYTES; i++) this.#ways[wayAt + i] = endpoint[ADDRESS_SLOT_BYTES + i] ?? 0;
      if (viaAt(this.#ways, wayAt) === VIA_STRAIGHT) putVia(this.#ways, wayAt, VIA.udp);
      if (this.uplink !== 0 && isPlaceless(this.#ways, wayAt)) put32(this.#ways, wayAt + WAY_OFFSET.interfaceIndex, this.uplink);
    }
    this.buffer = this.#arena;
    this.at = slot * batch.slotBytes;
    this.#counters[this.#counter]++;
  }

  #drain(): void {
    const batch = this.#batch;
    if (batch === null || this.#held.length === 0) return;
    let taken = 0;
    for (const { bytes, endpoint, mark, tells } of this.#held) {
      const detour = isOfMainPort(endpoint) ? this.detour : null;
      if (detour === null && batch.count >= batch.lengths.length) break;
      taken++;
      this.#heldBytes -= bytes.length;
      if (detour !== null) {
        const reason = this.#divert(detour, bytes.length, endpoint as Uint8Array);
        if (reason === null) bytes.copy(this.buffer, this.at);
        else this.#counters.drop(reason);
        continue;
      }
      if (bytes.length > batch.slotBytes) {
        this.#counters.drop("too-big");
        continue;
      }
      this.#claim(batch, bytes.length, endpoint, mark, tells);
      bytes.copy(this.buffer, this.at);
    }
    this.#held = this.#held.slice(taken);
  }
}

/** And may take a detour: who names a place of ours means UDP. */
const isOfMainPort = (endpoint: Uint8Array | null): endpoint is Uint8Array => endpoint !== null && (endpoint.length === ADDRESS_SLOT_BYTES || isPlaceless(endpoint, ADDRESS_SLOT_BYTES));

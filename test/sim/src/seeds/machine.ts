/** One machine of the virtual network: a reference engine, and the core that programs it. */
import { makeDatagramBatch, ReferenceEngine, type DatagramBatch, type PacketBatch, type Upcall } from "@i3/datapath";
import { makePacketBatch } from "@i3/datapath";

import { readEndpoint, writeEndpoint, type Endpoint } from "./endpoints.js";
import { CheckFailed } from "./trace.js";

const SLOT_BYTES = 2_048;
/** Turns of one machine's timer at one moment: more, and its deadline does not move. */
const MAX_TURNS = 100;

/** Of Buffers, so that the engine has none to make around them at each step. */
function udpBatch(slots: number): DatagramBatch {
  const batch = makeDatagramBatch(slots, SLOT_BYTES);
  return { ...batch, arena: Buffer.from(batch.arena.buffer), addresses: Buffer.from(batch.addresses.buffer), ways: Buffer.from(batch.ways.buffer), trafficClasses: Buffer.from(batch.trafficClasses.buffer) };
}

function tunBatch(slots: number): PacketBatch {
  const batch = makePacketBatch(slots, SLOT_BYTES);
  return { ...batch, arena: Buffer.from(batch.arena.buffer), checksums: Buffer.from(batch.checksums.buffer) };
}

// Shared: an engine keeps no reference to its batches.
const UDP_IN = udpBatch(1);
const UDP_OUT = udpBatch(64);
const TUN_OUT = tunBatch(1);
UDP_IN.count = 1;

/** Datagrams are copied into chunks: memory of its own for each takes longer to get and to give back than the datagram to send. */
const CHUNK_BYTES = 16_384;
let chunk = new Uint8Array(CHUNK_BYTES);
let used = 0;

/** Of what stands in a slot of UDP_OUT. */
function copyOut(at: number, length: number): Uint8Array {
  if (used + length > CHUNK_BYTES) {
    chunk = new Uint8Array(CHUNK_BYTES);
    used = 0;
  }
  const out = new Uint8Array(chunk.buffer, used, length);
  out.set(new Uint8Array(UDP_OUT.arena.buffer, UDP_OUT.arena.byteOffset + at, length));
  used += (length + 7) & ~7;
  return out;
}

export interface Core {
  handleUpcalls(nowMs: number, upcalls: readonly Upcall[]): void;
  handleTimer(nowMs: number): void;
  deadlineMs(): number;
}

/** What a machine needs of its world. */
export interface Surroundings {
  readonly nowMs: number;
  sent(from: Machine, to: Endpoint, bytes: Uint8Array): void;
  /** Its core had input. */
  changed(machine: Machine): void;
}

export abstract class Machine {
  engine = new ReferenceEngine();
  isUp = false;
  /** It runs, and nothing that it says or is told arrives. */
  isMute = false;
  /** What its clock on the wall is wrong by, ms. */
  skewMs = 0;
  deadlineMs = Infinity;
  protected readonly surroundings: Surroundings;
  #turns = 0;
  #turnMs = -Infinity;

  constructor(readonly name: string, public endpoint: Endpoint, surroundings: Surroundings) {
    this.surroundings = surroundings;
  }

  protected abstract readonly core: Core | null;

  /** Its clock is wrong by so much from now on, ms. */
  skew(skewMs: number): void {
    this.skewMs = skewMs;
  }

  /** A datagram arrives. */
  receive(from: Endpoint, bytes: Uint8Array): void {
    UDP_IN.arena.set(bytes);
    UDP_IN.lengths[0] = bytes.length;
    writeEndpoint(UDP_IN, 0, from);
    this.step(UDP_IN);
  }

  tick(): void {
    const { nowMs } = this.surroundings;
    this.#turns = nowMs === this.#turnMs ? this.#turns + 1 : 0;
    this.#turnMs = nowMs;
    if (this.#turns > MAX_TURNS) throw new CheckFailed("deadlines-move", `${this.name} asks for its timer again and again`);
    this.core?.handleTimer(nowMs);
    this.step(null);
  }

  /** Runs the engine until it has nothing to say. */
  step(input: DatagramBatch | null): void {
    const { nowMs } = this.surroundings;
    let udp = input;
    do {
      UDP_OUT.count = 0;
      TUN_OUT.count = 0;
      const upcalls = this.engine.step(nowMs, { tun: null, udp }, TUN_OUT, UDP_OUT);
      udp = null;
      for (let i = 0; i < UDP_OUT.count; i += 1) {
        const at = i * SLOT_BYTES;
        this.surroundings.sent(this, readEndpoint(UDP_OUT, i), copyOut(at, UDP_OUT.lengths[i] ?? 0));
      }
      if (upcalls.length > 0) this.core?.handleUpcalls(nowMs, upcalls);
    } while (this.engine.pending());
    this.deadlineMs = this.isUp ? (this.core?.deadlineMs() ?? Infinity) : Infinity;
    this.surroundings.changed(this);
  }

  /** It stops at once, and forgets. */
  protected stop(): void {
    this.isUp = false;
    this.deadlineMs = Infinity;
  }
}

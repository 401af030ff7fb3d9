/**
 * Drives an engine core on a UDP port, without a TUN (docs/datapath.md, "Two implementations"):
 *
 *     readable ─→ read a batch ─→ core.step ─→ write the batches ─→ onUpcalls        at most BATCHES_PER_TURN times a turn
 *                      ▲                                                │
 *                      └── batch was full, or core.pending() ◀──────────┘
 *
 * A turn ends after {@link BATCHES_PER_TURN} batches so that timers and the control plane get the event loop; the watch calls
 * again while there is more, and what waits in the core is flushed in the next turn.
 */
import { I3Error } from "@i3/common";
import type { Counters, Upcall } from "../datapath.js";
import { makeDatagramBatch, makePacketBatch, type DatagramBatch, type PacketBatch, type StepCore } from "../reference/step.js";
import type { UdpPort } from "./ports.js";

/** Datagrams that are longer are dropped, counted `too-big`. */
export const UDP_SLOT_BYTES = 9_216;
/** Packets of one read, step and write: enough to share the cost of a call, few enough to stay in the processor's cache. */
export const SLOTS_PER_BATCH = 64;
/** With 64 packets each a turn takes some milliseconds at most, which timers bear. */
export const BATCHES_PER_TURN = 8;
export interface DriverOptions {
  readonly core: StepCore;
  /** Called with at least one upcall, outside of any step: it may use the core and {@link EngineDriver.wake}. */
  readonly onUpcalls: (upcalls: readonly Upcall[]) => void;
  /** The monotonic clock in ms that `step` gets. */
  readonly clock: { nowMs(): number };
  /** The port broke for good. Without this the error is thrown from the event loop. */
  readonly onFailure?: (error: I3Error) => void;
}

export class EngineDriver {
  readonly #options: DriverOptions;
  readonly #udpIn: DatagramBatch = makeDatagramBatch(SLOTS_PER_BATCH, UDP_SLOT_BYTES);
  readonly #udpOut: DatagramBatch = makeDatagramBatch(SLOTS_PER_BATCH, UDP_SLOT_BYTES);
  /** Only counted. */
  readonly #tunOut: PacketBatch = makePacketBatch(SLOTS_PER_BATCH, UDP_SLOT_BYTES);
  /** Undefined when the port is broken. */
  #watch: { close(): void } | undefined;
  #wakeUp: NodeJS.Immediate | undefined;
  #closed = false;
  #inTurn = false;
  /** Packets for the TUN that is not there. */
  #undeliverable = 0;

  /** Over a given port, which the driver closes. Output to the TUN is dropped, counted `io-error`. */
  constructor(
    options: DriverOptions,
    readonly udp: UdpPort,
  ) {
    this.#options = options;
    udp.onSendFailed = (route, reason) => {
      options.core.sendFailed(options.clock.nowMs(), route, reason);
      this.wake();
    };
    this.#watch = udp.watch(() => this.#turn(true));
    if (options.core.pending()) this.wake();
  }

  /** The control plane used the core outside of a step: what that yields goes out before the next turn of the event loop. */
  wake(): void {
    if (this.#closed || this.#wakeUp !== undefined) return;
    this.#wakeUp = setImmediate(() => {
      this.#wakeUp = undefined;
      this.#turn(false);
    });
  }

  /** The core's counters with the drops here and of the port added. */
  counters(): Counters {
    const counters = this.#options.core.counters();
    const { drops } = counters;
    const { ioError, tooBig } = this.udp.drops;
    return { ...counters, drops: { ...drops, "io-error": drops["io-error"] + ioError + this.#undeliverable, "too-big": drops["too-big"] + tooBig } };
  }

  /** Ends; packets that wait are lost. May be called twice, and from onUpcalls. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#wakeUp !== undefined) clearImmediate(this.#wakeUp);
    this.#watch?.close();
    this.udp.close();
  }

  #turn(readable: boolean): void {
    // A port may tell of its readability while it is being written to.
    if (this.#inTurn) return this.wake();
    this.#inTurn = true;
    try {
      this.#runBatches(readable);
    } finally {
      this.#inTurn = false;
    }
    if (!this.#closed && this.#options.core.pending()) this.wake();
  }

  #runBatches(readable: boolean): void {
    let reading = readable;
    for (let i = 0; i < BATCHES_PER_TURN && !this.#closed; i++) {
      const mayHaveMore = reading && this.#read();
      this.#step(reading);
      reading = mayHaveMore;
      if (!reading && (this.#closed || !this.#options.core.pending())) return;
    }
  }

  #step(hasRead: boolean): void {
    const { core, clock, onUpcalls } = this.#options;
    const upcalls = core.step(clock.nowMs(), { tun: null, udp: hasRead ? this.#udpIn : null }, this.#tunOut, this.#udpOut);
    this.#undeliverable += this.#tunOut.count;
    this.#tunOut.count = 0;
    this.#write();
    if (upcalls.length > 0) onUpcalls(upcalls);
  }

  /** True: there may be more to read. */
  #read(): boolean {
    this.#udpIn.count = 0;
    try {
      return this.udp.read(this.#udpIn);
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  #write(): void {
    if (this.#udpOut.count === 0) return;
    try {
      this.udp.write(this.#udpOut);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Stops watching the port; told once. */
  #fail(cause: unknown): void {
    if (this.#watch === undefined) return;
    this.#watch.close();
    this.#watch = undefined;
    const error = new I3Error("ERR_I3_NO_UDP", "the UDP socket is broken", { cause, remedy: "Start the program again." });
    const { onFailure } = this.#options;
    if (onFailure === undefined) throw error;
    onFailure(error);
  }
}

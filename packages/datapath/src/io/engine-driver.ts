/**
 * Drives an engine core (docs/datapath.md, "Steps"):
 *
 *     readable ─→ read a batch ─→ core.step ─→ write the batches ─→ onUpcalls        at most BATCHES_PER_TURN times a turn
 *                      ▲                                                │
 *                      └── batch was full, or core.pending() ◀──────────┘
 *
 * A turn ends after {@link BATCHES_PER_TURN} batches so that timers and the control plane get the event loop; the watches call
 * again while there is more, and what waits in the core is flushed in the next turn.
 */
import { I3Error } from "@i3/common";
import type { Counters, Upcall } from "../datapath.js";
import { loadNativeIo, type NativeIo } from "../native-io.js";
import { completeChecksum } from "../reference/checksum-state.js";
import { CHECKSUM, makeDatagramBatch, makePacketBatch, type DatagramBatch, type PacketBatch, type StepCore, type StepInput } from "../reference/step.js";
import { MAX_MTU_BYTES, openTunPort, openUdpPort, UDP_SLOT_BYTES, type TunOptions, type UdpPortOptions } from "./native-ports.js";
import type { TunPort, UdpPort } from "./ports.js";

/** Packets of one read, step and write: enough to share the cost of a call, few enough to stay in the processor's cache. */
export const SLOTS_PER_BATCH = 64;
/** With 64 packets each a turn takes some milliseconds at most, which timers bear. */
export const BATCHES_PER_TURN = 8;
/** The usual packets in a slot that is a multiple of the page. Larger MTUs get larger slots. */
const TUN_SLOT_BYTES = 2_048;

export interface DriverOptions {
  readonly core: StepCore;
  /** Called with at least one upcall, outside of any step: it may use the core and {@link EngineDriver.wake}. */
  readonly onUpcalls: (upcalls: readonly Upcall[]) => void;
  /** The monotonic clock in ms that `step` gets. */
  readonly clock: { nowMs(): number };
  /** A port broke for good (somebody removed the TUN device); the other goes on. Without this the error is thrown from the event loop. */
  readonly onFailure?: (error: I3Error) => void;
}

export interface NativeDriverOptions extends DriverOptions {
  readonly tun?: TunOptions;
  readonly udp: UdpPortOptions;
  /** @default loadNativeIo() */
  readonly io?: NativeIo;
}

type Side = "tun" | "udp";

export class EngineDriver {
  readonly #options: DriverOptions;
  readonly #watches = new Map<Side, { close(): void }>();
  readonly #tunIn: PacketBatch;
  readonly #tunOut: PacketBatch;
  readonly #udpIn: DatagramBatch = makeDatagramBatch(SLOTS_PER_BATCH, UDP_SLOT_BYTES);
  readonly #udpOut: DatagramBatch = makeDatagramBatch(SLOTS_PER_BATCH, UDP_SLOT_BYTES);
  #wakeUp: NodeJS.Immediate | undefined;
  #closed = false;
  #inTurn = false;
  /** Packets for a TUN that is absent or broken. */
  #undeliverable = 0;

  /** Over given ports, which the driver closes. `tun` null: output to the TUN is dropped, counted `io-error`. */
  constructor(
    options: DriverOptions,
    readonly tun: TunPort | null,
    readonly udp: UdpPort,
    tunMtuBytes: number = MAX_MTU_BYTES,
  ) {
    this.#options = options;
    const slotBytes = Math.ceil(tunMtuBytes / TUN_SLOT_BYTES) * TUN_SLOT_BYTES;
    this.#tunIn = makePacketBatch(SLOTS_PER_BATCH, slotBytes);
    this.#tunOut = makePacketBatch(SLOTS_PER_BATCH, slotBytes);
    if (tun !== null) this.#watches.set("tun", tun.watch(() => this.#turn("tun")));
    this.#watches.set("udp", udp.watch(() => this.#turn("udp")));
    if (options.core.pending()) this.wake();
  }

  /**
   * Opens the TUN device (if asked for) and the UDP socket and begins. Throws I3Error ERR_I3_NO_NATIVE, ERR_I3_NO_TUN,
   * ERR_I3_TUN_BUSY, ERR_I3_PORT_IN_USE, ERR_I3_NO_UDP; nothing stays open then.
   */
  static open(options: NativeDriverOptions): EngineDriver {
    const io = options.io ?? loadNativeIo();
    const udp = openUdpPort(io, options.udp);
    let tun: TunPort | null = null;
    try {
      tun = options.tun === undefined ? null : openTunPort(io, options.tun);
      return new EngineDriver(options, tun, udp, options.tun?.mtu);
    } catch (error) {
      tun?.close();
      udp.close();
      throw error;
    }
  }

  /** The control plane used the core outside of a step: what that yields goes out before the next turn of the event loop. */
  wake(): void {
    if (this.#closed || this.#wakeUp !== undefined) return;
    this.#wakeUp = setImmediate(() => {
      this.#wakeUp = undefined;
      this.#turn(null);
    });
  }

  /** The core's counters with the ports' drops added. */
  counters(): Counters {
    const counters = this.#options.core.counters();
    const ioError = this.udp.drops.ioError + (this.tun?.drops.ioError ?? 0) + this.#undeliverable;
    const { drops } = counters;
    return { ...counters, drops: { ...drops, "io-error": drops["io-error"] + ioError, "too-big": drops["too-big"] + this.udp.drops.tooBig } };
  }

  /** Ends; packets that wait are lost. May be called twice, and from onUpcalls. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#wakeUp !== undefined) clearImmediate(this.#wakeUp);
    for (const watch of this.#watches.values()) watch.close();
    this.tun?.close();
    this.udp.close();
  }

  #turn(side: Side | null): void {
    // A port may tell of its readability while it is being written to.
    if (this.#inTurn) return this.wake();
    this.#inTurn = true;
    try {
      this.#runBatches(side);
    } finally {
      this.#inTurn = false;
    }
    if (!this.#closed && this.#options.core.pending()) this.wake();
  }

  #runBatches(side: Side | null): void {
    let reading = side;
    for (let i = 0; i < BATCHES_PER_TURN && !this.#closed; i++) {
      const mayHaveMore = reading !== null && this.#read(reading);
      this.#step(reading);
      if (!mayHaveMore) reading = null;
      if (reading === null && (this.#closed || !this.#options.core.pending())) return;
    }
  }

  #step(side: Side | null): void {
    const { core, clock, onUpcalls } = this.#options;
    const input: StepInput = { tun: side === "tun" ? this.#tunIn : null, udp: side === "udp" ? this.#udpIn : null };
    const upcalls = core.step(clock.nowMs(), input, this.#tunOut, this.#udpOut);
    this.#write();
    if (upcalls.length > 0) onUpcalls(upcalls);
  }

  /** True: there may be more to read. */
  #read(side: Side): boolean {
    const batch = side === "tun" ? this.#tunIn : this.#udpIn;
    batch.count = 0;
    try {
      return side === "tun" ? (this.tun?.read(this.#tunIn) ?? false) : this.udp.read(this.#udpIn);
    } catch (error) {
      this.#fail(side, error);
      return false;
    }
  }

  #write(): void {
    if (this.#tunOut.count > 0) this.#writeTun();
    if (this.#udpOut.count === 0) return;
    try {
      this.udp.write(this.#udpOut);
    } catch (error) {
      this.#fail("udp", error);
    }
  }

  #writeTun(): void {
    if (this.tun === null || !this.#watches.has("tun")) {
      this.#undeliverable += this.#tunOut.count;
      this.#tunOut.count = 0;
      return;
    }
    completeChecksums(this.#tunOut);
    try {
      this.tun.write(this.#tunOut);
    } catch (error) {
      this.#fail("tun", error);
    }
  }

  /** Stops watching the port; told once. */
  #fail(side: Side, cause: unknown): void {
    const watch = this.#watches.get(side);
    if (watch === undefined) return;
    watch.close();
    this.#watches.delete(side);
    const error =
      side === "tun"
        ? new I3Error("ERR_I3_NO_TUN", `the TUN device ${this.tun?.name ?? ""} is gone`, { cause, remedy: "Start the proxy again." })
        : new I3Error("ERR_I3_NO_UDP", "the UDP socket is broken", { cause, remedy: "Start the program again." });
    const { onFailure } = this.#options;
    if (onFailure === undefined) throw error;
    onFailure(error);
  }
}

/** A device without vnet headers takes whole packets only. */
function completeChecksums({ arena, slotBytes, lengths, checksums, count }: PacketBatch): void {
  for (let i = 0; i < count; i++) if (checksums[i] === CHECKSUM.partial) completeChecksum(arena, i * slotBytes, lengths[i] ?? 0);
}

/**
 * The emulator's process: for each link two TUN devices, and between them two `EmulatedPath`s. The topology moves the devices into
 * the namespaces of the link's ends; the descriptors stay here and go on working. A TUN device gets whole packets with complete
 * checksums, never larger than its MTU, since it offers the kernel no offload.
 *
 * Times are good to about one millisecond, the grain of the event loop's timers.
 */
import { loadNativeIo, type NativeIo } from "@i3/datapath/native-io";
import { EmulatedPath } from "./emulator-core.js";
import type { Direction, DirectionStats, EmulatorReply, EmulatorRequest, OpenRequest, OpenResult, StatsResult } from "./emulator-messages.js";

const SLOTS = 64;
/** Batches read in one go, so that one busy link does not starve the others. */
const BATCHES_MAX = 4;

interface Device {
  readonly name: string;
  readonly fd: number;
}

/** Moves packets of one direction from one device, through the core, to the other. */
class Pump {
  readonly path: EmulatedPath;
  readonly #io: NativeIo;
  readonly #from: Device;
  readonly #to: Device;
  readonly #slotBytes: number;
  readonly #arena: Uint8Array;
  readonly #lengths = new Int32Array(SLOTS);
  readonly #mtu: number;
  #timer: NodeJS.Timeout | undefined;
  #writeDropped = 0;

  constructor(io: NativeIo, path: EmulatedPath, from: Device, to: Device, mtu: number) {
    this.#io = io;
    this.path = path;
    this.#from = from;
    this.#to = to;
    this.#mtu = mtu;
    this.#slotBytes = mtu + 4;
    this.#arena = new Uint8Array(SLOTS * this.#slotBytes);
    const watch = io.watchReadable(from.fd, () => {
      try {
        this.#read();
      } catch {
        watch.close(); // The device was removed; the other links go on.
      }
    });
  }

  get stats(): DirectionStats {
    return { ...this.path.stats, inFlight: this.path.inFlight, writeDropped: this.#writeDropped };
  }

  #read(): void {
    for (let batch = 0; batch < BATCHES_MAX; batch++) {
      const count = this.#io.readBatch(this.#from.fd, this.#arena, this.#slotBytes, this.#lengths);
      const nowMs = performance.now();
      for (let i = 0; i < count; i++) {
        const start = i * this.#slotBytes;
        this.path.input(nowMs, this.#arena.slice(start, start + (this.#lengths[i] ?? 0)));
      }
      if (count < SLOTS) break;
    }
    this.#deliver();
  }

  #deliver(): void {
    clearTimeout(this.#timer);
    const { packets: due, deadlineMs } = this.path.poll(performance.now());
    const packets = due.filter(({ length }) => length <= this.#mtu); // Rewriting may have made one longer.
    this.#writeDropped += due.length - packets.length;
    for (let first = 0; first < packets.length; first += SLOTS) this.#write(packets.slice(first, first + SLOTS));
    if (deadlineMs !== undefined) this.#timer = setTimeout(() => this.#deliver(), Math.max(0, deadlineMs - performance.now()));
  }

  #write(packets: readonly Uint8Array[]): void {
    packets.forEach((packet, i) => {
      this.#arena.set(packet, i * this.#slotBytes);
      this.#lengths[i] = packet.length;
    });
    this.#writeDropped += packets.length - this.#writeBatch(packets.length);
  }

  /** A device that is down or whose namespace is gone refuses packets: they are lost, as on a dead wire. */
  #writeBatch(count: number): number {
    try {
      return this.#io.writeBatch(this.#to.fd, this.#arena, this.#slotBytes, this.#lengths, count);
    } catch {
      return 0;
    }
  }
}

const links = new Map<string, Record<Direction, Pump>>();

function open(io: NativeIo, request: OpenRequest): OpenResult {
  // Unique in the sandbox, where several topologies may have an emulator each.
  const [deviceA, deviceB] = (["a", "b"] as const).map((end) => io.openTun({ name: `em${process.pid}-${links.size}${end}`, kind: "tun" }));
  if (deviceA === undefined || deviceB === undefined) throw new Error("unreachable: two ends");
  const pump = (direction: Direction, from: Device, to: Device): Pump => {
    const { impairment, seed } = request[direction];
    return new Pump(io, new EmulatedPath(impairment, seed), from, to, request.mtu);
  };
  links.set(request.link, { up: pump("up", deviceB, deviceA), down: pump("down", deviceA, deviceB) });
  return { deviceA: deviceA.name, deviceB: deviceB.name };
}

function handle(io: NativeIo, request: EmulatorRequest): EmulatorReply["result"] {
  if (request.type === "open") return open(io, request);
  const link = links.get(request.link);
  if (link === undefined) throw new Error(`there is no emulated link ${request.link}`);
  if (request.type === "stats") return { up: link.up.stats, down: link.down.stats } satisfies StatsResult;
  for (const direction of request.directions) link[direction].path.set(request.change);
  return null;
}

function main(): void {
  const io = loadNativeIo();
  process.on("message", ({ id, request }: { id: number; request: EmulatorRequest }) => {
    const reply = ((): EmulatorReply => {
      try {
        return { id, result: handle(io, request) ?? null };
      } catch (error) {
        return { id, error: error instanceof Error ? error.message : String(error) };
      }
    })();
    process.send?.(reply);
  });
  process.on("disconnect", () => process.exit());
}

main();

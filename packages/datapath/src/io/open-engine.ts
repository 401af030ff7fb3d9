/**
 * The one way for a daemon to get a packet engine on its ports: the native one, or where the addon was not built the reference one
 * over node:dgram, which has no TUN.
 */
import { I3Error, type OffloadName } from "@i3/common";
import type { Counters, Datapath, Upcall } from "../datapath.js";
import { loadNativeEngine, type EngineAddon } from "../native-engine-open.js";
import { NativeEngine, type Offloading, type SystemCalls } from "../native-engine.js";
import { ReferenceEngine } from "../reference/engine.js";
import { openDgramDriver } from "./dgram-port.js";
import type { TunOptions, UdpPortOptions } from "./port-errors.js";

export interface OpenEngineOptions {
  /** `auto`: native where the addon loads, otherwise reference. */
  readonly kind: "auto" | "native" | "reference";
  /** @default none: a server */
  readonly tun?: TunOptions;
  readonly udp: UdpPortOptions;
  /** HIP's own UDP port, at the same address; the native engine's alone. @default none */
  readonly hip?: { readonly port: number } | undefined;
  /** HIP and ESP bare in IP; the native engine's alone. @default false */
  readonly ip?: boolean | undefined;
  /** Threads of the native engine, 1–16. @default 1 */
  readonly workers?: number;
  /** Offloads of the native engine that stay off. @default none */
  readonly without?: readonly OffloadName[];
  /** The monotonic clock in ms. */
  readonly clock: { nowMs(): number };
  /** Called with at least one upcall, never within another call: it may use the engine. */
  readonly onUpcalls: (upcalls: readonly Upcall[]) => void;
  /** A port broke for good; the other goes on. */
  readonly onFailure: (error: I3Error) => void;
  /** @default the addon of this package */
  readonly loadAddon?: () => EngineAddon;
}

export interface RunningEngine {
  readonly datapath: Datapath;
  readonly implementation: Datapath["implementation"];
  readonly io: "native" | "dgram";
  readonly udp: { readonly port: number; readonly family: 4 | 6 };
  readonly tun: { readonly name: string; readonly index: number } | null;
  /** Threads that move packets; 0: they are moved in this one. */
  readonly workers: number;
  /** Why the native engine is not used, when `auto` has chosen. */
  readonly without: I3Error | undefined;
  /** In use now; null: this engine has none. */
  offloads(): Offloading | null;
  /** Those of the ports included. */
  counters(): Counters;
  /** Null: not counted. */
  systemCalls(): SystemCalls | null;
  /** To be called when the control plane has used the engine outside of `onUpcalls`, so that what this yields goes out. */
  settle(): void;
  /** The engine must not be used any more. Twice is no error. */
  close(): void;
}

/**
 * Rejects with I3Error ERR_I3_NO_NATIVE (kind `native`, or a TUN is asked for), ERR_I3_NO_TUN, ERR_I3_TUN_BUSY, ERR_I3_PORT_IN_USE,
 * ERR_I3_NO_UDP, ERR_I3_NO_RAW; nothing stays open then.
 */
export async function openEngine(options: OpenEngineOptions): Promise<RunningEngine> {
  if (options.kind === "reference") return openReference(options, undefined);
  const addon = loadAddon(options);
  return addon instanceof I3Error ? openReference(options, addon) : openNative(options, addon);
}

/** Or why there is none, when the reference engine can do without. */
function loadAddon({ kind, tun, loadAddon: load = loadNativeEngine }: OpenEngineOptions): EngineAddon | I3Error {
  try {
    return load();
  } catch (error) {
    if (kind === "auto" && tun === undefined && error instanceof I3Error && error.code === "ERR_I3_NO_NATIVE") return error;
    throw error;
  }
}

function openNative(options: OpenEngineOptions, addon: EngineAddon): RunningEngine {
  const engine = NativeEngine.open({ ...options, addon });
  const { implementation, udp, tun, workers } = engine;
  return {
    datapath: engine, implementation, io: "native", udp, tun, workers, without: undefined,
    offloads: () => engine.offloads(),
    counters: () => engine.counters(),
    systemCalls: () => engine.systemCalls(),
    settle: () => undefined,
    close: () => engine.close(),
  };
}

async function openReference(options: OpenEngineOptions, without: I3Error | undefined): Promise<RunningEngine> {
  if (options.tun !== undefined) throw new RangeError("the reference engine has no TUN");
  if (options.hip !== undefined || options.ip === true) throw new RangeError("the reference engine over node:dgram has one UDP port and no raw sockets");
  const core = new ReferenceEngine();
  const driver = await openDgramDriver({ ...options, core });
  const { port, family } = driver.udp;
  return {
    datapath: core, implementation: core.implementation, io: "dgram", udp: { port, family }, tun: null, workers: 0, without,
    offloads: () => null,
    counters: () => driver.counters(),
    systemCalls: () => null,
    settle: () => {
      if (core.pending()) driver.wake();
    },
    close: () => driver.close(),
  };
}

const rate = (packets: number, calls: number): number => (calls === 0 ? 0 : Math.round((packets / calls) * 10) / 10);

/** Those that this engine could have: without a TUN nothing is said of the TUN's. */
function offloadFields(engine: RunningEngine): Readonly<Record<string, unknown>> {
  const all = engine.offloads();
  if (all === null) return {};
  return { offloads: engine.tun === null ? Object.fromEntries(Object.entries(all).filter(([name]) => !name.startsWith("tun"))) : all };
}

/** What a daemon logs of its engine when it starts. */
export const engineFields = (engine: RunningEngine): Readonly<Record<string, unknown>> => ({
  engine: engine.implementation, io: engine.io, workers: engine.workers, ...offloadFields(engine),
});

/** What a daemon logs of its engine when it is asked: counts, drops that occurred, packets that each system call moved. */
export function engineCounterFields(engine: RunningEngine): Readonly<Record<string, unknown>> {
  const { drops, ...counts } = engine.counters();
  const calls = engine.systemCalls();
  const { tunIn, tunOut, udpIn, udpOut } = counts;
  return {
    ...counts,
    drops: Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0)),
    ...(calls === null ? {} : {
      ...offloadFields(engine),
      packetsPerCall: { tunRead: rate(tunIn, calls.tunReads), tunWrite: rate(tunOut, calls.tunWrites), udpRead: rate(udpIn, calls.udpReads), udpSend: rate(udpOut, calls.udpSends) },
    }),
  };
}

/** What the topology and the emulator process say to each other over the IPC channel of `child_process.fork`. */
import type { PathStats } from "./emulator-core.js";
import type { Impairment } from "./impairment.js";

/** Up: from `b` to `a`, its gateway. Down: from `a` to `b`. */
export type Direction = "up" | "down";

export interface OpenRequest {
  readonly type: "open";
  readonly link: string;
  readonly mtu: number;
  readonly up: { readonly impairment: Impairment; readonly seed: number };
  readonly down: { readonly impairment: Impairment; readonly seed: number };
}

export interface SetRequest {
  readonly type: "set";
  readonly link: string;
  readonly directions: readonly Direction[];
  readonly change: Impairment;
}

export interface StatsRequest {
  readonly type: "stats";
  readonly link: string;
}

export type EmulatorRequest = OpenRequest | SetRequest | StatsRequest;

/** Names of the two TUN devices, in the network namespace of the process. */
export interface OpenResult {
  readonly deviceA: string;
  readonly deviceB: string;
}

export interface DirectionStats extends PathStats {
  /** Packets on their way. */
  readonly inFlight: number;
  /** Packets that the receiving TUN device did not take, or that rewriting made longer than its MTU. */
  readonly writeDropped: number;
}

export type StatsResult = Readonly<Record<Direction, DirectionStats>>;

export interface EmulatorReply {
  readonly id: number;
  readonly result?: OpenResult | StatsResult | null;
  readonly error?: string;
}

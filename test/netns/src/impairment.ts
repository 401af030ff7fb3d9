/** What an emulated path does to packets: the parameters, their defaults and their limits. */
import { isIPv4 } from "node:net";
import { NetnsError } from "./errors.js";
import type { AddressRewrite } from "./payload-rewrite.js";

/** One direction of a link. What is left out is as on a plain wire. */
export interface Impairment {
  /** Time on the way. @default 0 */
  readonly delayMs?: number;
  /** Up to this much more, drawn evenly for each packet. Order is kept: a packet never leaves before an earlier one. @default 0 */
  readonly jitterMs?: number;
  /** Bottleneck, 1000 bits per second, of whole IP packets. 0: none. @default 0 */
  readonly rateKbit?: number;
  /** What the bottleneck lets through at once after a pause. @default 3028, two Ethernet frames */
  readonly burstBytes?: number;
  /** Queue before the bottleneck; a packet that does not fit is dropped (tail drop). 0: 100 ms of the rate, at least 64 KiB. @default 0 */
  readonly queueBytes?: number;
  /** Independent loss. @default 0 */
  readonly lossPercent?: number;
  /** Loss in bursts (Gilbert–Elliott): a packet begins a bad spell with this chance; 0: never. @default 0 */
  readonly burstStartPercent?: number;
  /** … and a packet ends it with this one, so spells last 100 / burstEndPercent packets in the mean. @default 25 */
  readonly burstEndPercent?: number;
  /** Loss during a bad spell. @default 100 */
  readonly burstLossPercent?: number;
  /** Packets that are held back by `reorderMs`, so that later ones overtake them. @default 0 */
  readonly reorderPercent?: number;
  /** @default 10 */
  readonly reorderMs?: number;
  /** Packets that arrive twice. @default 0 */
  readonly duplicatePercent?: number;
  /** Drops everything, also what is on its way. @default false */
  readonly isCut?: boolean;
  /** Meddles with UDP payloads as some NATs do; null: not. A packet that grows beyond the MTU is lost. @default null */
  readonly rewriteAddresses?: AddressRewrite | null;
}

export type FullImpairment = Readonly<Required<Impairment>>;

export const PLAIN_WIRE: FullImpairment = Object.freeze({
  delayMs: 0,
  jitterMs: 0,
  rateKbit: 0,
  burstBytes: 3_028,
  queueBytes: 0,
  lossPercent: 0,
  burstStartPercent: 0,
  burstEndPercent: 25,
  burstLossPercent: 100,
  reorderPercent: 0,
  reorderMs: 10,
  duplicatePercent: 0,
  isCut: false,
  rewriteAddresses: null,
});

/** No path of a test is longer than a minute, so a unit mistake (µs, ns) shows at once. */
const TIME_MAX_MS = 60_000;
const RATE_MAX_KBIT = 100_000_000;
const BYTES_MAX = 256 * 1024 * 1024;

/** `change` upon `base`. Throws ERR_I3_NETNS_PLAN for an unknown name or a value out of range. */
export function changeImpairment(base: FullImpairment, change: Impairment): FullImpairment {
  for (const [name, value] of Object.entries(change) as [string, unknown][]) {
    const max = limitOf(name);
    if (isValid(name, value, max)) continue;
    throw new NetnsError("ERR_I3_NETNS_PLAN", `impairment ${name} = ${JSON.stringify(value)} is unknown or not in 0…${max}`);
  }
  return Object.freeze({ ...base, ...change });
}

function isValid(name: string, value: unknown, max: number): boolean {
  if (name === "isCut") return typeof value === "boolean";
  if (name === "rewriteAddresses") return value === null || isRewrite(value);
  return typeof value === "number" && value >= 0 && value <= max;
}

function isRewrite(value: unknown): boolean {
  const { from, to } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof from === "string" && typeof to === "string" && isIPv4(from) && isIPv4(to);
}

function limitOf(name: string): number {
  if (!Object.hasOwn(PLAIN_WIRE, name)) return -1;
  if (name.endsWith("Percent")) return 100;
  if (name.endsWith("Ms")) return TIME_MAX_MS;
  return name.endsWith("Kbit") ? RATE_MAX_KBIT : BYTES_MAX;
}

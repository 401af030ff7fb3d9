/** What happens to the hosts, and what is asked of ours then. Times in ms. */
import { setTimeout as sleep } from "node:timers/promises";

import { preferSecond, type Bed, type BedOptions } from "./bed.js";
import type { RowName } from "./plan.js";
import { INTERVAL_MS, type Direction } from "./probe.js";
import type { OurSubject, Subject } from "./subject.js";
import { succeed } from "../tunnel/bed.js";

/** `gap`: the longest time without an arrival. `own`: the same without what is the machine's. `after`: from the end of {@link Move.act} to the first arrival after it. `behind`: the longest time without an arrival from then on. `lost` is judged by the worst run, all others by the median. */
export type Figure = "gap" | "own" | "after" | "behind" | "lost";

export interface Wanted {
  readonly name: string;
  readonly figure: Figure;
  /** Several: the worst of them. */
  readonly directions: readonly Direction[];
  readonly atMost: (roundTripMs: number) => number;
}

export interface Move {
  readonly row: RowName;
  readonly name: string;
  readonly bed: Omit<BedOptions, "roundTripMs">;
  /** Before the packets begin. */
  readonly prepare?: (bed: Bed) => Promise<void>;
  /** Between proxies that do not go past i3; nobody else has servers between. @default false */
  readonly isRelayed?: boolean;
  readonly act: (bed: Bed, subject: Subject) => Promise<void>;
  /** After {@link act} ours is waited for so long; what has not come by then counts as silent all the time. */
  readonly watchMs: number;
  /** Null: the next run has another bed. */
  readonly restore: ((bed: Bed) => Promise<void>) | null;
  readonly wanted: readonly Wanted[];
}

/** What people let two uplinks be up together. */
const OVERLAP_MS = 3_000;
const ROUNDING_MS = 20;
const BOTH: readonly Direction[] = ["fromMover", "toMover"];
const ADDRESSES = { mover: ["198.51.100.10", "198.51.100.99"], desk: ["198.51.102.10", "198.51.102.99"] } as const;

/** The old address goes, the other one comes. */
async function readdress(bed: Bed, who: "mover" | "desk"): Promise<void> {
  const host = bed[who];
  const [one, other] = ADDRESSES[who];
  await host.setAddress("eth0", host.address4, host.address4 === one ? other : one);
}

const ringOf = (subject: Subject): OurSubject["ring"] => ("ring" in subject ? (subject as OurSubject).ring : []);
const LOOK_MS = 500;

/** Which server gets most just now. */
async function busiest({ servers }: Bed): Promise<number> {
  const receivedBytes = (): Promise<readonly number[]> =>
    Promise.all(servers.map(async (server) => Number(await succeed(server, "cat", [`/sys/class/net/${server.interfaces[0]?.name ?? ""}/statistics/rx_bytes`]))));
  const before = await receivedBytes();
  await sleep(LOOK_MS);
  const got = (await receivedBytes()).map((bytes, i) => bytes - (before[i] ?? 0));
  return got.indexOf(Math.max(...got));
}

const LOST_MAPPING: readonly Wanted[] = [
  { name: "stall after that", figure: "after", directions: BOTH, atMost: () => 1_000 },
  { name: "longest gap behind the first packet", figure: "behind", directions: BOTH, atMost: () => 1_000 },
];

export const MOVES: readonly Move[] = [
  {
    row: "address", name: "address changes", bed: {}, watchMs: 1_500,
    act: (bed) => readdress(bed, "mover"),
    restore: () => Promise.resolve(),
    wanted: [
      { name: "stall from the mover", figure: "own", directions: ["fromMover"], atMost: (roundTripMs) => roundTripMs + ROUNDING_MS },
      { name: "stall towards it", figure: "own", directions: ["toMover"], atMost: (roundTripMs) => 2 * roundTripMs + ROUNDING_MS },
    ],
  },
  {
    row: "make-before-break", name: "make before break", bed: { hasSecondUplink: true }, watchMs: 2_000,
    prepare: ({ mover }) => mover.setInterface("eth1", { up: false }),
    act: async ({ mover }) => {
      await mover.setInterface("eth1", { up: true });
      await preferSecond(mover);
      await sleep(OVERLAP_MS);
      await mover.setInterface("eth0", { up: false });
    },
    restore: async ({ mover }) => {
      await mover.setInterface("eth0", { up: true });
      await mover.setInterface("eth1", { up: false });
    },
    wanted: [
      { name: "packets lost, worst run", figure: "lost", directions: BOTH, atMost: () => 0 },
      { name: "longest gap", figure: "own", directions: BOTH, atMost: () => 2 * INTERVAL_MS },
    ],
  },
  {
    row: "silent", name: "interface dies silently", bed: { hasSecondUplink: true }, watchMs: 5_000,
    act: ({ wifiLink }) => wifiLink.cut(),
    // The mover would be back at the first a while later only.
    restore: null,
    wanted: [{ name: "stall", figure: "gap", directions: BOTH, atMost: () => 1_000 }],
  },
  {
    row: "silent", name: "interface dies silently, by a server", bed: { hasSecondUplink: true }, isRelayed: true, watchMs: 5_000,
    act: ({ wifiLink }) => wifiLink.cut(),
    restore: null,
    wanted: [{ name: "stall", figure: "gap", directions: BOTH, atMost: () => 1_000 }],
  },
  {
    row: "both", name: "both ends move at once", bed: {}, watchMs: 6_000,
    act: async (bed) => void (await Promise.all([readdress(bed, "mover"), readdress(bed, "desk")])),
    restore: () => Promise.resolve(),
    wanted: [{ name: "stall", figure: "gap", directions: BOTH, atMost: () => 3_000 }],
  },
  {
    row: "mapping", name: "NAT loses its mapping", bed: { nat: { rebootShift: true } }, watchMs: 4_000,
    act: async ({ nat }) => void (await nat?.reboot()),
    restore: () => Promise.resolve(),
    wanted: LOST_MAPPING,
  },
  {
    row: "mapping", name: "NAT loses its mapping, by a server", bed: { nat: { rebootShift: true } }, isRelayed: true, watchMs: 8_000,
    act: async ({ nat }) => void (await nat?.reboot()),
    restore: () => Promise.resolve(),
    wanted: LOST_MAPPING,
  },
  {
    row: "server", name: "relaying server killed", bed: {}, isRelayed: true, watchMs: 6_000, restore: null,
    act: async (bed, subject) => ringOf(subject)[await busiest(bed)]?.child?.kill("SIGKILL"),
    wanted: [{ name: "stall", figure: "gap", directions: BOTH, atMost: () => 2_000 }],
  },
  {
    row: "server", name: "relaying server cut off silently", bed: {}, isRelayed: true, watchMs: 8_000, restore: null,
    act: async (bed) => bed.servers[await busiest(bed)]?.cutOff(),
    wanted: [{ name: "stall", figure: "gap", directions: BOTH, atMost: () => 3_000 }],
  },
];

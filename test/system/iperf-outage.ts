/** How long iperf3 from the laptop to the home machine stands still when something happens to the server that its packets go through. */
import type { RingServer } from "@i3/demo";
import type { Host } from "@i3/netns";

import { eventually, type PairBed } from "./pair-bed.js";

const INTERVAL_MS = 100;
const STEADY_INTERVALS = 10;

/** `[  5]   0.10-0.20   sec  1.25 MBytes   105 Mbits/sec`: whether anything came in that interval. */
const intervalOf = (text: string): boolean | undefined => {
  const amount = /^\[ *\d+\] +[\d.]+-[\d.]+ +sec +([\d.]+) \w*Bytes /.exec(text)?.[1];
  return amount === undefined ? undefined : Number(amount) > 0;
};

async function receivedBytes(host: Host): Promise<number> {
  const { stdout } = await host.exec("cat", ["/proc/net/dev"]);
  return stdout.split("\n").reduce((sum, line) => sum + Number(/^ *(?!lo:)[^ :]+: *(\d+)/.exec(line)?.[1] ?? 0), 0);
}

/** Far more than servers say to each other meanwhile. */
const CARRIED_BYTES = 16_384;

/** The server that gets so many bytes first. */
export async function busiest(ring: readonly RingServer[]): Promise<RingServer> {
  const before = await Promise.all(ring.map(({ host }) => receivedBytes(host)));
  return eventually("traffic by a server", 10_000, async () => {
    const growth = (await Promise.all(ring.map(({ host }) => receivedBytes(host)))).map((bytes, i) => bytes - (before[i] ?? 0));
    const most = Math.max(...growth);
    return most < CARRIED_BYTES ? undefined : ring[growth.indexOf(most)];
  });
}

/** The longest time, in whole intervals of 0.1 s and one more, in which nothing arrived after `cause` had happened to the server on the way. */
export async function iperfOutageMs({ laptop, home, ring }: PairBed, options: readonly string[], cause: (server: RingServer) => Promise<void>): Promise<number> {
  const sink = home.spawn("iperf3", ["--server", "--one-off", "--forceflush", "--interval", String(INTERVAL_MS / 1_000)]);
  await sink.waitForLine(/Server listening/);
  const source = laptop.spawn("iperf3", ["--client", "home.i3", "--time", "60", ...options]);
  const intervals = (): readonly boolean[] => sink.lines.flatMap(({ text }) => intervalOf(text) ?? []);
  const areSteady = (seen: readonly boolean[]): boolean => seen.length >= STEADY_INTERVALS && seen.slice(-STEADY_INTERVALS).every(Boolean);
  try {
    await eventually("iperf3 is under way", 20_000, () => Promise.resolve(areSteady(intervals()) || undefined));
    const server = await busiest(ring);
    const from = intervals().length;
    await cause(server);
    // Over when traffic is steady again after it stood still, or did not stand still at all.
    await eventually("iperf3 goes on", 30_000, () => {
      const after = intervals().slice(from);
      return Promise.resolve(areSteady(after) && (after.includes(false) || after.length > 4_000 / INTERVAL_MS) ? true : undefined);
    });
    let still = 0;
    let longest = 0;
    for (const came of intervals().slice(from)) longest = Math.max(longest, (still = came ? 0 : still + 1));
    return (longest + 1) * INTERVAL_MS;
  } finally {
    await Promise.all([source.stop(), sink.stop()]);
  }
}

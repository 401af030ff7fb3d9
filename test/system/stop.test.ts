/** A proxy that is stopped says so to its peers: programs there hear that the host is gone at once, and not when their patience ends; started again, it is reached again. */
import { afterAll, beforeAll, expect, it } from "vitest";

import { Laptop } from "@i3/demo";
import { Topology, type Child, type Host } from "@i3/netns";

import { eventually, pairBed, pings } from "./pair-bed.js";

/** A stop and all that follows; without a word the peer needs up to 18 s. */
const TOLD_MS = 1_000;
/** After the first packet that finds nobody: over i3 the ring says so, at an address nobody says anything. */
const WITHIN_MS = { ring: 4_000, address: 8_000 } as const;

interface Pair {
  readonly one: Laptop;
  readonly two: Laptop;
  /** What the first calls the second. */
  readonly name: string;
  readonly withinMs: number;
  readonly close: () => Promise<void>;
}

async function overI3(): Promise<Pair> {
  const bed = await pairBed();
  return { one: bed.laptopProxy, two: bed.homeProxy, name: "home.i3", withinMs: WITHIN_MS.ring, close: bed.close };
}

async function direct(): Promise<Pair> {
  const topology = await Topology.create();
  const hosts = [topology.host("one"), topology.host("two")] as const;
  topology.link(hosts[0], hosts[1], { subnet: "192.0.2.0/30" });
  await topology.up();
  const make = (host: Host): Promise<Laptop> => Laptop.make(host, { serverAddresses: ["192.0.2.250"], hip: '<hip udp-port="10500"/>' });
  const [one, two] = [await make(hosts[0]), await make(hosts[1])];
  await one.writeBook({ "two.i3": two }, `address="${hosts[1].address4}"`);
  await two.writeBook({ "one.i3": one }, `address="${hosts[0].address4}"`);
  await Promise.all([one.start(), two.start()]);
  return { one, two, name: "two.i3", withinMs: WITHIN_MS.address, close: () => topology.close() };
}

const PAIRS = [["over i3", overI3], ["straight, in UDP", direct]] as const;
let pairs: readonly Pair[] = [];
beforeAll(async () => {
  for (const [, make] of PAIRS) pairs = [...pairs, await make()];
}, 120_000);
afterAll(async () => {
  for (const pair of pairs) await pair.close();
});

/** Lines of a program that say host unreachable, or destination unreachable by its address. */
const saysUnreachable = (child: Child): boolean => child.lines.some(({ text }) => /unreachable/i.test(text));

it.each(PAIRS.map(([way], i) => [way, i] as const))("%s", async (_, i) => {
  const { one, two, name, withinMs } = pairs[i] as Pair;
  await eventually("the association", 20_000, async () => ((await pings(one.host, name, 5)) ? true : undefined));
  const ping = one.host.spawn("ping", ["-n", "-i", "0.2", "-O", name]);
  await ping.waitForLine(/icmp_seq=5 ttl|icmp_seq=5 hop|bytes from .*seq=5/, 10_000);
  const stoppedMs = performance.now();
  await two.stop();
  const tookMs = performance.now() - stoppedMs;
  await one.child?.waitForLine(/"association-closed".*closed by the peer/, 5_000);
  const toldMs = performance.now() - stoppedMs;
  await eventually("host unreachable", withinMs, () => Promise.resolve(saysUnreachable(ping) ? true : undefined));
  expect([toldMs - tookMs < TOLD_MS, tookMs < 2_000 + TOLD_MS]).toEqual([true, true]);
  await two.start();
  await eventually("it is reached again", 30_000, async () => ((await pings(one.host, name, 1)) ? true : undefined));
  await ping.stop();
}, 90_000);

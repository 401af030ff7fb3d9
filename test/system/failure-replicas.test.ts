/**
 * The server that holds the home machine's triggers is killed, and from then on home can say nothing to any server: its NAT drops what begins like an
 * i3 control message. Packets for it can come by the replicas alone that it had before, through the NAT's mapping for the server that has them.
 */
import { afterAll, beforeAll, expect, it } from "vitest";

import { busiest } from "./iperf-outage.js";
import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

const PORT = 7_000;
const EVERY_MS = 50;
/** Long enough that the server which carries them is the busiest. */
const LINE_BYTES = 1_000;
/** Well before the triggers end by themselves (30 s). */
const LIMIT_MS = 4_000;

let bed: PairBed;
beforeAll(async () => {
  bed = await pairBed({ servers: 4 });
  expect(await pings(bed.laptop, "home.i3", 5)).toBe(true);
});
afterAll(() => bed?.close());

it("its packets still come, by replicas alone", async () => {
  const { laptop, home, nat2, ring, homeProxy } = bed;
  const sink = home.spawn("nc", ["-u", "-l", String(PORT)]);
  const source = laptop.spawn("nc", ["-u", homeProxy.address4, String(PORT)]);
  let count = 0;
  const timer = setInterval(() => source.stdin.write(`${(count += 1)} `.padEnd(LINE_BYTES - 1, "x") + "\n"), EVERY_MS);
  try {
    await sink.waitForLine(/^40 /, 20_000);
    const server = await busiest(ring);
    await nat2.namespace.nft("table inet mute { chain out { type filter hook forward priority -200; udp dport 5610 @th,64,8 0x19 counter drop; }; }");
    server.child?.kill("SIGKILL");
    await server.child?.ended;
    const killed = count;
    const heard = homeProxy.child?.lines.length ?? 0;
    const killedMs = performance.now();
    const arrived = (): number => Number(/^\d+/.exec(sink.lines.at(-1)?.text ?? "")?.[0] ?? 0);
    await eventually("packets by the replicas", LIMIT_MS, () => Promise.resolve(arrived() > killed + 5 || undefined));
    process.stdout.write(`    back by replicas after ${Math.round(performance.now() - killedMs)} ms\n`);
    expect(homeProxy.child?.lines.slice(heard).filter(({ text }) => text.includes('"event":"trigger-live"'))).toEqual([]);
    const { stdout } = await nat2.exec("nft", ["list", "table", "inet", "mute"]);
    expect(Number(/counter packets (\d+)/.exec(stdout)?.[1] ?? 0)).toBeGreaterThan(0);
  } finally {
    clearInterval(timer);
    await Promise.all([source.stop(), sink.stop()]);
  }
}, 60_000);

/**
 * The server that holds the home machine's triggers is killed, and from then on home can say nothing to any server: its NAT drops what begins like an
 * i3 control message. Packets for it can come by the replicas alone that it had before, through the NAT's mapping for the server that has them.
 */
import { afterAll, beforeAll, expect, it } from "vitest";

import { busiest } from "./iperf-outage.js";
import { mutedPackets, muteControl, startFlow } from "./numbered-flow.js";
import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

/** Well before the triggers end by themselves (30 s). */
const LIMIT_MS = 4_000;

let bed: PairBed;
beforeAll(async () => {
  bed = await pairBed({ servers: 4 });
  expect(await pings(bed.laptop, "home.i3", 5)).toBe(true);
});
afterAll(() => bed?.close());

it("its packets still come, by replicas alone", async () => {
  const { nat2, ring, homeProxy } = bed;
  const flow = startFlow(bed);
  try {
    await flow.untilArrived(40, 20_000);
    const server = await busiest(ring);
    await muteControl(nat2);
    server.child?.kill("SIGKILL");
    await server.child?.ended;
    const killed = flow.sent;
    const heard = homeProxy.child?.lines.length ?? 0;
    const killedMs = performance.now();
    await eventually("packets by the replicas", LIMIT_MS, () => Promise.resolve(flow.arrived > killed + 5 || undefined));
    process.stdout.write(`    back by replicas after ${Math.round(performance.now() - killedMs)} ms\n`);
    expect(homeProxy.child?.lines.slice(heard).filter(({ text }) => text.includes('"event":"trigger-live"'))).toEqual([]);
    expect(await mutedPackets(nat2)).toBeGreaterThan(0);
  } finally {
    await flow.stop();
  }
}, 60_000);

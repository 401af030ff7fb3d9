/**
 * Servers and NATs fail under running traffic: it comes back. How soon is printed. The 2 s and 3 s of docs/failures.md are held in virtual time
 * (packages/i3-client/test/takeover.test.ts), and here with I3_FAILURES=10, which lets each kind of failure happen so many times, for the figures there.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { RingServer } from "@i3/demo";

import { iperfOutageMs } from "./iperf-outage.js";
import { eventually, outageMs, pairBed, pings, type PairBed } from "./pair-bed.js";

/** Far more than what is promised: a busy machine is no fault of the ring. Without it traffic would be back after 30 s. */
const BUSY_LIMIT_MS = 9_000;
const BACK_MS = 30_000;
const ASKED_FAILURES = process.env["I3_FAILURES"];
const FAILURES = Number(ASKED_FAILURES ?? "1");
/** What is promised counts where figures are made. */
const limitMs = (promisedMs: number): number => (ASKED_FAILURES === undefined ? BUSY_LIMIT_MS : promisedMs);
const [KILLED_MS, CUT_MS] = [limitMs(2_000), limitMs(3_000)];
const FAILURE_MS = 150_000;

let bed: PairBed;
beforeAll(async () => {
  bed = await pairBed({ servers: 4 });
  expect(await pings(bed.laptop, "home.i3", 5)).toBe(true);
});
afterAll(() => bed?.close());

const count = ({ child }: RingServer, event: string): number => child?.lines.filter(({ text }) => text.includes(`"event":"${event}"`)).length ?? 0;

/** Until it says so once more than `before` times. */
const says = (server: RingServer, event: string, before: number): Promise<true> =>
  eventually(`${server.host.name} says ${event}`, BACK_MS, () => Promise.resolve(count(server, event) > before || undefined));

/** Lets `failure` happen to the server that carries iperf3's packets, again and again. `undo`: makes it whole again, until the ring is as before. */
async function survives(limit: number, failure: (server: RingServer) => Promise<void>, undo: (server: RingServer) => Promise<void>): Promise<void> {
  const tookMs: number[] = [];
  while (tookMs.length < FAILURES) {
    let failed: RingServer | undefined;
    const ms = await iperfOutageMs(bed, ["--bitrate", "20M"], async (server) => {
      failed = server;
      await failure(server);
    });
    if (failed === undefined) throw new Error("nothing failed");
    process.stdout.write(`    iperf3 stood still for ${ms} ms (${failed.host.name})\n`);
    expect(ms).toBeLessThanOrEqual(limit);
    tookMs.push(ms);
    await undo(failed);
  }
  tookMs.sort((a, b) => a - b);
  const median = ((tookMs[(FAILURES - 1) >> 1] ?? 0) + (tookMs[FAILURES >> 1] ?? 0)) / 2;
  process.stdout.write(`    of ${FAILURES}: least ${tookMs[0]} ms, median ${median} ms, most ${tookMs.at(-1)} ms\n`);
}

describe("under running pings", () => {
  it("the home machine's NAT reboots", async () => {
    const ms = await outageMs(bed.laptop, bed.homeProxy.address4, () => bed.nat2.reboot());
    process.stdout.write(`    outage after a NAT's reboot: ${Math.round(ms)} ms\n`);
    // Its packets tell a server within 0.4 s, and that one's answer has all others asked; the rest is for a busy machine. Refreshes alone would take 5 s.
    expect(ms).toBeLessThan(3_000);
  }, 60_000);
});

describe("under a running iperf3, the server that carries its packets", () => {
  // A server that comes back takes its keys over for some seconds, and then claims them: one failure at a time.
  it("is killed", () => survives(KILLED_MS, async (server) => {
    server.child?.kill("SIGKILL");
    await server.child?.ended;
  }, async (server) => {
    await server.start();
    await says(server, "claims", 0);
  }), FAILURES * FAILURE_MS);

  it("is silently cut off", () => survives(CUT_MS, (server) => server.host.cutOff(), async (server) => {
    await says(server, "alone", 0);
    const before = count(server, "claims");
    await server.host.restore();
    await says(server, "claims", before);
  }), FAILURES * FAILURE_MS);
});


/** 500 clients of one gateway, each with a key, an engine and an association of its own, and one more that does as it likes (issue 7, "What must work"). What the hostile one costs them is the bench's: bench/README.md, "gateway". */
import { openCrowdBed, type CrowdBed } from "@i3/crowd";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { startWeb } from "./gateway-bed.js";

const CLIENTS = 500;
/** Each asks once a second; other work on the machine may make an answer late, so not every one is looked for. */
const LOAD = { seconds: 4, everyMs: 1_000, limitMs: 4_000 } as const;
const IPERF_PORT = 5_202;
let bed: CrowdBed;
beforeAll(async () => {
  bed = await openCrowdBed(CLIENTS, async (server) => {
    await startWeb(server);
    await server.spawn("iperf3", ["-s", "-p", String(IPERF_PORT), "--forceflush"]).waitForLine(/Server listening/);
  });
}, 240_000);
afterAll(() => bed?.topology.close());

/** What iperf3 counted, bit/s. Longer than the load. */
async function flood(address: string, ...args: readonly string[]): Promise<number> {
  const { stdout } = await succeed(bed.hostile.host, "iperf3", ["-c", address, "-p", String(IPERF_PORT), "-t", String(LOAD.seconds + 2), "-J", ...args]);
  const { end } = JSON.parse(stdout) as { end: { sum_received?: { bits_per_second: number }; sum: { bits_per_second: number } } };
  return (end.sum_received ?? end.sum).bits_per_second;
}

describe(`${CLIENTS} clients of one gateway`, () => {
  it("are all led to its server and answered", async () => {
    const result = await bed.crowd.load(LOAD);
    expect(result).toMatchObject({ clients: CLIENTS, failures: {} });
    expect(result.answered).toBe(CLIENTS * LOAD.seconds);
  });

  it("are each known to the gateway by an address of their own", async () => {
    const { stdout } = await succeed(bed.gate.host, "nft", ["list", "table", "inet", "i3_gateway_i3"]);
    expect(new Set(stdout.match(/\b10\.\d+\.\d+\.\d+\b/g)).size).toBeGreaterThan(CLIENTS);
  });

  it.each([["UDP up", ["-u", "-b", "0", "-l", "1200"]], ["UDP down", ["-u", "-b", "0", "-l", "1200", "-R"]], ["eight TCP streams down", ["-P", "8", "-R"]]])("go on beside one that floods: %s", async (_, args) => {
    const flooding = flood(bed.ways.crowded, ...args);
    const [result, bits] = await Promise.all([bed.crowd.load(LOAD), flooding]);
    expect(bits, "the flood is one").toBeGreaterThan(20e6);
    expect(result.clients, "clients that were answered").toBe(CLIENTS);
    expect(result.answered).toBeGreaterThan(0.9 * result.asked);
  });
});

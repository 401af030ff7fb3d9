/**
 * All servers are restarted, one after the other, each when the ring says that the one before has its place again: no TCP connection is lost, neither
 * old ones nor those that are opened meanwhile, and of a stream of datagrams there and back no more than docs/failures.md says.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { fileURLToPath } from "node:url";

import { gapsOf, lostReport, type Lost } from "./lost-report.js";
import { pairBed, pings, type PairBed } from "./pair-bed.js";

const probe = (name: string): string => fileURLToPath(new URL(`probes/${name}.mjs`, import.meta.url));
const PORTS = ["7000", "7001"] as const;
const CONNECTIONS_BEFORE = 3;
const BACK_MS = 30_000;
/** A second of the stream, for all restarts together. One kill costs more, and so does one server that does not pass packets on. */
const MAX_LOST = 100;

interface Report {
  readonly connections: readonly { readonly sent: number; readonly answered: number; readonly pauseMs: number }[];
  readonly udp: { readonly sent: number; readonly arrived: number; readonly twice: number; readonly answered: number; readonly pauseMs: number };
  readonly lost: readonly Lost[];
}

let bed: PairBed;
beforeAll(async () => {
  bed = await pairBed({ servers: 4 });
  expect(await pings(bed.laptop, "home.i3", 5)).toBe(true);
});
afterAll(() => bed?.close());

it("no connection is lost when all servers are restarted", async () => {
  const echo = bed.home.spawn(process.execPath, [probe("echo"), ...PORTS]);
  await echo.waitForLine(/^listening$/);
  const streams = bed.laptop.spawn(process.execPath, [probe("streams"), "home.i3", ...PORTS]);
  let opened = 0;
  const open = async (): Promise<void> => {
    streams.stdin.write("open\n");
    await streams.waitForLine(new RegExp(`^open ${opened++}$`), BACK_MS);
  };
  while (opened < CONNECTIONS_BEFORE) await open();
  for (const server of bed.ring) {
    await Promise.all([server.child?.stop(), open()]);
    await server.start();
    await Promise.all([server.child?.waitForLine(/"event":"claims"/, BACK_MS), open()]);
  }
  streams.stdin.write("end\n");
  const [, text = ""] = await streams.waitForLine(/^(\{.*\})$/, BACK_MS);
  const { connections, udp, lost } = JSON.parse(text) as Report;
  const pauses = connections.map(({ pauseMs }) => pauseMs);
  process.stdout.write(`    ${opened} TCP connections, longest pause ${Math.max(...pauses)} ms; UDP: ${udp.sent} sent, ${udp.sent - udp.arrived} lost on the way there, ` +
    `${udp.arrived - udp.answered} on the way back, ${udp.twice} came twice, longest pause ${udp.pauseMs} ms\n`);
  const [, missing = "[]"] = await echo.waitForLine(/^missing (.*)$/, BACK_MS);
  // What is at the end of a log is read, and a failure's message comes last.
  const report = lostReport(gapsOf(lost, new Set(JSON.parse(missing) as number[])), [...bed.servers, bed.laptop, bed.home]);
  const isFailed = udp.sent - udp.answered >= MAX_LOST;
  if (lost.length > 0 && !isFailed) process.stdout.write(report);
  if (isFailed) throw new Error(`${udp.sent - udp.answered} of ${udp.sent} datagrams were lost, ${MAX_LOST} or more\n${report}`);
  expect(streams.lines.filter(({ text: line }) => line.startsWith("lost"))).toEqual([]);
  expect(connections).toHaveLength(CONNECTIONS_BEFORE + 2 * bed.ring.length);
}, 240_000);

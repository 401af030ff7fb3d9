/**
 * All servers are restarted, one after the other, each when the ring says that the one before has its place again: no TCP connection is lost, neither
 * old ones nor those that are opened meanwhile, and of a stream of datagrams there and back no more than docs/failures.md says.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { fileURLToPath } from "node:url";

import type { Host } from "@i3/netns";

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
  /** ISO 8601. */
  readonly lostAt: readonly string[];
}

/** All that its daemons logged, with the time. */
const saidBy = ({ name, children }: Host): string => children.flatMap(({ lines }) => lines.map(({ text }) => `      ${name} ${text}\n`)).join("");

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
  const { connections, udp, lostAt } = JSON.parse(text) as Report;
  const pauses = connections.map(({ pauseMs }) => pauseMs);
  process.stdout.write(`    ${opened} TCP connections, longest pause ${Math.max(...pauses)} ms; UDP: ${udp.sent} sent, ${udp.sent - udp.arrived} lost on the way there, ` +
    `${udp.arrived - udp.answered} on the way back, ${udp.twice} came twice, longest pause ${udp.pauseMs} ms\n`);
  if (lostAt.length > 0) process.stdout.write(`    lost from ${lostAt[0]} to ${lostAt.at(-1)}\n${[...bed.servers, bed.laptop, bed.home].map(saidBy).join("")}`);
  expect(streams.lines.filter(({ text: line }) => line.startsWith("lost"))).toEqual([]);
  expect(connections).toHaveLength(CONNECTIONS_BEFORE + 2 * bed.ring.length);
  expect(udp.sent - udp.answered).toBeLessThan(MAX_LOST);
}, 240_000);

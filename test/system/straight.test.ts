/** Two real proxies behind NATs find a way past i3 (docs/wire.md §9.7): a UDP flow with numbers goes on while they do, and when the ring is gone. */
import { afterEach, expect, it } from "vitest";

import { eventually, pairBed, type PairBed, type PairOptions } from "./pair-bed.js";

let bed: PairBed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

const open = async (options: PairOptions): Promise<PairBed> => (bed = await pairBed({ servers: 3, ...options }));

/** Where packets of a proxy's peer go, by its log. */
const isStraight = (which: PairBed["laptopProxy"]): boolean => {
  const last = which.child?.lines.map(({ text }) => text).filter((text) => text.includes('"event":"path"')).at(-1);
  return last !== undefined && !last.includes('"to":"i3"');
};

it("between two port-restricted NATs, and without the servers then", async () => {
  const { laptop, laptopProxy, homeProxy, ring } = await open({ nat1: "port-restricted", nat2: "port-restricted" });
  const ping = laptop.spawn("ping", ["-n", "-i", "0.1", "home.i3"]);
  await ping.waitForLine(/icmp_seq=1 ttl/, 5_000);
  await eventually("both send straight", 5_000, () => Promise.resolve(isStraight(laptopProxy) && isStraight(homeProxy) ? true : undefined));
  for (const server of ring) server.child?.kill("SIGKILL");
  const had = ping.lines.length;
  await eventually("fifty more answers", 10_000, () => Promise.resolve(ping.lines.length > had + 50 ? true : undefined));
  ping.kill("SIGINT");
  await ping.ended;
  const [, lost = ""] = /([0-9.]+)% packet loss/.exec(ping.lines.map(({ text }) => text).join("\n")) ?? [];
  expect(Number(lost)).toBe(0);
});

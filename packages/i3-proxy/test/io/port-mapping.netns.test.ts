/** A router's port is kept open, and opened again by a router that has restarted, by each protocol (the proxies around it: test/system/port-mapping.test.ts). */
import { afterEach, expect, it } from "vitest";

import { missingPortMapping, standardTopology, type StandardTopology } from "@i3/netns";

import { eventually } from "./machine.js";

const PORT = 5_610;
const RENEW_MS = 200;
const MAPPER = `${import.meta.dirname}/port-mapper.mjs`;

/** miniupnpd speaks all, or UPnP alone: NAT-PMP is asked first. */
const PROTOCOLS: readonly { readonly protocol: string; readonly portMapping: true | "upnp" }[] = [{ protocol: "NAT-PMP", portMapping: true }, { protocol: "UPnP-IGD", portMapping: "upnp" }];

let bed: StandardTopology | undefined;
afterEach(async () => {
  await bed?.topology.close();
  bed = undefined;
});

it.for(PROTOCOLS)("by $protocol: renewed, again after a restart, and taken back", { timeout: 90_000 }, async ({ portMapping }, context) => {
  const missing = missingPortMapping();
  if (missing !== undefined) return context.skip(missing);
  bed = await standardTopology({ servers: 0, nat1: { kind: "port-restricted", portMapping } });
  const { laptop, nat1 } = bed;
  const opened = async (): Promise<boolean> => /dnat (ip )?to 192\.168\.1\.10:5610/.test((await nat1.exec("nft", ["list", "ruleset"])).stdout);
  const mapper = laptop.spawn(process.execPath, [MAPPER, "192.168.1.1", laptop.address4, String(PORT), String(RENEW_MS)]);
  const answers = (): readonly string[] => mapper.lines.map(({ text }) => text);
  const until = (what: (lines: readonly string[]) => boolean): Promise<readonly string[]> => eventually(() => Promise.resolve(answers()), what, 20_000);
  expect((await until((lines) => lines.length >= 3)).length, mapper.tail()).toBeGreaterThanOrEqual(3);
  expect(new Set(answers())).toEqual(new Set([`mapped ${nat1.address4}:${PORT}`]));
  expect(await opened()).toBe(true);
  // One socket at most, however often it asks.
  const sockets = (await laptop.exec("ss", ["-Haun"])).stdout.split("\n").filter((line) => line.includes(":5350 "));
  expect(sockets.length, sockets.join("\n")).toBeLessThanOrEqual(portMapping === true ? 1 : 0);
  await nat1.reboot();
  const had = answers().length;
  expect(await eventually(opened, (is) => is, 30_000)).toBe(true);
  expect((await until((lines) => lines.slice(had).some((line) => line.startsWith("mapped")))).slice(had)).toContain(`mapped ${nat1.address4}:${PORT}`);
  mapper.kill("SIGTERM");
  await mapper.ended;
  expect(await opened()).toBe(false);
});

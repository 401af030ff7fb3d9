/** A router that opens ports when asked makes a way past i3 where there would be none (docs/wire.md §9.7): port-restricted with symmetric. */
import { afterEach, expect, it } from "vitest";

import { missingPortMapping } from "@i3/netns";

import { eventually, pairBed, type PairBed } from "./pair-bed.js";

/** miniupnpd speaks all, or UPnP alone: NAT-PMP is asked first. */
const PROTOCOLS: readonly { readonly protocol: string; readonly portMapping: true | "upnp" }[] = [{ protocol: "NAT-PMP", portMapping: true }, { protocol: "UPnP-IGD", portMapping: "upnp" }];

let bed: PairBed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

const lines = ({ child }: PairBed["laptopProxy"], event: string): readonly string[] => (child?.lines ?? []).map(({ text }) => text).filter((text) => text.includes(`"event":"${event}"`));

it.for(PROTOCOLS)("is asked by $protocol, and its port is what the peer sends to; it is closed at the end", { timeout: 60_000 }, async ({ portMapping }, context) => {
  const missing = missingPortMapping();
  if (missing !== undefined) return context.skip(missing);
  bed = await pairBed({ servers: 3, nat1: { kind: "port-restricted", portMapping }, nat2: "symmetric" });
  const { laptop, laptopProxy, homeProxy, nat1 } = bed;
  const ping = laptop.spawn("ping", ["-n", "-i", "0.2", "home.i3"]);
  await ping.waitForLine(/icmp_seq=1 ttl/, 5_000);
  await eventually("both send straight", 20_000, () => Promise.resolve([laptopProxy, homeProxy].every((proxy) => lines(proxy, "path").at(-1)?.includes('"to":"i3"') === false) ? true : undefined));
  expect(lines(laptopProxy, "port-mapped")[0]).toContain(`"gateway":"192.168.1.1"`);
  expect(lines(homeProxy, "path").at(-1)).toContain(nat1.address4);
  await ping.stop();
  const opened = async (): Promise<boolean> => /dnat (ip )?to 192\.168\.1\.10:5610/.test((await nat1.exec("nft", ["list", "ruleset"])).stdout);
  expect(await opened()).toBe(true);
  await laptopProxy.stop();
  expect(await opened()).toBe(false);
});

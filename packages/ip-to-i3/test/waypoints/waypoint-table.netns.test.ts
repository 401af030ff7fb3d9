/** The table of waypoints as the kernel's nft takes it: whole, element by element, windows again and again. What it does with packets: test/system/waypoints.test.ts. */
import { execFileSync } from "node:child_process";

import { parseIpText } from "@i3/common";
import { NftElements, NftSession, replaceTable } from "@i3/i3-proxy";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { forgetClaims, leaveTable, openWindows, seekTable, tableBody, tenureElements, waypointTable, type WaypointTableSettings } from "../../src/waypoints/waypoint-table.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const TABLE = waypointTable("i3");
const [W4, W6, V4, V6] = ["198.51.100.8", "2001:db8:9::1", "10.5.5.5", "2001:22::5"].map(ip) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
const SETTINGS: WaypointTableSettings = { tunName: "i3", waypoints: [W4, ip("198.51.100.9"), W6], own4: ip("10.1.1.1"), own6: ip("2001:22::1"), routed: [], restS: 60 };
const SERVICES = [{ protocol: "tcp", ports: [{ first: 22, last: 22 }, { first: 8_000, last: 8_080 }] }, { protocol: "udp", ports: [{ first: 1, last: 65_535 }] }, { protocol: "ping", ports: [] }] as const;
const tenure = (waypoint: Uint8Array, virtual: Uint8Array | null) => ({ waypoint, virtual, host: "home.i3", lastMs: 0 });

const listed = (): string => execFileSync("nft", ["list", "table", "inet", TABLE], { encoding: "utf8" });
let nft: NftSession;
beforeAll(() => {
  nft = new NftSession({ log: () => undefined });
});
afterAll(async () => {
  await nft.close();
  execFileSync("nft", ["delete", "table", "inet", TABLE]);
});

describe("the table of waypoints", () => {
  it("is taken whole, empty and with what was there before, and again", async () => {
    const before = [...tenureElements(tenure(W4, V4), SERVICES, true), ...tenureElements(tenure(W6, V6), SERVICES, false)];
    for (const elements of [[], before]) for (const routed of [[4, 6], []] as const) await nft.run(replaceTable(TABLE, tableBody({ ...SETTINGS, routed }, elements)));
    await nft.run(seekTable("i3"));
    const text = listed();
    for (const part of ["198.51.100.8 : 10.5.5.5", "2001:db8:9::1 : 2001:22::5", "198.51.100.8 . tcp . 8000-8080", "2001:db8:9::1 . udp . 1-65535", "elements = { 198.51.100.8, 198.51.100.9 }"]) expect(text).toContain(part);
    expect(/set always4 \{[^}]*\}/.exec(text)?.[0]).toContain("198.51.100.8");
    expect(/set always6 \{[^}]*\}/.exec(text)?.[0]).not.toContain("elements");
    const failed: unknown[] = [];
    const elements = new NftElements(nft, { table: TABLE, coalesceMs: 0, onError: (error) => failed.push(error) });
    elements.restart(before, tenureElements(tenure(W4, ip("10.6.6.6")), SERVICES, false));
    await elements.settled();
    expect([failed, /2001:22::5|10\.5\.5\.5/.test(listed()), listed().includes("198.51.100.8 : 10.6.6.6")]).toEqual([[], false, true]);
  });

  it("takes two names of one host, whose ports overlap", async () => {
    const other = [{ protocol: "tcp", ports: [{ first: 8_000, last: 8_090 }] }] as const;
    await nft.run(replaceTable(TABLE, tableBody(SETTINGS, [...tenureElements(tenure(W4, V4), SERVICES, true), ...tenureElements(tenure(ip("198.51.100.9"), V4), other, true)])));
    expect(listed()).toContain("198.51.100.9 . tcp . 8000-8090");
  });

  it("a host that is nowhere now has nothing", () => {
    expect(tenureElements(tenure(W4, null), SERVICES, true)).toEqual([]);
  });

  it("takes windows again and again, each with its own end", async () => {
    const site = { address: ip("203.0.113.0"), bits: 24 };
    const windows = [{ waypoint: W4, site: null, forMs: 60_000 }, { waypoint: W4, site, forMs: 60_000 }, { waypoint: W6, site: { address: ip("2001:db8::"), bits: 56 }, forMs: 60_000 }];
    for (let i = 0; i < 3; i += 1) await nft.run(openWindows("i3", windows));
    await nft.run(openWindows("i3", [{ waypoint: W4, site: null, forMs: 90_000 }]));
    expect(/set open4 \{[^}]*\{[^}]*\}/.exec(listed())?.[0]).toMatch(/198\.51\.100\.8 timeout 1m30s/);
    expect(listed()).toContain("203.0.113.0/24 . 198.51.100.8");
    expect(listed()).toContain("2001:db8::/56 . 2001:db8:9::1");
    await nft.run(forgetClaims("i3"));
  });

  it("lets others' packets alone when it is left", async () => {
    expect(listed()).toMatch(/meta nfproto ipv4 counter packets \d+ bytes \d+ drop/);
    await nft.run(leaveTable("i3"));
    expect(listed()).not.toMatch(/meta nfproto ipv4 counter packets \d+ bytes \d+ drop/);
    expect(listed()).toContain("ct original ip daddr @waypoints4 goto ours");
  });
});

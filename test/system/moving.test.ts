/**
 * Two real proxies with ways past i3 (docs/wire.md §9.7) while one of their hosts moves, has two uplinks, or both move; and while the way past i3 dies and the ring lives.
 *
 *               s1   s2   s3
 *                 \  |  /
 *                  core ────────── dsl ── desk 198.51.102.10
 *                 /    \
 *              wifi    lte
 *                 \    /
 *     eth0 metric 100   eth1 metric 200
 *      198.51.100.10     198.51.101.10
 *                 mover
 */
import { afterAll, beforeAll, expect, it } from "vitest";

import { Laptop, startRing } from "@i3/demo";
import { Topology, type Child, type Host, type Router } from "@i3/netns";

import { eventually } from "./pair-bed.js";

let topology: Topology;
let core: Router;
let mover: Host;
let desk: Host;
let moverProxy: Laptop;
let deskProxy: Laptop;

beforeAll(async () => {
  topology = await Topology.create();
  core = topology.router("core");
  const servers = [1, 2, 3].map((n) => topology.host(`s${n}`));
  for (const [i, server] of servers.entries()) topology.link(core, server, { subnet: `192.0.2.${4 * (i + 1)}/30` });
  [mover, desk] = [topology.host("mover"), topology.host("desk")];
  for (const [name, lan, n, member] of [["wifi", "air", 0, mover], ["lte", "mobile", 1, mover], ["dsl", "office", 2, desk]] as const) {
    const gateway = topology.router(name);
    topology.link(core, gateway, { subnet: `203.0.113.${4 * n}/30` });
    topology.lan(lan, { subnet: `198.51.${100 + n}.0/24`, gateway, members: [member] });
  }
  await topology.up();
  await startRing(servers);
  const serverAddresses = servers.map(({ address4 }) => address4);
  [moverProxy, deskProxy] = await Promise.all([Laptop.make(mover, { serverAddresses }), Laptop.make(desk, { serverAddresses })]);
  for (const proxy of [moverProxy, deskProxy]) await proxy.writeBook({ "mover.i3": moverProxy, "desk.i3": deskProxy });
  await Promise.all([moverProxy.start(), deskProxy.start()]);
}, 60_000);
afterAll(() => topology?.close());

/** Of eth1. */
const MOBILE = "198.51.101.10";
const PREFER_SECOND = ["route", "replace", "default", "via", "198.51.101.1", "dev", "eth1", "metric", "50"];
/** The address of eth0 goes, another one comes. */
const readdress = (host: Host): Promise<void> => host.setAddress("eth0", host.address4, host.address4.replace(/\d+$/, (last) => (last === "10" ? "99" : "10")));

/** Where packets of a proxy's peer go, by its log: "i3", or an address and port. */
const pathOf = ({ child }: Laptop): string => {
  const last = (child?.lines ?? []).map(({ text }) => text).filter((text) => text.includes('"event":"path"')).at(-1);
  return last === undefined ? "i3" : (JSON.parse(last) as { readonly to: string }).to;
};
const until = (what: string, holds: () => boolean, limitMs = 15_000): Promise<true> => eventually(what, limitMs, () => Promise.resolve(holds() ? true : undefined));
/** A way that was dead is asked for less and less often, after 1, 5, 10 and 20 s (packages/hip/src/paths/constants.ts), and lines of the log may be 10 s late. */
const RESTS_MS = 45_000;
/** The mover sends to the desk at one address, and the desk to the mover at another. */
const untilStraight = (moverAt: string, deskAt: string, limitMs = 15_000): Promise<true> =>
  until(`straight to ${moverAt} and ${deskAt}`, () => pathOf(deskProxy).startsWith(`${moverAt}:`) && pathOf(moverProxy).startsWith(`${deskAt}:`), limitMs);
const untilMore = (child: Child, count: number): Promise<true> => {
  const had = child.lines.length;
  return until(`${count} more`, () => child.lines.length >= had + count);
};

const ECHO = 'require("node:net").createServer((s) => s.pipe(s).on("error", () => {})).listen(7000, "::", () => console.log("listening"))';
/** A number each 50 ms by one connection, and a line for what comes back of them. */
const TALK = 'const s = require("node:net").connect({ host: "desk.i3", port: 7000 }); let n = 0; s.on("connect", () => setInterval(() => s.write(n++ + " "), 50)).on("data", (d) => console.log(String(d))).on("close", () => console.log("closed")).on("error", (e) => console.log(e.code))';

/** A connection of TCP goes on through `work`: nothing of it is lost, and it is the same. */
async function duringTcp(work: () => Promise<void>): Promise<void> {
  const server = desk.spawn(process.execPath, ["-e", ECHO]);
  await server.waitForLine(/listening/);
  const client = mover.spawn(process.execPath, ["-e", TALK]);
  await untilMore(client, 5);
  await untilStraight(mover.address4, desk.address4);
  await work();
  await untilMore(client, 20);
  const numbers = client.lines.map(({ text }) => text).join(" ").trim().split(/\s+/);
  expect(numbers).toEqual(numbers.map((_, i) => String(i)));
  await client.stop();
  await server.stop();
}

/** Pings go on through `work`; how many of them got lost. */
async function lostDuring(work: (ping: Child) => Promise<void>): Promise<number> {
  const ping = mover.spawn("ping", ["-n", "-i", "0.1", "desk.i3"]);
  await ping.waitForLine(/icmp_seq=1 ttl/, 10_000);
  await work(ping);
  ping.kill("SIGINT");
  await ping.ended;
  const [, sent = "", received = ""] = /(\d+) packets transmitted, (\d+) received/.exec(ping.lines.map(({ text }) => text).join("\n")) ?? [];
  return Number(sent) - Number(received);
}

it("another address: a connection goes on, and both send straight again", async () => {
  await duringTcp(async () => {
    await readdress(mover);
    await untilStraight(mover.address4, desk.address4);
  });
});

it("both with another address at once find each other by their triggers: a connection goes on", async () => {
  await duringTcp(async () => {
    await Promise.all([readdress(mover), readdress(desk)]);
    await untilStraight(mover.address4, desk.address4);
  });
});

it("the way past i3 dies and the ring lives: packets go by i3 at once, and straight again when it is back", async () => {
  await lostDuring(async (ping) => {
    await untilStraight(mover.address4, desk.address4);
    await core.exec("nft", ["add table inet apart { chain c { type filter hook forward priority 0; ip saddr 198.51.0.0/16 ip daddr 198.51.0.0/16 counter drop; }; }"]);
    await until("by i3", () => pathOf(moverProxy) === "i3" && pathOf(deskProxy) === "i3");
    await untilMore(ping, 20);
    expect([pathOf(moverProxy), pathOf(deskProxy)]).toEqual(["i3", "i3"]);
    await core.exec("nft", ["delete table inet apart"]);
    await untilStraight(mover.address4, desk.address4, RESTS_MS);
    await untilMore(ping, 5);
  });
});

it("two uplinks, make before break: no packet is lost", async () => {
  await mover.setInterface("eth1", { up: false });
  const lost = await lostDuring(async (ping) => {
    await untilStraight(mover.address4, desk.address4);
    await mover.setInterface("eth1", { up: true });
    await mover.exec("ip", PREFER_SECOND);
    await untilStraight(MOBILE, desk.address4);
    await mover.setInterface("eth0", { up: false });
    await untilMore(ping, 20);
    expect(pathOf(deskProxy)).toContain(`${MOBILE}:`);
  });
  expect(lost).toBe(0);
});

it("an uplink that dies without a sign is left for the other one, by both ends", async () => {
  await mover.setInterface("eth0", { up: true });
  await mover.exec("ip", PREFER_SECOND);
  await lostDuring(async (ping) => {
    await untilStraight(MOBILE, desk.address4);
    // Six seconds: the peer hears of the other one, and it is proven.
    await untilMore(ping, 60);
    await mover.cutOff("mobile");
    await untilStraight(mover.address4, desk.address4);
    await untilMore(ping, 10);
  });
});

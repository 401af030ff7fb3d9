/**
 * A neighbour on the LAN cannot pass as an overlay host. He knows every address there is, and the laptop makes it as easy for him as
 * a machine can: it forwards, checks no source addresses (rp_filter=0) and listens on all of its addresses.
 *
 *     neighbour ── LAN ── laptop ══ overlay ══ home
 *         from home's or the laptop's virtual addresses to the laptop's LAN addresses
 *         from his own and from virtual addresses to the laptop's and home's virtual ones, through the laptop's MAC address
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Child, Host } from "@i3/netns";

import { eventually, pairBed, type PairBed } from "./pair-bed.js";

const PORT = 7_777;
/** Prints "UDP TEXT" for each datagram, "TCP" for each connection, on all addresses. */
const LISTENER = `
const dgram = require("node:dgram");
const print = (text) => console.log("UDP " + text);
for (const [type, address] of [["udp4", "0.0.0.0"], ["udp6", "::"]]) {
  dgram.createSocket({ type, ipv6Only: type === "udp6" }).on("message", print).bind(${PORT}, address);
}
require("node:net").createServer((socket) => { console.log("TCP"); socket.destroy(); }).listen(${PORT}, "::", () => console.log("ready"));
`;
/** Arguments: source, destination, text. Three datagrams and the first packet of a connection. */
const SENDER = `
const [source, destination, text] = process.argv.slice(1);
const socket = require("node:dgram").createSocket(source.includes(":") ? "udp6" : "udp4").on("error", () => {});
socket.bind(0, source, () => {
  let count = 0;
  for (let i = 0; i < 3; i += 1) socket.send(text, ${PORT}, destination, () => { count += 1; if (count === 3) socket.close(); });
});
const tcp = require("node:net").connect({ host: destination, port: ${PORT}, localAddress: source }).on("error", () => {});
setTimeout(() => { tcp.destroy(); console.log("sent"); }, 100);
`;
/** What the laptop's kernel would deliver or forward of the neighbour's packets from or for a virtual address. */
const WITNESS = (addresses4: readonly string[], addresses6: readonly string[]): string => {
  const count = ["ip", "ip6"].flatMap((family, i) => ["saddr", "daddr"].map((field) =>
    `iifname eth0 ${family} ${field} { ${(i === 0 ? addresses4 : addresses6).join(", ")} } counter`)).join("\n");
  return `table inet witness {
    chain delivered { type filter hook input priority 0; ${count}\n }
    chain forwarded { type filter hook forward priority 0; ${count}\n }
  }`;
};

let bed: PairBed;
let onLaptop: Child;
let onHome: Child;
let own: { readonly v4: string; readonly v6: string };
let peer: { readonly v4: string; readonly v6: string };
beforeAll(async () => {
  bed = await pairBed({ ipv6: true });
  const { laptop, neighbour, home, laptopProxy, homeProxy } = bed;
  own = { v4: laptopProxy.address4, v6: laptopProxy.hit };
  peer = { v4: homeProxy.address4, v6: homeProxy.hit };
  await laptop.exec("sh", ["-c", "for f in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; do echo 1 > $f; done; for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done"]);
  await laptop.namespace.nft(WITNESS([own.v4, peer.v4], [own.v6, peer.v6]));
  [onLaptop, onHome] = [laptop, home].map((host) => host.spawn(process.execPath, ["-e", LISTENER])) as [Child, Child];
  await Promise.all([onLaptop, onHome].map((child) => child.waitForLine(/ready/)));
  // Before the laptop has asked for home or heard from it: the address book names it.
  await eventually("the guard", 2_000, async () => ((await guard()).includes(peer.v4) && (await guard()).includes(peer.v6)) || undefined);
  expect((await laptop.exec("ping", ["-4", "-c", "1", "-W", "5", "home.i3"])).status).toBe(0);
  expect((await laptop.exec("ping", ["-6", "-c", "1", "-W", "5", "home.i3"])).status).toBe(0);
  const mac = (await laptop.exec("cat", ["/sys/class/net/eth0/address"])).stdout.trim();
  for (const address of [laptop.address4, laptop.address6]) await neighbour.exec("ip", ["neigh", "replace", address, "lladdr", mac, "dev", "eth0", "nud", "permanent"]);
  for (const address of [own.v4, peer.v4]) await neighbour.exec("ip", ["route", "add", address, "via", laptop.address4]);
  for (const address of [own.v6, peer.v6]) await neighbour.exec("ip", ["route", "add", address, "via", laptop.address6]);
});
afterAll(() => bed?.close());

const guard = async (): Promise<string> => (await bed.laptop.exec("nft", ["list", "table", "inet", "i3_guard_i3"])).stdout;
/** Packets that all rules of a table on the laptop have counted. */
async function counted(table: string): Promise<number> {
  const { stdout } = await bed.laptop.exec("nft", ["list", "table", "inet", table]);
  return Array.from(stdout.matchAll(/counter packets (\d+)/g), ([, packets]) => Number(packets)).reduce((sum, packets) => sum + packets, 0);
}

async function send(from: Host, source: string, destination: string, text: string): Promise<void> {
  const { stdout, stderr } = await from.exec(process.execPath, ["-e", SENDER, source, destination, text]);
  if (!stdout.includes("sent")) throw new Error(stderr);
}

/** After this all that the neighbour sent before has arrived, if it ever does: same wires, later. */
let marks = 0;
async function settled(): Promise<void> {
  marks += 1;
  await send(bed.neighbour, bed.neighbour.address4, bed.laptop.address4, `honest-${marks}`);
  await onLaptop.waitForLine(new RegExp(`UDP honest-${marks}$`));
  await send(bed.laptop, own.v4, peer.v4, `overlay-${marks}`);
  await onHome.waitForLine(new RegExp(`UDP overlay-${marks}$`));
}

/** What the two programs heard of a text, and what the witness counted since `before`. */
async function leaked(text: string, before: number): Promise<unknown> {
  const heard = [onLaptop, onHome].map((child) => child.lines.map((line) => line.text).filter((line) => line.includes(text)));
  return { heard, packets: (await counted("witness")) - before };
}
const NOTHING = { heard: [[], []], packets: 0 };

describe("a neighbour", () => {
  it("reaches the laptop by its own addresses, also through those programs (so silence below means something)", async () => {
    await send(bed.neighbour, bed.neighbour.address6, bed.laptop.address6, "plain");
    await onLaptop.waitForLine(/UDP plain/);
    await onLaptop.waitForLine(/TCP/);
    await settled();
    expect(await counted("witness")).toBe(0);
  });

  it.each([
    ["the laptop's virtual IPv4 address", 4, "own"], ["the laptop's HIT", 6, "own"], ["home's virtual IPv4 address", 4, "peer"], ["home's HIT", 6, "peer"],
  ] as const)("does not reach %s through the laptop", async (title, family, whose) => {
    const [before, seen] = [await counted("i3_guard_i3"), await counted("witness")];
    const to = (whose === "own" ? own : peer)[`v${family}`];
    await send(bed.neighbour, bed.neighbour[`address${family}`], to, `forged to ${title}`);
    await settled();
    expect(await leaked(`forged to ${title}`, seen)).toEqual(NOTHING);
    // They did come to the laptop: three datagrams and a SYN at least.
    expect((await counted("i3_guard_i3")) - before).toBeGreaterThanOrEqual(4);
  });

  it.each([
    ["home's virtual IPv4 address", 4, "peer", "lan"], ["home's HIT", 6, "peer", "lan"],
    ["the laptop's virtual IPv4 address", 4, "own", "lan"], ["the laptop's HIT", 6, "own", "lan"],
    ["home's virtual IPv4 address", 4, "peer", "virtual"], ["home's HIT", 6, "peer", "virtual"],
    ["the laptop's virtual IPv4 address", 4, "own", "virtual"], ["the laptop's HIT", 6, "own", "virtual"],
  ] as const)("does not pass for %s (IPv%i, %s, to a %s address)", async (title, family, whose, where) => {
    const { neighbour, laptop } = bed;
    const [before, seen] = [await counted("i3_guard_i3"), await counted("witness")];
    const text = `forged as ${title}, to a ${where} address`;
    const source = (whose === "own" ? own : peer)[`v${family}`];
    // To the laptop itself, or past it to the host whose turn it is not.
    const other = (whose === "own" ? peer : own)[`v${family}`];
    const to = where === "lan" ? laptop[`address${family}`] : other;
    await neighbour.exec("ip", ["address", "add", `${source}/${family === 4 ? 32 : 128}`, "dev", "lo", ...(family === 6 ? ["nodad"] : [])]);
    try {
      await send(neighbour, source, to, text);
    } finally {
      await neighbour.exec("ip", ["address", "del", `${source}/${family === 4 ? 32 : 128}`, "dev", "lo"]);
    }
    await settled();
    expect(await leaked(text, seen)).toEqual(NOTHING);
    expect((await counted("i3_guard_i3")) - before).toBeGreaterThanOrEqual(4);
  });

  it("is no better off while the proxy is dead", async () => {
    await bed.laptopProxy.kill();
    const seen = await counted("witness");
    await bed.neighbour.exec("ip", ["address", "add", `${peer.v4}/32`, "dev", "lo"]);
    await send(bed.neighbour, peer.v4, bed.laptop.address4, "forged as home, after death");
    await bed.neighbour.exec("ip", ["address", "del", `${peer.v4}/32`, "dev", "lo"]);
    await bed.laptopProxy.start();
    await settled();
    expect(await leaked("after death", seen)).toEqual(NOTHING);
  });

  it("would succeed without the guard (so these tests can see it)", async () => {
    await bed.laptop.exec("nft", ["delete", "table", "inet", "i3_guard_i3"]);
    await bed.neighbour.exec("ip", ["address", "add", `${peer.v6}/128`, "dev", "lo", "nodad"]);
    await send(bed.neighbour, peer.v6, bed.laptop.address6, "forged as home");
    await onLaptop.waitForLine(/UDP forged as home/);
    expect(await counted("witness")).toBeGreaterThan(0);
  });
});

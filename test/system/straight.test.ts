/** Two real proxies behind NATs find a way past i3 (docs/wire.md §9.7): a UDP flow with numbers goes on while they do, and when the ring is gone. */
import { afterEach, expect, it } from "vitest";

import { Laptop, startRing } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";

import { UdpPeer } from "../netns/test/udp-peer.js";
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

/** Since the beginning. */
const pathsOf = (which: PairBed["laptopProxy"]): readonly string[] =>
  (which.child?.lines ?? []).map(({ text }) => text).filter((text) => text.includes('"event":"path"')).map((text) => (JSON.parse(text) as { readonly to: string }).to);
const untilBoth = (what: string, { laptopProxy, homeProxy }: PairBed, holds: (to: string) => boolean): Promise<true> =>
  eventually(what, 6_000, () => Promise.resolve([laptopProxy, homeProxy].every((proxy) => holds(pathsOf(proxy).at(-1) ?? "i3")) ? true : undefined));

it("by IPv6 where the NATs of IPv4 let nothing through", async () => {
  const made = await open({ nat1: "symmetric", nat2: "symmetric", ipv6: true });
  const ping = made.laptop.spawn("ping", ["-n", "-i", "0.1", "home.i3"]);
  await ping.waitForLine(/icmp_seq=1 ttl/, 5_000);
  await untilBoth("both send by IPv6", made, (to) => to.startsWith("["));
  await ping.stop();
});

it("is found again by the next packet from inside when a NAT has forgotten all, and the host by the ring", async () => {
  const made = await open({ nat1: { kind: "port-restricted", rebootShift: true }, nat2: "port-restricted" });
  const { laptop, laptopProxy, homeProxy, nat1 } = made;
  const ping = laptop.spawn("ping", ["-n", "-i", "0.1", "-W", "1", "home.i3"]);
  await ping.waitForLine(/icmp_seq=1 ttl/, 5_000);
  await untilBoth("both send straight", made, (to) => to !== "i3");
  const before = pathsOf(homeProxy).at(-1);
  await nat1.reboot();
  await untilBoth("both send straight again", made, (to) => to !== "i3" && to !== before);
  const had = ping.lines.length;
  await eventually("answers", 5_000, () => Promise.resolve(ping.lines.length > had + 10 ? true : undefined));
  await ping.stop();
  await eventually("the ring sees it elsewhere", 5_000, () => Promise.resolve((laptopProxy.child?.lines ?? []).some(({ text }) => text.includes('"event":"seen-elsewhere"')) ? true : undefined));
});

it.each(["laptopOptions", "homeOptions"] as const)("is not looked for where a rule says no (%s): neither machine sends a packet to the other's NAT", async (who) => {
  const rules = '<rules><rule name=".*\\.i3" go="i3" shortcut="no"/></rules>';
  const made = await open({ nat1: "full-cone", nat2: "full-cone", [who]: { rules } });
  const { laptop, nat1, nat2, topology } = made;
  for (const [nat, other] of [[nat2, nat1], [nat1, nat2]] as const) {
    await nat.exec("nft", [`add table inet watch { chain c { type filter hook prerouting priority -400; ip saddr ${other.address4} counter; }; }`]);
  }
  const ping = laptop.spawn("ping", ["-n", "-i", "0.1", "home.i3"]);
  await ping.waitForLine(/icmp_seq=20 ttl/, 15_000);
  await ping.stop();
  for (const nat of [nat1, nat2]) {
    const { stdout } = await nat.exec("nft", ["list", "table", "inet", "watch"]);
    expect(stdout, await topology.diagnose()).toContain("packets 0");
  }
  expect([pathsOf(made.laptopProxy), pathsOf(made.homeProxy)]).toEqual([["i3"], ["i3"]]);
});

it("is found through a NAT that takes addresses in payloads for what it has to translate, both ways: it finds none in ours", async () => {
  const made = await open({ nat1: "port-restricted", nat2: "port-restricted", wan: { nat1: {} }, start: false });
  const { laptop, nat1, links, servers, laptopProxy, homeProxy } = made;
  const [inside, outside] = [laptop.address4, nat1.address4];
  const link = links.get("nat1");
  await link?.set({ rewriteAddresses: { from: inside, to: outside } }, "up");
  await link?.set({ rewriteAddresses: { from: outside, to: inside } }, "down");
  const [client, server] = [await UdpPeer.open(laptop), await UdpPeer.open(servers[0] as Host, 7_000)];
  await client.send(server.endpoint, `I-am-${inside}`);
  await server.received(`I-am-${outside}`);
  expect((await client.mappedBy(server)).address).toBe(inside);
  await Promise.all([laptopProxy.start(), homeProxy.start()]);
  const ping = laptop.spawn("ping", ["-n", "-i", "0.1", "home.i3"]);
  await ping.waitForLine(/icmp_seq=\d+ ttl/, 5_000);
  await untilBoth("both send straight", made, (to) => to !== "i3");
  const had = ping.lines.length;
  await eventually("answers", 5_000, () => Promise.resolve(ping.lines.length > had + 20 ? true : undefined));
  await ping.stop();
  const stats = await link?.stats();
  expect([stats?.up.rewritten, stats?.down.rewritten]).toEqual([1, 1]);
});

/** s1 s2 s3 ── core ── carrier ── 100.64.0.0/24 ── nat1 ── laptop, and nat2 ── home: by the only address that anybody outside sees of either. */
it("between two homes of one carrier, whose NAT turns packets back: by the ports that servers see there", async () => {
  const topology = await Topology.create();
  try {
    const core = topology.router("core");
    const servers = [1, 2, 3].map((n) => topology.host(`s${n}`));
    for (const [i, server] of servers.entries()) topology.link(core, server, { subnet: `192.0.2.${4 * (i + 1)}/30` });
    const carrier = topology.nat("carrier", { kind: "port-restricted", hairpin: true });
    topology.link(core, carrier, { subnet: "198.51.100.0/30" });
    const homes = [1, 2].map((n) => ({ nat: topology.nat(`nat${n}`, { kind: "port-restricted" }), host: topology.host(n === 1 ? "laptop" : "home") }));
    topology.lan("access", { subnet: "100.64.0.0/24", gateway: carrier, members: homes.map(({ nat }) => nat) });
    for (const [i, { nat, host }] of homes.entries()) topology.link(nat, host, { subnet: `192.168.${i + 1}.0/30` });
    await topology.up();
    await startRing(servers);
    const [laptopProxy, homeProxy] = await Promise.all(homes.map(({ host }) => Laptop.make(host, { serverAddresses: servers.map(({ address4 }) => address4) }))) as [Laptop, Laptop];
    for (const proxy of [laptopProxy, homeProxy]) await proxy.writeBook({ "laptop.i3": laptopProxy, "home.i3": homeProxy });
    await Promise.all([laptopProxy.start(), homeProxy.start()]);
    const ping = laptopProxy.host.spawn("ping", ["-n", "-i", "0.1", "home.i3"]);
    await ping.waitForLine(/icmp_seq=\d+ ttl/, 5_000);
    const outside = carrier.interfaces.find(({ address4 }) => address4?.startsWith("198.51.100."))?.address4;
    await eventually("both send straight", 6_000, () => Promise.resolve([laptopProxy, homeProxy].every((proxy) => pathsOf(proxy).at(-1)?.startsWith(`${outside}:`)) ? true : undefined));
    const had = ping.lines.length;
    await eventually("answers", 5_000, () => Promise.resolve(ping.lines.length > had + 20 ? true : undefined));
    await ping.stop();
  } finally {
    await topology.close();
  }
});

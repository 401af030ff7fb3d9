/** A host with two uplinks: which one is used, and how one goes, comes back, changes its address or dies unnoticed. */
import { expect, test } from "vitest";
import { Topology, type Host, type Link, type Nat, type NatOptions } from "../src/index.js";
import { UdpPeer } from "./udp-peer.js";
import { closeAfterTest } from "./with-topology.js";

/**
 *                   s1 192.0.2.6
 *                    |
 *        +---------- core ----------+
 *        | 1 ms                     | 2 ms
 *      wifi 198.51.100.2          lte 203.0.113.2
 *        |                          |
 *   eth0 192.168.1.10          eth1 100.64.0.10
 *        +---------- laptop --------+
 */
async function twoUplinks(wifiOptions: NatOptions = {}): Promise<{ topology: Topology; s1: Host; laptop: Host; wifi: Nat; lte: Nat; wifiLink: Link }> {
  const topology = await Topology.create({ seed: 1 });
  closeAfterTest(topology);
  const core = topology.router("core");
  const s1 = topology.host("s1");
  topology.link(core, s1, { subnet: "192.0.2.4/30", subnet6: "2001:db8:1::/64" });
  const [wifi, lte] = [topology.nat("wifi", wifiOptions), topology.nat("lte", { kind: "symmetric" })];
  const wifiLink = topology.link(core, wifi, { subnet: "198.51.100.0/24", subnet6: "2001:db8:2::/64", wan: { delayMs: 1 } });
  topology.link(core, lte, { subnet: "203.0.113.0/24", subnet6: "2001:db8:3::/64", wan: { delayMs: 2 } });
  const laptop = topology.host("laptop");
  topology.lan("home", { subnet: "192.168.1.0/24", subnet6: "2001:db8:4::/64", gateway: wifi, members: [laptop] });
  topology.lan("mobile", { subnet: "100.64.0.0/24", subnet6: "2001:db8:5::/64", gateway: lte, members: [laptop] });
  await topology.up();
  return { topology, s1, laptop, wifi, lte, wifiLink };
}

const defaults = async (host: Host, family: "-4" | "-6"): Promise<string[]> => {
  const { stdout } = await host.exec("ip", [family, "route", "show", "default"]);
  return stdout.trim().split("\n").map((line) => /^default via (\S+) dev (\S+) metric (\d+)/.exec(line)?.slice(1).join(" ") ?? line);
};

test("both uplinks have a default route, and the first is used while it is up", async () => {
  const { s1, laptop, wifi, lte } = await twoUplinks();
  const BOTH = { "-4": ["192.168.1.1 eth0 100", "100.64.0.1 eth1 200"], "-6": ["2001:db8:4::1 eth0 100", "2001:db8:5::1 eth1 200"] } as const;
  expect(await defaults(laptop, "-4")).toEqual(BOTH["-4"]);
  expect(await defaults(laptop, "-6")).toEqual(BOTH["-6"]);
  const server = await UdpPeer.open(s1, 7000);
  const socket = await UdpPeer.open(laptop);
  expect((await socket.mappedBy(server)).address).toBe(wifi.address4);
  await laptop.setInterface("eth0", { up: false });
  expect(await defaults(laptop, "-4")).toEqual(["100.64.0.1 eth1 200"]);
  expect((await socket.mappedBy(server)).address).toBe(lte.address4);
  await laptop.setInterface("eth0", { up: true });
  expect(await defaults(laptop, "-4")).toEqual(BOTH["-4"]);
  expect(await defaults(laptop, "-6")).toEqual(BOTH["-6"]);
  expect((await socket.mappedBy(server)).address).toBe(wifi.address4);
  expect((await laptop.exec("ping", ["-c1", "-W5", s1.address6])).status).toBe(0);
});

test("an uplink that is cut dies without a sign, and the other works for who binds to it", async () => {
  const { s1, laptop, lte, wifiLink } = await twoUplinks();
  const server = await UdpPeer.open(s1, 7000);
  await wifiLink.cut();
  expect(await defaults(laptop, "-4")).toHaveLength(2);
  expect((await laptop.exec("ping", ["-c1", "-W1", s1.address4])).status).toBe(1);
  expect((await laptop.exec("ping", ["-c1", "-W5", "-I", "eth1", s1.address4])).status).toBe(0);
  await wifiLink.mend();
  await laptop.cutOff("home");
  await laptop.exec("ip", ["route", "del", "default", "dev", "eth0"]);
  expect((await (await UdpPeer.open(laptop)).mappedBy(server)).address).toBe(lte.address4);
});

test.each(["make-before-break", "break-before-make"] as const)("%s: an address changes, and routes, neighbours and NAT follow", async (order) => {
  const { s1, laptop, wifi } = await twoUplinks({ kind: "full-cone" });
  const monitor = laptop.spawn("ip", ["-o", "monitor", "address"]);
  const server = await UdpPeer.open(s1, 7000);
  const socket = await UdpPeer.open(laptop, 5000);
  await socket.mappedBy(server);
  const listens = new RegExp(`^\\S+ +0 +${monitor.pid} +0*[1-9a-f]`, "m");
  await expect.poll(async () => (await laptop.exec("cat", ["/proc/net/netlink"])).stdout, { timeout: 10_000 }).toMatch(listens);
  await laptop.setAddress("eth0", "192.168.1.10", "192.168.1.99", order);
  expect(laptop.address4).toBe("192.168.1.99");
  await Promise.all([monitor.waitForLine(/^(?!Deleted).*192\.168\.1\.99/), monitor.waitForLine(/^Deleted.*192\.168\.1\.10\//)]);
  const [first = ""] = monitor.lines.map(({ text }) => text).filter((text) => text.includes("192.168.1."));
  expect(first.startsWith("Deleted")).toBe(order === "break-before-make");
  expect(await defaults(laptop, "-4")).toEqual(["192.168.1.1 eth0 100", "100.64.0.1 eth1 200"]);
  expect((await socket.mappedBy(server)).address).toBe(wifi.address4);
  expect((await laptop.exec("ip", ["-4", "-br", "addr", "show", "dev", "eth0"])).stdout).toMatch(/ 192\.168\.1\.99\/24 *$/m);
});

test("addresses of both families are added, and taken away later", async () => {
  const { s1, laptop } = await twoUplinks();
  await laptop.setAddress("eth0", undefined, "2001:db8:4::99");
  expect((await laptop.exec("ping", ["-c1", "-W5", "-I", "2001:db8:4::99", s1.address6])).status).toBe(0);
  expect((await laptop.exec("ping", ["-c1", "-W5", "-I", "2001:db8:4::a", s1.address6])).status).toBe(0);
  await laptop.setAddress("eth0", "2001:db8:4::a", undefined);
  expect(laptop.address6).toBe("2001:db8:4::99");
  expect((await laptop.exec("ip", ["-6", "addr", "show", "dev", "eth0"])).stdout).not.toContain("2001:db8:4::a/");
  expect(await defaults(laptop, "-6")).toContain("2001:db8:4::1 eth0 100");
});

test("what is not there is refused", async () => {
  const { laptop } = await twoUplinks();
  await expect(laptop.setInterface("eth7", { up: false })).rejects.toMatchObject({ code: "ERR_I3_NETNS_PLAN" });
  await expect(laptop.setAddress("eth0", "192.168.1.10", "2001:db8:4::1")).rejects.toMatchObject({ code: "ERR_I3_NETNS_PLAN" });
  await expect(laptop.setAddress("eth0", undefined, undefined)).rejects.toMatchObject({ code: "ERR_I3_NETNS_PLAN" });
});

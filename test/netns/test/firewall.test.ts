/** Networks that let little through: no UDP, only TCP 443, no ICMP errors, a small MTU on the way, a box that edits payloads. */
import { expect, test } from "vitest";
import { Topology, type Host, type Link, type Nat, type NatOptions, type Router } from "../src/index.js";
import { UdpPeer } from "./udp-peer.js";
import { buildStandard, closeAfterTest } from "./with-topology.js";

const LISTEN = 'require("net").createServer((s)=>s.end("hello\\n")).listen(Number(process.argv[1]),"::",()=>console.log("listening"))';
const CONNECT = 'const s=require("net").connect(Number(process.argv[2]),process.argv[1]);s.setTimeout(1500,()=>process.exit(1));s.on("error",()=>process.exit(1));s.on("data",()=>process.exit(0))';

async function listen(host: Host, ...ports: number[]): Promise<void> {
  for (const port of ports) await host.spawn(process.execPath, ["-e", LISTEN, String(port)]).waitForLine(/listening/);
}

async function connects(from: Host, address: string, port: number): Promise<boolean> {
  return (await from.exec(process.execPath, ["-e", CONNECT, address, String(port)])).status === 0;
}

/** Whether a datagram reaches `server`. What does not is given up after a ping to the same node, which takes the same way. */
async function reachesByUdp(client: UdpPeer, server: UdpPeer, text: string, address = server.node.address4): Promise<boolean> {
  await client.send({ address, port: server.port }, text);
  await client.node.exec("ping", ["-c2", "-i0.2", "-W1", address]);
  return server.hasReceived(text);
}

test("no-udp: TCP and pings pass, UDP does not in either family, and does again when the network allows it", async () => {
  const { laptop, nat1, servers } = await buildStandard({ ipv6: true });
  const [s1] = servers as [Host];
  await listen(s1, 443);
  const [client, server] = [await UdpPeer.open(laptop), await UdpPeer.open(s1, 7000)];
  const [client6, server6] = [await UdpPeer.open(laptop, 0, "::"), await UdpPeer.open(s1, 7001, "::")];
  const reaches = async (text: string): Promise<boolean[]> => [await reachesByUdp(client, server, text), await reachesByUdp(client6, server6, text, s1.address6)];
  expect(await reaches("before")).toEqual([true, true]);
  await nat1.setEgress("no-udp");
  expect(await reaches("blocked")).toEqual([false, false]);
  expect([await connects(laptop, s1.address4, 443), await connects(laptop, s1.address6, 443)]).toEqual([true, true]);
  await nat1.setEgress("all");
  expect(await reaches("after")).toEqual([true, true]);
});

test("tcp-443: that port and the resolver are all there is", async () => {
  const { laptop, servers, resolver } = await buildStandard({ ipv6: true, nat1: { egress: "tcp-443" } });
  const [s1] = servers as [Host];
  await listen(s1, 443, 80);
  const reached = [await connects(laptop, s1.address4, 443), await connects(laptop, s1.address6, 443), await connects(laptop, s1.address4, 80), await connects(laptop, s1.address6, 80)];
  expect(reached).toEqual([true, true, false, false]);
  const client = await UdpPeer.open(laptop);
  const dns = await UdpPeer.open(resolver, 53);
  const other = await UdpPeer.open(s1, 53);
  await client.send(other.endpoint, "not-the-resolver");
  await client.mappedBy(dns);
  expect(other.hasReceived("not-the-resolver")).toBe(false);
  expect((await laptop.exec("ping", ["-c1", "-W1", s1.address4])).status).toBe(1);
});

/**  s1 ── core ──(MTU 1280)── edge ── nat ── laptop  */
async function narrow(natOptions: NatOptions = {}): Promise<{ s1: Host; laptop: Host; core: Router; edge: Router; nat: Nat; link: Link }> {
  const topology = await Topology.create({ seed: 1 });
  closeAfterTest(topology);
  const [core, edge, s1, laptop] = [topology.router("core"), topology.router("edge"), topology.host("s1"), topology.host("laptop")];
  const nat = topology.nat("nat", natOptions);
  topology.link(core, s1, { subnet: "192.0.2.4/30" });
  const link = topology.link(core, edge, { subnet: "203.0.113.0/30", mtu: 1280 });
  topology.link(edge, nat, { subnet: "198.51.100.4/30" });
  topology.lan("home", { subnet: "192.168.1.0/24", gateway: nat, members: [laptop] });
  await topology.up();
  return { s1, laptop, core, edge, nat, link };
}

const bigPing = (from: Host, to: string): Promise<{ status: number; stdout: string }> => from.exec("ping", ["-c1", "-W1", "-M", "do", "-s", "1372", to]);

test("a small MTU on the way is told to the host behind the NAT, unless ICMP errors are dropped", async () => {
  const { s1, laptop, edge } = await narrow();
  const small = await laptop.exec("ping", ["-c1", "-W5", "-M", "do", "-s", "1252", s1.address4]);
  expect(small.status).toBe(0);
  await edge.setIcmpErrors({ dropped: true });
  const silent = await bigPing(laptop, s1.address4);
  expect([silent.status, silent.stdout.includes("mtu")]).toEqual([1, false]);
  await edge.setIcmpErrors({ dropped: false });
  const told = await bigPing(laptop, s1.address4);
  expect(told.stdout).toMatch(/203\.0\.113\.2.*mtu = 1280|198\.51\.100\.5.*mtu = 1280/);
});

test("a box that edits payloads does so on an emulated link in the direction that was asked for, and the datagrams arrive", async () => {
  const { laptop, nat1, servers, links } = await buildStandard({ wan: { nat1: { up: { rewriteAddresses: { from: "192.168.1.10", to: "198.51.100.6" } } } } });
  const [s1] = servers as [Host];
  const [client, server] = [await UdpPeer.open(laptop), await UdpPeer.open(s1, 7000)];
  await client.send(server.endpoint, "I-am-192.168.1.10:5000");
  await server.received(`I-am-${nat1.address4}:5000`);
  const stats = await links.get("nat1")?.stats();
  expect([stats?.up.rewritten, stats?.down.rewritten]).toEqual([1, 0]);
});

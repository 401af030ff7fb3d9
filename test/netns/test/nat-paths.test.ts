/** NATs behind NATs, and NATs that forget or move. */
import { expect, test } from "vitest";
import { Topology, type Host, type Nat, type NatOptions } from "../src/index.js";
import { behaviourSeenFrom, openFour } from "./rfc5780.js";
import { UdpPeer } from "./udp-peer.js";
import { closeAfterTest } from "./with-topology.js";

/**
 *     s1 192.0.2.6    s2 192.0.2.10
 *          \             /
 *           core 198.51.100.1
 *            |
 *     198.51.100.2 cgn 100.64.0.1
 *            |
 *      ======+====== 100.64.0.0/10
 *       |         |
 *     home1     home2      192.168.1.0/24, 192.168.2.0/24
 *       |         |
 *     laptop    phone
 */
async function carrierGrade(cgnOptions: NatOptions, homeOptions: NatOptions): Promise<{ servers: [Host, Host]; cgn: Nat; home: Nat; laptop: Host; phone: Host }> {
  const topology = await Topology.create({ seed: 1 });
  closeAfterTest(topology);
  const core = topology.router("core");
  const servers: [Host, Host] = [topology.host("s1"), topology.host("s2")];
  servers.forEach((server, i) => topology.link(core, server, { subnet: `192.0.2.${4 * (i + 1)}/30` }));
  const cgn = topology.nat("cgn", cgnOptions);
  topology.link(core, cgn, { subnet: "198.51.100.0/24" });
  const homes = [topology.nat("home1", homeOptions), topology.nat("home2", homeOptions)] as const;
  topology.lan("carrier", { subnet: "100.64.0.0/10", gateway: cgn, members: homes });
  const [laptop, phone] = [topology.host("laptop"), topology.host("phone")];
  topology.lan("lan1", { subnet: "192.168.1.0/24", gateway: homes[0], members: [laptop] });
  topology.lan("lan2", { subnet: "192.168.2.0/24", gateway: homes[1], members: [phone] });
  await topology.up();
  return { servers, cgn, home: homes[0], laptop, phone };
}

test("behind two NATs a host measures the stricter of both, and the carrier's address", async () => {
  const { servers, cgn, laptop } = await carrierGrade({ mapping: "ad", filtering: "ei" }, { kind: "full-cone" });
  const four = await openFour(...servers);
  expect(await behaviourSeenFrom(laptop, four)).toEqual({ mapping: "ad", filtering: "ei" });
  const socket = await UdpPeer.open(laptop);
  expect((await socket.mappedBy(four.primary)).address).toBe(cgn.address4);
});

test("two homes behind one carrier reach each other through its hairpin", async () => {
  const { servers, cgn, laptop, phone } = await carrierGrade({ mapping: "ei", filtering: "ei", hairpin: true }, { kind: "full-cone" });
  const [s1] = servers;
  const server = await UdpPeer.open(s1, 7000);
  const [a, b] = [await UdpPeer.open(laptop, 5000), await UdpPeer.open(phone, 5000)];
  const atA = await a.mappedBy(server);
  const atB = await b.mappedBy(server);
  await b.send(atA, "hello");
  const [, address, port] = await a.line(/^got (\S+) (\d+) hello$/);
  expect({ address, port: Number(port) }).toEqual({ address: cgn.address4, port: atB.port });
});

test.each([{ mapping: "ei" as const }, { mapping: "apd" as const }])("mapping $mapping with rebootShift: after each reboot a socket has another port", async ({ mapping }) => {
  const { servers, home, laptop } = await carrierGrade({ kind: "full-cone" }, { mapping, rebootShift: true });
  const server = await UdpPeer.open(servers[0], 7000);
  const socket = await UdpPeer.open(laptop, 5000);
  const ports = [(await socket.mappedBy(server)).port];
  if (mapping === "ei") expect(ports).toEqual([5000]);
  for (let i = 0; i < 2; i++) {
    const before = await socket.mappedBy(server);
    await home.reboot();
    const after = await socket.mappedBy(server);
    await server.send(before, `late-${i}`);
    await socket.mappedBy(server);
    expect(socket.hasReceived(`late-${i}`)).toBe(false);
    ports.push(after.port);
  }
  expect(new Set(ports).size).toBe(3);
});

test("a NAT that is given another address maps there, and lets nothing in at the old one", async () => {
  const { servers, cgn, laptop } = await carrierGrade({ kind: "full-cone", hairpin: true }, { kind: "full-cone" });
  const server = await UdpPeer.open(servers[0], 7000);
  const socket = await UdpPeer.open(laptop, 5000);
  const before = await socket.mappedBy(server);
  await cgn.readdress("198.51.100.77");
  await server.send(before, "to-the-old");
  const after = await socket.mappedBy(server);
  expect([before.address, after.address, cgn.address4]).toEqual(["198.51.100.2", "198.51.100.77", "198.51.100.77"]);
  expect(socket.hasReceived("to-the-old")).toBe(false);
});

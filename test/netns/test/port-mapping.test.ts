/** A home router that maps ports when asked, by each of the three protocols. */
import { expect, test, type TestContext } from "vitest";
import { missingPortMapping, type Host, type Nat, type StandardTopology } from "../src/index.js";
import { UdpPeer } from "./udp-peer.js";
import { buildStandard } from "./with-topology.js";

async function build(context: TestContext): Promise<StandardTopology & { s1: Host }> {
  const missing = missingPortMapping();
  if (missing !== undefined) context.skip(missing);
  const built = await buildStandard({ servers: 1, nat1: { kind: "port-restricted", portMapping: true } });
  return { ...built, s1: built.servers[0] as Host };
}

async function expectOpen(nat: Nat, s1: Host, socket: UdpPeer, port: number): Promise<void> {
  const stranger = await UdpPeer.open(s1);
  const text = `echo-mapped-${port}`;
  await stranger.send({ address: nat.address4, port }, text);
  await socket.received(text);
  const [, address, from] = await stranger.line(new RegExp(`^got (\\S+) (\\d+) seen \\S+ \\d+ ${text}$`));
  expect({ address, port: Number(from) }, "the answer comes from the mapped port").toEqual({ address: nat.address4, port });
}

/** PCP's MAP (RFC 6887 §11.1) by hand: UDP, inside port 6002 to outside port 6202, ten minutes. */
const PCP_MAP = `
const s = require("dgram").createSocket("udp4"), m = Buffer.alloc(60);
m[0] = 2; m[1] = 1; m.writeUInt32BE(600, 4); m.writeUInt16BE(0xffff, 18); Buffer.from(process.argv[2].split(".").map(Number)).copy(m, 20);
m.fill(7, 24, 36); m[36] = 17; m.writeUInt16BE(6002, 40); m.writeUInt16BE(6202, 42); m.writeUInt16BE(0xffff, 54);
s.on("message", (r) => { console.log(r[0], r[1], r[3], r.readUInt16BE(42)); process.exit(); });
s.send(m, 5351, process.argv[1]);
setTimeout(() => process.exit(1), 5000);`;

test("NAT-PMP, UPnP-IGD and PCP each open a port; a reboot forgets them", async (context) => {
  const { nat1, laptop, s1 } = await build(context);
  const gateway = "192.168.1.1";
  const sockets = await Promise.all([6000, 6001, 6002].map((port) => UdpPeer.open(laptop, port)));
  const [pmp, igd, pcp] = sockets as [UdpPeer, UdpPeer, UdpPeer];

  const asked = await laptop.exec("natpmpc", ["-g", gateway, "-a", "6200", "6000", "udp", "600"]);
  expect(asked.stdout).toContain(`Public IP address : ${nat1.address4}`);
  expect(asked.stdout).toContain("Mapped public port 6200 protocol UDP to local port 6000");
  await expectOpen(nat1, s1, pmp, 6200);

  expect((await laptop.exec("upnpc", ["-a", laptop.address4, "6001", "6201", "udp", "600"])).stdout).toContain("is redirected to");
  await expectOpen(nat1, s1, igd, 6201);

  expect((await laptop.exec(process.execPath, ["-e", PCP_MAP, gateway, laptop.address4])).stdout).toBe("2 129 0 6202\n");
  await expectOpen(nat1, s1, pcp, 6202);

  await nat1.reboot();
  const stranger = await UdpPeer.open(s1, 7000);
  await stranger.send({ address: nat1.address4, port: 6200 }, "after-reboot");
  await pmp.mappedBy(stranger);
  expect(pmp.hasReceived("after-reboot")).toBe(false);
  await laptop.exec("natpmpc", ["-g", gateway, "-a", "6203", "6000", "udp", "600"]);
  await expectOpen(nat1, s1, pmp, 6203);
}, 60_000);

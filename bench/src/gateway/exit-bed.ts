/**
 * One plain server behind a gateway of ours and behind an exit of wireguard-go with the kernel's masquerade, each with a client of its own:
 *
 *     client ── gate (i3-to-ip) ──┐
 *                                 ├── server: nginx, dnsmasq, iperf3
 *     wg-client ── wg-exit ───────┘
 *
 * Veth pairs without impairment. Client and gate reach each other by address: HIP and ESP in UDP 10500, no ring.
 */
import { Laptop } from "@i3/demo";
import { Topology, type Child, type Host } from "@i3/netns";

import { startPeer, succeed, type Subject } from "../tunnel/bed.js";
import { startNginx } from "./nginx.js";

/** Nobody is there: who reaches all by address needs no server. */
const NO_SERVER = "192.0.2.250";
const NAME = "server.corp.example";
const FIRST_ANSWER_S = 10;
/** What a client may begin; wireguard-go has no bound. */
const LIMITS = '<limits connections-per-client="1048576" new-per-second="100000"/>';
const RULES = '<rules><rule name="gate\\.i3" go="i3"/><rule name=".*\\.corp\\.example" go="gateway" via="gate.i3"/></rules>';

export interface ExitBed {
  /** To the server through the gateway. */
  readonly through: Subject;
  /** To the gateway itself, by the same association. */
  readonly direct: Subject;
  readonly server: Host;
  readonly nginx: Child;
  readonly exit: Exit;
  close(): Promise<void>;
}

export interface Exit {
  readonly client: Host;
  readonly serverAddress: string;
  readonly pids: { readonly client: number; readonly exit: number };
}

export async function openExitBed(): Promise<ExitBed> {
  const topology = await Topology.create();
  try {
    const [client, server] = [topology.host("client"), topology.host("server")];
    const gateHost = topology.host("gate", { resolvers: ["203.0.113.2"] });
    const [wgClient, wgExit] = [topology.host("wg-client"), topology.host("wg-exit")];
    topology.link(gateHost, client, { subnet: "192.0.2.0/30" });
    topology.link(gateHost, server, { subnet: "203.0.113.0/30" });
    topology.link(wgExit, wgClient, { subnet: "198.51.100.0/30" });
    topology.link(wgExit, server, { subnet: "203.0.113.4/30" });
    await topology.up();
    const [own = "", other = ""] = server.interfaces.map(({ address4 }) => address4);
    const nginx = await startNginx(server, { port: 80 });
    const dns = server.spawn("dnsmasq", ["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root", `--host-record=${NAME},${own}`, "--log-facility=-", "--bind-interfaces", `--listen-address=${own}`]);
    await dns.waitForLine(/started/);
    const ours = await startOurs(client, gateHost);
    const address = (await succeed(client, "dig", ["+short", "+tries=1", `+timeout=${FIRST_ANSWER_S}`, NAME, "A"])).trim();
    await succeed(client, "curl", ["-sSf", "--max-time", String(FIRST_ANSWER_S), "-o", "/dev/null", `http://${NAME}/`]);
    const pids = { a: ours.client.child?.pid ?? 0, b: ours.gate.child?.pid ?? 0, between: [] };
    return {
      through: { name: "through the gateway", a: client, b: server, address, listensAt: own, pids }, direct: { name: "direct tunnel", a: client, b: gateHost, address: ours.gate.address4, pids },
      server, nginx, exit: await startExit(wgClient, wgExit, other), close: () => topology.close(),
    };
  } catch (error) {
    await topology.close().catch(() => undefined);
    throw error;
  }
}

async function startOurs(clientHost: Host, gateHost: Host): Promise<{ readonly client: Laptop; readonly gate: Laptop }> {
  const common = { serverAddresses: [NO_SERVER], hip: '<hip udp-port="10500"/>', logLevel: "info" } as const;
  const out = gateHost.interfaces[1]?.name ?? "";
  const [client, gate] = [
    await Laptop.make(clientHost, { ...common, rules: RULES }),
    await Laptop.make(gateHost, { ...common, gateway: `<gateway out="${out}">${LIMITS}<allow group="staff" names=".*\\.corp\\.example" networks="203.0.113.0/24"/></gateway>` }),
  ];
  await client.writeBook({ "gate.i3": gate }, `address="${gateHost.address4}"`);
  await gate.writeBook({ "client.i3": client }, `address="${clientHost.address4}" group="staff"`);
  await Promise.all([client.start(), gate.start()]);
  await succeed(clientHost, "ping", ["-c1", `-W${FIRST_ANSWER_S}`, "-q", "gate.i3"]);
  return { client, gate };
}

/** wireguard-go as peers/tunnel.sh starts it, and then a way through it: all of it the kernel's. */
async function startExit(client: Host, exit: Host, serverAddress: string): Promise<Exit> {
  const { pids } = await startPeer("wireguard-go", client, exit);
  const [peer = "", allowed = ""] = (await succeed(client, "wg", ["show", "wg_a", "allowed-ips"])).trim().split(/\s+/);
  await succeed(client, "wg", ["set", "wg_a", "peer", peer, "allowed-ips", `${allowed},${serverAddress}/32`]);
  await succeed(client, "ip", ["route", "add", `${serverAddress}/32`, "dev", "wg_a"]);
  await succeed(exit, "sysctl", ["-qw", "net.ipv4.ip_forward=1"]);
  await succeed(exit, "nft", ["add table ip exit; add chain ip exit leave { type nat hook postrouting priority 100; }; add rule ip exit leave iifname wg_b masquerade"]);
  await succeed(client, "curl", ["-sSf", "--max-time", String(FIRST_ANSWER_S), "-o", "/dev/null", `http://${serverAddress}/`]);
  return { client, serverAddress, pids: { client: pids.a, exit: pids.b } };
}

/**
 * A crowd and one more client, which may do as it likes, behind one gateway; and a gateway of its own for that one, to see what it costs the machine where it disturbs nobody:
 *
 *     crowd ────┐
 *               ├── gate (i3-to-ip) ──┐
 *     hostile ──┤                     ├── server: nginx, iperf3
 *               └── other (i3-to-ip) ─┘
 *
 * All reach the gateways by address: HIP and ESP in UDP 10500, no ring.
 */
import { Laptop } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";

import { Crowd } from "./crowd.js";

export interface CrowdBed {
  readonly topology: Topology;
  readonly crowd: Crowd;
  readonly gate: Laptop;
  readonly other: Laptop;
  readonly hostile: Laptop;
  readonly server: Host;
  /** Where the hostile client is led to the server, by the crowd's gateway and by the other one. */
  readonly ways: { readonly crowded: string; readonly alone: string };
}

/** Nobody is there. */
const NO_SERVER = "192.0.2.250";
const NAME = "server.corp.example";
const FIRST_ANSWER_S = 10;
const RULES = '<rules><rule name="(gate|other)\\.i3" go="i3"/><rule name=".*\\.corp\\.example" go="gateway" via="gate.i3"/><rule name=".*\\.lab\\.example" go="gateway" via="other.i3"/></rules>';
const COMMON = { serverAddresses: [NO_SERVER], hip: '<hip udp-port="10500"/>', logLevel: "info" } as const;

/** `serve` begins what answers at port 80 of the server; what listens elsewhere is the caller's. */
export async function openCrowdBed(clients: number, serve: (server: Host) => Promise<unknown>): Promise<CrowdBed> {
  const topology = await Topology.create({ seed: 1 });
  try {
    const [crowdHost, hostileHost, server] = [topology.host("crowd"), topology.host("hostile"), topology.host("server")];
    const [gateHost, otherHost] = [topology.host("gate", { resolvers: ["203.0.113.2"] }), topology.host("other", { resolvers: ["203.0.113.6"] })];
    topology.link(gateHost, crowdHost, { subnet: "198.18.0.0/16" });
    topology.link(gateHost, hostileHost, { subnet: "192.0.2.0/30" });
    topology.link(otherHost, hostileHost, { subnet: "192.0.2.4/30" });
    topology.link(gateHost, server, { subnet: "203.0.113.0/30" });
    topology.link(otherHost, server, { subnet: "203.0.113.4/30" });
    await topology.up();
    await serve(server);
    const [own = "", second = ""] = server.interfaces.map(({ address4 }) => address4);
    const records = [`--host-record=${NAME},${own}`, `--host-record=${labName},${second}`];
    await server.spawn("dnsmasq", ["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root", ...records, "--log-facility=-", "--bind-interfaces", `--listen-address=${own},${second}`]).waitForLine(/started/);
    const keys = Crowd.makeKeys(clients);
    const list = (host: Host, at: number): string => `<gateway out="${host.interfaces[at]?.name ?? ""}"><allow group="staff" names=".*\\.(corp|lab)\\.example" networks="203.0.113.0/24"/></gateway>`;
    const [gate, other, hostile] = [
      await Laptop.make(gateHost, { ...COMMON, gateway: list(gateHost, 2) }), await Laptop.make(otherHost, { ...COMMON, gateway: list(otherHost, 1) }), await Laptop.make(hostileHost, { ...COMMON, rules: RULES }),
    ];
    await Promise.all([gate, other].map((one) => one.writeBook({ ...Object.fromEntries(keys.map(({ hit }, i) => [`client${i}.i3`, hit])), "hostile.i3": hostile }, 'group="staff"')));
    const addresses = { gate: gateHost.interfaces[1]?.address4 ?? "", other: otherHost.address4 };
    await hostileHost.writeFile("book.xml", `<address-book version="1"><host name="gate.i3" hit="${gate.hit}" address="${addresses.gate}"/><host name="other.i3" hit="${other.hit}" address="${addresses.other}"/></address-book>\n`);
    await Promise.all([gate, other, hostile].map((one) => one.start()));
    const crowd = await Crowd.start(crowdHost, keys, { gateway: { hit: gate.hit, address: gateHost.address4 }, name: NAME, pattern: ".*\\.corp\\.example" });
    return { topology, crowd, gate, other, hostile, server, ways: { crowded: await ledTo(hostileHost, NAME), alone: await ledTo(hostileHost, labName) } };
  } catch (error) {
    console.log(await topology.diagnose());
    await topology.close();
    throw error;
  }
}

const labName = "server.lab.example";

async function ledTo(host: Host, name: string): Promise<string> {
  const { stdout } = await host.exec("dig", ["+short", "+tries=1", `+timeout=${FIRST_ANSWER_S}`, name, "A"]);
  if (!/^10\.\d+\.\d+\.\d+$/.test(stdout.trim())) throw new Error(`${host.name} is not led to ${name}: ${stdout}`);
  return stdout.trim();
}

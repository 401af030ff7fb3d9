/**
 * A laptop, a gateway, and an office of hosts that run nothing of ours:
 *
 *     laptop, guest ── core ── gate (i3-to-ip) ── office LAN 192.168.5.0/24, fd00:5::/64: wiki .10, dns .11 (unbound)
 *                      │
 *                      s1 (ring)          web 203.0.113.10: a server of the internet
 */
import { Laptop, startRing } from "@i3/demo";
import { Topology, type Child, type Host, type Router } from "@i3/netns";

import { succeed } from "../demo/src/checks.js";
import { repositoryPath } from "../demo/src/overlay.js";

export interface GatewayBed {
  readonly topology: Topology;
  readonly core: Router;
  readonly laptop: Laptop;
  /** Not in the gateway's list, unless the test says so. */
  readonly guest: Laptop;
  readonly gate: Laptop;
  readonly wiki: Host;
  readonly dns: Host;
  readonly web: Host;
}

/** Wide enough that whom nobody is led to is so by the gateway, not by this list. */
export const LIST = '<gateway out="eth1 eth0"><allow group="staff" names=".*\\.corp\\.example" networks="192.168.5.0/24 10.0.0.0/8 127.0.0.0/8 169.254.0.0/16 ::/0 internet"/></gateway>';
const RULES = '<rules><rule name="office\\.i3" go="i3"/><rule name=".*\\.corp\\.example" go="gateway" via="office.i3"/><rule name=".*\\.i3" go="i3"/></rules>';

/** Records of the office's zone. */
const RECORDS = [
  "wiki.corp.example. 60 IN A 192.168.5.10", "wiki.corp.example. 60 IN AAAA fd00:5::a", "four.corp.example. 60 IN A 192.168.5.10", "six.corp.example. 60 IN AAAA fd00:5::a",
  "web.corp.example. 60 IN A 203.0.113.10", "mail.corp.example. 60 IN MX 10 wiki.corp.example.", "text.corp.example. 60 IN TXT \"plain words\"", "narrow.corp.example. 60 IN A 192.168.5.11",
  // Where nobody is to be led.
  "loop.corp.example. 60 IN A 127.0.0.1", "cloud.corp.example. 60 IN A 169.254.169.254", "self.corp.example. 60 IN A 192.168.5.1", "overlay.corp.example. 60 IN A 10.11.12.13", "hit.corp.example. 60 IN AAAA 2001:22::1",
  "mapped.corp.example. 60 IN AAAA ::ffff:192.168.5.10", "elsewhere.corp.example. 60 IN A 192.168.6.1", "both.corp.example. 60 IN A 127.0.0.1", "both.corp.example. 60 IN A 192.168.5.10",
];

export async function gatewayBed(options: { readonly gateway?: string; readonly laptopRules?: string } = {}): Promise<GatewayBed> {
  const topology = await Topology.create({ seed: 1 });
  const core = topology.router("core");
  const host = (name: string, subnet: string, resolvers: readonly string[] = []): Host => {
    const made = topology.host(name, { resolvers });
    topology.link(core, made, { subnet });
    return made;
  };
  const [s1, web] = [host("s1", "192.0.2.4/30"), host("web", "203.0.113.8/30")];
  const [laptopHost, guestHost] = [host("laptop", "198.51.100.4/30", ["203.0.113.10"]), host("guest", "198.51.100.8/30", ["203.0.113.10"])];
  const gateHost = host("gate", "198.51.100.12/30", ["192.168.5.11"]);
  const [wiki, dns] = [topology.host("wiki"), topology.host("dns")];
  topology.lan("office", { subnet: "192.168.5.0/24", subnet6: "fd00:5::/64", gateway: gateHost, members: [wiki, dns] });
  await topology.up();
  try {
    await startUnbound(dns, RECORDS);
    const [ring] = await Promise.all([startRing([s1]), ...[wiki, web].map((one) => startWeb(one))]);
    const serverAddresses = ring.map(({ host: { address4 } }) => address4);
    const rules = options.laptopRules ?? RULES;
    const [laptop, guest, gate] = await Promise.all([
      Laptop.make(laptopHost, { serverAddresses, rules }), Laptop.make(guestHost, { serverAddresses, rules }), Laptop.make(gateHost, { serverAddresses, gateway: options.gateway ?? LIST }),
    ]);
    await Promise.all([laptop, guest].map((one) => one.writeBook({ "office.i3": gate, "guest.i3": guest, "laptop.i3": laptop })));
    await writeStaff(gate, { "laptop.i3": laptop });
    await Promise.all([laptop, guest, gate].map((one) => one.start()));
    return { topology, core, laptop, guest, gate, wiki, dns, web };
  } catch (error) {
    console.log(await topology.diagnose());
    await topology.close();
    throw error;
  }
}

/** The gateway's address book: these are in the group of its list. */
export const writeStaff = (gate: Laptop, staff: Readonly<Record<string, Laptop>>): Promise<void> => gate.writeBook(staff, 'group="staff"');

/** Says who it thinks is calling. */
export async function startWeb(host: Host): Promise<Child> {
  const child = host.spawn(process.execPath, [repositoryPath("test/demo/dist/web-server.js"), "80"]);
  await child.waitForLine(/serving/);
  return child;
}

export async function startUnbound(host: Host, records: readonly string[]): Promise<void> {
  const big = Array.from({ length: 10 }, (_, i) => `"${"x".repeat(200)}${i}"`).join(" ");
  const config = await host.writeFile("unbound.conf", [
    "server:", "  interface: 0.0.0.0", "  access-control: 0.0.0.0/0 allow", '  username: ""', '  chroot: ""', '  directory: ""', '  pidfile: ""', "  use-syslog: no", "  do-daemonize: no", "  num-threads: 1", '  local-zone: "corp.example." static',
    '  local-data: "corp.example. 60 IN SOA ns.corp.example. root.corp.example. 7 1 1 1 60"', ...records.map((record) => `  local-data: '${record}'`), `  local-data: 'big.corp.example. 60 IN TXT ${big}'`,
    // Of these a server is asked that never answers.
    '  local-zone: "silent.corp.example" transparent', "  do-not-query-localhost: no", "stub-zone:", '  name: "silent.corp.example"', "  stub-addr: 192.168.5.99", "remote-control:", "  control-enable: no", "",
  ].join("\n"));
  await host.spawn("unbound", ["-d", "-c", config]).waitForLine(/start of service/);
}

/** What dig says of a name, as its lines are. */
export const dig = async (host: Host, ...args: readonly string[]): Promise<string> => (await host.exec("dig", ["+tries=1", "+timeout=8", ...args])).stdout;
export const digShort = async (host: Host, ...args: readonly string[]): Promise<string> => (await dig(host, "+short", ...args)).trim();

/** What a web server answers. Rejects unless it does. */
export const fetchText = (host: Host, url: string, ...args: readonly string[]): Promise<string> => succeed(host, "curl", ["-sS", "--max-time", "15", ...args, url]).then(({ stdout }) => stdout.trim());

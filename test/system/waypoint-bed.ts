/**
 * Two plain hosts that use real unbound, a gateway that answers for a domain, hosts of the overlay, and an office behind i3-to-ip:
 *
 *     one, two, resolver ── core ── gate (ip-to-i3): i3.example.org; waypoints 198.51.100.64/29 and 2001:db8:9::/125 are routed to it
 *                            │
 *                            ├── s1 (ring)    home, shop (i3-proxy)
 *                            └── office (i3-to-ip) ── LAN 192.168.5.0/24: wiki .10, dns .11 (unbound)
 */
import { Laptop, repositoryPath, startRing } from "@i3/demo";
import { Topology, type Child, type Host } from "@i3/netns";

import { dig, startUnbound, startWeb, writeStaff } from "./gateway-bed.js";

export const DOMAIN = "i3.example.org";
export const GATE4 = "192.0.2.10";

export interface WaypointBed {
  readonly topology: Topology;
  readonly one: Host;
  readonly two: Host;
  readonly resolver: Host;
  readonly gate: Laptop;
  readonly home: Laptop;
  readonly shop: Laptop;
  readonly office: Laptop;
  readonly wiki: Host;
  /** Of ip-to-i3. */
  readonly daemon: Child;
  /** Ends ip-to-i3, and starts it with another `<publish>`. */
  readonly restart: (publish: string) => Promise<Child>;
}

const GATE_RULES = '<rules><rule name=".*\\.corp\\.example" go="gateway" via="office.i3"/><rule name=".*\\.i3" go="i3"/></rules>';
const LIST = '<gateway out="eth1"><allow group="staff" names="wiki\\.corp\\.example" networks="192.168.5.0/24" protocol="tcp" ports="80"/></gateway>';

export async function waypointBed(publish: string): Promise<WaypointBed> {
  const topology = await Topology.create({ seed: 1 });
  const core = topology.router("core");
  let links = 0;
  const host = (name: string, resolvers: readonly string[] = []): Host => {
    const made = topology.host(name, { resolvers });
    topology.link(core, made, { subnet: `192.0.2.${4 * links}/30`, subnet6: `2001:db8:0:${links}::/64` });
    links += 1;
    return made;
  };
  // In this order: 192.0.2.2, .6, .10 and so on.
  const [s1, resolver, gateHost] = [host("s1"), host("resolver"), host("gate", ["192.0.2.6"])];
  const [one, two] = [host("one", ["192.0.2.6"]), host("two", ["192.0.2.6"])];
  const [homeHost, shopHost, officeHost] = [host("home"), host("shop"), host("office", ["192.168.5.11"])];
  const [wiki, dns] = [topology.host("wiki"), topology.host("dns")];
  topology.lan("office", { subnet: "192.168.5.0/24", gateway: officeHost, members: [wiki, dns] });
  topology.route(core, "198.51.100.64/29", GATE4);
  topology.route(core, "2001:db8:9::/125", "2001:db8:0:2::2");
  await topology.up();
  try {
    await Promise.all([startUnbound(dns, ["wiki.corp.example. 60 IN A 192.168.5.10"]), startRoot(s1).then(() => startResolver(resolver))]);
    const ring = await startRing([s1]);
    const serverAddresses = ring.map((server) => server.host.address4);
    const [gate, home, shop, office] = await Promise.all([
      Laptop.make(gateHost, { serverAddresses, rules: GATE_RULES }), Laptop.make(homeHost, { serverAddresses }), Laptop.make(shopHost, { serverAddresses }), Laptop.make(officeHost, { serverAddresses, gateway: LIST }),
    ]);
    const names = { "home.i3": home, "shop.i3": shop, "office.i3": office, "gate.i3": gate };
    await Promise.all([gate, home, shop].map((one) => one.writeBook(names)));
    await writeStaff(office, { "gate.i3": gate });
    await Promise.all([...[wiki, homeHost, shopHost].map((one) => startWeb(one)), ...[home, shop, office].map((one) => one.start())]);
    const start = async (text: string): Promise<Child> => {
      await gate.writeConfig({ access: text });
      const child = gateHost.spawn(process.execPath, [repositoryPath("packages/ip-to-i3/dist/main.js"), "--config", gate.configFile]);
      await child.waitForLine(/READY ip-to-i3/, 20_000);
      return child;
    };
    let daemon = await start(publish);
    return {
      topology, one, two, resolver, gate, home, shop, office, wiki,
      get daemon() {
        return daemon;
      },
      restart: async (text) => {
        daemon.kill("SIGTERM");
        await daemon.ended;
        daemon = await start(text);
        return daemon;
      },
    };
  } catch (error) {
    console.log(await topology.diagnose());
    await topology.close();
    throw error;
  }
}

const ROOT4 = "192.0.2.2";
const UNBOUND = ["server:", "  interface: 0.0.0.0", "  access-control: 0.0.0.0/0 allow", '  username: ""', '  chroot: ""', '  directory: ""', '  pidfile: ""', "  use-syslog: no", "  do-daemonize: no", "  num-threads: 1", "  verbosity: 1"];
const NO_CONTROL = ["remote-control:", "  control-enable: no", ""];

/** The root of the bed's internet: it leads to the domain by NS and glue, and knows nothing else. */
async function startRoot(host: Host): Promise<void> {
  const zone = await host.writeFile("root.zone", [
    ". 3600 IN SOA a.root. admin.root. 1 3600 900 86400 60", ". 3600 IN NS a.root.", `a.root. 3600 IN A ${ROOT4}`, `${DOMAIN}. 3600 IN NS ns1.${DOMAIN}.`, `ns1.${DOMAIN}. 3600 IN A ${GATE4}`, "",
  ].join("\n"));
  await startUnboundWith(host, [...UNBOUND, "auth-zone:", '  name: "."', `  zonefile: "${zone}"`, "  for-upstream: no", "  for-downstream: yes", "  fallback-enabled: no", ...NO_CONTROL]);
}

/** A real recursive resolver, which begins at the root. */
async function startResolver(host: Host): Promise<void> {
  const hints = await host.writeFile("root.hints", `. 3600 IN NS a.root.\na.root. 3600 IN A ${ROOT4}\n`);
  await startUnboundWith(host, [...UNBOUND, "  qname-minimisation: yes", "  use-caps-for-id: yes", '  module-config: "iterator"', `  root-hints: "${hints}"`, ...NO_CONTROL]);
}

async function startUnboundWith(host: Host, lines: readonly string[]): Promise<void> {
  await host.spawn("unbound", ["-d", "-c", await host.writeFile("unbound.conf", lines.join("\n"))]).waitForLine(/start of service/);
}

/** Status, and the answer's data. */
export async function ask(host: Host, ...args: readonly string[]): Promise<string> {
  const text = await dig(host, ...args);
  const status = /status: (\w+)/.exec(text)?.[1] ?? "no answer";
  const answers = [...text.matchAll(/^[^;\s]\S*\s+\d+\s+IN\s+\w+\s+(.+)$/gm)].map(([, value]) => value);
  return [status, ...answers.sort()].join("\n");
}

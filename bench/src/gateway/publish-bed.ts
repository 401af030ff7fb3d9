/**
 * A plain client and a site at home, whose machine is reached by two relays on one machine of the overlay; both go on by the same proxy, engine and association:
 *
 *     client ── edge: ip-to-i3 (443)  ──┐
 *                     haproxy (8443)  ──┴─ TUN ── engine ══ home (i3-proxy): nginx with TLS
 */
import { Laptop, makeCertificate, repositoryPath } from "@i3/demo";
import { Topology, type Child, type Host } from "@i3/netns";

import { succeed } from "../tunnel/bed.js";
import { startNginx } from "./nginx.js";

const NO_SERVER = "192.0.2.250";
const NAME = "home.example.org";
const HAPROXY_PORT = 8_443;
const START_MS = 20_000;
const FIRST_ANSWER_S = 10;

export interface PublishBed {
  readonly client: Host;
  readonly edge: Child;
  readonly haproxy: Child;
  readonly nginx: Child;
  readonly home: Child;
  /** Of the site, by ip-to-i3 and by haproxy. */
  readonly urls: { readonly ours: string; readonly haproxy: string };
  close(): Promise<void>;
}

export async function openPublishBed(): Promise<PublishBed> {
  const topology = await Topology.create();
  try {
    const [client, edgeHost, homeHost] = [topology.host("client"), topology.host("edge"), topology.host("home")];
    topology.link(edgeHost, client, { subnet: "192.0.2.0/30" });
    topology.link(edgeHost, homeHost, { subnet: "198.51.100.0/30" });
    await topology.up();
    await makeCertificate(homeHost);
    const tls = { certificate: `${homeHost.directory}/server.crt`, key: `${homeHost.directory}/server-tls.key` };
    const nginx = await startNginx(homeHost, { port: 443, tls });
    const common = { serverAddresses: [NO_SERVER], hip: '<hip udp-port="10500"/>', logLevel: "info" } as const;
    const [edgeProxy, home] = [await Laptop.make(edgeHost, common), await Laptop.make(homeHost, common)];
    await edgeProxy.writeBook({ "home.i3": home }, `address="${homeHost.address4}"`);
    await home.writeBook({ "edge.i3": edgeProxy }, `address="${edgeHost.interfaces[1]?.address4 ?? ""}"`);
    await edgeProxy.writeConfig({ access: `<publish listen="${edgeHost.address4}"><shared port="443" by="sni"/><name name="${NAME}" to="home.i3"/></publish>` });
    const edge = edgeHost.spawn(process.execPath, [repositoryPath("packages/ip-to-i3/dist/main.js"), "--config", edgeProxy.configFile]);
    await Promise.all([home.start(), edge.waitForLine(/READY ip-to-i3/, START_MS)]);
    // Until the exchange it is not known to have IPv4 addresses.
    await succeed(edgeHost, "ping", ["-c1", `-W${FIRST_ANSWER_S}`, "-q", "home.i3"]);
    const homeAddress = (await succeed(edgeHost, "dig", ["+short", "home.i3", "A"])).trim();
    const haproxy = await startHaproxy(edgeHost, homeAddress);
    await succeed(client, "tee", ["-a", "/etc/hosts"], undefined, `${edgeHost.address4} ${NAME}\n`);
    const urls = { ours: `https://${NAME}/`, haproxy: `https://${NAME}:${HAPROXY_PORT}/` };
    for (const url of Object.values(urls)) await succeed(client, "curl", ["-sSfk", "--max-time", String(FIRST_ANSWER_S), "--retry", "5", "--retry-delay", "1", "--retry-connrefused", "-o", "/dev/null", url]);
    return { client, edge, haproxy, nginx, home: home.child as Child, urls, close: () => topology.close() };
  } catch (error) {
    await topology.close().catch(() => undefined);
    throw error;
  }
}

/** It looks for the name in the ClientHello, as ours does. */
async function startHaproxy(host: Host, homeAddress: string): Promise<Child> {
  const config = await host.writeFile("haproxy.cfg", `defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  maxconn 4096
frontend sni
  bind ${host.address4}:${HAPROXY_PORT}
  tcp-request inspect-delay 5s
  tcp-request content accept if { req.ssl_hello_type 1 }
  use_backend home if { req.ssl_sni -i ${NAME} }
backend home
  server home ${homeAddress}:443
`);
  return host.spawn("haproxy", ["-db", "-f", config]);
}

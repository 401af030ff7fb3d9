/** A site of many files in a browser that knows of no gateway: of an office through i3-to-ip, and of overlay hosts through ip-to-i3 (issue 7, "What must work"). */
import { Laptop, repositoryPath, startRing } from "@i3/demo";
import { Topology, type Child, type Host } from "@i3/netns";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { Browser } from "./browser.js";
import { FILES, makeSiteCertificate, serveSite, type Loaded } from "./browser-site.js";
import { gatewayBed, type GatewayBed } from "./gateway-bed.js";

const HTTP_PORT = 8_080;
type Place = readonly [scheme: string, port: string];
const [SECURE, PLAIN, PLAIN_PORT]: readonly [Place, Place, Place] = [["https://", ""], ["http://", ""], ["http://", `:${HTTP_PORT}`]];
const ALL = (protocol: string): Loaded => ({ ...FILES, answered: Object.values(FILES).reduce<number>((sum, count) => sum + count, 0), protocols: [protocol] });
const origins = ([scheme, port]: Place, names: readonly [string, string]): readonly [string, string] => [`${scheme}${names[0]}${port}`, `${scheme}${names[1]}${port}`];

describe("through i3-to-ip, the office's site", () => {
  const NAMES = ["wiki.corp.example", "web.corp.example"] as const;
  let bed: GatewayBed;
  let browser: Browser;
  beforeAll(async () => {
    bed = await gatewayBed();
    const authorities: string[] = [];
    for (const [which, host] of [[0, bed.wiki], [1, bed.web]] as const) {
      const { authority, certificate, key } = await makeSiteCertificate(host, [NAMES[which]]);
      authorities.push(authority);
      await serveSite(host, { origins: origins(PLAIN_PORT, NAMES), which, tls: null, port: HTTP_PORT });
      await serveSite(host, { origins: origins(SECURE, NAMES), which, tls: { certificate, key }, port: 443 });
    }
    browser = await Browser.make(bed.laptop.host, authorities);
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await bed?.topology.close();
  });

  it("is there whole by http", async () => {
    expect(await browser.load(`${origins(PLAIN_PORT, NAMES)[0]}/`)).toEqual(ALL("http/1.1"));
  }, 180_000);

  it("is there whole by https", async () => {
    expect(await browser.load(`${origins(SECURE, NAMES)[0]}/`)).toEqual(ALL("h2"));
  }, 180_000);
});

/**
 *     visitor ── core ── edge (ip-to-i3), home and shop (i3-proxy, nginx), s1 (ring)
 */
describe("from a host that runs nothing, the site of two overlay hosts through ip-to-i3", () => {
  const NAMES = ["home.example.org", "shop.example.org"] as const;
  let topology: Topology;
  let gateway: Child;
  let browser: Browser;
  let visitor: Host;
  beforeAll(async () => {
    topology = await Topology.create({ seed: 1 });
    const core = topology.router("core");
    const [s1, edgeHost, homeHost, shopHost, visitorHost] = ["s1", "edge", "home", "shop", "visitor"].map((name, i) => {
      const host = topology.host(name);
      topology.link(core, host, { subnet: `198.51.100.${4 * (i + 1)}/30` });
      return host;
    }) as [Host, Host, Host, Host, Host];
    visitor = visitorHost;
    await topology.up();
    await startRing([s1]);
    const common = { serverAddresses: [s1.address4] };
    const [edge, home, shop] = await Promise.all([edgeHost, homeHost, shopHost].map((host) => Laptop.make(host, common))) as [Laptop, Laptop, Laptop];
    await Promise.all([edge, home, shop].map((one) => one.writeBook({ "edge.i3": edge, "home.i3": home, "shop.i3": shop })));
    const published = NAMES.map((name) => `<name name="${name}" to="${name.split(".")[0] ?? ""}.i3" http="${HTTP_PORT}"/>`).join("");
    await edge.writeConfig({ access: `<publish listen="${edgeHost.address4}"><shared port="443" by="sni"/><shared port="80" by="host"/>${published}</publish>` });
    gateway = edgeHost.spawn(process.execPath, [repositoryPath("packages/ip-to-i3/dist/main.js"), "--config", edge.configFile]);
    await Promise.all([home.start(), shop.start(), gateway.waitForLine(/READY ip-to-i3/, 20_000)]);
    const authorities: string[] = [];
    for (const [which, host] of [[0, homeHost], [1, shopHost]] as const) {
      const { authority, certificate, key } = await makeSiteCertificate(host, [NAMES[which]]);
      authorities.push(authority);
      await serveSite(host, { origins: origins(PLAIN, NAMES), which, tls: null, port: HTTP_PORT });
      await serveSite(host, { origins: origins(SECURE, NAMES), which, tls: { certificate, key }, port: 443 });
    }
    await succeed(visitor, "sh", ["-c", `echo '${edgeHost.address4} ${NAMES.join(" ")}' >> /etc/hosts`]);
    browser = await Browser.make(visitor, authorities);
  }, 240_000);
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") console.log(await topology.diagnose());
  });
  afterAll(async () => {
    await browser?.close();
    await topology?.close();
  });

  it("is there whole by https, by the name in the ClientHello", async () => {
    expect(await browser.load(`${origins(SECURE, NAMES)[0]}/`)).toEqual(ALL("h2"));
  }, 180_000);

  it("is there whole by http, by Host", async () => {
    expect(await browser.load(`${origins(PLAIN, NAMES)[0]}/`)).toEqual(ALL("http/1.1"));
  }, 180_000);
});

/** A site of many files in a browser that knows of no gateway: of an office through i3-to-ip, and of overlay hosts through ip-to-i3 (issue 7, "What must work"). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { Browser } from "./browser.js";
import { FILES, makeSiteCertificate, serveSite, type Loaded } from "./browser-site.js";
import { fetchText, gatewayBed, type GatewayBed } from "./gateway-bed.js";
import { DOMAIN, GATE4, waypointBed, type WaypointBed } from "./waypoint-bed.js";

const HTTP_PORT = 8_080;
type Place = readonly [scheme: string, port: string];
const [SECURE, PLAIN, PLAIN_PORT]: readonly [Place, Place, Place] = [["https://", ""], ["http://", ""], ["http://", `:${HTTP_PORT}`]];
const ALL = (protocol: string): Loaded => ({ ...FILES, answered: Object.values(FILES).reduce<number>((sum, count) => sum + count, 0), protocols: [protocol] });
const hostOf = (name: string): string => `${name.split(".")[0] ?? ""}.i3`;
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

/** The bed's first plain host asks unbound, which asks the gateway for the domain. */
describe("from a host that runs nothing, the site of two overlay hosts through ip-to-i3 and unbound", () => {
  const NAMES = [`home.${DOMAIN}`, `shop.${DOMAIN}`] as const;
  const WAYPOINTS = [`home.way.${DOMAIN}`, `shop.way.${DOMAIN}`] as const;
  const [WAYPOINT_PORT, ...FIXED] = [8_081, 8_082, 8_083] as const;
  const fixed = FIXED.map((port, i) => `http://${NAMES[i] ?? ""}:${port}`) as [string, string];
  const PUBLISH = `<publish listen="${GATE4}">
    <domain name="${DOMAIN}" listen="${GATE4}" ns="ns1.${DOMAIN}"/><waypoints addresses="198.51.100.64/29"/>
    <shared port="443" by="sni"/><shared port="80" by="host"/>${NAMES.map((name) => `<name name="${name}" to="${hostOf(name)}" http="${HTTP_PORT}"/>`).join("")}
    ${FIXED.map((port, i) => `<port listen="${port}" to="${hostOf(NAMES[i] ?? "")}" port="${port}"/>`).join("")}
    ${WAYPOINTS.map((name) => `<name name="${name}" to="${hostOf(name)}" waypoint="tcp/${WAYPOINT_PORT}"/>`).join("")}
  </publish>`;
  let bed: WaypointBed;
  let shopAuthority = "";
  let browser: Browser;
  beforeAll(async () => {
    bed = await waypointBed(PUBLISH);
    const authorities: string[] = [];
    for (const [which, { host }] of [[0, bed.home], [1, bed.shop]] as const) {
      const { authority, certificate, key } = await makeSiteCertificate(host, [NAMES[which]]);
      authorities.push(authority);
      shopAuthority = authority;
      await serveSite(host, { origins: origins(PLAIN, NAMES), which, tls: null, port: HTTP_PORT });
      await serveSite(host, { origins: origins(SECURE, NAMES), which, tls: { certificate, key }, port: 443 });
      await serveSite(host, { origins: origins(["http://", `:${WAYPOINT_PORT}`], WAYPOINTS), which, tls: null, port: WAYPOINT_PORT });
      await serveSite(host, { origins: fixed, which, tls: null, port: FIXED[which] });
    }
    browser = await Browser.make(bed.one, authorities);
  }, 240_000);
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") console.log(`${bed.daemon.tail(30)}\n${await bed.topology.diagnose()}`);
  });
  afterAll(async () => {
    await browser?.close();
    await bed?.topology.close();
  });

  it("is there whole by https, by the name in the ClientHello", async () => {
    expect(await browser.load(`${origins(SECURE, NAMES)[0]}/`)).toEqual(ALL("h2"));
  }, 180_000);

  it("is there for curl too, by the name in the ClientHello and by a port that is one host's", async () => {
    expect(await fetchText(bed.one, `${origins(SECURE, NAMES)[1]}/`, "--cacert", shopAuthority)).toBe("");
    expect(await fetchText(bed.one, `${fixed[0]}/`)).toContain("<html");
  });

  it("is there whole by http, by Host", async () => {
    expect(await browser.load(`${origins(PLAIN, NAMES)[0]}/`)).toEqual(ALL("http/1.1"));
  }, 180_000);

  it("is there whole by waypoints", async () => {
    expect(await browser.load(`http://${WAYPOINTS[0]}:${WAYPOINT_PORT}/`)).toEqual(ALL("http/1.1"));
  }, 180_000);

  it("is there whole by ports of the gateway that are one host's", async () => {
    expect(await browser.load(`${fixed[0]}/`)).toEqual(ALL("http/1.1"));
  }, 180_000);
});

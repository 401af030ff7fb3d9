/** Plain hosts reach hosts of the overlay by names that real unbound asks the gateway for: addresses of their own, whatever they speak (docs/gateways.md, "Waypoints"). As many waypoints as hosts: nobody guesses. */
import { readFileSync } from "node:fs";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { startSshd, type Ssh } from "../demo/src/sshd.js";
import { dig, digShort, fetchText, startUnbound } from "./gateway-bed.js";
import { eventually } from "./pair-bed.js";
import { randomFile, sha256OfFile } from "./programs-bed.js";
import { ask, DOMAIN, GATE4, waypointBed, type WaypointBed } from "./waypoint-bed.js";

const PUBLISH = `<publish listen="${GATE4}">
  <domain name="${DOMAIN}" listen="${GATE4} 2001:db8:0:2::2" ns="ns1.${DOMAIN}"/>
  <waypoints addresses="198.51.100.64/29 2001:db8:9::/125"/>
  <shared port="80" by="host"/><port listen="2222" to="home.i3" port="22"/>
  <name name="www.${DOMAIN}" to="home.i3"/><name name="*.shop.${DOMAIN}" to="shop.i3"/>
  <name name="home.${DOMAIN}" to="home.i3" waypoint="tcp/22,80 udp/53 ping"/><name name="shop.way.${DOMAIN}" to="shop.i3" waypoint="tcp/80"/>
  <name name="wiki.${DOMAIN}" to="wiki.corp.example" go="gateway"/><name name="wiki.way.${DOMAIN}" to="wiki.corp.example" go="gateway" waypoint="tcp/80 ping"/>
  <name name="self.${DOMAIN}" to="gate.i3" waypoint="tcp/22"/>
</publish>`;

let bed: WaypointBed;
beforeAll(async () => {
  bed = await waypointBed(PUBLISH);
}, 180_000);
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(`${bed.daemon.tail(30)}\n${(await bed.gate.host.exec("nft", ["list", "ruleset"])).stdout}\n${await bed.topology.diagnose()}`);
});
afterAll(() => bed?.topology.close());

describe("the domain", () => {
  it("is answered for, by UDP and TCP, of both families", async () => {
    for (const server of [GATE4, "2001:db8:0:2::2"]) {
      for (const more of [[], ["+tcp"]]) {
        expect(await ask(bed.one, `@${server}`, "+norec", ...more, `www.${DOMAIN}`)).toBe(`NOERROR\n${GATE4}`);
        expect(await dig(bed.one, `@${server}`, "+norec", ...more, `x.www.${DOMAIN}`)).toMatch(/status: NXDOMAIN[^]*flags: qr aa;[^]*SOA\s+ns1/);
      }
    }
    expect(await dig(bed.one, `@${GATE4}`, DOMAIN, "NS")).toMatch(/flags: qr aa rd;[^]*ANSWER SECTION[^]*NS\s+ns1[^]*ADDITIONAL SECTION[^]*192\.0\.2\.10[^]*2001:db8:0:2::2/);
    expect(await ask(bed.one, `@${GATE4}`, DOMAIN, "AXFR")).toMatch(/no answer|REFUSED/);
    expect(await ask(bed.one, `@${GATE4}`, "example.com")).toBe("REFUSED");
  });

  it("is found through unbound, which asks with letters of both cases and for one label at a time", async () => {
    expect(await ask(bed.one, `www.${DOMAIN}`)).toBe(`NOERROR\n${GATE4}`);
    expect(await ask(bed.one, `deep.a.b.shop.${DOMAIN}`)).toBe(`NOERROR\n${GATE4}`);
    expect(await ask(bed.one, `nothing.${DOMAIN}`)).toMatch(/^NXDOMAIN/);
    expect(await ask(bed.one, `way.${DOMAIN}`)).toMatch(/^NOERROR/);
    expect((await bed.one.exec("delv", ["+noroot", "-i", `@192.0.2.6`, `www.${DOMAIN}`])).stdout).toContain(GATE4);
  });

  it("leads to the shared ports", async () => {
    expect(await fetchText(bed.one, `http://www.${DOMAIN}/`)).toContain(bed.gate.address4);
    expect(await fetchText(bed.one, `http://wiki.${DOMAIN}/`), "a server behind i3-to-ip").toContain("192.168.5.1");
  });
});

let sshd: Promise<Ssh> | undefined;
/** To home, from the first plain host. */
const ssh = async (): Promise<Ssh> => await (sshd ??= startSshd(bed.home.host, bed.one));

describe("a waypoint", () => {
  it("stands for one host, for everybody", async () => {
    const home = await digShort(bed.one, `home.${DOMAIN}`);
    expect(home).toMatch(/^198\.51\.100\.(6[4-9]|7[01])$/);
    expect(await digShort(bed.two, `home.${DOMAIN}`)).toBe(home);
    expect(await digShort(bed.two, `shop.way.${DOMAIN}`)).not.toBe(home);
    expect(await dig(bed.one, `@${GATE4}`, `home.${DOMAIN}`)).toMatch(new RegExp(`home\\.${DOMAIN}\\.\\s+0\\s+IN\\s+A\\s+${home}`));
    expect(await digShort(bed.one, `home.${DOMAIN}`, "AAAA")).toMatch(/^2001:db8:9::/);
  });

  it("carries http, of both families", async () => {
    for (const family of ["-4", "-6"]) expect(await fetchText(bed.one, `http://home.${DOMAIN}/`, family)).toContain(family === "-4" ? bed.gate.address4 : bed.gate.hit);
    expect(await fetchText(bed.two, `http://shop.way.${DOMAIN}/`, "-4")).toContain(bed.gate.address4);
  });

  it("carries ssh, UDP and ping", async () => {
    const { options } = await ssh();
    for (const way of [[`home.${DOMAIN}`], ["-p", "2222", `www.${DOMAIN}`]]) {
      const { stdout } = await bed.one.exec("ssh", [...options, "-4", ...way, "echo $SSH_CONNECTION"]);
      expect(stdout.trim().split(" ").filter((_, i) => i !== 1)).toEqual([bed.gate.address4, bed.home.address4, "22"]);
    }
    await startUnbound(bed.home.host, ["inside.corp.example. 60 IN A 192.168.77.7"]);
    expect(await digShort(bed.one, `@home.${DOMAIN}`, "-4", "inside.corp.example")).toBe("192.168.77.7");
    expect((await digShort(bed.one, `@home.${DOMAIN}`, "-4", "big.corp.example", "TXT", "+bufsize=4096", "+ignore")).length, "in fragments").toBeGreaterThan(2_000);
    for (const family of ["-4", "-6"]) expect((await bed.one.exec("ping", [family, "-c", "1", "-W", "5", `home.${DOMAIN}`])).status).toBe(0);
  });

  it("carries ten megabytes whole, as does a port of the gateway that is one host's", async () => {
    const { options } = await ssh();
    const { path, sha256 } = await randomFile(bed.one, "out.bin", 10);
    for (const [where, more] of [[`home.${DOMAIN}`, []], [`www.${DOMAIN}`, ["-P", "2222"]]] as const) {
      const [there, back] = [`${bed.home.host.directory}/there.bin`, `${bed.one.directory}/back.bin`];
      await succeed(bed.one, "scp", [...options, "-4", ...more, path, `${where}:${there}`]);
      expect(await sha256OfFile(there), where).toBe(sha256);
      await succeed(bed.one, "scp", [...options, "-4", ...more, `${where}:${there}`, back]);
      expect(await sha256OfFile(back), where).toBe(sha256);
    }
  });

  it("leads to a server behind i3-to-ip, which judges the gateway", async () => {
    expect(await fetchText(bed.one, `http://wiki.way.${DOMAIN}/`)).toContain("192.168.5.1");
    expect(await ask(bed.one, `wiki.way.${DOMAIN}`, "AAAA"), "it has no IPv6").toMatch(/^NOERROR/);
    expect((await bed.one.exec("ping", ["-4", "-c", "1", "-W", "2", `wiki.way.${DOMAIN}`])).status, "published, and not allowed there").not.toBe(0);
  });
});

describe("nobody reaches", () => {
  const refused = async (host: string, port: string): Promise<string> => (await bed.one.exec("nc", ["-z", "-v", "-w", "3", host, port])).stderr;

  it("what a name does not publish, or a waypoint that is nobody's", async () => {
    const home = await digShort(bed.one, `home.${DOMAIN}`);
    expect(await refused(home, "81")).toContain("refused");
    expect(await refused("198.51.100.71", "22")).toContain("refused");
    expect((await bed.one.exec("ping", ["-c", "1", "-W", "2", "198.51.100.71"])).stdout).toMatch(/Unreachable/i);
  });

  it("the gateway itself by a name", async () => {
    expect(await ask(bed.one, `@${GATE4}`, `self.${DOMAIN}`)).toBe("SERVFAIL");
    expect(await bed.daemon.waitForLine(/"publish-unreachable".*"gate\.i3".*"why":"refused"/)).not.toBeNull();
  });

  it("others through the gateway, which was no router and is one to its waypoints alone", async () => {
    await bed.topology.node("core").exec("ip", ["route", "add", "203.0.113.7/32", "via", GATE4]);
    const dropped = async (): Promise<number> => Number(/nfproto ipv4 counter packets (\d+)/.exec((await bed.gate.host.exec("nft", ["list", "chain", "inet", "i3_waypoints_i3", "pass"])).stdout)?.[1]);
    const before = await dropped();
    expect((await bed.one.exec("ping", ["-c", "1", "-W", "1", "203.0.113.7"])).status).not.toBe(0);
    expect(await dropped()).toBe(before + 1);
  });
});

it("a flood of SYNs from made-up addresses costs a client whose connection came about before nothing", async () => {
  const home = await digShort(bed.one, `home.${DOMAIN}`);
  const fetches = async (): Promise<string> => fetchText(bed.two, `http://${home}/`);
  expect(await fetches()).toContain(bed.gate.address4);
  const flood = bed.one.spawn("/usr/bin/python3", ["-c", readFileSync(new URL("./probes/spoofed-syns.py", import.meta.url), "utf8"), home, "80", "1000000", "4000"]);
  flood.stdin.write("go\n");
  const dropped = async (): Promise<number> => Number(/limit rate over 300\/second burst 600 packets \} counter packets (\d+)/.exec((await bed.gate.host.exec("nft", ["list", "chain", "inet", "i3_waypoints_i3", "begin4"])).stdout)?.[1]);
  await eventually("the share of new connections is taken", 60_000, async () => ((await dropped()) > 3_000 ? true : undefined));
  const synsAgain = async (): Promise<number> => Number(/^TcpExtTCPSynRetrans\s+(\d+)/m.exec((await bed.two.exec("nstat", ["-asz", "TcpExtTCPSynRetrans"])).stdout)?.[1]);
  const [before, syns] = [await dropped(), await synsAgain()];
  for (let i = 0; i < 20; i += 1) expect(await fetches()).toContain(bed.gate.address4);
  // One for a machine that is busy; of a stranger's every second comes again at best.
  expect(await synsAgain()).toBeLessThanOrEqual(syns + 1);
  await eventually("it still is", 60_000, async () => ((await dropped()) > before + 1_000 ? true : undefined));
  expect(flood.running).toBe(true);
  flood.kill("SIGKILL");
}, 180_000);

it("a connection lives through a restart of the gateway, and the host keeps its waypoint", async () => {
  const before = await digShort(bed.one, `home.${DOMAIN}`);
  // sshd speaks first, and again when it has been answered.
  const client = bed.two.spawn(process.execPath, ["-e", `
    const c = require("node:net").connect({ host: "${before}", port: 22 });
    c.once("data", () => { console.log("greeted"); process.once("SIGUSR2", () => c.write("SSH-2.0-test" + String.fromCharCode(13, 10))); c.once("data", () => { console.log("answered"); c.destroy(); }); });
    c.on("close", () => console.log("closed"));
  `]);
  await client.waitForLine(/^greeted$/, 10_000);
  await bed.restart(PUBLISH);
  expect(await digShort(bed.one, `home.${DOMAIN}`)).toBe(before);
  client.kill("SIGUSR2");
  await client.waitForLine(/^answered$/, 20_000);
  bed.daemon.kill("SIGTERM");
  await bed.daemon.ended;
  expect((await bed.gate.host.exec("sysctl", ["-n", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"])).stdout).toBe("0\n0\n");
}, 60_000);

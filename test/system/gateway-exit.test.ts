/**
 * A gateway as the way out for everything, and another for one network beside it (docs/gateways.md):
 *
 *     laptop .10, neighbour .11 (the LAN's resolver) ── 192.168.1.0/24, 2001:db8:1::/64 ── router ── core ── web 203.0.113.10, names 203.0.113.14 (unbound)
 *                                                                                             │  └── s1 (ring), exit (i3-to-ip), office (i3-to-ip) ── 192.168.5.0/24: wiki .10
 *
 * What leaves the laptop in plain is counted at the other end of its wire. rp_filter is 1 all the time.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { Laptop, startRing } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { startSshd } from "../demo/src/sshd.js";
import { dig, digShort, fetchText, startUnbound, startWeb } from "./gateway-bed.js";
import { eventually } from "./pair-bed.js";

const exitRule = (more = ""): string => `<rule address="0.0.0.0/0 ::/0" go="gateway" via="exit.i3" ${more}/>`;
const OFFICE = '<rule address="192.168.5.0/24" go="gateway" via="office.i3"/>';
const rules = (...more: readonly string[]): string => `<rules><rule name=".*\\.i3" go="i3"/><rule name=".*\\.lan" go="direct"/>${more.join("")}</rules>`;

/** A and AAAA of the ring's server, at each start. */
const RING_QUESTIONS = 2;

let topology: Topology;
let [neighbour, web, names, wiki] = [] as unknown as [Host, Host, Host, Host];
let [laptop, exit, office] = [] as unknown as [Laptop, Laptop, Laptop];
/** Of the laptop before anything of ours was there. */
let before: string;
beforeAll(async () => {
  topology = await Topology.create({ seed: 1 });
  const core = topology.router("core");
  let links = 0;
  const host = (name: string, subnet: string, resolvers: readonly string[] = []): Host => {
    const made = topology.host(name, { resolvers });
    topology.link(core, made, { subnet, subnet6: `2001:db8:0:${(links += 1)}::/64` });
    return made;
  };
  const s1 = host("s1", "192.0.2.4/30");
  [web, names] = [host("web", "203.0.113.8/30"), host("names", "203.0.113.12/30")];
  const [exitHost, officeHost] = [host("exit", "198.51.100.4/30", ["203.0.113.14"]), host("office", "198.51.100.8/30", ["203.0.113.14"])];
  const router = topology.router("router");
  topology.link(core, router, { subnet: "198.51.100.12/30", subnet6: "2001:db8:0:20::/64" });
  const laptopHost = topology.host("laptop", { resolvers: ["192.168.1.11"] });
  neighbour = topology.host("neighbour");
  topology.lan("home", { subnet: "192.168.1.0/24", subnet6: "2001:db8:1::/64", gateway: router, members: [laptopHost, neighbour] });
  wiki = topology.host("wiki");
  topology.lan("office-lan", { subnet: "192.168.5.0/24", gateway: officeHost, members: [wiki] });
  await topology.up();
  for (const one of ["all", "default", "eth0"]) await succeed(laptopHost, "sysctl", ["-qw", `net.ipv4.conf.${one}.rp_filter=1`]);
  await startUnbound(names, ["web.corp.example. 60 IN A 203.0.113.10", `web.corp.example. 60 IN AAAA ${web.address6}`]);
  // Somebody who would lead everybody to himself.
  await startUnbound(neighbour, ["web.corp.example. 60 IN A 192.168.1.11", "printer.lan. 60 IN A 192.168.1.11", "nobody.i3.lan. 60 IN A 192.168.1.11", "nobody.corp.example.lan. 60 IN A 192.168.1.11", `ring.example. 60 IN A ${s1.address4}`]);
  const [ring] = await Promise.all([startRing([s1]), ...[web, wiki, neighbour].map((one) => startWeb(one))]);
  const serverAddresses = ring.map(({ host: { address4 } }) => address4);
  [laptop, exit, office] = await Promise.all([
    // By a name, which the resolver of the LAN is asked for past the way out.
    Laptop.make(laptopHost, { serverAddresses: ["ring.example"], rules: rules(exitRule(), OFFICE) }),
    Laptop.make(exitHost, { serverAddresses, gateway: '<gateway out="eth0"><allow group="staff" networks="internet"/></gateway>' }),
    Laptop.make(officeHost, { serverAddresses, gateway: '<gateway out="eth1"><allow group="staff" networks="192.168.5.0/24"/></gateway>' }),
  ]);
  await laptop.writeBook({ "exit.i3": exit, "office.i3": office });
  await Promise.all([exit, office].map((gate) => gate.writeBook({ "laptop.i3": laptop }, 'group="staff"')));
  const device = laptopHost.interfaces[0]?.far.interfaceName ?? "";
  await laptopHost.interfaces[0]?.far.namespace.nft(`table netdev witness { chain plain { type filter hook ingress device "${device}" priority 0;
    ip daddr { 203.0.113.10, 192.168.5.10 } counter; ip6 daddr ${web.address6} counter; udp dport 53 counter; tcp dport 53 counter
    }
  }`);
  before = await stateOf(laptopHost);
  await Promise.all([exit, office].map((gate) => gate.start()));
  await laptop.start();
  expect(await plain()).toBe(RING_QUESTIONS);
}, 120_000);
afterAll(async () => await topology.close());
afterEach(async (context) => {
  if (context.task.result?.state === "fail") console.log(await stateOf(laptop.host), await topology.diagnose());
});

/** Rules, routes, tables and settings. Counters and what the kernel ages are left out. */
async function stateOf(host: Host): Promise<string> {
  const commands = [["ip", "-4", "rule"], ["ip", "-6", "rule"], ["ip", "-4", "route", "show", "table", "all"], ["ip", "-6", "route", "show", "table", "all"], ["nft", "-s", "list", "ruleset"], ["sysctl", "net.ipv4.conf.all.src_valid_mark", "net.ipv4.conf.all.rp_filter"]];
  return (await Promise.all(commands.map(async ([program = "", ...args]) => (await host.exec(program, args)).stdout))).join("\n");
}

/** Packets to the servers, and questions, that have left the laptop as they are. */
async function plain(): Promise<number> {
  const lan = laptop.host.interfaces[0]?.far.namespace.name ?? "";
  const { stdout } = await promisify(execFile)("ip", ["netns", "exec", lan, "nft", "list", "chain", "netdev", "witness", "plain"]);
  return Array.from(stdout.matchAll(/counter packets (\d+)/g), ([, count]) => Number(count)).reduce((sum, count) => sum + count, 0);
}

const web6 = (): string => `http://[${web.address6}]/`;
const curl = async (url: string, ...args: readonly string[]): Promise<string> => await fetchText(laptop.host, url, ...args);
const fails = async (url: string): Promise<boolean> => (await laptop.host.exec("curl", ["-sS", "--max-time", "8", "-o", "/dev/null", url])).status !== 0;
const reached = (what: string, url: string, by: string): Promise<true> => eventually(what, 30_000, async () => (await laptop.host.exec("curl", ["-sS", "--max-time", "5", url])).stdout.includes(`hello ${by},`) || undefined);

describe("the way out for everything", () => {
  it("is taken by literal addresses of both families, which see the gateway's, from the first packet on", async () => {
    expect(await curl("http://203.0.113.10/")).toMatch(new RegExp(`^hello ${exit.host.address4}, `));
    expect(await curl(web6())).toMatch(new RegExp(`^hello ${exit.host.address6}, `));
    expect((await laptop.host.exec("ping", ["-n", "-c", "2", "-W", "4", "203.0.113.10"])).status).toBe(0);
    expect((await laptop.host.exec("ping", ["-n", "-c", "2", "-W", "4", web.address6])).status).toBe(0);
    const { options } = await startSshd(web, laptop.host);
    expect((await succeed(laptop.host, "ssh", [...options, "203.0.113.10", "echo $SSH_CONNECTION"])).stdout).toContain(exit.host.address4);
    expect(await plain()).toBe(RING_QUESTIONS);
  }, 60_000);

  it("is asked for names, in both transports; the resolver of the LAN hears those alone that a rule leaves to it", async () => {
    expect(await curl("http://web.corp.example/")).toContain(`hello ${exit.host.address4}, this is web.corp.example`);
    expect(await digShort(laptop.host, "+tcp", "web.corp.example")).toMatch(/^10\./);
    expect(await dig(laptop.host, "nobody.corp.example")).toContain("status: NXDOMAIN");
    expect(await dig(laptop.host, "@192.168.1.11", "CH", "TXT", "version.bind")).toContain("status: REFUSED");
    expect(await plain()).toBe(RING_QUESTIONS);
    expect(await digShort(laptop.host, "printer.lan")).toBe("192.168.1.11");
    expect(await plain()).toBe(RING_QUESTIONS + 1);
  });

  it("does not ask a server of the internet for our names, whoever is meant", async () => {
    expect(await digShort(laptop.host, "@203.0.113.14", "exit.i3")).toBe(exit.address4);
    expect(await dig(laptop.host, "@203.0.113.14", "nobody.i3")).toContain("status: NXDOMAIN");
    expect(await digShort(laptop.host, "@203.0.113.14", "web.corp.example")).toMatch(/^10\./);
    expect(await dig(laptop.host, "@203.0.113.14", "CH", "TXT", "exit.i3")).toContain("status: REFUSED");
  });

  it("does not let the resolver of the LAN answer for a name that failed, with its search domain behind it", async () => {
    const resolvConf = join(dirname(laptop.host.directory), "etc", "resolv.conf");
    const own = await readFile(resolvConf, "utf8");
    const getent = async (name: string): Promise<string> => (await laptop.host.exec("getent", ["ahostsv4", name])).stdout;
    await writeFile(resolvConf, `${own}search lan\n`);
    await eventually("the search domain acts", 10_000, async () => ((await getent("printer")).includes("192.168.1.11") ? true : undefined));
    // The proxy looks once a second.
    await eventually("the proxy knows it", 10_000, async () => ((await dig(laptop.host, "nobody.i3.lan")).includes("status: NXDOMAIN") ? true : undefined));
    expect(await getent("nobody.i3")).toBe("");
    expect(await getent("nobody.corp.example")).toBe("");
    expect(await getent("printer.lan")).toContain("192.168.1.11");
    await writeFile(resolvConf, own);
  }, 30_000);

  it("leaves the local network, the ring and other networks' gateways as they are", async () => {
    expect(await curl("http://192.168.1.11/")).toContain("hello 192.168.1.10,");
    expect(await curl(`http://[${neighbour.address6}]/`)).toContain(`hello ${laptop.host.address6},`);
    expect(await curl("http://192.168.5.10/")).toContain("hello 192.168.5.1,");
    expect((await laptop.host.exec("ping", ["-n", "-c", "1", "-W", "4", "exit.i3"])).status).toBe(0);
    expect((await laptop.host.exec("ip", ["route", "get", "239.255.255.250"])).stdout).toContain("dev eth0");
    expect((await laptop.host.exec("ip", ["route", "get", "203.0.113.10"])).stdout).toContain("dev i3");
    expect((await laptop.host.exec("ip", ["route", "get", "203.0.113.10", "mark", "0x6933"])).stdout).toContain("dev eth0");
  });

  it("has its table again when somebody has cleared all", async () => {
    await succeed(laptop.host, "nft", ["flush", "ruleset"]);
    await eventually("the table", 15_000, async () => ((await laptop.host.exec("nft", ["list", "tables"])).stdout.includes("i3_networks") ? true : undefined));
  }, 30_000);

  it("has its rules and routes again when somebody has removed them, and lets nothing out meanwhile", async () => {
    const packets = await plain();
    const ruleCount = async (): Promise<number> => (await Promise.all(["-4", "-6"].map(async (family) => (await laptop.host.exec("ip", [family, "rule"])).stdout))).join("").split("proto 105").length;
    const [rulesBefore, stateBefore] = [await ruleCount(), await stateOf(laptop.host)];
    for (const what of [["-4", "rule", "flush", "protocol", "105"], ["-6", "rule", "flush", "protocol", "105"], ["route", "flush", "table", "1315"], ["-6", "route", "flush", "table", "1315"], ["route", "flush", "table", "1313"]]) {
      await succeed(laptop.host, "ip", what);
      await laptop.host.exec("curl", ["-sS", "--max-time", "3", "-o", "/dev/null", "http://203.0.113.10/"]);
    }
    await eventually("everything as before", 10_000, async () => ((await stateOf(laptop.host)) === stateBefore ? true : undefined));
    expect(await ruleCount()).toBe(rulesBefore);
    await laptop.child?.waitForLine(/"event":"networks-restored"/);
    // Without anybody who sets them again.
    laptop.child?.kill("SIGSTOP");
    for (const family of ["-4", "-6"]) await succeed(laptop.host, "ip", [family, "rule", "flush", "protocol", "105"]);
    expect(await fails("http://203.0.113.10/")).toBe(true);
    expect(await fails(web6())).toBe(true);
    expect(await curl("http://192.168.1.11/")).toContain("hello 192.168.1.10,");
    expect(await plain()).toBe(packets);
    laptop.child?.kill("SIGCONT");
    await reached("web, by the exit", "http://203.0.113.10/", exit.host.address4);
    expect(await plain()).toBe(packets);
  }, 60_000);

  it("is not passed by programs that bind to an interface, but for the local network", async () => {
    const packets = await plain();
    for (const url of ["http://203.0.113.10/", web6(), "http://192.168.5.10/"]) expect((await laptop.host.exec("curl", ["-sS", "--max-time", "4", "--interface", "if!eth0", "-o", "/dev/null", url])).status).not.toBe(0);
    expect(await curl("http://192.168.1.11/", "--interface", "if!eth0")).toContain("hello 192.168.1.10,");
    expect((await laptop.host.exec("ping", ["-n", "-c", "1", "-W", "2", "-I", "eth0", "203.0.113.10"])).status).not.toBe(0);
    expect(await plain()).toBe(packets);
  }, 30_000);

  it("does not get packets for virtual addresses that nobody has", async () => {
    for (const address of ["10.99.99.99", "2001:20::99", "fd99::99"]) {
      expect((await laptop.host.exec("ip", ["route", "get", address])).stderr).toMatch(/No route to host|unreachable/);
      // From its own address, which the kernel leads to the engine.
      expect((await laptop.host.exec("ping", ["-n", "-c", "1", "-W", "4", "-I", address.includes(":") ? laptop.hit : laptop.address4, address])).stdout).toMatch(/unreachable/i);
    }
  }, 30_000);

  it("cannot speak as a neighbour", async () => {
    await succeed(exit.host, "ip", ["address", "add", "192.168.1.11/32", "dev", "lo"]);
    const send = `import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("192.168.1.11", 0)); s.sendto(b"x", ("${laptop.address4}", 9))`;
    await eventually("a packet in a neighbour's name is dropped", 10_000, async () => {
      await succeed(exit.host, "python3", ["-c", send]);
      return /fib saddr \. iif .* packets [1-9]/.test((await laptop.host.exec("nft", ["list", "table", "inet", "i3_networks_i3"])).stdout) || undefined;
    });
    await succeed(exit.host, "ip", ["address", "delete", "192.168.1.11/32", "dev", "lo"]);
  });

  it("is followed by live rules at once", async () => {
    await laptop.writeConfig({ rules: rules(OFFICE) });
    await reached("web, directly", "http://203.0.113.10/", "192.168.1.10");
    await laptop.writeConfig({ rules: rules(exitRule()) });
    await reached("web, by the exit", "http://203.0.113.10/", exit.host.address4);
    expect(await fails("http://192.168.5.10/")).toBe(true);
    await laptop.writeConfig({ rules: rules(exitRule(), OFFICE) });
    await reached("wiki", "http://192.168.5.10/", "192.168.5.1");
  }, 60_000);
});

describe("a gateway that is down", () => {
  it("closes the way out, names too", async () => {
    await exit.kill();
    const packets = await plain();
    expect(await fails("http://203.0.113.10/")).toBe(true);
    expect(await fails(web6())).toBe(true);
    expect(await fails("http://web.corp.example/")).toBe(true);
    expect(await curl("http://192.168.1.11/")).toContain("hello 192.168.1.10,");
    expect(await plain()).toBe(packets);
  }, 60_000);

  it('opens it where the rule says when-down="direct", until it answers again', async () => {
    await laptop.writeConfig({ rules: rules(exitRule('when-down="direct"'), OFFICE) });
    await reached("web, directly", "http://203.0.113.10/", "192.168.1.10");
    await laptop.child?.waitForLine(/"event":"gateway-down".*exit\.i3/);
    expect(await digShort(laptop.host, "web.corp.example")).toBe("192.168.1.11");
    await exit.start();
    await reached("web, by the exit", "http://203.0.113.10/", exit.host.address4);
    expect(await digShort(laptop.host, "web.corp.example")).toMatch(/^10\./);
    await laptop.writeConfig({ rules: rules(exitRule(), OFFICE) });
    await eventually("the way is closed again", 10_000, async () => (await stateOf(laptop.host)).includes("unreachable default") || undefined);
  }, 120_000);
});

describe("a proxy that is gone", () => {
  const cleaned = async (): Promise<void> => {
    await succeed(laptop.host, process.execPath, ["packages/i3-proxy/dist/main.js", "--config", laptop.configFile, "--clean"]);
    expect(await stateOf(laptop.host)).toBe(before);
    expect(await curl("http://203.0.113.10/")).toContain("hello 192.168.1.10,");
  };

  it("by SIGKILL leaves the way closed, also for names, until it is started again", async () => {
    await laptop.kill();
    const packets = await plain();
    expect(await fails("http://203.0.113.10/")).toBe(true);
    expect(await fails(web6())).toBe(true);
    expect(await fails("http://192.168.5.10/")).toBe(true);
    expect(await dig(laptop.host, "+timeout=2", "@192.168.1.11", "web.corp.example")).not.toContain("status:");
    expect(await dig(laptop.host, "+tcp", "+timeout=2", "@192.168.1.11", "web.corp.example")).not.toContain("status:");
    expect(await curl("http://192.168.1.11/")).toContain("hello 192.168.1.10,");
    expect(await plain()).toBe(packets);
    await laptop.start();
    await reached("web, by the exit", "http://203.0.113.10/", exit.host.address4);
    expect(await plain()).toBe(packets + RING_QUESTIONS);
  }, 60_000);

  it("by a stop, or by --clean after SIGKILL, leaves the machine as it was", async () => {
    const withoutGuard = async (): Promise<string> => {
      await laptop.host.exec("nft", ["delete", "table", "inet", "i3_guard_i3"]);
      return await stateOf(laptop.host);
    };
    expect((await laptop.child?.stop())?.status).toBe(0);
    expect(await withoutGuard()).toBe(before);
    await laptop.start();
    await reached("web, by the exit", "http://203.0.113.10/", exit.host.address4);
    await laptop.kill();
    expect(await stateOf(laptop.host)).toContain("src_valid_mark = 1");
    await cleaned();
  }, 60_000);

  it("by SIGKILL leaves the local network open, also where a rule is for a part of it", async () => {
    await laptop.writeConfig({ rules: rules(exitRule(), '<rule address="192.168.1.128/25 2001:db8:1:0:8000::/65" go="gateway" via="office.i3"/>') });
    await laptop.start();
    await reached("web, by the exit", "http://203.0.113.10/", exit.host.address4);
    await laptop.kill();
    expect(await curl("http://192.168.1.11/")).toContain("hello 192.168.1.10,");
    expect(await curl(`http://[${neighbour.address6}]/`)).toContain(`hello ${laptop.host.address6},`);
    for (const url of ["http://203.0.113.10/", web6(), "http://192.168.1.130/"]) expect(await fails(url)).toBe(true);
    await cleaned();
  }, 60_000);

  it("or is not there yet, for no server answers, lets nothing out; a stop opens everything again", async () => {
    await laptop.writeConfig({ serverAddresses: ["192.0.2.99"] });
    const child = laptop.host.spawn(process.execPath, ["packages/i3-proxy/dist/main.js", "--config", laptop.configFile]);
    await eventually("the table", 20_000, async () => (await stateOf(laptop.host)).includes("i3_networks") || undefined);
    expect(child.lines.map(({ text }) => text).join()).not.toMatch(/no-server|READY/);
    const packets = await plain();
    expect(await dig(laptop.host, "web.corp.example")).not.toContain("status: NOERROR");
    expect(await fails("http://203.0.113.10/")).toBe(true);
    expect(await fails(web6())).toBe(true);
    expect(await plain()).toBe(packets);
    expect((await child.stop()).status).toBe(0);
    expect(await curl("http://203.0.113.10/")).toContain("hello 192.168.1.10,");
  }, 90_000);

  it("because its start failed leaves the way closed", async () => {
    const other = laptop.host.spawn("python3", ["-uc", 'import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.1", 5335)); print("bound"); time.sleep(999)']);
    await other.waitForLine(/bound/);
    const child = laptop.host.spawn(process.execPath, ["packages/i3-proxy/dist/main.js", "--config", laptop.configFile]);
    expect((await child.ended).status).not.toBe(0);
    const packets = await plain();
    expect(await fails("http://203.0.113.10/")).toBe(true);
    expect(await fails(web6())).toBe(true);
    expect(await curl("http://192.168.1.11/")).toContain("hello 192.168.1.10,");
    expect(await plain()).toBe(packets);
    await other.stop();
    await cleaned();
  }, 60_000);
});

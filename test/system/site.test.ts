/**
 * A site: one proxy on a LAN's router serves hosts that run nothing (issue 7, line 4; paper §4.4).
 *
 *     pc, phone ── LAN 192.168.1.0/24, fd00:1::/64 ── router (i3-proxy with <site>) ── core ── home (i3-proxy), caller (i3-proxy), gate (i3-to-ip) ── office
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { Laptop, startRing } from "@i3/demo";
import { Topology, type Host, type Router } from "@i3/netns";

import { succeed } from "../demo/src/checks.js";
import { startSshd } from "../demo/src/sshd.js";
import { dig, digShort, fetchText, startUnbound, startWeb } from "./gateway-bed.js";
import { eventually } from "./pair-bed.js";

const RULES = '<rules><rule name="office\\.i3" go="i3"/><rule name=".*\\.corp\\.example" go="gateway" via="office.i3"/><rule name=".*\\.i3" go="i3"/></rules>';
const SITE = '<site interface="eth1" listen="192.168.1.1 fd00:1::1" networks="192.168.1.0/24 fd00:1::/64"/>';
/** Opens a connection, and asks by it when others have opened theirs. */
const KEEP_CONNECTION = `
import os, socket, sys, time
s = socket.create_connection((sys.argv[1], 53))
print("connected")
while not os.path.exists("/tmp/i3-site-over"):
    time.sleep(0.05)
q = bytes.fromhex("000101000001000000000000" + "04686f6d65" + "026933" + "00" + "00010001")
s.sendall(len(q).to_bytes(2, "big") + q)
print("answer of", len(s.recv(512)))
`;
/** So many connections as it gets, of 200, and keeps them. */
const OPEN_CONNECTIONS = `
import socket, sys, time
kept = []
for i in range(200):
    to, source = (("192.168.1.1", 53), None) if i % 2 == 0 else (("fd00:1::1", 53), (sys.argv[1 + i // 2 % (len(sys.argv) - 1)], 0))
    try:
        kept.append(socket.create_connection(to, timeout=2, source_address=source))
    except OSError:
        pass
print("opened", len(kept))
time.sleep(60)
`;
let topology: Topology;
let core: Router;
let machines: Record<"router" | "home" | "caller" | "gate", Laptop>;
let pc: Host;
let phone: Host;
beforeAll(async () => {
  topology = await Topology.create({ seed: 1 });
  core = topology.router("core");
  const host = (name: string, subnet: string, resolvers: readonly string[] = [], forwarding = false): Host => {
    const made = topology.host(name, { resolvers, forwarding });
    topology.link(core, made, { subnet });
    return made;
  };
  const [s1, routerHost, home, caller, gateHost] = [
    host("s1", "192.0.2.4/30"), host("router", "198.51.100.4/30", ["198.51.100.10"], true), host("home", "198.51.100.8/30", ["198.51.100.6"]), host("caller", "198.51.100.12/30", ["198.51.100.6"]),
    host("gate", "198.51.100.16/30", ["192.168.5.11"]),
  ];
  [pc, phone] = ["pc", "phone"].map((name) => topology.host(name, { resolvers: ["192.168.1.1"] })) as [Host, Host];
  const [wiki, dns] = [topology.host("wiki"), topology.host("dns")];
  topology.lan("home-lan", { subnet: "192.168.1.0/24", subnet6: "fd00:1::/64", gateway: routerHost, members: [pc, phone] });
  for (const member of [pc, phone]) topology.route(member, "default", "192.168.1.1");
  topology.lan("office", { subnet: "192.168.5.0/24", gateway: gateHost, members: [wiki, dns] });
  await topology.up();
  for (const member of [pc, phone]) await succeed(member, "ip", ["-6", "route", "add", "default", "via", "fd00:1::1"]);
  await Promise.all([startUnbound(dns, ["wiki.corp.example. 60 IN A 192.168.5.10"]), startUnbound(home, []), startWeb(wiki), startWeb(home), startWeb(caller), startWeb(pc)]);
  const serverAddresses = (await startRing([s1])).map(({ host: { address4 } }) => address4);
  const gateway = '<gateway out="eth1"><allow group="staff" networks="192.168.5.0/24"/></gateway>';
  const [router, homeProxy, callerProxy, gate] = await Promise.all([
    Laptop.make(routerHost, { serverAddresses, rules: RULES, site: SITE }), Laptop.make(home, { serverAddresses }), Laptop.make(caller, { serverAddresses }), Laptop.make(gateHost, { serverAddresses, gateway }),
  ]);
  machines = { router, home: homeProxy, caller: callerProxy, gate };
  await Promise.all([router.writeBook({ "office.i3": gate, "home.i3": homeProxy }), callerProxy.writeBook({ "router.i3": router }), homeProxy.writeBook({ "router.i3": router }), gate.writeBook({ "router.i3": router }, 'group="staff"')]);
  await Promise.all(Object.values(machines).map((one) => one.start()));
}, 120_000);
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(`${Object.values(machines).map(({ child }) => child?.tail(15) ?? "").join("\n")}\n${await topology.diagnose()}`);
});
afterAll(() => topology?.close());

describe("a host of the site, which runs nothing", () => {
  it("reaches hosts of the overlay by name, over both families, as the router", async () => {
    expect(await fetchText(pc, "http://home.i3/", "-4")).toBe(`hello ${machines.router.address4}, this is home.i3`);
    expect(await fetchText(phone, "http://home.i3/", "-6")).toBe(`hello ${machines.router.hit}, this is home.i3`);
    expect((await pc.exec("ping", ["-c", "2", "-i", "0.2", "-W", "2", "home.i3"])).stdout).toContain(" 0% packet loss");
    expect(await digShort(pc, "-x", await digShort(pc, "home.i3"))).toBe("home.i3.");
    expect(await digShort(pc, "+tcp", "home.i3")).toMatch(/^10\./);
  });

  it("reaches servers behind a gateway, and names of the internet by the router's resolvers", async () => {
    expect(await fetchText(pc, "http://wiki.corp.example/")).toBe("hello 192.168.5.1, this is wiki.corp.example");
    // Of no rule: the router's own resolver is asked.
    expect(await dig(pc, "name.test")).toContain("status: NXDOMAIN");
  });

  it("does not reach who only called the router, nor is it reached from the overlay", async () => {
    expect(await fetchText(machines.caller.host, "http://router.i3:53/").catch((error: Error) => error.message)).toMatch(/refused|Failed|Empty|reset/);
    expect((await machines.router.host.exec("ping", ["-c", "1", "-W", "3", machines.caller.address4])).status, "the router itself reaches it").toBe(0);
    expect((await pc.exec("curl", ["-sS", "--max-time", "5", `http://${machines.caller.address4}/`])).stderr).toMatch(/No route|unreachable|prohibited|Failed to connect|Couldn't connect/i);
    // Hosts of the site have no address in the overlay.
    await succeed(machines.caller.host, "ip", ["route", "add", "192.168.1.10/32", "dev", "i3"]);
    expect((await machines.caller.host.exec("curl", ["-sS", "--max-time", "3", "http://192.168.1.10/"])).status).not.toBe(0);
  });

  it("goes on with a session over a restart and a kill of the router's proxy", async () => {
    const ssh = await startSshd(machines.home.host, pc);
    const session = pc.spawn("ssh", ["-tt", ...ssh.options, "-4", "home.i3", "sh"]);
    const typed = async (count: number): Promise<void> => {
      session.stdin.write(`echo answer-$((1000 + ${count}))\n`);
      await session.waitForLine(new RegExp(`answer-${1000 + count}`), 20_000);
    };
    await typed(1);
    await machines.router.stop();
    await machines.router.start();
    await typed(2);
    await machines.router.kill();
    await machines.router.start();
    await typed(3);
    session.kill("SIGKILL");
    await session.ended;
  }, 90_000);

  it("sends nothing in clear while the proxy is dead", async () => {
    const address = await digShort(pc, "home.i3");
    await machines.router.kill();
    await witnessed(address);
    expect((await pc.exec("curl", ["-sS", "--max-time", "20", `http://${address}/`])).stderr).toMatch(/No route|unreachable|Failed to connect|Couldn't connect/i);
    const { stdout } = await core.exec("nft", ["list", "chain", "netdev", "site_witness", "seen"]);
    expect(stdout).toContain("counter packets 0 ");
    await machines.router.start();
    expect(await fetchText(pc, `http://${address}/`)).toContain("hello");
  });

  it("sends nothing in clear to addresses that nobody was given, or that have ended", async () => {
    const counted = async (work: () => Promise<void>): Promise<number> => {
      await core.exec("nft", ["delete", "table", "netdev", "site_witness"]);
      await witnessed("10.0.0.0/8");
      await work();
      return Number(/counter packets (\d+)/.exec((await core.exec("nft", ["list", "chain", "netdev", "site_witness", "seen"])).stdout)?.[1]);
    };
    expect(await counted(async () => expect((await pc.exec("curl", ["-sS", "--max-time", "3", "http://10.200.1.2/"])).stderr).toMatch(/No route|unreachable|prohibited|Failed to connect|Couldn't connect/i))).toBe(0);
    // A session to a server behind a gateway whose rule is taken away.
    const address = await digShort(pc, "wiki.corp.example");
    const session = pc.spawn(process.execPath, ["-e", `const s = require("node:net").connect(80, "${address}", () => console.log("open")); s.on("error", () => {}); setInterval(() => s.write("x"), 50);`]);
    await session.waitForLine(/open/);
    expect(await counted(async () => {
      await machines.router.writeConfig({ rules: RULES.replace(/<rule name="[^"]*corp.*?\/>/, "") });
      await eventually("the server is gone", 10_000, async () => ((await machines.router.host.exec("nft", ["list", "set", "inet", "i3_site_i3", "named4"])).stdout.includes(address) ? undefined : true));
      expect((await pc.exec("curl", ["-sS", "--max-time", "3", `http://${address}/`])).status).not.toBe(0);
    })).toBe(0);
    session.kill("SIGKILL");
    await session.ended;
    await machines.router.writeConfig({});
    await eventually("the rule acts again", 10_000, async () => ((await digShort(pc, "wiki.corp.example")).startsWith("10.") ? true : undefined));
  }, 60_000);

  it("is served again when somebody has cleared a set, or all tables, and the guard is there again", async () => {
    for (const command of [["flush", "set", "inet", "i3_site_i3", "named4"], ["flush", "ruleset"]]) {
      await succeed(machines.router.host, "nft", command);
      // A name that is taken out of nft's set, which does not have it any more, is refused by nft.
      await machines.router.writeBook({ "office.i3": machines.gate });
      await machines.router.writeBook({ "office.i3": machines.gate, "home.i3": machines.home });
      await eventually("home is reached", 15_000, async () => ((await pc.exec("curl", ["-sS", "--max-time", "2", "http://home.i3/"])).status === 0 ? true : undefined));
    }
    await eventually("the guard", 15_000, async () => ((await machines.router.host.exec("nft", ["list", "tables"])).stdout.includes("i3_guard_i3") ? true : undefined));
    expect((await pc.exec("ping", ["-c", "1", "-W", "1", machines.router.address4])).status).not.toBe(0);
  }, 90_000);

  it("has its answers whoever else floods the resolver", async () => {
    const flood = phone.spawn(process.execPath, ["-e", 'const s = require("node:dgram").createSocket("udp4"); const q = Buffer.concat([Buffer.from("000101000001000000000000047769 6b6904636f7270076578616d706c6500".replaceAll(" ", ""), "hex"), Buffer.from("00010001", "hex")]); setInterval(() => { for (let i = 0; i < 100; i += 1) s.send(q, 53, "192.168.1.1"); }, 5); console.log("flooding");']);
    await flood.waitForLine(/flooding/);
    for (let i = 0; i < 5; i += 1) for (const name of ["home.i3", "wiki.corp.example"]) expect(await digShort(pc, name)).toMatch(/^10\./);
    flood.kill("SIGKILL");
    await flood.ended;
    expect((await succeed(machines.router.host, "nft", ["list", "chain", "inet", "i3_site_i3", "asking_host"])).stdout).toMatch(/limit rate over [^}]*} counter packets [1-9]/);
  });

  it("keeps its connection to the resolver, and gets others, whatever another one opens, from as many addresses as it likes", async () => {
    await succeed(pc, "rm", ["-f", "/tmp/i3-site-over"]);
    const kept = pc.spawn("python3", ["-uc", KEEP_CONNECTION, "192.168.1.1"]);
    await kept.waitForLine(/connected/);
    const many = Array.from({ length: 20 }, (_, i) => `fd00:1::bad:${i + 1}`);
    for (const address of many) await succeed(phone, "ip", ["address", "add", `${address}/64`, "dev", "eth0", "nodad"]);
    const storm = phone.spawn("python3", ["-uc", OPEN_CONNECTIONS, ...many]);
    expect(Number((await storm.waitForLine(/opened (\d+)/, 20_000))[1])).toBe(16);
    expect(await digShort(pc, "+tcp", "home.i3")).toMatch(/^10\./);
    await succeed(pc, "touch", ["/tmp/i3-site-over"]);
    await kept.waitForLine(/answer of \d\d/, 10_000);
    storm.kill("SIGKILL");
    await storm.ended;
    for (const address of many) await succeed(phone, "ip", ["address", "del", `${address}/64`, "dev", "eth0"]);
  }, 60_000);

  it("has the router as before when the site is cleaned away", async () => {
    await machines.router.stop();
    const { status } = await machines.router.host.exec(process.execPath, ["packages/i3-proxy/dist/main.js", "--config", machines.router.configFile, "--clean"]);
    expect([status, (await succeed(machines.router.host, "nft", ["list", "tables"])).stdout]).toEqual([0, ""]);
    await machines.router.start();
    expect(await fetchText(pc, "http://home.i3/")).toContain("hello");
  });
});

/** Counts what the router sends there by its uplink. */
async function witnessed(to: string): Promise<void> {
  const { namespace, interfaceName } = machines.router.host.interfaces[0]?.far ?? {};
  await namespace?.nft(`table netdev site_witness {\n chain seen { type filter hook ingress device "${interfaceName ?? ""}" priority 0\n ip daddr ${to} counter\n }\n }`);
}

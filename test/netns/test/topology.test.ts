/** The library: programs run where they should, see what they should, and nothing of it is left afterwards. */
import { readdir, readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { describe, expect, test } from "vitest";
import { NetnsError, Topology, type Host } from "../src/index.js";
import { UdpPeer } from "./udp-peer.js";
import { buildStandard, closeAfterTest } from "./with-topology.js";

async function pair(): Promise<{ topology: Topology; a: Host; b: Host }> {
  const topology = await Topology.create({ seed: 1, resolvers: ["192.0.2.53"] });
  closeAfterTest(topology);
  const a = topology.host("a");
  const b = topology.host("b", { resolvers: ["192.0.2.54", "2001:db8::54"] });
  topology.link(a, b, { subnet: "192.0.2.0/30", subnet6: "2001:db8::/64" });
  await topology.up();
  return { topology, a, b };
}

const namespaces = async (): Promise<string[]> => (await readdir("/run/netns")).sort();
const isAlive = (pid: number | undefined): boolean => {
  try {
    return process.kill(pid ?? 0, 0);
  } catch {
    return false;
  }
};

describe("exec", () => {
  test("gives status, both outputs, input and environment, without a shell in between", async () => {
    const { a } = await pair();
    const script = 'process.stdin.pipe(process.stdout); console.error(process.argv[1], process.env.WORD); process.on("exit", () => process.exit(3))';
    const result = await a.exec(process.execPath, ["-e", script, "$HOME `id` 'x'"], { input: "in", env: { WORD: "w w" } });
    expect(result).toEqual({ status: 3, stdout: "in", stderr: "$HOME `id` 'x' w w\n" });
  });

  test("says 128 + n for signal n and 127 for a program that is not there", async () => {
    const { a } = await pair();
    expect((await a.exec("sh", ["-c", "kill -9 $$"])).status).toBe(137);
    expect((await a.exec("/no/such/program")).status).toBe(127);
  });

  test("ends a program that takes too long, and says what it had printed", async () => {
    const { a } = await pair();
    const running = a.exec("sh", ["-c", "echo begun; exec sleep 1000"], { timeoutMs: 300 });
    await expect(running).rejects.toMatchObject({ code: "ERR_I3_NETNS_TIMEOUT", message: expect.stringContaining("begun") });
  });
});

describe("spawn", () => {
  test("finds lines already printed and lines to come, on both streams", async () => {
    const { a } = await pair();
    const child = a.spawn("sh", ["-c", "echo first; echo error >&2; read -r line; echo got $line"]);
    expect((await child.waitForLine(/fir(s)t/))[1]).toBe("s");
    await child.waitForLine(/^error$/);
    await child.waitForLine(/first/);
    const line = child.waitForLine(/^got (.*)$/);
    child.stdin.write("it\n");
    expect((await line)[1]).toBe("it");
    expect(await child.ended).toEqual({ status: 0, signal: null });
  });

  test("waiting ends with the program, and with the time", async () => {
    const { a } = await pair();
    const short = a.spawn("sh", ["-c", "echo last words; exit 4"]);
    await expect(short.waitForLine(/never/)).rejects.toMatchObject({ code: "ERR_I3_NETNS_EXITED", message: expect.stringMatching(/status 4.*last words/s) });
    await expect(short.waitForLine(/never/)).rejects.toMatchObject({ code: "ERR_I3_NETNS_EXITED" });
    const long = a.spawn("sleep", ["1000"]);
    await expect(long.waitForLine(/never/, 50)).rejects.toMatchObject({ code: "ERR_I3_NETNS_TIMEOUT" });
  });

  test("signals reach the program itself; one that ignores them is ended by force", async () => {
    const { a } = await pair();
    const polite = a.spawn("sh", ["-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done"]);
    await polite.waitForLine(/ready/);
    expect((await polite.stop()).status).toBe(5);
    const deaf = a.spawn("sh", ["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]);
    await deaf.waitForLine(/ready/);
    expect((await deaf.stop(100)).status).toBe(137);
    const missing = a.spawn("/no/such/program");
    expect((await missing.ended).status).toBe(127);
  });
});

describe("/etc", () => {
  test("each node has its own resolv.conf, which programs may rewrite or replace, and the machine's stays", async () => {
    const machines = await readFile("/etc/resolv.conf", "utf8").catch(() => "");
    const { a, b } = await pair();
    const conf = async (host: Host): Promise<string> => (await host.exec("cat", ["/etc/resolv.conf"])).stdout;
    expect(await conf(a)).toBe("nameserver 192.0.2.53\n");
    expect(await conf(b)).toBe("nameserver 192.0.2.54\nnameserver 2001:db8::54\n");
    await a.exec("sh", ["-c", "echo nameserver 127.0.0.1 > /etc/x && mv /etc/x /etc/resolv.conf"]);
    expect(await conf(a)).toBe("nameserver 127.0.0.1\n");
    const running = b.spawn("sh", ["-c", "echo up; read -r line; cat /etc/resolv.conf"]);
    await running.waitForLine(/up/);
    await b.setResolvers(["192.0.2.99"]);
    running.stdin.write("\n");
    await running.waitForLine(/^nameserver 192\.0\.2\.99$/);
    expect(await readFile("/etc/resolv.conf", "utf8").catch(() => "")).toBe(machines);
  });

  test("files go to a directory of the node, which ends with the topology", async () => {
    const { topology, a, b } = await pair();
    const path = await a.writeFile("config.xml", "<i3/>");
    expect((await a.exec("cat", [path])).stdout).toBe("<i3/>");
    expect(a.directory).not.toBe(b.directory);
    await topology.close();
    await expect(readFile(path)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("the standard topology", () => {
  test("everybody reaches the public hosts, LAN members each other, and nobody the inside of a NAT", async () => {
    const { laptop, neighbour, home, resolver, servers, nat1, core } = await buildStandard({ ipv6: true });
    const reaches = async (from: Host, address: string): Promise<boolean> => (await from.exec("ping", ["-n", "-c1", "-W1", address])).status === 0;
    for (const from of [laptop, home, ...servers]) expect(await reaches(from, resolver.address4), from.name).toBe(true);
    expect(await reaches(laptop, neighbour.address4)).toBe(true);
    expect(await reaches(laptop, home.address6), "IPv6 passes NATs").toBe(true);
    expect(await reaches(resolver, laptop.address4)).toBe(false);
    expect(await reaches(home, laptop.address4)).toBe(false);
    expect([laptop.address4, nat1.address4, resolver.address4]).toEqual(["192.168.1.10", "198.51.100.6", "203.0.113.6"]);
    expect(core.interfaces.map(({ name }) => name)).toEqual(["to-s1", "to-s2", "to-s3", "to-resolver", "to-nat1", "to-nat2"]);
    expect((await laptop.exec("cat", ["/etc/resolv.conf"])).stdout).toBe("nameserver 203.0.113.6\n");
  });

  test("IPv6 connections from outside stop at the NAT's firewall", async () => {
    const { laptop, resolver } = await buildStandard({ ipv6: true });
    const listener = laptop.spawn(process.execPath, ["-e", 'require("net").createServer((s) => s.end("in")).listen(8000, "::", () => console.log("up"))']);
    await listener.waitForLine(/up/);
    const connect = `require("net").connect(8000, ${JSON.stringify(laptop.address6)}).on("connect", () => console.log("connected")).setTimeout(500, () => process.exit(9))`;
    expect(await resolver.exec(process.execPath, ["-e", connect])).toMatchObject({ status: 9, stdout: "" });
  });

  test("a host that is cut off notices nothing, others go on, and it comes back", async () => {
    const { laptop, neighbour, servers } = await buildStandard();
    const [server] = servers;
    if (server === undefined) throw new Error("no s1");
    const [client, other, s1] = [await UdpPeer.open(laptop), await UdpPeer.open(neighbour), await UdpPeer.open(server, 7000)];
    const mapped = await client.mappedBy(s1);
    await laptop.cutOff();
    await laptop.cutOff();
    await client.send(s1.endpoint, "cut-up");
    await s1.send(mapped, "cut-down");
    await other.mappedBy(s1);
    expect((await laptop.exec("cat", ["/sys/class/net/eth0/carrier"])).stdout).toBe("1\n");
    await laptop.restore();
    expect(await client.mappedBy(s1)).toEqual(mapped);
    expect([s1.hasReceived("cut-up"), client.hasReceived("cut-down")]).toEqual([false, false]);
    await laptop.restore();
  });
});

describe("closing", () => {
  test("leaves no namespace, process, mount or file", async () => {
    const before = await namespaces();
    const { topology, a } = await pair();
    const [plain, orphan] = [a.spawn("sleep", ["1000"]), a.spawn("sh", ["-c", "setsid sleep 1000 & echo $!; trap '' TERM; wait"])];
    const [, orphanPid] = await orphan.waitForLine(/^(\d+)$/);
    const { directory } = a.namespace;
    await topology.close();
    await topology.close();
    await Promise.all([plain.ended, orphan.ended]);
    await expect.poll(() => [plain.pid, orphan.pid, Number(orphanPid)].filter(isAlive)).toEqual([]);
    expect(await namespaces()).toEqual(before);
    expect(await readFile("/proc/self/mounts", "utf8")).not.toContain(directory);
    await expect(readdir(directory)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("happens by itself when building fails", async () => {
    const before = await namespaces();
    const topology = await Topology.create();
    const a = topology.host("a");
    topology.link(a, topology.host("b"), { subnet: "192.0.2.0/30" });
    topology.route(a, "default", "203.0.113.1");
    await expect(topology.up()).rejects.toMatchObject({ code: "ERR_I3_NETNS_COMMAND", message: expect.stringMatching(/via|gateway|unreachable/i) });
    expect(await namespaces()).toEqual(before);
    expect(await readFile("/proc/self/mounts", "utf8")).not.toContain(a.namespace.directory);
  });

  test("of one topology leaves another that uses the same names and addresses", async () => {
    const [one, two] = [await pair(), await pair()];
    await one.topology.close();
    expect((await two.a.exec("ping", ["-n", "-c1", "-W1", two.b.address6])).status).toBe(0);
  });
});

describe("declaring", () => {
  test("is refused twice, for impossible things, and after building", async () => {
    const topology = await Topology.create();
    closeAfterTest(topology);
    const a = topology.host("a");
    expect(() => topology.host("a")).toThrow(/two nodes/);
    expect(() => topology.link(a, topology.host("b"), {})).toThrow(/no subnet/);
    expect(() => topology.link(a, topology.host("c"), { subnet: "2001:db8::/64" })).toThrow(/IPv4/);
    expect(() => topology.link(a, topology.host("d"), { subnet: "192.0.2.0/30", wan: { delayMs: -1 } })).toThrow(/delayMs/);
    expect(() => topology.node("z")).toThrow(NetnsError);
    expect(() => a.address4).toThrow(/no address4/);
    topology.nat("lonely");
    await expect(topology.up()).rejects.toThrow(/outside \(it has 0\)/);
    expect(() => topology.host("late")).toThrow(/before up/);
  });

  test("addresses may be chosen", async () => {
    const topology = await Topology.create();
    closeAfterTest(topology);
    const [gateway, member] = [topology.router("gw"), topology.host("m", { forwarding: true })];
    topology.lan("lan", { subnet: "10.9.0.0/24", gateway, members: [member], addresses: { m: ["10.9.0.77"] }, mtu: 1_400 });
    await topology.up();
    expect(member.address4).toBe("10.9.0.77");
    expect((await gateway.exec("ping", ["-n", "-c1", "-W1", "10.9.0.77"])).status).toBe(0);
    expect((await member.exec("cat", ["/sys/class/net/eth0/mtu", "/proc/sys/net/ipv4/ip_forward"])).stdout).toBe("1400\n1\n");
  });
});

test("a diagnosis shows addresses, routes, rules, tables and the words of programs", async () => {
  const { topology, laptop } = await buildStandard({ seed: 77 });
  await laptop.spawn("sh", ["-c", "echo famous words; exit 1"]).ended;
  const text = await topology.diagnose();
  for (const part of ["seed 77", "192.168.1.10/24", "default via 192.168.1.1", "masquerade fully-random", "conntrack entries: 0", "famous words", "(ended)"]) expect(text).toContain(part);
});

test("programs share the machine's name but not its network", async () => {
  const { a } = await pair();
  expect((await a.exec("hostname")).stdout.trim()).toBe(hostname());
  expect((await a.exec("ls", ["/sys/class/net"])).stdout.split("\n").filter(Boolean).sort()).toEqual(["eth0", "lo"]);
});

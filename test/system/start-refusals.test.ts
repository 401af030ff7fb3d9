/**
 * What a daemon cannot run with it refuses in one line that says what to do, and leaves the machine as it was. A book that goes bad
 * while the proxy runs changes nothing.
 */
import { chmod, mkdir, rm } from "node:fs/promises";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { Laptop, repositoryPath } from "@i3/demo";
import type { Child, Host } from "@i3/netns";

import { eventually, pairBed, type PairBed } from "./pair-bed.js";

const PROXY = repositoryPath("packages/i3-proxy/dist/main.js");
const SERVER = repositoryPath("packages/i3-server/dist/main.js");
const COMMON = repositoryPath("packages/common/dist/index.js");

let bed: PairBed;
/** A third machine, so that slow refusals wait at the same time. */
let third: Laptop;
beforeAll(async () => {
  bed = await pairBed({ start: false });
  third = await Laptop.make(bed.neighbour, { serverAddresses: [bed.resolver.address4] });
});
afterAll(() => bed?.close());

interface Refusal {
  readonly status: number;
  /** The one line for people. */
  readonly line: string;
}

/** Runs a daemon that must not come up; `wrapper` is put before it. */
async function refusal(host: Host, program: string, configFile: string, wrapper: readonly string[] = []): Promise<Refusal> {
  const [first = "", ...rest] = [...wrapper, process.execPath, program, "--config", configFile];
  const { status, stdout, stderr } = await host.exec(first, rest);
  expect(stdout).toBe("");
  const lines = stderr.trim().split("\n").filter((line) => !line.startsWith('{"time":'));
  expect(lines).toHaveLength(1);
  return { status, line: lines[0] ?? "" };
}
const proxyRefusal = ({ host, configFile }: Laptop, wrapper: readonly string[] = []): Promise<Refusal> => refusal(host, PROXY, configFile, wrapper);

/** What a proxy changes on a machine, as far as it is there. */
async function traces(host: Host): Promise<string> {
  const script = "nft list tables | grep i3_; ip link show dev i3 2>/dev/null | grep tun; for f in -4 -6; do ip $f rule | grep -e 131[34]; ip $f route show table all | grep -e 'table 131[34]'; done; true";
  return (await host.exec("sh", ["-c", script])).stdout;
}

/** A program that holds a port. */
async function holder(host: Host, kind: "udp" | "tcp", address: string, port: number): Promise<Child> {
  const open = kind === "udp" ? `require("node:dgram").createSocket("${address.includes(":") ? "udp6" : "udp4"}").bind(${port}, "${address}", ready)` : `require("node:net").createServer().listen(${port}, "${address}", ready)`;
  const child = host.spawn(process.execPath, ["-e", `const ready = () => console.log("ready"); ${open}`]);
  await child.waitForLine(/ready/);
  return child;
}

const book = (...hosts: readonly string[]): string => `<address-book version="1">\n${hosts.map((host) => `  ${host}\n`).join("")}</address-book>\n`;
const HOST = '<host name="home.i3" hit="2001:22::1"/>';
/** Title, book, line, path, what was expected. */
const BAD_BOOKS: readonly (readonly [string, string, number, string, RegExp])[] = [
  ["malformed XML", '<address-book version="1">\n  <host name="home.i3" hit="2001:22::1"\n</address-book>\n', 3, "/address-book", /expected/],
  ["an unknown element", book(HOST, '<hots name="a.i3" hit="2001:22::2"/>'), 3, "/address-book/hots", /expected .*host/],
  ["an unknown attribute", book('<host name="home.i3" hti="2001:22::1"/>'), 2, "/address-book/host[1]/@hti", /expected .*hit/],
  ["a name that is there twice", book(HOST, '<host name="HOME.i3" hit="2001:22::2"/>'), 3, "/address-book/host[2]/@name", /expected/],
  ["an id of the wrong form", book('<host name="home.i3" id="12ab"/>'), 2, "/address-book/host[1]/@id", /expected .*64/],
  ["a HIT of the wrong form", book('<host name="home.i3" hit="2001:db8::1"/>'), 2, "/address-book/host[1]/@hit", /expected .*2001:2/],
];

describe("an address book that cannot be used", () => {
  it.each(BAD_BOOKS)("%s: refused with file, line, path and what was expected", async (_, text, lineNumber, path, expected) => {
    const { laptopProxy: laptop, laptop: host } = bed;
    await host.writeFile("book.xml", text);
    const { status, line } = await proxyRefusal(laptop);
    expect(status).toBe(2);
    expect(line).toContain(`${host.directory}/book.xml:${lineNumber}: ${path}`);
    expect(line).toMatch(expected);
    expect(await traces(host)).toBe("");
  });

  it("a configuration with an unknown element, of the proxy and of a server", async () => {
    const { laptop, home } = bed;
    const proxyFile = await laptop.writeFile("bad-proxy.xml", '<i3-proxy version="1">\n  <identity key-file="host.key"/>\n  <sttae directory="state"/>\n</i3-proxy>\n');
    const serverFile = await home.writeFile("bad-server.xml", '<i3-server version="1">\n  <identity key-file="server.key"/>\n  <lsiten address="::" port="5610"/>\n</i3-server>\n');
    for (const [host, program, file, element] of [[laptop, PROXY, proxyFile, "sttae"], [home, SERVER, serverFile, "lsiten"]] as const) {
      const { status, line } = await refusal(host, program, file);
      expect(status).toBe(2);
      expect(line).toMatch(new RegExp(`${file}:3: /\\S*/${element}.*expected`));
    }
  });
});

describe("an address book that changes while the proxy runs", () => {
  beforeAll(async () => {
    await bed.laptopProxy.writeBook({ "home.i3": bed.homeProxy });
    await bed.laptopProxy.start();
  });
  afterAll(() => bed.laptopProxy.child?.stop());
  const dig = async (name: string): Promise<string> => (await bed.laptop.exec("dig", ["+short", "+tries=1", "+timeout=2", name])).stdout.trim();

  it.each(BAD_BOOKS)("%s: told in the log, and the last good book stays in use", async (_, text, lineNumber, path) => {
    const child = bed.laptopProxy.child as Child;
    const since = child.lines.length;
    await bed.laptop.writeFile("book.xml", text);
    const told = await eventually("an error in the log", 5_000, () => Promise.resolve(child.lines.slice(since).map((line) => line.text).find((line) => line.includes('"level":"error"'))));
    expect(JSON.parse(told)).toMatchObject({ level: "error", event: "address-book", error: expect.stringContaining(`book.xml:${lineNumber}: ${path}`) as string });
    expect(await dig("home.i3")).toBe(bed.homeProxy.address4);
  });

  it("a good one is in use within two seconds", async () => {
    const startMs = performance.now();
    await bed.laptopProxy.writeBook({ "home.i3": bed.homeProxy, "second.i3": bed.homeProxy, "third.i3": third });
    await eventually("the new names", 5_000, async () => (await dig("third.i3")) === third.address4 || undefined);
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(await dig("second.i3")).toBe(bed.homeProxy.address4);
  });
});

describe("a machine that the proxy cannot run on", () => {
  let held: Child[] = [];
  beforeAll(async () => {
    // Nothing remembers a mapping.
    await rm(`${bed.laptop.directory}/state`, { recursive: true, force: true });
    await bed.laptop.exec(process.execPath, [PROXY, "--config", bed.laptopProxy.configFile, "--clean"]);
    expect(await traces(bed.laptop)).toBe("");
  });
  afterEach(async () => {
    await Promise.all(held.map((child) => child.stop()));
    held = [];
    expect(await traces(bed.laptop)).toBe("");
  });

  it("no permission", async () => {
    const { status, line } = await proxyRefusal(bed.laptopProxy, ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
    expect({ status, line }).toEqual({ status: 1, line: expect.stringMatching(/^i3-proxy: .*CAP_NET_ADMIN.*(root|grant)/) as string });
  });

  it("no /dev/net/tun", async () => {
    const { status, line } = await proxyRefusal(bed.laptopProxy, ["sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"]);
    expect({ status, line }).toEqual({ status: 1, line: expect.stringMatching(/^i3-proxy: .*\/dev\/net\/tun.*modprobe tun/) as string });
  });

  it("the UDP port in use", async () => {
    held = [await holder(bed.laptop, "udp", "::", 5_610)];
    const { status, line } = await proxyRefusal(bed.laptopProxy);
    expect({ status, line }).toEqual({ status: 1, line: expect.stringMatching(/^i3-proxy: UDP port 5610 is in use.*ss -ulpn/) as string });
  });

  it.each(["udp", "tcp"] as const)("the DNS port in use, %s", async (kind) => {
    held = [await holder(bed.laptop, kind, "127.0.0.1", 5_335)];
    const { status, line } = await proxyRefusal(bed.laptopProxy);
    expect({ status, line }).toEqual({ status: 1, line: expect.stringMatching(/^i3-proxy: port 5335 .* in use.*another DNS port/) as string });
  });

  it("the TUN's name on an interface of another kind", async () => {
    await bed.laptop.exec("ip", ["link", "add", "i3", "type", "veth", "peer", "name", "other"]);
    const { status, line } = await proxyRefusal(bed.laptopProxy);
    await bed.laptop.exec("ip", ["link", "del", "i3"]);
    expect({ status, line }).toEqual({ status: 1, line: expect.stringMatching(/^i3-proxy: the TUN device i3 .*Choose another TUN name/) as string });
  });

  it.each([
    ["damaged", "host.key", /damaged.*backup/, async (file: string) => bed.laptop.writeFile(file, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").then((path) => chmod(path, 0o600))],
    ["readable by others", "host.key", /chmod 600/, async (file: string) => chmod(`${bed.laptop.directory}/${file}`, 0o644)],
    ["a directory", "a.key", /regular file.*another key-file/, async (file: string) => mkdir(`${bed.laptop.directory}/${file}`)],
    ["not readable", "host.key", /cannot read.*Restore/, async (file: string) => chmod(`${bed.laptop.directory}/${file}`, 0)],
  ] as const)("a key file that is %s", async (_, file, expected, damage) => {
    const { laptop, laptopProxy } = bed;
    const original = await laptop.exec("cat", [`${laptop.directory}/host.key`]);
    const config = await laptop.exec("sed", [`s/host.key/${file}/`, laptopProxy.configFile]);
    const configFile = await laptop.writeFile("key.xml", config.stdout);
    await damage(file);
    try {
      const { status, line } = await refusal(laptop, PROXY, configFile, ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override,-dac_read_search"]);
      expect({ status, line }).toEqual({ status: 1, line: expect.stringMatching(expected) as string });
      expect(line).toContain(`${laptop.directory}/${file}`);
    } finally {
      await chmod(`${laptop.directory}/host.key`, 0o600);
      await laptop.writeFile("host.key", original.stdout);
    }
  });

  it.each([
    ["readable by others", "i3 ring credential 1\n", 0o644, /chmod 600/], ["damaged", "i3 ring credential 1\nabc\n", 0o600, /is damaged.*ring admit/], ["missing", null, 0, /cannot read.*ring admit/],
  ] as const)("a ring credential that is %s", async (_, text, mode, expected) => {
    const { home } = bed;
    await rm(`${home.directory}/bad.credential`, { force: true });
    if (text !== null) await chmod(await home.writeFile("bad.credential", text), mode);
    const configFile = await home.writeFile("server.xml", `<i3-server version="1">
  <identity key-file="server.key"/>
  <ring credential-file="bad.credential"><member address="192.0.2.6" port="5610"/></ring>
</i3-server>
`);
    const { status, line } = await refusal(home, SERVER, configFile);
    expect({ status, line }).toEqual({ status: 1, line: expect.stringMatching(expected) as string });
    expect(line).toContain(`${home.directory}/bad.credential`);
  });
});

/** Answers every PING with a clock that is so far ahead, after so long. */
const clockServer = (port: number, aheadMs: number, afterMs: number): string => `
import { createSocket } from "node:dgram";
import { decodeControl, encodeControl, makeLocator } from ${JSON.stringify(COMMON)};
const socket = createSocket("udp4");
socket.on("message", (bytes, { port, address }) => {
  const { message, nonce } = decodeControl(new Uint8Array(bytes));
  if (message.type !== "PING") return;
  const observed = makeLocator(Uint8Array.from(address.split(".").map(Number)), port);
  const answer = encodeControl({ type: "PONG", timeMs: Date.now() + ${aheadMs}, observed, nodeKey: new Uint8Array(16).fill(${port} % 256) }, nonce);
  setTimeout(() => socket.send(answer, port, address), ${afterMs});
});
socket.bind(${port}, () => console.log("ready"));
`;

describe("servers that are of no use", () => {
  let clocks: Child[] = [];
  const serve = async (port: number, aheadMs: number, afterMs = 0): Promise<void> => {
    const child = bed.resolver.spawn(process.execPath, ["--input-type=module", "-e", clockServer(port, aheadMs, afterMs)]);
    clocks.push(child);
    await child.waitForLine(/ready/);
  };
  const servers = (...ports: readonly number[]): string => `<servers>${ports.map((port) => `<server address="${bed.resolver.address4}" port="${port}"/>`).join("")}</servers>`;
  afterEach(async () => {
    await Promise.all(clocks.map((child) => child.stop()));
    clocks = [];
    await third.writeConfig();
    expect(await traces(bed.neighbour)).toBe("");
  });

  it("one whose clock is far off", async () => {
    await serve(5_610, 3_600_000);
    const alone = `(the only server that has answered: ${bed.resolver.address4}:5610)`;
    const { status, line } = await proxyRefusal(third);
    expect({ status, line }).toEqual({ status: 1, line: expect.stringMatching(/^i3-proxy: this machine's clock is 60 minutes behind the servers'.*timedatectl/) as string });
    expect(line).toContain(alone);
  }, 60_000);

  it("most of them", async () => {
    await Promise.all([serve(5_610, -3_600_000), serve(5_611, 0, 200), serve(5_612, -3_600_000, 300)]);
    await third.writeConfig({ serverAddresses: [], serverList: servers(5_610, 5_611, 5_612) });
    expect(await proxyRefusal(third)).toEqual({ status: 1, line: expect.stringMatching(/^i3-proxy: this machine's clock is 60 minutes ahead of the servers' \(2 of 3 servers: .*:5610, .*:5612\).*timedatectl/) as string });
  }, 60_000);

  it("one of three, the first that answers: its address is told, and the start goes on", async () => {
    await Promise.all([serve(5_610, 3_600_000), serve(5_611, 0, 300), serve(5_612, 0, 300)]);
    await third.writeConfig({ serverAddresses: [], serverList: servers(5_610, 5_611, 5_612) });
    const child = bed.neighbour.spawn(process.execPath, [PROXY, "--config", third.configFile]);
    const told = await child.waitForLine(/"event":"clock"/, 20_000);
    expect(JSON.parse(told.input)).toMatchObject({ level: "warn", why: `servers' clocks differ from this machine's: ${bed.resolver.address4}:5610 is 60 minutes ahead` });
    expect((await child.stop(10_000)).status).toBe(0);
  }, 60_000);
});

describe("a laptop that starts offline", () => {
  it("answers for names, says host unreachable, and goes on when a server's name can be looked up and it answers", async () => {
    const { laptop, laptopProxy, homeProxy, servers } = bed;
    await laptopProxy.writeConfig({ serverAddresses: ["ring.example.net", "198.51.100.200"] });
    await Promise.all([laptopProxy.start(), homeProxy.start()]);
    const logged = (event: string): readonly unknown[] =>
      (laptopProxy.child?.lines ?? []).filter(({ text }) => text.includes(`"event":"${event}"`)).map(({ text }) => JSON.parse(text) as unknown);
    expect(logged("server-unknown")).toMatchObject([{ name: "ring.example.net", remedy: expect.stringContaining("online") as unknown }]);
    expect(logged("no-server")).toMatchObject([{ servers: ["ring.example.net:5610", "198.51.100.200:5610"], remedy: expect.stringMatching(/<servers>.*<fallback>/) as unknown }]);
    expect((await laptop.exec("getent", ["ahostsv4", "home.i3"])).stdout).toContain(homeProxy.address4);
    expect((await laptop.exec("getent", ["ahostsv4", "localhost"])).stdout).toContain("127.0.0.1");
    expect((await laptop.exec("ping", ["-n", "-c", "1", "-W", "5", "-4", "home.i3"])).stdout).toContain("Destination Host Unreachable");
    // A new file: in an ordinary user's namespace the one that is there is nobody's to write.
    const { status } = await laptop.exec("sh", ["-c", `cp /etc/hosts /etc/hosts.new && echo '${servers[0]?.address4 ?? ""} ring.example.net' >> /etc/hosts.new && mv -f /etc/hosts.new /etc/hosts`]);
    expect(status).toBe(0);
    await laptopProxy.child?.waitForLine(/"event":"server"/, 40_000);
    await eventually("a ping", 10_000, async () => ((await laptop.exec("ping", ["-c", "1", "-W", "2", "-4", "home.i3"])).status === 0 ? true : undefined));
    expect(logged("server-unknown")).toHaveLength(1);
    await Promise.all([laptopProxy.child?.stop(), homeProxy.child?.stop()]);
    await laptopProxy.writeConfig();
    await Promise.all([laptopProxy, homeProxy].map((proxy) => proxy.forget()));
  }, 90_000);
});

describe("a second proxy on the same machine", () => {
  it("is refused and leaves the first one and what it remembers alone", async () => {
    const { laptop, laptopProxy, homeProxy } = bed;
    const ping = async (): Promise<number> => (await laptop.exec("ping", ["-c", "1", "-W", "5", "-4", "home.i3"])).status;
    await Promise.all([laptopProxy.start(), homeProxy.start()]);
    const same = await proxyRefusal(laptopProxy);
    expect(same).toEqual({ status: 1, line: expect.stringMatching(/in use|used by another process/) as string });
    const config = await laptop.exec("sed", ['s,<address-book,<listen port="5611"/><dns port="5336"/>&,', laptopProxy.configFile]);
    const otherPorts = await refusal(laptop, PROXY, await laptop.writeFile("second.xml", config.stdout));
    expect(otherPorts).toEqual({ status: 1, line: expect.stringMatching(/the TUN device i3 is used by another process.*Stop the other proxy, or choose another TUN name/) as string });
    expect(await ping()).toBe(0);
    // What it learned after that is still written where the next start looks.
    await laptopProxy.kill();
    await laptopProxy.start();
    const started = laptopProxy.child?.lines.map(({ text }) => text).find((text) => text.includes('"started"')) ?? "";
    expect(JSON.parse(started)).toMatchObject({ mappings: 1 });
    expect(await ping()).toBe(0);
  });

  it("stopped without a mapping nothing is left, with one only the guard", async () => {
    const { laptop, laptopProxy, neighbour, home } = bed;
    await bed.homeProxy.child?.stop();
    expect((await laptopProxy.child?.stop())?.status).toBe(0);
    expect(await traces(laptop)).toBe("table inet i3_guard_i3\n");
    expect(await traces(home)).toBe("table inet i3_guard_i3\n");
    await third.writeConfig({ serverAddresses: bed.servers.map((server) => server.address4) });
    await third.start();
    expect(await traces(neighbour)).not.toBe("");
    expect((await third.child?.stop())?.status).toBe(0);
    expect(await traces(neighbour)).toBe("");
  });
});

/**
 * Anonymous names (docs/anonymity.md), with real daemons and captures of everything that the others see: no byte of the laptop's identity, addresses or names is at the gateway, at the far end or at a
 * host of the overlay, and two names have nothing in common.
 *
 *     laptop ── core ── s1 s2 s3 (ring), gate (i3-to-ip), dns, web, web2 (servers of the internet), home (of the overlay: takes strangers, and would take their packets straight)
 */
import { createPublicKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { parseIpText } from "@i3/common";
import { I3_PORT, Laptop, startRing, type RingServer } from "@i3/demo";
import { encodeDhGroupList, encodeHipPacket, HIP_PACKET, PARAMETER } from "@i3/hip";
import { Topology, type Child, type Host, type Router } from "@i3/netns";

import { succeed } from "../demo/src/checks.js";
import { startSshd } from "../demo/src/sshd.js";
import { capture } from "./capture.js";
import { dig, digShort, fetchText, startUnbound, startWeb } from "./gateway-bed.js";
import { eventually } from "./pair-bed.js";

const RULES = '<rules><rule name="plain\\.example|.*\\.anon\\.i3" go="anonymous" via="exit.i3"/><rule name=".*\\.relay\\.i3" go="anonymous"/><rule name=".*\\.i3" go="i3"/></rules>';
const LIST = '<gateway out="eth0"><allow anonymous="yes" names=".*"/></gateway>';
const IDLE_S = 8;

let topology: Topology;
let core: Router;
let ring: readonly RingServer[];
let [laptop, gate, home] = [] as unknown as [Laptop, Laptop, Laptop];
let [web, web2] = [] as unknown as [Host, Host];

beforeAll(async () => {
  topology = await Topology.create({ seed: 1 });
  core = topology.router("core");
  const host = (name: string, subnet: string, resolvers: readonly string[] = []): Host => {
    const made = topology.host(name, { resolvers });
    topology.link(core, made, { subnet });
    return made;
  };
  const servers = [1, 2, 3].map((n) => host(`s${n}`, `192.0.2.${4 * n}/30`));
  [web, web2] = [host("web", "203.0.113.8/30"), host("web2", "203.0.113.12/30")];
  const dns = host("dns", "203.0.113.16/30");
  const [laptopHost, gateHost, homeHost] = [host("laptop", "198.51.100.4/30", ["203.0.113.18"]), host("gate", "198.51.100.8/30", ["203.0.113.18"]), host("home", "198.51.100.12/30")];
  await topology.up();
  await startUnbound(dns, [`site.example. 60 IN A ${web.address4}`, `other.example. 60 IN A ${web2.address4}`, `plain.example. 60 IN A ${web.address4}`, "inside.example. 60 IN A 192.168.7.1"]);
  [ring] = [(await Promise.all([startRing(servers), startWeb(web), startWeb(web2), startWeb(homeHost), startWeb(laptopHost)]))[0]];
  const serverAddresses = servers.map(({ address4 }) => address4);
  [laptop, gate, home] = await Promise.all([
    Laptop.make(laptopHost, { serverAddresses, rules: RULES, mappings: `<anonymous idle-s="${IDLE_S}"/>` }), Laptop.make(gateHost, { serverAddresses, gateway: LIST }), Laptop.make(homeHost, { serverAddresses, hip: '<shortcuts strangers="true"/>' }),
  ]);
  await laptop.writeBook({ "exit.i3": gate, "home.i3": home });
  await Promise.all([laptop, gate, home].map((one) => one.start()));
}, 180_000);
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(`${laptop.child?.tail(40) ?? ""}\n${gate.child?.tail(20) ?? ""}\n${await topology.diagnose()}`);
});
afterAll(() => topology?.close());

/** What tells the laptop: a name for each, and its bytes. */
async function secrets(): Promise<readonly (readonly [string, Uint8Array])[]> {
  const { x } = createPublicKey(await readFile(`${laptop.host.directory}/host.key`)).export({ format: "jwk" });
  const [address, hit, own4] = [laptop.host.address4, laptop.hit, laptop.address4];
  // A shorter name of the machine is in every long capture, by chance.
  const texts = [address, hit, own4, "laptop", ...[hostname()].filter(({ length }) => length > 5)].map((text) => [`text ${text}`, Buffer.from(text)] as const);
  const ids = new Set((laptop.child?.lines ?? []).flatMap(({ text }) => (text.includes('"event":"trigger-live"') ? (JSON.parse(text) as { readonly id?: string }).id ?? [] : [])));
  expect(ids.size, "private ids of the laptop's own proxy").toBeGreaterThan(1);
  return [
    ...texts, ...[...ids].map((id) => [`id ${id}`, Buffer.from(id, "hex").subarray(0, 16)] as const),
    ...[address, hit, own4].map((text) => [`bytes of ${text}`, parseIpText(text) as Uint8Array] as const), ["host key", Buffer.from(x ?? "", "base64url")],
  ];
}

const bytesOf = (address: string): Buffer => Buffer.from(parseIpText(address) ?? "no address");

/** Names of the secrets that a capture has. */
const found = async (file: string): Promise<readonly string[]> => {
  const bytes = await readFile(file);
  return (await secrets()).filter(([, secret]) => bytes.includes(Buffer.from(secret))).map(([name]) => name);
};

/** By file of each host, everything on all of its interfaces, its TUN too, while `work` runs. */
async function captured(hosts: readonly Host[], work: () => Promise<void>): Promise<readonly string[]> {
  const files: string[] = [];
  const [first, ...others] = hosts;
  if (first === undefined) {
    await work();
    return files;
  }
  const file = await capture(first, "ip or ip6", async () => void files.push(...(await captured(others, work))), "any");
  return [file, ...files];
}

interface Anonymous {
  readonly hit: string;
  readonly address: string;
}

let asked = 0;
/** Hosts that another one has mappings with and no name for. */
async function strangersOf(proxy: Laptop): Promise<readonly Anonymous[]> {
  const had = proxy.child?.lines.length ?? 0;
  proxy.child?.kill("SIGUSR1");
  asked += 1;
  const line = await eventually(`counters ${asked}`, 5_000, () => Promise.resolve(proxy.child?.lines.slice(had).map(({ text }) => text).find((text) => text.includes('"event":"counters"'))));
  return (JSON.parse(line) as { readonly mappings: readonly (Anonymous & { readonly name: string | null })[] }).mappings.filter(({ name }) => name === null);
}

/** Interfaces, addresses and UDP ports that the laptop has for anonymous names. */
async function instances(): Promise<{ readonly addresses: readonly string[]; readonly ports: readonly string[] }> {
  const { stdout } = await laptop.host.exec("ip", ["-o", "-4", "address", "show"]);
  const { stdout: sockets } = await laptop.host.exec("ss", ["-Huln"]);
  const addresses = [...stdout.matchAll(/\bi3-an\d+\s+inet (\S+)\//g)].map(([, address = ""]) => address);
  const ports = [...new Set([...sockets.matchAll(/:(\d+)\s+\S+:\*/g)].map(([, port = ""]) => port))].filter((port) => Number(port) > 32_767);
  return { addresses, ports };
}

const SEND = `
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (answer) => { console.log("answer of " + answer.length); process.exit(0); });
socket.send(Buffer.from(process.argv[3], "hex"), Number(process.argv[2]), process.argv[1], () => setTimeout(() => process.exit(0), 1500));`;

/** Whether who has this key answers at that port of the laptop's address: an I1 straight to it, in UDP behind four zero bytes. */
async function isThere(hit: string, port: number): Promise<boolean> {
  const header = { type: HIP_PACKET.i1, version: 2, controls: 0, senderHit: Uint8Array.from(parseIpText(home.hit) ?? []), receiverHit: Uint8Array.from(parseIpText(hit) ?? []) };
  const i1 = encodeHipPacket(header, [{ type: PARAMETER.dhGroupList, contents: encodeDhGroupList([7, 8, 4]) }]);
  const { stdout } = await home.host.exec(process.execPath, ["-e", SEND, laptop.host.address4, String(port), Buffer.concat([Buffer.alloc(4), i1]).toString("hex")]);
  return stdout.startsWith("answer of");
}

const status = async (name: string, ...args: readonly string[]): Promise<string> => /status: (\w+)/.exec(await dig(laptop.host, name, ...args))?.[1] ?? "none";

describe("sites of the internet, through a gateway", () => {
  it("hear of nothing that is the laptop's, nor does the gateway; each name has a key, an address and a port of its own", async () => {
    let had: Awaited<ReturnType<typeof instances>> = { addresses: [], ports: [] };
    const [atWeb = "", atWeb2 = "", atGate = "", atServer = ""] = await captured([web, web2, gate.host, ring[0]?.host as Host], async () => {
      // The last one by a rule alone.
      const answers = await Promise.all(["site.example.anon.i3", "other.example.anon.i3", "plain.example"].map((name) => fetchText(laptop.host, `http://${name}/`)));
      had = await instances();
      for (const answer of answers) expect(answer).toContain(gate.host.address4);
    });
    expect(await found(atServer), "where the ring is entered it is known").toContain(`bytes of ${laptop.host.address4}`);
    expect([await found(atGate), await found(atWeb), await found(atWeb2)]).toEqual([[], [], []]);
    const [clients, { addresses, ports }] = [await strangersOf(gate), had];
    expect([new Set(clients.map(({ hit }) => hit)).size, new Set(clients.map(({ address }) => address)).size, addresses.length, ports.length]).toEqual([3, 3, 3, 3]);
    expect((await readFile(atGate)).includes(bytesOf(clients[0]?.hit ?? "")), "and what it does see is in the capture").toBe(true);
  }, 60_000);

  it("have other keys, addresses and ports when they were not used for a while, and nothing of the ones before is left", async () => {
    await fetchText(laptop.host, "http://site.example.anon.i3/");
    const [had, before] = [await instances(), await strangersOf(gate)];
    await eventually("all have ended", 30_000, async () => ((await instances()).addresses.length === 0 ? true : undefined));
    expect((await instances()).ports).toEqual([]);
    const { stdout: old } = await laptop.host.exec("ip", ["-4", "route", "show", "table", "1313"]);
    expect(old).not.toContain("i3-an");
    await fetchText(laptop.host, "http://site.example.anon.i3/");
    const [after, has] = [await strangersOf(gate), await instances()];
    const [hits, addresses] = [new Set(before.map(({ hit }) => hit)), new Set(before.map(({ address }) => address))];
    const others = after.filter(({ hit }) => !hits.has(hit));
    expect([others.length, others.filter(({ address }) => addresses.has(address)).length, had.addresses.filter((address) => has.addresses.includes(address)), has.addresses.length]).toEqual([1, 0, [], 1]);
  }, 60_000);

  it("are not told to who asks on the wire which card has their address", async () => {
    await fetchText(laptop.host, "http://site.example.anon.i3/");
    const [address = ""] = (await instances()).addresses;
    const card = async (asked: string): Promise<string> => {
      await core.exec("ip", ["route", "replace", `${asked}/32`, "dev", "to-laptop"]);
      await core.exec("ping", ["-c", "1", "-W", "1", asked]);
      return (await core.exec("ip", ["neighbour", "show", asked])).stdout;
    };
    expect(address).toMatch(/^198\.1[89]\./);
    expect(await card(laptop.address4), "that of the machine's own proxy is told: the way to ask works").toContain("lladdr");
    expect(await card(address)).not.toContain("lladdr");
  });

  it("are guarded again within seconds when somebody has cleared all tables", async () => {
    await fetchText(laptop.host, "http://site.example.anon.i3/");
    await succeed(laptop.host, "nft", ["flush", "ruleset"]);
    const table = await eventually("the table is back", 10_000, async () => {
      const { stdout } = await laptop.host.exec("nft", ["list", "ruleset"]);
      return stdout.includes("i3_anonymous") && /set ports \{[^}]*elements/.test(stdout) ? stdout : undefined;
    });
    for (const part of [...(await instances()).addresses, ...(await instances()).ports]) expect(table).toContain(part);
    expect(await fetchText(laptop.host, "http://site.example.anon.i3/")).toContain("hello");
    await eventually("all have ended", 30_000, async () => ((await instances()).addresses.length === 0 ? true : undefined));
    await succeed(laptop.host, "nft", ["flush", "ruleset"]);
    expect(await fetchText(laptop.host, "http://site.example.anon.i3/"), "the next one finds no table").toContain("hello");
  }, 60_000);

  it("have IPv4 alone, and the gateway's errors; what is inside its networks is refused", async () => {
    expect(await status("site.example.anon.i3", "AAAA")).toBe("NOERROR");
    expect(await digShort(laptop.host, "site.example.anon.i3", "AAAA")).toBe("");
    expect(await status("nothing.corp.example.anon.i3")).toBe("NXDOMAIN");
    expect(await status("inside.example.anon.i3")).toBe("REFUSED");
    expect(await digShort(laptop.host, "+tcp", "site.example.anon.i3")).toMatch(/^198\.1[89]\./);
  });

  it("have each a part of the range for itself, which their gateway is told: whatever it names, no other name and nobody else here has it", async () => {
    const names = ["site.example.anon.i3", "other.example.anon.i3", "plain.example"];
    const servers = await Promise.all(names.map((name) => digShort(laptop.host, name)));
    const part = (address: string): number => Number(BigInt(`0x${bytesOf(address).toString("hex")}`) >> 10n);
    const parts = servers.map(part);
    const own = (await instances()).addresses.map(part);
    expect([new Set(parts).size, new Set(own).size, parts.every((one) => own.includes(one))]).toEqual([3, own.length, true]);
    expect(parts.every((one) => one >> 7 === part("198.18.0.0") >> 7)).toBe(true);
  });

  it("have no name for whoever asks this machine for that of their address, nor does the question leave it; what has ended is refused", async () => {
    const address = await digShort(laptop.host, "site.example.anon.i3");
    const file = await capture(laptop.host, "ip or ip6", async () => {
      expect([await status("-x", address), await status("-x", "198.19.0.9"), await digShort(laptop.host, "-x", await digShort(laptop.host, "home.i3"))]).toEqual(["NXDOMAIN", "NXDOMAIN", "home.i3."]);
      expect(await status("-c", "CH", "-t", "ANY", "plain.example")).toBe("REFUSED");
      expect((await laptop.host.exec("curl", ["-sS", "--max-time", "5", "http://198.19.0.9/"])).stderr).toContain("Failed to connect");
    });
    const bytes = await readFile(file);
    expect([bytes.includes("in-addr"), bytes.includes("plain"), bytes.includes(bytesOf("198.19.0.9"))]).toEqual([false, false, false]);
  });

  it("are in no line of the laptop's log, nor are the keys", async () => {
    const text = (laptop.child?.lines ?? []).map((line) => line.text).join("\n");
    for (const { hit, address } of await strangersOf(gate)) expect([text.includes(hit), text.includes(`${address}"`)]).toEqual([false, false]);
    expect(["site.example", "other.example", "plain.example", '"exit.i3"'].filter((name) => text.includes(name))).toEqual([]);
    expect(text).toContain('"event":"anonymous-line"');
  });
});

describe("a host of the overlay", () => {
  it("is reached by the ring alone, and sees a stranger whom nothing ties to the laptop", async () => {
    const [atHome = "", atLaptop = ""] = await captured([home.host, laptop.host], async () => {
      expect(await fetchText(laptop.host, "http://home.relay.i3/")).not.toContain(laptop.address4);
      const ping = laptop.host.spawn("ping", ["-n", "-i", "0.2", "-c", "20", "home.relay.i3"]);
      await ping.waitForLine(/icmp_seq=20 ttl/, 20_000);
    });
    expect(await found(atHome)).toEqual([]);
    expect((await readFile(atLaptop)).includes(bytesOf(home.host.address4)), "no packet goes straight").toBe(false);
    expect((await strangersOf(home)).length).toBe(1);
  }, 60_000);

  it("reaches nothing of the laptop by the way that the laptop has begun", async () => {
    const [, caller = ""] = /hello (\S+),/.exec(await fetchText(laptop.host, "http://home.relay.i3/")) ?? [];
    expect((await strangersOf(home)).map(({ address }) => address)).toContain(caller);
    expect((await home.host.exec("curl", ["-sS", "--max-time", "2", `http://${caller}/`])).status).not.toBe(0);
    expect((await home.host.exec("ping", ["-c", "2", "-W", "1", caller])).status).not.toBe(0);
    const [own4 = ""] = (await instances()).addresses;
    expect(await fetchText(laptop.host, `http://${own4}/`), "a service is there, for the machine itself").toContain("hello");
  }, 30_000);

  it("cannot ask an address whether it is the one, by its HIT, as it can ask the laptop's own proxy", async () => {
    const before = await strangersOf(home);
    await eventually("all have ended", 30_000, async () => ((await instances()).addresses.length === 0 ? true : undefined));
    await fetchText(laptop.host, "http://home.relay.i3/");
    const { hit = "" } = (await strangersOf(home)).find((one) => before.every((other) => other.hit !== one.hit)) ?? {};
    const { ports: [port = ""] } = await instances();
    expect([await isThere(laptop.hit, I3_PORT), await isThere(hit, Number(port))]).toEqual([true, false]);
    // Of a program's first packet there is an answer, so the port is in use.
    expect(await fetchText(laptop.host, "http://home.relay.i3/")).toContain("hello");
  }, 60_000);

  it("is another one for the laptop's own proxy, beside it", async () => {
    const [plain, relayed] = [await digShort(laptop.host, "home.i3"), await digShort(laptop.host, "home.relay.i3")];
    expect(plain).not.toBe(relayed);
    expect(await fetchText(laptop.host, "http://home.i3/", "-4")).toContain(laptop.address4);
    expect(await fetchText(laptop.host, "http://home.relay.i3/")).not.toContain(laptop.address4);
  }, 30_000);
});

describe("places for names", () => {
  it("are not made where a program has a connection, however long it is silent: others make room, or the new name fails", async () => {
    await laptop.stop();
    await laptop.writeConfig({ mappings: '<anonymous max="2" idle-s="300"/>' });
    await laptop.start();
    const { options } = await startSshd(web, laptop.host);
    const ssh = laptop.host.spawn("ssh", ["-o", "ServerAliveInterval=0", ...options, "site.example.anon.i3", "echo begun; until [ -e /tmp/anonymous-over ]; do sleep 0.2; done; rm /tmp/anonymous-over; echo still here"]);
    await ssh.waitForLine(/begun/, 20_000);
    expect(await fetchText(laptop.host, "http://other.example.anon.i3/")).toContain("hello");
    const [first] = (await instances()).addresses;
    expect(await status("plain.example")).toBe("SERVFAIL");
    await eventually("a minute has passed without a packet of others", 90_000, async () => ((await status("plain.example")) === "NOERROR" ? true : undefined));
    expect([await status("one.more.anon.i3"), (await instances()).addresses.includes(first ?? "")]).toEqual(["SERVFAIL", true]);
    await web.exec("touch", ["/tmp/anonymous-over"]);
    await ssh.waitForLine(/still here/, 20_000);
    await laptop.stop();
    await laptop.writeConfig();
    await laptop.start();
  }, 180_000);

  it("that end tell those who still ask there", async () => {
    gate.child?.kill("SIGSTOP");
    const answer = dig(laptop.host, "+timeout=20", "+tries=1", "site.example.anon.i3");
    await eventually("it is there", 10_000, async () => ((await instances()).addresses.length === 1 ? true : undefined));
    await laptop.writeConfig({ rules: '<rules><rule name=".*\\.i3" go="i3"/></rules>' });
    expect(await answer).toContain("status: SERVFAIL");
    await eventually("it has ended", 10_000, async () => ((await instances()).addresses.length === 0 ? true : undefined));
    gate.child?.kill("SIGCONT");
    await laptop.writeConfig();
    await eventually("the rules are back", 20_000, async () => ((await status("site.example.anon.i3")) === "NOERROR" ? true : undefined));
  }, 60_000);
});

const start = (): Child => laptop.host.spawn(process.execPath, ["packages/i3-proxy/dist/main.js", "--config", laptop.configFile]);
const tables = async (): Promise<string> => (await laptop.host.exec("nft", ["list", "tables"])).stdout;

describe("names that are anonymous as they are, without a proxy", () => {
  const asked = async (): Promise<readonly string[]> => {
    const answers = await Promise.all([["plain.example"], ["+tcp", "plain.example"], ["@203.0.113.18", "plain.example"]].map((args) => dig(laptop.host, "+timeout=2", "+tries=1", ...args)));
    return answers.filter((text) => text.includes("status:"));
  };
  const isHeard = async (work: () => Promise<void>): Promise<boolean> => (await readFile(await capture(laptop.host, "ip or ip6", work))).includes("plain");

  it("are asked of nobody after SIGKILL, nor while the next one starts, tables cleared or not, until it is there", async () => {
    expect(await isHeard(async () => {
      await laptop.kill();
      expect(await asked()).toEqual([]);
      expect((await laptop.host.exec("curl", ["-sS", "--max-time", "5", "http://plain.example/"])).status).not.toBe(0);
    })).toBe(false);
    for (const server of ring) server.child?.kill("SIGSTOP");
    await succeed(laptop.host, "nft", ["flush", "ruleset"]);
    const child = start();
    await eventually("closed by the one that starts", 20_000, async () => ((await tables()).includes("i3_names_i3") ? true : undefined));
    expect(await isHeard(async () => expect(await asked()).toEqual([]))).toBe(false);
    await succeed(laptop.host, "nft", ["flush", "ruleset"]);
    await eventually("closed again", 20_000, async () => ((await tables()).includes("i3_names_i3") ? true : undefined));
    for (const server of ring) server.child?.kill("SIGCONT");
    await child.waitForLine(/READY i3-/, 60_000);
    expect(await fetchText(laptop.host, "http://plain.example/")).toContain(gate.host.address4);
    expect((await child.stop()).status).toBe(0);
  }, 120_000);

  it("are names like any other after a stop, and after --clean", async () => {
    expect([(await tables()).includes("i3_names"), await digShort(laptop.host, "plain.example")]).toEqual([false, web.address4]);
    await laptop.start();
    await laptop.kill();
    expect((await tables()).includes("i3_names")).toBe(true);
    await succeed(laptop.host, process.execPath, ["packages/i3-proxy/dist/main.js", "--config", laptop.configFile, "--clean"]);
    expect([(await tables()).includes("i3_names"), await digShort(laptop.host, "plain.example")]).toEqual([false, web.address4]);
    await laptop.start();
  }, 60_000);

  it("stay here with a search domain of the network behind them, as libc asks when they have failed", async () => {
    await succeed(laptop.host, "sh", ["-c", "echo search lan.example >> /etc/resolv.conf"]);
    await eventually("the file is read", 10_000, async () => ((await status("plain.example.lan.example")) === "NXDOMAIN" ? true : undefined));
    const file = await capture(laptop.host, "ip or ip6", async () => {
      await laptop.host.exec("getent", ["ahostsv4", "nobody.relay.i3"]);
      expect([await status("plain.example.lan.example"), await status("site.example.anon.i3.lan.example")]).toEqual(["NXDOMAIN", "NXDOMAIN"]);
      await status("plain.other.example");
    });
    const bytes = await readFile(file);
    expect(["nobody", "anon", "other"].map((label) => bytes.includes(label))).toEqual([false, false, true]);
  }, 30_000);
});

describe("what cannot be anonymous", () => {
  it("fails, and is asked for nowhere else: names without a host, and all when the ring is gone", async () => {
    const file = await capture(laptop.host, "ip or ip6", async () => {
      expect(await status("nobody.relay.i3")).toBe("NXDOMAIN");
      await eventually("all have ended", 30_000, async () => ((await instances()).addresses.length === 0 ? true : undefined));
      for (const server of ring) server.child?.kill("SIGKILL");
      expect([await status("plain.example"), await status("other.example.anon.i3"), await status("home.relay.i3")]).toEqual(["SERVFAIL", "SERVFAIL", "SERVFAIL"]);
    });
    const bytes = await readFile(file);
    expect(bytes.includes(bytesOf("203.0.113.18")), "the resolver of its network").toBe(false);
    expect(["plain", "other", "relay", "nobody"].filter((label) => bytes.includes(label))).toEqual([]);
    expect((await instances()).addresses).toEqual([]);
  }, 90_000);
});

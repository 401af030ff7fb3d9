/**
 * Two real proxies that reach each other by the addresses in their books, over UDP 10500 and over IP protocols 139 and 50, without any i3 server; what a
 * capture between them shows, what tshark makes of it, and what becomes of garbage.
 */
import { readFile } from "node:fs/promises";

import { HIP_PACKET } from "@i3/hip";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Laptop, repositoryPath } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";

import { expectedOf, FIELDS, fieldsOf } from "../interop/hip-fields.js";
import { withoutGuesses } from "../interop/tshark.js";
import { capture, CAPTURE_END, cutBeforeCapture } from "./capture.js";
import { eventually } from "./pair-bed.js";

const PROXY = repositoryPath("packages/i3-proxy/dist/main.js");
const OPTIONS = {
  serverAddresses: [], hip: '<hip udp-port="10500" ip-protocol="true"/>',
  rules: '<rules><rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="2049"/><rule name=".*\\.i3" go="i3"/></rules>',
} as const;

let topology: Topology;
let one: Laptop;
let two: Laptop;
let hosts: readonly [Host, Host];

beforeAll(async () => {
  topology = await Topology.create();
  hosts = [topology.host("one"), topology.host("two")];
  topology.link(hosts[0], hosts[1], { subnet: "192.0.2.0/30", subnet6: "2001:db8:2::/64" });
  await topology.up();
  await Promise.all(hosts.map(cutBeforeCapture));
  [one, two] = await Promise.all([Laptop.make(hosts[0], OPTIONS), Laptop.make(hosts[1], OPTIONS)]);
}, 60_000);
afterAll(() => topology?.close());

/** Both proxies anew, each with the other's address in its book. */
async function startBoth(addressOf: (host: Host) => string, more: string): Promise<void> {
  await Promise.all([one, two].map(async (laptop, i) => {
    await laptop.kill();
    await laptop.forget();
    const peer = [two, one][i] as Laptop;
    await laptop.writeBook({ [i === 0 ? "two.i3" : "one.i3"]: peer }, `address="${addressOf(peer.host)}" ${more}`);
    await laptop.start();
  }));
}

/** Encrypted on 8080, authenticated and readable on 2049. */
const SEND = 'const net = require("node:net"); for (const [port, text] of [[8080, "in the clear "], [2049, "for all to read "]]) net.createServer((s) => s.end(Buffer.alloc(2000000, text))).listen(port, "::", () => console.log("listening", port))';
const TAKE = 'let n = 0; require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]) }).on("data", (d) => (n += d.length)).on("end", () => console.log("got", n)).on("error", (e) => console.log(e.code))';
const take = async (port: number): Promise<string> => (await hosts[0].exec(process.execPath, ["-e", TAKE, two.hit, String(port)])).stdout.trim();

const BETWEEN_VALUES = "+";

/** The HIP packets of a capture on Ethernet, in their order: protocol 139, or port 10500 behind the zero marker. */
function hipPacketsOf(capture: Uint8Array): readonly Uint8Array[] {
  const view = Buffer.from(capture);
  const found: Uint8Array[] = [];
  for (let at = 24; at < view.length; ) {
    const frame = view.subarray(at + 16, at + 16 + view.readUInt32LE(at + 8));
    at += 16 + frame.length;
    const isIpv4 = frame.readUInt16BE(12) === 0x0800;
    const [protocol, payload] = isIpv4 ? [frame[23], frame.subarray(14 + ((frame[14] ?? 0) & 15) * 4, 14 + frame.readUInt16BE(16))] : [frame[20], frame.subarray(54, 54 + frame.readUInt16BE(18))];
    if (protocol === 139) found.push(payload);
    else if (protocol === 17 && payload.readUInt16BE(2) === 10_500 && payload.length > 12 && payload.readUInt32BE(8) === 0) found.push(payload.subarray(12));
  }
  return found;
}

/** What tshark reads in each HIP packet of the capture. */
async function dissected(file: string): Promise<readonly Readonly<Record<string, readonly string[]>>[]> {
  const fields = FIELDS.flatMap((field) => ["-e", field]);
  const { stdout, status } = await hosts[0].exec("tshark", ["-n", "-r", file, "-Y", "hip", "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", `aggregator=${BETWEEN_VALUES}`, ...fields]);
  expect(status).toBe(0);
  return stdout.split("\n").slice(0, -1).map((line) => {
    const columns = line.split("\t");
    return Object.fromEntries(FIELDS.map((field, i) => [field, (columns[i] ?? "") === "" ? [] : (columns[i] ?? "").split(BETWEEN_VALUES)]));
  });
}

/** What passed between the two while `work` ran: the capture, and columns of tshark, one row a packet. */
async function captured(work: () => Promise<void>): Promise<{ readonly file: string; readonly rows: readonly (readonly string[])[] }> {
  // MLD, which the kernels send now and then, comes behind a hop-by-hop header, where "icmp6" does not look.
  const file = await capture(hosts[0], "ip or (ip6 and not icmp6 and ip6[6] != 0)", work);
  const fields = ["frame.protocols", "hip.checksum.status", "_ws.malformed", "udp.port", "ip.dst"].flatMap((field) => ["-e", field]);
  const { stdout, status } = await hosts[0].exec("tshark", ["-n", "-r", file, ...withoutGuesses(), "-T", "fields", "-E", "separator=;", ...fields]);
  expect(status).toBe(0);
  const clear = await hosts[0].exec("grep", ["-c", "-a", "in the clear", file]);
  expect(clear.stdout.trim()).toBe("0");
  const rows = stdout.trim().split("\n").map((line) => line.split(";")).filter(([, , , , to]) => to !== CAPTURE_END);
  return { file, rows };
}

/** tshark 4.0 knows HIP on this port, and calls ESP there data. */
const ROWS = [
  ["UDP 10500 over IPv4", (host: Host) => host.address4, 'protocol="udp"', /^eth:ethertype:ip:udp:(hip|data)$/, "eth:ethertype:ip:udp:hip"],
  ["UDP 10500 over IPv6", (host: Host) => host.address6, 'protocol="udp"', /^eth:ethertype:ipv6:udp:(hip|data)$/, "eth:ethertype:ipv6:udp:hip"],
  ["protocols 139 and 50 of IPv4", (host: Host) => host.address4, 'protocol="ip"', /^eth:ethertype:ip:(hip|esp)$/, "eth:ethertype:ip:hip"],
  ["protocols 139 and 50 of IPv6", (host: Host) => host.address6, 'protocol="ip"', /^eth:ethertype:ipv6:(hip|esp)$/, "eth:ethertype:ipv6:hip"],
] as const;

describe.each(ROWS)("by %s", (_, addressOf, more, isOfWay, hip) => {
  beforeAll(() => startBoth(addressOf, more), 60_000);

  it("carries ping6 and TCP to the HIT, nothing readable, and tshark finds HIP's checksums right and nothing malformed", async () => {
    const sender = hosts[1].spawn(process.execPath, ["-e", SEND]);
    await sender.waitForLine(/listening 8080/);
    const { file, rows } = await captured(async () => {
      const ping = await hosts[0].exec("ping", ["-6", "-n", "-c", "2", "-W", "5", "two.i3"]);
      expect(ping.stdout).toContain(two.hit);
      expect(ping.status).toBe(0);
      expect(await take(8080)).toBe("got 2000000");
    });
    await sender.stop();
    expect(rows.filter(([protocols = ""]) => !isOfWay.test(protocols))).toEqual([]);
    expect(rows.filter(([, , malformed]) => malformed !== "")).toEqual([]);
    const exchange = rows.filter(([protocols]) => protocols === hip);
    expect(exchange.length).toBeGreaterThanOrEqual(4);
    expect(exchange.filter(([, status]) => status !== "1")).toEqual([]);
    expect(rows.length - exchange.length).toBeGreaterThan(20);
    // Port 10500 at both ends.
    if (hip.includes("udp")) expect(rows.filter(([, , , ports]) => ports !== "10500,10500")).toEqual([]);

    // Field by field as our own decoders read the same packets.
    const packets = hipPacketsOf(await readFile(file));
    expect(await dissected(file)).toEqual(packets.map((bytes) => ({ "frame.protocols": [hip], ...expectedOf(fieldsOf(bytes), bytes.length) })));
    const types = packets.map((bytes) => fieldsOf(bytes).type);
    expect(types.slice(0, 4)).toEqual([HIP_PACKET.i1, HIP_PACKET.r1, HIP_PACKET.i2, HIP_PACKET.r2]);
  }, 60_000);

  it("makes a second pair of keys for a service that is authenticated only, by UPDATEs that tshark finds right, also where nobody listens", async () => {
    const { file, rows } = await captured(async () => {
      expect(await take(2049)).toBe("ECONNREFUSED");
    });
    expect(rows.filter(([, , malformed]) => malformed !== "")).toEqual([]);
    const updates = rows.filter(([protocols]) => protocols === hip);
    expect([updates.length >= 3, updates.filter(([, status]) => status !== "1")]).toEqual([true, []]);
    const packets = hipPacketsOf(await readFile(file));
    expect(packets.map((bytes) => fieldsOf(bytes).type)).toEqual(updates.map(() => HIP_PACKET.update));
    expect(await dissected(file)).toEqual(packets.map((bytes) => ({ "frame.protocols": [hip], ...expectedOf(fieldsOf(bytes), bytes.length) })));

    const sender = hosts[1].spawn(process.execPath, ["-e", SEND]);
    await sender.waitForLine(/listening 2049/);
    const readable = await captured(async () => expect(await take(2049)).toBe("got 2000000"));
    await sender.stop();
    expect(Number((await hosts[0].exec("grep", ["-c", "-a", "for all to read", readable.file])).stdout)).toBeGreaterThan(0);
    // No new keys, nothing past ESP.
    expect(readable.rows.filter(([protocols = ""]) => protocols === hip || !isOfWay.test(protocols))).toEqual([]);
    const shown = await reported(one);
    const way = addressOf(hosts[1]);
    expect(shown).toMatchObject([{ name: "two.i3", hit: two.hit, state: "open", suite: "aes-128-gcm-16", pairs: 2, role: "initiator", path: expect.stringContaining(way) as unknown }]);
  }, 60_000);
});

/** What SIGUSR1 shows. */
async function counters({ child }: Laptop): Promise<{ readonly mappings: unknown; readonly engine: { readonly drops: Readonly<Record<string, number>> } }> {
  const last = (): string | undefined => child?.lines.map(({ text }) => text).filter((text) => text.includes('"event":"counters"')).at(-1);
  const known = last();
  child?.kill("SIGUSR1");
  return JSON.parse(await eventually("the counters", 10_000, () => Promise.resolve(last() === known ? undefined : last()))) as Awaited<ReturnType<typeof counters>>;
}

const reported = async (laptop: Laptop): Promise<unknown> => (await counters(laptop)).mappings;

it("counts garbage on each way, and goes on", async () => {
  const junk = 'const d = require("node:dgram").createSocket("udp4"); let n = 0; for (const [b, p] of [["00000000ff", 10500], ["1101", 10500], ["30000000aabbccddee", 10500], ["19", 10500]]) d.send(Buffer.from(b, "hex"), p, process.argv[1], () => ++n === 4 && d.close())';
  expect((await hosts[0].exec(process.execPath, ["-e", junk, hosts[1].address4])).status).toBe(0);
  const raw = "import socket,sys\nfor p in (139, 50):\n s = socket.socket(socket.AF_INET, socket.SOCK_RAW, p)\n s.sendto(bytes(48), (sys.argv[1], 0))\n s.sendto(b'', (sys.argv[1], 0))\n";
  expect((await hosts[0].exec("python3", ["-c", raw, hosts[1].address4])).status).toBe(0);
  const drops = await eventually("counters", 10_000, async () => {
    const found = (await counters(two)).engine.drops;
    return (found["malformed"] ?? 0) >= 6 && (found["unknown-spi"] ?? 0) >= 2 ? found : undefined;
  });
  expect(drops).toMatchObject({ malformed: expect.any(Number) as number });
  expect((await hosts[0].exec("ping", ["-6", "-n", "-c", "1", "-W", "5", "two.i3"])).status).toBe(0);
}, 60_000);

it("without CAP_NET_RAW says so in one line", async () => {
  await one.kill();
  const { status, stderr } = await hosts[0].exec("setpriv", ["--bounding-set", "-net_raw", "--inh-caps", "-net_raw", process.execPath, PROXY, "--config", one.configFile]);
  expect(status).toBeGreaterThan(0);
  expect(stderr).toMatch(/IP protocols 139 and 50 may not be opened by this user.*CAP_NET_RAW/s);
});

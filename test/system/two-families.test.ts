/**
 * Hosts with IPv4 alone, with IPv6 alone and with both, and a ring whose servers have both: each reaches each through it.
 *
 *     s1 s2 s3 s4 (both) ── core ── four   192.0.2.0/24 alone
 *                             │ └── six    2001:db8::/32 alone
 *                             └──── both
 */
import { Laptop, startRing, type RingServer } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { eventually, pings } from "./pair-bed.js";

const SERVERS = 4;
const MEGABYTE = 1_000_000;
const TCP_MS = 20_000;
const NODE_SCRIPT = `
const [, mode, host] = process.argv;
const net = require("node:net");
if (mode === "serve") net.createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => {}).pipe(socket)).listen(7000, "::", () => console.log("serving"));
else {
  const data = require("node:crypto").randomBytes(${MEGABYTE});
  const got = [];
  const socket = net.connect(7000, host, () => socket.end(data));
  socket.on("data", (chunk) => got.push(chunk)).on("end", () => { console.log(Buffer.concat(got).equals(data) ? "intact" : "damaged"); process.exit(); });
}
`;

let topology: Topology;
let ring: readonly RingServer[];
const laptops = new Map<string, Laptop>();
const laptop = (name: string): Laptop => laptops.get(name) as Laptop;

beforeAll(async () => {
  topology = await Topology.create({ resolvers: [] });
  const core = topology.router("core");
  const attach = (name: string, index: number, has: { readonly ipv4: boolean; readonly ipv6: boolean }): Host => {
    const host = topology.host(name);
    topology.link(core, host, { ...(has.ipv4 ? { subnet: `192.0.2.${4 * index}/30` } : {}), ...(has.ipv6 ? { subnet6: `2001:db8:0:${index}::/64` } : {}) });
    return host;
  };
  const servers = Array.from({ length: SERVERS }, (_, i) => attach(`s${i + 1}`, i + 1, { ipv4: true, ipv6: true }));
  const hosts = [attach("four", 11, { ipv4: true, ipv6: false }), attach("six", 12, { ipv4: false, ipv6: true }), attach("both", 13, { ipv4: true, ipv6: true })];
  await topology.up();
  ring = await startRing(servers, { hasBothFamilies: true });
  const serverAddresses = servers.flatMap((server) => [server.address4, server.address6]);
  for (const host of hosts) laptops.set(host.name, await Laptop.make(host, { serverAddresses }));
  const book = Object.fromEntries([...laptops].map(([name, each]) => [`${name}.i3`, each]));
  for (const each of laptops.values()) await each.writeBook(book);
  await Promise.all([...laptops.values()].map((each) => each.start()));
  for (const { host } of laptops.values()) await host.spawn(process.execPath, ["-e", NODE_SCRIPT, "serve"]).waitForLine(/serving/);
}, 120_000);
afterAll(() => topology?.close());

const says = ({ child }: Laptop | RingServer, text: string): boolean => child?.lines.some((line) => line.text.includes(text)) === true;

const PAIRS = [["four", "six"], ["six", "four"], ["four", "both"], ["both", "four"], ["six", "both"], ["both", "six"]] as const;

it.each(PAIRS)("%s reaches %s by its name, and carries a megabyte there and back", async (from, to) => {
  const { host } = laptop(from);
  expect(await pings(host, `${to}.i3`, 10), await topology.diagnose()).toBe(true);
  const { stdout } = await host.exec(process.execPath, ["-e", NODE_SCRIPT, "ask", laptop(to).address4], { timeoutMs: TCP_MS });
  expect(stdout.trim()).toBe("intact");
}, 60_000);

it("of which the first two never go straight", () => {
  const straight = (which: string, peer: string): boolean => (laptop(which).child?.lines ?? []).some(({ text }) => text.includes('"event":"path"') && text.includes(`"peer":"${peer}"`) && !text.includes('"to":"i3"'));
  expect([straight("four", "six.i3"), straight("six", "four.i3")]).toEqual([false, false]);
});

describe("a link of IPv6 that takes less, and nothing tells of it", () => {
  /** Of six, both ways. */
  const setLink = async (mtu: number): Promise<void> => {
    const core = topology.node("core");
    await core.setIcmpErrors({ dropped: mtu < 1_500 });
    expect((await core.exec("ip", ["link", "set", "dev", "to-six", "mtu", String(mtu)])).status).toBe(0);
  };
  const carries = async (from: string, to: string): Promise<void> => {
    const { host } = laptop(from);
    expect(await pings(host, `${to}.i3`, 10)).toBe(true);
    for (const address of [laptop(to).address4, laptop(to).hit]) expect((await host.exec(process.execPath, ["-e", NODE_SCRIPT, "ask", address], { timeoutMs: TCP_MS })).stdout.trim()).toBe("intact");
  };

  it("1,400 bytes are found by both ends, past i3", async () => {
    await setLink(1_400);
    const lengths = (which: string, peer: string): readonly number[] => (laptop(which).child?.lines ?? []).flatMap(({ text }) => {
      if (!text.includes('"event":"path-mtu"') || !text.includes(`"peer":"${peer}"`)) return [];
      const { to, bytes } = JSON.parse(text) as { readonly to: string; readonly bytes: number };
      return to.startsWith("[") ? [bytes] : [];
    });
    const ping = laptop("both").host.spawn("ping", ["-n", "-i", "0.1", "six.i3"]);
    await eventually("both know what the path takes", 15_000, () => Promise.resolve(lengths("both", "six.i3").at(-1) === 1_400 && lengths("six", "both.i3").at(-1) === 1_400 ? true : undefined));
    await carries("both", "six");
    await carries("six", "both");
    await ping.stop();
    await setLink(1_500);
  }, 60_000);

  it("1,280 bytes carry TCP by i3, where nothing is looked for", async () => {
    await setLink(1_280);
    await carries("four", "six");
    await carries("six", "four");
    await setLink(1_500);
  }, 60_000);
});

it("and goes on when the server of its id dies: the one that takes over has its trigger, by IPv6", async () => {
  const { host, child } = laptop("four");
  const own = (child?.lines ?? []).length;
  expect(own).toBeGreaterThan(0);
  const ping = host.spawn("ping", ["-n", "-i", "0.2", "-W", "1", laptop("six").address4]);
  await ping.waitForLine(/icmp_seq=3 ttl/, 10_000);
  // Of the key that six's peers send to, or the one of its public id: all that it has.
  const used = [...new Set((laptop("six").child?.lines ?? []).filter(({ text }) => text.includes('"event":"trigger-live"')).map(({ text }) => (JSON.parse(text) as { readonly server: string }).server))];
  expect(used.every((server) => server.startsWith("["))).toBe(true);
  const victim = ring.find((server) => used.includes(`[${server.host.address6}]:5610`));
  if (victim === undefined) throw new Error(`none of ${used.join(" ")}`);
  victim.child?.kill("SIGKILL");
  const had = ping.lines.length;
  await eventually("fifty more answers", 30_000, () => Promise.resolve(ping.lines.filter(({ text }) => text.includes("ttl=")).length > had + 50 ? true : undefined));
  await ping.stop();
  expect(await pings(laptop("both").host, "six.i3", 10)).toBe(true);
}, 90_000);

it("nobody is without an address of its family", () => {
  for (const each of laptops.values()) expect(says(each, '"event":"other-family"')).toBe(false);
});

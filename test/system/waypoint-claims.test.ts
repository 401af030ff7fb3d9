/** One waypoint for two hosts: who may connect, and what floods of questions and SYNs take over (docs/gateways.md, "Waypoints"; issue 7, bad input). */
import { readFileSync } from "node:fs";

import type { Host } from "@i3/netns";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { digShort } from "./gateway-bed.js";
import { eventually } from "./pair-bed.js";
import { ask, DOMAIN, GATE4, waypointBed, type WaypointBed } from "./waypoint-bed.js";

const WAYPOINT = "198.51.100.64";
const REST_S = 8;
const PUBLISH = `<publish listen="${GATE4}">
  <domain name="${DOMAIN}" listen="${GATE4} 2001:db8:0:2::2" ns="ns1.${DOMAIN}"/><waypoints addresses="${WAYPOINT}" claim-ms="1000" rest-s="${REST_S}"/>
  <name name="home.${DOMAIN}" to="home.i3" waypoint="tcp/8000"/><name name="shop.${DOMAIN}" to="shop.i3" waypoint="tcp/8000"/>
</publish>`;
/** A window is open for 1.5 s at most. */
const WINDOW_MS = 1_600;

/** SYNs from addresses of nobody, as fast as they go: address, port, how many. */
const SYNS = readFileSync(new URL("./probes/spoofed-syns.py", import.meta.url), "utf8");
const LUCKY_ACK = readFileSync(new URL("./probes/lucky-ack.py", import.meta.url), "utf8");
/** Questions over UDP, for names that are there and not: address, how many. */
const QUESTIONS = `
  const socket = require("node:dgram").createSocket("udp6"), [, address, count] = process.argv;
  const question = (name) => Buffer.concat([Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), ...name.split(".").map((l) => Buffer.concat([Buffer.of(l.length), Buffer.from(l)])), Buffer.of(0, 0, 1, 0, 1)]);
  let left = Number(count);
  const next = () => {
    for (let i = 0; i < 100 && left > 0; i += 1, left -= 1) socket.send(question(left % 2 === 0 ? "home.${DOMAIN}" : "n" + left + ".${DOMAIN}"), 53, address);
    if (left > 0) setImmediate(next); else socket.close(() => console.log("sent"));
  };
  next();
`;

let bed: WaypointBed;
beforeAll(async () => {
  bed = await waypointBed(PUBLISH);
  for (const [laptop, name] of [[bed.home, "home"], [bed.shop, "shop"]] as const) {
    await laptop.host.spawn(process.execPath, ["-e", `require("node:http").createServer((q, s) => s.end("${name}")).listen(8000, "0.0.0.0", () => console.log("serving"))`]).waitForLine(/serving/);
  }
}, 180_000);
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(`${bed.daemon.tail(30)}\n${(await bed.gate.host.exec("nft", ["list", "table", "inet", "i3_waypoints_i3"])).stdout}`);
});
afterAll(() => bed?.topology.close());

/** What a host gets by its name, or at the waypoint without asking. */
const fetched = async (host: Host, where: string): Promise<string> => {
  const { status, stdout } = await host.exec("curl", ["-sS", "--max-time", "10", `http://${where}:8000/`]);
  return status === 0 ? stdout : `curl ${status}`;
};
const REFUSED = "curl 7";
const windowOver = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
const claims = async (): Promise<readonly string[]> => [...(await bed.gate.host.exec("nft", ["list", "set", "inet", "i3_waypoints_i3", "claimed4"])).stdout.matchAll(/([0-9.]+) \. 198\.51\.100\.64 /g)].map(([, address = ""]) => address);
/** Asked for until the waypoint has rested. */
const given = (name: string, ...more: readonly string[]): Promise<string> =>
  eventually(`a waypoint for ${name}`, 60_000, async () => ((await ask(bed.one, `@${GATE4}`, ...more, `${name}.${DOMAIN}`)) === `NOERROR\n${WAYPOINT}` ? WAYPOINT : undefined));

describe("one waypoint for two hosts", () => {
  it("is the host's that was asked for, for who connects then, and for him alone later", async () => {
    expect(await fetched(bed.one, WAYPOINT), "nobody has asked").toBe(REFUSED);
    expect(await fetched(bed.one, `home.${DOMAIN}`)).toBe("home");
    await windowOver();
    expect(await fetched(bed.one, WAYPOINT), "without asking again").toBe("home");
    expect(await fetched(bed.two, WAYPOINT), "a stranger").toBe(REFUSED);
    expect(await claims()).toEqual([bed.one.address4]);
  });

  it("is not the other's meanwhile", async () => {
    expect(await ask(bed.two, `shop.${DOMAIN}`)).toBe("SERVFAIL");
    expect(await bed.daemon.waitForLine(/"waypoints-full".*"shop\.i3"/)).not.toBeNull();
  });

  it("is the other's when it has rested; who had the first one is not led there", async () => {
    await given("shop", "+subnet=203.0.113.0/24");
    expect(await claims()).toEqual([]);
    expect(await fetched(bed.one, WAYPOINT), "he means the first one, and the window is for others").toBe(REFUSED);
    expect(await fetched(bed.two, `shop.${DOMAIN}`)).toBe("shop");
    await windowOver();
    expect([await fetched(bed.one, WAYPOINT), await fetched(bed.two, WAYPOINT)]).toEqual([REFUSED, "shop"]);
  });
});

describe("a flood", () => {
  it("of SYNs, of made-up addresses, in a window and out of it, has no claim to anything and takes none away", async () => {
    expect(await fetched(bed.two, `shop.${DOMAIN}`)).toBe("shop");
    const flood = bed.one.spawn("/usr/bin/python3", ["-c", SYNS, WAYPOINT, "8000", "6000"]);
    await flood.waitForLine(/^ready$/, 20_000);
    expect(await digShort(bed.one, `@${GATE4}`, `shop.${DOMAIN}`)).toBe(WAYPOINT);
    flood.stdin.write("go\n");
    await flood.waitForLine(/^sent$/, 60_000);
    expect((await claims()).filter((address) => address !== bed.two.address4)).toEqual([]);
    const table = (await bed.gate.host.exec("nft", ["list", "chain", "inet", "i3_waypoints_i3", "begin4"])).stdout;
    expect(Number(/limit rate over 300\/second burst 600 packets \} counter packets (\d+)/.exec(table)?.[1])).toBeGreaterThan(0);
    expect(await fetched(bed.two, `shop.${DOMAIN}`), "whoever asks again").toBe("shop");
    await windowOver();
    expect([await fetched(bed.two, WAYPOINT), await fetched(bed.one, WAYPOINT)]).toEqual(["shop", REFUSED]);
    // What came to nothing is forgotten soon.
    await eventually("half-open connections end", 60_000, async () => (Number((await bed.gate.host.exec("conntrack", ["-C"])).stdout) < 200 ? true : undefined));
  }, 150_000);

  it("of guesses at the host's sequence number makes no claim for somebody else, also when one is near", async () => {
    const victim = "203.0.113.77";
    await bed.topology.node("core").exec("ip", ["route", "add", `${victim}/32`, "via", bed.one.address4]);
    const events = bed.gate.host.spawn("conntrack", ["-E", "-p", "tcp", "--orig-src", victim]);
    const guess = bed.one.spawn("/usr/bin/python3", ["-c", LUCKY_ACK, victim, WAYPOINT, "8000"]);
    await guess.waitForLine(/^ready$/, 20_000);
    expect(await digShort(bed.two, `@${GATE4}`, `shop.${DOMAIN}`)).toBe(WAYPOINT);
    guess.stdin.write("go\n");
    await events.waitForLine(/ESTABLISHED .*\[ASSURED\]/, 20_000);
    expect(await claims(), "what the kernel takes for a connection").not.toContain(victim);
    expect(await fetched(bed.two, `shop.${DOMAIN}`)).toBe("shop");
    expect(await claims()).toEqual([bed.two.address4]);
    events.kill("SIGTERM");
  }, 150_000);

  it("of questions leaves others theirs, and the gateway up", async () => {
    const flood = bed.one.spawn(process.execPath, ["-e", QUESTIONS, "2001:db8:0:2::2", "30000"]);
    for (let i = 0; i < 3; i += 1) expect(await ask(bed.two, `x${i}.${DOMAIN}`)).toMatch(/^NXDOMAIN/);
    await flood.waitForLine(/^sent$/, 60_000);
    bed.daemon.kill("SIGUSR1");
    const [line] = await bed.daemon.waitForLine(/"event":"counters".*/);
    const { domain } = JSON.parse(`{${line}`) as { readonly domain: Readonly<Record<string, number>> };
    expect([(domain["dropped"] ?? 0) > 1_000, (domain["cut"] ?? 0) > 0, domain["internal"]]).toEqual([true, true, 0]);
    await given("home");
    await eventually("home", 60_000, async () => ((await fetched(bed.two, `home.${DOMAIN}`)) === "home" ? true : undefined));
  }, 150_000);
});

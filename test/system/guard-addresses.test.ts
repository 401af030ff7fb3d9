/**
 * What nobody was given is refused at once, and nobody is locked out: a real 10.x network behind the gateway goes on working, for
 * connections from it always, for connections to it when a route says that it is there.
 *
 *     laptop ── LAN ── nat1, which also is 10.77.0.1 (behind the default route) and 10.88.0.1 (behind a route of its own)
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Child, RunResult } from "@i3/netns";

import { eventually, pairBed, type PairBed } from "./pair-bed.js";

const OFFICE = "10.77.0.1";
const ROUTED = "10.88.0.1";
const NOBODY4 = "10.123.45.67";
const NOBODY6 = "2001:25:1:2:3:4:5:6";
/** With a wait of 5 s anything that is not refused takes longer. */
const AT_ONCE_MS = 500;

/** Serves HTTP, and on port 8081 sends back what it gets. */
const SERVER = `
require("node:http").createServer((_, answer) => answer.end("it is the office")).listen(8080, "::", () =>
  require("node:net").createServer((socket) => socket.pipe(socket)).listen(8081, "::", () => console.log("ready")));
`;
/** Each line of the standard input goes to the server; what comes back is printed. Arguments: server, own address. */
const CLIENT = `
const socket = require("node:net").connect({ host: process.argv[1], port: 8081, localAddress: process.argv[2] });
process.stdin.pipe(socket).pipe(process.stdout);
`;

let bed: PairBed;
/** From the office to the laptop, since before the proxy ran. */
let inbound: Child;
beforeAll(async () => {
  bed = await pairBed({ start: false, ipv6: true });
  for (const address of [OFFICE, ROUTED]) await bed.nat1.exec("ip", ["address", "add", `${address}/32`, "dev", "lo"]);
  const servers = [bed.nat1, bed.laptop].map((node) => node.spawn(process.execPath, ["-e", SERVER]));
  await Promise.all(servers.map((server) => server.waitForLine(/ready/)));
  inbound = bed.nat1.spawn(process.execPath, ["-e", CLIENT, bed.laptop.address4, OFFICE]);
  await echoed(inbound, "before");
  expect((await curl(`http://${OFFICE}:8080/`)).stdout).toBe("it is the office");
  await Promise.all([bed.laptopProxy.start(), bed.homeProxy.start()]);
});
afterAll(() => bed?.close());

async function echoed(client: Child, text: string): Promise<void> {
  client.stdin.write(`${text}\n`);
  await client.waitForLine(new RegExp(`^${text}$`));
}

async function timed(program: string, args: readonly string[]): Promise<RunResult & { readonly ms: number }> {
  const startMs = performance.now();
  const result = await bed.laptop.exec(program, args);
  return { ...result, ms: performance.now() - startMs };
}

/** Until ping tells of an error; ping itself may go on waiting. */
async function errorMs(args: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const child = bed.laptop.spawn("ping", args);
  await child.waitForLine(/Unreachable|No route to host|Operation not permitted/i);
  const ms = performance.now() - startMs;
  expect((await child.ended).status).not.toBe(0);
  return ms;
}

const curl = (...args: readonly string[]): ReturnType<typeof timed> => timed("curl", ["--silent", "--show-error", "--connect-timeout", "5", ...args]);
const ping = (...args: readonly string[]): Promise<RunResult> => bed.laptop.exec("ping", ["-n", "-c", "1", "-W", "5", ...args]);

describe("an address that nobody was given", () => {
  it.each([
    ["IPv4", NOBODY4, []],
    ["IPv6", NOBODY6, []],
    ["IPv4, from a program bound to the own virtual address", NOBODY4, ["own4"]],
    ["IPv6, from a program bound to the own HIT", NOBODY6, ["own6"]],
  ] as const)("%s", async (_, address, from) => {
    const own = from.map((which) => (which === "own4" ? bed.laptopProxy.address4 : bed.laptopProxy.hit));
    const byCurl = await curl(...own.flatMap((source) => ["--interface", source]), `http://${address.includes(":") ? `[${address}]` : address}/`);
    expect(byCurl.stderr).toMatch(/Couldn't connect|Failed to connect|No route to host|Connection refused/);
    expect(byCurl).toMatchObject({ status: 7 });
    expect(byCurl.ms).toBeLessThan(AT_ONCE_MS);
    expect(await errorMs(["-n", "-c", "1", "-W", "5", ...own.flatMap((source) => ["-I", source]), address])).toBeLessThan(AT_ONCE_MS);
  });

  it("one that somebody was given is not refused", async () => {
    expect((await ping("-4", "home.i3")).status).toBe(0);
    expect((await ping("-I", bed.laptopProxy.address4, bed.homeProxy.address4)).status).toBe(0);
    expect((await ping("-6", "home.i3")).status).toBe(0);
  });
});

describe("a real host in the range, behind the default route", () => {
  it("keeps the connection that it had when the proxy started", () => echoed(inbound, "during"));

  it("makes new ones to this machine", async () => {
    const again = bed.nat1.spawn(process.execPath, ["-e", CLIENT, bed.laptop.address4, OFFICE]);
    await echoed(again, "new");
    const { stdout } = await bed.nat1.exec("curl", ["--silent", "--interface", OFFICE, "--max-time", "5", `http://${bed.laptop.address4}:8080/`]);
    expect(stdout).toBe("it is the office");
    expect((await bed.nat1.exec("ping", ["-c", "1", "-W", "2", "-I", OFFICE, bed.laptop.address4])).status).toBe(0);
  });

  it("is refused to new connections of ours, at once, while no route speaks of it", async () => {
    const { status, ms } = await curl(`http://${OFFICE}:8080/`);
    expect(status).toBe(7);
    expect(ms).toBeLessThan(AT_ONCE_MS);
  });
});

describe("a real network with a route of its own", () => {
  it("is reached as soon as the route is there, and refused again without it", async () => {
    expect((await curl(`http://${ROUTED}:8080/`)).status).toBe(7);
    const gateway = bed.nat1.interfaces.find(({ segment }) => segment === "laptop-lan")?.address4 ?? "";
    await bed.laptop.exec("ip", ["route", "add", "10.88.0.0/16", "via", gateway]);
    const works = async (): Promise<boolean> => (await curl(`http://${ROUTED}:8080/`)).stdout === "it is the office";
    await eventually("the routed network", 3_000, async () => (await works()) || undefined);
    // Virtual addresses are still what they were.
    expect((await ping("-4", "home.i3")).status).toBe(0);
    await bed.laptop.exec("ip", ["route", "del", "10.88.0.0/16"]);
    await eventually("refused again", 3_000, async () => !(await works()) || undefined);
  });

  it("is reached when it was there before the proxy", async () => {
    expect((await bed.laptopProxy.child?.stop())?.status).toBe(0);
    const gateway = bed.nat1.interfaces.find(({ segment }) => segment === "laptop-lan")?.address4 ?? "";
    await bed.laptop.exec("ip", ["route", "add", "10.88.0.0/16", "via", gateway]);
    await bed.laptopProxy.start();
    expect((await curl(`http://${ROUTED}:8080/`)).stdout).toBe("it is the office");
    await bed.laptopProxy.child?.waitForLine(/"overlap".*10\.88\.0\.0\/16/);
    await echoed(inbound, "after a restart");
  });
});

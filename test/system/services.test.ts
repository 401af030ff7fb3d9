/** Rules per service with real daemons: what a capture between two machines shows of ICMP in clear, of an authenticated service and of an encrypted one; what is refused; restart and reload. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Laptop } from "@i3/demo";

import { capture, cutBeforeCapture } from "./capture.js";
import { eventually, pairBed, type PairBed } from "./pair-bed.js";

const ICMP = '<rule name=".*\\.i3" go="i3" security="none" protocol="icmp"/>';
const NFS = '<rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="2049"/>';
const REST = '<rule name=".*\\.i3" go="i3"/>';
const rules = (...all: readonly string[]): string => `<rules>${all.join("")}</rules>`;

/** Everybody who connects gets a text that names the port, often enough to fill several packets. */
const SERVE = 'for (const port of [2049, 2222, 8080]) require("node:net").createServer((s) => s.end(`text-of-port-${port} `.repeat(500))).listen(port, "::", () => console.log("listening", port))';
const TAKE = 'const t = Date.now(); let n = 0; require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]) }).on("data", (d) => (n += d.length)).on("end", () => console.log("got", n)).on("error", (e) => console.log(e.code, Date.now() - t))';
/** Of ping: repeated in each packet. */
const PING_TEXT = "ping-of-the-test";
const PING_PATTERN = Buffer.from(PING_TEXT).toString("hex");
const KIND = { ipPacket: 1, esp: 4 } as const;
const UNREADABLE = "nothing to read";

let bed: PairBed;
let serving: Laptop;

beforeAll(async () => {
  const all = { rules: rules(ICMP, NFS, REST) };
  bed = await pairBed({ laptopOptions: all, homeOptions: all });
  await Promise.all([bed.laptop, bed.home].map(cutBeforeCapture)); // a train of datagrams would look like one
  serving = bed.homeProxy;
  const server = serving.host.spawn(process.execPath, ["-e", SERVE]);
  await server.waitForLine(/listening 8080/);
}, 120_000);
afterAll(() => bed?.close());

const take = async (port: number): Promise<string> => (await bed.laptop.exec(process.execPath, ["-e", TAKE, "home.i3", String(port)])).stdout.trim();
const ping = async (): Promise<number> => (await bed.laptop.exec("ping", ["-4", "-n", "-c", "2", "-W", "5", "-p", PING_PATTERN, "home.i3"])).status ?? -1;

/** Payload kinds of the i3 packets in which a text could be read while `work` ran; {@link UNREADABLE} when none, of at least `least` packets. */
async function readableIn(text: string, least: number, work: () => Promise<void>): Promise<readonly number[] | typeof UNREADABLE> {
  const file = await capture(bed.laptop, "udp", work);
  const { stdout, status } = await bed.laptop.exec("tshark", ["-n", "-r", file, "-T", "fields", "-e", "udp.payload"]);
  expect(status).toBe(0);
  const payloads = stdout.split("\n").map((hex) => Buffer.from(hex, "hex")).filter((payload) => payload[0] === 0x11);
  expect(payloads.length).toBeGreaterThanOrEqual(least);
  const kinds = new Set(payloads.filter((payload) => payload.includes(text)).map((payload) => payload[5] ?? 0));
  return kinds.size === 0 ? UNREADABLE : [...kinds];
}

/** What each of the three kinds looks like on the wire. */
async function expectEachAsItsRule(): Promise<void> {
  const icmp = await readableIn(PING_TEXT, 4, async () => expect(await ping()).toBe(0));
  expect(icmp).toEqual([KIND.ipPacket]);
  for (const [port, seen] of [[2049, [KIND.esp]], [2222, UNREADABLE]] as const) {
    const text = `text-of-port-${port} `;
    expect(await readableIn(text, 3, async () => expect(await take(port)).toBe(`got ${text.length * 500}`))).toEqual(seen);
  }
}

async function reload(text: string, ofHome = text): Promise<void> {
  await Promise.all(([[bed.laptopProxy, text], [bed.homeProxy, ofHome]] as const).map(async ([proxy, own]) => {
    const known = proxy.child?.lines.filter(({ text: line }) => line.includes('"event":"config"')).length ?? 0;
    await proxy.writeConfig({ rules: own });
    await eventually("the new rules", 10_000, () => Promise.resolve((proxy.child?.lines.filter(({ text: line }) => line.includes('"event":"config"')).length ?? 0) > known ? true : undefined));
  }));
}

describe("services", () => {
  it("go as their rules say: ICMP in clear, NFS readable under ESP, the rest not", expectEachAsItsRule, 60_000);

  it("the same after a restart of one proxy", async () => {
    await bed.homeProxy.kill();
    await bed.homeProxy.start();
    await bed.homeProxy.child?.waitForLine(/"mapping-open"/);
    await expectEachAsItsRule();
  }, 60_000);

  it("what no rule takes is refused at once, after a reload of the rules, and the rest goes on", async () => {
    await reload(rules(ICMP, NFS));
    const [code, elapsedMs] = (await take(8080)).split(" ");
    expect(code).toBe("EHOSTUNREACH");
    expect(Number(elapsedMs)).toBeLessThan(1_000);
    expect(await ping()).toBe(0);
    expect(await take(2049)).toMatch(/^got/);
  }, 60_000);

  it("go encrypted where the other machine has no such rule, whichever of both that is", async () => {
    for (const [ofLaptop, ofHome] of [[rules(REST), rules(NFS, REST)], [rules(NFS, REST), rules(REST)]] as const) {
      await reload(ofLaptop, ofHome);
      expect(await readableIn("text-of-port-2049 ", 3, async () => expect(await take(2049)).toBe(`got ${"text-of-port-2049 ".length * 500}`))).toBe(UNREADABLE);
    }
  }, 60_000);

  it("and taken back by another reload", async () => {
    await reload(rules(ICMP, NFS, REST));
    await expectEachAsItsRule();
    await reload(rules(REST));
    expect(await readableIn(PING_TEXT, 4, async () => expect(await ping()).toBe(0))).toBe(UNREADABLE);
  }, 60_000);
});

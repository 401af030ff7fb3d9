/**
 * The machine's DNS before, during and after the proxy's life. A real dnsmasq on the resolver; every answer is compared byte for
 * byte with the one that the neighbour, who has no proxy, gets to the same question.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Child, Host } from "@i3/netns";

import { eventually, pairBed, type PairBed } from "./pair-bed.js";

/** 12 strings of 250 bytes: too long for plain UDP. */
const BIG = Array.from({ length: 12 }, (_, i) => String.fromCharCode(97 + i).repeat(250)).join(",");
const RECORDS = [
  "--address=/www.example/192.0.2.80", "--host-record=six.example,2001:db8::80", `--txt-record=big.example,${BIG}`, "--local=/example/",
  "--cname=alias.example,six.example", "--mx-host=example,www.example,10", "--auth-ttl=60", "--local-ttl=60",
];
const TYPES = { A: 1, MX: 15, TXT: 16, AAAA: 28 } as const;

type Transport = "udp" | "tcp";
interface Question {
  readonly title: string;
  readonly name: string;
  readonly type: keyof typeof TYPES;
  readonly transport: Transport;
  /** Size announced by EDNS; null: no EDNS. */
  readonly bufferBytes: number | null;
}

const QUESTIONS: readonly Question[] = [
  { title: "A", name: "www.example", type: "A", transport: "udp", bufferBytes: null },
  { title: "A with EDNS", name: "www.example", type: "A", transport: "udp", bufferBytes: 1_232 },
  { title: "A over TCP", name: "www.example", type: "A", transport: "tcp", bufferBytes: null },
  { title: "A in capitals", name: "WWW.Example", type: "A", transport: "udp", bufferBytes: null },
  { title: "AAAA", name: "six.example", type: "AAAA", transport: "udp", bufferBytes: 1_232 },
  { title: "AAAA by an alias", name: "alias.example", type: "AAAA", transport: "udp", bufferBytes: null },
  { title: "MX", name: "example", type: "MX", transport: "udp", bufferBytes: null },
  { title: "no record of this type", name: "www.example", type: "AAAA", transport: "udp", bufferBytes: 1_232 },
  { title: "a TXT too large for UDP: cut", name: "big.example", type: "TXT", transport: "udp", bufferBytes: null },
  { title: "the same in one large datagram", name: "big.example", type: "TXT", transport: "udp", bufferBytes: 4_096 },
  { title: "the same over TCP", name: "big.example", type: "TXT", transport: "tcp", bufferBytes: 1_232 },
  { title: "NXDOMAIN", name: "nobody.example", type: "A", transport: "udp", bufferBytes: 1_232 },
  { title: "NXDOMAIN over TCP", name: "nobody.example", type: "A", transport: "tcp", bufferBytes: null },
];

function queryOf({ name, type, bufferBytes }: Question, id: number): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  const header = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, bufferBytes === null ? 0 : 1]);
  const edns = bufferBytes === null ? [] : [Buffer.from([0, 0, 41, bufferBytes >> 8, bufferBytes & 255, 0, 0, 0, 0, 0, 0])];
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, TYPES[type], 0, 1]), ...edns]);
}

/** Arguments: the resolver, and pairs of transport and question in hex; prints each answer in hex. */
const ASK = `
const [server, ...rest] = process.argv.slice(1);
const udp = (query) => new Promise((resolve, reject) => {
  const socket = require("node:dgram").createSocket("udp4");
  const timer = setTimeout(() => { socket.close(); resolve("no answer"); }, 5000);
  socket.on("message", (bytes) => { clearTimeout(timer); socket.close(); resolve(bytes.toString("hex")); }).on("error", reject);
  socket.send(query, 53, server);
});
const tcp = (query) => new Promise((resolve, reject) => {
  const socket = require("node:net").connect(53, server);
  let got = Buffer.alloc(0);
  socket.setTimeout(5000, () => { socket.destroy(); resolve("no answer"); });
  socket.on("error", reject).on("data", (bytes) => {
    got = Buffer.concat([got, bytes]);
    if (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) return;
    socket.destroy();
    resolve(got.subarray(2).toString("hex"));
  });
  socket.write(Buffer.concat([Buffer.of(query.length >> 8, query.length & 255), query]));
});
(async () => {
  for (let i = 0; i < rest.length; i += 2) console.log(await (rest[i] === "udp" ? udp : tcp)(Buffer.from(rest[i + 1], "hex")));
})();
`;

let bed: PairBed;
let resolver: Child;
/** What everybody should get, by title. */
let direct: Record<string, string>;
beforeAll(async () => {
  bed = await pairBed({ start: false });
  resolver = bed.resolver.spawn("dnsmasq", [
    "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--log-queries", "--edns-packet-max=4096", "--cache-size=0", ...RECORDS,
  ]);
  await resolver.waitForLine(/started/);
  direct = await answers(bed.neighbour);
});
afterAll(() => bed?.close());

async function answers(host: Host): Promise<Record<string, string>> {
  const questions = QUESTIONS.flatMap((question, i) => [question.transport, queryOf(question, 0x1200 + i).toString("hex")]);
  const { status, stdout, stderr } = await host.exec(process.execPath, ["-e", ASK, bed.resolver.address4, ...questions], { timeoutMs: 60_000 });
  if (status !== 0) throw new Error(stderr);
  const lines = stdout.trim().split("\n");
  return Object.fromEntries(QUESTIONS.map(({ title }, i) => [title, lines[i] ?? ""]));
}

const dig = async (...args: readonly string[]): Promise<string> =>
  (await bed.laptop.exec("dig", ["+short", "+tries=1", "+timeout=1", ...args])).stdout.trim();

/** Asks until there is an answer; when the question that was answered had been put, in ms after `startMs`. */
const answeredMs = (startMs: number, ...args: readonly string[]): Promise<number> =>
  eventually(`dig ${args.join(" ")}`, 10_000, async () => {
    const askedMs = performance.now() - startMs;
    return (await dig(...args)) === "192.0.2.80" ? askedMs : undefined;
  });

const tables = async (): Promise<string> => (await bed.laptop.exec("nft", ["list", "tables"])).stdout;

describe("before the proxy runs", () => {
  it("the answers are what they should be, so that comparing them says something", async () => {
    expect(Object.values(direct).filter((text) => !/^12[0-9a-f]{22,}$/.test(text))).toEqual([]);
    expect((direct["a TXT too large for UDP: cut"] ?? "").slice(4, 8)).toMatch(/^[89ab].[0-9a-f]{2}$/i);
    expect(Number.parseInt((direct["a TXT too large for UDP: cut"] ?? "").slice(4, 6), 16) & 2).toBe(2);
    for (const title of ["the same in one large datagram", "the same over TCP"]) expect((direct[title] ?? "").length).toBeGreaterThan(2 * 3_000);
    expect(Number.parseInt((direct["NXDOMAIN"] ?? "").slice(7, 8), 16)).toBe(3);
    expect(await answers(bed.laptop)).toEqual(direct);
  });
});

describe("while it runs", () => {
  beforeAll(() => Promise.all([bed.laptopProxy.start(), bed.homeProxy.start()]));

  it("names of ours are answered and never leave the machine", async () => {
    expect(await dig("home.i3")).toBe(bed.homeProxy.address4);
    expect(await dig("+tcp", "home.i3", "AAAA")).toBe(bed.homeProxy.hit);
    expect(resolver.lines.filter(({ text }) => text.includes("home.i3"))).toEqual([]);
  });

  it("other names give the same bytes as without it", async () => {
    expect(await tables()).toContain("i3_dns_i3");
    expect(await answers(bed.laptop)).toEqual(direct);
  });
});

describe("after SIGKILL", () => {
  it.each([["UDP", []], ["TCP", ["+tcp"]]] as const)("over %s a question put within a second of it is answered", async (_, args) => {
    if (bed.laptopProxy.child?.running !== true) await bed.laptopProxy.start();
    expect(await dig(...args, "home.i3")).toBe(bed.homeProxy.address4);
    const startMs = performance.now();
    await bed.laptopProxy.kill();
    expect(await answeredMs(startMs, ...args, "www.example")).toBeLessThan(1_000);
    expect(await tables()).not.toContain("i3_dns");
  });

  it("all answers are the same again, and libc has them", async () => {
    expect(await answers(bed.laptop)).toEqual(direct);
    expect((await bed.laptop.exec("getent", ["ahostsv4", "www.example"])).stdout).toContain("192.0.2.80 ");
  });

  it("a program that asks from one socket all the time is answered again", async () => {
    const asker = bed.laptop.spawn(process.execPath, ["-e", STEADY, bed.resolver.address4, queryOf(QUESTIONS[0] as Question, 0x7777).toString("hex")]);
    await bed.laptopProxy.start();
    // What conntrack knew of the socket from before has no redirect: only a new one is taken.
    const during = bed.laptop.spawn(process.execPath, ["-e", STEADY, bed.resolver.address4, queryOf(QUESTIONS[0] as Question, 0x7778).toString("hex")]);
    await Promise.all([asker.waitForLine(/^answered/), during.waitForLine(/^answered/)]);
    await bed.laptopProxy.kill();
    for (const child of [asker, during]) await answersAgain(child, Date.now());
  });
});

/** A question every 50 ms from one socket; errors are told and do not end it. */
const STEADY = `
const [server, hex] = process.argv.slice(1);
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", () => console.log("answered " + Date.now())).on("error", (error) => console.log(error.code));
socket.connect(53, server, () => setInterval(() => socket.send(Buffer.from(hex, "hex"), (error) => error && console.log(error.code)), 50));
`;

/** Waits for an answer that came well after `killedMs`, on the clock of the machine. */
async function answersAgain(child: Child, killedMs: number): Promise<void> {
  const isLate = ({ text }: { readonly text: string }): boolean => text.startsWith("answered") && Number(text.split(" ")[1]) > killedMs + 200;
  await eventually("an answer", 1_500, () => Promise.resolve(child.lines.some(isLate) || undefined)).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}\n${child.tail()}`);
  });
}

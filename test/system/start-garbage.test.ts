/**
 * Any bytes on any port, mutated valid messages above all: a counter, nothing else. And a name whose host has not registered: an error
 * within two seconds and a line in the log.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { encodeControl, makeLocator, parseIpText, publicId, type ControlMessage } from "@i3/common";
import { COPY_BUDGET, dataHeaderBytes, encodeDataHeaderInto, HOP_LIMIT, PAYLOAD_KIND } from "@i3/datapath";
import { Laptop } from "@i3/demo";
import { SeededRandom, type Child, type Host, type RunResult } from "@i3/netns";

import { encodeInit } from "../../packages/i3-proxy/src/setup/messages.js";
import { eventually, pairBed, type PairBed } from "./pair-bed.js";

const SECONDS = 5;
const PORT = 5_610;
const DNS_PORT = 5_335;

let bed: PairBed;
let ghost: Laptop;
beforeAll(async () => {
  bed = await pairBed();
  ghost = await Laptop.make(bed.neighbour, { serverAddresses: bed.servers.map((server) => server.address4) });
  await bed.laptopProxy.writeBook({ "home.i3": bed.homeProxy, "ghost.i3": ghost });
  await bed.laptopProxy.child?.waitForLine(/"address-book".*"entries":2/);
});
afterAll(() => bed?.close());

async function timed(host: Host, program: string, args: readonly string[]): Promise<RunResult & { readonly ms: number }> {
  const startMs = performance.now();
  const result = await host.exec(program, args);
  return { ...result, ms: performance.now() - startMs };
}

/** Argument: a job as JSON. Sends mutations of the templates for a bounded time, in bursts, and tells how many. */
const SENDER = `
const job = JSON.parse(process.argv[1]);
let state = job.seed >>> 0;
const random = (below) => {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % below;
};
const templates = job.templates.map((hex) => Buffer.from(hex, "hex"));
function mutated() {
  if (random(8) === 0) return Buffer.from(Array.from({ length: random(1400) }, () => random(256)));
  const from = templates[random(templates.length)];
  let out = Buffer.from(from);
  const start = random(4) === 0 ? 0 : job.keep;
  for (let i = random(6); i > 0 && out.length > start; i -= 1) out[start + random(out.length - start)] = random(3) === 0 ? 0xff : random(256);
  if (random(5) === 0) out = out.subarray(0, random(out.length + 1));
  if (random(5) === 0) out = Buffer.concat([out, templates[random(templates.length)].subarray(0, random(200))]);
  return out;
}
const endMs = Date.now() + job.seconds * 1000;
let sent = 0;
function udp() {
  const socket = require("node:dgram").createSocket("udp4").on("error", () => {});
  const burst = () => {
    if (Date.now() > endMs) { console.log("sent " + sent); process.exit(0); }
    for (let i = 0; i < 10; i += 1, sent += 1) { const [address, port] = job.targets[random(job.targets.length)]; socket.send(mutated(), port, address, () => {}); }
    setTimeout(burst, 5);
  };
  burst();
}
function tcp() {
  if (Date.now() > endMs) { console.log("sent " + sent); process.exit(0); }
  const [address, port] = job.targets[0];
  const socket = require("node:net").connect(port, address).resume().on("error", () => {}).on("close", () => setTimeout(tcp, 5));
  for (let i = random(5); i >= 0; i -= 1, sent += 1) {
    const bytes = mutated();
    const length = random(4) === 0 ? random(65536) : bytes.length;
    socket.write(Buffer.concat([Buffer.of(length >> 8, length & 255), bytes]));
  }
  socket.setTimeout(200, () => socket.destroy());
}
(job.kind === "udp" ? udp : tcp)();
`;

interface Job {
  readonly host: Host;
  readonly kind: "udp" | "tcp";
  readonly targets: readonly (readonly [address: string, port: number])[];
  readonly templates: readonly Uint8Array[];
  /** Bytes at the front that are mostly left as they are, so that mutations come deep. */
  readonly keep: number;
}

function controlTemplates(draw: (length: number) => Uint8Array): Uint8Array[] {
  const locator = makeLocator(Uint8Array.of(198, 51, 100, 7), 4_000);
  const [ringKey, nodeKey, id] = [draw(16), draw(16), draw(32)];
  const node = { key: nodeKey, locator };
  const messages: ControlMessage[] = [
    { type: "PING" }, { type: "PONG", timeMs: 1, observed: locator, nodeKey }, { type: "LOCATE", ringKey }, { type: "LOCATED", ringKey, node },
    { type: "CHALLENGE_REQUEST", ringKey, flags: 0 }, { type: "CHALLENGE", ringKey, cookie: draw(24), observed: locator, timeMs: 1, nodeKey },
    { type: "TRIGGER", action: 1, id, target: locator, flags: 0, counter: 5, keyKind: 1, publicKey: draw(64), commitment: draw(16), cookie: draw(24), signature: draw(64) },
    { type: "TRIGGER_OK", action: 1, id, lifeMs: 30_000, replica: locator }, { type: "REFRESH", id, index: 3, token: draw(16), member: null },
    { type: "REFUSED", code: 2, subject: id }, { type: "NOT_PRESENT", id }, { type: "CACHE", ringKey, node, lifeMs: 30_000 },
    { type: "FIND", from: node, ringKey }, { type: "FOUND", from: node, final: true, node }, { type: "STATE", from: node },
    { type: "STATE_IS", from: node, pending: false, predecessor: node, successors: [node] }, { type: "NOTIFY", from: node }, { type: "LEAVING", from: node, predecessor: null, successors: [node] },
    { type: "HELLO", credential: Uint8Array.from([1, ...draw(152)]) }, { type: "HELLO_YES", credential: Uint8Array.from([1, ...draw(152)]) }, { type: "HELLO_AGAIN", counter: 1 },
  ];
  return messages.flatMap((message) => [encodeControl(message, draw(8)), encodeControl(message, draw(8), () => draw(16))]);
}

function dataPacket(id: Uint8Array, payloadKind: number, payload: Uint8Array, nonce: Uint8Array): Uint8Array {
  const out = new Uint8Array(dataHeaderBytes(1) + payload.length);
  const at = encodeDataHeaderInto({ flags: 1, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind, nonce, ids: [id] }, out, 0);
  out.set(payload, at);
  return out;
}

/** Packets for a host's public id: set-ups of nobody, IP packets, other kinds. */
function publicIdTemplates(id: Uint8Array, draw: (length: number) => Uint8Array): Uint8Array[] {
  const init = encodeInit({
    calleeId: id, callerPrivateId: draw(32), counter: 7, own4: draw(4), peer4: draw(4), own6: draw(16), peer6: draw(16),
  }, null);
  const ip = Uint8Array.from([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 2, 3, 10, 3, 2, 1, ...draw(20)]);
  const confirm = Uint8Array.from([2, ...init.subarray(1)]);
  const payloads: readonly (readonly [number, Uint8Array])[] = [
    [PAYLOAD_KIND.setUp, init], [PAYLOAD_KIND.setUp, Uint8Array.from([...init, ...ip])], [PAYLOAD_KIND.setUp, confirm],
    [PAYLOAD_KIND.ipPacket, ip], [PAYLOAD_KIND.hip, draw(60)], [PAYLOAD_KIND.esp, draw(60)], [PAYLOAD_KIND.nothing, new Uint8Array(0)],
  ];
  return payloads.map(([kind, payload]) => dataPacket(id, kind, payload, draw(8)));
}

const question = (name: string): Uint8Array =>
  Buffer.concat([Buffer.from("123401000001000000000000", "hex"), ...name.split(".").map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)), Buffer.from("0000010001", "hex")]);

/** The counters of a daemon now. */
async function counters(child: Child): Promise<string> {
  const since = child.lines.length;
  child.kill("SIGUSR1");
  for (;;) {
    const line = child.lines.slice(since).map(({ text }) => text).find((text) => text.includes('"event":"counters"'));
    if (line !== undefined) return line;
    await new Promise((resolve) => child.once("line", resolve));
  }
}

describe("any bytes", () => {
  it("for five seconds on every port and to the public id: all daemons serve on, and have counted", async () => {
    const seed = Math.trunc(performance.timeOrigin) >>> 0;
    console.log(`seed ${seed}`);
    const seeded = new SeededRandom(seed, "garbage");
    const draw = (length: number): Uint8Array => Uint8Array.from({ length }, () => Math.floor(seeded.next() * 256));
    const { laptop, neighbour, resolver, servers, laptopProxy, homeProxy, ring } = bed;
    const daemons = [laptopProxy.child, homeProxy.child, ...ring.map((server) => server.child)] as Child[];
    const ownId = publicId(parseIpText(laptopProxy.hit) as Uint8Array);
    const [control, forUs] = [controlTemplates(draw), publicIdTemplates(ownId, draw)];
    const names = ["home.i3", "nobody.i3", "www.example"].map(question);
    const jobs: readonly Job[] = [
      { host: neighbour, kind: "udp", targets: [[laptop.address4, PORT]], templates: [...control, ...forUs], keep: 2 },
      { host: resolver, kind: "udp", targets: servers.map((server) => [server.address4, PORT] as const), templates: [...control, ...forUs], keep: 2 },
      { host: resolver, kind: "udp", targets: [[servers[0]?.address4 ?? "", PORT]], templates: forUs, keep: dataHeaderBytes(1) },
      { host: laptop, kind: "udp", targets: [["127.0.0.1", DNS_PORT]], templates: names, keep: 2 },
      { host: laptop, kind: "tcp", targets: [["127.0.0.1", DNS_PORT]], templates: names, keep: 2 },
    ];
    expect((await laptop.exec("ping", ["-c", "1", "-W", "5", "home.i3"])).status).toBe(0);
    const pinging = laptop.exec("ping", ["-n", "-i", "0.5", "-c", String(SECONDS * 2), "-W", "2", homeProxy.address4]);
    const sent = await Promise.all(jobs.map(async ({ host, templates, ...job }, i) => {
      const argument = JSON.stringify({ ...job, seconds: SECONDS, seed: seed + i, templates: templates.map((bytes) => Buffer.from(bytes).toString("hex")) });
      const { status, stdout, stderr } = await host.exec(process.execPath, ["-e", SENDER, argument]);
      const count = /^sent (\d+)$/m.exec(stdout)?.[1];
      if (count === undefined) throw new Error(`sender ${i}: status ${status} ${stderr}`);
      return Number(count);
    }));
    for (const count of sent) expect(count).toBeGreaterThan(20);

    // They are up, said nothing but log lines, and serve.
    expect(Number(/(\d+) received/.exec((await pinging).stdout)?.[1])).toBeGreaterThan(0);
    expect(daemons.map(({ running }) => running)).toEqual(daemons.map(() => true));
    expect(daemons.flatMap(({ lines }) => lines).filter(({ stream, text }) => stream === "stderr" && !text.startsWith('{"time":'))).toEqual([]);
    expect((await laptop.exec("dig", ["+short", "home.i3"])).stdout.trim()).toBe(homeProxy.address4);
    expect((await laptop.exec("dig", ["+tcp", "+short", "home.i3"])).stdout.trim()).toBe(homeProxy.address4);
    expect((await laptop.exec("ping", ["-c", "3", "-i", "0.2", "-W", "2", "home.i3"])).status).toBe(0);
    expect((await bed.home.exec("ping", ["-c", "1", "-W", "2", "laptop.i3"])).status).toBe(0);

    const proxy = JSON.parse(await counters(laptopProxy.child as Child)) as { engine: { drops: Record<string, number> }; client: Record<string, number>; setup: Record<string, number>; dns: { drops: Record<string, number>; own: number } };
    expect(Object.keys(proxy.engine.drops)).toEqual(expect.arrayContaining(["malformed", "version", "unknown-id"]));
    for (const [where, name] of [[proxy.client, "malformed"], [proxy.client, "unexpected"], [proxy.setup, "malformed"], [proxy.dns.drops, "short"], [proxy.dns.drops, "response"]] as const) {
      expect({ [name]: where[name] }).not.toEqual({ [name]: 0 });
    }
    for (const server of ring) {
      const { engine, control: counted } = JSON.parse(await counters(server.child as Child)) as { engine: { drops: Record<string, number> }; control: Record<string, number> };
      expect(Object.keys(engine.drops)).toEqual(expect.arrayContaining(["malformed", "version"]));
      expect(Object.keys(counted)).toEqual(expect.arrayContaining(["malformed", "mac"]));
    }
  }, 60_000);
});

describe("a name whose host has not registered", () => {
  // Behind the garbage, and in a ring that knows its keys: for seconds after a server has joined it cannot say that nobody has registered.
  beforeAll(() => eventually("the ring to say that nobody is there", 30_000, async () => {
    await bed.laptop.exec("curl", ["-sS", "--connect-timeout", "10", "http://ghost.i3/"]);
    return bed.laptopProxy.child?.lines.some(({ text }) => text.includes("no host has registered")) === true || undefined;
  }));

  it.each(["-4", "-6"])("curl %s fails within two seconds, and the log says which peer is unreachable", async (family) => {
    const child = bed.laptopProxy.child as Child;
    // Not by what is remembered of the attempt before.
    await eventually("the refusal to end", 5_000, async () => /"name":"ghost.i3"[^}]*"state":"idle"/.test(await counters(child)) || undefined);
    const since = child.lines.length;
    const { status, stderr, ms } = await timed(bed.laptop, "curl", ["-sS", family, "--connect-timeout", "10", "-v", "http://ghost.i3/"]);
    expect(status).toBe(7);
    expect(stderr).toMatch(/No route to host|host unreachable/i);
    expect(ms).toBeLessThan(2_000);
    const line = child.lines.slice(since).map(({ text }) => text).find((text) => text.includes('"event":"unreachable"')) ?? "{}";
    // The first of them, a minute's line, came with the attempt before.
    expect(child.lines.map(({ text }) => text).find((text) => text.includes('"event":"unreachable"'))).toContain('"level":"warn"');
    expect(JSON.parse(line)).toMatchObject({
      level: "debug", event: "unreachable", peer: "ghost.i3", why: "no host has registered this name's id", remedy: expect.stringContaining("other machine") as string,
    });
  });
});

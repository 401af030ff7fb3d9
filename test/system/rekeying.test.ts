/**
 * Two real proxies replace their keys every few seconds under UDP with numbers both ways and a TCP stream: every packet comes, once, and no engine drops one for its
 * number or its SPI.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Laptop } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";

import { eventually, pairBed } from "./pair-bed.js";

const REKEY_AFTER_S = 5;
/** Long enough for three rekeys. */
const FLOW_MS = 18_000;
const ESP = `<esp rekey-after-s="${REKEY_AFTER_S}"/>`;
const OPTIONS = { hip: ESP, logLevel: "info" } as const;

/** Sends a number every 2 ms, and returns every number that comes; says at the end which came. Arguments: the peer's address, or - to answer, and ms. */
const UDP = `
const { createSocket } = require("node:dgram");
const [peer, forMs] = [process.argv[1], Number(process.argv[2])];
const socket = createSocket({ type: "udp6", recvBufferSize: 1 << 20 });
const came = new Map();
let sent = 0;
socket.on("message", (bytes, from) => {
  const n = bytes.readUInt32BE();
  came.set(n, (came.get(n) ?? 0) + 1);
  if (peer === "-") socket.send(bytes, from.port, from.address);
});
const report = () => {
  const missing = []; for (let n = 0; n < sent; n += 1) if (!came.has(n)) missing.push(n);
  console.log(JSON.stringify({ sent, came: came.size, missing: missing.slice(0, 20), again: [...came.values()].filter((times) => times > 1).length }));
  process.exit(0);
};
socket.bind(7000, "::", () => {
  console.log("ready");
  if (peer === "-") return void process.on("SIGTERM", () => { sent = came.size; report(); });
  const startMs = Date.now();
  const timer = setInterval(() => {
    // Those that are due, for timers come late on a busy machine, but no more at once than the queues take.
    const due = Math.min((Date.now() - startMs) / 2, forMs / 2, sent + 20);
    for (; sent < due; sent += 1) { const b = Buffer.alloc(200); b.writeUInt32BE(sent); socket.send(b, 7000, peer); }
    if (sent >= forMs / 2) { clearInterval(timer); setTimeout(report, 2000); }
  }, 2);
});
`;
/** A stream whose bytes follow from their place, at 2 MB/s for so long. */
const SEND = 'const forMs = Number(process.argv[1]); require("node:net").createServer((s) => { const t = Date.now(); let at = 0; const timer = setInterval(() => { const b = Buffer.alloc(40000); for (let i = 0; i < b.length; i += 1) b[i] = (at + i) % 251; at += b.length; s.write(b); if (Date.now() - t > forMs) { clearInterval(timer); s.end(); console.log("sent", at); } }, 20); }).listen(8080, "::", () => console.log("listening"))';
const TAKE = 'let at = 0, wrong = 0; require("node:net").connect({ host: process.argv[1], port: 8080 }).on("data", (d) => { for (const byte of d) if (byte !== at++ % 251) wrong += 1; }).on("end", () => console.log("got", at, "wrong", wrong)).on("error", (e) => console.log(String(e)))';

interface Counters {
  readonly engine: { readonly drops: Readonly<Record<string, number>> };
  readonly hip: { readonly rekeyed: number; readonly established: number };
}

async function countersOf({ child }: Laptop): Promise<Counters> {
  const last = (): string | undefined => child?.lines.map(({ text }) => text).filter((text) => text.includes('"event":"counters"')).at(-1);
  const known = last();
  child?.kill("SIGUSR1");
  return JSON.parse(await eventually("counters", 10_000, () => Promise.resolve(last() === known ? undefined : last()))) as Counters;
}

interface Pair {
  readonly laptops: readonly [Laptop, Laptop];
  /** What the first calls the second. */
  readonly name: string;
  readonly close: () => Promise<void>;
}

async function overI3(): Promise<Pair> {
  const bed = await pairBed({ laptopOptions: OPTIONS, homeOptions: OPTIONS });
  return { laptops: [bed.laptopProxy, bed.homeProxy], name: "home.i3", close: bed.close };
}

async function direct(): Promise<Pair> {
  const topology = await Topology.create();
  const hosts = [topology.host("one"), topology.host("two")] as const;
  topology.link(hosts[0], hosts[1], { subnet: "192.0.2.0/30" });
  await topology.up();
  const make = (host: Host): Promise<Laptop> => Laptop.make(host, { ...OPTIONS, serverAddresses: ["192.0.2.250"], hip: `<hip udp-port="10500"/>${ESP}` });
  const laptops = [await make(hosts[0]), await make(hosts[1])] as const;
  await laptops[0].writeBook({ "two.i3": laptops[1] }, `address="${hosts[1].address4}"`);
  await laptops[1].writeBook({ "one.i3": laptops[0] }, `address="${hosts[0].address4}"`);
  await Promise.all(laptops.map((laptop) => laptop.start()));
  return { laptops, name: "two.i3", close: () => topology.close() };
}

describe.each([["over i3", overI3], ["straight, in UDP", direct]] as const)("keys that are replaced every few seconds, %s", (_, make) => {
  let pair: Pair;
  beforeAll(async () => void (pair = await make()), 120_000);
  afterAll(() => pair?.close());

  it("lose no packet of UDP, double none, and leave a TCP stream as it is", async () => {
    const { laptops: [one, two], name } = pair;
    const peer = two.hit;
    await eventually("the association", 20_000, async () => ((await one.host.exec("ping", ["-6", "-n", "-c", "1", "-W", "5", name])).status === 0 ? true : undefined));
    const before = await Promise.all([countersOf(one), countersOf(two)]);
    const [echo, sender] = [two.host.spawn(process.execPath, ["-e", UDP, "-", "0"]), two.host.spawn(process.execPath, ["-e", SEND, String(FLOW_MS)])];
    await Promise.all([echo.waitForLine(/ready/), sender.waitForLine(/listening/)]);
    const [udp, tcp] = await Promise.all([one.host.exec(process.execPath, ["-e", UDP, peer, String(FLOW_MS)]), one.host.exec(process.execPath, ["-e", TAKE, peer])]);
    const sent = FLOW_MS / 2;
    const all = { sent, came: sent, missing: [], again: 0 };
    expect(JSON.parse(udp.stdout.split("\n")[1] ?? "null")).toEqual(all);
    echo.kill("SIGTERM");
    expect(JSON.parse((await echo.waitForLine(/.*came.*/))[0])).toEqual(all);
    const [, bytes = "none"] = await sender.waitForLine(/sent (\d+)/);
    expect(tcp.stdout).toBe(`got ${bytes} wrong 0\n`);
    expect(Number(bytes)).toBeGreaterThan(10_000_000);
    await sender.stop();

    const after = await Promise.all([countersOf(one), countersOf(two)]);
    for (const [i, { engine, hip }] of after.entries()) {
      expect(hip.rekeyed - (before[i]?.hip.rekeyed ?? 0)).toBeGreaterThanOrEqual(3);
      // The same association all the time.
      expect(hip.established).toBe(before[i]?.hip.established);
      for (const reason of ["replay", "unknown-spi", "integrity", "sequence", "inner-malformed", "inner-address", "queue-full"]) expect([reason, (engine.drops[reason] ?? 0) - (before[i]?.engine.drops[reason] ?? 0)]).toEqual([reason, 0]);
    }
  }, 90_000);
});

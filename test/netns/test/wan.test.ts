/** Emulated links carry real traffic and do to it what they were told to. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { standardTopology, type Host, type Link, type StandardTopology, type WanOptions } from "../src/index.js";
import { UdpPeer } from "./udp-peer.js";
import { buildStandard } from "./with-topology.js";

const TRANSFER = fileURLToPath(new URL("./probes/tcp-transfer.mjs", import.meta.url));

async function build(wan: WanOptions): Promise<StandardTopology & { s1: Host; link: Link }> {
  const built = await buildStandard({ servers: 1, ipv6: true, wan: { nat1: wan } });
  const link = built.links.get("nat1");
  const [s1] = built.servers;
  if (link === undefined || s1 === undefined) throw new Error("the standard topology has nat1 and s1");
  return { ...built, s1, link };
}

/** The shortest round trip in ms. */
async function ping(from: Host, address: string, ...args: string[]): Promise<{ lost: boolean; minMs: number }> {
  const { status, stdout } = await from.exec("ping", ["-n", "-c", "5", "-i", "0.1", "-W", "2", ...args, address]);
  const [, min = "NaN"] = /= ([\d.]+)\//.exec(stdout) ?? [];
  return { lost: status !== 0, minMs: Number(min) };
}

/** Sends from `from` to `to` over TCP; the receiver's words: bytes, "intact" and milliseconds. */
async function transfer(from: Host, to: Host, address: string, bytes: number, port = 8000): Promise<{ intact: boolean; ms: number }> {
  const sender = from.spawn(process.execPath, [TRANSFER, "send", address, String(port), String(bytes)]);
  await sender.waitForLine(/^listening$/);
  const { stdout } = await to.exec(process.execPath, [TRANSFER, "receive", address, String(port), String(bytes)]);
  const [, count, state, ms] = /^received (\d+) (\w+) (\d+)$/m.exec(stdout) ?? [];
  return { intact: state === "intact" && Number(count) === bytes, ms: Number(ms) };
}

test("each direction has its own delay, and a round trip has both", async () => {
  const { laptop, s1, link } = await build({ up: { delayMs: 30 }, down: { delayMs: 20 } });
  const both = await ping(laptop, s1.address4);
  expect(both.minMs).toBeGreaterThanOrEqual(50);
  expect(both.minMs).toBeLessThan(60);
  await link.set({ delayMs: 5 }, "up");
  const changed = await ping(laptop, s1.address6);
  expect(changed.minMs).toBeGreaterThanOrEqual(25);
  expect(changed.minMs).toBeLessThan(35);
});

test("packets of the full MTU pass, in both families and without fragments", async () => {
  const { laptop, s1 } = await build({});
  expect((await ping(laptop, s1.address4, "-M", "do", "-s", "1472")).lost).toBe(false);
  expect((await ping(laptop, s1.address6, "-M", "do", "-s", "1452")).lost).toBe(false);
});

test("the rate holds for TCP in one direction and not in the other, and nothing is damaged", async () => {
  const { laptop, s1, link } = await build({ down: { rateKbit: 8_000 } });
  const bytes = 1_000_000;
  const limited = await transfer(s1, laptop, s1.address4, bytes, 8000);
  expect(limited.intact).toBe(true);
  expect(limited.ms).toBeGreaterThan(950);
  expect(limited.ms).toBeLessThan(1_600);
  await link.set({ rateKbit: 0 }, "down");
  await link.set({ rateKbit: 8_000 }, "up");
  const free = await transfer(s1, laptop, s1.address4, bytes, 8001);
  expect(free.intact).toBe(true);
  expect(free.ms).toBeLessThan(500);
});

test("TCP survives loss, reordering, duplication and jitter", async () => {
  const { laptop, s1, link } = await build({ delayMs: 2, jitterMs: 3, lossPercent: 1, reorderPercent: 2, reorderMs: 4, duplicatePercent: 1 });
  const before = await link.stats();
  const { intact } = await transfer(s1, laptop, s1.address4, 2_000_000);
  expect(intact).toBe(true);
  const { down } = await link.stats();
  expect(Math.min(down.lost, down.reordered, down.duplicated)).toBeGreaterThan(0);
  expect(down.writeDropped).toBe(before.down.writeDropped);
});

test("a cut direction loses what is sent, silently, the other direction works on, and mending helps", async () => {
  const { laptop, s1, link } = await build({ delayMs: 1 });
  const client = await UdpPeer.open(laptop);
  const server = await UdpPeer.open(s1, 7000);
  const mapped = await client.mappedBy(server);
  await link.cut("up");
  await client.send(server.endpoint, "into-the-cut");
  // The kernels' own frames (neighbour discovery, MLD) are lost there too.
  await expect.poll(async () => (await link.stats()).up.cutDropped).toBeGreaterThanOrEqual(1);
  await server.send(mapped, "still-down");
  await client.received("still-down");
  await link.mend();
  expect(await client.mappedBy(server)).toEqual(mapped);
  expect(server.hasReceived("into-the-cut")).toBe(false);
});

test("a node behind an emulated link can be cut off and restored", async () => {
  const { nat1, laptop, s1 } = await build({});
  await nat1.cutOff();
  expect((await laptop.exec("ping", ["-c", "1", "-W", "1", s1.address4])).status).toBe(1);
  await nat1.restore();
  expect((await ping(laptop, s1.address4)).lost).toBe(false);
});

test("impossible parameters and plain links are refused", async () => {
  const { links, link } = await build({});
  await expect(link.set({ lossPercent: 101 })).rejects.toMatchObject({ code: "ERR_I3_NETNS_PLAN" });
  await expect(links.get("s1")?.set({ delayMs: 1 })).rejects.toMatchObject({ code: "ERR_I3_NETNS_PLAN" });
  await expect(standardTopology({ wan: { nat3: {} } })).rejects.toMatchObject({ code: "ERR_I3_NETNS_PLAN" });
});

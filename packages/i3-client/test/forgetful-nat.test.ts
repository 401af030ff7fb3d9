/** A NAT before the client has forgotten it, and gives it another port: its triggers lead there again, at all their servers. */
import { bytesKey, makeLocator, privateId, ringKey, type Locator } from "@i3/common";
import { generateTriggerKey } from "@i3/hip";
import { expect, it } from "vitest";

import { Sightings } from "../src/sightings.js";
import { FakeRing, filled, type FakeServer } from "./fake-ring.js";

/** A round trip in all of these is 20 ms. To be asked, challenged and heard takes two and a half, behind the PING that tells. */
const RENEWED_MS = 20 + 3.5 * 20 + 10;

/** `each` triggers at each of three servers, with replicas at the next one. */
function made(each: number) {
  const ring = new FakeRing(3);
  const owners = new Map<string, FakeServer>();
  ring.ownerOf = (key) => owners.get(bytesKey(key)) ?? ring.server(1);
  ring.servers.forEach((server, i) => (server.replicaAt = ring.server(((i + 1) % 3) + 1).locator));
  const ids = ring.servers.flatMap((server) => Array.from({ length: each }, (_, n) => {
    const key = generateTriggerKey();
    const id = privateId(key.prefix, filled(16, n));
    owners.set(bytesKey(ringKey(id)), server);
    ring.client.insertTrigger(0, id, { kind: "private", key });
    return id;
  }));
  const leadTo = (to: Locator): boolean => ids.every((id) => ring.servers.filter((server) => server.leads(id, to)).length === 2);
  ring.run(3_000);
  if (!leadTo(ring.clientAt)) throw new Error("not there from the start");
  const forget = (port: number): Locator => (ring.clientAt = makeLocator(ring.clientAt.address, port));
  return { ring, ids, leadTo, forget };
}

const moves = ({ events }: FakeRing, sinceMs: number): number => events.filter(({ kind, atMs }) => kind === "moved" && atMs >= sinceMs).length;

it("each time, within a second of the next question to a server, replicas too", () => {
  const { ring, leadTo, forget } = made(2);
  for (let port = 40_001; port <= 40_015; port++) {
    ring.run(1_000 + (port * 137) % 1_000);
    const [to, sinceMs] = [forget(port), ring.nowMs];
    // A question that was under way is lost, and asked again after 600 ms.
    expect(ring.until(() => leadTo(to), 5_000)).toBeLessThanOrEqual(1_000 + RENEWED_MS);
    ring.run(600);
    expect(moves(ring, sinceMs)).toBeGreaterThan(0);
    expect(moves(ring, sinceMs)).toBeLessThanOrEqual(2);
  }
});

it("within half a second while packets go, by whichever server, though no trigger is there", () => {
  const { ring, leadTo, forget } = made(2);
  const carrier = ring.addStranger();
  carrier.delayMs = 5;
  ring.client.addServer(ring.nowMs, carrier.locator);
  ring.client.openPath(filled(32, 9));
  ring.run(1_000);
  for (let port = 40_001; port <= 40_015; port++) {
    ring.run(1_000 + (port * 137) % 1_000);
    const to = forget(port);
    expect(ring.until(() => leadTo(to), 5_000)).toBeLessThanOrEqual(400 + RENEWED_MS);
  }
  expect(ring.client.serverOfPath(filled(32, 9))).toEqual(carrier.locator);
});

it("also when it forgets again while the same server's last word is young", () => {
  const { ring, ids, leadTo, forget } = made(2);
  ring.client.openPath(filled(32, 9));
  ring.run(1_000);
  for (let port = 40_001; port <= 40_020; port += 2) {
    ring.run(1_200 + (port * 137) % 1_000);
    const first = forget(port);
    ring.until(() => ids.some((id) => ring.servers.some((server) => server.leads(id, first))), 2_000);
    const to = forget(port + 1);
    expect(ring.until(() => leadTo(to), 8_000)).toBeLessThanOrEqual(500 + 400 + RENEWED_MS);
  }
});

it("signs twice a second at most for each server that lies about where we are, and leads where we are", () => {
  const { ring, ids, leadTo } = made(2);
  const liar = ring.server(1);
  let n = 0;
  liar.script = (message) => (message.type === "PING" ? { type: "PONG", timeMs: 1_800_000_000_000, observed: makeLocator(filled(4, 7), 1 + (n++ % 60_000)), nodeKey: liar.key } : undefined);
  ring.client.openPath(filled(32, 9));
  const before = ring.servers.map((server) => server.count("TRIGGER"));
  const asked = ring.servers.map((server) => server.count("PING"));
  ring.run(20_000);
  const signed = ring.servers.map((server, i) => server.count("TRIGGER") - (before[i] ?? 0));
  expect(signed[0]).toBeGreaterThan(20);
  // Its own two and the two replicas there.
  expect(signed[0]).toBeLessThanOrEqual(4 * 41);
  expect(signed.slice(1)).toEqual([0, 0]);
  for (const [i, server] of ring.servers.entries()) expect(server.count("PING") - (asked[i] ?? 0)).toBeLessThanOrEqual(20 * (1_000 / 400) + 20 * 2 + 5);
  expect(leadTo(ring.clientAt)).toBe(true);
  expect(ids.every((id) => ring.live(id))).toBe(true);
});

it("what a server says within half a second of its last word is put off, the last of it, and other servers are heard", () => {
  const sightings = new Sightings();
  const [one, two] = [1, 2].map((n) => makeLocator(filled(4, n), 5610)) as [Locator, Locator];
  const at = (port: number): Locator => makeLocator(filled(4, 9), port);
  const ports = (nowMs: number): readonly number[] => sightings.take(nowMs).map(({ observed }) => observed.port);
  sightings.add({ server: one, observed: at(1) });
  expect([ports(0), sightings.nextDeadlineMs()]).toEqual([[1], Infinity]);
  for (const port of [2, 3]) sightings.add({ server: one, observed: at(port) });
  sightings.add({ server: two, observed: at(4) });
  expect([ports(100), ports(499), sightings.nextDeadlineMs()]).toEqual([[4], [], 500]);
  expect([ports(500), ports(10_000), sightings.nextDeadlineMs()]).toEqual([[3], [], Infinity]);
});

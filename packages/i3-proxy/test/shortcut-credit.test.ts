/** What goes to a place of a peer that has not answered there (docs/wire.md §9.7, credit): over all families and services of one association, real cores and reference engines, virtual time. */
import { publicId } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";
import { expect, it } from "vitest";

import { addHost, bookOf, World } from "../../../test/sim/world.js";
import { packet4, packet6, roundTrip, rulesOf, type PacketKind } from "./traffic.js";

const NEAR = "198.51.100.1";
const FAR = "198.51.100.2";
const ONE_KIND = '<rule name=".*\\.i3" go="i3" shortcut="yes"/>';
const TWO_KINDS = '<rule name=".*\\.i3" go="i3" shortcut="yes" security="auth" protocol="udp" ports="22"/><rule name=".*\\.i3" go="i3" shortcut="yes"/>';
const AUTH: PacketKind = { protocol: 17, ports: [1_000, 22] };
/** Of a datagram beside its bytes here. */
const UDP_HEADER_BYTES = 8;

it.each([
  ["IPv4", ONE_KIND, [4]], ["IPv6", ONE_KIND, [6]], ["both families", ONE_KIND, [4, 6]], ["both families, and services of two strengths", TWO_KINDS, [4, 6]],
] as const)("no more than came from the peer, by %s", (_, rules, families) => {
  let isOneWay = false;
  const world = new World({ delayBetweenMs: (from, to) => (from[0] === 198 && to[0] === 198 ? (isOneWay && from[3] === 1 ? 1e9 : 4) : 10) });
  const ring = world.ring(3);
  world.run(3_000);
  const [one, two] = [generateHostIdentity(), generateHostIdentity()];
  const options = { servers: ring, rules: rulesOf(rules), shortcut: true } as const;
  const a = addHost(world, NEAR, { ...options, identity: one, book: bookOf({ "far.i3": two }) });
  const b = addHost(world, FAR, { ...options, identity: two, book: bookOf({ "near.i3": one }) });
  world.run(10_000, () => a.proxy.isReady(world.nowMs) && b.proxy.isReady(world.nowMs));
  roundTrip(world, a, b, "far.i3", "first");
  const [toB, toA] = [a, b].map((host, i) => host.proxy.mappings.byPeer(publicId((i === 0 ? b : a).identity.hit)));
  if (toB === undefined || toA === undefined || toB.local6 === null) throw new Error("no mappings");
  const { local4, local6 } = toB;
  const kinds: readonly PacketKind[] = rules === TWO_KINDS ? [{}, AUTH] : [{}];
  const sendAll = (text: string): void => {
    for (const kind of kinds) {
      for (const family of families) {
        const packet = family === 4 ? packet4(a.proxy.own4, local4, text, kind) : packet6(a.identity.hit, local6, text, kind);
        world.inject(a.node, { tun: packet });
      }
    }
  };
  for (let i = 0; i < 100; i += 1) {
    sendAll("hello");
    world.inject(b.node, { tun: packet4(b.proxy.own4, toA.local4, "hello back") });
    world.run(20);
  }
  const [before] = a.proxy.report(world.nowMs);
  expect(before).toMatchObject({ path: `udp ${FAR}:5610`, pairs: kinds.length });

  // The peer's next packet comes from elsewhere, and what is sent there gets lost.
  isOneWay = true;
  b.node.natPort = 41_000;
  const sinceMs = world.nowMs;
  world.inject(b.node, { tun: packet4(b.proxy.own4, toA.local4, "from elsewhere") });
  world.run(20);
  const heard = [local4, local6].reduce((sum, address) => sum + (a.node.engine.flowCounters(address)?.bytesIn ?? 0), 0);
  for (let i = 0; i < 60; i += 1) sendAll("x".repeat(200));
  world.run(10);
  const there = world.wire.filter(({ atMs, to, bytes }) => atMs >= sinceMs && to.port === 41_000 && (bytes[0] ?? 0) >= 0x20);
  const sum = there.reduce((total, { bytes }) => total + bytes.length + UDP_HEADER_BYTES, 0);
  expect(sum).toBeLessThanOrEqual(heard);
  expect(sum).toBeGreaterThan(heard - 400);
  // The rest went by i3.
  expect(a.node.engine.counters().drops.credit).toBe(0);
});

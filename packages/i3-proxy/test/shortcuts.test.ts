/** Ways past i3 of two proxies (docs/wire.md §9.7): real cores and reference engines, a ring of three, virtual time. */
import { describe, expect, it } from "vitest";

import { makeLocator, publicId, sameBytes, type Locator } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host, type HostOptions, type LogLine } from "../../../test/sim/world.js";
import { addressOf, packet4, roundTrip, rulesOf, textOf, type PacketKind } from "./traffic.js";

const NEAR = "198.51.100.1";
const FAR = "198.51.100.2";

interface PairOptions {
  readonly near?: Partial<HostOptions>;
  readonly far?: Partial<HostOptions>;
  /** @default both know each other */
  readonly strangers?: boolean;
}

function pair({ near = {}, far = {}, strangers = false }: PairOptions = {}) {
  let isApart = false;
  const isBetween = (a: Uint8Array, b: Uint8Array): boolean => a[0] === 198 && b[0] === 198;
  const world = new World({ delayBetweenMs: (a, b) => (isBetween(a, b) ? (isApart ? 1e9 : 4) : 10) });
  const ring = world.ring(3);
  world.run(3_000);
  const [one, two] = [generateHostIdentity(), generateHostIdentity()];
  const options = { servers: ring, security: "esp", shortcut: true } as const;
  const a = addHost(world, NEAR, { ...options, identity: one, book: bookOf({ "far.i3": two }), ...near });
  const b = addHost(world, FAR, { ...options, identity: two, ...(strangers ? {} : { book: bookOf({ "near.i3": one }) }), ...far });
  world.run(10_000, () => a.proxy.isReady(world.nowMs) && b.proxy.isReady(world.nowMs));
  return { world, a, b, cut: (apart: boolean) => (isApart = apart) };
}

const path = (host: Host, peer: Host, world: World): unknown => host.proxy.report(world.nowMs).find(({ hit }) => hit !== null && host.proxy.mappings.byPeer(publicId(peer.identity.hit)) !== undefined)?.path;
const logged = (host: Host, event: string): readonly LogLine[] => host.node.log.filter((line) => line.event === event);
const isOf = (locator: Locator, host: Host): boolean => sameBytes(locator.address, host.node.locator.address);
/** Datagrams from one host straight to the other; ESP alone. */
const straight = (world: World, from: Host, to: Host, sinceMs = 0): number =>
  world.wire.filter((datagram) => datagram.atMs >= sinceMs && isOf(datagram.from, from) && isOf(datagram.to, to) && (datagram.bytes[0] as number) >= 0x20).length;
const anyStraight = (world: World, a: Host, b: Host): number => world.wire.filter((datagram) => (isOf(datagram.from, a) && isOf(datagram.to, b)) || (isOf(datagram.from, b) && isOf(datagram.to, a))).length;

/** Both send, each 20 ms; how many of each arrived, and the longest wait for one. */
function talk(world: World, a: Host, b: Host, forMs: number): { readonly atA: number; readonly atB: number; readonly sent: number; readonly gapMs: number; readonly gapAtAMs: number } {
  const [toB, toA] = [addressOf(a, "far.i3"), b.proxy.mappings.byPeer(publicId(a.identity.hit))?.local4 as Uint8Array];
  const [beforeA, beforeB] = [a.node.received.length, b.node.received.length];
  const [times, timesAtA] = [[world.nowMs], [world.nowMs]];
  let sent = 0;
  for (const endMs = world.nowMs + forMs; world.nowMs < endMs; sent += 1) {
    world.inject(a.node, { tun: packet4(a.proxy.own4, toB, `a${sent}`) });
    world.inject(b.node, { tun: packet4(b.proxy.own4, toA, `b${sent}`) });
    const [hadA, had] = [a.node.received.length, b.node.received.length];
    world.run(20);
    if (b.node.received.length > had) times.push(world.nowMs);
    if (a.node.received.length > hadA) timesAtA.push(world.nowMs);
  }
  const longest = (all: readonly number[]): number => Math.max(...[...all, world.nowMs].map((ms, i) => ms - (all[i - 1] ?? ms)));
  return { atA: a.node.received.length - beforeA, atB: b.node.received.length - beforeB, sent, gapMs: longest(times), gapAtAMs: longest(timesAtA) };
}

describe("a way past i3", () => {
  it("is used by both as soon as it is found, without a packet lost", () => {
    const { world, a, b } = pair();
    expect(roundTrip(world, a, b, "far.i3", "first").back).not.toBe("nothing");
    const { atA, atB, sent } = talk(world, a, b, 3_000);
    world.run(100);
    expect([atA, atB]).toEqual([sent, sent]);
    expect(straight(world, a, b)).toBeGreaterThan(100);
    expect(straight(world, b, a)).toBeGreaterThan(100);
    expect([path(a, b, world), path(b, a, world)]).toEqual([`udp ${FAR}:5610`, `udp ${NEAR}:5610`]);
    expect(logged(a, "path").map(({ fields }) => fields["to"])).toEqual([`${FAR}:5610`]);
    // The first packets went over i3.
    expect(world.wire.find(({ from, to, bytes }) => isOf(from, a) && isOf(to, b) && bytes[0] === 0x19)).toBeDefined();
  });

  it.each([
    ["the caller", { near: { shortcut: false } }], ["the called one", { far: { shortcut: false } }],
  ])("is not looked for when %s does not want it: neither sends a byte to the other, and the peer is not told where it is", (_who, options) => {
    const { world, a, b } = pair(options);
    roundTrip(world, a, b, "far.i3", "first");
    talk(world, a, b, 3_000);
    expect(anyStraight(world, a, b)).toBe(0);
    expect(path(a, b, world)).toBe("i3");
    for (const { proxy: { setups: { hip } } } of [a, b]) expect([hip?.straight.counters.open, hip?.hip.counters.locatorSets]).toEqual([0, 0]);
  });

  it("is not given to a stranger, unless strangers get it", () => {
    const shy = pair({ strangers: true });
    roundTrip(shy.world, shy.a, shy.b, "far.i3", "first");
    talk(shy.world, shy.a, shy.b, 3_000);
    expect(anyStraight(shy.world, shy.a, shy.b)).toBe(0);
    const { world, a, b } = pair({ strangers: true, far: { shortcutsToStrangers: true } });
    roundTrip(world, a, b, "far.i3", "first");
    talk(world, a, b, 3_000);
    expect(path(a, b, world)).toBe(`udp ${FAR}:5610`);
  });

  it("that dies is left for i3 within a second, and found again when it is back", () => {
    const { world, a, b, cut } = pair();
    roundTrip(world, a, b, "far.i3", "first");
    talk(world, a, b, 3_000);
    cut(true);
    const { gapMs } = talk(world, a, b, 3_000);
    expect(gapMs).toBeLessThanOrEqual(800);
    expect([path(a, b, world), path(b, a, world)]).toEqual(["i3", "i3"]);
    cut(false);
    talk(world, a, b, 12_000);
    expect([path(a, b, world), path(b, a, world)]).toEqual([`udp ${FAR}:5610`, `udp ${NEAR}:5610`]);
  });

  it("ends at once when the rules allow it no more", () => {
    const { world, a, b } = pair();
    roundTrip(world, a, b, "far.i3", "first");
    talk(world, a, b, 3_000);
    a.proxy.setRules(world.nowMs, rulesOf('<rule name=".*\\.i3" go="i3" shortcut="no"/>'));
    const sinceMs = world.nowMs;
    const { atA, atB, sent } = talk(world, a, b, 2_000);
    world.run(100);
    expect(straight(world, a, b, sinceMs + 1)).toBe(0);
    // The peer is told over i3, and sends straight until then.
    expect(straight(world, b, a, sinceMs + 300)).toBe(0);
    expect([atA, atB]).toEqual([sent, sent]);
  });

  it("stays through a rekey", () => {
    const { world, a, b } = pair({ near: { rekeyAfterMs: 4_000 } });
    roundTrip(world, a, b, "far.i3", "first");
    const { atA, atB, sent } = talk(world, a, b, 12_000);
    world.run(100);
    expect([atA, atB]).toEqual([sent, sent]);
    expect(a.proxy.setups.hip?.counters.rekeyed).toBeGreaterThan(1);
    expect(logged(a, "path")).toHaveLength(1);
  });

  it("through a NAT that forgets is found again with the next packet from inside, and the ring finds the host again", () => {
    const { world, a, b } = pair();
    a.node.natPort = 40_000;
    world.run(3_000);
    roundTrip(world, a, b, "far.i3", "first");
    talk(world, a, b, 3_000);
    expect(path(b, a, world)).toBe(`udp ${NEAR}:40000`);
    a.node.natPort = 41_000;
    const { gapMs, atA, sent } = talk(world, a, b, 3_000);
    expect(gapMs).toBeLessThanOrEqual(40);
    expect(sent - atA).toBeLessThanOrEqual(3);
    expect(path(b, a, world)).toBe(`udp ${NEAR}:41000`);
    expect(logged(a, "seen-elsewhere").length).toBeGreaterThan(0);
    expect(a.proxy.isReady(world.nowMs)).toBe(true);
  });

  it.each([0, 20_000])("between two port-restricted NATs, one of which forgets after %i ms of silence: packets go again within a second of the next one from inside, and straight", (silentMs) => {
    const { world, a, b } = pair();
    for (const [{ node }, natPort] of [[a, 40_000], [b, 50_000]] as const) Object.assign(node, { natPort, natAllows: new Set() });
    world.run(3_000);
    roundTrip(world, a, b, "far.i3", "first");
    talk(world, a, b, 4_000);
    expect([path(a, b, world), path(b, a, world)]).toEqual([`udp ${FAR}:50000`, `udp ${NEAR}:40000`]);
    world.run(silentMs);
    Object.assign(a.node, { natPort: 41_000, natAllows: new Set() });
    const { gapMs, gapAtAMs } = talk(world, a, b, 4_000);
    expect(gapMs).toBeLessThanOrEqual(1_000);
    expect(gapAtAMs).toBeLessThanOrEqual(1_000);
    expect([path(a, b, world), path(b, a, world)]).toEqual([`udp ${FAR}:50000`, `udp ${NEAR}:41000`]);
  });

  it("is not looked for where somebody says in a router's name that a port is open, while two servers see the host elsewhere", () => {
    const { world, a, b } = pair();
    roundTrip(world, a, b, "far.i3", "first");
    talk(world, a, b, 1_000);
    const [victim, key] = [makeLocator(Uint8Array.of(203, 0, 113, 9), 5_610), a.proxy.ownPlaces[0]?.key ?? ""];
    const toVictim = (): number => world.wire.filter(({ to }) => sameBytes(to.address, victim.address)).length;
    a.proxy.setMapped(world.nowMs, key, victim);
    talk(world, a, b, 1_000);
    expect([toVictim(), logged(a, "port-mapping-failed").length]).toEqual([0, 1]);
    a.proxy.setMapped(world.nowMs, key, makeLocator(a.node.locator.address, 7_000));
    talk(world, a, b, 1_000);
    expect(world.wire.some(({ from, to }) => isOf(from, b) && isOf(to, a) && to.port === 7_000)).toBe(true);
  });
});

it.each([["yes", true], ["no", false]] as const)("services with other keys go the same way: with shortcut=\"%s\" what is authenticated, readable, and what is encrypted, not; what is in clear always by i3", (shortcut, isPast) => {
  const rule = (more: string): string => `<rule name=".*\\.i3" go="i3" shortcut="${shortcut}" ${more}/>`;
  const rules = rulesOf([rule('security="none" protocol="icmp"'), rule('security="auth" protocol="udp" ports="22"'), rule("")].join(""));
  const { world, a, b } = pair({ near: { rules }, far: { rules } });
  roundTrip(world, a, b, "far.i3", "first");
  talk(world, a, b, 3_000);
  expect(path(a, b, world)).toBe(isPast ? `udp ${FAR}:5610` : "i3");
  expect(anyStraight(world, a, b) > 0).toBe(isPast);
  const carry = (text: string, kind: PacketKind): { readonly isReadable: boolean; readonly isPast: boolean } => {
    world.wire.length = 0;
    world.inject(a.node, { tun: packet4(a.proxy.own4, addressOf(a, "far.i3"), text, kind) });
    world.run(3_000, () => b.node.received.some((packet) => Buffer.from(packet).includes(text)));
    expect(b.node.received.some((packet) => Buffer.from(packet).includes(text))).toBe(true);
    return { isReadable: world.wire.some(({ bytes }) => Buffer.from(bytes).includes(text)), isPast: straight(world, a, b) > 0 };
  };
  expect(carry("authenticated", { protocol: 17, ports: [1_000, 22] })).toEqual({ isReadable: true, isPast });
  expect(carry("encrypted", { protocol: 17, ports: [1_000, 23] })).toEqual({ isReadable: false, isPast });
  expect(carry("in clear", { protocol: 1 })).toEqual({ isReadable: true, isPast: false });
});

it("programs' packets are not readable on a way past i3", () => {
  const { world, a, b } = pair();
  roundTrip(world, a, b, "far.i3", "first");
  talk(world, a, b, 2_000);
  expect(roundTrip(world, a, b, "far.i3", "a secret of theirs").there).not.toBe("nothing");
  expect(b.node.received.map(textOf)).toContain("a secret of theirs");
  expect(world.wire.some(({ bytes }) => Buffer.from(bytes).includes("secret of theirs"))).toBe(false);
});

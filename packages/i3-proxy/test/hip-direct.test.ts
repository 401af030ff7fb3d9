/** Calls by address: over HIP's own UDP port, the main one, and IP protocol 139, between hosts of ours and to one that knows HIP alone. No ring is there. */
import { describe, expect, it } from "vitest";

import { formatIpText, locatorKey, makeLocator, parseAddressBook, publicId, type HipConfig, type Locator } from "@i3/common";
import type { Upcall } from "@i3/datapath";
import { dhKeyPair, ESP_SUITE, generateHostIdentity, hipChecksum, HipHost, setChecksum, type EstablishedEvent, type HipEvent, type HipPath, type HostIdentity } from "@i3/hip";

import { addHost, World, type Host, type Node } from "../../../test/sim/world.js";
import { textOf } from "./traffic.js";

const BOTH: HipConfig = { udpPort: 10_500, ipProtocol: true };
const LAPTOP = "198.51.100.1";
const HOME = "198.51.100.2";

const bookWith = (identity: HostIdentity, attributes: string) => parseAddressBook(`<address-book version="1"><host name="home.i3" hit="${formatIpText(identity.hit)}" ${attributes}/></address-book>`, "book.xml");

/** UDP over IPv6, without a checksum that anybody looks at. */
function packet6(source: Uint8Array, destination: Uint8Array, text: string): Uint8Array {
  const payload = Buffer.from(text);
  const out = new Uint8Array(48 + payload.length);
  out.set([0x60, 0, 0, 0, 0, 8 + payload.length, 17, 64]);
  out.set(source, 8);
  out.set(destination, 24);
  out.set([0x9c, 0x40, 0, 80, 0, 8 + payload.length, 0x12, 0x34], 40);
  out.set(payload, 48);
  return out;
}

interface Bed {
  readonly world: World;
  readonly laptop: Host;
  readonly home: Host;
}

function bed(attributes: string, { laptopHip, homeHip = BOTH }: { readonly laptopHip?: HipConfig; readonly homeHip?: HipConfig } = {}): Bed {
  const world = new World();
  const identity = generateHostIdentity();
  const laptop = addHost(world, LAPTOP, { servers: [], security: "esp", book: bookWith(identity, attributes), ...(laptopHip !== undefined && { hip: laptopHip }) });
  const home = addHost(world, HOME, { servers: [], security: "esp", identity, hip: homeHip });
  return { world, laptop, home };
}

const resolved = (host: Host) => {
  const found = host.proxy.names.resolve("home.i3");
  if (typeof found === "string") throw new Error(found);
  host.proxy.installFresh();
  return found;
};
const heard = (node: Node, text: string): boolean => node.received.some((packet) => textOf(packet) === text || Buffer.from(packet).includes(text));

function talks({ world, laptop, home }: Bed, text: string): void {
  world.inject(laptop.node, { tun: packet6(laptop.identity.hit, home.identity.hit, `${text} there`) });
  world.run(3_000, () => heard(home.node, `${text} there`));
  expect(heard(home.node, `${text} there`)).toBe(true);
  world.inject(home.node, { tun: packet6(home.identity.hit, laptop.identity.hit, `${text} back`) });
  world.run(3_000, () => heard(laptop.node, `${text} back`));
  expect(heard(laptop.node, `${text} back`)).toBe(true);
}

const WAYS = [
  ["the main port to 10500", `address="${HOME}"`, undefined, (to: { via?: string; port: number }) => to.port === 10_500 || to.port === 5_610],
  ["10500 to 10500", `address="${HOME}"`, BOTH, (to: { via?: string; port: number }) => to.port === 10_500],
  ["the main ports", `address="${HOME}" port="5610"`, undefined, (to: { via?: string; port: number }) => to.port === 5_610],
  ["IP protocols 139 and 50", `address="${HOME}" protocol="ip"`, BOTH, (to: { via?: string; port: number }) => to.via === "ip" && (to.port === 139 || to.port === 50)],
] as const;

describe("a host with an address, without any ring", () => {
  it.each(WAYS)("is called by %s, and answers", (_, attributes, laptopHip, isOfWay) => {
    const made = bed(attributes, laptopHip === undefined ? {} : { laptopHip });
    const { world, laptop, home } = made;
    expect(resolved(laptop)).toEqual({ v4: null, v6: home.identity.hit });
    talks(made, "hello");
    expect(world.wire.length).toBeGreaterThanOrEqual(6);
    expect(world.wire.filter(({ to, bytes }) => !isOfWay(to) || Buffer.from(bytes).includes("hello"))).toEqual([]);
    expect(home.proxy.mappings.byPeer(publicId(laptop.identity.hit))).toMatchObject({ state: "open", peer: null, security: "esp" });
    // It turned out to be a host of ours, which has an IPv4 address for us.
    expect(resolved(laptop).v4).toEqual(laptop.proxy.mappings.byPeer(publicId(home.identity.hit))?.local4);
  });

  it.each([["home.i3", "also.i3"], ["also.i3", "home.i3"]])("is called there by every name of its HIT, encrypted, with the address at %s", (addressed, bare) => {
    const world = new World();
    const identity = generateHostIdentity();
    const host = (name: string): string => `<host name="${name}" hit="${formatIpText(identity.hit)}"${name === addressed ? ` address="${HOME}"` : ""}/>`;
    const book = parseAddressBook(`<address-book version="1">${host("also.i3")}${host("home.i3")}</address-book>`, "book.xml");
    const laptop = addHost(world, LAPTOP, { servers: [], security: "none", book });
    const home = addHost(world, HOME, { servers: [], security: "esp", identity, hip: BOTH });
    expect(laptop.proxy.names.resolve(bare)).toEqual({ v4: null, v6: identity.hit });
    laptop.proxy.installFresh();
    talks({ world, laptop, home }, "hello");
    expect(world.wire.filter(({ bytes }) => Buffer.from(bytes).includes("hello"))).toEqual([]);
  });

  it.each(WAYS)("by %s: rekeys and closes", (_, attributes, laptopHip) => {
    const made = bed(attributes, laptopHip === undefined ? {} : { laptopHip });
    const { world, laptop, home } = made;
    resolved(laptop);
    talks(made, "before");
    laptop.proxy.setups.hip?.hip.rekey(world.nowMs, 1);
    world.run(1_000);
    expect(laptop.proxy.setups.hip?.counters.rekeyed).toBe(1);
    expect(home.proxy.setups.hip?.counters.rekeyed).toBe(1);
    talks(made, "after");
    laptop.proxy.setups.hip?.hip.close(world.nowMs, 1);
    world.run(1_000);
    expect(home.proxy.mappings.byPeer(publicId(laptop.identity.hit))).toMatchObject({ state: "idle" });
  });

  it("is not called by a way that is not open, and the log says what to write", () => {
    const { world, laptop, home } = bed(`address="${HOME}" protocol="ip"`);
    resolved(laptop);
    world.inject(laptop.node, { tun: packet6(laptop.identity.hit, home.identity.hit, "lost") });
    world.run(1_000);
    expect(laptop.node.log.filter(({ event }) => event === "no-ip-protocol").map(({ fields }) => fields["remedy"])).toEqual([expect.stringContaining('<hip ip-protocol="true"/>')]);
    // ICMPv6: address unreachable.
    expect(laptop.node.received.map((packet) => [packet[6], packet[40], packet[41]])).toEqual([[58, 1, 3]]);
  });

  it("is the only kind that is called: one without an address is unreachable at once, and the log says that there are no servers", () => {
    const { world, laptop, home } = bed("");
    resolved(laptop);
    for (let n = 0; n < 20; n++) world.inject(laptop.node, { tun: packet6(laptop.identity.hit, home.identity.hit, "lost") });
    world.run(10);
    expect(laptop.node.received[0]?.subarray(40, 42)).toEqual(Uint8Array.of(1, 3));
    const told = laptop.node.log.filter(({ event }) => event === "unreachable").map(({ fields }) => fields);
    expect(told[0]).toEqual({
      peer: "home.i3", why: "it has no address in the address book, and there are no i3 servers", remedy: "Give it an address in the address book, or add <servers> to the configuration.",
    });
    expect(told.length).toBeLessThanOrEqual(11);
    expect(world.wire).toEqual([]);
  });

  it("that does not answer is unreachable after its patience, whatever the ring", () => {
    const { world, laptop, home } = bed(`address="${HOME}" port="9"`);
    resolved(laptop);
    world.inject(laptop.node, { tun: packet6(laptop.identity.hit, home.identity.hit, "lost") });
    world.run(4_900);
    expect(laptop.node.received).toHaveLength(0);
    world.run(200);
    expect(laptop.node.received.map((packet) => [packet[6], packet[40], packet[41]])).toEqual([[58, 1, 3]]);
    expect(laptop.node.log.find(({ event }) => event === "unreachable")?.fields["remedy"]).toMatch(new RegExp(`HIP by ${HOME}:9, and is its key the one of the address book`));
  });

  it("another address in the book acts on the next call", () => {
    const made = bed(`address="${HOME}" port="9"`);
    const { world, laptop, home } = made;
    resolved(laptop);
    world.inject(laptop.node, { tun: packet6(laptop.identity.hit, home.identity.hit, "lost") });
    world.run(7_000);
    laptop.proxy.setBook(bookWith(home.identity, `address="${HOME}"`));
    talks(made, "found");
  });

  it("is followed to another port of its NAT by a rekey of its own, and by nobody else's packets", () => {
    const made = bed(`address="${HOME}"`, { laptopHip: BOTH });
    const { world, laptop, home } = made;
    resolved(laptop);
    talks(made, "before");
    const packets = world.wire.filter(({ from }) => from.address[3] === 1).map(({ bytes }) => bytes);
    // All that it ever sent, from elsewhere.
    for (const bytes of packets) world.inject(home.node, { udp: { from: { ...makeLocator(Uint8Array.of(203, 0, 113, 9), 4_000), via: "hip", local: home.node.locator.address }, bytes } });
    expect(home.proxy.setups.hip?.counters.moved).toBe(0);
    laptop.node.natPort = 40_000;
    laptop.proxy.setups.hip?.hip.rekey(world.nowMs, 1);
    world.run(1_000);
    expect(home.proxy.setups.hip?.counters.moved).toBe(1);
    world.wire.length = 0;
    world.inject(home.node, { tun: packet6(home.identity.hit, laptop.identity.hit, "x") });
    world.run(1);
    expect(world.wire.map(({ to }) => to.port)).toEqual([40_000]);
  });

  it.each(WAYS)("by %s: NATs are kept open in UDP, from both ends, as long as there is an association", (_, attributes, laptopHip) => {
    const made = bed(attributes, laptopHip === undefined ? {} : { laptopHip });
    const { world, laptop } = made;
    resolved(laptop);
    talks(made, "before");
    world.wire.length = 0;
    world.run(60_000);
    const keptBy = (last: number): number => world.wire.filter(({ from, bytes }) => from.address[3] === last && bytes.length === 1 && bytes[0] === 0xff).length;
    const isIp = attributes.includes("ip");
    expect([keptBy(1), keptBy(2), world.wire.length]).toEqual(isIp ? [0, 0, 0] : [4, 4, 8]);
    for (const { node } of [laptop, made.home]) expect(Object.values(node.engine.counters().drops).filter((count) => count > 0)).toEqual([]);
    laptop.proxy.setups.hip?.hip.close(world.nowMs, 1);
    world.run(1_000);
    world.wire.length = 0;
    world.run(60_000);
    expect([keptBy(1), keptBy(2)]).toEqual([0, 0]);
  });

  it("behind a NAT that forgets after half a minute still hears the other end begin, after long silence", () => {
    const made = bed(`address="${HOME}"`, { laptopHip: BOTH });
    const { world, laptop, home } = made;
    Object.assign(laptop.node, { natPort: 40_000, natForgetsMs: 30_000 });
    resolved(laptop);
    talks(made, "before");
    world.run(100_000);
    world.inject(home.node, { tun: packet6(home.identity.hit, laptop.identity.hit, "are you there") });
    world.run(100);
    expect(heard(laptop.node, "are you there")).toBe(true);
  });
});

/** A host that knows HIP and ESP and nothing of i3, in the place of a node: its packets are the engine's, its exchange HipHost's. */
function foreign(world: World, address: string, suites: readonly (typeof ESP_SUITE)[keyof typeof ESP_SUITE][], path: (to: Uint8Array) => HipPath) {
  const node = world.node(address);
  node.hip = BOTH;
  const identity = generateHostIdentity();
  const established: EstablishedEvent[] = [];
  const send = (to: HipPath, packet: Uint8Array): void => {
    if (to.kind === "ip") node.engine.send([{ locator: { address: to.address, port: 139, via: "ip" }, bytes: packet }]);
    else if (to.kind === "udp") node.engine.send([{ locator: to.locator, bytes: Uint8Array.from([0, 0, 0, 0, ...packet]) }]);
  };
  const onEvent = (event: HipEvent): void => {
    if (event.kind === "responder") node.engine.setHipResponder(event.responder === null ? null : { ...event.responder, openIds: [] });
    if (event.kind !== "established") return;
    established.push(event);
    const peerHit = event.peer.hit;
    const pair = (from: Uint8Array) => ({ from, to: from });
    node.engine.setInboundAssociation(event.spiIn, { transform: event.keysIn, beet: 6, checksumState: false, flow: peerHit, source4: null, destination4: null, source6: pair(peerHit), destination6: pair(identity.hit) });
    node.engine.setOutboundAssociation(1, { transform: event.keysOut, spi: event.spiOut, beet: 6, checksumState: false });
    const locator = event.path.kind === "ip" ? { address: event.path.address, port: 50, via: "ip" as const } : event.path.kind === "udp" ? event.path.locator : null;
    node.engine.setFlow(peerHit, { action: "esp", association: 1, header: null, locator, source: identity.hit });
  };
  let spi = 0x3000_0000;
  const hip: HipHost = new HipHost({
    identity, ownPublicId: null, random: world.random, dhSource: (group) => dhKeyPair(group, world.random), r1Generation: 1n, admits: () => true, espSuites: suites, espSuitesFor: () => suites,
    offerFor: () => ({ privateId: null, preferences: null }), newSpi: () => spi++, send, onEvent, log: () => undefined,
  }, 0);
  node.engine.setHipResponder(hip.responder === null ? null : { ...hip.responder, openIds: [] });
  node.core = {
    handleUpcalls: (nowMs, upcalls: readonly Upcall[]) => {
      for (const upcall of upcalls) if (upcall.kind === "hip") hip.handle(nowMs, upcall.bytes, upcall.from.via === "ip" ? { kind: "ip", address: upcall.from.address } : { kind: "udp", locator: upcall.from });
    },
    handleTimer: (nowMs) => hip.tick(nowMs),
    deadlineMs: () => hip.nextDeadlineMs() ?? Infinity,
  };
  const call = (peer: Uint8Array, to: Uint8Array): void => hip.connect(world.nowMs, { hit: peer, path: path(to), returnId: null });
  return { node, identity, established, call };
}

const FOREIGN_WAYS = [
  ["UDP 10500", `address="${HOME}"`, (address: Uint8Array): HipPath => ({ kind: "udp", locator: { address, port: 10_500, via: "hip" } })],
  ["IP protocol 139", `address="${HOME}" protocol="ip"`, (address: Uint8Array): HipPath => ({ kind: "ip", address })],
] as const;

describe.each(FOREIGN_WAYS)("a host that never heard of i3, by %s", (_, attributes, path) => {
  it.each([["AES-GCM", ESP_SUITE.aesGcm16], ["AES-CBC with HMAC", ESP_SUITE.aes128CbcSha256]] as const)("is called, with %s", (__, suite) => {
    const world = new World();
    const peer = foreign(world, HOME, [suite], path);
    const laptop = addHost(world, LAPTOP, { servers: [], security: "esp", hip: BOTH, book: bookWith(peer.identity, attributes) });
    expect(resolved(laptop)).toEqual({ v4: null, v6: peer.identity.hit });
    world.inject(laptop.node, { tun: packet6(laptop.identity.hit, peer.identity.hit, "hello foreigner") });
    world.run(3_000);
    expect(peer.established).toMatchObject([{ espSuite: suite, peerPrivateId: null, peerPreferences: null, role: "responder" }]);
    expect(heard(peer.node, "hello foreigner")).toBe(true);
    world.inject(peer.node, { tun: packet6(peer.identity.hit, laptop.identity.hit, "hello back") });
    world.run(3_000);
    expect(heard(laptop.node, "hello back")).toBe(true);
    expect(resolved(laptop).v4).toBeNull();
  });

  it("is not taken for the host of the address book: people hear both keys at once, programs soon, and it learns nothing", () => {
    const world = new World();
    const peer = foreign(world, HOME, [ESP_SUITE.aesGcm16], path);
    const named = generateHostIdentity();
    const laptop = addHost(world, LAPTOP, { servers: [], security: "esp", hip: BOTH, book: bookWith(named, attributes) });
    resolved(laptop);
    world.inject(laptop.node, { tun: packet6(laptop.identity.hit, named.hit, "for the named one") });
    // As if it took each I1 for one to itself.
    const [i1, ...more] = world.wire;
    if (i1 === undefined || more.length > 0) throw new Error(`${world.wire.length} packets`);
    const at = i1.to.via === "ip" ? 0 : 4;
    const bytes = Uint8Array.from(i1.bytes);
    bytes.set(peer.identity.hit, at + 24);
    if (at === 0) setChecksum(bytes.fill(0, 4, 6), hipChecksum(bytes, i1.from.address, i1.to.address));
    world.inject(peer.node, { udp: { from: { ...i1.from, via: i1.to.via ?? "hip", local: peer.node.locator.address }, bytes } });
    world.run(50);
    const [wrong] = laptop.node.log.filter(({ event }) => event === "wrong-key");
    expect(wrong?.fields["error"]).toContain(`answered with the key of ${formatIpText(peer.identity.hit)}, but is ${formatIpText(named.hit)} in the address book (line 1)`);
    world.run(2_000);
    expect(laptop.node.received.map((packet) => [packet[6], packet[40], packet[41]])).toEqual([[58, 1, 3]]);
    expect(laptop.node.log.find(({ event }) => event === "unreachable")?.fields["why"]).toBe("another key answered than the one of its name");
    expect([peer.established, world.wire.some((sent) => Buffer.from(sent.bytes).includes("for the named one"))]).toEqual([[], false]);
  });

  it("calls, and gets a mapping without private id", () => {
    const world = new World();
    const peer = foreign(world, HOME, [ESP_SUITE.aes256CbcSha256], path);
    const laptop = addHost(world, LAPTOP, { servers: [], security: "esp", hip: BOTH });
    peer.call(laptop.identity.hit, laptop.node.locator.address);
    world.inject(peer.node, {});
    world.run(3_000);
    expect(peer.established).toMatchObject([{ role: "initiator", peerPrivateId: null, peerPreferences: null }]);
    expect(laptop.proxy.mappings.byPeer(publicId(peer.identity.hit))).toMatchObject({ state: "open", peer: null, knowsIpv4: false });
    world.inject(peer.node, { tun: packet6(peer.identity.hit, laptop.identity.hit, "from outside") });
    world.run(1_000);
    expect(heard(laptop.node, "from outside")).toBe(true);
    world.inject(laptop.node, { tun: packet6(laptop.identity.hit, peer.identity.hit, "and back") });
    world.run(1_000);
    expect(heard(peer.node, "and back")).toBe(true);
  });
});

/** Another address, of which the host itself hears. */
function move({ world, laptop }: Bed): void {
  const { node } = laptop;
  world.nodes.delete(locatorKey(node.locator));
  const locator = makeLocator(Uint8Array.of(198, 51, 100, 77), node.locator.port);
  Object.assign(node, { locator });
  world.nodes.set(locatorKey(locator), node);
  laptop.proxy.setPlaces(world.nowMs, [{ interfaceIndex: 2, family: 4, addresses: [locator.address], gateway: null, prefixes: null }]);
  world.inject(node, {});
}

it.each(WAYS)("a host that gets another address says so from there, and both go on with the keys that they have (%s)", (_what, attributes, laptopHip) => {
  const made = bed(attributes, laptopHip === undefined ? {} : { laptopHip });
  const { world, laptop, home } = made;
  resolved(laptop);
  talks(made, "before");
  const movedMs = world.nowMs;
  move(made);
  world.run(1_000, () => home.node.log.some(({ event }) => event === "peer-moved"));
  // There, and question and answer: three ways of 10 ms.
  expect(world.nowMs - movedMs).toBeLessThanOrEqual(40);
  talks(made, "after");
  expect([laptop, home].map(({ proxy }) => proxy.setups.hip?.counters.established)).toEqual([1, 1]);
});

describe("data for a host that seems to have moved, before it has answered there", () => {
  const sendBack = ({ world, laptop, home }: Bed, count: number): void => {
    for (let i = 0; i < count; i += 1) world.inject(home.node, { tun: packet6(home.identity.hit, laptop.identity.hit, "x".repeat(100)) });
  };
  /** ESP of the other one since the wire was emptied, by where it went. */
  const espTo = ({ world }: Bed, isThere: (to: Locator) => boolean): readonly Uint8Array[] =>
    world.wire.filter(({ from, to, bytes }) => from.address[3] === 2 && isThere(to) && bytes.length > 20 && (to.port === 50 || (bytes[0] ?? 0) >= 0x20)).map(({ bytes }) => bytes);

  it.each(WAYS)("goes there, no more than came from it (%s)", (_what, attributes, laptopHip) => {
    const made = bed(attributes, laptopHip === undefined ? {} : { laptopHip });
    const { world, laptop, home } = made;
    resolved(laptop);
    talks(made, "before");
    for (let i = 0; i < 20; i += 1) world.inject(laptop.node, { tun: packet6(laptop.identity.hit, home.identity.hit, "y".repeat(100)) });
    world.run(100);
    const { local4, local6 } = home.proxy.mappings.byPeer(publicId(laptop.identity.hit))!;
    const heardBytes = [local4, local6].reduce((sum, address) => sum + (address === null ? 0 : (home.node.engine.flowCounters(address)?.bytesIn ?? 0)), 0);
    move(made);
    // Its word is there, and what it is asked is not.
    world.run(15);
    expect(home.node.log.some(({ event }) => event === "peer-moved")).toBe(false);
    world.wire.length = 0;
    sendBack(made, 40);
    const sum = espTo(made, ({ address }) => address[3] === 77).reduce((total, bytes) => total + bytes.length, 0);
    expect(sum).toBeGreaterThan(heardBytes - 500);
    expect(sum).toBeLessThanOrEqual(heardBytes);
    expect(espTo(made, ({ address }) => address[3] === 1)).toEqual([]);
    expect(home.node.engine.counters().drops.credit).toBeGreaterThan(0);
    world.run(20);
    expect(home.node.log.some(({ event }) => event === "peer-moved")).toBe(true);
    world.wire.length = 0;
    sendBack(made, 40);
    expect(espTo(made, ({ address }) => address[3] === 77)).toHaveLength(40);
  });

  it("goes where it was again when it does not answer, and is no more the second time than came meanwhile", () => {
    const made = bed(`address="${HOME}"`, { laptopHip: BOTH });
    const { world, laptop, home } = made;
    resolved(laptop);
    talks(made, "before");
    const seemsToMove = (port: number): void => {
      laptop.node.natPort = port;
      laptop.proxy.setups.hip?.hip.rekey(world.nowMs, 1);
      world.inject(laptop.node, {});
      laptop.node.natPort = null;
      world.run(15);
      world.wire.length = 0;
    };
    for (let i = 0; i < 10; i += 1) world.inject(laptop.node, { tun: packet6(laptop.identity.hit, home.identity.hit, "y".repeat(100)) });
    world.run(100);
    seemsToMove(40_000);
    sendBack(made, 3);
    expect(espTo(made, ({ port }) => port === 40_000).length).toBeGreaterThan(0);
    world.run(5_000);
    expect(home.proxy.setups.hip?.counters.moved).toBe(0);
    world.wire.length = 0;
    sendBack(made, 3);
    expect(espTo(made, ({ port }) => port === 10_500)).toHaveLength(3);
    world.run(5_000);
    seemsToMove(41_000);
    sendBack(made, 3);
    expect(espTo(made, ({ port }) => port === 41_000)).toEqual([]);
    expect(espTo(made, ({ port }) => port === 10_500)).toHaveLength(3);
  });
});

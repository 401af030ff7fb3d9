/** What is expected gets through a flood: a peer's HIP packets and the servers' answers, while 100,000 made-up sources send. Real cores and engines, virtual time. */
import { concatBytes, formatIpText, makeLocator, parseAddressBook, sameBytes, toHex, type HipConfig, type Locator, type ViaLocator } from "@i3/common";
import type { Upcall } from "@i3/datapath";
import { encodeHipPacket, generateHostIdentity, HIP_PACKET } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { addHost, World, type Host } from "../../../test/sim/world.js";
import { KnownPeers } from "../src/setup/known-peers.js";
import { newLink } from "../src/setup/hip-link.js";

const BOTH: HipConfig = { udpPort: 10_500, ipProtocol: true };
const HOME = "198.51.100.2";
/** 25 a ms: what all sources together may is used up a sixth into each second, and less than one may come between two steps. */
const BATCH = 5;
const STEP_MS = 0.2;
const SOURCES = 100_000;

/** UDP over IPv6 without anything in it, nor a checksum that anybody looks at. */
const emptyUdp = (source: Uint8Array, destination: Uint8Array): Uint8Array =>
  concatBytes(Uint8Array.of(0x60, 0, 0, 0, 0, 8, 17, 64), source, destination, Uint8Array.of(0x9c, 0x40, 0, 80, 0, 8, 0x12, 0x34));

/** Addresses that a host's engine was told to know and not to forget, each as often. */
function knownOf({ node: { engine } }: Host): string[] {
  const known: string[] = [];
  const set = engine.setKnownSource.bind(engine);
  engine.setKnownSource = (address, isKnown) => {
    if (isKnown) known.push(toHex(address));
    else known.splice(known.indexOf(toHex(address)), 1);
    set(address, isKnown);
  };
  return known;
}

function bed() {
  const world = new World();
  const ring = world.ring(3);
  world.run(3_000);
  const identity = generateHostIdentity();
  const book = parseAddressBook(`<address-book version="1"><host name="home.i3" hit="${formatIpText(identity.hit)}" address="${HOME}"/></address-book>`, "book.xml");
  const home = addHost(world, HOME, { servers: ring, security: "esp", identity, hip: BOTH });
  const laptop = addHost(world, "198.51.100.1", { servers: [], security: "esp", book, hip: BOTH });
  world.run(10_000, () => home.proxy.isReady(world.nowMs));
  const known = knownOf(home);
  const associations: number[] = [];
  const set = laptop.node.engine.setOutboundAssociation.bind(laptop.node.engine);
  laptop.node.engine.setOutboundAssociation = (name, association) => {
    associations.push(name);
    set(name, association);
  };
  laptop.proxy.names.resolve("home.i3");
  laptop.proxy.installFresh();
  world.inject(laptop.node, { tun: emptyUdp(laptop.identity.hit, identity.hit) });
  world.run(2_000, () => home.node.received.length > 0);
  expect(home.node.received).toHaveLength(1);
  return { world, ring, home, laptop, known, associations };
}

describe("a flood of HIP packets from made-up sources", () => {
  it("takes nothing of what a peer and the servers send", () => {
    const { world, ring, home, laptop, associations } = bed();
    world.run(3_000);
    const heard: ViaLocator[] = [];
    const { core } = home.node;
    home.node.core = {
      handleUpcalls: (nowMs: number, upcalls: readonly Upcall[]) => {
        heard.push(...upcalls.flatMap((upcall) => (upcall.kind === "hip" || upcall.kind === "control" ? [upcall.from] : [])));
        core?.handleUpcalls(nowMs, upcalls);
      },
      handleTimer: (nowMs) => core?.handleTimer(nowMs),
      deadlineMs: () => core?.deadlineMs() ?? Infinity,
    };
    world.wire.length = 0;
    const garbage = (n: number): Uint8Array => {
      const senderHit = concatBytes(Uint8Array.of(0x20, 1, 0, 0x21, n >> 16, n >> 8, n), new Uint8Array(9));
      const packet = encodeHipPacket({ type: n % 4 === 0 ? HIP_PACKET.i2 : HIP_PACKET.update, version: 2, controls: 0, senderHit, receiverHit: home.identity.hit }, []);
      return concatBytes(new Uint8Array(4), packet);
    };
    // From the beginning of a second, in which others soon have had what all of them may.
    world.run(1_000 - (world.nowMs % 1_000));
    for (let n = 0; n < SOURCES; n += BATCH) {
      world.injectAll(home.node, Array.from({ length: BATCH }, (_, i) => ({ from: makeLocator(Uint8Array.of(100, (n + i) >> 16, (n + i) >> 8, n + i), 10_500), bytes: garbage(n + i) })));
      world.run(STEP_MS);
      if (n % 25_000 === 12_500) laptop.proxy.setups.hip?.hip.rekey(world.nowMs, associations[0] ?? 0);
    }
    const isFrom = (address: Uint8Array) => ({ from }: { readonly from: Locator }): boolean => sameBytes(from.address, address);
    /** Packets that this address sent and that should go up; those that just left are still under way. */
    const sent = (address: Uint8Array): number => world.wire.filter(isFrom(address)).filter(({ to, bytes, atMs }) => sameBytes(to.address, home.node.locator.address) && (bytes[0] === 0x19 || bytes[0] === 0) && atMs < world.nowMs - world.delayMs).length;
    const came = (address: Uint8Array): number => heard.map((from) => ({ from })).filter(isFrom(address)).length;
    const expected = [laptop.node, ...ring].map(({ locator: { address } }) => address);
    expect(expected.map(came)).toEqual(expected.map(sent));
    expect([sent(laptop.node.locator.address) > 0, ring.some(({ locator: { address } }) => sent(address) > 2)]).toEqual([true, true]);
    expect([laptop, home].map((host) => (host.proxy.setups.hip?.counters.rekeyed ?? 0) > 1)).toEqual([true, true]);
    expect([home.proxy.isReady(world.nowMs), home.node.engine.counters().drops.rate > SOURCES / 2]).toEqual([true, true]);
  }, 60_000);

  it("knows a peer as long as there is an association with it", () => {
    const { world, home, laptop, known } = bed();
    expect(known).toEqual([toHex(laptop.node.locator.address)]);
    laptop.node.down = true;
    for (let n = 0; n < 120 && known.length > 0; n++) {
      world.inject(home.node, { tun: emptyUdp(home.identity.hit, laptop.identity.hit) });
      world.run(500);
    }
    expect(known).toEqual([]);
  });
});

it("whoever is called, moves or is at one address with another is known as often as needed", () => {
  const known: string[] = [];
  const peers = new KnownPeers({
    setKnownSource: (address, isKnown) => void (isKnown ? known.push(address.join(".")) : known.splice(known.indexOf(address.join(".")), 1)),
    send: () => undefined,
  }, () => 0);
  const [one, other] = [newLink(0), newLink(0)];
  const at = (last: number): Locator => makeLocator(Uint8Array.of(192, 0, 2, last), 10_500);
  const steps: readonly (readonly [() => void, readonly string[]])[] = [
    [() => Object.assign(one, { call: { hit: null, path: { kind: "udp", locator: at(1) }, returnId: null } }), ["192.0.2.1"]],
    [() => Object.assign(one, { association: 1, locator: at(1) }), ["192.0.2.1", "192.0.2.1"]],
    [() => Object.assign(one, { call: null }), ["192.0.2.1"]],
    [() => Object.assign(one, { locator: at(2) }), ["192.0.2.2"]],
    [() => Object.assign(one, { call: { hit: null, path: { kind: "i3", id: new Uint8Array(32) }, returnId: null } }), ["192.0.2.2"]],
    [() => Object.assign(other, { association: 2, locator: at(2) }), ["192.0.2.2", "192.0.2.2"]],
    [() => Object.assign(one, { association: null }), ["192.0.2.2"]],
  ];
  for (const [change, expected] of steps) {
    change();
    peers.update(one);
    peers.update(other);
    expect(known.toSorted()).toEqual(expected);
  }
  peers.forget(other);
  peers.forget(other);
  expect(known).toEqual([]);
});

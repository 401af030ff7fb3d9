/** The plain set-up end to end: two proxies, a ring of three, real cores and engines, virtual time. */
import { describe, expect, it } from "vitest";

import { concatBytes, publicId, toHex, virtualAddress } from "@i3/common";
import { encodeDataHeader, PAYLOAD_KIND } from "@i3/datapath";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, bookOfIds, World, type Host } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson } from "../src/mappings/mapping.js";
import { encodeInit, type InitFields } from "../src/setup/messages.js";
import { addressOf, packet4, roundTrip, sourceOf, textOf } from "./traffic.js";

const RANGE = { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 };

/** Two laptops that know each other, registered with a ring of three. */
function pair(options: { delayMs?: number; loss?: number; byId?: boolean; privateId?: "own"; lifetimeMs?: number; laptopTaken?: (address: Uint8Array) => boolean } = {}) {
  const world = new World({ delayMs: options.delayMs ?? 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const laptopIdentity = generateHostIdentity();
  const homeIdentity = generateHostIdentity();
  const book = (options.byId === true ? bookOfIds : bookOf)({ "laptop.i3": laptopIdentity, "home.i3": homeIdentity });
  const own = options.privateId === undefined ? {} : { privateId: options.privateId };
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: laptopIdentity, book, ...own, ...(options.lifetimeMs === undefined ? {} : { lifetimeMs: options.lifetimeMs }), ...(options.laptopTaken ? { isTaken: options.laptopTaken } : {}) });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: homeIdentity, book, ...own });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  expect(laptop.proxy.isReady(world.nowMs)).toBe(true);
  world.loss = options.loss ?? 0;
  return { world, ring, laptop, home, book };
}

describe("plain set-up", () => {
  it("carries the first packet and its answer with headers preserved at both ends", () => {
    const { world, laptop, home } = pair();
    const home4 = [...virtualAddress(RANGE, publicId(home.identity.hit))].join(".");
    const laptop4 = [...virtualAddress(RANGE, publicId(laptop.identity.hit))].join(".");
    expect(roundTrip(world, laptop, home, "home.i3", "hello")).toEqual({ there: laptop4, back: home4 });
    expect(textOf(home.node.received[0])).toBe("hello");
  });

  it("adds no round trip to the first packet", () => {
    const { world, laptop, home } = pair({ delayMs: 50 });
    const startMs = world.nowMs;
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "home.i3"), "first") });
    world.run(2_000, () => home.node.received.length > 0);
    // Laptop, first-hop server, perhaps the ring's look-up (a round trip between servers), responsible server, home.
    expect(world.nowMs - startMs).toBeLessThanOrEqual(50 * 5);
  });

  it("goes on with data packets of 48 bytes more than the inner packet, straight to the responsible server", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "set-up");
    roundTrip(world, laptop, home, "home.i3", "asks for the cache");
    world.run(1_000);
    world.wire.length = 0;
    roundTrip(world, laptop, home, "home.i3", "two");
    const data = world.wire.filter((d) => d.bytes[0] === 0x11);
    expect(data).toHaveLength(4);
    expect(data.map((d) => d.bytes.length)).toEqual([48 + 23, 48 + 23, 48 + 27, 48 + 27]);
  });

  it("survives loss of a fifth of all datagrams", () => {
    const { world, laptop, home } = pair({ loss: 0.2 });
    const to = addressOf(laptop, "home.i3");
    for (let i = 0; i < 40; i += 1) {
      world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, `n${i}`) });
      world.run(200);
    }
    expect(laptop.proxy.mappings.byAddress(to)?.state).toBe("open");
    // Half to two thirds get through two or three hops: one run in 100,000 comes near this.
    expect(home.node.received.length).toBeGreaterThan(8);
  });

  it("lets both sides start at once", () => {
    const { world, laptop, home } = pair();
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "home.i3"), "from laptop") });
    world.inject(home.node, { tun: packet4(home.proxy.own4, addressOf(home, "laptop.i3"), "from home") });
    world.run(2_000);
    expect(home.node.received.map(textOf)).toEqual(["from laptop"]);
    expect(laptop.node.received.map(textOf)).toEqual(["from home"]);
    expect(roundTrip(world, laptop, home, "home.i3", "again").back).not.toBe("nothing");
  });

  it("works when the book names hosts by id only, and learns the HIT", () => {
    const { world, laptop, home } = pair({ byId: true });
    expect(laptop.proxy.names.resolve("home.i3")).toMatchObject({ v6: null });
    expect(roundTrip(world, laptop, home, "home.i3", "hello").back).not.toBe("nothing");
    expect(laptop.proxy.names.resolve("home.i3")).toMatchObject({ v6: home.identity.hit });
  });

  it("gives a peer a trigger of its own where the rules say so", () => {
    const { world, laptop, home } = pair({ privateId: "own" });
    expect(roundTrip(world, laptop, home, "home.i3", "hello").back).not.toBe("nothing");
    const mapping = laptop.proxy.mappings.byPeer(publicId(home.identity.hit));
    expect(mapping?.ownKey).not.toBeNull();
    expect(toHex(mapping?.ownPrivateId.subarray(0, 16) ?? new Uint8Array())).toBe(toHex(mapping?.ownKey?.prefix ?? new Uint8Array()));
  });

  it("rewrites addresses after a collision", () => {
    const wantedOfHome: string[] = [];
    const { world, laptop, home } = pair({ laptopTaken: (address) => wantedOfHome.includes(toHex(address)) });
    wantedOfHome.push(toHex(virtualAddress(RANGE, publicId(home.identity.hit))));
    const to = addressOf(laptop, "home.i3");
    expect(toHex(to)).not.toBe(wantedOfHome[0]);
    expect(roundTrip(world, laptop, home, "home.i3", "hello").back).toBe([...to].join("."));
    expect([...(home.node.received[0] ?? [])].slice(16, 20)).toEqual([...home.proxy.own4]);
  });

  it("tells the program within 2 s that a name has no trigger, and logs it", () => {
    const { world, laptop, home } = pair();
    home.node.down = true;
    world.run(40_000);
    const to = addressOf(laptop, "home.i3");
    const startMs = world.nowMs;
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, "anybody?") });
    world.run(5_000, () => laptop.node.received.length > 0);
    expect(world.nowMs - startMs).toBeLessThan(2_000);
    const icmp = laptop.node.received[0] ?? new Uint8Array();
    expect([icmp[9], icmp[20], icmp[21]]).toEqual([1, 3, 1]);
    expect(laptop.node.log.some((line) => line.event === "unreachable" && line.fields["peer"] === "home.i3")).toBe(true);
  });

  it("says so as soon of a host that was there some minutes ago", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    home.node.down = true;
    world.run(120_000);
    const startMs = world.nowMs;
    laptop.node.received.length = 0;
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "home.i3"), "still there?") });
    world.run(15_000, () => laptop.node.received.length > 0);
    expect(world.nowMs - startMs).toBeLessThan(2_000);
  });

  it("reaches a host that comes back after it was unreachable", () => {
    const { world, laptop, home } = pair();
    home.node.down = true;
    world.run(40_000);
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "home.i3"), "anybody?") });
    world.run(4_000);
    home.node.down = false;
    world.run(10_000, () => home.proxy.isReady(world.nowMs));
    expect(roundTrip(world, laptop, home, "home.i3", "back?").back).not.toBe("nothing");
  });

  it("uses a cached address again after ten minutes", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "first");
    world.run(600_000);
    const startMs = world.nowMs;
    expect(roundTrip(world, laptop, home, "home.i3", "later").back).not.toBe("nothing");
    expect(world.nowMs - startMs).toBeLessThan(1_000);
  });

  it("heals when the callee has forgotten a caller whom it does not know by name", () => {
    const { world, laptop, home } = pair();
    home.proxy.setBook(bookOf({ "home.i3": home.identity }));
    for (const pauseMs of [0, 125_000, 30_000, 400_000]) {
      world.run(pauseMs);
      expect(roundTrip(world, laptop, home, "home.i3", `after ${pauseMs}`).back, `after ${pauseMs} ms of silence`).not.toBe("nothing");
    }
  });

  it("ends a mapping when its time after the last use is over, and not before", () => {
    const { world, laptop, home } = pair({ lifetimeMs: 200_000 });
    roundTrip(world, laptop, home, "home.i3", "first");
    world.run(190_000);
    expect(laptop.proxy.mappings.size).toBe(1);
    world.run(15_000);
    expect(laptop.proxy.mappings.size).toBe(0);
  });
});

describe("a server fails", () => {
  for (const which of [0, 1, 2]) {
    it(`traffic is back in 6 s when server ${which + 1} falls silent`, () => {
      const { world, ring, laptop, home } = pair();
      roundTrip(world, laptop, home, "home.i3", "before");
      world.run(2_000);
      (ring[which] as (typeof ring)[0]).down = true;
      const startMs = world.nowMs;
      const to = addressOf(laptop, "home.i3");
      let back = false;
      while (!back && world.nowMs - startMs < 20_000) {
        const text = `t${world.nowMs}`;
        world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, text) });
        world.run(200);
        back = home.node.received.some((p) => textOf(p) === text);
        if (world.nowMs - startMs < 400) back = false;
      }
      for (let i = 0; roundTrip(world, laptop, home, "home.i3", `after ${i}`).back === "nothing"; i += 1) expect(i).toBeLessThan(3);
      expect(world.nowMs - startMs).toBeLessThan(9_000);
    });
  }
});

describe("a proxy restarts", () => {
  it("keeps its mappings: both directions go on", () => {
    const { world, ring, laptop, home, book } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    const saved = [...laptop.proxy.mappings.all()];
    const restored = saved.map((m) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(m)))));
    laptop.node.down = true;
    world.run(3_000);
    world.nodes.delete([...world.nodes.entries()].find(([, n]) => n === laptop.node)?.[0] ?? "");
    const again = addHost(world, "198.51.100.1", { servers: ring, identity: laptop.identity, sharedKey: laptop.sharedKey, book, restored });
    world.run(10_000, () => again.proxy.isReady(world.nowMs));
    const to = addressOf(again, "home.i3");
    expect(toHex(to)).toBe(toHex(saved[0]?.local4 ?? new Uint8Array()));
    world.inject(again.node, { tun: packet4(again.proxy.own4, to, "same session") });
    world.run(2_000);
    expect(home.node.received.map(textOf)).toContain("same session");
    world.inject(home.node, { tun: packet4(home.proxy.own4, addressOf(home, "laptop.i3"), "and back") });
    world.run(2_000);
    expect(again.node.received.map(textOf)).toContain("and back");
  });
});

describe("an own address that collides", () => {
  it("stays the same over a restart, so that sessions go on", () => {
    const taken = new Set<string>();
    const { world, ring, laptop, home, book } = pair({ laptopTaken: (address) => taken.has(toHex(address)) });
    roundTrip(world, laptop, home, "home.i3", "before");
    const restored = [...laptop.proxy.mappings.all()].map((m) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(m)))));
    world.nodes.delete([...world.nodes.entries()].find(([, n]) => n === laptop.node)?.[0] ?? "");
    const lastOwn4 = Uint8Array.of(10, 9, 8, 7);
    const kept = addHost(world, "198.51.100.1", { servers: ring, identity: laptop.identity, sharedKey: laptop.sharedKey, book, restored: [], lastOwn4 });
    expect([...kept.proxy.own4]).toEqual([10, 9, 8, 7]);
    // And when it must change, the peer is called again with the new one.
    taken.add(toHex(laptop.proxy.own4));
    world.nodes.delete([...world.nodes.entries()].find(([, n]) => n === kept.node)?.[0] ?? "");
    const again = addHost(world, "198.51.100.1", {
      servers: ring, identity: laptop.identity, sharedKey: laptop.sharedKey, book, restored, lastOwn4: laptop.proxy.own4, isTaken: (address) => taken.has(toHex(address)),
    });
    world.run(10_000, () => again.proxy.isReady(world.nowMs));
    expect([...again.proxy.own4]).not.toEqual([...laptop.proxy.own4]);
    expect(roundTrip(world, again, home, "home.i3", "after").back).not.toBe("nothing");
  });
});

describe("a clock that went back", () => {
  it("does not keep a restarted proxy from calling: counters go on from the journal", () => {
    const { world, ring, laptop, home, book } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    const restored = [...laptop.proxy.mappings.all()].map((m) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(m)))));
    world.nodes.delete([...world.nodes.entries()].find(([, n]) => n === laptop.node)?.[0] ?? "");
    const honest = world.wallMs;
    world.wallMs = () => honest() - 3_600_000;
    const again = addHost(world, "198.51.100.1", { servers: ring, identity: laptop.identity, book, restored });
    world.run(10_000, () => again.proxy.isReady(world.nowMs));
    // The home machine has forgotten its side, so the laptop must call again.
    const to = addressOf(again, "home.i3");
    again.proxy.setups.plain.handleNotPresent(world.nowMs, restored[0]?.peer?.privateId ?? new Uint8Array(32));
    world.inject(again.node, { tun: packet4(again.proxy.own4, to, "called again") });
    world.run(3_000);
    expect(home.node.received.map(textOf)).toContain("called again");
    expect(home.proxy.setups.plain.counters.replayed).toBe(0);
  });
});

describe("liars", () => {
  const fieldsOf = (world: World, home: Host, overrides: Partial<InitFields> = {}): InitFields => ({
    calleeId: publicId(home.identity.hit), callerPrivateId: world.random(32), counter: world.wallMs() + 1_000_000,
    own4: Uint8Array.of(10, 1, 1, 1), peer4: home.proxy.own4, own6: new Uint8Array(16), peer6: new Uint8Array(16), ...overrides,
  });
  const deliver = (world: World, home: Host, message: Uint8Array, packet: Uint8Array): void => {
    const header = encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 64, payloadKind: PAYLOAD_KIND.setUp, nonce: world.random(8), ids: [publicId(home.identity.hit)] });
    world.inject(home.node, { udp: { from: [...world.nodes.values()][0]?.locator as never, bytes: concatBytes(header, message, packet) } });
  };

  it("who claims another's key gets a random address and touches no living mapping", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    const mapping = home.proxy.mappings.byPeer(publicId(laptop.identity.hit));
    const before = { peer: mapping?.peer, counter: mapping?.peerCounter };
    const genuine = encodeInit(fieldsOf(world, home), laptop.identity);
    const forged = Uint8Array.from(genuine);
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1; // the signature no longer holds
    deliver(world, home, forged, packet4(Uint8Array.of(10, 1, 1, 1), home.proxy.own4, "evil"));
    expect({ peer: mapping?.peer, counter: mapping?.peerCounter }).toEqual(before);
    const evil = home.node.received.find((p) => textOf(p) === "evil");
    expect(evil).toBeDefined();
    expect(sourceOf(evil)).not.toBe([...laptop.proxy.own4].join("."));
    expect(sourceOf(evil)).not.toBe("10.1.1.1");
    const unproven = [...home.proxy.mappings.all()].find((m) => m.peerId === null);
    expect(toHex(unproven?.local6?.subarray(0, 4) ?? new Uint8Array())).toBe("fd693300");
    expect(roundTrip(world, laptop, home, "home.i3", "after").back).not.toBe("nothing");
  });

  it("who proves nothing and names a peer's public id as its own gets a mapping of its own", () => {
    const { world, laptop, home } = pair();
    const attack = (): void => {
      const callerPrivateId = publicId(laptop.identity.hit);
      deliver(world, home, encodeInit(fieldsOf(world, home, { callerPrivateId, counter: Number.MAX_SAFE_INTEGER }), null), packet4(Uint8Array.of(10, 1, 1, 1), home.proxy.own4, "evil"));
    };
    // Before the victim has a mapping, when its name was only looked up, and when it is open.
    attack();
    addressOf(home, "laptop.i3");
    attack();
    expect(roundTrip(world, laptop, home, "home.i3", "genuine").there).toBe([...laptop.proxy.own4].join("."));
    attack();
    expect(home.proxy.mappings.byPeer(publicId(laptop.identity.hit))).toMatchObject({ state: "open", peer: { own4: laptop.proxy.own4 } });
    expect([...home.proxy.mappings.all()].filter((m) => m.peerId === null)).toHaveLength(1);
    const evil = home.node.received.filter((p) => textOf(p) === "evil").map(sourceOf);
    expect(evil.length).toBeGreaterThan(0);
    expect(evil).not.toContain([...laptop.proxy.own4].join("."));
    expect(home.proxy.setups.plain.counters.replayed).toBe(0);
    expect(roundTrip(world, laptop, home, "home.i3", "still").back).not.toBe("nothing");
  });

  it("a private id that is public is refused, and the mapping keeps the one it had", () => {
    const { world, laptop, home } = pair();
    const stranger = generateHostIdentity();
    const own = world.random(32);
    deliver(world, home, encodeInit(fieldsOf(world, home, { callerPrivateId: own, counter: 10 }), stranger), new Uint8Array());
    for (const callerPrivateId of [publicId(home.identity.hit), publicId(stranger.hit)]) {
      deliver(world, home, encodeInit(fieldsOf(world, home, { callerPrivateId, counter: 20 }), stranger), new Uint8Array());
      deliver(world, home, encodeInit(fieldsOf(world, home, { callerPrivateId, counter: 20 }), stranger), new Uint8Array());
      world.run(200);
    }
    expect(home.proxy.mappings.byPeer(publicId(stranger.hit))).toMatchObject({ peerCounter: 10, peer: { privateId: own } });
    expect(home.proxy.internalErrors).toBe(0);
    expect(roundTrip(world, laptop, home, "home.i3", "hello").back).not.toBe("nothing");
  });

  it.each(["ecdsa-p384", "rsa"] as const)("a host of %s has its public id on the ring, and neither calls nor answers", (algorithm) => {
    const { world, ring, laptop, book } = pair();
    const other = addHost(world, "198.51.100.7", { servers: ring, identity: generateHostIdentity(algorithm), book });
    world.run(10_000, () => other.proxy.isReady(world.nowMs));
    expect(other.proxy.isReady(world.nowMs)).toBe(true);
    deliver(world, other, encodeInit(fieldsOf(world, other), laptop.identity), new Uint8Array());
    expect(other.proxy.setups.plain.counters.unexpected).toBe(1);
    expect(other.proxy.mappings.size).toBe(0);
    world.inject(other.node, { tun: packet4(other.proxy.own4, addressOf(other, "laptop.i3"), "hello") });
    world.run(3_000);
    expect(laptop.node.received).toEqual([]);
    expect([other.proxy.internalErrors, laptop.proxy.internalErrors]).toEqual([0, 0]);
  });

  it("a stranger's share is a part of the table, also after a restart", () => {
    const { world, home } = pair();
    for (let i = 0; i < 300; i += 1) {
      deliver(world, home, encodeInit(fieldsOf(world, home), generateHostIdentity()), new Uint8Array());
      if (i % 50 === 49) world.run(200);
    }
    expect(home.proxy.mappings.size).toBe(250);
    const restored = [...home.proxy.mappings.all()].map((m) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(m)))));
    expect(restored.every((m) => m.isStranger)).toBe(true);
    const again = addHost(world, "198.51.100.9", { servers: [], identity: home.identity, restored });
    world.run(130_000);
    expect(again.proxy.mappings.size).toBe(0);
  });

  it("a replayed INIT changes nothing", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    const mapping = home.proxy.mappings.byPeer(publicId(laptop.identity.hit));
    const before = mapping?.peer;
    deliver(world, home, encodeInit(fieldsOf(world, home, { counter: 1 }), laptop.identity), packet4(laptop.proxy.own4, home.proxy.own4, "old"));
    expect(mapping?.peer).toBe(before);
    expect(home.proxy.setups.plain.counters.replayed).toBe(1);
    expect(home.node.received.map(textOf)).not.toContain("old");
  });

  it("an INIT for another host is not accepted", () => {
    const { world, laptop, home } = pair();
    deliver(world, home, encodeInit(fieldsOf(world, home, { calleeId: publicId(laptop.identity.hit) }), laptop.identity), new Uint8Array());
    expect(home.proxy.mappings.size).toBe(0);
    expect(home.proxy.setups.plain.counters.malformed).toBe(1);
  });

  it("peers who prove nothing fill only their share", () => {
    const { world, laptop, home } = pair();
    for (let i = 0; i < 20; i += 1) deliver(world, home, encodeInit(fieldsOf(world, home), null), new Uint8Array());
    expect(home.proxy.mappings.size).toBe(8);
    expect(home.proxy.setups.plain.counters.mappingsFull).toBe(12);
    expect(roundTrip(world, laptop, home, "home.i3", "hello").back).not.toBe("nothing");
  });

  it("any bytes as a set-up message are counted and nothing else", () => {
    const { world, laptop, home } = pair();
    for (let length = 0; length < 300; length += 7) deliver(world, home, world.random(length), new Uint8Array());
    expect(home.proxy.mappings.size).toBe(0);
    expect(home.proxy.setups.plain.counters.malformed).toBe(43);
    expect(roundTrip(world, laptop, home, "home.i3", "hello").back).not.toBe("nothing");
  });
});

/** Names bind to keys: bare ids, trust on first use, pins, impostors. Real cores and engines in virtual time. */
import { describe, expect, it } from "vitest";

import { EMPTY_ADDRESS_BOOK, formatIpText, locatorKey, nameId, publicId, sameBytes, toHex, virtualAddress, type AddressBook, type ProxyRule } from "@i3/common";
import { generateHostIdentity, type HostIdentity } from "@i3/hip";

import { addHost, bookOf, bookOfIds, World, type Host, type HostOptions, type Node } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson, type Mapping } from "../src/mappings/mapping.js";
import { Pins } from "../src/policy/pins.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

const NAME = "box.try.i3";
const RANGE = { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 };
const rule = (source: RegExp, trust: "book" | "first-use"): ProxyRule => ({ pattern: { source: source.source, expression: source }, line: 1, go: "i3", service: undefined, security: "esp", trust, privateId: "shared", shortcut: true });
const RULES = [rule(/^.*\.try\.i3$/i, "first-use"), rule(/^.*\.i3$/i, "book")];

interface Bed {
  readonly world: World;
  readonly ring: readonly Node[];
  readonly laptop: Host;
  add(address: string, options?: Partial<HostOptions>): Host;
  settle(host: Host): void;
}

/** A ring that takes claims, and a laptop that trusts names under try.i3 on first use. */
function bed(options: Partial<HostOptions> = {}): Bed {
  const world = new World();
  const ring = world.ring(3);
  world.run(10_000);
  const settle = (host: Host): void => {
    world.run(20_000, () => host.proxy.isReady(world.nowMs) && host.proxy.client.triggers(world.nowMs).every(({ live }) => live));
    expect(host.proxy.isReady(world.nowMs)).toBe(true);
  };
  const add = (address: string, more: Partial<HostOptions> = {}): Host => {
    const host = addHost(world, address, { servers: ring, rules: RULES, ...more });
    settle(host);
    return host;
  };
  return { world, ring, laptop: add("198.51.100.1", options), add, settle };
}

const box = (at: Bed, address = "198.51.100.2", options: Partial<HostOptions> = {}): Host => at.add(address, { publishedNames: [NAME], ...options });
const leave = (at: Bed, host: Host): void => {
  host.proxy.stop(at.world.nowMs);
  at.world.run(2_000);
  at.world.nodes.delete(locatorKey(host.node.locator));
};
const send = (world: World, from: Host, to: Uint8Array, text: string): void => world.inject(from.node, { tun: packet4(from.proxy.own4, to, text) });
const logged = (host: Host, event: string): readonly Readonly<Record<string, unknown>>[] => host.node.log.filter((line) => line.event === event).map(({ fields }) => fields);
const pinsWith = (identity: HostIdentity): Pins => {
  const pins = new Pins();
  pins.add(NAME, identity.hit, Date.UTC(2026, 0, 31));
  return pins;
};
const mappingsAgain = (host: Host): readonly Mapping[] => [...host.proxy.mappings.all()].map((mapping) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(mapping)))));
/** I2 packets behind data headers for a host's public id. */
const i2sTo = (world: World, host: Host): number => {
  const id = publicId(host.identity.hit);
  return world.wire.filter(({ bytes }) => bytes[0] === 0x11 && bytes[5] === 3 && bytes[50] === 3 && sameBytes(bytes.subarray(16, 48), id)).length;
};

describe("a host that the book has by its id", () => {
  const known = (book: (names: Readonly<Record<string, HostIdentity>>) => AddressBook) => {
    const identity = generateHostIdentity();
    const at = bed({ book: book({ "home.i3": identity }) });
    return { ...at, home: at.add("198.51.100.2", { identity }) };
  };

  it("is called there, and reached", () => {
    const { world, laptop, home } = known(bookOfIds);
    expect(laptop.proxy.names.resolve("home.i3")).toMatchObject({ v6: null });
    expect(roundTrip(world, laptop, home, "home.i3", "hello").back).not.toBe("nothing");
    expect(laptop.proxy.names.resolve("home.i3")).toMatchObject({ v6: home.identity.hit });
  });

  it("is not answered for by a name, and nobody is told a key at an id of one peer", () => {
    const { world, laptop, home } = known(bookOfIds);
    roundTrip(world, laptop, home, "home.i3", "hello");
    const answered = home.node.engine.counters().hipAnswered;
    const privateId = [...home.proxy.mappings.all()][0]?.ownPrivateId as Uint8Array;
    const openly = world.wire.find(({ bytes }) => bytes[0] === 0x11 && bytes[5] === 3 && bytes[50] === 1);
    const again = Uint8Array.from(openly?.bytes ?? []);
    again.set(privateId, 16);
    world.inject(home.node, { udp: { from: laptop.node.locator, bytes: again } });
    expect(home.node.engine.counters().hipAnswered).toBe(answered);
  });
});

describe("a name that is trusted on first use", () => {
  it("is reached by its name alone, and its key is kept when it is proven", () => {
    const pins = new Pins();
    const at = bed({ pins });
    const { world, laptop } = at;
    const host = box(at);
    expect(laptop.proxy.names.resolve(NAME)).toEqual({ v4: virtualAddress(RANGE, nameId(NAME)), v6: null });
    expect(pins.size).toBe(0);
    expect(roundTrip(world, laptop, host, NAME, "hello").back).not.toBe("nothing");
    expect(pins.get(NAME)?.hit).toEqual(host.identity.hit);
    expect(laptop.proxy.names.resolve(NAME)).toEqual({ v4: virtualAddress(RANGE, nameId(NAME)), v6: host.identity.hit });
    expect([laptop.proxy.mappings.size, laptop.proxy.mappings.byPeer(publicId(host.identity.hit))?.name]).toEqual([1, NAME]);
    expect(roundTrip(world, laptop, host, NAME, "again").back).not.toBe("nothing");
    expect(logged(laptop, "key-pinned")).toEqual([{ name: NAME, hit: formatIpText(host.identity.hit), file: "/s/pins" }]);
  });

  it("is called by its key and at its host's id from then on", () => {
    const at = bed();
    const identity = generateHostIdentity();
    const host = box(at, "198.51.100.2", { identity });
    const later = at.add("198.51.100.9", { pins: pinsWith(identity) });
    at.world.wire.length = 0;
    expect(later.proxy.names.resolve(NAME)).toEqual({ v4: virtualAddress(RANGE, publicId(identity.hit)), v6: identity.hit });
    expect(roundTrip(at.world, later, host, NAME, "hello").back).not.toBe("nothing");
    expect(at.world.wire.some(({ bytes }) => sameBytes(bytes.subarray(16, 48), nameId(NAME)))).toBe(false);
  });

  it("does not exist without a rule for it, and a host that claims it says so of its own", () => {
    const at = bed();
    expect(at.laptop.proxy.names.resolve("box.other.i3")).toBe("unknown");
    const host = box(at);
    expect(host.proxy.names.resolve("BOX.try.i3")).toEqual({ v4: host.proxy.own4, v6: host.identity.hit });
  });

  it("that nobody claims is unreachable, soon", () => {
    const { world, laptop } = bed();
    send(world, laptop, addressOf(laptop, NAME), "anybody?");
    world.run(2_000);
    expect(logged(laptop, "unreachable")).toMatchObject([{ peer: NAME, why: "no host has registered this name's id", remedy: expect.stringContaining("<published-names>") as unknown }]);
  });

  it("survives a restart of both, the pin and the addresses with it", () => {
    const pins = new Pins();
    const at = bed({ pins });
    const { world, laptop } = at;
    const host = box(at);
    expect(roundTrip(world, laptop, host, NAME, "before").back).not.toBe("nothing");
    world.run(4_000);
    const [ofLaptop, ofHost] = [mappingsAgain(laptop), mappingsAgain(host)];
    for (const each of [laptop, host]) world.nodes.delete(locatorKey(each.node.locator));
    const again = box(at, "198.51.100.2", { identity: host.identity, sharedKey: host.sharedKey, restored: ofHost, lastOwn4: host.proxy.own4 });
    const laptopAgain = at.add("198.51.100.1", { identity: laptop.identity, sharedKey: laptop.sharedKey, restored: ofLaptop, lastOwn4: laptop.proxy.own4, pins });
    send(world, laptopAgain, virtualAddress(RANGE, nameId(NAME)), "after");
    world.run(5_000, () => again.node.received.some((packet) => textOf(packet) === "after"));
    expect(again.node.received.map(textOf)).toContain("after");
    expect(pins.size).toBe(1);
  });

  it("of a host that has an address here already is reached by asking again", () => {
    const at = bed();
    const { world, laptop } = at;
    const host = box(at);
    const book = bookOf({ "laptop.i3": laptop.identity });
    host.proxy.setBook(book);
    expect(roundTrip(world, host, laptop, "laptop.i3", "from the box").back).not.toBe("nothing");
    expect(roundTrip(world, laptop, host, NAME, "first").there).toBe("nothing");
    expect(logged(laptop, "known-host")).toHaveLength(1);
    expect(roundTrip(world, laptop, host, NAME, "second").back).not.toBe("nothing");
    expect(laptop.proxy.mappings.size).toBe(1);
  });

  it("takes up a share of the table only, whatever programs ask for", () => {
    const { laptop } = bed();
    const answers = Array.from({ length: 20 }, (_, i) => laptop.proxy.names.resolve(`n${i}.try.i3`));
    expect(answers.filter((answer) => answer === "unavailable")).toHaveLength(12);
    expect(logged(laptop, "mappings-full")[0]?.["remedy"]).toMatch(/max-unproven/);
  });
});

describe("an impostor who claims the name", () => {
  it("is refused before anything is said to it when the host is away, with both keys and what to do", () => {
    const at = bed();
    const owner = generateHostIdentity();
    const later = at.add("198.51.100.9", { pins: pinsWith(owner) });
    const impostor = box(at, "198.51.100.66");
    at.world.wire.length = 0;
    const { there } = roundTrip(at.world, later, impostor, NAME, "who is it");
    expect(there).toBe("nothing");
    expect(i2sTo(at.world, impostor)).toBe(0);
    const [{ error = "", remedy = "" } = {}] = logged(later, "wrong-key") as readonly { readonly error: string; readonly remedy: string }[];
    expect(error).toMatch(/^box\.try\.i3 answered with the key of 2001:2\S+, but has had that of 2001:2\S+ since 2026-01-31$/);
    expect(remedy).toMatch(/^If its owner says that the key is new, stop i3-proxy, delete the line of box\.try\.i3 in \/s\/pins and start it again; otherwise/);
    expect(logged(later, "unreachable")).toMatchObject([{ why: "another key answered than the one of its name", remedy: expect.stringContaining("wrong-key") as unknown }]);
    expect(later.proxy.mappings.byPeer(publicId(impostor.identity.hit))).toBeUndefined();
  });

  it("of one name of an absent host is not told of, nor called, when programs ask for another name of it", () => {
    const OTHER = "nas.try.i3";
    const at = bed();
    const owner = generateHostIdentity();
    const pins = pinsWith(owner);
    pins.add(OTHER, owner.hit, 0);
    const later = at.add("198.51.100.9", { pins });
    addressOf(later, NAME);
    box(at, "198.51.100.66");
    send(at.world, later, addressOf(later, OTHER), "anybody?");
    at.world.run(3_000);
    expect([logged(later, "wrong-key"), logged(later, "unreachable").map(({ why }) => why)]).toEqual([[], ["no host has registered this name's id"]]);
    at.add("198.51.100.67", { publishedNames: [OTHER] });
    send(at.world, later, addressOf(later, OTHER), "and now?");
    at.world.run(3_000);
    expect(logged(later, "wrong-key")).toMatchObject([{ peer: OTHER, error: expect.stringContaining(`${OTHER} answered with`) as unknown }]);
  });

  it("keeps nobody who has the pin from the host", () => {
    const at = bed();
    const identity = generateHostIdentity();
    const later = at.add("198.51.100.9", { pins: pinsWith(identity) });
    for (const address of ["198.51.100.66", "198.51.100.67", "198.51.100.68", "198.51.100.69"]) box(at, address);
    const host = at.add("198.51.100.2", { identity });
    expect(roundTrip(at.world, later, host, NAME, "hello").back).not.toBe("nothing");
    expect(logged(later, "wrong-key")).toEqual([]);
  });

  it("does not get what is for a host that comes back", () => {
    const pins = new Pins();
    const at = bed({ pins });
    const { world, laptop } = at;
    const host = box(at);
    expect(roundTrip(world, laptop, host, NAME, "before").back).not.toBe("nothing");
    leave(at, host);
    const impostor = box(at, "198.51.100.66");
    // The laptop hears nothing, and asks who has the name.
    for (let i = 0; i < 40; i += 1) {
      send(world, laptop, addressOf(laptop, NAME), `n${i}`);
      world.run(1_000);
    }
    expect(impostor.node.received).toEqual([]);
    expect(logged(laptop, "wrong-key")).toHaveLength(1);
    expect(pins.get(NAME)?.hit).toEqual(host.identity.hit);
    const again = box(at, "198.51.100.2", { identity: host.identity, sharedKey: host.sharedKey });
    for (let i = 0; i < 20; i += 1) {
      send(world, laptop, addressOf(laptop, NAME), `m${i}`);
      world.run(1_000);
    }
    expect(roundTrip(world, laptop, again, NAME, "after").back).not.toBe("nothing");
  });

  it("and was first is cut off when the book says who it is", () => {
    const at = bed({ pins: new Pins() });
    const { world, laptop } = at;
    const impostor = box(at, "198.51.100.66");
    expect(roundTrip(world, laptop, impostor, NAME, "hello").back).not.toBe("nothing");
    const identity = generateHostIdentity();
    const to = addressOf(laptop, NAME);
    laptop.proxy.setBook(bookOf({ [NAME]: identity }));
    expect(logged(laptop, "name-in-book")).toHaveLength(1);
    const before = impostor.node.received.length;
    send(world, laptop, to, "still you?");
    world.run(2_000);
    expect(impostor.node.received).toHaveLength(before);
    const host = at.add("198.51.100.2", { identity });
    expect(roundTrip(world, laptop, host, NAME, "the right one").back).not.toBe("nothing");
  });

  it("of a full pin file is not trusted, and the log says why", () => {
    const pins = new Pins(1);
    pins.add("other.try.i3", generateHostIdentity().hit, 0);
    const at = bed({ pins });
    const host = box(at);
    expect(roundTrip(at.world, at.laptop, host, NAME, "hello").there).toBe("nothing");
    expect(logged(at.laptop, "wrong-key")[0]?.["error"]).toMatch(/1 keys are remembered already/);
  });
});

describe("claims", () => {
  it("that the ring refuses are told once, with what to do, and the host is ready", () => {
    const world = new World();
    const ring = world.ring(1);
    world.run(3_000);
    const others = ["198.51.100.61", "198.51.100.62", "198.51.100.63", "198.51.100.64"].map((address) => addHost(world, address, { servers: ring, rules: RULES, publishedNames: [NAME] }));
    world.run(10_000);
    const late = addHost(world, "198.51.100.65", { servers: ring, rules: RULES, publishedNames: [NAME], book: EMPTY_ADDRESS_BOOK });
    world.run(60_000);
    expect(others.every(({ proxy }) => proxy.isReady(world.nowMs))).toBe(true);
    expect(late.proxy.isReady(world.nowMs)).toBe(true);
    expect(logged(late, "name-refused")).toMatchObject([{ name: NAME, code: 6 }]);
    expect(toHex(nameId(NAME))).toHaveLength(64);
  });
});

/** What programs and people hear of hosts that are gone, refused, busy or have another key now. Virtual time. */
import { describe, expect, it } from "vitest";

import { formatIpText, locatorKey, parseAddressBook, type AddressBook } from "@i3/common";
import { generateHostIdentity, type HostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host, type HostOptions } from "../../../test/sim/world.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

function pair(ofHome: Partial<HostOptions> = {}, ofLaptop: Partial<HostOptions> = {}) {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [a, b] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": a, "home.i3": b });
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: a, book, security: "esp", ...ofLaptop });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: b, book, security: "esp", ...ofHome });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  return { world, laptop, home, a, b };
}

const logged = (host: Host, event: string): readonly Readonly<Record<string, unknown>>[] => host.node.log.filter((line) => line.event === event).map(({ fields }) => fields);
const send = (world: World, from: Host, to: Uint8Array, text: string): void => world.inject(from.node, { tun: packet4(from.proxy.own4, to, text) });
const isUnreachable = (packet: Uint8Array): boolean => packet[9] === 1 && packet[20] === 3 && packet[21] === 1;

describe("a host that was there and is gone", () => {
  it("is unreachable to programs soon after the first packets that nothing answers, and reached again when it is back", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    const to = addressOf(laptop, "home.i3");
    for (const awayMs of [1_000, 180_000]) {
      home.node.down = true;
      world.run(awayMs);
      const [atMs, before] = [world.nowMs, laptop.node.received.length];
      const hears = (): boolean => laptop.node.received.slice(before).some(isUnreachable);
      for (let n = 0; n < 60 && !hears(); n += 1) {
        send(world, laptop, to, `packet ${n}`);
        world.run(500);
      }
      expect([hears(), world.nowMs - atMs <= 18_000]).toEqual([true, true]);
      expect(logged(laptop, "unreachable").at(-1)).toMatchObject({ peer: "home.i3" });
      home.node.down = false;
      world.run(60_000);
      expect(roundTrip(world, laptop, home, "home.i3", `back after ${awayMs}`).back).not.toBe("nothing");
    }
  });

  it("is not given up while something is heard of it, though nobody answers a fresh exchange", () => {
    for (const isHeard of [true, false]) {
      const { world, laptop, home } = pair();
      roundTrip(world, laptop, home, "home.i3", "before");
      world.run(12_000);
      const [to, back] = [addressOf(laptop, "home.i3"), addressOf(home, "laptop.i3")];
      Object.assign(home.proxy.setups.hip?.hip ?? {}, { handle: () => undefined });
      const privateId = laptop.proxy.mappings.byPeer(home.proxy.ownId)?.peer?.privateId as Uint8Array;
      laptop.proxy.setups.handleNotPresent(world.nowMs, privateId);
      for (let n = 0; n < 16; n += 1) {
        send(world, laptop, to, `there ${n}`);
        if (isHeard) send(world, home, back, `back ${n}`);
        world.run(500);
      }
      expect([logged(laptop, "unreachable").length, laptop.node.received.some(isUnreachable)]).toEqual(isHeard ? [0, false] : [1, true]);
    }
  });
});

describe.each(["esp", "none"] as const)("the ring under an open mapping, with security=\"%s\"", (security) => {
  it("is silent: programs that send ever more slowly hear so within 15 s, and go on with the same keys when it is back", () => {
    const { world, laptop, home } = pair({ security }, { security });
    roundTrip(world, laptop, home, "home.i3", "before");
    const servers = [...world.nodes.values()].filter((node) => node !== laptop.node && node !== home.node);
    for (const server of servers) server.down = true;
    const [to, before] = [addressOf(laptop, "home.i3"), laptop.node.received.length];
    const hears = (): boolean => laptop.node.received.slice(before).some(isUnreachable);
    // As TCP repeats.
    for (const ms of [200, 400, 800, 1_600, 3_200, 6_400]) {
      send(world, laptop, to, `again ${ms}`);
      world.run(ms);
    }
    send(world, laptop, to, "once more");
    world.run(10);
    expect([hears(), laptop.proxy.mappings.byPeer(home.proxy.ownId)?.state]).toEqual([true, "open"]);
    for (const server of servers) server.down = false;
    world.run(8_000);
    const opened = logged(laptop, "mapping-open").length;
    expect([roundTrip(world, laptop, home, "home.i3", "after").back, logged(laptop, "mapping-open").length]).toEqual([expect.stringMatching(/^10\./), opened]);
  });
});

describe("a host that is stopped", () => {
  const leave = (world: World, host: Host): void => {
    host.proxy.leave(world.nowMs);
    world.inject(host.node, {});
  };
  /** As the daemon does it: everybody is told, then the triggers go. */
  function stop(world: World, host: Host): number {
    const beganMs = world.nowMs;
    leave(world, host);
    world.run(5_000, () => host.proxy.leave(world.nowMs));
    const tookMs = world.nowMs - beganMs;
    host.proxy.stop(world.nowMs);
    world.run(500);
    host.node.down = true;
    return tookMs;
  }

  it("tells its peers: their log says so, and programs hear host unreachable soon; nothing goes with the old keys", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    world.run(10_000);
    const to = addressOf(laptop, "home.i3");
    expect(stop(world, home)).toBeLessThan(200);
    expect([logged(laptop, "association-closed"), logged(laptop, "unreachable")]).toMatchObject([[{ peer: "home.i3", why: expect.stringContaining("closed by the peer") as unknown }], []]);
    const [atMs, before] = [world.nowMs, laptop.node.received.length];
    world.wire.length = 0;
    send(world, laptop, to, "anybody there");
    world.run(10_000, () => laptop.node.received.slice(before).some(isUnreachable));
    expect([laptop.node.received.slice(before).some(isUnreachable), world.nowMs - atMs <= 2_000]).toEqual([true, true]);
    // Payload kind 4 is ESP.
    expect(world.wire.filter(({ bytes }) => bytes[0] === 0x11 && bytes[5] === 4)).toEqual([]);
  });

  it("does so again when that was lost, answers no call meanwhile and begins none", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    world.run(10_000);
    world.loss = 1;
    leave(world, home);
    world.run(100);
    world.loss = 0;
    const before = home.node.received.length;
    send(world, home, addressOf(home, "laptop.i3"), "from a host that goes");
    world.run(600, () => home.proxy.leave(world.nowMs));
    expect([home.node.received.slice(before).some(isUnreachable), logged(laptop, "association-closed").length, home.proxy.leave(world.nowMs)]).toEqual([true, 1, true]);
    send(world, laptop, addressOf(laptop, "home.i3"), "what now");
    world.run(5_000);
    expect([home.node.received.map(textOf).includes("what now"), home.proxy.setups.hip?.hip.sizes.associations]).toEqual([false, 0]);
  });

  it("does not wait for one that is gone for ever", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    laptop.node.down = true;
    leave(world, home);
    world.run(40_000, () => home.proxy.leave(world.nowMs));
    expect(home.proxy.leave(world.nowMs)).toBe(true);
  });
});

describe("a name that the book gives to another host", () => {
  const withKeys = (entries: readonly (readonly [string, HostIdentity])[]): AddressBook =>
    parseAddressBook(`<address-book version="1">${entries.map(([name, { hit }]) => `<host name="${name}" hit="${formatIpText(hit)}"/>`).join("")}</address-book>`, "book.xml");

  it("ends what lives under the old key, and says so", () => {
    const { world, laptop, home, a } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    const old = addressOf(laptop, "home.i3");
    laptop.proxy.setBook(bookOf({ "laptop.i3": a, "home.i3": generateHostIdentity() }));
    send(world, laptop, old, "secret");
    world.run(2_000);
    expect(home.node.received.map(textOf)).not.toContain("secret");
    expect(logged(laptop, "name-in-book")).toMatchObject([{ name: "home.i3" }]);
  });

  it("leaves alone what is the same, has another name too, or is in the book no more", () => {
    const { world, laptop, home, a, b } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    for (const entries of [[["home.i3", b], ["nas.i3", b]], [["home.i3", b], ["nas.i3", a]], [["laptop.i3", a]]] as const) {
      laptop.proxy.setBook(withKeys(entries));
      send(world, laptop, laptop.proxy.mappings.byPeer(home.proxy.ownId)?.local4 as Uint8Array, `still ${entries.length}`);
      world.run(2_000);
      expect(home.node.received.map(textOf)).toContain(`still ${entries.length}`);
    }
    expect(logged(laptop, "name-in-book")).toEqual([]);
  });
});

describe("the log", () => {
  it("of a caller has the reason that the peer gave", () => {
    const { world, laptop, home } = pair({ book: bookOf({}) });
    Object.assign(home.proxy.mappings, { create: () => null });
    roundTrip(world, laptop, home, "home.i3", "x");
    world.run(20_000);
    expect(logged(laptop, "unreachable")).toMatchObject([{ peer: "home.i3", why: expect.stringContaining("RESPONDER_BUSY") as unknown }]);
  });

  it("of who refuses says whom, and why, once a minute", () => {
    const { world, laptop, home } = pair({ access: { default: "refuse", entries: [] } });
    for (let n = 0; n < 6; n += 1) {
      roundTrip(world, laptop, home, "home.i3", "please");
      world.run(5_000);
    }
    const hit = formatIpText(laptop.identity.hit);
    expect(logged(home, "access-refused")).toEqual([{ peer: "laptop.i3", hit, why: expect.stringContaining("no entry") as unknown }]);
    world.run(60_000);
    roundTrip(world, laptop, home, "home.i3", "please");
    expect(logged(home, "access-refused")).toHaveLength(2);
  });

  it("of a peer whose R1 counter went back says so", () => {
    const { world, laptop, home, a, b } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    world.nodes.delete(locatorKey(home.node.locator));
    const { node: { locator } } = home;
    const servers = [...world.nodes.values()].filter((node) => node !== laptop.node);
    const again = addHost(world, formatIpText(locator.address), { servers, identity: b, sharedKey: home.sharedKey, book: bookOf({ "laptop.i3": a, "home.i3": b }), security: "esp", clockErrorMs: -3_600_000 });
    world.run(30_000, () => again.proxy.isReady(world.nowMs));
    for (let n = 0; n < 60 && logged(laptop, "unreachable").length === 0; n += 1) {
      send(world, laptop, addressOf(laptop, "home.i3"), `hello ${n}`);
      world.run(500);
    }
    const [told] = logged(laptop, "unreachable");
    expect(told).toMatchObject({ peer: "home.i3", why: expect.stringContaining("older counters") as unknown, remedy: expect.stringContaining("is there") as unknown });
  });

  it.each([["esp", "auth"], ["auth", "esp"], ["none", "esp"], ["none", "auth"]] as const)("of two hosts, %s here and %s there: who is called says who wanted what, and what to do, once a minute", (here, there) => {
    const { world, laptop, home } = pair({ security: there }, { security: here });
    for (let n = 0; n < 3; n += 1) {
      expect(roundTrip(world, laptop, home, "home.i3", "please").there).toBe("nothing");
      world.run(7_000);
    }
    const told = { peer: "laptop.i3", hit: formatIpText(laptop.identity.hit), asked: here, allowed: there, remedy: expect.stringContaining("rules") as unknown };
    expect(logged(home, "security-refused")).toEqual([told]);
    const [first] = logged(laptop, "unreachable");
    expect(first).toMatchObject({ peer: "home.i3", remedy: expect.any(String) as unknown });
    if (here === "none") expect(first).toMatchObject({ why: "no answer", remedy: expect.stringContaining("its rules want more security") as unknown });
    else expect(first?.["why"]).toContain("its rules do not take the security that ours ask for");
    world.run(60_000);
    roundTrip(world, laptop, home, "home.i3", "please");
    world.run(7_000);
    expect(logged(home, "security-refused")).toHaveLength(2);
  });

  it.each(["esp", "auth"] as const)("of a host with none in its rules says nothing of a caller that wants %s: more is welcome", (security) => {
    const { world, laptop, home } = pair({ security: "none" }, { security });
    // The answer too, which is there before the keys have been heard to work: it waits for them.
    const { there, back } = roundTrip(world, laptop, home, "home.i3", "please");
    expect([there, back]).not.toContain("nothing");
    expect(logged(home, "security-refused")).toEqual([]);
  });

  it("of a caller with a wrong HIT in its book names that HIT, and says that it may be wrong", () => {
    const wrong = generateHostIdentity();
    const { world, laptop, home } = pair({}, { book: bookOf({ "home.i3": wrong }) });
    roundTrip(world, laptop, home, "home.i3", "please");
    expect(logged(laptop, "unreachable")).toMatchObject([{ peer: "home.i3", hit: formatIpText(wrong.hit), why: "no host has registered this name's id", remedy: expect.stringContaining("is this HIT its own") as unknown }]);
  });

  it("says that the clock is wrong, by what servers say that were found later", () => {
    const { laptop, home } = pair({ clockErrorMs: -3_600_000 }, { clockErrorMs: 299_000 });
    expect([logged(laptop, "clock"), logged(home, "clock")]).toMatchObject([[], [{ why: "this machine's clock is 60 minutes behind the servers' (3 of 3 servers: 192.0.2.1:5610, 192.0.2.2:5610, 192.0.2.3:5610)" }]]);
  });

  it("of a server whose clock is wrong and that answers first, names it once, and finds nothing wrong here", () => {
    const isNear = (address: Uint8Array): boolean => address[3] === 2;
    const world = new World({ delayBetweenMs: (from, to) => (isNear(from) || isNear(to) ? 1 : 80) });
    const first = world.server(1);
    const ring = [first, world.server(2, [first], world.membership(), 3_600_000), world.server(3, [first])];
    world.run(3_000);
    const identity = generateHostIdentity();
    const laptop = addHost(world, "198.51.100.1", { servers: ring, identity, book: bookOf({ "laptop.i3": identity }), security: "esp" });
    world.run(10_000, () => laptop.proxy.isReady(world.nowMs));
    world.run(2_000);
    expect(logged(laptop, "server")).toMatchObject([{ server: "192.0.2.2:5610" }]);
    const told = [{ why: "servers' clocks differ from this machine's: 192.0.2.2:5610 is 60 minutes ahead" }];
    expect(logged(laptop, "clock")).toMatchObject(told);
    const near = world.nodes.get(locatorKey((ring[1] as (typeof ring)[number]).locator));
    for (const down of [true, false]) {
      if (near !== undefined) near.down = down;
      world.run(12_000);
    }
    expect(logged(laptop, "server").length).toBeGreaterThan(1);
    expect(logged(laptop, "clock")).toMatchObject(told);
  });

  it.each(["esp", "none"] as const)("of a call while no server answers says so, and not that the host is off, with security=\"%s\"", (security) => {
    const { world, laptop, home } = pair({ security }, { security });
    for (const node of world.nodes.values()) if (node !== laptop.node && node !== home.node) node.down = true;
    world.run(10_000);
    send(world, laptop, addressOf(laptop, "home.i3"), "anybody");
    world.run(3_000);
    expect(logged(laptop, "unreachable")).toMatchObject([{ peer: "home.i3", why: "no i3 server answers", remedy: expect.stringContaining("<servers>") as unknown }]);
  });

  it.each(["esp", "none"] as const)("of a host that is off, which programs go on calling, has a line a minute, with security=\"%s\"; and no line at all of ids for answers", (security) => {
    const { world, laptop, home } = pair({ security }, { security });
    home.proxy.stop(world.nowMs);
    world.run(1_000);
    home.node.down = true;
    const [to, from] = [addressOf(laptop, "home.i3"), laptop.node.log.length];
    const levels = (event: string): readonly string[] => laptop.node.log.slice(from).filter((line) => line.event === event).map(({ level }) => level);
    for (let n = 0; n < 110; n += 1) {
      send(world, laptop, to, `ping ${n}`);
      world.run(1_000);
    }
    const told = levels("unreachable");
    expect([told.filter((level) => level === "warn").length, told.length > 20]).toEqual([2, true]);
    if (security === "esp") expect(levels("trigger-live").length).toBeGreaterThan(20);
    expect(levels("trigger-live").filter((level) => level !== "debug")).toEqual([]);
  });

  it.each(["esp", "none"] as const)("of a peer that is open says how it is protected, and who began, with security=\"%s\"", (security) => {
    const { world, laptop, home } = pair({ security }, { security });
    roundTrip(world, laptop, home, "home.i3", "hello");
    expect([logged(laptop, "mapping-open"), logged(home, "mapping-open")]).toMatchObject([[{ peer: "home.i3", security, role: "initiator" }], [{ peer: "laptop.i3", security, role: "responder" }]]);
  });

  it("of many refused callers is short", () => {
    const { world, home } = pair({ access: { default: "refuse", entries: [{ admits: false, line: 7, hit: generateHostIdentity().hit }] } });
    const ring = [...world.nodes.values()].filter(({ locator }) => locator.port === home.node.locator.port).slice(0, 1);
    for (let n = 0; n < 14; n += 1) {
      const stranger = addHost(world, `203.0.113.${n + 1}`, { servers: ring, identity: generateHostIdentity(), book: bookOf({ "home.i3": home.identity }), security: "esp" });
      world.run(1_500);
      send(world, stranger, addressOf(stranger, "home.i3"), "please");
    }
    world.run(5_000);
    const lines = logged(home, "access-refused").length;
    expect([lines > 0, lines <= 14 + 10]).toEqual([true, true]);
  });

  it("says that an access list lets nobody in, at the start and when another one comes", () => {
    const { world, home } = pair({ access: { default: "refuse", entries: [] } });
    home.proxy.setAccess(world.nowMs, { default: "allow", entries: [{ admits: true, line: 3, group: "family" }] });
    home.proxy.setAccess(world.nowMs, undefined);
    expect(logged(home, "access-list")).toMatchObject([{ why: expect.stringContaining("nobody may connect") as unknown }, { why: expect.stringContaining("line 3") as unknown }]);
  });

  it("names groups of the access list that no host is in, at the start and when the book changes", () => {
    const access = { default: "refuse", entries: [{ admits: true, line: 3, group: "famly" }] } as const;
    const { home, b } = pair({ access });
    expect(logged(home, "empty-group")).toMatchObject([{ group: "famly" }]);
    home.proxy.setBook(bookOf({ "home.i3": b }));
    expect(logged(home, "empty-group")).toHaveLength(2);
  });
});

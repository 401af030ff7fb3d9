/** The access list and hosts that are reached in cleartext (issue 4: who may connect, before any state is made; changes act on what lives). */
import { describe, expect, it } from "vitest";

import { locatorKey, publicId, type AccessConfig, type ProxyRule, type Security } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host, type HostOptions } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson, type Mapping } from "../src/mappings/mapping.js";
import { addressOf, packet4, roundTrip, rulesOf } from "./traffic.js";

const NOBODY: AccessConfig = { default: "refuse", entries: [] };
const mappingOf = (host: Host, peer: Host): Mapping | undefined => host.proxy.mappings.byPeer(publicId(peer.identity.hit));
const ended = (host: Host): number => host.node.log.filter((line) => line.event === "access-ended").length;
const send = (world: World, from: Host, to: Uint8Array, text: string): void => world.inject(from.node, { tun: packet4(from.proxy.own4, to, text) });
const allBy = (security: Security): readonly ProxyRule[] => rulesOf(`<rule name=".*\\.i3" go="i3" security="${security}"/>`);
const data = (packets: readonly Uint8Array[]): number => packets.filter((packet) => packet[9] === 253).length;

/** `laptop` calls; both in cleartext. The laptop knows home by name, home not the laptop if `isStranger`. */
function pair(options: { homeAccess?: AccessConfig; isStranger?: boolean } = {}) {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [laptopIdentity, homeIdentity] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": laptopIdentity, "home.i3": homeIdentity });
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: laptopIdentity, book });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: homeIdentity, book: options.isStranger === true ? bookOf({}) : book, access: options.homeAccess });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  return { world, ring, laptop, home, book };
}

/** The same machine with what its journal holds. */
function restarted(world: World, host: Host, address: string, options: Pick<HostOptions, "servers" | "book" | "access">): Host {
  const restored = [...host.proxy.mappings.all()].map((mapping) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(mapping)))));
  world.nodes.delete(locatorKey(host.node.locator));
  const again = addHost(world, address, { ...options, identity: host.identity, sharedKey: host.sharedKey, restored, lastOwn4: host.proxy.own4 });
  world.run(10_000, () => again.proxy.isReady(world.nowMs));
  return again;
}

describe("the access list in cleartext", () => {
  it("lets in whom it names, and nobody else", () => {
    const { world, laptop, home } = pair({ homeAccess: NOBODY });
    expect(roundTrip(world, laptop, home, "home.i3", "please").back).toBe("nothing");
    expect([mappingOf(home, laptop), data(home.node.received)]).toEqual([undefined, 0]);
    expect(roundTrip(world, home, laptop, "laptop.i3", "a call of our own").back).not.toBe("nothing");
  });

  for (const isStranger of [false, true]) {
    it(`cuts off ${isStranger ? "a stranger" : "a host of the book"} as soon as it is let in no more, and what programs still send does not bring it back`, () => {
      const { world, laptop, home } = pair({ isStranger });
      expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
      const to = mappingOf(home, laptop)?.local4 as Uint8Array;
      home.proxy.setAccess(world.nowMs, NOBODY);
      world.run(1_000);
      const [atHome, atLaptop] = [home.node.received.length, laptop.node.received.length];
      for (let i = 0; i < 20; i += 1) {
        send(world, laptop, addressOf(laptop, "home.i3"), "data");
        send(world, home, to, "data sent again");
        world.run(500);
      }
      expect([data(home.node.received.slice(atHome)), data(laptop.node.received.slice(atLaptop)), ended(home)]).toEqual([0, 0, 1]);
      home.proxy.setAccess(world.nowMs, undefined);
      expect(roundTrip(world, laptop, home, "home.i3", "again").back).not.toBe("nothing");
    });
  }

  it("leaves alone whom this host called, whoever calls again later", () => {
    const { world, ring, laptop, home, book } = pair({ homeAccess: NOBODY });
    expect(roundTrip(world, home, laptop, "laptop.i3", "hello").back).not.toBe("nothing");
    home.proxy.setAccess(world.nowMs, { ...NOBODY });
    expect(roundTrip(world, laptop, home, "home.i3", "still there").back).not.toBe("nothing");
    const again = restarted(world, laptop, "198.51.100.1", { servers: ring, book });
    expect(roundTrip(world, again, home, "home.i3", "after a restart").back).not.toBe("nothing");
    expect(ended(home)).toBe(0);
  });

  it("lets nobody in for a call that ended with the rules that it was made by", () => {
    const { world, laptop, home } = pair({ homeAccess: NOBODY });
    expect(roundTrip(world, home, laptop, "laptop.i3", "hello").back).not.toBe("nothing");
    for (const security of ["esp", "none"] as const) {
      home.proxy.setRules(world.nowMs, allBy(security));
      world.run(1_000);
    }
    // The laptop calls again after a minute's silence.
    world.run(70_000);
    expect(roundTrip(world, laptop, home, "home.i3", "please").there).toBe("nothing");
    expect(mappingOf(home, laptop)?.state).toBe("idle");
    expect(roundTrip(world, home, laptop, "laptop.i3", "a call of our own").back).not.toBe("nothing");
  });

  it("lets nobody in after a restart because a program had asked for its name, and never called it", () => {
    const { world, ring, laptop, home, book } = pair({ homeAccess: NOBODY });
    addressOf(home, "laptop.i3");
    const again = restarted(world, home, "198.51.100.2", { servers: ring, book, access: NOBODY });
    expect(roundTrip(world, laptop, again, "home.i3", "please").there).toBe("nothing");
    expect(mappingOf(again, laptop)?.state).toBe("idle");
  });

  it("cuts off after a restart who had called, though a program here has asked for its name since", () => {
    const { world, ring, laptop, home, book } = pair();
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    addressOf(home, "laptop.i3");
    const again = restarted(world, home, "198.51.100.2", { servers: ring, book });
    expect(roundTrip(world, laptop, again, "home.i3", "after").back).not.toBe("nothing");
    again.proxy.setAccess(world.nowMs, NOBODY);
    const before = again.node.received.length;
    send(world, laptop, addressOf(laptop, "home.i3"), "data");
    world.run(1_000);
    expect([data(again.node.received.slice(before)), ended(again)]).toEqual([0, 1]);
  });

  it("does not let in whom it is taken off again while it is called", () => {
    const { world, laptop, home } = pair();
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    home.proxy.setAccess(world.nowMs, NOBODY);
    world.run(3_000);
    home.proxy.setAccess(world.nowMs, undefined);
    const [to, state] = [addressOf(laptop, "home.i3"), (): string | undefined => mappingOf(home, laptop)?.state];
    for (let n = 0; n < 200 && state() !== "calling"; n += 1) {
      send(world, laptop, to, "again");
      world.run(1);
    }
    expect(state()).toBe("calling");
    home.proxy.setAccess(world.nowMs, NOBODY);
    world.run(3_000);
    const before = home.node.received.length;
    send(world, laptop, to, "intruder");
    world.run(1_000);
    expect([data(home.node.received.slice(before)), state() === "open"]).toEqual([0, false]);
  });

  it("refuses after a restart whom the list of today does not let in", () => {
    const { world, ring, laptop, home, book } = pair();
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    const again = restarted(world, home, "198.51.100.2", { servers: ring, book, access: NOBODY });
    const before = again.node.received.length;
    send(world, laptop, addressOf(laptop, "home.i3"), "data");
    send(world, again, mappingOf(again, laptop)?.local4 as Uint8Array, "data sent again");
    world.run(5_000);
    expect([data(again.node.received.slice(before)), mappingOf(again, laptop)?.state]).not.toContain("open");
    expect(data(again.node.received.slice(before))).toBe(0);
  });
});

describe("a stranger that calls in cleartext", () => {
  const CLEAR = '<rule name=".*\\.i3" go="i3" security="none"/>';

  it.each([
    ["cleartext alone", CLEAR, true], ["cleartext alone, in two rules", `<rule name="printer\\.i3" go="i3" security="none"/>${CLEAR}`, true],
    ["cleartext for one name", '<rule name="printer\\.i3" go="i3" security="none"/><rule name=".*\\.i3" go="i3"/>', false], ["cleartext for all but one name", `<rule name="bank\\.i3" go="i3"/>${CLEAR}`, false],
    ["cleartext for one service", '<rule name=".*\\.i3" go="i3" security="none" protocol="icmp"/>', false],
  ])("is let in or kept out by rules of %s", (_, rules, isLetIn) => {
    const world = new World({ delayMs: 10 });
    const ring = world.ring(3);
    world.run(3_000);
    const identity = generateHostIdentity();
    const stranger = addHost(world, "198.51.100.1", { servers: ring, book: bookOf({ "home.i3": identity }), rules: rulesOf(CLEAR) });
    const home = addHost(world, "198.51.100.2", { servers: ring, identity, book: bookOf({ "printer.i3": generateHostIdentity() }), rules: rulesOf(rules) });
    world.run(10_000, () => stranger.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    const { there, back } = roundTrip(world, stranger, home, "home.i3", "please");
    expect([there, back].map((from) => from !== "nothing")).toEqual([isLetIn, isLetIn]);
  });
});

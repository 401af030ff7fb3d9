/** Hosts that an entry of `<access>` refuses: they get no name, and leave nothing in the engine. Virtual time. */
import { describe, expect, it } from "vitest";

import { publicId, type AccessConfig, type ProxyRule } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host, type HostOptions } from "../../../test/sim/world.js";
import { Pins } from "../src/policy/pins.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

const NAME = "box.try.i3";
const rule = (source: RegExp, trust: "book" | "first-use"): ProxyRule =>
  ({ pattern: { source: source.source, expression: source }, line: 1, go: "i3", service: undefined, security: "esp", trust, privateId: "shared" }) as unknown as ProxyRule;
const RULES = [rule(/^.*\.try\.i3$/i, "first-use"), rule(/^.*\.i3$/i, "book")];
const refusing = (hit: Uint8Array): AccessConfig => ({ default: "allow", entries: [{ admits: false, line: 9, hit }] });

describe("a refused host that claims a name of first use", () => {
  it.each([false, true])("is not pinned, and the honest one is reached (there from the beginning: %s)", (isThere) => {
    const world = new World();
    const ring = world.ring(3);
    world.run(10_000);
    const [evil, honest] = [generateHostIdentity(), generateHostIdentity()];
    const pins = new Pins();
    const add = (address: string, options: Partial<HostOptions>): Host => {
      const host = addHost(world, address, { servers: ring, rules: RULES, ...options });
      world.run(20_000, () => host.proxy.isReady(world.nowMs) && host.proxy.client.triggers(world.nowMs).every(({ live }) => live));
      return host;
    };
    const laptop = add("198.51.100.1", { pins, access: refusing(evil.hit) });
    const bad = add("198.51.100.66", { identity: evil, publishedNames: [NAME] });
    const begin = (): Host => add("198.51.100.2", { identity: honest, publishedNames: [NAME] });
    const first = isThere ? begin() : null;
    for (let n = 0; n < 6; n += 1) {
      world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, NAME), "hello") });
      world.run(4_000);
    }
    expect(pins.get(NAME)?.hit).toEqual(isThere ? honest.hit : undefined);
    bad.proxy.stop(world.nowMs);
    world.run(3_000);
    const good = first ?? begin();
    world.run(40_000);
    expect(roundTrip(world, laptop, good, NAME, "now the honest one").back).not.toBe("nothing");
    expect(pins.get(NAME)?.hit).toEqual(honest.hit);
  });
});

it("a stranger whose place a newcomer takes while it is told that it is refused leaves nothing in the engine", () => {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const homeIdentity = generateHostIdentity();
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: homeIdentity, security: "esp", maxMappings: 8, book: bookOf({ "friend.i3": generateHostIdentity() }) });
  // How hard puzzles get is not asked here.
  Object.assign(home.proxy.setups.hip?.hip ?? {}, { load: () => undefined });
  const book = bookOf({ "home.i3": homeIdentity });
  const add = (n: number): Host => {
    const host = addHost(world, `203.0.113.${n}`, { servers: ring, identity: generateHostIdentity(), book, security: "esp" });
    world.run(10_000, () => host.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    return host;
  };
  const comes = (host: Host, text: string): boolean => {
    world.inject(host.node, { tun: packet4(host.proxy.own4, addressOf(host, "home.i3"), text) });
    world.run(5_000, () => home.node.received.some((packet) => textOf(packet) === text));
    return home.node.received.some((packet) => textOf(packet) === text);
  };
  const [one, two, newcomer] = [add(1), add(2), add(3)] as [Host, Host, Host];
  expect([comes(one, "one"), comes(two, "two")]).toEqual([true, true]);
  const mapping = home.proxy.mappings.byPeer(publicId(one.identity.hit));
  world.run(2_000);
  home.proxy.setAccess(world.nowMs, refusing(one.identity.hit));
  expect(mapping?.state).toBe("refused");
  expect(comes(newcomer, "newcomer")).toBe(true);
  expect(home.proxy.mappings.byPeer(publicId(one.identity.hit))).toBeUndefined();
  world.run(3_000);
  expect(home.node.engine.flowCounters(mapping?.local4 as Uint8Array)).toBeUndefined();
});

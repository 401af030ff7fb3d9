/** Hosts whose names are trusted on first use: the rules of a name hold from its first exchange on, also for a host that was known before. Virtual time. */
import { expect, it } from "vitest";


import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import { Pins } from "../src/policy/pins.js";
import { addressOf, packet4, rulesOf, textOf, type PacketKind } from "./traffic.js";

function bed(laptopRules: string, hostRules: string) {
  const world = new World();
  const ring = world.ring(1);
  world.run(5_000);
  const settle = (one: Host): void => world.run(20_000, () => one.proxy.client.triggers(world.nowMs).every(({ live }) => live));
  const laptop = addHost(world, "198.51.100.1", { servers: ring, rules: rulesOf(laptopRules), pins: new Pins() });
  const host = addHost(world, "198.51.100.2", { servers: ring, rules: rulesOf(hostRules), publishedNames: ["a.try.i3", "b.try.i3"] });
  for (const one of [laptop, host]) settle(one);
  const talk = (name: string, text: string, kind: PacketKind): void => {
    for (let n = 0; n < 6; n += 1) {
      world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, name), `${text} ${n}`, kind) });
      world.run(1_500);
    }
  };
  return { world, laptop, host, talk };
}

const HOST = '<rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="9"/><rule name=".*\\.i3" go="i3"/>';

const NINE = { protocol: 6, ports: [1000, 9] } as const;

it("a second name whose rule wants encryption gets it", () => {
  const rules = '<rule name="a\\.try\\.i3" go="i3" trust="first-use" security="auth"/><rule name=".*\\.try\\.i3" go="i3" trust="first-use"/>';
  const { world, laptop, host, talk } = bed(rules, HOST);
  host.proxy.setBook(bookOf({ "laptop.i3": laptop.identity }));
  talk("a.try.i3", "first", NINE);
  expect(host.node.received.some((p) => textOf(p).includes("first 5"))).toBe(true);
  talk("b.try.i3", "learn", NINE);
  world.wire.length = 0;
  talk("b.try.i3", "secret", NINE);
  expect(world.wire.some(({ bytes }) => Buffer.from(bytes).includes("secret"))).toBe(false);
});

it("a name whose rules have one service, of a host that called before: nothing else goes", () => {
  const rules = '<rule name=".*\\.try\\.i3" go="i3" trust="first-use" protocol="tcp" ports="22"/>';
  const { world, laptop, host, talk } = bed(rules, HOST);
  // To the laptop the host is a stranger that calls first: by the laptop's id.
  host.proxy.setBook(bookOf({ "laptop.i3": laptop.identity }));
  world.inject(host.node, { tun: packet4(host.proxy.own4, addressOf(host, "laptop.i3"), "hello") });
  world.run(3_000);
  talk("a.try.i3", "ssh", { protocol: 6, ports: [1000, 22] });
  talk("a.try.i3", "ssh", { protocol: 6, ports: [1000, 22] });
  talk("a.try.i3", "other port", { protocol: 6, ports: [1000, 80] });
  expect([host.node.received.some((p) => textOf(p).includes("ssh 5")), host.node.received.some((p) => textOf(p).includes("other port"))]).toEqual([true, false]);
});

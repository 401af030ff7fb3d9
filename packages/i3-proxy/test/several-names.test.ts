/** One host under several names, and under other names after a restart: how its packets are protected. Virtual time. */
import { describe, expect, it } from "vitest";

import { locatorKey, publicId, type AddressBook } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson, type Mapping } from "../src/mappings/mapping.js";
import { addressOf, packet4, roundTrip, rulesOf, textOf } from "./traffic.js";

const CLEAR = '<rule name="clear\\.i3" go="i3" security="none"/>';
const READABLE = '<rule name="clear\\.i3" go="i3" security="auth"/>';
const ESP = '<rule name=".*\\.i3" go="i3"/>';

const mappingOf = (host: Host, peer: Host): Mapping | undefined => host.proxy.mappings.byPeer(publicId(peer.identity.hit));
const logged = (host: Host, event: string): number => host.node.log.filter((line) => line.event === event).length;

function bed(laptopRules: string, homeRules: string, names: readonly string[]) {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [laptopIdentity, homeIdentity] = [generateHostIdentity(), generateHostIdentity()];
  const bookWith = (all: readonly string[]): AddressBook => bookOf(Object.fromEntries([["laptop.i3", laptopIdentity], ...all.map((name) => [name, homeIdentity] as const)]));
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: laptopIdentity, book: bookWith(names), rules: rulesOf(laptopRules) });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: homeIdentity, book: bookWith(["home.i3"]), rules: rulesOf(homeRules) });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  world.run(1_000);
  return { world, ring, laptop, home, bookWith };
}

/** Whether a packet to a name arrives, and can be read on its way. */
function seen({ world, laptop, home }: Pick<ReturnType<typeof bed>, "world" | "laptop" | "home">, name: string, text: string): "unread" | "readable" | "lost" {
  const to = addressOf(laptop, name);
  world.wire.length = 0;
  world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, text) });
  world.run(5_000, () => home.node.received.some((packet) => textOf(packet) === text));
  if (!home.node.received.some((packet) => textOf(packet) === text)) return "lost";
  return world.wire.some(({ bytes }) => Buffer.from(bytes).includes(text)) ? "readable" : "unread";
}

describe("a host with two names whose rules differ", () => {
  it.each([["none", CLEAR, `<rule name="laptop\\.i3" go="i3" security="none"/>`], ["auth", READABLE, `<rule name="laptop\\.i3" go="i3" security="auth"/>`]])(
    "gets the strongest protection of them, whichever was asked for first: %s and esp", (_, weak, ofHome) => {
      // Home takes either: what the laptop sends is what is looked at.
      for (const homeRules of [ESP, `${ofHome}${ESP}`]) {
        const at = bed(`${weak}${ESP}`, homeRules, ["home.i3", "clear.i3"]);
        for (const [n, name] of ["clear.i3", "home.i3", "clear.i3"].entries()) expect(seen(at, name, `packet ${n}`)).not.toBe("readable");
        expect(logged(at.laptop, "names-differ")).toBe(1);
        if (homeRules === ESP) expect(seen(at, "home.i3", "arrives")).toBe("unread");
      }
    },
  );

  it("and the same when the weaker one is added to the book, or to the rules, of a living host", () => {
    const at = bed(ESP, ESP, ["home.i3"]);
    expect(seen(at, "home.i3", "alone")).toBe("unread");
    at.laptop.proxy.setBook(at.bookWith(["clear.i3", "home.i3"]));
    at.laptop.proxy.setRules(at.world.nowMs, rulesOf(`${CLEAR}${ESP}`));
    for (const name of ["clear.i3", "home.i3"]) expect(seen(at, name, `to ${name}`)).toBe("unread");
    expect(logged(at.laptop, "names-differ")).toBe(1);
  });
});

it.each([["no rule", ""], ["only direct ones", '<rule name=".*" go="direct"/>'], ["none for somebody else", '<rule name="printer\\.i3" go="i3" security="none"/>']])("a host whose rules want no encryption can be called: %s", (_, rules) => {
  expect(seen(bed(ESP, rules, ["home.i3"]), "home.i3", "hello")).toBe("unread");
});

describe("after a restart", () => {
  const restart = ({ world, ring, laptop }: ReturnType<typeof bed>, book: AddressBook, rules: string): Host => {
    const restored = [...laptop.proxy.mappings.all()].map((mapping) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(mapping)))));
    world.nodes.delete(locatorKey(laptop.node.locator));
    return addHost(world, "198.51.100.1", { servers: ring, identity: laptop.identity, sharedKey: laptop.sharedKey, rules: rulesOf(rules), book, restored, lastOwn4: laptop.proxy.own4 });
  };

  it("a host has the name, and the rules, that the book gives it now", () => {
    const rules = `<rule name="old\\.i3" go="i3" security="auth"/>${ESP}`;
    const at = bed(rules, `<rule name="laptop\\.i3" go="i3" security="auth"/>${ESP}`, ["old.i3"]);
    expect(seen(at, "old.i3", "readable")).toBe("readable");
    const again = restart(at, at.bookWith(["home.i3"]), rules);
    expect(mappingOf(again, at.home)).toMatchObject({ name: "home.i3", policy: { rest: "esp" } });
  });

  it("mappings are there that were in use for minutes, on a clock that never shows whole milliseconds", () => {
    const at = bed(ESP, ESP, ["home.i3"]);
    at.world.run(0.3);
    for (let n = 0; n < 5; n += 1) {
      expect(roundTrip(at.world, at.laptop, at.home, "home.i3", `packet ${n}`).back).not.toBe("nothing");
      at.world.run(30_000.3);
    }
    const { lastUseMs } = mappingOf(at.laptop, at.home) as Mapping;
    expect(mappingOf(restart(at, at.bookWith(["home.i3"]), ESP), at.home)?.lastUseMs).toBe(lastUseMs);
  });
});

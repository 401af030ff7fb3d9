/** Entries of the access list that refuse a host hold for what this host begins too; the default does not (docs/policy.md). Virtual time. */
import { describe, expect, it } from "vitest";

import { formatIpText, locatorKey, parseAddressBook, publicId, toHex, type AccessConfig, type Security } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson } from "../src/mappings/mapping.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

const NOBODY: AccessConfig = { default: "refuse", entries: [] };
const refusing = (of: { readonly hit: Uint8Array } | { readonly group: string }, then: "allow" | "refuse" = "allow"): AccessConfig => ({ default: then, entries: [{ admits: false, line: 9, ...of }] });

interface Bed {
  readonly world: World;
  readonly ring: ReturnType<World["ring"]>;
  readonly laptop: Host;
  readonly home: Host;
}

/** Home calls the laptop, which it knows as `by` says. */
function bed(security: Security, by: "hit" | "id" = "hit"): Bed {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [a, b] = [generateHostIdentity(), generateHostIdentity()];
  const key = by === "hit" ? `hit="${formatIpText(a.hit)}"` : `id="${toHex(publicId(a.hit))}"`;
  const book = parseAddressBook(`<address-book version="1"><host name="laptop.i3" ${key} group="guests"/><host name="home.i3" hit="${formatIpText(b.hit)}"/></address-book>`, "book.xml");
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: a, book: bookOf({ "home.i3": b }), security });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: b, book, security });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  return { world, ring, laptop, home };
}

const stateAt = (host: Host, peer: Host): string | undefined => host.proxy.mappings.byPeer(publicId(peer.identity.hit))?.state;
const logged = (host: Host, event: string): readonly Readonly<Record<string, unknown>>[] => host.node.log.filter((line) => line.event === event).map(({ fields }) => fields);
const send = (world: World, from: Host, to: Uint8Array, text: string): void => world.inject(from.node, { tun: packet4(from.proxy.own4, to, text) });
const texts = (host: Host): readonly string[] => host.node.received.filter((packet) => packet[9] === 253).map(textOf);
const hearsUnreachable = (host: Host, from: number): boolean => host.node.received.slice(from).some((packet) => packet[9] === 1 && packet[20] === 3 && packet[21] === 1);

describe.each(["esp", "none"] as const)('a host that this one has called, with security="%s"', (security) => {
  it.each([["its HIT", "hit"], ["its group", "group"]] as const)("ends with an entry that refuses %s, not with a default, and is not called either until the entry is gone", (_, kind) => {
    const { world, laptop, home } = bed(security);
    expect(roundTrip(world, home, laptop, "laptop.i3", "hello").back).not.toBe("nothing");
    home.proxy.setAccess(world.nowMs, NOBODY);
    expect(roundTrip(world, home, laptop, "laptop.i3", "the default is for callers").back).not.toBe("nothing");
    const [to, back] = [addressOf(home, "laptop.i3"), addressOf(laptop, "home.i3")];
    home.proxy.setAccess(world.nowMs, refusing(kind === "hit" ? { hit: laptop.identity.hit } : { group: "guests" }, "refuse"));
    expect([stateAt(home, laptop), logged(home, "access-ended")]).toEqual(["refused", [{ peer: "laptop.i3", hit: formatIpText(laptop.identity.hit), why: "line 9 of the configuration", remedy: expect.any(String) as unknown }]]);
    const from = home.node.received.length;
    for (let n = 0; n < 10; n += 1) {
      send(world, home, to, "out");
      send(world, laptop, back, "in");
      // A program asks for the name again.
      if (n === 5) addressOf(home, "laptop.i3");
      world.run(700);
    }
    expect([texts(laptop).includes("out"), texts(home).includes("in"), hearsUnreachable(home, from)]).toEqual([false, false, true]);
    expect(logged(home, "access-refused")).toContainEqual({ peer: "laptop.i3", hit: formatIpText(laptop.identity.hit), why: "line 9 of the configuration", caller: "a program of this machine", remedy: expect.any(String) as unknown });
    home.proxy.setAccess(world.nowMs, NOBODY);
    world.run(2_000);
    expect(roundTrip(world, home, laptop, "laptop.i3", "again").back).not.toBe("nothing");
    expect(home.proxy.internalErrors + laptop.proxy.internalErrors).toBe(0);
  });

  it("is found by its group when the book has its id alone", () => {
    const { world, laptop, home } = bed(security, "id");
    home.proxy.setAccess(world.nowMs, refusing({ group: "guests" }));
    for (let n = 0; n < 3; n += 1) {
      send(world, home, addressOf(home, "laptop.i3"), "out");
      world.run(3_000);
    }
    expect([texts(laptop), stateAt(home, laptop) === "open"]).toEqual([[], false]);
    expect(logged(home, "access-refused")).toEqual([{ peer: "laptop.i3", caller: "a program of this machine", why: "line 9 of the configuration", remedy: expect.any(String) as unknown }]);
    home.proxy.setAccess(world.nowMs, undefined);
    expect(roundTrip(world, home, laptop, "laptop.i3", "now").back).not.toBe("nothing");
  });

  it("and that an entry refuses: the log says so of a program's own call, though the host itself was refused a moment ago, once a minute", () => {
    const { world, laptop, home } = bed(security);
    home.proxy.setAccess(world.nowMs, refusing({ hit: laptop.identity.hit }));
    send(world, laptop, addressOf(laptop, "home.i3"), "in");
    world.run(2_000);
    const told = logged(home, "access-refused").length;
    expect(told).toBe(1);
    for (let n = 0; n < 4; n += 1) {
      send(world, home, addressOf(home, "laptop.i3"), "out");
      world.run(2_000);
    }
    expect(logged(home, "access-refused").slice(told)).toEqual([{ peer: "laptop.i3", hit: formatIpText(laptop.identity.hit), caller: "a program of this machine", why: "line 9 of the configuration", remedy: expect.stringContaining("take that entry away") as unknown }]);
  });

  it("is refused while it is being called", () => {
    for (const afterMs of [5, 30, 55, 80, 105]) {
      const { world, laptop, home } = bed(security);
      send(world, home, addressOf(home, "laptop.i3"), "out");
      world.run(afterMs);
      home.proxy.setAccess(world.nowMs, refusing({ hit: laptop.identity.hit }));
      world.run(3_000);
      const before = texts(laptop).length;
      send(world, home, addressOf(home, "laptop.i3"), "out");
      send(world, laptop, addressOf(laptop, "home.i3"), "in");
      world.run(3_000);
      expect([stateAt(home, laptop) === "open", texts(laptop).length, texts(home)]).toEqual([false, before, []]);
    }
  });

  it("is not called by a mapping of the journal", () => {
    const { world, ring, laptop, home } = bed(security);
    expect(roundTrip(world, home, laptop, "laptop.i3", "hello").back).not.toBe("nothing");
    const restored = [...home.proxy.mappings.all()].map((mapping) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(mapping)))));
    world.nodes.delete(locatorKey(home.node.locator));
    const book = bookOf({ "laptop.i3": laptop.identity });
    const again = addHost(world, "198.51.100.2", { servers: ring, book, identity: home.identity, sharedKey: home.sharedKey, security, restored, lastOwn4: home.proxy.own4, access: refusing({ hit: laptop.identity.hit }) });
    world.run(10_000, () => again.proxy.isReady(world.nowMs));
    send(world, again, addressOf(again, "laptop.i3"), "out");
    send(world, laptop, addressOf(laptop, "home.i3"), "in");
    world.run(5_000);
    expect([texts(laptop).includes("out"), texts(again), stateAt(again, laptop) === "open"]).toEqual([false, [], false]);
  });
});

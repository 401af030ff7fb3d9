/** Exchanges that succeed in HIP and cannot be used here: nothing of the old association may live on in the engine alone. */
import { describe, expect, it } from "vitest";

import { locatorKey, publicId, type AccessConfig } from "@i3/common";
import { DatapathError } from "@i3/datapath";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson, type Mapping } from "../src/mappings/mapping.js";
import { addressOf, packet4, roundTrip, rulesOf, textOf } from "./traffic.js";

const NOBODY: AccessConfig = { default: "refuse", entries: [] };
const mappingOf = (host: Host, peer: Host): Mapping | undefined => host.proxy.mappings.byPeer(publicId(peer.identity.hit));
const associations = (host: Host): number => host.proxy.setups.hip?.hip.sizes.associations ?? -1;
const logged = (host: Host, event: string): number => host.node.log.filter((line) => line.event === event).length;

function pair(rules?: string) {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [laptopIdentity, homeIdentity] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": laptopIdentity, "home.i3": homeIdentity });
  const options = { servers: ring, book, ...(rules === undefined ? { security: "esp" as const } : { rules: rulesOf(rules) }) };
  const laptop = addHost(world, "198.51.100.1", { ...options, identity: laptopIdentity });
  const home = addHost(world, "198.51.100.2", { ...options, identity: homeIdentity });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  world.run(1_000);
  return { world, ring, laptop, home, book };
}

function send(world: World, from: Host, to: Uint8Array, text: string): number {
  world.wire.length = 0;
  world.inject(from.node, { tun: packet4(from.proxy.own4, to, text) });
  return world.wire.length;
}

describe("a fresh exchange that cannot be used", () => {
  it("ends what it replaced: the peer names an id for packets that is not its own", () => {
    const { world, ring, laptop, home, book } = pair();
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    const old = mappingOf(laptop, home)?.local4 as Uint8Array;
    // The machine at home begins anew, and lies.
    const restored = [...home.proxy.mappings.all()].map((mapping) => ({ ...mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(mapping)))), ownPrivateId: publicId(laptop.identity.hit) }));
    world.nodes.delete(locatorKey(home.node.locator));
    const liar = addHost(world, "198.51.100.2", { servers: ring, book, identity: home.identity, sharedKey: home.sharedKey, security: "esp", restored, lastOwn4: home.proxy.own4 });
    world.run(15_000, () => mappingOf(laptop, home)?.state !== "open");
    expect(mappingOf(laptop, home)?.state).toBe("idle");
    // Packets begin a call, and none goes out with the keys of before.
    const spis = new Set(world.wire.map(({ bytes }) => Buffer.from(bytes).toString("hex")));
    expect(spis.size).toBeGreaterThan(0);
    send(world, laptop, old, "after");
    expect(world.wire.filter(({ bytes }) => bytes[5] === 4)).toEqual([]);
    laptop.proxy.setAccess(world.nowMs, NOBODY);
    expect(liar.proxy.internalErrors + laptop.proxy.internalErrors).toBe(0);
  });

  it("ends the call too: programs hear it at once, and the next one finds nothing in its way", () => {
    const { world, laptop, home } = pair();
    const to = addressOf(laptop, "home.i3");
    const mapping = [...laptop.proxy.mappings.all()][0] as Mapping;
    // Home's offer will name the laptop's public id.
    const homeMapping = addressOf(home, "laptop.i3") && (mappingOf(home, laptop) as Mapping);
    Object.assign(homeMapping, { ownPrivateId: publicId(laptop.identity.hit) });
    send(world, laptop, to, "hello");
    world.run(3_000, () => laptop.node.received.length > 0);
    expect([laptop.node.received.map((packet) => packet[9]), mapping.state, associations(laptop)]).toEqual([[1], "refused", 1]);
    expect(laptop.node.log.filter(({ event }) => event === "unreachable").map(({ fields }) => fields["why"])).toEqual([expect.stringContaining("another host's")]);
    world.run(40_000);
    expect(associations(laptop)).toBe(0);
  });

  it("for want of room in the engine: the log says so, nothing is left, and the next call goes through", () => {
    const { world, laptop, home } = pair();
    const set = laptop.node.engine.setInboundAssociation.bind(laptop.node.engine);
    let isFull = true;
    laptop.node.engine.setInboundAssociation = (spi, association) => {
      if (association !== null && isFull) throw new DatapathError("ERR_I3_TABLE_FULL", "the inbound association table is full");
      set(spi, association);
    };
    send(world, laptop, addressOf(laptop, "home.i3"), "hello");
    world.run(3_000, () => laptop.node.received.length > 0);
    expect([laptop.node.received.length, logged(laptop, "unreachable"), laptop.proxy.internalErrors]).toEqual([1, 1, 0]);
    isFull = false;
    world.run(40_000);
    expect(roundTrip(world, laptop, home, "home.i3", "again").back).not.toBe("nothing");
    // A rekey that finds no room ends the association; programs' next packets make another.
    isFull = true;
    home.proxy.setups.hip?.hip.rekey(world.nowMs, 2);
    home.proxy.setups.hip?.hip.rekey(world.nowMs, 1);
    world.run(2_000);
    expect([mappingOf(laptop, home)?.state, logged(laptop, "associations-full"), laptop.proxy.internalErrors]).toEqual(["idle", 1, 0]);
    isFull = false;
    world.run(40_000);
    expect(roundTrip(world, laptop, home, "home.i3", "and again").back).not.toBe("nothing");
  });
});

describe("a second pair that the peer begins", () => {
  const BOTH = '<rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="2049"/><rule name=".*\\.i3" go="i3"/>';
  it("does not survive rules that want encryption alone: what is authenticated only comes in no more", () => {
    const NFS = { protocol: 6, ports: [1_000, 2_049] } as const;
    let begun = 0;
    for (const runMs of [0, 11, 25, 45, 200]) {
      const { world, laptop, home } = pair(BOTH);
      expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
      world.run(500);
      // Home's programs need the second kind of keys.
      const to = addressOf(home, "laptop.i3");
      world.inject(home.node, { tun: packet4(home.proxy.own4, to, "first", NFS) });
      world.run(runMs);
      begun += Number(laptop.proxy.setups.hip?.counters.paired === 0);
      laptop.proxy.setRules(world.nowMs, rulesOf('<rule name=".*\\.i3" go="i3"/>'));
      world.run(500);
      const readable: string[] = [];
      for (let n = 0; n < 10; n++) {
        const text = `readable ${n}`;
        world.wire.length = 0;
        world.inject(home.node, { tun: packet4(home.proxy.own4, to, text, NFS) });
        world.run(500);
        const isReadable = world.wire.some(({ bytes }) => Buffer.from(bytes).includes(text));
        if (isReadable && laptop.node.received.some((packet) => textOf(packet).includes(text))) readable.push(text);
      }
      expect(readable).toEqual([]);
      expect(laptop.proxy.internalErrors + home.proxy.internalErrors).toBe(0);
    }
    expect(begun).toBeGreaterThan(1);
  });
});

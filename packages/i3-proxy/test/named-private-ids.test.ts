/** Private ids that two hosts name as theirs: nobody proves that one is its own, and servers and whoever is on the path see them. Neither keeps the other out. Virtual time. */
import { describe, expect, it } from "vitest";

import { concatBytes, publicId } from "@i3/common";
import { encodeDataHeader, PAYLOAD_KIND } from "@i3/datapath";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson, type Mapping } from "../src/mappings/mapping.js";
import { encodeInit } from "../src/setup/messages.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

const mappingAt = (host: Host, peer: Host): Mapping => host.proxy.mappings.byPeer(publicId(peer.identity.hit)) as Mapping;

function bed(security: "esp" | "none"): { readonly world: World; readonly ring: ReturnType<World["ring"]>; readonly laptop: Host; readonly home: Host; readonly stranger: Host } {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [a, b] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": a, "home.i3": b });
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: a, book, security });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: b, book, security });
  const stranger = addHost(world, "198.51.100.66", { servers: ring, book: bookOf({ "home.i3": b }), security });
  world.run(10_000, () => [laptop, home, stranger].every((h) => h.proxy.isReady(world.nowMs)));
  return { world, ring, laptop, home, stranger };
}

describe.each([[true], [false]])("somebody has named the private id of another host as its own: %s", (isNamed) => {
  it("with keys, while that host was away for a moment: it comes back", () => {
    const { world, laptop, home, stranger } = bed("esp");
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    const seen = mappingAt(laptop, home).ownPrivateId;
    expect(world.wire.some(({ bytes }) => Buffer.from(bytes).includes(Buffer.from(seen)))).toBe(true);
    laptop.node.down = true;
    const to = mappingAt(home, laptop).local4;
    for (let n = 0; n < 40 && mappingAt(home, laptop).state === "open"; n += 1) {
      world.inject(home.node, { tun: packet4(home.proxy.own4, to, "anybody?") });
      world.run(500);
    }
    addressOf(stranger, "home.i3");
    if (isNamed) Object.assign(mappingAt(stranger, home), { ownPrivateId: seen });
    world.inject(stranger.node, { tun: packet4(stranger.proxy.own4, mappingAt(stranger, home).local4, "hello") });
    world.run(5_000);
    laptop.node.down = false;
    const from = addressOf(laptop, "home.i3");
    for (let n = 0; n < 20; n += 1) {
      world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, from, `back ${n}`) });
      if (n % 5 === 0) world.inject(stranger.node, { tun: packet4(stranger.proxy.own4, mappingAt(stranger, home).local4, "still here") });
      world.run(1_000);
    }
    expect(home.node.received.map(textOf)).toContain("back 19");
  });

  it("with keys, when this host starts again: the one of the journal comes back", () => {
    const { world, ring, laptop, home, stranger } = bed("esp");
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    const seen = mappingAt(laptop, home).ownPrivateId;
    const restored = [...home.proxy.mappings.all()].map((m) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(m)))));
    world.nodes.delete([...world.nodes.entries()].find(([, node]) => node === home.node)?.[0] ?? "");
    laptop.node.down = true;
    const again = addHost(world, "198.51.100.2", { servers: ring, identity: home.identity, sharedKey: home.sharedKey, book: bookOf({ "laptop.i3": laptop.identity, "home.i3": home.identity }), security: "esp", restored, lastOwn4: home.proxy.own4 });
    world.run(10_000, () => again.proxy.isReady(world.nowMs));
    addressOf(stranger, "home.i3");
    if (isNamed) Object.assign(mappingAt(stranger, home), { ownPrivateId: seen });
    world.inject(stranger.node, { tun: packet4(stranger.proxy.own4, mappingAt(stranger, home).local4, "hello") });
    world.run(3_000);
    laptop.node.down = false;
    for (let n = 0; n < 20; n += 1) {
      world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "home.i3"), `back ${n}`) });
      if (n % 5 === 0) world.inject(stranger.node, { tun: packet4(stranger.proxy.own4, mappingAt(stranger, home).local4, "still here") });
      world.run(1_000);
    }
    expect(again.node.received.map(textOf)).toContain("back 19");
  });

  it("in cleartext and without any key, ahead of the INIT that names it", () => {
    const { world, laptop, home } = bed("none");
    const to = addressOf(laptop, "home.i3");
    const seen = mappingAt(laptop, home).ownPrivateId;
    const zero = new Uint8Array(16);
    const inject = (payload: Uint8Array, id: Uint8Array, kind: number): void => {
      const header = encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 64, payloadKind: kind, nonce: world.random(8), ids: [id] });
      world.inject(home.node, { udp: { from: [...world.nodes.values()][0]?.locator as never, bytes: concatBytes(header, payload) } });
    };
    // It has seen one INIT, which is lost.
    inject(encodeInit({ calleeId: home.proxy.ownId, callerPrivateId: isNamed ? seen : world.random(32), counter: 1, own4: Uint8Array.of(10, 1, 1, 1), peer4: home.proxy.own4, own6: zero, peer6: zero }, null), home.proxy.ownId, PAYLOAD_KIND.setUp);
    const squatter = [...home.proxy.mappings.all()][0] as Mapping;
    // From then on a packet a minute keeps the place.
    for (let n = 0; n < 14; n += 1) {
      inject(packet4(Uint8Array.of(10, 1, 1, 1), home.proxy.own4, "x"), squatter.ownPrivateId, PAYLOAD_KIND.ipPacket);
      world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, `back ${n}`) });
      world.run(10_000);
    }
    expect(home.node.received.map(textOf)).toContain("back 13");
  });
});

/** A host whose rules have cleartext alone, and a peer that wants keys: it gets them, and nothing in cleartext takes them away again. Virtual time. */
import { describe, expect, it } from "vitest";

import { concatBytes, publicId } from "@i3/common";
import { encodeDataHeader, PAYLOAD_KIND } from "@i3/datapath";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host, type HostOptions } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson, type Mapping } from "../src/mappings/mapping.js";
import { encodeInit } from "../src/setup/messages.js";
import { addressOf, packet4, roundTrip, rulesOf, textOf } from "./traffic.js";

function pair(ofHome: Partial<HostOptions> = { security: "none" }) {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [a, b] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": a, "home.i3": b });
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: a, book, security: "esp" });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: b, book, ...ofHome });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  return { world, ring, book, laptop, home };
}

const mappingAt = (host: Host, peer: Host): Mapping => host.proxy.mappings.byPeer(publicId(peer.identity.hit)) as Mapping;
const suiteAt = (world: World, host: Host): unknown => host.proxy.report(world.nowMs)[0]?.["suite"];
const texts = (host: Host): readonly string[] => host.node.received.map(textOf);
const wasReadable = (world: World, text: string): boolean => world.wire.some(({ bytes }) => Buffer.from(bytes).includes(text));

/** A packet that comes from a server, for an id of the host. */
function deliver(world: World, host: Host, id: Uint8Array, payloadKind: number, ...payload: readonly Uint8Array[]): void {
  const header = encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 64, payloadKind, nonce: world.random(8), ids: [id] });
  world.inject(host.node, { udp: { from: [...world.nodes.values()][0]?.locator as never, bytes: concatBytes(header, ...payload) } });
}

/** What the peer has signed once; it came late, or somebody has kept it. */
function plainInit(world: World, from: Host, to: Host): Uint8Array {
  const [own6, peer6] = [new Uint8Array(16), new Uint8Array(16)];
  return encodeInit({ calleeId: to.proxy.ownId, callerPrivateId: world.random(32), counter: world.wallMs() + 1_000, own4: from.proxy.own4, peer4: to.proxy.own4, own6, peer6 }, from.identity);
}

describe("a mapping with keys under rules with cleartext alone", () => {
  it("stays as it is when an INIT of its peer comes, and goes on unread both ways", () => {
    const { world, laptop, home } = pair();
    expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
    const peer = mappingAt(home, laptop).peer;
    deliver(world, home, home.proxy.ownId, PAYLOAD_KIND.setUp, plainInit(world, laptop, home), packet4(laptop.proxy.own4, home.proxy.own4, "in clear"));
    world.run(1_000);
    expect([mappingAt(home, laptop).peer, home.proxy.setups.plain.counters.refused, texts(home).includes("in clear")]).toEqual([peer, 1, false]);
    world.wire.length = 0;
    expect(roundTrip(world, home, laptop, "laptop.i3", "out again").back).not.toBe("nothing");
    expect([wasReadable(world, "out again"), suiteAt(world, home)]).toEqual([false, "aes-128-gcm-16"]);
  });

  it("takes no packet in cleartext", () => {
    const { world, laptop, home } = pair();
    roundTrip(world, laptop, home, "home.i3", "before");
    deliver(world, home, mappingAt(home, laptop).ownPrivateId, PAYLOAD_KIND.ipPacket, packet4(laptop.proxy.own4, home.proxy.own4, "slipped in"));
    world.run(1_000);
    expect([texts(home).includes("slipped in"), home.proxy.setups.plain.counters.unconfirmed]).toEqual([false, 1]);
  });

  it("has keys again after a restart, whoever sends first, and is never readable", () => {
    for (const isHomeFirst of [true, false]) {
      const { world, ring, book, laptop, home } = pair();
      roundTrip(world, laptop, home, "home.i3", "before");
      const restored = [...home.proxy.mappings.all()].map((mapping) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(mapping)))));
      home.node.down = true;
      world.run(1_000);
      world.nodes.delete([...world.nodes.entries()].find(([, node]) => node === home.node)?.[0] ?? "");
      world.wire.length = 0;
      const again = addHost(world, "198.51.100.2", { servers: ring, identity: home.identity, sharedKey: home.sharedKey, book, security: "none", restored });
      world.run(10_000, () => again.proxy.isReady(world.nowMs));
      const [from, to, name] = isHomeFirst ? [again, laptop, "laptop.i3"] : [laptop, again, "home.i3"];
      for (let n = 0; n < 20; n += 1) {
        world.inject(from.node, { tun: packet4(from.proxy.own4, addressOf(from, name), `same session ${n}`) });
        world.run(500);
      }
      expect([texts(to).includes("same session 19"), wasReadable(world, "same session"), suiteAt(world, again)]).toEqual([true, false, "aes-128-gcm-16"]);
    }
  });

  it("leaves no call in cleartext behind, and can be called so again when its peer is gone and wants no keys any more", () => {
    const { world, ring, book, laptop, home } = pair();
    // Called in cleartext, the laptop says nothing; then it calls.
    world.inject(home.node, { tun: packet4(home.proxy.own4, addressOf(home, "laptop.i3"), "unwanted") });
    world.run(100);
    expect([mappingAt(home, laptop).state, home.proxy.setups.plain.nextDeadlineMs() < Infinity]).toEqual(["calling", true]);
    expect(roundTrip(world, laptop, home, "home.i3", "by keys").back).not.toBe("nothing");
    expect([home.proxy.setups.plain.nextDeadlineMs(), suiteAt(world, home)]).toEqual([Infinity, "aes-128-gcm-16"]);
    laptop.node.down = true;
    world.nodes.delete([...world.nodes.entries()].find(([, node]) => node === laptop.node)?.[0] ?? "");
    const other = addHost(world, "198.51.100.1", { servers: ring, identity: laptop.identity, sharedKey: laptop.sharedKey, book, security: "none" });
    world.run(10_000, () => other.proxy.isReady(world.nowMs));
    for (let n = 0; n < 60; n += 1) {
      world.inject(home.node, { tun: packet4(home.proxy.own4, addressOf(home, "laptop.i3"), `plain ${n}`) });
      world.run(500);
    }
    expect([texts(other).includes("plain 59")]).toEqual([true]);
    expect(home.proxy.internalErrors + laptop.proxy.internalErrors).toBe(0);
  });
});

describe("rules that have services in cleartext alone", () => {
  const [ssh, answer] = [{ protocol: 6, ports: [1_000, 22] }, { protocol: 6, ports: [22, 1_000] }] as const;

  it("let nothing in cleartext out or in beside the keys", () => {
    const { world, laptop, home } = pair({ rules: rulesOf('<rule name=".*\\.i3" go="i3" security="none" protocol="tcp" ports="22"/>') });
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "home.i3"), "there", ssh) });
    world.run(3_000);
    const mapping = mappingAt(home, laptop);
    expect([mapping.isKeyed, texts(home).some((text) => text.includes("there"))]).toEqual([true, true]);
    world.wire.length = 0;
    world.inject(home.node, { tun: packet4(home.proxy.own4, mapping.local4, "the answer", answer) });
    deliver(world, home, mapping.ownPrivateId, PAYLOAD_KIND.ipPacket, packet4(laptop.proxy.own4, home.proxy.own4, "slipped in", ssh));
    world.run(1_000);
    expect([wasReadable(world, "the answer"), texts(laptop).some((text) => text.includes("the answer")), texts(home).some((text) => text.includes("slipped in"))]).toEqual([false, true, false]);
  });
});

describe("when the keys have just ended, since their peer is gone, no deadline stays in the past", () => {
  /** Refused, for a second. */
  function ended() {
    const bed = pair();
    const { world, laptop, home } = bed;
    roundTrip(world, laptop, home, "home.i3", "before");
    laptop.node.down = true;
    const mapping = mappingAt(home, laptop);
    for (let n = 0; n < 60 && mapping.state === "open"; n += 1) {
      world.inject(home.node, { tun: packet4(home.proxy.own4, mapping.local4, `again ${n}`) });
      world.run(500, () => mapping.state !== "open");
    }
    expect([mapping.state, mapping.isKeyed]).toEqual(["refused", false]);
    world.run(100);
    return { ...bed, mapping };
  }

  it("and the peer calls in cleartext", () => {
    const { world, laptop, home, mapping } = ended();
    deliver(world, home, home.proxy.ownId, PAYLOAD_KIND.setUp, plainInit(world, laptop, home));
    expect(mapping.state).toBe("open");
    world.run(120_000);
    expect(home.proxy.nextDeadlineMs()).toBeGreaterThanOrEqual(world.nowMs);
  });

  it("and other rules come", () => {
    const { world, home, mapping } = ended();
    home.proxy.setRules(world.nowMs, rulesOf('<rule name=".*\\.i3" go="i3"/>'));
    world.run(20_000);
    expect([mapping.security, home.proxy.nextDeadlineMs() >= world.nowMs]).toEqual(["esp", true]);
  });
});

it("who had keys, and whom the access list refuses now, gets nothing in, in cleartext either", () => {
  const { world, laptop, home } = pair();
  expect(roundTrip(world, laptop, home, "home.i3", "before").back).not.toBe("nothing");
  const mapping = mappingAt(home, laptop);
  home.proxy.setAccess(world.nowMs, { default: "allow", entries: [{ admits: false, line: 7, hit: laptop.identity.hit }] });
  world.run(2_000);
  world.inject(home.node, { tun: packet4(home.proxy.own4, mapping.local4, "a late answer") });
  world.run(3_000);
  deliver(world, home, mapping.ownPrivateId, PAYLOAD_KIND.ipPacket, packet4(laptop.proxy.own4, home.proxy.own4, "still in"));
  world.run(1_000);
  expect(texts(home)).not.toContain("still in");
});

/** What becomes of the keys that a fresh exchange replaces. Two proxies that know each other's addresses, real cores and engines, virtual time. */
import { concatBytes, formatIpText, locatorKey, makeLocator, parseAddressBook, sameBytes, type HipConfig, type Locator } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { addHost, World, type Host } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson } from "../src/mappings/mapping.js";

const BOTH: HipConfig = { udpPort: 10_500, ipProtocol: true };
const [LAPTOP, HOME] = ["198.51.100.1", "198.51.100.2"];
const isEsp = (bytes: Uint8Array): boolean => bytes.subarray(0, 4).some((byte) => byte !== 0);

/** Of the experimental protocol 253: direct hosts have HITs, and so IPv6, alone. */
const packet6 = (from: Host, to: Host, text: string): Uint8Array => concatBytes(Uint8Array.of(0x60, 0, 0, 0, 0, text.length, 253, 64), from.identity.hit, to.identity.hit, new TextEncoder().encode(text));
const texts = ({ node }: Host): string[] => node.received.map((packet) => new TextDecoder().decode(packet.subarray(40)));
const send = (world: World, from: Host, to: Host, text: string): void => world.inject(from.node, { tun: packet6(from, to, text) });

/** @param homeRandom what home draws from in place of the world's source */
function bed(homeRandom?: (world: World) => World["random"]) {
  const world = new World();
  const [laptopIdentity, homeIdentity] = [generateHostIdentity(), generateHostIdentity()];
  const book = parseAddressBook(
    `<address-book version="1"><host name="laptop.i3" hit="${formatIpText(laptopIdentity.hit)}" address="${LAPTOP}"/><host name="home.i3" hit="${formatIpText(homeIdentity.hit)}" address="${HOME}"/></address-book>`, "book.xml",
  );
  const all = { servers: [], book, security: "esp", hip: BOTH } as const;
  const first = addHost(world, LAPTOP, { ...all, identity: laptopIdentity });
  const home = addHost(world, HOME, { ...all, identity: homeIdentity, ...(homeRandom !== undefined && { randomBytes: homeRandom(world) }) });
  first.proxy.names.resolve("home.i3");
  first.proxy.installFresh();
  send(world, first, home, "before");
  world.run(1_000);
  expect(texts(home)).toEqual(["before"]);
  // For a moment after an exchange another one counts as a crossing.
  world.run(4_000);
  /** The laptop with what its journal holds, behind a fresh exchange. */
  const restart = (): Host => {
    const restored = [...first.proxy.mappings.all()].map((mapping) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(mapping)))));
    world.nodes.delete(locatorKey(first.node.locator));
    const again = addHost(world, LAPTOP, { ...all, identity: first.identity, sharedKey: first.sharedKey, restored, lastOwn4: first.proxy.own4 });
    const established = (): number => home.proxy.setups.hip?.counters.established ?? 0;
    const before = established();
    world.run(5_000, () => established() > before);
    expect(established()).toBe(before + 1);
    return again;
  };
  return { world, laptop: first, home, restart };
}

describe("keys that a fresh exchange has replaced", () => {
  it("are good for 3 s, for packets that are late, and then for none", () => {
    const { world, laptop, home, restart } = bed();
    const late = ["late", "too late"].map((text): { readonly from: Locator; readonly bytes: Uint8Array } => {
      world.wire.length = 0;
      home.node.down = true;
      send(world, laptop, home, text);
      world.run(20);
      home.node.down = false;
      const { from, bytes } = world.wire.find(({ to, bytes: sent }) => isEsp(sent) && sameBytes(to.address, home.node.locator.address)) as (typeof world.wire)[number];
      return { from: makeLocator(from.address, from.port), bytes };
    });
    restart();
    const deliver = (n: number) => {
      const before = home.node.engine.counters().drops["unknown-spi"];
      world.inject(home.node, { udp: late[n] as (typeof late)[number] });
      return { texts: texts(home), unknown: home.node.engine.counters().drops["unknown-spi"] - before };
    };
    world.run(2_950);
    expect(deliver(0)).toEqual({ texts: ["before", "late"], unknown: 0 });
    world.run(100);
    expect(deliver(1)).toEqual({ texts: ["before", "late"], unknown: 1 });
  });

  it("leave alone those that have one of their SPIs by then", () => {
    // SPIs are drawn with four bytes: the second is that of the first exchange, which lives; the fourth is the same, which is only being replaced.
    const draws = [1, 1, 2, 1];
    const { world, home, restart } = bed((own) => (length) => (length === 4 ? Uint8Array.of(0, 0, 0, draws.shift() ?? 3) : own.random(length)));
    const again = restart();
    expect(draws).toHaveLength(1);
    for (let id = 1; id < 5; id += 1) home.proxy.setups.hip?.hip.rekey(world.nowMs, id);
    world.run(1_000);
    expect([home.proxy.setups.hip?.counters.rekeyed, draws.length]).toEqual([1, 0]);
    send(world, again, home, "with new keys");
    world.run(3_000);
    send(world, again, home, "and later");
    world.run(1_000);
    expect(texts(home)).toEqual(["before", "with new keys", "and later"]);
    expect(home.node.engine.counters().drops["unknown-spi"]).toBe(0);
  });
});

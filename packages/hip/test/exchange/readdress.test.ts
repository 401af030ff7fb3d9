/** Hosts without i3 that move and say so, and peers that name other places (RFC 8046). */
import { makeLocator, type Locator } from "@i3/common";
import { describe, expect, it } from "vitest";

import { ALL_TRIES_MS, ANNOUNCE_EVERY_MS, CHECK_BURST, CHECKS_PER_SECOND, MAX_CHECK_TRIES } from "../../src/exchange/limits.js";
import { canBeOneHosts } from "../../src/exchange/one-host.js";
import type { HipPath } from "../../src/exchange/paths.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, parameter } from "../../src/wire/packet.js";
import { decodeEspInfo } from "../../src/wire/parameters/esp-info.js";
import { decodeLocatorSet, encodeLocatorSet, TRAFFIC_TYPE, type HipLocator } from "../../src/wire/parameters/locator-set.js";
import { encodeSeq } from "../../src/wire/parameters/sequence.js";
import { identity, Network, pairMatches, type Node } from "./bed.js";
import { Forger, FORGER_SPI } from "./forger.js";

const { update } = HIP_PACKET;
const udp = (locator: Locator): HipPath => ({ kind: "udp", locator });
const place = (n: number): Locator => makeLocator(Uint8Array.of(198, 51, n >> 8, n & 0xff), 10_500);
const addressed = (network: Network, { address }: Locator): Uint8Array[] =>
  network.wire.filter(({ path }) => path.kind !== "i3" && (path.kind === "udp" ? path.locator.address : path.address).join() === address.join()).map(({ bytes }) => bytes);
const typesIn = (bytes: Uint8Array): number[] => decodeHipPacket(bytes).parameters.map(({ type }) => type).filter((type) => type < PARAMETER.hipMac);
const placesOf = (node: Node): string[] => node.events.flatMap((event) => (["moving", "moved", "stayed"].includes(event.kind) ? [event.kind] : []));

interface Bed {
  readonly network: Network;
  readonly a: Node;
  readonly b: Node;
}

function established(): Bed {
  const network = new Network();
  const [a, b] = [0, 1].map((n) => network.add("ab"[n] as string, identity("ecdsa-p256", n))) as [Node, Node];
  network.connect(a, b);
  network.run(1_000);
  expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
  network.wire.length = 0;
  return { network, a, b };
}

/** The machine has another address, and says so. */
function move({ network }: Bed, node: Node, locator: Locator, local: Uint8Array | undefined = locator.address): HipPath | null {
  Object.assign(node, { locator });
  return node.host.readdress(network.nowMs, node.last("established").association, local);
}

describe("a host that moves", () => {
  it("says so at once, from its new address; its peer asks there, and follows", () => {
    const bed = established();
    const { network, a, b } = bed;
    expect(move(bed, a, place(1))).toEqual({ kind: "udp", locator: { ...b.locator, local: place(1).address } });
    const [said] = network.wire;
    expect([said?.path, typesIn(said?.bytes as Uint8Array)]).toEqual([{ kind: "udp", locator: { ...b.locator, local: place(1).address } }, [PARAMETER.espInfo, PARAMETER.locatorSet, PARAMETER.seq]]);
    const packet = decodeHipPacket(said?.bytes as Uint8Array);
    const { spiIn } = a.last("established");
    expect(decodeEspInfo(parameter(packet, PARAMETER.espInfo)?.contents as Uint8Array)).toEqual({ keymatIndex: 0, oldSpi: spiIn, newSpi: spiIn });
    expect(decodeLocatorSet(parameter(packet, PARAMETER.locatorSet)?.contents as Uint8Array)).toMatchObject({ locators: [{ trafficType: TRAFFIC_TYPE.both, preferred: true, spi: spiIn, address: place(1).address }], skipped: 0 });
    network.run(10);
    expect([b.last("moving").path, placesOf(b)]).toEqual([udp(place(1)), ["moving"]]);
    network.run(20);
    expect([b.last("moved").path, placesOf(b), b.host.counters.moved]).toEqual([udp(place(1)), ["moving", "moved"], 1]);
    network.run(60_000);
    // The word; the question's answer.
    expect([network.wire.filter(({ from }) => from === a).length, placesOf(b), placesOf(a), a.of("closed"), b.of("closed")]).toEqual([2, ["moving", "moved"], [], [], []]);
  });

  it("without an address of its own names none, and is followed by where its packet came from", () => {
    const bed = established();
    Object.assign(bed.a, { locator: place(1) });
    expect(bed.a.host.readdress(bed.network.nowMs, bed.a.last("established").association)).toEqual(udp(bed.b.locator));
    expect(typesIn(bed.network.wire[0]?.bytes as Uint8Array)).toEqual([PARAMETER.espInfo, PARAMETER.seq]);
    bed.network.run(1_000);
    expect([bed.b.last("moved").path, placesOf(bed.b)]).toEqual([udp(place(1)), ["moving", "moved"]]);
  });

  it.each(["the system's choice", "that address too"])("asks nothing of a peer that stays where it is and answers to the new address, when packets leave by %s", (by) => {
    const bed = established();
    const { network, a, b } = bed;
    // As where each packet says to which address of ours it came.
    network.middlebox = ({ from, bytes }) => {
      if (from !== b) return bytes;
      network.deliver(a, bytes, { kind: "udp", locator: { ...b.locator, local: a.locator.address } });
      return null;
    };
    Object.assign(a, { locator: place(1) });
    a.host.readdress(network.nowMs, a.last("established").association, by === "that address too" ? place(1).address : undefined);
    network.run(10_000);
    expect([b.last("moved").path, placesOf(a), a.host.counters.moved]).toEqual([udp(place(1)), [], 0]);
    // The word, the answer to the question, and no question.
    expect(network.wire.filter(({ from }) => from === a).map(({ bytes }) => typesIn(bytes).includes(PARAMETER.echoRequestSigned))).toEqual([false, false]);
  });

  it("is told of as staying when it does not answer there, and is asked twice", () => {
    const bed = established();
    const { network, a, b } = bed;
    const old = a.locator;
    network.middlebox = ({ from, bytes }) => (from === b && parameter(decodeHipPacket(bytes), PARAMETER.echoRequestSigned) !== undefined ? null : bytes);
    move(bed, a, place(1));
    network.run(10_000);
    expect([placesOf(b), b.host.counters.moved, addressed(network, place(1)).length]).toEqual([["moving", "stayed"], 0, 1 + MAX_CHECK_TRIES]);
    network.wire.length = 0;
    b.host.rekey(network.nowMs, b.last("established").association);
    network.run(10);
    expect(addressed(network, old)).toHaveLength(1);
  });

  it("1,000 times in a minute says so at most 300 times, and is found where it is at last", () => {
    const bed = established();
    const { network, a, b } = bed;
    for (let n = 0; n < 1_000; n++) {
      move(bed, a, place(n));
      network.run(59);
    }
    expect(network.wire.filter(({ from, bytes }) => from === a && typesIn(bytes).includes(PARAMETER.locatorSet)).length).toBeLessThanOrEqual(300);
    network.run(10_000);
    expect([b.last("moved").path, placesOf(b).at(-1), a.of("closed"), b.of("closed")]).toEqual([udp(place(999)), "moved", [], []]);
    // Each second the peer begins half a check, of two packets.
    const asked = network.wire.filter(({ from, bytes }) => from === b && typesIn(bytes).includes(PARAMETER.echoRequestSigned)).length;
    expect(asked).toBeLessThanOrEqual(MAX_CHECK_TRIES * (CHECK_BURST + 70 * CHECKS_PER_SECOND));
  });

  it("while its peer moves too closes the association in the end, so that a fresh exchange can find it", () => {
    const bed = established();
    const { network, a, b } = bed;
    for (const [node, locator] of [[a, place(1)], [b, place(2)]] as const) Object.assign(node, { locator });
    for (const node of [a, b]) move(bed, node, node.locator);
    network.run(2 * ALL_TRIES_MS);
    expect([a.last("closed").code, b.last("closed").code]).toEqual(["silent", "silent"]);
  });

  it("says nothing over i3, nor when the association is gone; an address of the other family is refused", () => {
    const bed = established();
    const { network, a } = bed;
    const { association } = a.last("established");
    expect(() => a.host.readdress(network.nowMs, association, new Uint8Array(16).fill(0x20))).toThrow(RangeError);
    expect(a.host.readdress(network.nowMs, association + 1, place(1).address)).toBeNull();
    const other = new Network();
    const [c, d] = [0, 1].map((n) => other.add(`${n}`, identity("ecdsa-p256", n), { ownPublicId: other.random.bytes(32) })) as [Node, Node];
    other.connectI3(c, d, d.env.ownPublicId as Uint8Array);
    other.run(1_000);
    other.wire.length = 0;
    expect([c.host.readdress(other.nowMs, c.last("established").association, place(1).address), other.wire]).toEqual([null, []]);
  });

  it("moves twice within the pause: the second word follows at its end", () => {
    const bed = established();
    const { network, a, b } = bed;
    move(bed, a, place(1));
    network.run(50);
    move(bed, a, place(2));
    expect(network.wire.filter(({ from, bytes }) => from === a && typesIn(bytes).includes(PARAMETER.locatorSet))).toHaveLength(1);
    network.run(ANNOUNCE_EVERY_MS);
    expect(b.last("moved").path).toEqual(udp(place(2)));
  });
});

describe("a peer that names another place", () => {
  const victim = Uint8Array.of(203, 0, 113, 9);
  const named = (address: Uint8Array, more: Partial<HipLocator> = {}): HipLocator => ({ trafficType: TRAFFIC_TYPE.both, preferred: true, lifetimeSeconds: 120, spi: FORGER_SPI, address, ...more });

  function forged(): { readonly network: Network; readonly b: Node; readonly say: (id: number, ...locators: readonly HipLocator[]) => void } {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 1), { isOverlay: (address) => address[0] === 10 });
    const forger = new Forger(network, b);
    forger.callWith((all) => all);
    network.run(1_000);
    network.wire.length = 0;
    const say = (id: number, ...locators: readonly HipLocator[]): void =>
      forger.say(update, [{ type: PARAMETER.locatorSet, contents: encodeLocatorSet(locators) }, { type: PARAMETER.seq, contents: encodeSeq(id) }]);
    return { network, b, say };
  }

  it("a victim's gets the question twice and nothing else; data is not let go there", () => {
    const { network, b, say } = forged();
    say(0, named(victim));
    network.run(60_000);
    const got = addressed(network, { address: victim, port: 1 });
    expect(got.map(typesIn)).toEqual([[PARAMETER.seq, PARAMETER.echoRequestSigned], [PARAMETER.seq, PARAMETER.echoRequestSigned]]);
    expect([placesOf(b), b.host.counters.moved]).toEqual([[], 0]);
  });

  it("again and again: few questions are asked", () => {
    const { network, b, say } = forged();
    for (let n = 0; n < 600; n++) {
      say(n, named(Uint8Array.of(203, 0, n >> 8, n & 0xff)));
      network.run(100);
    }
    const asked = network.wire.filter(({ bytes }) => typesIn(bytes).includes(PARAMETER.echoRequestSigned)).length;
    expect(asked).toBeLessThanOrEqual(MAX_CHECK_TRIES * (CHECK_BURST + 60 * CHECKS_PER_SECOND + 1));
    expect([asked > 20, placesOf(b), b.host.counters.locatorsSkipped > 400]).toEqual([true, [], true]);
  });

  it("is followed there when it answers there", () => {
    const bed = established();
    const { network, a, b } = bed;
    // a's other interface: what it says there comes from there.
    const other = network.add("other", identity("ecdsa-p256", 2));
    Object.assign(other, { locator: place(9) });
    network.middlebox = (sent) => {
      if (sent.from === b && sent.path.kind === "udp" && sent.path.locator.address.join() === place(9).address.join()) network.inject(a, sent.bytes, b, 10);
      return sent.bytes;
    };
    a.host.readdress(network.nowMs, a.last("established").association, place(9).address);
    // The word came by the old way; a's answers come from the new one.
    network.run(5);
    Object.assign(a, { locator: place(9) });
    network.nodes.splice(network.nodes.indexOf(other), 1);
    network.run(1_000);
    expect([b.last("moved").path, b.host.counters.moved]).toEqual([udp(place(9)), 1]);
  });

  it.each<readonly [string, HipLocator]>([
    ["loopback", named(Uint8Array.of(127, 0, 0, 1))], ["loopback of IPv6", named(new Uint8Array(16).with(15, 1))], ["multicast", named(Uint8Array.of(224, 0, 0, 1))], ["multicast of IPv6", named(new Uint8Array(16).with(0, 0xff))],
    ["unspecified", named(new Uint8Array(4))], ["unspecified of IPv6", named(new Uint8Array(16))], ["broadcast", named(new Uint8Array(4).fill(255))], ["link-local", named(Uint8Array.of(0xfe, 0x80, ...new Uint8Array(13), 1))],
    ["a HIT", named(identity("ecdsa-p256", 2).hit)], ["the overlay's", named(Uint8Array.of(10, 1, 2, 3))], ["of another SPI", named(victim, { spi: 9_999 })], ["deprecated", named(victim, { lifetimeSeconds: 0 })],
    ["for signaling alone", named(victim, { trafficType: TRAFFIC_TYPE.signaling })], ["of a transport without IP alone", named(victim, { transport: { port: 5_000, protocol: 17, kind: 0, priority: 1 } })],
  ])("%s is not asked, and counted", (_, locator) => {
    const { network, b, say } = forged();
    say(0, locator);
    network.run(10_000);
    expect([network.wire.filter(({ bytes }) => typesIn(bytes).includes(PARAMETER.echoRequestSigned)), b.host.counters.locatorsSkipped, network.wire.length]).toEqual([[], 1, 1]);
  });

  it("one that it does not prefer is not asked, nor where it is", () => {
    const { network, b, say } = forged();
    say(0, named(victim, { preferred: false }));
    say(1, named(Uint8Array.of(198, 51, 100, 7)));
    network.run(10_000);
    expect([network.wire.length, b.host.counters.locatorsSkipped]).toEqual([2, 0]);
  });
});

it("no host is at addresses of no one or of many", () => {
  for (const good of [[192, 0, 2, 1], [10, 0, 0, 1], [223, 255, 255, 255]]) expect(canBeOneHosts(Uint8Array.from(good))).toBe(true);
  expect([canBeOneHosts(new Uint8Array(16).fill(0x20)), canBeOneHosts(new Uint8Array(16).with(15, 2)), canBeOneHosts(new Uint8Array(16).with(0, 1).with(15, 1)), canBeOneHosts(Uint8Array.of(0xfe, 0xc0, ...new Uint8Array(14)))]).toEqual([true, true, true, true]);
  for (const bad of [[0, 1, 2, 3], [127, 255, 0, 1], [224, 0, 0, 1], [240, 0, 0, 1]]) expect(canBeOneHosts(Uint8Array.from(bad))).toBe(false);
});

import { describe, expect, it } from "vitest";
import { LIMITS, type Flow } from "../../src/datapath.js";
import { mayBeAnswered } from "../../src/reference/icmp-errors.js";
import { Harness, NONCE, dataPacket, locator } from "./harness.js";
import { be16, bytes, concat, data, fullChecksum, icmp, ip4, ip4Packet, ip6, ip6Packet, makeId, packet, udp } from "./packets.js";

const OWN = ip4("10.0.0.1");
const PEER = ip4("10.0.0.2");
const OWN6 = ip6(1);
const PEER6 = ip6(2);
const ID = makeId(5, 1);
const SERVER = locator("192.0.2.1");
const HEADER = dataPacket({ ids: [makeId(7, 3)] });

const toPeer = (payload = data(10)): Uint8Array => packet(OWN, PEER, 17, udp(payload));
const toPeer6 = (payload = data(10)): Uint8Array => packet(OWN6, PEER6, 17, udp(payload));
const tunnel: Flow = { action: "tunnel", header: HEADER, source: OWN };
const SETUP: Flow = { action: "setup" };
const REFUSE: Flow = { action: "refuse" };

function host(flow: Flow | null = tunnel): Harness {
  const harness = new Harness();
  harness.engine.setDefaultServer(SERVER);
  harness.engine.setFlow(PEER, flow);
  return harness;
}

describe("packets that cannot be read", () => {
  const good = toPeer();
  const changed = (at: number, value: number, base = good): Uint8Array => {
    const out = Uint8Array.from(base);
    out[at] = value;
    return out;
  };
  it.each<readonly [string, Uint8Array]>([
    ["zero-length", new Uint8Array(0)],
    ["one byte", bytes(0x45)],
    ["shorter than its header", good.subarray(0, 19)],
    ["version 0", changed(0, 0x05)],
    ["version 5", changed(0, 0x55)],
    ["header length below 20", changed(0, 0x44)],
    ["header longer than the packet", packet(OWN, PEER, 17, bytes()).fill(0x4f, 0, 1)],
    ["total length below the header", ip4Packet({ source: OWN, destination: PEER, protocol: 17, totalLength: 19 }, data(8))],
    ["total length above the packet: truncated", ip4Packet({ source: OWN, destination: PEER, protocol: 17, totalLength: 29 }, data(8))],
    ["IPv6 shorter than its header", toPeer6().subarray(0, 39)],
    ["IPv6 payload length above the packet", ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 17, payloadLength: 9 }, data(8))],
  ])("%s is inner-malformed from both sides", (_, bad) => {
    const harness = host();
    harness.engine.setFlow(PEER6, { ...tunnel, source: OWN6 });
    const same = (address: Uint8Array): { from: Uint8Array; to: Uint8Array } => ({ from: address, to: address });
    harness.engine.setInbound(ID, { action: "tun", flow: PEER, source4: same(OWN), destination4: same(PEER), source6: same(OWN6), destination6: same(PEER6) });
    const none = { tun: [], udp: [], upcalls: [], drops: { "inner-malformed": 1 } };
    expect(harness.fromTun(bad)).toEqual(none);
    expect(harness.fromUdp(SERVER, dataPacket({ ids: [ID] }, bad))).toEqual(none);
    harness.engine.deliver(ID, [bad]);
    expect(harness.engine.counters().drops["inner-malformed"]).toBe(3);
  });

  it("cuts off what follows the packet's own length", () => {
    const harness = host();
    harness.engine.setFlow(PEER6, { ...tunnel, source: OWN6 });
    const { udp: out } = harness.fromTun(concat(good, data(7)), concat(toPeer6(), data(9)));
    expect(out.map((datagram) => datagram.bytes)).toEqual([concat(HEADER, good), concat(HEADER, toPeer6())]);
  });
});

describe("destinations that are nobody", () => {
  it.each(["224.0.0.1", "239.255.255.250", "255.255.255.255", "169.254.3.4"])("%s is dropped in silence", (destination) => {
    const harness = host();
    expect(harness.fromTun(packet(OWN, ip4(destination), 17, udp(data(3))))).toEqual({ tun: [], udp: [], upcalls: [], drops: { "not-allocated": 1 } });
  });

  it.each(["169.253.3.4", "223.255.255.255", "240.0.0.1"])("%s is answered", (destination) => {
    expect(host().fromTun(packet(OWN, ip4(destination), 17, udp(data(3)))).tun).toHaveLength(1);
  });

  it.each<readonly [string, Uint8Array, number]>([
    ["ff02::1", concat(bytes(0xff, 2), new Uint8Array(14)), 0],
    ["fe80::1", concat(bytes(0xfe, 0x80), new Uint8Array(14)), 0],
    ["febf::", concat(bytes(0xfe, 0xbf), new Uint8Array(14)), 0],
    ["fec0::", concat(bytes(0xfe, 0xc0), new Uint8Array(14)), 1],
  ])("%s", (_, destination, answers) => {
    const { tun, drops } = host().fromTun(packet(OWN6, destination, 17, udp(data(3))));
    expect(tun).toHaveLength(answers);
    expect(drops).toEqual({ "not-allocated": 1 });
  });
});

describe("ICMP errors", () => {
  it("IPv4: host unreachable from the address that nobody has, quoting at most 548 bytes, with right checksums", () => {
    const offending = packet(OWN, ip4("10.0.0.77"), 17, udp(data(1200)));
    const { tun, drops } = host().fromTun(offending);
    const [error] = tun;
    expect(drops).toEqual({ "not-allocated": 1 });
    expect(error?.length).toBe(576);
    expect(error?.subarray(0, 10)).toEqual(concat(bytes(0x45, 0), be16(576), bytes(0, 0, 0x40, 0, 64, 1)));
    expect(error?.subarray(12, 20)).toEqual(concat(ip4("10.0.0.77"), OWN));
    expect(error?.subarray(20, 22)).toEqual(bytes(3, 1));
    expect(error?.subarray(24, 28)).toEqual(bytes(0, 0, 0, 0));
    expect(error?.subarray(28)).toEqual(offending.subarray(0, 548));
    expect(fullChecksum(error?.subarray(0, 20) ?? bytes())).toBe(0);
    expect(fullChecksum(error?.subarray(20) ?? bytes())).toBe(0);
  });

  it("IPv6: address unreachable, quoting at most 1,232 bytes", () => {
    const offending = packet(OWN6, ip6(77), 17, udp(data(1301)));
    const [error] = host().fromTun(offending).tun;
    expect(error?.length).toBe(1280);
    expect(error?.subarray(0, 8)).toEqual(concat(bytes(0x60, 0, 0, 0), be16(1240), bytes(58, 64)));
    expect(error?.subarray(8, 40)).toEqual(concat(ip6(77), OWN6));
    expect(error?.subarray(40, 42)).toEqual(bytes(1, 3));
    expect(error?.subarray(48)).toEqual(offending.subarray(0, 1232));
    const pseudo = concat(ip6(77), OWN6, bytes(0, 0), be16(1240), bytes(0, 0, 0, 58));
    expect(fullChecksum(pseudo, error?.subarray(40) ?? bytes())).toBe(0);
  });

  it("an odd packet shorter than the quote is quoted whole", () => {
    const offending = packet(OWN, ip4("10.0.0.77"), 17, udp(data(3)));
    const [error] = host().fromTun(offending).tun;
    expect(error?.subarray(28)).toEqual(offending);
    expect(fullChecksum(error?.subarray(20) ?? bytes())).toBe(0);
  });

  const ext = (next: number, kind: number): Uint8Array => bytes(next, 0, 0, kind, 0, 0, 0, 0);
  it.each<readonly [string, Uint8Array, boolean]>([
    ["an echo request", packet(OWN, PEER, 1, icmp(8, 0, data(12))), true],
    ...[3, 4, 5, 11, 12].map((type) => [`ICMP type ${type}`, packet(OWN, PEER, 1, icmp(type, 0, data(12))), false] as const),
    ["ICMP without a type", packet(OWN, PEER, 1, bytes()), false],
    ["a later fragment", ip4Packet({ source: OWN, destination: PEER, protocol: 17, fragment: 1 }, data(8)), false],
    ["a first fragment", ip4Packet({ source: OWN, destination: PEER, protocol: 17, fragment: 0x2000 }, data(8)), true],
    ["source 0.0.0.0", packet(ip4("0.0.0.0"), PEER, 17, udp(data(1))), false],
    ["source 127.0.0.1", packet(ip4("127.0.0.1"), PEER, 17, udp(data(1))), false],
    ["source multicast", packet(ip4("224.0.0.5"), PEER, 17, udp(data(1))), false],
    ["source broadcast", packet(ip4("255.255.255.255"), PEER, 17, udp(data(1))), false],
    ["an ICMPv6 echo request", packet(OWN6, PEER6, 58, icmp(128, 0, data(12))), true],
    ...[1, 4, 127, 137].map((type) => [`ICMPv6 type ${type}`, packet(OWN6, PEER6, 58, icmp(type, 0, data(12))), false] as const),
    ["an ICMPv6 error behind extension headers", ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 60 }, concat(ext(58, 0), icmp(1, 0, data(4)))), false],
    ["a later IPv6 fragment", ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 44 }, concat(bytes(17, 0, 0, 8, 0, 0, 0, 1), data(8))), false],
    ["a first IPv6 fragment", ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 44 }, concat(bytes(17, 0, 0, 1, 0, 0, 0, 1), data(8))), true],
    ["a chain that is cut off", ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 60 }, bytes(17, 5)), false],
    ["IPv6 source ::", packet(new Uint8Array(16), PEER6, 17, udp(data(1))), false],
    ["IPv6 source multicast", packet(concat(bytes(0xff, 2), new Uint8Array(14)), PEER6, 17, udp(data(1))), false],
  ])("about %s: %s", (_, offending, answered) => {
    expect(mayBeAnswered(offending, 0, offending.length)).toBe(answered);
    const { tun, drops } = host(null).fromTun(offending);
    expect(tun).toHaveLength(answered ? 1 : 0);
    expect(drops).toEqual({ "not-allocated": 1 });
  });

  it("at most 1,000 in a second, and again in the next", () => {
    const harness = new Harness({ slots: 1500, slotBytes: 600 });
    const many = Array.from({ length: 1200 }, () => toPeer(data(1)));
    expect(harness.fromTun(...many).tun).toHaveLength(1000);
    harness.nowMs = 1_999;
    expect(harness.fromTun(toPeer()).tun).toHaveLength(0);
    harness.nowMs = 2_000;
    expect(harness.fromTun(toPeer()).tun).toHaveLength(1);
  });
});

describe("set-up", () => {
  it("asks once, queues 16 in order, drops the newest, and sends them in order with its action, before anything newer", () => {
    const harness = host(SETUP);
    const packets = Array.from({ length: 18 }, (_, i) => toPeer(data(i + 1)));
    const { upcalls, udp: none, tun, drops } = harness.fromTun(...packets);
    expect(upcalls).toEqual([{ kind: "flow-setup", address: PEER, strength: 2, packet: packets[0] }]);
    expect([none, tun, drops]).toEqual([[], [], { "queue-full": 2 }]);
    harness.engine.setFlow(PEER, tunnel);
    expect(harness.engine.pending()).toBe(true);
    expect(harness.engine.queuedPackets()).toBe(0);
    const newer = toPeer(data(40));
    const { udp: out } = harness.fromTun(newer);
    expect(out.map((datagram) => datagram.bytes)).toEqual([...packets.slice(0, 16), newer].map((inner) => concat(HEADER, inner)));
    expect(harness.engine.pending()).toBe(false);
    expect(harness.engine.queuedPackets()).toBe(0);
  });

  it("release checks the source like any packet", () => {
    const harness = host(SETUP);
    harness.fromTun(packet(ip4("10.0.0.9"), PEER, 17, udp(data(1))), toPeer());
    harness.engine.setFlow(PEER, tunnel);
    harness.engine.release(PEER);
    expect(harness.step().udp.map((datagram) => datagram.bytes)).toEqual([concat(HEADER, toPeer())]);
    expect(harness.engine.counters().drops["inner-address"]).toBe(1);
  });

  it("release with the flow still setup queues again and asks again", () => {
    const harness = host(SETUP);
    harness.fromTun(toPeer());
    harness.engine.release(PEER);
    expect(harness.step().upcalls).toEqual([{ kind: "flow-setup", address: PEER, strength: 2, packet: toPeer() }]);
    expect(harness.engine.queuedPackets()).toBe(1);
  });

  it.each([true, false])("discard(refuse %s) drops what waits and the next packet asks again", (refuse) => {
    const harness = host(SETUP);
    harness.fromTun(toPeer(), toPeer());
    harness.engine.discard(PEER, refuse);
    const { tun } = harness.step();
    expect(tun).toHaveLength(refuse ? 2 : 0);
    expect(harness.engine.counters().drops.refused).toBe(2);
    expect(harness.fromTun(toPeer()).upcalls).toHaveLength(1);
  });

  it("a new setup asks again and keeps what waits", () => {
    const harness = host(SETUP);
    harness.fromTun(toPeer());
    harness.engine.setFlow(PEER, SETUP);
    expect(harness.fromTun(toPeer()).upcalls).toHaveLength(1);
    expect(harness.engine.queuedPackets()).toBe(2);
  });

  it("removing the flow drops what waits, counted not-allocated", () => {
    const harness = host(SETUP);
    harness.fromTun(toPeer(), toPeer());
    harness.engine.setFlow(PEER, null);
    expect(harness.engine.counters().drops["not-allocated"]).toBe(2);
    expect(harness.engine.queuedPackets()).toBe(0);
    harness.engine.release(PEER);
    harness.engine.discard(PEER, true);
    expect(harness.step()).toEqual({ tun: [], udp: [], upcalls: [], drops: {} });
  });

  it("release with the flow refused answers each", () => {
    const harness = host(SETUP);
    harness.fromTun(toPeer(), toPeer());
    harness.engine.setFlow(PEER, REFUSE);
    harness.engine.release(PEER);
    expect(harness.step().tun).toHaveLength(2);
    expect(harness.engine.counters().drops.refused).toBe(2);
  });

  it("all queues together hold 4 MiB, and a flow that found no room still asks", () => {
    const harness = host(null);
    const big = data(3_000);
    const address = (i: number): Uint8Array => bytes(10, 1, i >> 8, i & 0xff);
    let held = 0;
    let asked = 0;
    for (let i = 0; i < 100; i++) {
      harness.engine.setFlow(address(i), SETUP);
      const { drops, upcalls } = harness.fromTun(...Array.from({ length: 16 }, () => packet(OWN, address(i), 17, udp(big))));
      held += 16 - (drops["queue-full"] ?? 0);
      asked += upcalls.length;
    }
    expect(held).toBe(Math.floor(LIMITS.queuedBytes / 3_028));
    expect(asked).toBe(100);
    harness.engine.discard(address(0), false);
    expect(harness.fromTun(packet(OWN, address(99), 17, udp(big))).drops).toEqual({});
  });
});

describe("submit", () => {
  it("treats packets as if they had come from the TUN, with what they become in the next step", () => {
    const harness = host();
    const given = [toPeer(), data(3), packet(OWN, ip4("10.0.0.77"), 17, udp(data(3)))];
    harness.engine.submit(given);
    for (const array of given) array.fill(0);
    expect(harness.engine.pending()).toBe(true);
    const { udp: out, tun } = harness.step();
    expect([out.map((datagram) => datagram.bytes), tun.length]).toEqual([[concat(HEADER, toPeer())], 1]);
    expect(harness.engine.counters()).toMatchObject({ tunIn: 0, drops: { "inner-malformed": 1, "not-allocated": 1 } });
  });
});

describe("tunnel", () => {
  it("puts the header in front and sends to the server of the first ring key, else to the default", () => {
    const harness = host();
    expect(harness.fromTun(toPeer()).udp).toEqual([{ to: SERVER, bytes: concat(HEADER, toPeer()) }]);
    harness.engine.setNextServer(new Uint8Array(16).fill(7), locator("198.51.100.1", 99));
    expect(harness.fromTun(toPeer()).udp[0]?.to).toEqual(locator("198.51.100.1", 99));
    harness.engine.setNextServer(new Uint8Array(16).fill(7), null);
    expect(harness.fromTun(toPeer()).udp[0]?.to).toEqual(SERVER);
    harness.engine.setDefaultServer(null);
    expect(harness.fromTun(toPeer())).toEqual({ tun: [], udp: [], upcalls: [], drops: { "no-route": 1 } });
  });

  it("carries a set-up message behind the header", () => {
    const header = concat(HEADER, data(50));
    expect(host({ ...tunnel, header }).fromTun(toPeer()).udp[0]?.bytes).toEqual(concat(header, toPeer()));
  });

  it("drops another inner source", () => {
    expect(host().fromTun(packet(ip4("10.0.0.9"), PEER, 17, udp(data(1))))).toEqual({ tun: [], udp: [], upcalls: [], drops: { "inner-address": 1 } });
  });

  it("refuses", () => {
    const { tun, drops } = host(REFUSE).fromTun(toPeer());
    expect([tun.length, drops]).toEqual([1, { refused: 1 }]);
  });

  it("drops what fits no slot, and no datagram, as too-big", () => {
    const harness = host();
    expect(harness.fromTun(toPeer(data(4_096 - 48 - 28 + 1))).drops).toEqual({ "too-big": 1 });
    expect(harness.fromTun(toPeer(data(4_096 - 48 - 28))).udp).toHaveLength(1);
    const wide = new Harness({ slots: 4, slotBytes: 70_000 });
    wide.engine.setDefaultServer(SERVER);
    wide.engine.setFlow(PEER, tunnel);
    expect(wide.fromTun(toPeer(data(65_507 - 48 - 28 + 1))).drops).toEqual({ "too-big": 1 });
    expect(wide.fromTun(toPeer(data(65_507 - 48 - 28))).udp).toHaveLength(1);
  });

  it("copies the header and addresses that it is given", () => {
    const harness = host(null);
    const header = Uint8Array.from(HEADER);
    const source = Uint8Array.from(OWN);
    const address = Uint8Array.from(PEER);
    harness.engine.setFlow(address, { action: "tunnel", header, source });
    for (const array of [header, source, address]) array.fill(0);
    expect(harness.fromTun(toPeer()).udp[0]?.bytes).toEqual(concat(HEADER, toPeer()));
  });
});

describe("last use", () => {
  it("is of the last packet either way, and is kept over a change of the flow", () => {
    const harness = host(SETUP);
    expect(harness.engine.lastUse(PEER)).toBeUndefined();
    harness.fromTun(toPeer());
    expect(harness.engine.lastUse(PEER)).toBe(1_000);
    harness.engine.setFlow(PEER, tunnel);
    expect(harness.engine.lastUse(PEER)).toBe(1_000);
    harness.nowMs = 1_500;
    harness.fromTun(packet(ip4("10.0.0.9"), PEER, 17, udp(data(1))));
    expect(harness.engine.lastUse(PEER)).toBe(1_000);
    harness.fromTun(toPeer());
    expect(harness.engine.lastUse(PEER)).toBe(1_500);
    const same = (address: Uint8Array): { from: Uint8Array; to: Uint8Array } => ({ from: address, to: address });
    harness.engine.setInbound(ID, { action: "tun", flow: PEER, source4: same(PEER), destination4: same(OWN), source6: null, destination6: null });
    harness.nowMs = 1_700;
    harness.fromUdp(SERVER, dataPacket({ ids: [ID] }, packet(PEER, OWN, 17, udp(data(1)))));
    expect(harness.engine.lastUse(PEER)).toBe(1_700);
    harness.engine.setFlow(PEER, null);
    expect(harness.engine.lastUse(PEER)).toBeUndefined();
  });

  it("time never runs backwards", () => {
    const harness = host();
    harness.step();
    harness.nowMs = 10;
    harness.fromTun(toPeer());
    expect(harness.engine.lastUse(PEER)).toBe(1_000);
  });
});

describe("inbound", () => {
  const arrived = (payloadKind: number): Uint8Array => dataPacket({ ids: [ID, makeId(8)], payloadKind }, data(20));

  it.each([0, 1, 2, 3, 5])("upcall: payload kind %i goes up", (payloadKind) => {
    const harness = host();
    harness.engine.setInbound(ID, { action: "upcall" });
    const { upcalls, drops } = harness.fromUdp(SERVER, arrived(payloadKind));
    expect(upcalls).toEqual([{ kind: "payload", id: ID, from: SERVER, nonce: NONCE, payloadKind, payload: data(20) }]);
    expect(drops).toEqual({});
  });

  it.each([6, 255])("payload kind %i means nothing to a host", (payloadKind) => {
    const harness = host();
    harness.engine.setInbound(ID, { action: "upcall" });
    expect(harness.fromUdp(SERVER, arrived(payloadKind))).toEqual({ tun: [], udp: [], upcalls: [], drops: { malformed: 1 } });
  });

  it("tun: other kinds than 1 go up", () => {
    const harness = host();
    harness.engine.setInbound(ID, { action: "tun", flow: PEER, source4: null, destination4: null, source6: null, destination6: null });
    expect(harness.fromUdp(SERVER, arrived(2)).upcalls).toHaveLength(1);
    expect(harness.fromUdp(SERVER, dataPacket({ ids: [ID] }, toPeer())).drops).toEqual({ "inner-address": 1 });
  });

  it("needs the id exactly", () => {
    const harness = host();
    harness.engine.setInbound(ID, { action: "upcall" });
    expect(harness.fromUdp(SERVER, dataPacket({ ids: [makeId(5, 1, 1)] })).drops).toEqual({ "unknown-id": 1 });
    harness.engine.setInbound(ID, null);
    expect(harness.fromUdp(SERVER, arrived(1)).drops).toEqual({ "unknown-id": 1 });
  });

  it("deliver treats packets as if they had arrived", () => {
    const harness = host();
    harness.engine.setInbound(makeId(1), { action: "upcall" });
    harness.engine.setInbound(ID, {
      action: "tun",
      flow: PEER,
      source4: { from: OWN, to: ip4("10.7.7.7") },
      destination4: { from: PEER, to: ip4("10.8.8.8") },
      source6: null,
      destination6: null,
    });
    harness.engine.deliver(ID, [toPeer(), data(3), packet(PEER, OWN, 17, udp(data(1))), toPeer6()]);
    harness.engine.deliver(makeId(1), [toPeer()]);
    harness.engine.deliver(makeId(2), [toPeer()]);
    expect(harness.step().tun).toEqual([packet(ip4("10.7.7.7"), ip4("10.8.8.8"), 17, udp(data(10)))]);
    expect(harness.engine.counters().drops).toMatchObject({ "inner-malformed": 1, "inner-address": 2, "unknown-id": 2 });
  });
});

/** Checksum states from the TUN to the TUN (docs/datapath.md, "Checksum states"). The oracle sums whole packets. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { completeChecksum } from "../../src/reference/checksum-state.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { NULL, OWN, OWN6, PEER, PEER6, REMOTE, makeReceiver, makeSender } from "./associations.js";
import { Harness, dataPacket } from "./harness.js";
import { be16, be32, bytes, concat, data, fullChecksum, ip4, ip4Packet, ip6, ip6Packet, makeId, packet, tcp, udp } from "./packets.js";

const HEADER = dataPacket({ ids: [makeId(7, 3)] });

/** The packet as Linux hands it over: the field of TCP or UDP holds the sum of the pseudo-header. */
function makePartial(source: Uint8Array, destination: Uint8Array, protocol: 6 | 17, message: Uint8Array): Uint8Array {
  const length = message.length;
  const pseudo = source.length === 4 ? concat(source, destination, bytes(0, protocol), be16(length)) : concat(source, destination, be32(length), bytes(0, 0, 0, protocol));
  const at = protocol === 6 ? 16 : 6;
  const unsealed = concat(message.subarray(0, at), be16(0xffff - fullChecksum(pseudo)), message.subarray(at + 2));
  return source.length === 4 ? ip4Packet({ source, destination, protocol }, unsealed) : ip6Packet({ source, destination, nextHeader: protocol }, unsealed);
}

const CASES = [
  ["TCP over IPv4", OWN, PEER, 6, tcp(data(31))],
  ["UDP over IPv4", OWN, PEER, 17, udp(data(30))],
  ["TCP over IPv6", OWN6, PEER6, 6, tcp(data(30))],
  ["UDP over IPv6", OWN6, PEER6, 17, udp(data(31))],
] as const;

function tunnels(): Harness {
  const harness = new Harness();
  harness.engine.setDefaultServer(REMOTE);
  for (const [address, source] of [[PEER, OWN], [PEER6, OWN6]] as const) harness.engine.setFlow(address, { action: "tunnel", header: HEADER, source });
  return harness;
}

describe.each(CASES)("%s", (_, source, destination, protocol, message) => {
  const partial = makePartial(source, destination, protocol, message);
  const complete = packet(source, destination, protocol, message);

  it("a partial checksum is completed for a tunnel and an upcall, not for an ICMP error", () => {
    const harness = tunnels();
    expect(harness.step([partial, complete, partial], [], [1, 2, 0]).udp.map((sent) => sent.bytes)).toEqual([complete, complete, partial].map((inner) => concat(HEADER, inner)));
    harness.engine.setFlow(destination, { action: "setup" });
    expect(harness.step([partial], [], [1]).upcalls).toEqual([{ kind: "flow-setup", address: destination, strength: 2, packet: complete }]);
    harness.engine.discard(destination, false);
    harness.engine.setFlow(destination, { action: "refuse" });
    expect(harness.step([partial], [], [1]).tun[0]?.subarray(source.length === 4 ? 28 : 48)).toEqual(partial);
    expect(harness.tunStates).toEqual([CHECKSUM.complete]);
  });

  it("a packet that waits keeps its state", () => {
    const sender = makeSender({ transform: NULL, checksumState: true });
    const action = { action: "esp", association: 1, header: null, locator: REMOTE, source } as const;
    sender.engine.setFlow(destination, { action: "setup" });
    sender.step([partial, complete], [], [1, 2]);
    sender.engine.setFlow(destination, action);
    sender.engine.release(destination);
    const receiver = makeReceiver({ transform: NULL, checksumState: true });
    const { tun } = receiver.step([], sender.step().udp.map((sent) => ({ from: REMOTE, bytes: sent.bytes })));
    expect(tun).toEqual([partial, complete]);
    expect(receiver.tunStates).toEqual([1, 2]);
  });

  it("it is completed for an association that does not carry states", () => {
    for (const beet of [4, 6, null] as const) {
      const [sent] = makeSender({ transform: NULL, beet }).step([partial], [], [1]).udp;
      const receiver = makeReceiver({ transform: NULL, beet });
      expect(receiver.fromUdp(REMOTE, sent?.bytes ?? bytes()).tun.map((inner) => inner.subarray(source.length === 4 ? 20 : 40))).toEqual([complete.subarray(source.length === 4 ? 20 : 40)]);
      expect(receiver.tunStates).toEqual([CHECKSUM.complete]);
    }
  });

  it("rewritten addresses: partial stays partial and right", () => {
    const [from, to] = source.length === 4 ? [OWN, ip4("10.99.255.254")] : [OWN6, ip6(0xfffe)];
    const [sent] = makeSender({ transform: NULL, checksumState: true, beet: null }).step([partial], [], [1]).udp;
    const receiver = makeReceiver({ transform: NULL, checksumState: true, [source.length === 4 ? "source4" : "source6"]: { from, to } });
    const [arrived] = receiver.fromUdp(REMOTE, sent?.bytes ?? bytes()).tun;
    expect(receiver.tunStates).toEqual([CHECKSUM.partial]);
    expect(arrived).toEqual(makePartial(to, destination, protocol, message));
    const whole = Uint8Array.from(arrived ?? []);
    completeChecksum(whole, 0, whole.length);
    expect(whole).toEqual(packet(to, destination, protocol, message));
  });
});

it("completing any packet of TCP or UDP, at any place, gives what summing it all gives", () => {
  fc.assert(
    fc.property(fc.constantFrom(...CASES), fc.uint8Array({ maxLength: 90 }), fc.nat(5), ([, source, destination, protocol], payload, at) => {
      const message = protocol === 6 ? tcp(payload) : udp(payload);
      const partial = makePartial(source, destination, protocol, message);
      const arena = concat(new Uint8Array(at).fill(0xee), partial, bytes(0xee));
      completeChecksum(arena, at, partial.length);
      expect(arena.subarray(at, -1)).toEqual(packet(source, destination, protocol, message));
    }),
  );
});

it("a UDP checksum that comes to 0 is written as 0xffff, a TCP one as 0", () => {
  const sumTo = (protocol: 6 | 17, message: Uint8Array): Uint8Array => {
    const sealed = packet(OWN, PEER, protocol, message).subarray(20);
    const checksum = sealed.subarray(protocol === 6 ? 16 : 6, protocol === 6 ? 18 : 8);
    // Two more bytes that hold the checksum itself make the sum of all come to 0xffff.
    return concat(message.subarray(0, message.length - 2), checksum);
  };
  for (const [protocol, message, field] of [[17, sumTo(17, udp(bytes(1, 2, 0, 0))), 0xffff], [6, sumTo(6, tcp(bytes(1, 2, 0, 0))), 0]] as const) {
    const partial = makePartial(OWN, PEER, protocol, message);
    completeChecksum(partial, 0, partial.length);
    expect(partial.subarray(protocol === 6 ? 36 : 26, protocol === 6 ? 38 : 28)).toEqual(be16(field));
  }
});

it.each<readonly [string, Uint8Array, number, number]>([
  ["a later fragment", ip4Packet({ source: OWN, destination: PEER, protocol: 17, fragment: 3 }, udp(data(9))), 1, 0],
  ["half a checksum field", ip4Packet({ source: OWN, destination: PEER, protocol: 17 }, data(7)), 1, 0],
  ["the whole field and no more", ip4Packet({ source: OWN, destination: PEER, protocol: 17 }, data(8)), 1, 1],
  ["SCTP", ip4Packet({ source: OWN, destination: PEER, protocol: 132 }, data(30)), 1, 0],
  ["ICMPv6", ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 58 }, data(30)), 1, 0],
  ["UDP behind an IPv6 header", ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 60 }, concat(bytes(17, 0, 1, 4, 0, 0, 0, 0), udp(data(3)))), 1, 1],
  ["a state that does not exist", packet(OWN, PEER, 17, udp(data(3))), 3, 0],
  ["verified, of anything", packet(OWN, PEER, 132, data(30)), 2, 2],
])("%s: given %i, what counts is in the padding", (_, inner, given, counts) => {
  const sender = makeSender({ transform: NULL, checksumState: true, beet: null });
  const plain = makeSender({ transform: NULL, beet: null });
  const [long, short] = [sender, plain].map((harness) => harness.step([inner], [], [given]).udp[0]?.bytes.length ?? 0);
  expect((long ?? 0) - (short ?? 0)).toBe(counts * 4);
});

/**
 * Hosts behind a peer (docs/datapath.md, "Behind a peer"): a laptop and a gateway, each as a pair of engines, and what they make of packets to and from others. Each
 * packet that one sends is opened by the other.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS, MIN_SPI, type AddressRewrite, type DropReason } from "../../src/datapath.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { GCM } from "../reference/associations.js";
import { dataPacket, risen } from "../reference/harness.js";
import { bytes, concat, data, icmp, ip4, ip4Packet, ip6, makeId, packet, sealTransport, tcp, udp } from "../reference/packets.js";
import { plainArrival } from "./arrival-recipes.js";
import { EnginePair } from "./engine-pair.js";
import { LOCATORS, type Family } from "./pools.js";

const UDP = 17;
const TCP = 6;
const ICMP = { 4: 1, 6: 58 } as const;
const ECHO = { 4: 8, 6: 128 } as const;
const UNREACHABLE = { 4: 3, 6: 1 } as const;
const WHOLE = { 4: 32, 6: 128 } as const;
const SPIS = { toGateway: MIN_SPI + 1, toLaptop: MIN_SPI + 2 } as const;
const WHERE = LOCATORS[0]!;
const ID = makeId(0x42, 1);

/** `seen`: the laptop as the gateway's system sees it; `near`: the gateway as the laptop does. */
const HOSTS = {
  4: { laptop: ip4("10.0.0.1"), gateway: ip4("10.0.0.2"), seen: ip4("10.7.7.7"), near: ip4("10.8.8.8"), friend: ip4("10.0.0.5"), server: ip4("10.0.9.7"), other: ip4("10.0.10.7"), router: ip4("198.51.100.9"), group: ip4("224.0.0.5") },
  6: { laptop: ip6(1), gateway: ip6(2), seen: ip6(0x777), near: ip6(0x888), friend: ip6(5), server: ip6(0x907), other: ip6(0xa07), router: ip6(0x5109), group: concat(bytes(0xff, 2), new Uint8Array(13), bytes(5)) },
} as const;

const message = (from: Uint8Array, to: Uint8Array, protocol = UDP): Uint8Array => packet(from, to, protocol, sealTransport(from, to, protocol, protocol === UDP ? udp(data(30)) : tcp(data(30))));
const icmpPacket = (family: Family, from: Uint8Array, to: Uint8Array, type: number, rest: Uint8Array): Uint8Array => packet(from, to, ICMP[family], sealTransport(from, to, ICMP[family], icmp(type, 0, rest)));
const errorAbout = (family: Family, from: Uint8Array, to: Uint8Array, quote: Uint8Array): Uint8Array => icmpPacket(family, from, to, UNREACHABLE[family], concat(bytes(0, 0, 0, 0), quote));
/** ::last. */
const ip6Of = (last: number): Uint8Array => concat(new Uint8Array(15), bytes(last));
const hex = (packets: readonly Uint8Array[]): readonly string[] => packets.map((one) => Buffer.from(one).toString("hex"));

describe.each([4, 6] as const)("IPv%i", (family) => {
  describe.each(["preserved", "changed"] as const)("the addresses of the two %s", (headers) => {
    const { laptop, gateway, server, other, router, group, friend } = HOSTS[family];
    const [seen, near] = headers === "preserved" ? [laptop, gateway] : [HOSTS[family].seen, HOSTS[family].near];
    let here: EnginePair;
    let there: EnginePair;

    beforeEach(() => {
      [here, there] = [new EnginePair(), new EnginePair()];
      const rewrites = (source: AddressRewrite, destination: AddressRewrite): Record<string, AddressRewrite | null> => ({ [`source${family}`]: source, [`destination${family}`]: destination, [`source${10 - family}`]: null, [`destination${10 - family}`]: null });
      const install = (pair: EnginePair, peer: Uint8Array, own: Uint8Array, spis: { readonly out: number; readonly in: number }, target: ReturnType<typeof rewrites>): void => {
        const both = { transform: GCM, beet: family, checksumState: true } as const;
        pair.change("out", (engine) => engine.setOutboundAssociation(1, { ...both, spi: spis.out }));
        pair.change("flow", (engine) => engine.setFlow(peer, { action: "esp", association: 1, header: null, locator: WHERE, source: own }));
        pair.change("in", (engine) => engine.setInboundAssociation(spis.in, { ...both, flow: peer, ...target } as Parameters<typeof engine.setInboundAssociation>[1]));
        pair.change("id", (engine) => engine.setInbound(ID, { action: "tun", flow: peer, ...target } as Parameters<typeof engine.setInbound>[1]));
      };
      install(here, near, laptop, { out: SPIS.toGateway, in: SPIS.toLaptop }, rewrites({ from: gateway, to: near }, { from: seen, to: laptop }));
      install(there, seen, gateway, { out: SPIS.toLaptop, in: SPIS.toGateway }, rewrites({ from: laptop, to: seen }, { from: near, to: gateway }));
      here.change("behind", (engine) => engine.setBehind(server, WHOLE[family], near));
      there.change("forwarding", (engine) => engine.setForwarding(seen, true));
    });
    afterEach(() => [here, there].forEach((pair) => pair.close()));

    const sent = (pair: EnginePair, inner: Uint8Array): readonly Uint8Array[] => pair.step(1, [plainArrival(inner, CHECKSUM.complete)], [], true);
    const counted = (pair: EnginePair, act: () => void): Partial<Record<DropReason, number>> => {
      const before = pair.counters().drops;
      act();
      return risen(before, pair.counters().drops);
    };
    const arrive = (pair: EnginePair, datagrams: readonly Uint8Array[]): { readonly written: readonly string[]; readonly drops: object } => {
      const drops = counted(pair, () => void pair.step(1, [], datagrams.map((datagram) => ({ bytes: datagram, segmentBytes: 0, endpoint: encodeEndpoint(WHERE), trafficClass: 0 })), true));
      return { written: hex(pair.written), drops };
    };
    const pass = (from: EnginePair, to: EnginePair, inner: Uint8Array): ReturnType<typeof arrive> => arrive(to, sent(from, inner));
    /** As if it had come from a peer that keeps to no rule. */
    const plainly = (to: EnginePair, inner: Uint8Array): ReturnType<typeof arrive> => arrive(to, [dataPacket({ ids: [ID] }, inner)]);
    const taken = (...packets: readonly Uint8Array[]): ReturnType<typeof arrive> => ({ written: hex(packets), drops: {} });
    const refused = { written: [], drops: { "inner-address": 1 } };

    it("packets go there and back, the server's address as it is", () => {
      for (const protocol of [UDP, TCP]) {
        expect(pass(here, there, message(laptop, server, protocol))).toEqual(taken(message(seen, server, protocol)));
        expect(pass(there, here, message(server, seen, protocol))).toEqual(taken(message(server, laptop, protocol)));
      }
      expect(pass(here, there, icmpPacket(family, laptop, server, ECHO[family], data(8)))).toEqual(taken(icmpPacket(family, seen, server, ECHO[family], data(8))));
      // The gateway itself is spoken with as ever, without its header.
      const plain = (to: Uint8Array): Uint8Array => (family === 6 ? message(laptop, to) : ip4Packet({ source: laptop, destination: to, protocol: UDP, fragment: 0x4000, identification: 0 }, sealTransport(laptop, to, UDP, udp(data(30)))));
      const [whole, bare] = [sent(here, plain(server))[0], sent(here, plain(near))[0]];
      expect((whole?.length ?? 0) - (bare?.length ?? 0)).toBe(family === 4 ? 20 : 40);
      expect(arrive(there, bare === undefined ? [] : [bare])).toMatchObject({ drops: {} });
      expect(there.written).toHaveLength(1);
    });

    it("in cleartext too", () => {
      expect(plainly(there, message(laptop, server))).toEqual(taken(message(seen, server)));
      expect(plainly(here, message(server, seen))).toEqual(taken(message(server, laptop)));
      expect(plainly(here, message(other, seen))).toEqual(refused);
      // Nothing that nobody has proven is passed on.
      const target = { [`source${family}`]: { from: laptop, to: seen }, [`destination${family}`]: { from: near, to: gateway }, [`source${10 - family}`]: null, [`destination${10 - family}`]: null };
      there.change("readable", (engine) => engine.setInbound(ID, { action: "tun", flow: seen, strength: 0, ...target } as Parameters<typeof engine.setInbound>[1]));
      expect(plainly(there, message(laptop, server))).toEqual(refused);
      expect(plainly(there, message(laptop, near))).toEqual(taken(message(seen, gateway)));
    });

    it("nobody else is behind the gateway, nor the server behind another peer", () => {
      expect(counted(here, () => void sent(here, message(laptop, other)))).toEqual({ "not-allocated": 1 });
      expect(pass(there, here, message(other, seen))).toEqual(refused);
      expect(pass(there, here, message(server, other))).toMatchObject({ drops: {} });
      here.change("behind", (engine) => engine.setBehind(server, WHOLE[family], other));
      expect(pass(there, here, message(server, seen))).toEqual(refused);
      // That peer's flow is not there.
      expect(counted(here, () => void sent(here, message(laptop, server)))).toEqual({ "not-allocated": 1 });
      here.change("behind", (engine) => engine.setBehind(server, WHOLE[family], null));
      expect(pass(there, here, message(server, seen))).toEqual(refused);
      expect(here.lastUse(server)).toBeUndefined();
    });

    it("a source that is not ours leaves only where we pass packets on", () => {
      expect(counted(here, () => void sent(here, message(other, server)))).toEqual({ "inner-address": 1 });
      there.change("forwarding", (engine) => engine.setForwarding(seen, false));
      expect(counted(there, () => void sent(there, message(server, seen)))).toEqual({ "inner-address": 1 });
      expect(pass(here, there, message(laptop, server))).toEqual(refused);
      // As between any two hosts.
      expect(pass(here, there, message(laptop, near))).toEqual(taken(message(seen, gateway)));
    });

    it("what is passed on has the peer's address, and goes to one host", () => {
      expect(plainly(there, message(other, server))).toEqual(refused);
      expect(plainly(there, message(laptop, group))).toEqual(refused);
      expect(plainly(there, errorAbout(family, laptop, server, message(server, gateway)))).toEqual(refused);
      expect(plainly(there, icmpPacket(family, laptop, other, ECHO[family], data(8)))).toEqual(taken(icmpPacket(family, seen, other, ECHO[family], data(8))));
    });

    it("errors: of the laptop about what came from the server", () => {
      // The gateway's system has sent it to the laptop as `seen`, and the laptop has got it so.
      const quote = message(server, laptop);
      expect(pass(here, there, errorAbout(family, laptop, server, quote))).toEqual(taken(errorAbout(family, seen, server, message(server, seen))));
    });

    it("errors: of the server, and of a router on the way to it, whose address stays", () => {
      for (const who of [server, router]) {
        expect(plainly(here, errorAbout(family, who, seen, message(seen, server)))).toEqual(taken(errorAbout(family, who, laptop, message(laptop, server))));
        expect(plainly(here, errorAbout(family, who, seen, message(seen, other)))).toEqual(refused);
        expect(plainly(here, errorAbout(family, who, seen, message(seen, gateway)))).toEqual(refused);
        expect(plainly(here, errorAbout(family, who, seen, message(laptop, server)))).toEqual(headers === "preserved" ? taken(errorAbout(family, who, laptop, message(laptop, server))) : refused);
        expect(plainly(here, errorAbout(family, who, seen, message(other, server)))).toEqual(refused);
        expect(plainly(here, errorAbout(family, who, seen, message(server, seen)))).toEqual(refused);
        for (const cut of [0, 1, 19, 39]) {
          const isWhole = family === 4 && cut >= 20;
          expect(plainly(here, errorAbout(family, who, seen, message(seen, server).subarray(0, cut))), `${cut} bytes`).toEqual(isWhole ? expect.objectContaining({ drops: {} }) : refused);
        }
      }
    });

    it("errors: of the gateway itself about packets to the server", () => {
      expect(plainly(here, errorAbout(family, gateway, seen, message(seen, server)))).toEqual(taken(errorAbout(family, near, laptop, message(laptop, server))));
      expect(plainly(here, errorAbout(family, gateway, seen, message(seen, server, TCP)))).toEqual(taken(errorAbout(family, near, laptop, message(laptop, server, TCP))));
      expect(plainly(here, errorAbout(family, gateway, seen, message(seen, gateway)))).toEqual(taken(errorAbout(family, near, laptop, message(laptop, near))));
      expect(plainly(here, errorAbout(family, gateway, seen, message(seen, other)))).toEqual(refused);
      expect(plainly(here, errorAbout(family, gateway, seen, message(server, seen)))).toEqual(refused);
    });

    it("with all behind the gateway, it passes for no other peer, for no address of ours, and for nothing that is no host", () => {
      here.change("all", (engine) => engine.setBehind(new Uint8Array(laptop.length), 0, near));
      here.change("friend", (engine) => engine.setFlow(friend, { action: "refuse" }));
      const nobody = family === 4
        ? ["0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"].map(ip4)
        : [new Uint8Array(16), ip6Of(1), concat(bytes(0xfe, 0x80), ip6Of(1).subarray(2)), concat(bytes(0xfe, 0xbf), ip6Of(1).subarray(2)), group];
      expect(plainly(here, message(router, seen))).toEqual(taken(message(router, laptop)));
      for (const who of [friend, laptop, seen, near, ...nobody]) {
        if (who === near && headers === "preserved") continue;
        expect(plainly(here, message(who, seen)), String(who)).toEqual(refused);
        expect(plainly(here, errorAbout(family, who, seen, message(seen, server))), String(who)).toEqual(refused);
      }
      expect(plainly(here, errorAbout(family, router, seen, message(seen, friend)))).toEqual(refused);
      expect(plainly(here, errorAbout(family, gateway, seen, message(seen, friend)))).toEqual(refused);
      for (const to of nobody) expect(plainly(there, message(laptop, to)), String(to)).toEqual(refused);
    });

    it("the longest prefix decides; a flow of its own comes before", () => {
      const all = new Uint8Array(laptop.length);
      const net = server.map((byte, i) => (i === server.length - 1 ? 0 : byte));
      const bits = WHOLE[family] - 8;
      here.change("all", (engine) => engine.setBehind(all, 0, near));
      expect(pass(here, there, message(laptop, router))).toEqual(taken(message(seen, router)));
      expect(pass(there, here, message(router, seen))).toEqual(taken(message(router, laptop)));
      here.change("net", (engine) => engine.setBehind(net, bits, other));
      here.change("host", (engine) => engine.setBehind(server, WHOLE[family], null));
      expect(counted(here, () => void sent(here, message(laptop, server)))).toEqual({ "not-allocated": 1 });
      expect(pass(there, here, message(server, seen))).toEqual(refused);
      here.change("net again", (engine) => engine.setBehind(net, bits, near));
      expect(pass(here, there, message(laptop, server))).toEqual(taken(message(seen, server)));
      here.change("a flow", (engine) => engine.setFlow(server, { action: "refuse" }));
      expect(counted(here, () => void sent(here, message(laptop, server)))).toEqual({ refused: 1 });
      here.change("none", (engine) => engine.setBehind(all, 0, null));
      expect(counted(here, () => void sent(here, message(laptop, router)))).toEqual({ "not-allocated": 1 });
    });

    it("wait for the peer's flow, and say when they were last spoken with", () => {
      here.change("setup", (engine) => engine.setFlow(near, { action: "setup" }));
      expect(here.lastUse(server)).toBeUndefined();
      expect(sent(here, message(laptop, server))).toEqual([]);
      expect(here.upcalls).toMatchObject([{ kind: "flow-setup", address: near, packet: message(laptop, server) }]);
      const first = here.lastUse(server) ?? NaN;
      here.change("up", (engine) => engine.setFlow(near, { action: "esp", association: 1, header: null, locator: WHERE, source: laptop }));
      expect(arrive(there, here.step(1, [], [], true))).toEqual(taken(message(seen, server)));
      pass(there, here, message(server, seen));
      expect(here.lastUse(server)).toBeGreaterThan(first);
    });

    it("what cannot be is refused, and the tables have their bounds", () => {
      const wrong = (act: Parameters<EnginePair["change"]>[1]): boolean => here.change("wrong", act);
      expect(wrong((engine) => engine.setForwarding(other, true))).toBe(false);
      expect(wrong((engine) => engine.setBehind(server, WHOLE[family] + 1, gateway))).toBe(false);
      expect(wrong((engine) => engine.setBehind(server, WHOLE[family] - 8, gateway))).toBe(false);
      expect(wrong((engine) => engine.setBehind(server, 1.5, gateway))).toBe(false);
      expect(wrong((engine) => engine.setBehind(server, WHOLE[family], HOSTS[family === 4 ? 6 : 4].gateway))).toBe(false);
      expect(wrong((engine) => engine.setBehind(bytes(1, 2, 3), 24, gateway))).toBe(false);
      const place = (i: number): Uint8Array => laptop.map((byte, at) => (at === laptop.length - 2 ? i >> 8 : at === laptop.length - 1 ? i & 255 : byte)).map((byte, at) => (at === 1 ? 99 : byte));
      for (let i = 0; i < LIMITS.behindPrefixes; i += 1) expect(wrong((engine) => engine.setBehind(place(2 * i), WHOLE[family] - 1, gateway))).toBe(true);
      expect(wrong((engine) => engine.setBehind(place(2 * LIMITS.behindPrefixes), WHOLE[family] - 1, gateway))).toBe(false);
      expect(wrong((engine) => engine.setBehind(place(0), WHOLE[family] - 1, other))).toBe(true);
      expect(wrong((engine) => engine.setBehind(place(2), WHOLE[family] - 1, null))).toBe(true);
      expect(wrong((engine) => engine.setBehind(place(2 * LIMITS.behindPrefixes), WHOLE[family] - 1, gateway))).toBe(true);
    });
  });
});

it("65,536 hosts behind peers, and no more", () => {
  const pair = new EnginePair();
  const host = (i: number): Uint8Array => bytes(10, i >> 16, (i >> 8) & 255, i & 255);
  pair.only((engine) => {
    for (let i = 0; i < LIMITS.behind; i += 1) engine.setBehind(host(i), 32, ip4("10.255.0.1"));
  });
  expect(pair.change("one more", (engine) => engine.setBehind(host(LIMITS.behind), 32, ip4("10.255.0.1")))).toBe(false);
  pair.only((engine) => engine.setBehind(host(5), 32, null));
  expect(pair.change("in its place", (engine) => engine.setBehind(host(LIMITS.behind), 32, ip4("10.255.0.1")))).toBe(true);
  pair.close();
});

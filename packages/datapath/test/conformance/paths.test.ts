/** Several paths to one peer (docs/datapath.md, "Paths"): the same in both engines. */
import { makeLocator, type Locator, type ViaLocator } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Flow, InboundAssociation, OutboundAssociation, Upcall } from "../../src/datapath.js";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeRoute } from "../../src/reference/endpoints.js";
import { makeCipher } from "../../src/reference/esp-transforms.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { espFlow, inbound, NULL, outbound, OWN, OWN6, PEER, PEER6, SPI } from "../reference/associations.js";
import { dataPacket, risen } from "../reference/harness.js";
import { be16, be32, bytes, concat, data, ip4, ip6, makeId, packet, udp } from "../reference/packets.js";
import { plainArrival } from "./arrival-recipes.js";
import { EnginePair } from "./engine-pair.js";

const HOME = makeLocator(ip4("192.0.2.1"), 4_000);
const AWAY = makeLocator(ip4("192.0.2.2"), 4_000);
const AWAY6 = makeLocator(ip6(0x77), 65_535);

let pair: EnginePair;
beforeEach(() => (pair = new EnginePair()));
afterEach(() => pair.close());

describe("packets from elsewhere", () => {
  const TEXT = concat(data(9), bytes(0, 59));
  const sealed = (sequence: number, text = TEXT): Uint8Array => {
    const out = Buffer.concat([be32(SPI), be32(sequence), text, new Uint8Array(16)]);
    makeCipher(NULL).seal(out, BigInt(sequence));
    return out;
  };
  const from = (locator: ViaLocator, datagram: Uint8Array): RawDatagram => ({ bytes: datagram, segmentBytes: 0, endpoint: encodeRoute(locator), trafficClass: 0 });
  const watching = (more: Partial<InboundAssociation>): unknown => pair.change("setInboundAssociation", (engine) => engine.setInboundAssociation(SPI, inbound({ transform: NULL, ...more })));
  const watch = (expected: Locator | null): unknown => watching({ watch: { from: expected } });
  const arrive = (passedMs: number, ...datagrams: readonly RawDatagram[]): readonly Upcall[] => {
    pair.step(passedMs, [], datagrams, true);
    return pair.upcalls;
  };
  const elsewhere = (locator: ViaLocator): Upcall => ({ kind: "elsewhere", spi: SPI, from: locator });

  it.each<readonly [string, Locator | null, ViaLocator, boolean]>([
    ["the same place", HOME, HOME, false], ["another address", HOME, AWAY, true], ["another port", HOME, { ...HOME, port: 4_001 }, true], ["another family", HOME, AWAY6, true], ["any, where none is expected", null, HOME, true],
    ["HIP's port, with the address of ours", HOME, { ...AWAY, via: "hip", local: ip4("192.0.2.200") }, true], ["HIP's port, the same place", HOME, { ...HOME, via: "hip", local: ip4("192.0.2.200") }, false],
    ["IP itself", HOME, { address: HOME.address, port: 50, via: "ip", local: ip4("192.0.2.200") }, true],
  ])("%s", (_, expected, origin, isTold) => {
    watch(expected);
    expect(arrive(1, from(origin, sealed(1)))).toEqual(isTold ? [elsewhere(origin)] : []);
  });

  it("are not told of unless asked for", () => {
    watching({});
    expect(arrive(1, from(AWAY, sealed(1)))).toEqual([]);
  });

  it("count only when they are genuine, straight, and newer than all before", () => {
    watch(HOME);
    expect(arrive(1, from(HOME, sealed(5)), from(AWAY, sealed(4)), from(AWAY, sealed(5)))).toEqual([]);
    const forged = sealed(6);
    forged[12] = (forged[12] ?? 0) ^ 1;
    expect(arrive(1, from(AWAY, forged))).toEqual([]);
    pair.change("setInbound", (engine) => engine.setInbound(makeId(5, 1), { action: "upcall" }));
    expect(arrive(1, from(AWAY, dataPacket({ ids: [makeId(5, 1)], payloadKind: 4 }, sealed(6))))).toEqual([]);
    expect(arrive(1, from(AWAY, sealed(7)))).toEqual([elsewhere(AWAY)]);
    expect(pair.counters().drops).toMatchObject({ replay: 1, integrity: 1 });
  });

  it("count whatever is in them", () => {
    watch(HOME);
    expect(arrive(1, from(AWAY, sealed(1, bytes(1, 17))))).toEqual([elsewhere(AWAY)]);
    expect(pair.counters().drops["inner-malformed"]).toBe(1);
  });

  it("are told of once in 100 ms, of each association, also when it is set again", () => {
    watch(HOME);
    expect(arrive(1, from(AWAY, sealed(1)), from(AWAY, sealed(2)), from(AWAY6, sealed(3)))).toEqual([elsewhere(AWAY)]);
    watch(null);
    expect(arrive(99, from(AWAY6, sealed(4)))).toEqual([]);
    expect(arrive(1, from(AWAY6, sealed(5)))).toEqual([elsewhere(AWAY6)]);
    // Gone and new.
    pair.change("setInboundAssociation", (engine) => engine.setInboundAssociation(SPI, null));
    watch(HOME);
    expect(arrive(1, from(AWAY, sealed(1)))).toEqual([elsewhere(AWAY)]);
  });

  it("are told of once in 5 s from the same place, and at once when they come from another one, or again from the first", () => {
    watch(null);
    expect(arrive(1, from(HOME, sealed(1)))).toEqual([elsewhere(HOME)]);
    expect(arrive(4_000, from(HOME, sealed(2)))).toEqual([]);
    watch(null);
    expect(arrive(999, from(HOME, sealed(3)))).toEqual([]);
    expect(arrive(1, from(HOME, sealed(4)))).toEqual([elsewhere(HOME)]);
    expect(arrive(100, from(AWAY, sealed(5)))).toEqual([elsewhere(AWAY)]);
    expect(arrive(100, from(HOME, sealed(6)))).toEqual([elsewhere(HOME)]);
    expect(arrive(4_999, from(HOME, sealed(7)))).toEqual([]);
  });

  it("are told of soon when there was no room for them", () => {
    watch(null);
    // 4,096 of all at once, and what known sources may have beyond.
    pair.change("setKnownSource", (engine) => engine.setKnownSource(HOME.address, true));
    const flood = Array.from({ length: 4_096 + 1_024 }, (_, i) => from(makeLocator(i < 4_096 ? bytes(10, 9, 0, i % 10) : HOME.address, 1_000), bytes(0x19, 1)));
    expect(arrive(1, ...flood, from(AWAY, sealed(1))).filter(({ kind }) => kind === "elsewhere")).toEqual([]);
    expect(arrive(99, from(AWAY, sealed(2)))).toEqual([]);
    expect(arrive(1, from(AWAY, sealed(3)))).toEqual([elsewhere(AWAY)]);
  });

  it("have room where a flood from others finds none, and end with that", () => {
    watch(null);
    // 5,120 at once from sources that are within their rates.
    const flood = Array.from({ length: 5_120 }, (_, i) => from(makeLocator(bytes(10, 9, 0, i % 10), 1_000), bytes(0x19, 1)));
    const before = pair.counters().drops;
    const upcalls = arrive(1, ...flood, from(AWAY, sealed(1)));
    expect(upcalls.at(-1)).toEqual(elsewhere(AWAY));
    expect(risen(before, pair.counters().drops)).toMatchObject({ "queue-full": 1_024 });
  });
});

describe("what may go to a place that has not answered", () => {
  const HEADER = dataPacket({ ids: [makeId(9)], payloadKind: 4 });
  /** A packet of so many bytes as ESP, by the NULL transform in tunnel mode. */
  const sized = (espBytes: number): Uint8Array => packet(OWN, PEER, 17, udp(data(espBytes - 8 - 16 - 2 - 28)));
  const associate = (more: Partial<OutboundAssociation> = {}): unknown => pair.change("setOutboundAssociation", (engine) => engine.setOutboundAssociation(1, outbound({ transform: NULL, ...more })));
  const set = (more: Partial<Flow & { action: "esp" }>): unknown => pair.change("setFlow", (engine) => engine.setFlow(PEER, espFlow({ locator: AWAY, ...more })));
  const of = (sum: number, account = 1): NonNullable<(Flow & { action: "esp" })["credit"]> => ({ account, bytes: sum });
  /** Of each packet that left whether it went straight, in a row of letters. */
  const send = (...sizes: readonly number[]): string =>
    pair.step(1, sizes.map((size) => plainArrival(sized(size), CHECKSUM.complete)), [], false).map(([first]) => (first === 0x11 ? "r" : "s")).join("");
  beforeEach(() => {
    associate();
    pair.change("setDefaultServer", (engine) => engine.setDefaultServer(HOME));
  });

  it("goes there to the last byte, then behind the header", () => {
    set({ header: HEADER, credit: of(3 * 108) });
    expect(send(100, 100, 100, 100)).toBe("sssr");
    set({ header: HEADER, credit: of(3 * 108 - 1) });
    expect(send(100, 100, 100, 100)).toBe("ssrr");
    expect(pair.counters().drops.credit).toBe(0);
  });

  it("by IP itself has no header of UDP", () => {
    set({ header: HEADER, locator: { address: AWAY.address, port: 50, via: "ip" }, credit: of(300) });
    expect(send(100, 100, 100, 100)).toBe("sssr");
  });

  it("is over with the first packet that does not fit, so that all stay in order", () => {
    set({ header: HEADER, credit: of(300) });
    expect(send(100, 1_000, 60, 60)).toBe("srrr");
  });

  it("is dropped without a header, and is none of the flow's", () => {
    set({ header: null, credit: of(216) });
    expect(send(100, 100, 100)).toBe("ss");
    expect(pair.counters().drops.credit).toBe(1);
    expect(pair.flowCounters(PEER)?.packetsOut).toBe(2);
  });

  it.each<readonly [string, Partial<Flow & { action: "esp" }>, string]>([
    ["the same", {}, "r"], ["another header", { header: dataPacket({ ids: [makeId(8)], payloadKind: 4 }) }, "r"], ["none", { header: null }, ""],
    ["more credit", { credit: of(217) }, "s"], ["another port", { locator: { ...AWAY, port: 4_001 } }, "s"], ["another way", { locator: { ...AWAY, via: "hip" } }, "s"],
    ["another interface", { locator: { ...AWAY, interfaceIndex: 7 } }, "s"], ["whole datagrams", { locator: { ...AWAY, isWhole: true } }, "s"],
    ["another address of ours", { locator: { ...AWAY, via: "hip", local: ip4("192.0.2.200") } }, "s"],
  ])("is counted on when the flow is set again with %s", (_, more, then) => {
    const flow = { header: HEADER, credit: of(216) };
    set(flow);
    expect(send(100, 100, 100)).toBe("ssr");
    set({ ...flow, ...more });
    expect(send(100)).toBe(then);
  });

  it("begins anew after anything else", () => {
    const flow = { header: HEADER, credit: of(216) };
    set(flow);
    expect(send(100, 100, 100)).toBe("ssr");
    pair.change("setFlow", (engine) => engine.setFlow(PEER, espFlow({ locator: AWAY })));
    expect(send(100)).toBe("s");
    set(flow);
    expect(send(100, 100, 100)).toBe("ssr");
    pair.change("setFlow", (engine) => engine.setFlow(PEER, { action: "setup" }));
    set(flow);
    expect(send(100, 100, 100)).toBe("ssr");
  });

  it("is what leaves: a packet that finds no room or no number costs nothing", () => {
    set({ header: HEADER, credit: of(216) });
    associate({ firstSequence: (1n << 64n) - 1n });
    expect(send(100)).toBe("s");
    expect(send(100)).toBe("");
    associate({ transform: { ...NULL, integrityKey: NULL.integrityKey.map((byte) => byte ^ 1) } });
    expect(send(100, 100)).toBe("sr");
    expect(pair.counters().drops.sequence).toBe(1);
  });

  it("without a server is dropped as behind any header", () => {
    pair.change("setDefaultServer", (engine) => engine.setDefaultServer(null));
    set({ header: HEADER, credit: of(108) });
    expect(send(100, 100)).toBe("s");
    expect(pair.counters().drops["no-route"]).toBe(1);
  });

  describe("with services of two strengths and both families", () => {
    const SSH = { protocol: 17, ports: [{ first: 22, last: 22 }], strength: 1 } as const;
    const FLOWS = [{ to: PEER, from: OWN, headerBytes: 20 }, { to: PEER6, from: OWN6, headerBytes: 40 }] as const;
    type Which = "4" | "4 auth" | "6" | "6 auth";
    const flowOf = (which: Which) => ({ ...FLOWS[which.startsWith("4") ? 0 : 1], strength: which.endsWith("auth") ? (1 as const) : (2 as const) });
    const give = (which: Which, more: Partial<Flow & { action: "esp" }>): void => {
      const { to, from, strength } = flowOf(which);
      pair.change("setFlow", (engine) => engine.setFlow(to, espFlow({ locator: AWAY, header: HEADER, source: from, association: 3 - strength, ...more }), strength));
    };
    /** Each of 100 bytes as ESP. */
    const send = (...all: readonly Which[]): string =>
      pair.step(1, all.map((which) => {
        const { to, from, headerBytes, strength } = flowOf(which);
        return plainArrival(packet(from, to, 17, concat(be16(5_000), be16(strength === 1 ? 22 : 23), udp(data(100 - 26 - headerBytes - 8)).subarray(4))), CHECKSUM.complete);
      }), [], false).map(([first]) => (first === 0x11 ? "r" : "s")).join("");
    const ALL: readonly Which[] = ["4", "6", "4 auth", "6 auth"];
    beforeEach(() => {
      pair.change("setOutboundAssociation", (engine) => engine.setOutboundAssociation(2, outbound({ transform: NULL, spi: SPI + 1 })));
      for (const which of ALL) give(which, { credit: of(3 * 108) });
      for (const { to } of FLOWS) pair.change("setServices", (engine) => engine.setServices(to, { services: [SSH], rest: 2 }));
    });

    it("is one for all of an account", () => {
      expect(send("6 auth", "4 auth", "6", "4", "6 auth")).toBe("sssrr");
    });

    it("goes on when one is set again, while another has it", () => {
      expect(send("4", "4 auth")).toBe("ss");
      give("4", { locator: null });
      give("4", { credit: of(3 * 108) });
      for (const strength of [1, 2] as const) pair.change("setFlow", (engine) => engine.setFlow(PEER6, null, strength));
      for (const which of ["6", "6 auth"] as const) give(which, { credit: of(3 * 108) });
      pair.change("setServices", (engine) => engine.setServices(PEER6, { services: [SSH], rest: 2 }));
      expect(send("6", "6 auth", "4", "4 auth")).toBe("srrr");
    });

    it("begins anew when none has it any more", () => {
      expect(send(...ALL)).toBe("sssr");
      for (const which of ["4", "6"] as const) give(which, { locator: null });
      for (const { to } of FLOWS) pair.change("setFlow", (engine) => engine.setFlow(to, null, 1));
      for (const which of ALL) give(which, { credit: of(3 * 108) });
      expect(send(...ALL)).toBe("sssr");
    });

    it("is each account's own", () => {
      give("6", { credit: of(3 * 108, 2) });
      expect(send("4", "4", "4", "4", "6", "6", "6", "6")).toBe("sssrsssr");
    });

    it("that takes the place of another one counts for those that have changed to it", () => {
      expect(send("4", "4", "4", "4")).toBe("sssr");
      const elsewhere = { locator: HOME, credit: of(2 * 108) };
      give("4", elsewhere);
      expect(send("4", "6")).toBe("sr");
      give("6", elsewhere);
      expect(send("6", "4")).toBe("sr");
      // Those of before go on with what they had.
      expect(send("4 auth", "6 auth")).toBe("rr");
    });
  });

  it("counts for packets that waited too", () => {
    pair.change("setFlow", (engine) => engine.setFlow(PEER, { action: "setup" }));
    expect(send(100, 100, 100)).toBe("");
    set({ header: HEADER, credit: of(216) });
    expect(send()).toBe("ssr");
  });
});

describe("the uplink", () => {
  it.each<readonly [string, ViaLocator]>([
    ["nothing named", HOME], ["whole datagrams", { ...HOME, isWhole: true }], ["an interface", { ...HOME, interfaceIndex: 3 }], ["an address of ours", { ...HOME, local: ip4("192.0.2.200") }], ["HIP's port", { ...HOME, via: "hip" }],
    ["IP itself", { ...HOME, port: 50, via: "ip" }], ["IPv6", AWAY6],
  ])("%s", (_, locator) => {
    const send = (): void => void pair.change("send", (engine) => engine.send([{ locator, bytes: bytes(0x19) }]));
    send();
    for (const index of [7, 0x7fff_ffff, 0]) {
      pair.change("setUplink", (engine) => engine.setUplink(index));
      send();
      expect(pair.step(1, [], [], false)).not.toHaveLength(0);
    }
    expect(pair.change("setUplink", (engine) => engine.setUplink(0x8000_0000))).toBe(false);
  });
});

describe("what the system refuses", () => {
  const failed = (locator: ViaLocator, reason: "unreachable" | "too-big"): Upcall => ({ kind: "send-failed", locator, reason });
  const told = (passedMs: number): readonly Upcall[] => {
    pair.step(passedMs, [], [], false);
    return pair.upcalls;
  };

  it("is told of once in 100 ms for each locator and place", () => {
    const places: readonly ViaLocator[] = [HOME, { ...HOME, local: ip4("192.0.2.200") }, { ...HOME, local: ip4("192.0.2.200"), interfaceIndex: 3 }, { ...HOME, via: "hip" }, { ...HOME, isWhole: true }, AWAY, AWAY6];
    for (const place of places) for (let i = 0; i < 3; i++) pair.sendFailed(place, i === 0 ? "unreachable" : "too-big");
    expect(told(0)).toEqual(places.map((place) => failed(place, "unreachable")));
    told(99);
    pair.sendFailed(HOME, "too-big");
    expect(told(1)).toEqual([]);
    pair.sendFailed(HOME, "too-big");
    expect(told(0)).toEqual([failed(HOME, "too-big")]);
  });

  it("of more locators than there is room for is not told", () => {
    for (let i = 0; i < 5_200; i++) pair.sendFailed(makeLocator(bytes(10, 0, i >> 8, i), 1), "unreachable");
    expect(told(0)).toHaveLength(5_120);
  });
});

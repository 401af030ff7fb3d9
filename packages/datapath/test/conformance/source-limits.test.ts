/** How much work one source may make, the same in both engines. */
import { makeLocator, type Locator } from "@i3/common";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS, type Counters, type DropReason, type TriggerEntry } from "../../src/datapath.js";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { COPY_BUDGET, DATA_FLAG } from "../../src/wire/data-header.js";
import { dataPacket, risen } from "../reference/harness.js";
import { be16, bytes, concat, ip4, makeId } from "../reference/packets.js";
import { hipPacket, hit, i1, i2, OWN_HIT, responder, straight } from "../reference/hip.js";
import { EnginePair } from "./engine-pair.js";
import { LOCATORS } from "./pools.js";

const ATTACKER = ip4("192.0.2.66");
const OTHER = ip4("192.0.2.67");
/** `site` is the /64, `host` an address in it. */
const ip6 = (site: number, host: number): Uint8Array => concat(bytes(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, site), new Uint8Array(7), bytes(host));
const from = (address: Uint8Array, datagram: Uint8Array): RawDatagram => ({ bytes: datagram, segmentBytes: 0, endpoint: encodeEndpoint(makeLocator(address, 4_000)), trafficClass: 0 });
const many = <T>(count: number, make: (i: number) => T): readonly T[] => Array.from({ length: count }, (_, i) => make(i));

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  pair.change("setResponsibility", (engine) => engine.setResponsibility({ kind: "range", from: new Uint8Array(16).fill(1), to: new Uint8Array(16).fill(2) }));
});
afterEach(() => pair.close());

interface Seen {
  readonly out: number;
  readonly upcalls: number;
  readonly drops: Partial<Record<DropReason, number>>;
}
function send(datagrams: readonly RawDatagram[], passedMs = 0): Seen {
  const before: Counters = pair.counters();
  pair.step(passedMs, [], datagrams, true);
  const after = pair.counters();
  return { out: after.udpOut - before.udpOut, upcalls: after.upcalls - before.upcalls, drops: risen(before.drops, after.drops) };
}

const PER_SECOND = LIMITS.upcallsPerSourcePerSecond;

describe("HIP without a data header, of many sources", () => {
  const EASY = responder({ difficulty: 0 });
  const address = (i: number): Uint8Array => bytes(10, i >> 16, i >> 8, i);
  const paid = (i: number): RawDatagram => from(address(i), straight(i2(EASY, concat(new Uint8Array(10), bytes(0xff, 0xff), address(i)))));
  const unpaid = (i: number): RawDatagram => from(address(i), straight(i2(EASY, new Uint8Array(16))));
  const update = (i: number): RawDatagram => from(address(i), straight(hipPacket(16, hit(1), OWN_HIT)));

  it("2,000 I2s and 4,000 others go up in a second, whatever the other kind does", () => {
    pair.change("setHipResponder", (engine) => engine.setHipResponder(EASY));
    const flood = (make: (i: number) => RawDatagram, count: number, passedMs = 0): Seen => {
      let [upcalls, rate] = [0, 0];
      for (let at = 0; at < count; at += 500) {
        const seen = send(many(Math.min(500, count - at), (i) => make(at + i)), at === 0 ? passedMs : 0);
        upcalls += seen.upcalls;
        rate += seen.drops.rate ?? 0;
      }
      return { out: 0, upcalls, drops: { rate } };
    };
    expect(flood(unpaid, LIMITS.hipI2sPerSecond + 100, 1_000)).toMatchObject({ upcalls: 0, drops: { rate: 0 } });
    expect(flood(paid, LIMITS.hipI2sPerSecond + 100)).toMatchObject({ upcalls: LIMITS.hipI2sPerSecond, drops: { rate: 100 } });
    expect(flood(update, LIMITS.hipOthersPerSecond + 100)).toMatchObject({ upcalls: LIMITS.hipOthersPerSecond, drops: { rate: 100 } });
    expect(flood(paid, 10, 1_000)).toMatchObject({ upcalls: 10, drops: { rate: 0 } });
    expect(send(many(120, () => paid(1)), 1_000)).toMatchObject({ upcalls: 100, drops: { rate: 20 } });
    expect(send(many(120, () => paid(1)), 1_000)).toMatchObject({ upcalls: 50, drops: { rate: 70 } });
  });
});

describe("known sources", () => {
  const SERVER = ip4("192.0.2.1");
  const HIP_PEER = ip6(9, 1);
  const update = straight(hipPacket(16, hit(1), OWN_HIT));
  const control = bytes(0x19, 1);
  const payload = dataPacket({ ids: [makeId(9)], payloadKind: 5 }, bytes(1));
  const known = (source: Uint8Array, isKnown: boolean): boolean => pair.change("setKnownSource", (engine) => engine.setKnownSource(source, isKnown));
  const stranger = (i: number): Uint8Array => bytes(10, i >> 16, i >> 8, i);
  /** What is left of the second, and of the room for upcalls, is nothing. */
  const exhaust = (datagram: Uint8Array, count: number): void => {
    for (let i = 0; i < count; i += 500) send(many(500, (k) => from(stranger(i + k), datagram)));
  };
  const passes = (source: Uint8Array, datagram: Uint8Array, count = 1): number => send(many(count, () => from(source, datagram))).upcalls;
  beforeEach(() => {
    pair.change("setHipResponder", (engine) => engine.setHipResponder(responder({})));
    pair.change("setInbound", (engine) => engine.setInbound(makeId(9), { action: "upcall" }));
    send([], 1_000);
  });

  it.each([["HIP", update, LIMITS.hipOthersPerSecond], ["data", payload, 4_096 + PER_SECOND]] as const)("have a place in a flood of %s from 12,000 others", (_, datagram, others) => {
    known(SERVER, true);
    known(HIP_PEER, true);
    const before = pair.counters().upcalls;
    exhaust(datagram, 12_000);
    expect(pair.counters().upcalls - before).toBe(others);
    expect([passes(SERVER, datagram, PER_SECOND + 10), passes(HIP_PEER, datagram), passes(ip6(9, 2), datagram), passes(OTHER, datagram)]).toEqual([PER_SECOND, 1, 0, 0]);
    // Apart: what is expected by one way is not kept out by the other.
    expect(passes(SERVER, datagram === payload ? control : payload)).toBe(1);
    known(SERVER, false);
    known(HIP_PEER, false);
    expect([passes(SERVER, datagram), passes(HIP_PEER, datagram)]).toEqual([0, 0]);
  });

  it("have room of their own in a flood of control from 5,000 others at once, each of which has a bucket", () => {
    known(SERVER, true);
    known(HIP_PEER, true);
    const flood = many(5_000, (i) => from(stranger(i), control));
    const late = [...many(PER_SECOND + 10, () => from(SERVER, control)), ...many(2, () => from(HIP_PEER, control)), from(ip6(9, 2), control), from(OTHER, control)];
    // 4,096 wait; of known sources 1,024 more.
    expect(send([...flood, ...late.slice(0, 500), ...late.slice(-4)])).toEqual({ out: 0, upcalls: 4_096 + 502, drops: { "queue-full": 5_000 - 4_096 + 2 } });
    expect(send([...flood.slice(0, 4_096), ...late.slice(0, -4)])).toEqual({ out: 0, upcalls: 4_096 + 1_024, drops: { "queue-full": PER_SECOND - 500 - 1_024, rate: 510 } });
    known(SERVER, false);
    known(HIP_PEER, false);
    expect(send([...flood.slice(0, 4_096), ...late.slice(-4)])).toMatchObject({ upcalls: 4_096, drops: { "queue-full": 4 } });
  });

  it("are known until they were forgotten as often as they were made known", () => {
    for (const isKnown of [false, true, true, false]) known(SERVER, isKnown);
    exhaust(update, LIMITS.hipOthersPerSecond + 500);
    expect(passes(SERVER, update)).toBe(1);
    known(SERVER, false);
    expect(passes(SERVER, update)).toBe(0);
    known(SERVER, false);
    known(SERVER, true);
    expect(passes(SERVER, update)).toBe(1);
  });

  it("take no more of puzzles and answers than others do", () => {
    known(SERVER, true);
    expect(send(many(25, () => from(SERVER, straight(i1()))))).toMatchObject({ out: 20, drops: { rate: 5 } });
    expect(send(many(3, () => from(SERVER, straight(i2(responder({}), new Uint8Array(16))))))).toMatchObject({ upcalls: 0, drops: { puzzle: 3 } });
  });

  it("are so many", () => {
    for (let i = 0; i < LIMITS.knownSources; i++) pair.only((engine) => engine.setKnownSource(stranger(i), true));
    expect([known(SERVER, true), known(stranger(5), true), known(bytes(1, 2, 3), true)]).toEqual([false, true, false]);
    known(stranger(6), false);
    expect(known(SERVER, true)).toBe(true);
  });
});

describe("neighbours on the ring", () => {
  const NEIGHBOUR = makeLocator(ip4("192.0.2.1"), 4_000);
  const BESIDE = makeLocator(ip6(9, 1), 4_000);
  const STATE = bytes(0x19, 34, 1, 0);
  const PING = bytes(0x19, 1);
  const PER_NEIGHBOUR = LIMITS.upcallsPerNeighbourPerSecond;
  const stranger = (i: number): Uint8Array => bytes(10, i >> 16, i >> 8, i);
  const at = (locator: Locator, datagram: Uint8Array): RawDatagram => ({ bytes: datagram, segmentBytes: 0, endpoint: encodeEndpoint(locator), trafficClass: 0 });
  const tell = (...locators: Locator[]): boolean => pair.change("setNeighbours", (engine) => engine.setNeighbours(locators));
  beforeEach(() => {
    tell(NEIGHBOUR, BESIDE);
    send([], 1_000);
  });

  it("are heard when others use up all that their addresses have, and only with what passes between servers, from exactly there", () => {
    const forged = (i: number): RawDatagram => at({ ...NEIGHBOUR, port: 1_024 + (i % 200) }, i % 2 === 0 ? PING : STATE);
    expect(send(many(2_500, forged))).toMatchObject({ upcalls: PER_SECOND, drops: { rate: 500 } });
    expect(send([at(NEIGHBOUR, STATE), at(NEIGHBOUR, PING), at({ ...NEIGHBOUR, port: 4_001 }, STATE), at(NEIGHBOUR, bytes(0x19)), at(NEIGHBOUR, bytes(0x19, 60)), at(NEIGHBOUR, bytes(0x19, 59))])).toMatchObject({ upcalls: 2, drops: { rate: 4 } });
  });

  it("have 8,000 a second each, of their own", () => {
    for (let n = 0; n < PER_NEIGHBOUR; n += 2_000) expect(send(many(2_000, () => at(NEIGHBOUR, STATE)))).toMatchObject({ upcalls: 2_000, drops: {} });
    tell(BESIDE, NEIGHBOUR, NEIGHBOUR);
    expect(send([at(NEIGHBOUR, STATE), at(BESIDE, STATE), at(NEIGHBOUR, PING)])).toMatchObject({ upcalls: 2, drops: { rate: 1 } });
    expect(send(many(20, () => at(NEIGHBOUR, STATE)), 1)).toMatchObject({ upcalls: PER_NEIGHBOUR / 1_000, drops: { rate: 20 - PER_NEIGHBOUR / 1_000 } });
    tell();
    expect(send(many(PER_SECOND + 10, () => at(NEIGHBOUR, STATE)))).toMatchObject({ upcalls: PER_SECOND, drops: { rate: 10 } });
  });

  it("have room when JavaScript is behind with others, known ones too", () => {
    pair.change("setKnownSource", (engine) => engine.setKnownSource(OTHER, true));
    const all = [...many(4_200, (i) => from(stranger(i), STATE)), ...many(1_100, () => from(OTHER, PING)), ...many(600, () => at(NEIGHBOUR, STATE)), ...many(600, () => at(BESIDE, STATE))];
    expect(send(all)).toEqual({ out: 0, upcalls: 4_096 + 2 * 1_024, drops: { "queue-full": 104 + 76 + 176 } });
  });

  it("are at most 32, each at a port", () => {
    const places = many(LIMITS.neighbours + 1, (i) => makeLocator(stranger(i), 5_000));
    expect([tell(...places), tell({ ...NEIGHBOUR, port: 0 }), tell(...places.slice(1))]).toEqual([false, false, true]);
  });
});

describe("upcalls", () => {
  const control = (address: Uint8Array): RawDatagram => from(address, bytes(0x19, 1));

  it("the addresses of an IPv6 /64 are one source", () => {
    expect(send(many(PER_SECOND, (i) => control(ip6(1, i % 200))))).toMatchObject({ upcalls: PER_SECOND, drops: {} });
    expect(send([control(ip6(1, 250))])).toMatchObject({ upcalls: 0, drops: { rate: 1 } });
    expect(send([control(ip6(2, 1)), control(ATTACKER)])).toMatchObject({ upcalls: 2, drops: {} });
  });

  it("sources beyond 4,096 share 65,536 buckets: one that floods takes nothing from most of the others", () => {
    const address = (i: number): Uint8Array => bytes(10, i >> 16, i >> 8, i);
    send([], 1_000);
    for (let i = 0; i < 4_096; i += 512) expect(send(many(512, (k) => control(address(i + k))))).toMatchObject({ upcalls: 512 });
    expect(send(many(PER_SECOND + 100, () => control(ATTACKER)))).toMatchObject({ upcalls: PER_SECOND, drops: { rate: 100 } });
    // Which sources share one is for each engine's hash to say: once in 65,536 runs these two do.
    expect(send([control(OTHER), control(address(1)), control(ATTACKER)])).toMatchObject({ upcalls: 2, drops: { rate: 1 } });
    expect(send(many(PER_SECOND, () => control(ATTACKER)), 500)).toMatchObject({ upcalls: PER_SECOND / 2, drops: { rate: PER_SECOND / 2 } });
  });

  it("IPv4 addresses are sources of their own", () => {
    expect(send(many(PER_SECOND, () => control(ATTACKER)))).toMatchObject({ drops: {} });
    expect(send([control(ATTACKER), control(OTHER)])).toMatchObject({ upcalls: 1, drops: { rate: 1 } });
  });

  it("and what they pay for notices of missing triggers, too", () => {
    // Within (0x0101…, 0x0202…].
    const inRange = many(PER_SECOND + 100, (i) => from(ip6(1, i % 200), dataPacket({ ids: [concat(bytes(1, 0xff), be16(i), new Uint8Array(28))] })));
    expect(send(inRange)).toMatchObject({ upcalls: PER_SECOND, drops: { "no-trigger": PER_SECOND + 100 } });
  });
});

describe("route-miss", () => {
  const key = (n: number): Uint8Array => concat(bytes(0xee), be16(n), new Uint8Array(13));
  const missing = (n: number, address = ATTACKER): RawDatagram => from(address, dataPacket({ ids: [concat(key(n), new Uint8Array(16))] }));
  /** So that the shares of keys and bytes are free again. */
  const discard = (first: number, count: number): void => {
    for (let n = first; n < first + count; n++) pair.change("discardRoute", (engine) => engine.discardRoute(key(n)));
  };

  it("a source opens no more keys a second than it may make upcalls, however fast they are answered", () => {
    for (let n = 0; n < PER_SECOND; n += 500) {
      expect(send(many(500, (i) => missing(n + i)))).toEqual({ out: 0, upcalls: 500, drops: {} });
      discard(n, 500);
    }
    expect(send([missing(60_000), missing(60_000, OTHER), missing(60_000)])).toEqual({ out: 0, upcalls: 1, drops: { rate: 1 } });
    expect(send(many(3, (i) => missing(50_000 + i)), 1)).toEqual({ out: 0, upcalls: 2, drops: { rate: 1 } });
  });

  it("a key that waits costs nothing more, and one that finds no room nothing", () => {
    expect(send(many(512, (i) => missing(i)))).toMatchObject({ upcalls: 512, drops: {} });
    expect(send(many(3_000, (i) => missing(1_000 + i)))).toMatchObject({ upcalls: 0, drops: { "queue-full": 3_000 } });
    expect(send(many(3_000, () => missing(1)))).toMatchObject({ upcalls: 0, drops: { "queue-full": 3_000 - 31 } });
    discard(0, 512);
    expect(send([missing(9_000)])).toMatchObject({ upcalls: 1, drops: {} });
  });

  it("it is the budget of payloads, not that of control", () => {
    for (let n = 0; n < PER_SECOND; n += 500) {
      send(many(500, (i) => missing(n + i)));
      discard(n, 500);
    }
    expect(send([from(ATTACKER, bytes(0x19, 1))])).toMatchObject({ upcalls: 1, drops: {} });
  });
});

describe("hops from id to id", () => {
  const RING = [5, 6, 7, 8];
  const ids = RING.flatMap((ring) => [makeId(ring, 1), makeId(ring, 2), makeId(ring, 3)]);
  const address = (port: number): TriggerEntry["target"] => ({ kind: "locator", locator: makeLocator(ip4("198.51.100.1"), port) });
  const on = (...to: readonly number[]): TriggerEntry["target"] => ({ kind: "stack", ids: to.map((i) => ids[i]!) });
  /** Triggers at `ids`, by their numbers. */
  const set = (triggers: readonly { readonly at: number; readonly target: TriggerEntry["target"] }[]): void => {
    for (const ring of RING) {
      const entries = triggers.map(({ at, target }) => ({ id: ids[at]!, target })).filter(({ id }) => id[0] === ring);
      pair.change("setTriggers", (engine) => engine.setTriggers(makeId(ring).slice(0, 16), entries));
    }
  };
  const toId = (i: number, source = ATTACKER): RawDatagram => from(source, dataPacket({ ids: [ids[i]!] }, bytes(1)));
  /** Takes all tokens of the source but `left` by a loop of two ids: 15 hops, 11 of them paid. */
  const use = (): number => {
    set([{ at: 0, target: on(3) }, { at: 3, target: on(0) }]);
    const [whole, left] = [Math.floor(LIMITS.copiesPerSourceBurst / 11), LIMITS.copiesPerSourceBurst % 11];
    expect(send(many(whole, () => toId(0)))).toEqual({ out: 0, upcalls: 0, drops: { "hop-limit": whole } });
    return left;
  };

  it("four of a copy are free, each further one takes a token of the source", () => {
    const left = use();
    set([...many(6, (at) => ({ at, target: on(at + 1) })), { at: 6, target: address(9) }]);
    expect(send([toId(2), toId(0), toId(0), toId(1), toId(1), toId(0, OTHER)])).toEqual({ out: 1 + 1 + 1, upcalls: 0, drops: { rate: 3 } });
    expect(left).toBe(2);
    const paid = LIMITS.copiesPerSourcePerSecond / 1_000 / 2;
    expect(send(many(paid + 10, () => toId(0)), 1)).toMatchObject({ out: paid, drops: { rate: 10 } });
  });

  it("a tree of three branchings costs no more than its copies", () => {
    const left = use();
    const [twigs, leaves] = [[1, 2, 3, 4], [5, 6, 7, 8]];
    set([...twigs.map((i) => ({ at: 0, target: on(i) })), ...twigs.flatMap((at) => leaves.map((i) => ({ at, target: on(i) }))), ...leaves.flatMap((at) => many(4, (i) => ({ at, target: address(100 * at + i) })))]);
    const tokens = left + LIMITS.copiesPerSourcePerSecond / 1_000;
    const whole = Math.floor(tokens / 63);
    expect(send(many(whole, () => toId(0)), 1)).toEqual({ out: whole * 64, upcalls: 0, drops: {} });
    expect(send([toId(0)])).toMatchObject({ out: 1 + tokens % 63 });
  });

  it("of random sets have the same end in both engines, with tokens and without", () => {
    use();
    const target = fc.oneof({ arbitrary: fc.nat(ids.length - 1).map((i) => on(i)), weight: 6 }, { arbitrary: fc.tuple(fc.nat(ids.length - 1), fc.nat(ids.length - 1)).map((two) => on(...two)), weight: 1 }, { arbitrary: fc.integer({ min: 1, max: 4 }).map(address), weight: 1 });
    const triggers = fc.array(fc.record({ at: fc.nat(ids.length - 1), target }), { minLength: 12, maxLength: 40 });
    const seen = { out: 0, rate: 0, hopLimit: 0 };
    fc.assert(
      fc.property(triggers, fc.array(fc.nat(ids.length - 1), { minLength: 1, maxLength: 4 }), fc.constantFrom(0, 0, 1, 3), (set_, heads, passedMs) => {
        set(set_);
        const { out, drops } = send(heads.map((i) => toId(i)), passedMs);
        seen.out += out;
        seen.rate += drops.rate ?? 0;
        seen.hopLimit += drops["hop-limit"] ?? 0;
      }),
      { numRuns: 200 },
    );
    expect(Math.min(seen.out, seen.rate, seen.hopLimit)).toBeGreaterThan(0);
  });
});

describe("copies", () => {
  const GROUP = 100;
  const ID = makeId(5, 1);
  const STACKED = makeId(6, 1);
  const [BURST, COPIES_PER_SECOND] = [LIMITS.copiesPerSourceBurst, LIMITS.copiesPerSourcePerSecond];
  const address = (port: number): TriggerEntry["target"] => ({ kind: "locator", locator: makeLocator(ip4("198.51.100.1"), port) });
  beforeEach(() => {
    pair.change("setTriggers", (engine) => engine.setTriggers(ID.subarray(0, 16), many(GROUP, (i) => ({ id: ID, target: address(10_000 + i) }))));
  });
  const toGroup = (source: Uint8Array, { flags = 0, copyBudget = COPY_BUDGET } = {}): RawDatagram => from(source, dataPacket({ ids: [ID], flags, copyBudget }, bytes(1)));
  /** Takes all tokens of the source: what is left of the burst is less than one packet's copies. */
  const use = (source: Uint8Array): void => {
    const whole = Math.floor(BURST / (GROUP - 1));
    expect(send(many(whole, () => toGroup(source)))).toEqual({ out: whole * GROUP, upcalls: 0, drops: {} });
    const left = BURST - whole * (GROUP - 1);
    expect(send([toGroup(source)])).toEqual({ out: 1 + left, upcalls: 0, drops: { rate: GROUP - 1 - left } });
  };

  it("beyond the first of each packet are bounded for each source", () => {
    use(ATTACKER);
    expect(send(many(10, () => toGroup(ATTACKER)))).toEqual({ out: 10, upcalls: 0, drops: { rate: 10 * (GROUP - 1) } });
    expect(send([toGroup(OTHER)])).toEqual({ out: GROUP, upcalls: 0, drops: {} });
    expect(send([toGroup(ATTACKER)], 1)).toEqual({ out: GROUP, upcalls: 0, drops: {} });
    expect(send(many(2, () => toGroup(ATTACKER)))).toMatchObject({ out: 2 + COPIES_PER_SECOND / 1_000 - (GROUP - 1) });
  });

  it("go to 100 members of one id", () => {
    expect(send([toGroup(OTHER)])).toEqual({ out: GROUP, upcalls: 0, drops: {} });
  });

  it("sources beyond 4,096 share 65,536 buckets: a flood of groups takes the copies of few newcomers", () => {
    const stranger = (i: number): Uint8Array => bytes(10, i >> 16, i >> 8, i);
    send([], 1_000);
    for (let i = 0; i < 4_096; i += 512) expect(send(many(512, (k) => from(stranger(i + k), dataPacket({ ids: [ID], copyBudget: 2 }))))).toMatchObject({ out: 1_024 });
    use(ATTACKER);
    // Which sources share one is for each engine's hash to say: once in 65,536 runs these two do.
    expect(send([toGroup(OTHER), toGroup(ATTACKER)])).toMatchObject({ out: GROUP + 1, drops: { rate: GROUP - 1 } });
  });

  it("from a server too", () => {
    use(ATTACKER);
    expect(send([toGroup(ATTACKER, { flags: DATA_FLAG.forwarded })])).toMatchObject({ out: 1, drops: { rate: GROUP - 1 } });
  });

  it("the addresses of an IPv6 /64 are one source", () => {
    use(ip6(1, 1));
    expect(send([toGroup(ip6(1, 2))])).toMatchObject({ out: 1 });
    expect(send([toGroup(ip6(2, 1))])).toMatchObject({ out: GROUP });
  });

  it("that the packet's copy budget does not allow cost nothing", () => {
    expect(send(many(400, () => toGroup(ATTACKER, { copyBudget: 1 })))).toEqual({ out: 400, upcalls: 0, drops: { "copy-budget": 400 * (GROUP - 1) } });
    use(ATTACKER);
  });

  it("a packet with one target costs nothing, and stacks do not hide copies", () => {
    pair.change("setTriggers", (engine) => engine.setTriggers(STACKED.subarray(0, 16), [{ id: STACKED, target: { kind: "stack", ids: [ID] } }]));
    const stacked = from(ATTACKER, dataPacket({ ids: [STACKED] }, bytes(1)));
    use(ATTACKER);
    expect(send([stacked])).toMatchObject({ out: 1, drops: { rate: GROUP - 1 } });
    pair.change("setTriggers", (engine) => engine.setTriggers(STACKED.subarray(0, 16), [{ id: STACKED, target: address(9) }]));
    expect(send(many(1_000, () => stacked))).toEqual({ out: 1_000, upcalls: 0, drops: {} });
  });

  it("trains are cut at any datagram when they make many, and nothing is lost or out of order", () => {
    const one = dataPacket({ ids: [ID] }, bytes(1));
    const train = { bytes: concat(...many(64, () => one)), segmentBytes: one.length, endpoint: encodeEndpoint(LOCATORS[0]!), trafficClass: 0 };
    expect(send([toGroup(OTHER), train, toGroup(OTHER), train, from(OTHER, bytes(0x19, 1))])).toEqual({ out: 130 * GROUP, upcalls: 1, drops: {} });
  });
});

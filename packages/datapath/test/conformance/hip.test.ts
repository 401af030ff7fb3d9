/** I1 packets have the same answers in both engines, byte by byte: good ones, mutated ones, cut ones, too many; the responder replaced between. */
import { makeLocator, type ViaLocator } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint, encodeRoute } from "../../src/reference/endpoints.js";
import { dataPacket } from "../reference/harness.js";
import { hit, i1, i2, NO_HIT, responder, straight } from "../reference/hip.js";
import { be16, bytes, concat, data, fullChecksum, ip4 } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";
import { idOf, LOCATORS } from "./pools.js";

const PUBLIC = idOf(9);
const FIRST = responder({ openIds: [idOf(5), PUBLIC] });
const OTHER_FIELDS = { rhash: "sha256", secret: data(32, 5), epoch: 513, r1Bytes: 256, openIds: [] } as const;
const OTHER = responder(OTHER_FIELDS);

const from = (datagram: Uint8Array, source: Uint8Array, port = 7): RawDatagram => ({ bytes: datagram, segmentBytes: 0, endpoint: encodeEndpoint(makeLocator(source, port)), trafficClass: 3 });
const ip6 = (site: number, host: number): Uint8Array => concat(bytes(0x20, 0x01, 0x0d, 0xb8, 0, 0), be16(site), new Uint8Array(6), be16(host));
/** Each from a source of its own, so that form alone decides. */
const spread = (datagrams: readonly Uint8Array[]): readonly RawDatagram[] => datagrams.map((datagram, i) => from(datagram, bytes(10, i >> 16, i >> 8, i)));
const behind = (hip: Uint8Array): Uint8Array => dataPacket({ ids: [PUBLIC], payloadKind: 3 }, hip);

describe.each([["straight", straight, 4], ["behind a data header", behind, 48]] as const)("I1 %s", (_, wrap, before) => {
  let pair: EnginePair;
  beforeEach(() => {
    pair = new EnginePair();
    pair.change("setInbound", (engine) => engine.setInbound(PUBLIC, { action: "upcall" }));
    pair.change("setDefaultServer", (engine) => engine.setDefaultServer(LOCATORS[0]!));
    pair.change("setHipResponder", (engine) => engine.setHipResponder(FIRST));
  });
  afterEach(() => pair.close());

  /** What left, a few at a time: the batches of both sides are bounded. */
  function send(datagrams: readonly RawDatagram[]): readonly Uint8Array[] {
    const sent: Uint8Array[] = [];
    for (let i = 0; i < datagrams.length; i += 500) sent.push(...pair.step(1, [], datagrams.slice(i, i + 500), true));
    return sent;
  }
  const good = i1({ returnId: idOf(4), length: FIRST.r1.length });

  it("cut off at every byte, and with bytes behind", () => {
    const whole = wrap(good);
    const cuts = Array.from({ length: whole.length }, (__, length) => whole.subarray(0, length + 1));
    const longer = Array.from({ length: 16 }, (__, more) => concat(whole, data(more + 1)));
    expect(send(spread([...cuts, ...longer]))).toHaveLength(1);
  });

  it("with each byte changed, three ways", () => {
    const whole = wrap(good);
    // Not those of the data header: a packet for another id is another test's.
    const places = Array.from({ length: Math.min(whole.length, before + 140) - before }, (__, at) => before + at);
    const changed = places.flatMap((at) => [1, 0x80, 0xff].map((mask) => {
      const out = Uint8Array.from(whole);
      out[at] = (out[at] ?? 0) ^ mask;
      return out;
    }));
    const answers = send(spread(changed)).length;
    expect(answers).toBeGreaterThan(100);
    expect(answers).toBeLessThan(changed.length - 50);
  });

  it("the responder replaced and removed between", () => {
    const ask = wrap(i1({ returnId: idOf(4), length: 400 }));
    const answers = [OTHER, null, FIRST, responder({ openIds: [], epoch: 9 }), responder({ ...OTHER_FIELDS, secret: data(32, 77) })].map((next) => {
      pair.change("setHipResponder", (engine) => engine.setHipResponder(next));
      return send([from(ask, ip4("192.0.2.1"))]).map((answer) => Buffer.from(answer).toString("hex"));
    });
    expect(answers.map(({ length }) => length)).toEqual([1, 0, 1, 1, 1]);
    expect(new Set(answers.flat()).size).toBe(4);
    // Refused alike, and what was there stays.
    const refused = pair.change("setHipResponder", (engine) => engine.setHipResponder({ ...FIRST, puzzleOffset: 40 }));
    expect([refused, send([from(ask, ip4("192.0.2.1"))]).length]).toEqual([false, 1]);
  });

  it("with other groups: up, 100 a second", () => {
    const ask = (n: number, groups: readonly number[]): Uint8Array => wrap(i1({ groups, returnId: idOf(n), length: FIRST.r1.length }));
    pair.step(1_000, [], [], true);
    const lists = [[8], [4, 8], [7], [], [0, 7], Array.from({ length: 16 }, () => 9), [...Array.from({ length: 16 }, () => 9), 7], [...Array.from({ length: 15 }, () => 9), 7]];
    expect(send(spread(lists.map((groups, n) => ask(n, groups))))).toHaveLength(3);
    expect([pair.counters().upcalls, pair.counters().drops.malformed]).toEqual([4, 1]);
    expect(send(spread(Array.from({ length: 200 }, (__, n) => ask(n, [n % 7]))))).toEqual([]);
    expect([pair.counters().upcalls, pair.counters().drops.rate]).toEqual([100, 104]);
    pair.step(1_000, [], [], true);
    expect(send(Array.from({ length: 30 }, () => from(ask(1, [8]), ip6(1, 1))))).toEqual([]);
    expect(pair.counters().upcalls).toBe(100 + (wrap === straight ? 20 : 30));
  });

  it("to whom it may concern: behind a data header for an open id only", () => {
    const ask = from(wrap(i1({ receiver: NO_HIT, returnId: idOf(4), length: 400 })), ip6(1, 1));
    expect(send([ask])).toHaveLength(wrap === straight ? 0 : 1);
    const most = Array.from({ length: 32 }, (__, i) => (i === 31 ? PUBLIC : idOf(3)));
    pair.change("setHipResponder", (engine) => engine.setHipResponder({ ...FIRST, openIds: most }));
    expect(send([ask])).toHaveLength(wrap === straight ? 0 : 1);
    expect(pair.change("setHipResponder", (engine) => engine.setHipResponder({ ...FIRST, openIds: [...most, PUBLIC] }))).toBe(false);
    for (const next of [{ ...FIRST, openIds: [idOf(5)] }, OTHER]) {
      pair.change("setHipResponder", (engine) => engine.setHipResponder(next));
      expect(send([ask])).toHaveLength(0);
    }
  });

  it("a flood of forged sources, in virtual time", () => {
    const ask = wrap(i1({ returnId: idOf(4), length: FIRST.r1.length }));
    let seed = 7;
    const below = (bound: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % bound;
    };
    const sources = (i: number): Uint8Array => (below(3) === 0 ? bytes(10, 0, 0, below(4)) : below(2) === 0 ? bytes(10, below(3), i >> 8, i) : ip6(below(3_000), below(9)));
    let answered = 0;
    for (let round = 0; round < 24; round++) {
      answered += pair.step([1, 99, 100, 700, 2_000][round % 5] ?? 1, [], Array.from({ length: 900 }, (__, i) => from(ask, sources(round * 900 + i), 1 + below(60_000))), true).length;
    }
    expect(answered).toBe(pair.counters().hipAnswered);
    expect(answered + pair.counters().drops.rate).toBe(24 * 900);
    expect(answered).toBeGreaterThan(4_096);
  });

  it("4,000 in one second, and as many to those who ask again in time", () => {
    // One asker each, by either way; none has asked often enough to be held to a source's rate.
    const round = (stepMs: number): number => {
      let answered = 0;
      for (let i = 0; i < 9_000; i += 900) {
        const asks = Array.from({ length: 900 }, (__, k) => from(wrap(i1({ returnId: concat(be16(i + k), data(30)), length: FIRST.r1.length })), bytes(10, 1, (i + k) >> 8, i + k)));
        answered += pair.step(i === 0 ? stepMs : 0, [], asks, true).length;
      }
      return answered;
    };
    // To the next second; then 250, 300 and 3,950 ms after they were refused or answered.
    expect([round(1_000), round(250), round(50), round(250), round(3_700), round(0)]).toEqual([4_000, 0, 4_000, 0, 8_000, 0]);
  });
});

describe.each([["straight", straight], ["behind a data header", behind]] as const)("I2 %s", (_, wrap) => {
  const SOURCE = bytes(10, 0, 0, 7);
  const SOURCE_PATH = concat(new Uint8Array(10), bytes(0xff, 0xff), SOURCE);
  const [path, returnId] = wrap === straight ? [SOURCE_PATH, idOf(3)] : [idOf(3), idOf(3)];
  const older = [{ epoch: 0x0101, secret: data(32, 8), difficulty: 4 }];
  let pair: EnginePair;
  beforeEach(() => {
    pair = new EnginePair();
    pair.change("setInbound", (engine) => engine.setInbound(PUBLIC, { action: "upcall" }));
  });
  afterEach(() => pair.close());
  /** How many went up; both engines agree on which. Each is sent a second later, so that rates do not count. */
  const up = (packets: readonly Uint8Array[]): number => {
    const before = pair.counters().upcalls;
    for (let i = 0; i < packets.length; i += 40) pair.step(1_000, [], packets.slice(i, i + 40).map((packet) => from(wrap(packet), SOURCE)), true);
    return pair.counters().upcalls - before;
  };

  it.each(["sha256", "sha384"] as const)("with each bit of its header and SOLUTION changed (%s)", (rhash) => {
    const given = responder({ rhash, older });
    pair.change("setHipResponder", (engine) => engine.setHipResponder(given));
    const right = i2(given, path, { returnId });
    const changed = Array.from({ length: (44 + (rhash === "sha256" ? 68 : 100)) * 8 }, (__, bit) => {
      const out = Uint8Array.from(right);
      out[bit >> 3] = (out[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return out;
    });
    expect(up([right])).toBe(1);
    // Those whose type is another one now, or a bit that is not looked at: two of version, four of controls' bytes, the reserved byte.
    expect(up(changed)).toBeLessThan(7 + 3 + 32 + 8 + 4);
    expect(pair.counters().drops.puzzle).toBeGreaterThan(changed.length - 270);
  });

  it.each(["sha256", "sha384"] as const)("with any difficulty, one bit more and one too few (%s)", (rhash) => {
    for (const difficulty of [0, 1, 7, 8, 9, 12]) {
      const given = responder({ rhash, difficulty, older });
      pair.change("setHipResponder", (engine) => engine.setHipResponder(given));
      const rows = difficulty === 0 ? [0, 1] : [0, 1, -1];
      expect(up(rows.map((more) => i2(given, path, { returnId, more })))).toBe(2);
    }
  });

  it("of older epochs, with their own K, and no longer", () => {
    const given = responder({ older });
    const both = [0, 1].map((epoch) => i2(given, path, { returnId, epoch, sender: hit(4) }));
    const crossed = [0, 1].map((epoch) => i2(given, path, { returnId, epoch, more: epoch === 0 ? 0 : 6, edit: (solution) => Uint8Array.from(solution, (byte, i) => (i === 0 ? 14 - byte : byte)) }));
    for (const [next, expected] of [[given, 2], [responder({}), 1], [responder({ secret: data(32, 9), older }), 1], [null, wrap === straight ? 0 : 4]] as const) {
      pair.change("setHipResponder", (engine) => engine.setHipResponder(next));
      expect(up([...both, ...crossed])).toBe(expected);
    }
    const many = Array.from({ length: 8 }, (__, i) => ({ epoch: i, secret: data(32, i), difficulty: 0 }));
    expect(pair.change("setHipResponder", (engine) => engine.setHipResponder(responder({ older: many })))).toBe(false);
    const most = responder({ older: many.slice(1) });
    expect(pair.change("setHipResponder", (engine) => engine.setHipResponder(most))).toBe(true);
    expect(up(most.puzzles.map((___, epoch) => i2(most, path, { returnId, epoch })))).toBe(8);
  });
});

describe("HIP and ESP by other ways than the main port", () => {
  let pair: EnginePair;
  beforeEach(() => {
    pair = new EnginePair();
    pair.change("setHipResponder", (engine) => engine.setHipResponder(FIRST));
  });
  afterEach(() => pair.close());

  const OWN = { 4: ip4("192.0.2.200"), 6: ip6(9, 9) } as const;
  const PEER = { 4: ip4("198.51.100.7"), 6: ip6(8, 1) } as const;
  const by = (via: "hip" | "ip", family: 4 | 6, port: number): ViaLocator => ({ address: PEER[family], port, via, local: OWN[family] });
  const arrive = (route: ViaLocator, ...datagrams: readonly Uint8Array[]): readonly Uint8Array[] =>
    pair.step(1_000, [], datagrams.map((datagram) => ({ bytes: datagram, segmentBytes: 0, endpoint: encodeRoute(route), trafficClass: 0 })), true);
  const summed = (hip: Uint8Array, family: 4 | 6): Uint8Array => {
    const out = Uint8Array.from(hip);
    out.set(be16(fullChecksum(PEER[family], OWN[family], be16(139), be16(out.length), out)), 4);
    return out;
  };
  const ask = i1({ length: 320 });

  it.each([4, 6] as const)("an I1 bare in IPv%i is answered bare, if its checksum is right", (family) => {
    const route = by("ip", family, 139);
    const [answer] = arrive(route, summed(ask, family));
    expect(answer?.length).toBe(FIRST.r1.length);
    const wrong = summed(ask, family);
    wrong[5] = (wrong[5] ?? 0) ^ 1;
    expect(arrive(route, wrong, ask, straight(summed(ask, family)), summed(ask, family).subarray(1), bytes())).toEqual([]);
    expect([pair.counters().hipAnswered, pair.counters().drops.malformed]).toEqual([1, 5]);
  });

  it("of one source no more by one way than by another", () => {
    const many = Array.from({ length: 30 }, () => summed(ask, 4));
    expect(arrive(by("ip", 4, 139), ...many)).toHaveLength(20);
    expect(pair.step(0, [], [from(straight(ask), PEER[4])], true)).toHaveLength(0);
    expect(pair.counters().drops.rate).toBe(11);
  });

  it("what is neither HIP nor ESP is malformed there", () => {
    arrive(by("hip", 4, 4_000), bytes(0x11, 0, 0), bytes(0x19, 1), bytes(0x12), bytes(1));
    expect(pair.counters().drops.malformed).toBe(4);
    arrive(by("hip", 4, 4_000), bytes(0xff), concat(bytes(0x30, 0, 0, 0), new Uint8Array(40)));
    arrive(by("ip", 6, 50), bytes(0x30, 0, 0, 0), concat(bytes(0x30, 0, 0, 0), new Uint8Array(40)));
    expect(pair.counters().drops).toMatchObject({ malformed: 5, "unknown-spi": 2 });
  });

  it.each([4, 6] as const)("an I2 bare in IPv%i, and by HIP's port, is good by the address that it came from", (family) => {
    const mapped = { 4: concat(new Uint8Array(10), bytes(0xff, 0xff), PEER[4]), 6: PEER[6] };
    const [right, wrong] = [i2(FIRST, mapped[family]), i2(FIRST, mapped[family === 4 ? 6 : 4])];
    arrive(by("ip", family, 139), summed(right, family), summed(wrong, family), right);
    arrive(by("hip", family, 10_500), straight(right), straight(wrong));
    expect([pair.counters().upcalls, pair.counters().drops.puzzle, pair.counters().drops.malformed]).toEqual([2, 2, 1]);
  });

  it("other HIP packets go up with their way", () => {
    const other = Uint8Array.from(ask);
    other[2] = 16;
    arrive(by("ip", 6, 139), summed(other, 6));
    arrive(by("hip", 4, 10_500), straight(other));
    expect(pair.counters().upcalls).toBe(2);
  });

  it("refuses ways that no socket has, alike", () => {
    const refused = (locator: ViaLocator): boolean => pair.change("send", (engine) => engine.send([{ locator, bytes: bytes(1) }]));
    expect([by("ip", 4, 17), { ...by("hip", 4, 1), local: OWN[6] }, { address: PEER[4], port: 1, local: OWN[6] }].map(refused)).toEqual([false, false, false]);
    const flow = { action: "esp", association: 1, header: null, locator: by("ip", 4, 139), source: ip4("10.0.0.1") } as const;
    expect(pair.change("setFlow", (engine) => engine.setFlow(ip4("10.0.0.2"), flow))).toBe(false);
  });
});

/** HIP packets at the reference engine: docs/datapath.md, "HIP". */
import { makeLocator, type Locator } from "@i3/common";
import { beforeEach, describe, expect, it } from "vitest";
import { LIMITS, type DropReason } from "../../src/datapath.js";
import { AnswerLimit, MAX_RATED_SOURCES, SourceRates } from "../../src/reference/rate-limits.js";
import { dataPacket, Harness, locator } from "./harness.js";
import { DH_GROUP_LIST, hipPacket, hit, i1, i2, MARK, NO_HIT, OWN_HIT, PADDING, parameter, r1For, responder, RETURN_ID, SOLUTION, straight } from "./hip.js";
import { be16, be32, bytes, concat, data, ip4, makeId } from "./packets.js";

const PEER = locator("192.0.2.7", 5_000);
const PEER_PATH = concat(new Uint8Array(10), bytes(0xff, 0xff), ip4("192.0.2.7"));
const SERVER = locator("192.0.2.99");
const PUBLIC_ID = makeId(9);
const BACK = makeId(3, 1, 2, 3);
const RESPONDER = responder();
const LONG = RESPONDER.r1.length;
const GROUPS = parameter(DH_GROUP_LIST, bytes(7));
const UPDATE = hipPacket(16, hit(1), OWN_HIT, parameter(SOLUTION, data(100)));
const behind = (hip: Uint8Array, id = PUBLIC_ID): Uint8Array => dataPacket({ ids: [id], payloadKind: 3 }, hip);
const edited = (whole: Uint8Array, at: number, ...values: readonly number[]): Uint8Array => {
  const out = Uint8Array.from(whole);
  out.set(values, at);
  return out;
};

let harness: Harness;
beforeEach(() => {
  harness = new Harness({ slots: 40_000, slotBytes: 1_600 });
  harness.engine.setHipResponder(RESPONDER);
  harness.engine.setInbound(PUBLIC_ID, { action: "upcall" });
  harness.engine.setDefaultServer(SERVER);
});

describe("I1 packets that are answered", () => {
  it.each(["sha256", "sha384"] as const)("straight over UDP, to their source (%s)", (rhash) => {
    const given = responder({ rhash, secret: data(32, 7), epoch: 0xfffe });
    harness.engine.setHipResponder(given);
    const { udp, upcalls, drops } = harness.fromUdp(PEER, straight(i1({ sender: hit(5) })));
    expect(udp).toEqual([{ to: PEER, bytes: concat(MARK, r1For(given, hit(5), PEER_PATH)) }]);
    expect([upcalls, drops, harness.engine.counters().hipAnswered, harness.udpClasses]).toEqual([[], {}, 1, [0]]);
  });

  /** From Python 3.11: hmac.new(bytes(range(32)), b"i3/1 puzzle" + HIT(1) + HIT(0xee) + mapped 192.0.2.7, hashlib.sha256 or sha384). */
  it.each([
    ["sha256", "f71b6554fd04d01c1c8abc4647c9665ac09cd76d02f271da56c5910c016d9485"],
    ["sha384", "066a73667ccb09720259fa72555ef5cf821e8cc6228c795e70787f7f8e3ec14e648a5c3d3c5a6a4f28e53cc70d57ce9f"],
  ] as const)("with the #I that another program computes (%s)", (rhash, expected) => {
    harness.engine.setHipResponder(responder({ rhash, secret: Uint8Array.from({ length: 32 }, (_, i) => i) }));
    const [answer] = harness.fromUdp(PEER, straight(i1())).udp;
    expect(Buffer.from(answer?.bytes.subarray(4 + 48, 4 + 48 + expected.length / 2) ?? []).toString("hex")).toBe(expected);
  });

  it("behind a data header, to the return id: by the next-server table, else the default server", () => {
    const answer = concat(dataPacket({ ids: [BACK], payloadKind: 3, nonce: r1For(RESPONDER, hit(1), BACK).slice(48, 56) }), r1For(RESPONDER, hit(1), BACK));
    const ask = behind(i1({ returnId: BACK, length: LONG }));
    expect(harness.fromUdp(PEER, ask).udp).toEqual([{ to: SERVER, bytes: answer }]);
    harness.engine.setNextServer(BACK.subarray(0, 16), PEER);
    expect(harness.fromUdp(PEER, ask)).toMatchObject({ udp: [{ to: PEER, bytes: answer }], upcalls: [], drops: {} });
    expect(harness.engine.counters().hipAnswered).toBe(2);
  });

  it("opportunistic ones only at open ids: not straight, and not at an id that was given to one peer", () => {
    const ask = i1({ receiver: NO_HIT, returnId: BACK, length: LONG });
    const given = makeId(7);
    harness.engine.setInbound(given, { action: "upcall" });
    expect(harness.fromUdp(PEER, behind(ask)).udp).toHaveLength(1);
    expect(harness.fromUdp(PEER, straight(ask), behind(ask, given))).toMatchObject({ udp: [], upcalls: [], drops: { hip: 2 } });
    expect(harness.fromUdp(PEER, behind(i1({ returnId: BACK, length: LONG }), given)).udp).toHaveLength(1);
    harness.engine.setHipResponder(responder({ openIds: [given] }));
    expect(harness.fromUdp(PEER, behind(ask))).toMatchObject({ udp: [], drops: { hip: 1 } });
    expect(harness.fromUdp(PEER, behind(ask, given)).udp).toHaveLength(1);
  });

  it("by a responder with open ids of the right number and length", () => {
    expect(() => harness.engine.setHipResponder(responder({ openIds: [new Uint8Array(31)] }))).toThrow(RangeError);
    expect(() => harness.engine.setHipResponder(responder({ openIds: Array.from({ length: LIMITS.hipOpenIds + 1 }, () => makeId(9)) }))).toThrow(RangeError);
  });

  it("whatever reserved bits, controls and checksum say, and with parameters of any kind up to 16", () => {
    const many = Array.from({ length: 15 }, (_, n) => parameter(40_000 + n, data(n)));
    for (const packet of [edited(i1(), 3, 0x2f), edited(i1(), 4, 1, 2, 3, 4), hipPacket(1, hit(1), OWN_HIT, GROUPS), hipPacket(1, hit(1), OWN_HIT, GROUPS, ...many)]) {
      expect(harness.fromUdp(PEER, straight(packet)).udp).toHaveLength(1);
    }
  });

  it("by the responder that is there now, and none after it is gone", () => {
    const next = responder({ epoch: 7, secret: data(32, 1), rhash: "sha256", hit: hit(0xdd) });
    harness.engine.setHipResponder(next);
    expect(harness.fromUdp(PEER, straight(i1()), straight(i1({ receiver: hit(0xdd) })))).toMatchObject({ udp: [{ bytes: concat(MARK, r1For(next, hit(1), PEER_PATH)) }], drops: { hip: 1 } });
    harness.engine.setHipResponder(null);
    expect(harness.fromUdp(PEER, straight(i1({ receiver: hit(0xdd) })))).toMatchObject({ udp: [], upcalls: [], drops: { hip: 1 } });
  });

  it("by a responder that was copied", () => {
    const secret = data(32);
    const own = { ...RESPONDER, puzzles: [{ epoch: 0x0102, secret, difficulty: 10 }], r1: Uint8Array.from(RESPONDER.r1), hit: Uint8Array.from(RESPONDER.hit) };
    harness.engine.setHipResponder(own);
    for (const array of [secret, own.r1, own.hit]) array.fill(0xaa);
    expect(harness.fromUdp(PEER, straight(i1())).udp[0]?.bytes).toEqual(concat(MARK, r1For(RESPONDER, hit(1), PEER_PATH)));
  });
});

describe("I1 packets that are not", () => {
  const good = i1({ returnId: BACK, length: LONG });
  const rows: readonly (readonly [what: string, packet: Uint8Array, reason: DropReason])[] = [
    ["another next header", edited(good, 0, 58), "malformed"],
    ["header length too small", edited(good, 1, good.length / 8 - 2), "malformed"],
    ["header length too large", edited(good, 1, good.length / 8), "malformed"],
    ["first fixed bit", edited(good, 2, 0x81), "malformed"],
    ["version 1", edited(good, 3, 0x11), "malformed"],
    ["version 3", edited(good, 3, 0x31), "malformed"],
    ["second fixed bit", edited(good, 3, 0x20), "malformed"],
    ["a sender outside 2001:20::/28", edited(good, 8, 0x20, 0x01, 0x00, 0x10), "malformed"],
    ["a sender in 2001:0120::", edited(good, 8, 0x20, 0x01, 0x01, 0x20), "malformed"],
    ["a sender without HIT", edited(good, 8, ...NO_HIT), "malformed"],
    ["another receiver", edited(good, 24, ...hit(0xed)), "hip"],
    ["a parameter longer than the packet", edited(good, 42, 0xff, 0xff), "malformed"],
    ["a last parameter too long by one", hipPacket(1, hit(1), OWN_HIT, GROUPS, edited(parameter(PADDING, new Uint8Array(12)), 2, 0, 13)), "malformed"],
    ["17 parameters", hipPacket(1, hit(1), OWN_HIT, GROUPS, parameter(RETURN_ID, BACK), ...Array.from({ length: 15 }, () => parameter(PADDING, data(20)))), "malformed"],
    ["a short return id", hipPacket(1, hit(1), OWN_HIT, GROUPS, parameter(RETURN_ID, BACK.subarray(0, 31)), parameter(PADDING, data(300))), "malformed"],
    ["a long return id", hipPacket(1, hit(1), OWN_HIT, GROUPS, parameter(RETURN_ID, concat(BACK, bytes(0))), parameter(PADDING, data(300))), "malformed"],
    ["two return ids", hipPacket(1, hit(1), OWN_HIT, GROUPS, parameter(RETURN_ID, BACK), parameter(RETURN_ID, BACK), parameter(PADDING, data(300))), "malformed"],
    ["no groups", hipPacket(1, hit(1), OWN_HIT, parameter(RETURN_ID, BACK), parameter(PADDING, data(300))), "malformed"],
    ["an empty list of groups", i1({ groups: [], returnId: BACK, length: LONG }), "malformed"],
    ["two lists of groups", hipPacket(1, hit(1), OWN_HIT, GROUPS, GROUPS, parameter(RETURN_ID, BACK), parameter(PADDING, data(300))), "malformed"],
  ];
  it.each(rows)("%s", (_, packet, reason) => {
    expect(harness.fromUdp(PEER, straight(packet))).toMatchObject({ udp: [], upcalls: [], drops: { [reason]: 1 } });
    expect(harness.fromUdp(PEER, behind(packet))).toMatchObject({ udp: [], upcalls: [], drops: { [reason]: 1 } });
    expect(harness.engine.counters().hipAnswered).toBe(0);
  });

  it("those cut off at any byte", () => {
    const cuts = Array.from({ length: good.length }, (_, length) => good.subarray(0, length));
    const marked = Array.from({ length: good.length + 4 }, (_, length) => straight(good).subarray(0, length + 1)).slice(0, -1);
    expect(harness.fromUdp(PEER, ...marked)).toMatchObject({ udp: [], upcalls: [], drops: { malformed: marked.length } });
    expect(harness.fromUdp(PEER, ...cuts.map((cut) => behind(cut)))).toMatchObject({ udp: [], upcalls: [], drops: { malformed: cuts.length } });
  });

  it("a mark that is not all zero", () => {
    for (let at = 1; at < 4; at++) expect(harness.fromUdp(PEER, edited(straight(good), at, 1))).toMatchObject({ udp: [], drops: { malformed: 1 } });
  });

  it("behind a data header: without a return id, shorter than the answer, without a server for the return id", () => {
    expect(harness.fromUdp(PEER, behind(i1({ length: LONG })))).toMatchObject({ udp: [], upcalls: [], drops: { malformed: 1 } });
    expect(harness.fromUdp(PEER, behind(i1({ returnId: BACK, length: LONG - 8 })))).toMatchObject({ udp: [], upcalls: [], drops: { amplification: 1 } });
    harness.engine.setDefaultServer(null);
    expect(harness.fromUdp(PEER, behind(good))).toMatchObject({ udp: [], upcalls: [], drops: { "no-route": 1 } });
  });
});

describe("I1 packets that do not name the R1's group", () => {
  const straightly = straight(i1({ groups: [8, 4] }));
  const relayed = behind(i1({ groups: [8, 4], returnId: BACK, length: LONG }));

  it("go up, by the way that they came, and are not counted as answered", () => {
    expect(harness.fromUdp(PEER, straightly)).toMatchObject({ udp: [], upcalls: [{ kind: "hip", from: PEER, bytes: i1({ groups: [8, 4] }) }], drops: {} });
    expect(harness.fromUdp(PEER, relayed)).toMatchObject({ udp: [], upcalls: [{ kind: "payload", id: PUBLIC_ID, payloadKind: 3 }], drops: {} });
    expect(harness.engine.counters().hipAnswered).toBe(0);
  });

  it("are those in whose first 16 groups it is not", () => {
    const others = Array.from({ length: 16 }, (_, n) => 100 + n);
    expect(harness.fromUdp(PEER, straight(i1({ groups: [...others.slice(1), 7] })), straight(i1({ groups: [...others, 7] })))).toMatchObject({ udp: [{ to: PEER }], upcalls: [{ kind: "hip" }] });
    harness.engine.setHipResponder(responder({ group: 4 }));
    expect(harness.fromUdp(PEER, straightly, straight(i1()))).toMatchObject({ udp: [{ to: PEER }], upcalls: [{ kind: "hip", bytes: i1() }] });
  });

  it("must be right in everything else", () => {
    const closed = { receiver: NO_HIT, groups: [8], returnId: BACK, length: LONG };
    harness.engine.setInbound(BACK, { action: "upcall" });
    expect(harness.fromUdp(PEER, straight(i1(closed)), behind(i1(closed), BACK), straight(i1({ receiver: hit(3), groups: [8] })))).toMatchObject({ udp: [], upcalls: [], drops: { hip: 3 } });
    expect(harness.fromUdp(PEER, behind(i1({ groups: [8], length: LONG })), straight(i1({ sender: NO_HIT, groups: [8] })))).toMatchObject({ upcalls: [], drops: { malformed: 2 } });
    expect(harness.fromUdp(PEER, behind(i1(closed))).upcalls).toHaveLength(1);
  });

  it("are 20 at once and 10 a second of one source, with those that are answered, and 100 a second of all", () => {
    expect(harness.fromUdp(PEER, ...Array.from({ length: 15 }, () => straightly), ...Array.from({ length: 10 }, () => straight(i1())))).toMatchObject({ udp: { length: 5 }, upcalls: { length: 15 }, drops: { rate: 5 } });
    const flood = (count: number): number => Array.from({ length: count }, (_, n) => harness.fromUdp(makeLocator(bytes(203, 0, 9, n), 9), straightly).upcalls.length).reduce((sum, n) => sum + n, 0);
    harness.nowMs = 5_000;
    expect([flood(LIMITS.hipI1sPerSecond - 1), harness.fromUdp(SERVER, relayed, relayed).upcalls.length, flood(1)]).toEqual([LIMITS.hipI1sPerSecond - 1, 1, 0]);
    // Neither those that are answered nor other packets have less for it.
    expect(harness.fromUdp(SERVER, straight(i1()), straight(UPDATE))).toMatchObject({ udp: { length: 1 }, upcalls: { length: 1 } });
    harness.nowMs = 6_000;
    expect([flood(1), harness.fromUdp(SERVER, relayed).upcalls.length]).toEqual([1, 1]);
  });
});

describe("I2 packets", () => {
  const pathOf = (text: string): Uint8Array => concat(new Uint8Array(10), bytes(0xff, 0xff), ip4(text));
  const right = i2(RESPONDER, PEER_PATH);
  const relayed = i2(RESPONDER, BACK, { returnId: BACK });
  const CLOSED = makeId(7);

  it.each(["sha256", "sha384"] as const)("go up when their puzzle is solved, straight and behind a data header, for whatever id (%s)", (rhash) => {
    const given = responder({ rhash, secret: data(32, 9), epoch: 0xfffe });
    harness.engine.setHipResponder(given);
    harness.engine.setInbound(CLOSED, { action: "upcall" });
    const [one, other] = [i2(given, PEER_PATH), i2(given, BACK, { returnId: BACK })];
    expect(harness.fromUdp(PEER, straight(one), straight(one))).toEqual({ tun: [], udp: [], upcalls: [{ kind: "hip", from: PEER, bytes: one }, { kind: "hip", from: PEER, bytes: one }], drops: {} });
    expect(harness.fromUdp(PEER, behind(other), behind(other, CLOSED)).upcalls).toMatchObject([{ kind: "payload", id: PUBLIC_ID, payload: other }, { kind: "payload", id: CLOSED, payload: other }]);
  });

  /** From Python 3.11, as #I above: #J is the first of 0, 1, 2 … with which hashlib.sha256(#I + HIT(1) + HIT(0xee) + #J) ends in 10 zero bits. */
  it("with the #J that another program finds", () => {
    const given = responder({ rhash: "sha256", secret: Uint8Array.from({ length: 32 }, (_, i) => i) });
    harness.engine.setHipResponder(given);
    const packet = i2(given, PEER_PATH, { edit: (made) => concat(made.subarray(0, 36), new Uint8Array(28), be32(875)) });
    expect(harness.fromUdp(PEER, straight(packet), straight(edited(packet, 111, 0)))).toMatchObject({ upcalls: [{ kind: "hip" }], drops: { puzzle: 1 } });
  });

  const reserved = (solution: Uint8Array): Uint8Array => edited(solution, 1, 0xff);
  const fewer = (solution: Uint8Array): Uint8Array => edited(solution, 0, 9);
  const more = (solution: Uint8Array): Uint8Array => edited(solution, 0, 11);
  const epoch = (solution: Uint8Array): Uint8Array => edited(solution, 3, 3);
  const random = (solution: Uint8Array): Uint8Array => edited(solution, 51, (solution[51] ?? 0) ^ 1);
  const short = (solution: Uint8Array): Uint8Array => solution.subarray(1);
  const padding = Array.from({ length: 30 }, () => parameter(PADDING, data(1)));
  const rows: readonly (readonly [what: string, make: (path: Uint8Array, returnId: Uint8Array) => Uint8Array, reason: DropReason | null])[] = [
    ["a bit more than enough", (path, returnId) => i2(RESPONDER, path, { returnId, more: 1 }), null],
    ["just enough", (path, returnId) => i2(RESPONDER, path, { returnId, more: 0 }), null],
    ["a bit too few", (path, returnId) => i2(RESPONDER, path, { returnId, more: -1 }), "puzzle"],
    ["the reserved byte", (path, returnId) => i2(RESPONDER, path, { returnId, edit: reserved }), null],
    ["K too small", (path, returnId) => i2(RESPONDER, path, { returnId, edit: fewer, more: 1 }), "puzzle"],
    ["K too large", (path, returnId) => i2(RESPONDER, path, { returnId, edit: more, more: 1 }), "puzzle"],
    ["an epoch that is none", (path, returnId) => i2(RESPONDER, path, { returnId, edit: epoch }), "puzzle"],
    ["another #I", (path, returnId) => i2(RESPONDER, path, { returnId, edit: random }), "puzzle"],
    ["another path", (path, returnId) => i2(RESPONDER, edited(path, 15, 9), { returnId }), "puzzle"],
    ["another sender", (path, returnId) => edited(i2(RESPONDER, path, { returnId }), 23, 9), "puzzle"],
    ["a secret that is not ours", (path, returnId) => i2(responder({ secret: data(32, 3) }), path, { returnId }), "puzzle"],
    ["a sender outside 2001:20::/28", (path, returnId) => i2(RESPONDER, path, { returnId, sender: edited(hit(1), 3, 0x42) }), "malformed"],
    ["another receiver", (path, returnId) => i2(RESPONDER, path, { returnId, receiver: hit(3) }), "hip"],
    ["no receiver", (path, returnId) => i2(RESPONDER, path, { returnId, receiver: NO_HIT }), "hip"],
    ["a SOLUTION too short", (path, returnId) => i2(RESPONDER, path, { returnId, edit: short }), "malformed"],
    ["a SOLUTION too long", (path, returnId) => i2(RESPONDER, path, { returnId, edit: (solution) => concat(solution, bytes(0)) }), "malformed"],
    ["a SOLUTION for the other hash", (path, returnId) => i2(responder({ rhash: "sha256" }), path, { returnId }), "malformed"],
    ["no SOLUTION", (_, returnId) => hipPacket(3, hit(1), OWN_HIT, parameter(RETURN_ID, returnId)), "malformed"],
    ["an empty SOLUTION", (_, returnId) => hipPacket(3, hit(1), OWN_HIT, parameter(SOLUTION, bytes()), parameter(RETURN_ID, returnId)), "malformed"],
    ["SOLUTION twice", (path, returnId) => again(i2(RESPONDER, path, { returnId }), 1), "malformed"],
    ["32 parameters", (path, returnId) => joined(i2(RESPONDER, path, { returnId }), ...padding.slice(1)), null],
    ["33 parameters", (path, returnId) => joined(i2(RESPONDER, path, { returnId }), ...padding), "malformed"],
    ["a parameter longer than the packet", (path, returnId) => edited(i2(RESPONDER, path, { returnId }), 42, 0xff), "malformed"],
  ];
  const again = (packet: Uint8Array, count: number): Uint8Array => joined(packet, ...Array.from({ length: count }, () => packet.subarray(40, 144)));
  const joined = (packet: Uint8Array, ...parameters: readonly Uint8Array[]): Uint8Array => hipPacket(3, packet.subarray(8, 24), packet.subarray(24, 40), packet.subarray(40), ...parameters);
  it.each(rows)("with %s", (_, make, reason) => {
    const drops = reason === null ? {} : { [reason]: 1 };
    const upcalls = { length: reason === null ? 1 : 0 };
    expect(harness.fromUdp(PEER, straight(make(PEER_PATH, BACK)))).toMatchObject({ udp: [], upcalls, drops });
    expect(harness.fromUdp(PEER, behind(make(BACK, BACK)))).toMatchObject({ udp: [], upcalls, drops });
  });

  it("are good only on the path that they came by", () => {
    expect(harness.fromUdp(PEER, straight(i2(RESPONDER, BACK, { returnId: BACK })), straight(i2(RESPONDER, pathOf("192.0.2.8"))), behind(i2(RESPONDER, PEER_PATH, { returnId: BACK })))).toMatchObject({ upcalls: [], drops: { puzzle: 3 } });
    expect(harness.fromUdp({ ...PEER, port: 1 }, straight(right)).upcalls).toHaveLength(1);
    expect(harness.fromUdp(PEER, behind(right))).toMatchObject({ upcalls: [], drops: { malformed: 1 } });
  });

  it("of older epochs are good with what those asked for, until they are named no more", () => {
    const older = [{ epoch: 0x0101, secret: data(32, 5), difficulty: 3 }, { epoch: 0x0100, secret: data(32, 6), difficulty: 0 }];
    const given = responder({ older });
    harness.engine.setHipResponder(given);
    const packets = [0, 1, 2].map((which) => straight(i2(given, PEER_PATH, { epoch: which })));
    const [first, second] = [0, 1].map((which) => straight(i2(given, PEER_PATH, { epoch: which, more: 4, edit: (solution) => edited(solution, 0, which === 0 ? 3 : 10) })));
    expect(harness.fromUdp(PEER, ...packets)).toMatchObject({ upcalls: { length: 3 }, drops: {} });
    expect(harness.fromUdp(PEER, first ?? bytes(), second ?? bytes())).toMatchObject({ upcalls: [], drops: { puzzle: 2 } });
    harness.engine.setHipResponder(responder({ older: older.slice(0, 1) }));
    expect(harness.fromUdp(PEER, ...packets)).toMatchObject({ upcalls: { length: 2 }, drops: { puzzle: 1 } });
  });

  it("cut off at any byte do not go up", () => {
    const marked = Array.from({ length: right.length + 3 }, (_, length) => straight(right).subarray(0, length + 1));
    expect(harness.fromUdp(PEER, ...marked)).toMatchObject({ upcalls: [], drops: { malformed: marked.length } });
    expect(harness.fromUdp(PEER, ...Array.from({ length: relayed.length }, (_, length) => behind(relayed.subarray(0, length))))).toMatchObject({ upcalls: [], drops: { malformed: relayed.length } });
  });

  it("are 100 at once and 50 a second of one source, apart from what else it sends; wrong ones count for nobody", () => {
    const wrong = straight(i2(RESPONDER, pathOf("192.0.2.8")));
    const up = (count: number): number => harness.fromUdp(PEER, ...Array.from({ length: count }, () => straight(right))).upcalls.length;
    harness.fromUdp(PEER, ...Array.from({ length: 500 }, () => wrong), ...Array.from({ length: LIMITS.upcallsPerSourcePerSecond + 10 }, () => bytes(0x19)));
    while (harness.engine.pending()) harness.step();
    expect([up(110), harness.engine.counters().drops.rate]).toEqual([100, 20]);
    harness.nowMs += 1_000;
    expect(up(110)).toBe(50);
  });
});

describe("other HIP packets", () => {

  it("go up: straight ones without the mark, of up to 2,048 bytes", () => {
    const longest = hipPacket(16, hit(1), OWN_HIT, parameter(RETURN_ID, data(2_004)));
    expect(longest).toHaveLength(2_048);
    expect(harness.fromUdp(PEER, straight(UPDATE), straight(longest)).upcalls).toEqual([{ kind: "hip", from: PEER, bytes: UPDATE }, { kind: "hip", from: PEER, bytes: longest }]);
    expect(harness.fromUdp(PEER, concat(straight(longest), new Uint8Array(8)))).toMatchObject({ upcalls: [], drops: { malformed: 1 } });
  });

  it("go up as payloads from behind a data header, if their header is well-formed", () => {
    expect(harness.fromUdp(PEER, behind(UPDATE)).upcalls).toMatchObject([{ kind: "payload", id: PUBLIC_ID, payloadKind: 3, payload: UPDATE }]);
    expect(harness.fromUdp(PEER, behind(UPDATE.subarray(1)))).toMatchObject({ upcalls: [], drops: { malformed: 1 } });
  });

  it("for ids with a flow go up unseen, I1 too", () => {
    harness.engine.setInbound(BACK, { action: "tun", flow: ip4("10.0.0.9"), source4: null, destination4: null, source6: null, destination6: null });
    expect(harness.fromUdp(PEER, behind(i1(), BACK), behind(bytes(1), BACK)).upcalls).toMatchObject([{ kind: "payload", payload: i1() }, { kind: "payload", payload: bytes(1) }]);
  });

  it("count against the source's control packets", () => {
    const most = LIMITS.upcallsPerSourcePerSecond;
    expect(harness.fromUdp(PEER, ...Array.from({ length: most - 1 }, () => straight(UPDATE)), bytes(0x19), straight(UPDATE))).toMatchObject({ drops: { rate: 1 } });
  });

  it("from made-up sources are few: 2,000 I2s a second and 4,000 others, so that neither keeps the other out", () => {
    harness.nowMs = 5_000;
    const easy = responder({ difficulty: 0 });
    harness.engine.setHipResponder(easy);
    const flood = (make: (path: Uint8Array) => Uint8Array, count: number): number => Array.from({ length: count }, (_, n) => {
      const address = bytes(203, 0, n >> 8, n & 0xff);
      return harness.fromUdp(makeLocator(address, 9), straight(make(concat(new Uint8Array(10), bytes(0xff, 0xff), address)))).upcalls.length;
    }).reduce((sum, n) => sum + n, 0);
    const [paid, update] = [(path: Uint8Array) => i2(easy, path), () => UPDATE];
    expect([flood(paid, LIMITS.hipI2sPerSecond + 10), flood(update, LIMITS.hipOthersPerSecond + 10)]).toEqual([LIMITS.hipI2sPerSecond, LIMITS.hipOthersPerSecond]);
    expect(harness.engine.counters().drops.rate).toBe(20);
    harness.nowMs = 6_000;
    expect([flood(paid, 1), flood(update, 1)]).toEqual([1, 1]);
  });

  it("without a responder: straight ones are dropped, others go up, I1 too", () => {
    harness.engine.setHipResponder(null);
    expect(harness.fromUdp(PEER, straight(UPDATE), straight(i1()), bytes(0))).toMatchObject({ udp: [], upcalls: [], drops: { hip: 3 } });
    expect(harness.fromUdp(PEER, behind(hipPacket(3, hit(1), OWN_HIT)), behind(i1()), behind(bytes(1))).upcalls).toHaveLength(3);
  });
});

describe("how many answers", () => {
  const answered = (from: Locator, count: number): number => harness.fromUdp(from, ...Array.from({ length: count }, () => straight(i1()))).udp.length;
  const ip6 = (site: number, host: number): Locator => makeLocator(concat(bytes(0x20, 0x01, 0x0d, 0xb8, 0, 0), be16(site), new Uint8Array(7), bytes(host)), 9);

  it("one source has 20 at once and 10 a second, whatever its ports", () => {
    expect([answered(PEER, 25), answered({ ...PEER, port: 1 }, 5), answered(SERVER, 1)]).toEqual([20, 0, 1]);
    expect(harness.engine.counters()).toMatchObject({ drops: { rate: 10 }, hipAnswered: 21 });
    harness.nowMs += 99;
    expect(answered(PEER, 1)).toBe(0);
    harness.nowMs += 1;
    expect(answered(PEER, 2)).toBe(1);
    harness.nowMs += 1_000;
    expect(answered(PEER, 30)).toBe(10);
    harness.nowMs += 60_000;
    expect(answered(PEER, 30)).toBe(20);
  });

  it("an IPv6 source is its /64", () => {
    expect([answered(ip6(1, 1), 20), answered(ip6(1, 2), 1), answered(ip6(2, 1), 1)]).toEqual([20, 0, 1]);
  });

  it("what is refused for its form costs the source nothing", () => {
    harness.fromUdp(PEER, ...Array.from({ length: 100 }, () => straight(i1({ receiver: hit(3) }))));
    expect(answered(PEER, 20)).toBe(20);
  });

  it("all of them have 4,000 a second, by either way", () => {
    const ask = behind(i1({ returnId: BACK, length: LONG }));
    const flood = (count: number): number => harness.fromUdp(SERVER, ...Array.from({ length: count }, () => ask)).udp.length;
    harness.nowMs = 5_000;
    // Those that ask again are not counted here.
    expect([flood(LIMITS.r1PerSecond - 1), answered(PEER, 2), flood(1)]).toEqual([LIMITS.r1PerSecond - 1, 1, 0]);
    harness.nowMs = 6_000;
    expect([flood(1), answered(PEER, 1)]).toEqual([1, 1]);
  });

  describe("who was refused and asks again", () => {
    let limit: AnswerLimit;
    const flood = (nowMs: number, asker: string, count: number): number => Array.from({ length: count }, () => limit.allow(nowMs, asker)).filter(Boolean).length;
    /** Whether one who asks at these times is answered, when others take all that is for those who ask first. */
    const answers = (asker: string, ...timesMs: readonly number[]): readonly number[] => timesMs.map((nowMs) => {
      flood(nowMs, "others", LIMITS.r1PerSecond);
      return flood(nowMs, asker, 1);
    });
    beforeEach(() => void (limit = new AnswerLimit()));

    it("is answered each time that a HIP host asks", () => {
      expect(answers("a", 5_000, 5_500, 6_500, 8_500)).toEqual([0, 1, 1, 1]);
    });

    it("is answered after 0.3 s and within 4 s", () => {
      expect(answers("a", 5_000, 5_299, 5_300, 5_599, 5_600)).toEqual([0, 0, 1, 0, 1]);
      expect([answers("b", 5_000, 8_999), answers("c", 5_000, 9_000, 9_300)]).toEqual([[0, 1], [0, 0, 1]]);
    });

    it("shares 4,000 a second with all who do", () => {
      const askers = Array.from({ length: LIMITS.r1AgainPerSecond + 2 }, (_, i) => `asker ${i}`);
      const round = (nowMs: number): number => askers.reduce((sum, asker) => sum + flood(nowMs, asker, 1), 0);
      flood(5_000, "others", LIMITS.r1PerSecond);
      expect(round(5_000)).toBe(0);
      expect(round(5_400)).toBe(LIMITS.r1AgainPerSecond);
      // Those two lost nothing.
      flood(6_000, "others", LIMITS.r1PerSecond);
      expect(askers.slice(-2).map((asker) => flood(6_000, asker, 1))).toEqual([1, 1]);
    });
  });

  it("beyond 4,096 sources strangers share 65,536 buckets, so that a newcomer in a flood finds a full one", () => {
    const rates = new SourceRates(LIMITS.r1PerSourcePerSecond, LIMITS.r1PerSourceBurst, LIMITS.sharedBuckets);
    const askers = (first: number, count: number): number => Array.from({ length: count }, (_, i) => rates.allow(5_000, `stranger ${first + i}`)).filter(Boolean).length;
    askers(0, MAX_RATED_SOURCES);
    expect(askers(MAX_RATED_SOURCES, 12_000)).toBe(12_000);
    expect([rates.take(5_000, "newcomer", 25) > 15, rates.take(5_000, "newcomer", 25), rates.take(5_000, "stranger 0", 25)]).toEqual([true, 0, 19]);
    expect([rates.take(7_000, "another", 25), rates.take(7_000, "a third", 25)]).toEqual([20, 20]);
  });
});

/** Each rule of docs/datapath.md, "Refreshes", at the places where it begins and ends, in both engines. Each test fails when the native engine alone breaks its rule. */
import { decodeControl, encodeControl, type ControlMessage, type Locator, type ViaLocator } from "@i3/common";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { RawDatagram } from "../../src/native-addon.js";
import { LIMITS, type Lease, type RefreshAnswers } from "../../src/datapath.js";
import { encodeRoute } from "../../src/reference/endpoints.js";
import { concat, ip6 } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";
import { idOf, LOCATORS, nonceOf, ringKeyOf } from "./pools.js";
import { tokenAt } from "./refresh-recipes.js";

const [OWNER, OTHER, OTHER_PORT, OVER_IPV6] = LOCATORS as readonly [Locator, Locator, Locator, Locator, Locator];
const ID = idOf(0);
const LIFE_MS = 5_000;
const HEADER_BYTES = 16;
/** Of TRIGGER_OK with a replica's locator of IPv6. */
const LONGEST_ANSWER_BYTES = 75;

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  answers();
  lease();
});
afterEach(() => pair.close());

const refresh = (index: number, more: Partial<Extract<ControlMessage, { type: "REFRESH" }>> = {}): Uint8Array =>
  encodeControl({ type: "REFRESH", id: ID, index, token: tokenAt(index), member: null, ...more }, nonceOf(index));
/** Of number `index`, until 50 s unless said otherwise: far longer than LIFE_MS. */
function lease(index = 0, more: Partial<Lease> = {}): void {
  pair.change("setLease", (engine) => engine.setLease(ID, { owner: OWNER, token: tokenAt(index), index, endMs: 50_000, isReplica: false, ...more }));
}
function answers(more: Partial<RefreshAnswers> | null = {}): void {
  pair.change("setRefreshAnswers", (engine) => engine.setRefreshAnswers(more === null ? null : { range: { kind: "all" }, replicas: [OTHER], lifeMs: LIFE_MS, ...more }));
}
/** The answer of both engines after some ms; null: it went up. */
function answer(bytes: Uint8Array, from: ViaLocator = OWNER, passedMs = 0): Extract<ControlMessage, { type: "TRIGGER_OK" }> | null {
  const datagram: RawDatagram = { bytes, segmentBytes: 0, endpoint: encodeRoute(from), trafficClass: 0 };
  const [out] = pair.step(passedMs, [], [datagram], true);
  if (out === undefined) return null;
  const { message } = decodeControl(out);
  if (message.type !== "TRIGGER_OK") throw new Error(`a ${message.type}`);
  return message;
}
/** With another body, and its length. */
function withBody(whole: Uint8Array, change: (body: Uint8Array) => Uint8Array): Uint8Array {
  const body = change(whole.slice(HEADER_BYTES, HEADER_BYTES + (whole[5] ?? 0)));
  const out = new Uint8Array(160);
  out.set(whole.subarray(0, HEADER_BYTES));
  out.set(body, HEADER_BYTES);
  out[5] = body.length;
  return out;
}

it("without answers everything goes up, a replica's too", () => {
  lease(0, { isReplica: true });
  answers(null);
  expect(answer(refresh(1))).toBe(null);
  answers();
  expect(answer(refresh(1))).not.toBe(null);
});

it("comes from the owner's address and port, those of the lease that was set last", () => {
  for (const from of [OTHER, OTHER_PORT, OVER_IPV6]) expect(answer(refresh(1), from)).toBe(null);
  expect(answer(refresh(1))).not.toBe(null);
  lease(1, { owner: OTHER_PORT });
  expect([answer(refresh(2)), answer(refresh(2), OTHER)]).toEqual([null, null]);
  expect(answer(refresh(2), OTHER_PORT)).not.toBe(null);
});

it("comes by the main port, within the limits of its source, in one datagram of a control message's length", () => {
  const malformed = pair.counters().drops.malformed;
  expect(answer(refresh(1), { ...OWNER, via: "hip" })).toBe(null);
  expect(answer(concat(refresh(1), new Uint8Array(1_232)))).toBe(null);
  expect(pair.counters().drops.malformed).toBe(malformed + 2);
  const wrong = Array.from({ length: LIMITS.upcallsPerSourcePerSecond - 1 }, () => ({ bytes: refresh(0), segmentBytes: 0, endpoint: encodeRoute(OWNER), trafficClass: 0 }));
  for (let i = 0; i < wrong.length; i += 100) pair.step(0, [], wrong.slice(i, i + 100), true);
  expect(answer(refresh(1))).not.toBe(null);
  expect(answer(refresh(2))).toBe(null);
  expect(pair.counters().drops.rate).toBe(1);
  expect(answer(refresh(2), OWNER, 1)).not.toBe(null);
});

it.each([[LIMITS.leaseMarginMs, false], [LIMITS.leaseMarginMs + 1, true]])("comes %i ms before the end of the lease as it was set: answered: %s", (leftMs, isAnswered) => {
  lease(0, { endMs: 2_000 });
  lease(0, { endMs: 3_000 });
  expect(answer(refresh(1), OWNER, 3_000 - 1_000 - leftMs) !== null).toBe(isAnswered);
});

it("moves the end to a life after the time of its batch, from a later end and from an earlier one", () => {
  const lastMs = LIFE_MS - LIMITS.leaseMarginMs - 1;
  expect(answer(refresh(1), OWNER, 100)).not.toBe(null);
  expect(answer(refresh(2), OWNER, lastMs)).not.toBe(null);
  expect(answer(refresh(3), OWNER, lastMs)).not.toBe(null);
  expect(answer(refresh(4), OWNER, lastMs + 1)).toBe(null);
});

it("is of a ring key of ours, or of a replica's lease as it was set last", () => {
  const elsewhere = { kind: "range", from: ringKeyOf(1), to: ringKeyOf(2) } as const;
  answers({ range: elsewhere });
  expect(answer(refresh(1))).toBe(null);
  lease(0, { isReplica: true });
  expect(answer(refresh(1))).toMatchObject({ replica: null });
  lease(1, { isReplica: false });
  expect(answer(refresh(2))).toBe(null);
  answers({ range: { kind: "range", from: ringKeyOf(3), to: ringKeyOf(0) } });
  expect(answer(refresh(2))).toMatchObject({ replica: OTHER });
  answers({ range: { kind: "range", from: ringKeyOf(0), to: ringKeyOf(1) } });
  expect(answer(refresh(3))).toBe(null);
});

it("has as many bytes as the answer or more", () => {
  lease(0, { owner: OVER_IPV6 });
  answers({ replicas: [{ address: ip6(5), port: 5_610 }] });
  for (const less of [1, 2, 4]) expect(answer(refresh(1).subarray(0, LONGEST_ANSWER_BYTES - less), OVER_IPV6)).toBe(null);
  expect(answer(refresh(1).subarray(0, LONGEST_ANSWER_BYTES), OVER_IPV6)).not.toBe(null);
  expect(answer(refresh(2).subarray(0, LONGEST_ANSWER_BYTES + 1), OVER_IPV6)).not.toBe(null);
});

it("names the replica's locator of the owner's family, or none", () => {
  const over6 = { address: ip6(5), port: 5_610 };
  for (const [owner, replicas, replica] of [[OWNER, [over6, OTHER], OTHER], [OVER_IPV6, [OTHER, over6], over6], [OWNER, [over6], null], [OVER_IPV6, [OTHER], null]] as const) {
    lease(0, { owner });
    answers({ replicas });
    expect(answer(refresh(1), owner)).toMatchObject({ replica });
  }
});

it("has an index of one, two or three bytes, and each bit of it counts", () => {
  for (const index of [1, 127, 128, 255, 256, 300]) {
    const whole = refresh(index);
    const bits = (HEADER_BYTES + (whole[5] ?? 0)) * 8;
    const answered = Array.from({ length: bits }, (_, bit) => whole.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))).filter((bytes) => {
      lease(index - 1);
      return answer(bytes, OWNER, 1) !== null; // Within the limits of a source.
    });
    // Of the flags, the byte behind them, the two behind the length, and the nonce.
    expect(answered).toHaveLength(7 + 8 + 16 + 64);
  }
});

it("has an index of no other form, though it says the same", () => {
  const indexAt = 35;
  const to = (...form: readonly number[]): Uint8Array => withBody(refresh(1), (body) => concat(body.subarray(0, indexAt), Uint8Array.from(form), body.subarray(indexAt + 1)));
  for (const form of [[0xd0, 1], [0xd1, 0, 1], [0xce, 0, 0, 0, 1], [0xd2, 0, 0, 0, 1], [0xc0], [0xff]]) expect(answer(to(...form))).toBe(null);
  for (const form of [[1], [0xcc, 1], [0xcd, 0, 1]]) {
    lease();
    expect(answer(to(...form))).not.toBe(null);
  }
});

it("is of no member, and has nothing behind", () => {
  expect(answer(refresh(1, { member: new Uint8Array(32).fill(0xc0) }))).toBe(null);
  for (const more of [[0xc0], [0, 0xc0], [1, 2, 3, 0xc0]]) expect(answer(withBody(refresh(1), (body) => concat(body, Uint8Array.from(more))))).toBe(null);
  for (const last of [0, 0x7f, 0xc1, 0xc2, 0xff]) expect(answer(withBody(refresh(1), (body) => concat(body.subarray(0, -1), Uint8Array.of(last))))).toBe(null);
  expect(answer(refresh(1))).not.toBe(null);
});

it("has a token of its number, 1 to 64 above the lease's as it was set last", () => {
  lease(100);
  lease(10);
  expect([answer(refresh(10)), answer(refresh(9)), answer(refresh(11 + LIMITS.refreshSkip)), answer(refresh(12, { token: tokenAt(13) })), answer(refresh(12, { token: tokenAt(11) }))]).toEqual([null, null, null, null, null]);
  expect(answer(refresh(10 + LIMITS.refreshSkip))).not.toBe(null);
  expect(answer(refresh(10 + LIMITS.refreshSkip))).toBe(null);
  expect(answer(refresh(11 + LIMITS.refreshSkip))).not.toBe(null);
});

it.each([1, 0x7e, 0x7f, 0x80, 0xfe, 0xff, 0x100, 0x101, 0x7fff, 0xffff])("is told a life of %i ms in as few bytes as it takes", (lifeMs) => {
  answers({ lifeMs });
  expect(answer(refresh(1))).toMatchObject({ lifeMs, replica: OTHER });
});

it("is told whole ms of its life, and no more than are left", () => {
  // Between whole ms what the time and the end differ by is a little less than the life, or more, for it is in doubles.
  answers({ lifeMs: 65_535 });
  const lives = Array.from({ length: 60 }, (_, i) => answer(refresh(i + 1), OWNER, 0.1)?.lifeMs);
  expect(new Set(lives)).toEqual(new Set([65_535, 65_534]));
});

it("of a lease that was removed, and set again, is as of a new one", () => {
  expect(answer(refresh(1))).not.toBe(null);
  pair.change("setLease", (engine) => engine.setLease(ID, null));
  expect(pair.takeRefreshed()).toEqual([]);
  expect(answer(refresh(2))).toBe(null);
  lease(5);
  expect(answer(refresh(6))).not.toBe(null);
  expect(answer(refresh(7), OWNER, 3)).not.toBe(null);
  expect(pair.takeRefreshed()).toMatchObject([{ id: ID, index: 7, token: tokenAt(7), times: 2, atMs: 1_003 }]);
  expect(pair.takeRefreshed()).toEqual([]);
  expect(answer(refresh(8))).not.toBe(null);
  expect(pair.takeRefreshed()).toMatchObject([{ index: 8, times: 1 }]);
});

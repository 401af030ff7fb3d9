/** Refreshes that the engine answers by itself, and those that it leaves to the control plane; docs/datapath.md, "Refreshes". */
import { domainHash, encodeControl, makeLocator, type ControlMessage, type Locator } from "@i3/common";
import { beforeEach, describe, expect, it } from "vitest";

import { LIMITS, type Lease } from "../../src/datapath.js";
import { Harness, locator, NONCE } from "./harness.js";
import { data, ip6, makeId, withBody } from "./packets.js";

const ID = makeId(0x10, 7);
const OWNER = locator("192.0.2.1");
const OWNER6 = makeLocator(ip6(8), 5_610);
const REPLICA = locator("192.0.2.9");
const LIFE_MS = 30_000;
const LAST = 300;
/** The value at number `index` is hashed once to the one before it. */
const CHAIN = (() => {
  const values = [data(16, 3)];
  for (let i = 0; i < LAST; i += 1) values.unshift(domainHash("refresh", values[0] as Uint8Array).slice(0, 16));
  return values;
})();
const tokenAt = (index: number): Uint8Array => CHAIN[index] as Uint8Array;
const refresh = (index: number, more: Partial<Extract<ControlMessage, { type: "REFRESH" }>> = {}): Uint8Array =>
  encodeControl({ type: "REFRESH", id: ID, index, token: tokenAt(index), member: null, ...more }, NONCE);
const ok = (replica: Locator | null, lifeMs = LIFE_MS): Uint8Array => encodeControl({ type: "TRIGGER_OK", action: 1, id: ID, lifeMs, replica }, NONCE);

describe("refreshes", () => {
  let harness: Harness;
  const lease = (more: Partial<Lease> = {}): void => harness.engine.setLease(ID, { owner: OWNER, token: tokenAt(0), index: 0, endMs: harness.nowMs + LIFE_MS, isReplica: false, ...more });
  beforeEach(() => {
    harness = new Harness();
    harness.engine.setRefreshAnswers({ range: { kind: "all" }, replicas: [REPLICA], lifeMs: LIFE_MS });
    lease();
  });
  const ask = (datagram: Uint8Array, from = OWNER): Uint8Array | number => harness.ask(from, datagram);

  it("are answered as the control plane's codec writes it", () => {
    const over6 = makeLocator(ip6(9), 5_610);
    for (const [index, owner, replicas, replica] of [
      [1, OWNER, [REPLICA], REPLICA], [2, OWNER, [over6, REPLICA], REPLICA], [3, OWNER, [over6], null], [4, OWNER, [], null],
      [1, OWNER6, [REPLICA], null], [2, OWNER6, [over6, REPLICA], over6], [3, OWNER6, [over6], over6],
    ] as const) {
      lease({ owner, index: index - 1, token: tokenAt(index - 1) });
      harness.engine.setRefreshAnswers({ range: { kind: "all" }, replicas, lifeMs: LIFE_MS });
      expect(ask(refresh(index), owner)).toEqual(ok(replica));
    }
    for (const [index, lifeMs] of [[4, 100], [5, 200], [6, 65_535], [7, 0x7f], [8, 0x80], [9, 0xff], [10, 0x100]] as const) {
      harness.engine.setLease(ID, { owner: OWNER, token: tokenAt(index - 1), index: index - 1, endMs: harness.nowMs + LIFE_MS, isReplica: false });
      harness.engine.setRefreshAnswers({ range: { kind: "all" }, replicas: [], lifeMs });
      expect(ask(refresh(index))).toEqual(ok(null, lifeMs));
    }
    expect(harness.engine.counters()).toMatchObject({ refreshed: 14, upcalls: 0 });
  });

  it("may be lost, up to 64 in a row; none counts twice, nor one from before", () => {
    expect(ask(refresh(1 + LIMITS.refreshSkip))).toBe(1);
    expect(ask(refresh(LIMITS.refreshSkip))).toEqual(ok(REPLICA));
    expect(ask(refresh(LIMITS.refreshSkip))).toBe(1);
    expect(ask(refresh(LIMITS.refreshSkip - 1))).toBe(1);
    // Two bytes for the index, then three.
    expect(ask(refresh(LIMITS.refreshSkip * 2))).toEqual(ok(REPLICA));
    for (const index of [190, 250, 260, LAST]) expect(ask(refresh(index))).toEqual(ok(REPLICA));
  });

  it.each([
    ["from another address", refresh(1), locator("192.0.2.2")], ["from another port", refresh(1), locator("192.0.2.1", 4_001)], ["of another id", refresh(1, { id: makeId(0x10, 8) }), OWNER],
    ["with a token of another number", refresh(1, { token: tokenAt(2) }), OWNER], ["with a token that is none", refresh(1, { token: data(16) }), OWNER], ["of a member", refresh(1, { member: data(32) }), OWNER],
    ["with number 0", refresh(0), OWNER],
    ["with a MAC", encodeControl({ type: "REFRESH", id: ID, index: 1, token: tokenAt(1), member: null }, NONCE, () => data(16)), OWNER],
  ])("go up %s", (_what, datagram, from) => {
    expect(ask(datagram, from)).toBe(1);
    expect(harness.engine.takeRefreshed()).toEqual([]);
    expect(ask(refresh(1))).toEqual(ok(REPLICA));
  });

  it("go up smaller than the answer, which only one of IPv6 can be", () => {
    const replica = makeLocator(ip6(9), 5_610);
    lease({ owner: OWNER6 });
    harness.engine.setRefreshAnswers({ range: { kind: "all" }, replicas: [replica], lifeMs: LIFE_MS });
    expect(ask(refresh(1).subarray(0, 74), OWNER6)).toBe(1);
    expect(ask(refresh(1).subarray(0, 75), OWNER6)).toEqual(ok(replica));
  });

  it("go up in every form but the shortest", () => {
    const whole = refresh(1);
    const longer = (from: number, to: number, ...instead: readonly number[]): Uint8Array => withBody(whole, from, to, instead);
    for (const other of [longer(0, 1, 0xdc, 0, 4), longer(1, 3, 0xc5, 0, 32), longer(36, 38, 0xc5, 0, 16), longer(0, 1, 0x95), longer(54, 55, 0xc0, 0xc0), longer(35, 36, 0xce, 0, 0, 0, 1)]) expect(ask(other)).toBe(1);
    // An index in more bytes than it needs says the same.
    expect(ask(longer(35, 36, 0xcd, 0, 1))).toEqual(ok(REPLICA));
  });

  it("go up cut anywhere, and with a length beyond the datagram", () => {
    const whole = refresh(1).subarray(0, 16 + (refresh(1)[5] ?? 0));
    for (let length = 1; length < whole.length; length += 1) expect(ask(whole.subarray(0, length))).toBe(1);
    const beyond = Uint8Array.from(refresh(1));
    beyond[4] = 1;
    expect(ask(beyond)).toBe(1);
  });

  it("go up for keys that are not ours, but of replicas", () => {
    harness.engine.setRefreshAnswers({ range: { kind: "none" }, replicas: [REPLICA], lifeMs: LIFE_MS });
    expect(ask(refresh(1))).toBe(1);
    lease({ isReplica: true });
    expect(ask(refresh(1))).toEqual(ok(null));
    lease();
    const key = (first: number): Uint8Array => new Uint8Array(16).fill(first);
    harness.engine.setRefreshAnswers({ range: { kind: "range", from: key(0x0f), to: ID.slice(0, 16) }, replicas: [], lifeMs: LIFE_MS });
    expect(ask(refresh(1))).toEqual(ok(null));
    harness.engine.setRefreshAnswers({ range: { kind: "range", from: ID.slice(0, 16), to: key(0x20) }, replicas: [], lifeMs: LIFE_MS });
    expect(ask(refresh(2))).toBe(1);
    harness.engine.setRefreshAnswers(null);
    lease({ isReplica: true });
    expect(ask(refresh(1))).toBe(1);
  });

  it("go up in the last second, which each that counts moves on", () => {
    harness.nowMs += LIFE_MS - LIMITS.leaseMarginMs - 1;
    expect(ask(refresh(1))).toEqual(ok(REPLICA));
    harness.nowMs += LIFE_MS - LIMITS.leaseMarginMs - 1;
    expect(ask(refresh(2))).toEqual(ok(REPLICA));
    harness.nowMs += LIFE_MS - LIMITS.leaseMarginMs;
    expect(ask(refresh(3))).toBe(1);
  });

  it("are told of once, in the order of the last, with how many there were", () => {
    const other = makeId(0x10, 9);
    harness.engine.setLease(other, { owner: OWNER, token: tokenAt(0), index: 0, endMs: harness.nowMs + LIFE_MS, isReplica: false });
    ask(refresh(1));
    harness.nowMs += 5;
    ask(refresh(1, { id: other }));
    harness.nowMs += 5;
    ask(refresh(3));
    expect(harness.engine.takeRefreshed()).toEqual([
      { id: other, token: tokenAt(1), index: 1, atMs: harness.nowMs - 5, times: 1 }, { id: ID, token: tokenAt(3), index: 3, atMs: harness.nowMs, times: 2 },
    ]);
    expect(harness.engine.takeRefreshed()).toEqual([]);
    ask(refresh(4));
    expect(harness.engine.takeRefreshed()).toMatchObject([{ index: 4, times: 1 }]);
    ask(refresh(5));
    lease({ index: 5, token: tokenAt(5) });
    ask(refresh(6, { id: other, token: tokenAt(6) }));
    harness.engine.setLease(other, null);
    expect(harness.engine.takeRefreshed()).toEqual([]);
    expect(ask(refresh(7, { id: other }))).toBe(1);
  });

  it("count as control against their source", () => {
    const many = harness.fromUdp(OWNER, ...Array.from({ length: 40 }, () => refresh(0)));
    expect(many.upcalls).toHaveLength(40);
    for (let left = LIMITS.upcallsPerSourcePerSecond - 40; left > 0; left -= 40) harness.fromUdp(OWNER, ...Array.from({ length: 40 }, () => refresh(0)));
    expect(harness.fromUdp(OWNER, refresh(1))).toMatchObject({ udp: [], upcalls: [], drops: { rate: 1 } });
  });

  it.each([
    ["id", () => harness.engine.setLease(data(31), null)], ["token", () => lease({ token: data(15) })], ["index", () => lease({ index: 65_536 })], ["index", () => lease({ index: -1 })], ["index", () => lease({ index: 0.5 })],
    ["lease until", () => lease({ endMs: Number.NaN })], ["port", () => lease({ owner: { address: data(4), port: 0 } })], ["port", () => harness.engine.setRefreshAnswers({ range: { kind: "all" }, replicas: [{ address: data(4), port: 0 }], lifeMs: 1 })],
    ["life", () => harness.engine.setRefreshAnswers({ range: { kind: "all" }, replicas: [], lifeMs: 0 })], ["life", () => harness.engine.setRefreshAnswers({ range: { kind: "all" }, replicas: [], lifeMs: 65_536 })],
    ["two replicas", () => harness.engine.setRefreshAnswers({ range: { kind: "all" }, replicas: [REPLICA, OWNER], lifeMs: 1 })],
    ["range end", () => harness.engine.setRefreshAnswers({ range: { kind: "range", from: data(16), to: data(15) }, replicas: [], lifeMs: 1 })],
  ])("a wrong %s is the caller's fault, and changes nothing", (what, act) => {
    expect(act).toThrow(new RegExp(what));
    expect(ask(refresh(1))).toEqual(ok(REPLICA));
  });
});

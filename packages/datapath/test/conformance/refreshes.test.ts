/** Refreshes have the same answers in both engines, byte by byte: good ones, changed ones, cut ones, in every order, and more than a batch tells of. */
import { encodeControl } from "@i3/common";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { RawDatagram } from "../../src/native-addon.js";
import { LIMITS } from "../../src/datapath.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { be32, concat, data } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";
import { idOf, LOCATORS, nonceOf } from "./pools.js";
import { tokenAt } from "./refresh-recipes.js";

const [OWNER, OTHER] = [LOCATORS[0]!, LOCATORS[1]!];
const refresh = (index: number, id = idOf(0)): Uint8Array => encodeControl({ type: "REFRESH", id, index, token: tokenAt(index), member: null }, nonceOf(index));
const from = (bytes: Uint8Array, locator = OWNER): RawDatagram => ({ bytes, segmentBytes: 0, endpoint: encodeEndpoint(locator), trafficClass: 0 });

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  pair.change("setRefreshAnswers", (engine) => engine.setRefreshAnswers({ range: { kind: "all" }, replicas: [OTHER], lifeMs: 30_000 }));
  lease(0);
});
afterEach(() => pair.close());
const lease = (index: number, id = idOf(0), endMs = 50_000): void => void pair.change("setLease", (engine) => engine.setLease(id, { owner: OWNER, token: tokenAt(index), index, endMs, isReplica: false }));
const send = (...datagrams: readonly Uint8Array[]): number => {
  let answered = 0;
  for (let i = 0; i < datagrams.length; i += 100) answered += pair.step(100, [], datagrams.slice(i, i + 100).map((bytes) => from(bytes)), true).length;
  return answered;
};

it("cut off at every byte, and with bytes behind", () => {
  const whole = refresh(1);
  expect(send(...Array.from({ length: whole.length - 1 }, (_, length) => whole.subarray(0, length + 1)), concat(whole, data(9)))).toBe(1);
});

it("with each bit changed", () => {
  const whole = refresh(1);
  const changed = Array.from({ length: 75 * 8 }, (_, bit) => whole.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)));
  const answered = changed.filter((bytes) => {
    lease(0);
    return send(bytes) === 1;
  });
  // Bits that are not looked at: of flags, the byte behind them and those behind the length; the nonce.
  expect(answered).toHaveLength(7 + 8 + 16 + 64);
});

it("each number after each other", () => {
  const numbers = [0, 1, 2, 63, 64, 65, 127, 128, 129, 190, 255, 256, 257];
  const answered = numbers.flatMap((before) => numbers.filter((after) => {
    lease(before);
    return send(refresh(after)) === 1;
  }).map((after) => after - before));
  expect(answered.every((steps) => steps >= 1 && steps <= LIMITS.refreshSkip)).toBe(true);
  expect(answered.length).toBe(numbers.flatMap((before) => numbers.map((after) => after - before)).filter((steps) => steps >= 1 && steps <= LIMITS.refreshSkip).length);
});

it("by the end of each lease, and after each other until then", () => {
  for (const endMs of [1_000, 2_000, 2_001, 2_100, 2_101, 3_000]) {
    lease(0, idOf(0), endMs);
    for (const passed of [0, 1, 99]) pair.step(passed, [], [from(refresh(1)), from(refresh(2)), from(refresh(1)), from(refresh(2), OTHER)], true);
  }
  expect(pair.takeRefreshed()).toMatchObject([{ index: 2 }]);
});

it("many, of which the control plane hears some at a time, each once, the oldest first", () => {
  const ids = Array.from({ length: 600 }, (_, i) => concat(be32(i), data(28)));
  for (const id of ids) pair.only((engine) => engine.setLease(id, { owner: OWNER, token: tokenAt(0), index: 0, endMs: 50_000, isReplica: false }));
  expect(send(...ids.map((id) => refresh(1, id)), ...ids.slice(0, 300).map((id) => refresh(2, id)))).toBe(900);
  for (const id of ids.slice(300, 400)) pair.only((engine) => engine.setLease(id, null));
  for (const id of ids.slice(100, 150)) pair.only((engine) => engine.setLease(id, { owner: OWNER, token: tokenAt(9), index: 9, endMs: 50_000, isReplica: false }));
  const told = [pair.takeRefreshed(), pair.takeRefreshed(), pair.takeRefreshed()];
  expect(told.map(({ length }) => length)).toEqual([LIMITS.refreshedPerBatch, 450 - LIMITS.refreshedPerBatch, 0]);
  expect(told.flat().map(({ id }) => Buffer.from(id).readUInt32BE())).toEqual([...Array.from({ length: 200 }, (_, i) => 400 + i), ...Array.from({ length: 100 }, (_, i) => i), ...Array.from({ length: 150 }, (_, i) => 150 + i)]);
  // Those that are gone go up, and a batch that is told of once is told of no more.
  expect(send(refresh(1, ids[300]), refresh(10, ids[100]), refresh(10, ids[100]))).toBe(1);
  expect(pair.takeRefreshed()).toMatchObject([{ index: 10, times: 1 }]);
});

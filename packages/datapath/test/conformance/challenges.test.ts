/** Requests for a challenge have the same answers in both engines, byte by byte: good ones, changed ones, cut ones, at every time. */
import { encodeControl, makeLocator } from "@i3/common";
import { afterEach, beforeEach, expect, it } from "vitest";

import type { ChallengeAnswers } from "../../src/datapath.js";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { MAX_WAITING_UPCALLS } from "../../src/reference/upcalls.js";
import { concat, data } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";
import { idOf, LOCATORS, nonceOf } from "./pools.js";
import { tokenAt } from "./refresh-recipes.js";

const RING_KEY = data(16, 3);
const request = (flags = 0): Uint8Array => encodeControl({ type: "CHALLENGE_REQUEST", ringKey: RING_KEY, flags }, nonceOf(flags));
const from = (bytes: Uint8Array, locator = LOCATORS[0]!): RawDatagram => ({ bytes, segmentBytes: 0, endpoint: encodeEndpoint(locator), trafficClass: 0 });

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  set();
});
afterEach(() => pair.close());
const set = (more: Partial<ChallengeAnswers> = {}): void =>
  void pair.change("setChallengeAnswers", (engine) => engine.setChallengeAnswers({ range: { kind: "all" }, secret: data(32, 7), nodeKey: data(16, 8), wallOffsetMs: 1_700_000_000_000, ...more }));
const send = (...datagrams: readonly RawDatagram[]): number => {
  let answered = 0;
  for (let i = 0; i < datagrams.length; i += 100) answered += pair.step(100, [], datagrams.slice(i, i + 100), true).length;
  return answered;
};

it("cut off at every byte, and with bytes behind", () => {
  const whole = request();
  const answered = send(...[...Array.from({ length: whole.length - 1 }, (_, length) => whole.subarray(0, length + 1)), concat(whole, data(9))].map((bytes) => from(bytes)));
  // As many bytes as the answer has, or more.
  expect(answered).toBe(160 - 96 + 1);
  expect(pair.counters().challenged).toBe(answered);
});

it("with each bit changed", () => {
  const whole = request();
  const answered = Array.from({ length: 36 * 8 }, (_, bit) => whole.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))).filter((bytes) => send(from(bytes)) === 1);
  // Bits that are not looked at: of flags, the byte behind them and those behind the length; the nonce. And the ring key, and flags but for the replica's and the sign.
  expect(answered).toHaveLength(7 + 8 + 16 + 64 + 128 + 6);
});

it("from every source, with all flags, at every time, of every range", () => {
  const flags = [0, 1, 2, 3, 4, 0x7d, 0x7e, 0x7f, 0x80, 0x82, 0xfd, 0xff, 0x100, 0x102, 0xfffd, 0xffff];
  let answered = 0;
  for (const wallOffsetMs of [0, 100, 0x7000, 0xffff - 1_000, 0xffff_0000, 0xffff_ffff, 2 ** 41, 2 ** 52]) {
    for (const range of [{ kind: "all" }, { kind: "none" }, { kind: "range", from: RING_KEY, to: data(16, 200) }, { kind: "range", from: data(16, 200), to: RING_KEY }] as const) {
      set({ wallOffsetMs, range });
      answered += send(...LOCATORS.flatMap((locator) => flags.map((value) => from(request(value), locator))));
    }
  }
  expect(answered).toBe((8 * 4 * LOCATORS.length * flags.length) / 2);
});

it("have their answers when nothing goes up any more, as refreshes have", () => {
  const owner = LOCATORS[0]!;
  pair.change("setRefreshAnswers", (engine) => engine.setRefreshAnswers({ range: { kind: "all" }, replicas: [], lifeMs: 30_000 }));
  pair.change("setLease", (engine) => engine.setLease(idOf(0), { owner, token: tokenAt(0), index: 0, endMs: 50_000, isReplica: false }));
  const other = encodeControl({ type: "PING" }, nonceOf(0));
  const refresh = encodeControl({ type: "REFRESH", id: idOf(0), index: 1, token: tokenAt(1), member: null }, nonceOf(1));
  const flood = Array.from({ length: MAX_WAITING_UPCALLS }, (_, i) => from(other, makeLocator(Uint8Array.of(198, 51, 100, i % 200), 1_000)));
  const sent = pair.step(0, [], [...flood, from(other, owner), from(request(), owner), from(refresh, owner), from(other, owner)], true);
  expect(sent).toHaveLength(2);
  expect(pair.counters()).toMatchObject({ upcalls: MAX_WAITING_UPCALLS, challenged: 1, refreshed: 1, drops: { "queue-full": 2 } });
});

it("go up again when there are no answers any more", () => {
  pair.change("setChallengeAnswers", (engine) => engine.setChallengeAnswers(null));
  expect(send(from(request()))).toBe(0);
});

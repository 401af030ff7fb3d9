/** Requests for a challenge have the same answers in both engines, byte by byte: good ones, changed ones, cut ones, at every time. */
import { encodeControl } from "@i3/common";
import { afterEach, beforeEach, expect, it } from "vitest";

import type { ChallengeAnswers } from "../../src/datapath.js";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { concat, data } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";
import { LOCATORS, nonceOf } from "./pools.js";

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

it("go up again when there are no answers any more", () => {
  pair.change("setChallengeAnswers", (engine) => engine.setChallengeAnswers(null));
  expect(send(from(request()))).toBe(0);
});

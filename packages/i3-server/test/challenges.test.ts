/** The engine makes cookies, the core checks them: what the core tells the engine, and when; and what a cookie is good for, whoever made it. */
import { encodeControl, makeLocator, REFUSAL, TRIGGER_FLAG, type Locator } from "@i3/common";
import { makeDatagramBatch, makePacketBatch, ReferenceEngine, type ChallengeAnswers } from "@i3/datapath";
import { describe, expect, it } from "vitest";

import { COOKIE_SECRET_MS } from "../src/triggers/constants.js";
import { anyMember, RingPeer } from "./ring-peer.js";
import { CLIENT, idOf, KEY, NONCE, ServerBench, THIEF, WALL_MS } from "./server-bench.js";

const COOKIE_AT = 16 + 1 + 2 + 16 + 2;

/** The cookie that an engine makes by what it was told. */
function engineCookie(answers: ChallengeAnswers | null, nowMs: number, from: Locator, ringKey: Uint8Array, flags = 0): Uint8Array | null {
  const engine = new ReferenceEngine();
  engine.setChallengeAnswers(answers);
  const [udp, out] = [makeDatagramBatch(1, 1_232), makeDatagramBatch(1, 1_232)];
  const bytes = encodeControl({ type: "CHALLENGE_REQUEST", ringKey, flags }, NONCE);
  udp.arena.set(bytes);
  udp.lengths[0] = bytes.length;
  udp.addresses.set([...new Uint8Array(10), 0xff, 0xff, ...from.address, from.port >> 8, from.port & 0xff]);
  udp.count = 1;
  engine.step(nowMs, { tun: null, udp }, makePacketBatch(1, 100), out);
  return out.count === 0 ? null : out.arena.slice(COOKIE_AT, COOKIE_AT + 24);
}

describe("a cookie of the engine", () => {
  const id = idOf(KEY);
  const ringKey = id.slice(0, 16);

  it("is good for the address, the ring key and the 30 s that it was made for, and nothing else", () => {
    const bench = new ServerBench();
    const cookie = engineCookie(bench.engine.challenges, bench.nowMs, CLIENT, ringKey) ?? new Uint8Array(24);
    const insert = (more: Parameters<ServerBench["trigger"]>[0]) => bench.ask(bench.trigger({ cookie, ...more }), more?.from);
    expect(insert({ from: THIEF })).toMatchObject({ type: "REFUSED", code: REFUSAL.badCookie });
    expect(insert({ from: makeLocator(CLIENT.address, CLIENT.port + 1) })).toMatchObject({ type: "REFUSED", code: REFUSAL.badCookie });
    for (let bit = 0; bit < 24 * 8; bit += 1) {
      const changed = cookie.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
      expect(insert({ cookie: changed })).toMatchObject({ type: "REFUSED", code: REFUSAL.badCookie });
    }
    expect(insert({ cookie: engineCookie(bench.engine.challenges, bench.nowMs, CLIENT, new Uint8Array(16)) ?? new Uint8Array() })).toMatchObject({ type: "REFUSED", code: REFUSAL.badCookie });
    bench.advance(30_000);
    expect(insert({ counter: 1 })).toMatchObject({ type: "TRIGGER_OK" });
    bench.advance(1);
    expect(insert({ counter: 2 })).toMatchObject({ type: "REFUSED", code: REFUSAL.badCookie });
  });

  it("is made with a secret that changes every minute; that before it is forgotten with the next", () => {
    const bench = new ServerBench();
    const told = [bench.engine.challenges];
    for (let minute = 0; minute < 2; minute += 1) {
      bench.advance(COOKIE_SECRET_MS - 1);
      bench.core.handleTimer(bench.nowMs);
      expect(bench.engine.challenges).toBe(told.at(-1));
      bench.advance(1);
      bench.core.handleTimer(bench.nowMs);
      told.push(bench.engine.challenges);
      const old = told.at(-2) ?? null;
      expect(old?.secret).not.toEqual(told.at(-1)?.secret);
      expect(bench.ask(bench.trigger({ cookie: engineCookie(old, bench.nowMs - 5, CLIENT, ringKey) ?? new Uint8Array(24), counter: minute + 1 }))).toMatchObject({ type: "TRIGGER_OK" });
    }
    expect(bench.ask(bench.trigger({ cookie: engineCookie(told[0] ?? null, bench.nowMs, CLIENT, ringKey) ?? new Uint8Array(24), counter: 9 }))).toMatchObject({ type: "REFUSED", code: REFUSAL.badCookie });
  });
});

describe("the engine is told", () => {
  it("the node key and the clock on the wall, again when that was set", () => {
    let skewMs = 0;
    const bench = new ServerBench({ wallMs: (nowMs) => WALL_MS + Math.floor(nowMs) + skewMs });
    const told = bench.engine.challenges;
    expect(told).toMatchObject({ range: { kind: "all" }, nodeKey: bench.self.key, wallOffsetMs: WALL_MS });
    skewMs = 10;
    bench.core.handleTimer(bench.nowMs);
    expect(bench.engine.challenges).toBe(told);
    skewMs = -11;
    bench.core.handleTimer(bench.nowMs);
    expect(bench.engine.challenges?.wallOffsetMs).toBe(WALL_MS - 11);
    skewMs = -2 * WALL_MS;
    bench.core.handleTimer(bench.nowMs);
    expect(bench.engine.challenges).toBeNull();
  });

  it("in a ring the keys that are ours", () => {
    const bench = new ServerBench({ ring: anyMember() });
    const peer = new RingPeer(makeLocator(new Uint8Array(16).fill(0x30), 4_000));
    bench.ring(peer, { type: "NOTIFY", from: peer.node });
    const told = bench.engine.challenges;
    expect(told?.range).toEqual({ kind: "range", from: peer.node.key, to: bench.self.key });
    const [of, ours] = [bench.nowMs, bench.self.key];
    expect([engineCookie(told, of, CLIENT, ours), engineCookie(told, of, CLIENT, peer.node.key, TRIGGER_FLAG.replica)].every((cookie) => cookie !== null)).toBe(true);
    expect([engineCookie(told, of, CLIENT, peer.node.key), engineCookie(told, of, CLIENT, ours, TRIGGER_FLAG.replica)]).toEqual([null, null]);
  });
});

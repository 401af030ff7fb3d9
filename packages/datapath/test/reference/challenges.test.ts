/** Requests for a challenge that the engine answers by itself, and those that it leaves to the control plane; docs/datapath.md, "Challenges". */
import { createHmac } from "node:crypto";

import { encodeControl, encodeLocator, makeLocator, TRIGGER_FLAG, u64Bytes, type Locator } from "@i3/common";
import { beforeEach, describe, expect, it } from "vitest";

import { LIMITS, type ChallengeAnswers } from "../../src/datapath.js";
import { Harness, locator, NONCE } from "./harness.js";
import { concat, data, ip6, withBody } from "./packets.js";

const RING_KEY = data(16, 0x40);
const NODE_KEY = data(16, 9);
const SECRET = data(32, 0x80);
const WALL_MS = 1_700_000_000_000;
const CLIENT = locator("192.0.2.1");
const CLIENT6 = makeLocator(ip6(3), 4_000);

const request = (flags = 0, ringKey = RING_KEY): Uint8Array => encodeControl({ type: "CHALLENGE_REQUEST", ringKey, flags }, NONCE);

describe("requests for a challenge", () => {
  let harness: Harness;
  const set = (more: Partial<ChallengeAnswers> = {}): void => harness.engine.setChallengeAnswers({ range: { kind: "all" }, secret: SECRET, nodeKey: NODE_KEY, wallOffsetMs: WALL_MS, ...more });
  beforeEach(() => {
    harness = new Harness();
    harness.nowMs = 5_000.75;
    set();
  });
  const ask = (datagram: Uint8Array, from = CLIENT): Uint8Array | number => harness.ask(from, datagram);
  const challenge = (observed: Locator, { timeMs = WALL_MS + 5_000, secret = SECRET, ringKey = RING_KEY } = {}): Uint8Array => {
    const time = u64Bytes(5_000);
    const at = encodeLocator(observed);
    const mac = createHmac("sha256", secret).update(time).update(Uint8Array.of(at.length)).update(at).update(ringKey).digest();
    return encodeControl({ type: "CHALLENGE", ringKey, cookie: concat(time, mac.subarray(0, 16)), observed, timeMs, nodeKey: NODE_KEY }, NONCE);
  };

  it("are answered as the control plane's codec writes it, with a cookie for that address, ring key and time", () => {
    for (const from of [CLIENT, CLIENT6, locator("192.0.2.1", 9), locator("192.0.2.2")]) expect(ask(request(), from)).toEqual(challenge(from));
    const other = data(16, 0x41);
    expect(ask(request(0, other))).toEqual(challenge(CLIENT, { ringKey: other }));
    expect(harness.engine.counters()).toMatchObject({ challenged: 5, upcalls: 0, drops: { amplification: 0 } });
  });

  it.each([0, 0x7f - 5_000, 0x1000, 0xffff - 5_000, 0x1_0000 - 5_000, 0xffff_ffff - 5_000, 0x1_0000_0000 - 5_000, 2 ** 52])("tell the server's time when its clock began at %i", (wallOffsetMs) => {
    if (wallOffsetMs < 0) return expect(() => set({ wallOffsetMs })).toThrow(RangeError);
    set({ wallOffsetMs });
    expect(ask(request())).toEqual(challenge(CLIENT, { timeMs: wallOffsetMs + 5_000 }));
  });

  it("are answered by the last secret, and by none when there is none", () => {
    const secret = data(32, 1);
    set({ secret });
    expect(ask(request())).toEqual(challenge(CLIENT, { secret }));
    harness.engine.setChallengeAnswers(null);
    expect(ask(request())).toBe(1);
  });

  it("go up for triggers of others' keys, and for replicas of ours", () => {
    const ofReplica = request(TRIGGER_FLAG.replica);
    expect(ask(ofReplica)).toBe(1);
    expect(ask(request(TRIGGER_FLAG.replica | TRIGGER_FLAG.shortcut | 0x8000))).toBe(1);
    set({ range: { kind: "none" } });
    expect([ask(request()), ask(ofReplica)]).toEqual([1, challenge(CLIENT)]);
    set({ range: { kind: "range", from: data(16, 0x3f), to: RING_KEY } });
    expect([ask(request()), ask(ofReplica)]).toEqual([challenge(CLIENT), 1]);
    set({ range: { kind: "range", from: RING_KEY, to: data(16, 0x80) } });
    expect([ask(request()), ask(ofReplica)]).toEqual([1, challenge(CLIENT)]);
  });

  it.each([0, 1, 0x7d, 0x80, 0xfd, 0x100, 0xfffd])("with flags %i", (flags) => expect(ask(request(flags))).toEqual(challenge(CLIENT)));

  it("go up in every form but the shortest, and with a MAC", () => {
    const whole = request();
    const longer = (from: number, to: number, ...instead: readonly number[]): Uint8Array => withBody(whole, from, to, instead);
    for (const other of [longer(0, 1, 0xdc, 0, 2), longer(1, 3, 0xc5, 0, 16), longer(0, 1, 0x93), longer(20, 20, 0xc0), longer(19, 20, 0xce, 0, 0, 0, 0), longer(19, 20, 0xff), longer(19, 20)]) expect(ask(other)).toBe(1);
    expect(ask(encodeControl({ type: "CHALLENGE_REQUEST", ringKey: RING_KEY, flags: 0 }, NONCE, () => data(16)))).toBe(1);
    // Flags in more bytes than they need say the same.
    expect(ask(longer(19, 20, 0xcd, 0, 0))).toEqual(challenge(CLIENT));
  });

  it("go up when they are smaller than the answer", () => {
    const [answer, answer6] = [challenge(CLIENT).length, challenge(CLIENT6).length];
    expect(ask(request().subarray(0, answer))).toEqual(challenge(CLIENT));
    expect(ask(request().subarray(0, answer - 1))).toBe(1);
    expect(ask(request().subarray(0, answer6), CLIENT6)).toEqual(challenge(CLIENT6));
    expect(ask(request().subarray(0, answer6 - 1), CLIENT6)).toBe(1);
    for (let length = 1; length < 16 + 20; length += 1) expect(ask(request().subarray(0, length))).toBe(1);
    const beyond = Uint8Array.from(request());
    beyond[4] = 1;
    expect(ask(beyond)).toBe(1);
  });

  it("count as control against their source", () => {
    for (let left = LIMITS.upcallsPerSourcePerSecond; left > 0; left -= 40) expect(harness.fromUdp(CLIENT, ...Array.from({ length: 40 }, () => request())).udp).toHaveLength(40);
    expect(harness.fromUdp(CLIENT, request())).toMatchObject({ udp: [], upcalls: [], drops: { rate: 1 } });
    expect(ask(request(), CLIENT6)).toEqual(challenge(CLIENT6));
  });

  it.each([
    ["secret", { secret: data(31) }], ["node key", { nodeKey: data(17) }], ["clock", { wallOffsetMs: -1 }], ["clock", { wallOffsetMs: 0.5 }], ["clock", { wallOffsetMs: 2 ** 52 + 1 }], ["clock", { wallOffsetMs: Number.NaN }],
    ["range end", { range: { kind: "range" as const, from: data(16), to: data(15) } }],
  ])("a wrong %s is the caller's fault, and changes nothing", (what, more) => {
    expect(() => set(more)).toThrow(new RegExp(what));
    expect(ask(request())).toEqual(challenge(CLIENT));
  });
});

import { createHmac } from "node:crypto";

import { concatBytes, publicId } from "@i3/common";
import { describe, expect, it } from "vitest";

import { dhKeyPair } from "../../src/crypto/diffie-hellman.js";
import { difficultyFor } from "../../src/exchange/difficulty.js";
import { EASIER_EPOCH_GRACE_MS, EPOCH_MS, MAX_SPOILT_SOLUTIONS, MAX_USED_SOLUTIONS, MIN_EPOCH_MS, SPOILT_LIMIT } from "../../src/exchange/limits.js";
import { puzzlePathBytes, type HipPath } from "../../src/exchange/paths.js";
import { answerI1, R1Pool, type R1Source } from "../../src/exchange/r1-pool.js";
import { Random } from "@i3/common/testing";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, encodeHipPacket, parameter } from "../../src/wire/packet.js";
import { decodeDhGroupList } from "../../src/wire/parameters/diffie-hellman.js";
import { decodeR1Counter } from "../../src/wire/parameters/r1-counter.js";
import { checkSignature } from "../../src/exchange/seal.js";
import { identity } from "./bed.js";

const random = new Random(7);
const source = (changes: Partial<R1Source> = {}): R1Source => ({
  identity: identity("ecdsa-p256", 0), ownPublicId: null, random: (bytes) => random.bytes(bytes), dhSource: (group) => dhKeyPair(group, (bytes) => random.bytes(bytes)),
  r1Generation: 5n, ...changes,
});
const generationOf = (r1: Uint8Array): bigint => decodeR1Counter(parameter(decodeHipPacket(r1), PARAMETER.r1Counter)?.contents ?? new Uint8Array(0));

describe("difficultyFor", () => {
  const rows: readonly [number, number, number][] = [
    [0, 0, 0], [1_000, 50, 0], [1_001, 0, 10], [0, 51, 10], [0, 99, 10], [0, 100, 11], [1_999, 10, 10], [2_000, 10, 11], [0, 1_000, 14], [1_000_000, 0, 19], [1e9, 0, 20], [0, 1e9, 20], [NaN, 0, 0],
  ];
  for (const [i1s, i2s, bits] of rows) it(`${i1s} I1 and ${i2s} I2 a second: ${bits}`, () => expect(difficultyFor(i1s, i2s)).toBe(bits));
});

describe("puzzlePathBytes", () => {
  const rows: readonly [string, HipPath, string][] = [
    ["IPv4 over UDP", { kind: "udp", locator: { address: Uint8Array.of(192, 0, 2, 1), port: 9 } }, "00000000000000000000ffffc0000201"],
    ["IPv6 in IP", { kind: "ip", address: new Uint8Array(16).fill(0x20) }, "20".repeat(16)],
    ["i3", { kind: "i3", id: new Uint8Array(32).fill(0x33) }, "33".repeat(32)],
  ];
  for (const [name, path, hex] of rows) it(name, () => expect(Buffer.from(puzzlePathBytes(path)).toString("hex")).toBe(hex));
});

describe("answerI1", () => {
  for (const algorithm of ["ecdsa-p256", "rsa"] as const) {
    it(`fills in HIT, opaque and #I of an R1 of ${algorithm}, and nothing else`, () => {
      const own = identity(algorithm, 0);
      const pool = new R1Pool(source({ identity: own, ownPublicId: publicId(own.hit) }), 0);
      const responder = pool.responder();
      if (responder === null) throw new Error("no responder");
      const hitI = identity("ecdsa-p384", 0).hit;
      const i1 = encodeHipPacket({ type: HIP_PACKET.i1, version: 2, controls: 0, senderHit: hitI, receiverHit: own.hit }, []);
      const path = random.bytes(32);
      const { epoch, secret } = responder.puzzles[0] ?? { epoch: 0, secret: new Uint8Array(0) };
      const r1 = answerI1(responder, { epoch, secret }, i1, path);
      // As /docs/wire.md says it, by hand.
      const i = createHmac(responder.rhash, secret).update(concatBytes(Buffer.from("i3/1 puzzle"), hitI, own.hit, path)).digest();
      const at = responder.puzzleOffset;
      const expected = responder.r1.slice();
      expected.set(hitI, 24);
      expected.set([epoch >> 8, epoch & 255], at + 2);
      expected.set(i, at + 4);
      expect(Buffer.from(r1).equals(expected)).toBe(true);
      expect([i.length, at, responder.r1.length <= 1_232]).toEqual([algorithm === "rsa" ? 32 : 48, 40 + 16 + 4, true]);
      for (const zero of [responder.r1.subarray(24, 40), responder.r1.subarray(4, 6), responder.r1.subarray(at + 2, at + 4 + i.length)]) expect(zero.every((byte) => byte === 0)).toBe(true);
      const packet = decodeHipPacket(r1);
      expect(packet.header.type).toBe(HIP_PACKET.r1);
      checkSignature(packet, own, PARAMETER.hipSignature2, { zeroPuzzle: true, zeroReceiverHit: true });
    });
  }
});

describe("R1Pool", () => {
  it("begins an epoch every 60 s with other secrets, keys and number, and a higher generation", () => {
    const pool = new R1Pool(source(), 0);
    const before = pool.responder();
    expect([pool.rotate(EPOCH_MS - 1), pool.dueMs, pool.rotate(EPOCH_MS)]).toEqual([false, EPOCH_MS, true]);
    const after = pool.responder();
    if (before === null || after === null) throw new Error("no responder");
    const [[old], [fresh, kept]] = [before.puzzles, after.puzzles];
    expect([fresh?.epoch, kept]).toEqual([((old?.epoch ?? 0) + 1) % 65_536, old]);
    expect(Buffer.from(fresh?.secret ?? []).equals(old?.secret ?? new Uint8Array(0))).toBe(false);
    expect([generationOf(before.r1), generationOf(after.r1)]).toEqual([6n, 7n]);
  });

  it("takes solutions of an epoch for 60 s after it", () => {
    const pool = new R1Pool(source(), 0);
    const opaque = Uint8Array.of(pool.current.epoch >> 8, pool.current.epoch & 255);
    pool.rotate(EPOCH_MS);
    expect(pool.find(2 * EPOCH_MS - 1, opaque)).toBeDefined();
    expect(pool.find(2 * EPOCH_MS, opaque)).toBeUndefined();
    expect(pool.find(0, Uint8Array.of(1, 2))).toBeUndefined();
  });

  it("a rise of the difficulty begins an epoch, and the easier one is over soon; a fall waits", () => {
    const pool = new R1Pool(source(), 0);
    const easy = Uint8Array.of(pool.current.epoch >> 8, pool.current.epoch & 255);
    pool.setDifficulty(12);
    expect(pool.rotate(MIN_EPOCH_MS - 1)).toBe(false);
    expect(pool.rotate(MIN_EPOCH_MS)).toBe(true);
    expect(pool.current.difficulty).toBe(12);
    expect(pool.find(MIN_EPOCH_MS + EASIER_EPOCH_GRACE_MS - 1, easy)?.difficulty).toBe(0);
    expect(pool.find(MIN_EPOCH_MS + EASIER_EPOCH_GRACE_MS, easy)).toBeUndefined();
    pool.setDifficulty(0);
    expect(pool.rotate(MIN_EPOCH_MS + EASIER_EPOCH_GRACE_MS)).toBe(true);
    expect(pool.rotate(MIN_EPOCH_MS + EPOCH_MS - 1)).toBe(false);
    expect(pool.rotate(MIN_EPOCH_MS + EPOCH_MS)).toBe(true);
    expect(pool.current.difficulty).toBe(0);
  });

  it("gives the engine the puzzles of all epochs whose solutions it takes, and tells when one is over", () => {
    const pool = new R1Pool(source(), 0);
    const known = (): readonly number[] => pool.responder()?.puzzles.map(({ difficulty }) => difficulty) ?? [];
    /** What changes until a time, and when. */
    const changes = (untilMs: number): readonly (readonly [number, readonly number[]])[] => {
      const seen: [number, readonly number[]][] = [];
      for (let nowMs = pool.dueMs; nowMs <= untilMs; nowMs = pool.dueMs) {
        expect([pool.rotate(nowMs - 1), pool.rotate(nowMs)]).toEqual([false, true]);
        seen.push([nowMs, known()]);
      }
      return seen;
    };
    expect(changes(60_000)).toEqual([[60_000, [0, 0]]]);
    pool.setDifficulty(10);
    expect([pool.rotate(70_000), known(), changes(119_999)]).toEqual([true, [10, 0, 0], [[80_000, [10]]]]);
    pool.setDifficulty(0);
    expect(changes(200_000)).toEqual([[130_000, [0, 10]], [190_000, [0, 0]]]);
    // The R1 is always that of the first.
    expect(pool.responder()?.r1[pool.responder()?.puzzleOffset ?? 0]).toBe(0);
  });

  it("never gives the engine more than it takes", () => {
    const pool = new R1Pool(source(), 0);
    for (let [nowMs, difficulty] = [0, 0]; difficulty < 20; difficulty++) {
      nowMs += MIN_EPOCH_MS;
      pool.setDifficulty(difficulty);
      pool.rotate(nowMs);
      const { puzzles = [] } = pool.responder() ?? {};
      expect([puzzles.length <= 4, puzzles[0]?.epoch]).toEqual([true, pool.current.epoch]);
    }
  });

  it("a solution is good once, and not after too many bad I2s", () => {
    const { current } = new R1Pool(source(), 0);
    const [hit, j] = [random.bytes(16), random.bytes(48)];
    for (let n = 0; n < SPOILT_LIMIT; n++) {
      expect(current.isFresh(hit, j)).toBe(true);
      current.spoil(hit, j);
    }
    expect([current.isFresh(hit, j), current.isFresh(random.bytes(16), j)]).toEqual([false, true]);
    const other = random.bytes(48);
    current.use(hit, other);
    expect(current.isFresh(hit, other)).toBe(false);
  });

  it("an epoch ends when it has as many used solutions as are remembered", () => {
    const pool = new R1Pool(source(), 0);
    const { current } = pool;
    const [hit, j] = [random.bytes(16), new DataView(new ArrayBuffer(4))];
    const use = (n: number): void => {
      j.setUint32(0, n);
      current.use(hit, new Uint8Array(j.buffer));
    };
    for (let n = 1; n < MAX_USED_SOLUTIONS; n++) use(n);
    expect([pool.rotate(1), pool.current === current]).toEqual([false, true]);
    use(MAX_USED_SOLUTIONS);
    expect([pool.rotate(1), pool.current === current]).toEqual([true, false]);
    // Until it is over none of them is good again.
    expect(current.isFresh(hit, new Uint8Array(j.buffer))).toBe(false);
  });

  it("remembers a bounded number of solutions that were spoilt, the last ones", () => {
    const { current } = new R1Pool(source(), 0);
    const [hit, first, other] = [random.bytes(16), random.bytes(48), random.bytes(48)];
    for (const j of [first, other]) for (let n = 0; n < SPOILT_LIMIT; n++) current.spoil(hit, j);
    const fresh = (): readonly boolean[] => [first, other].map((j) => current.isFresh(hit, j));
    for (let n = 2; n < MAX_SPOILT_SOLUTIONS; n++) current.spoil(hit, Uint8Array.of(n >> 8, n));
    expect(fresh()).toEqual([false, false]);
    current.spoil(hit, random.bytes(48));
    expect(fresh()).toEqual([true, false]);
  });

  it("chooses the best group that both have; over i3 only those that fit", () => {
    const pool = new R1Pool(source({ dhGroups: [4, 8, 7] }), 0);
    const groupOf = (groups: number[], isOverI3: boolean): number => pool.choose(groups, isOverI3).keyPair.group;
    expect([groupOf([7, 8], false), groupOf([4, 7], false), groupOf([4, 7], true), groupOf([99], false), groupOf([4], true)]).toEqual([8, 4, 7, 4, 8]);
    const list = parameter(decodeHipPacket(pool.choose([7], false).template.r1), PARAMETER.dhGroupList)?.contents ?? new Uint8Array(0);
    expect(decodeDhGroupList(list)).toEqual([4, 8, 7]);
    const withI3 = new R1Pool(source({ dhGroups: [4, 8, 7], ownPublicId: random.bytes(32) }), 0);
    expect([withI3.choose([4, 7], false).keyPair.group, withI3.choose([4], false).keyPair.group]).toEqual([7, 4]);
    expect(() => new R1Pool(source({ dhGroups: [4], ownPublicId: random.bytes(32) }), 0)).toThrow(/one of the groups 7, 8 and 9/);
  });
});

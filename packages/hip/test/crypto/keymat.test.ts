import { fromHex, toHex } from "@i3/common";
import { describe, expect, it } from "vitest";

import { HkdfStream, hipKeysOf, isGreaterHit, Keymat, wipeKeys } from "../../src/index.js";
import { KNOWN } from "./known-answers.js";

type Row = (typeof KNOWN.keymat)[number];

const keymatOf = (row: Row): Keymat =>
  new Keymat(row.rhash, fromHex(row.kij), fromHex(row.i), fromHex(row.j), fromHex(row.ownHit), fromHex(row.peerHit));

const hex = (keys: { encryption: Uint8Array; integrity: Uint8Array }): object => ({ encryption: toHex(keys.encryption), integrity: toHex(keys.integrity) });

describe("HKDF", () => {
  it.each(KNOWN.hkdf)("gives $name in one piece and in bytes", ({ secret, salt, info, output }) => {
    const length = output.length / 2;
    expect(toHex(new HkdfStream("sha256", fromHex(secret), fromHex(salt), fromHex(info)).draw(length))).toBe(output);
    const stream = new HkdfStream("sha256", fromHex(secret), fromHex(salt), fromHex(info));
    for (let at = 0; at < length; at++) {
      expect(stream.index).toBe(at);
      expect(toHex(stream.draw(1))).toBe(output.slice(2 * at, 2 * at + 2));
    }
  });
});

describe("KEYMAT", () => {
  it.each(KNOWN.keymat)("begins and ends as the other program says: $name", (row) => {
    const keymat = keymatOf(row);
    expect(keymat.size).toBe(row.size);
    expect(toHex(keymat.draw(200))).toBe(row.begin);
    keymat.skipTo(row.size - 200);
    expect(keymat.index).toBe(row.size - 200);
    expect(toHex(keymat.draw(200))).toBe(row.end);
    expect(keymat.draw(0).length).toBe(0);
    expect(() => keymat.draw(1)).toThrow(RangeError);
    expect(keymat.index).toBe(row.size);
  });

  it.each(KNOWN.keymat)("is one for both hosts: $name", (row) => {
    const other = new Keymat(row.rhash, fromHex(row.kij), fromHex(row.i), fromHex(row.j), fromHex(row.peerHit), fromHex(row.ownHit));
    expect(toHex(other.draw(200))).toBe(row.begin);
  });

  it.each(KNOWN.keymat)("gives the HIP keys in order: $name", (row) => {
    const mine = hipKeysOf(keymatOf(row), row.cipher, fromHex(row.ownHit), fromHex(row.peerHit));
    expect({ out: hex(mine.out), in: hex(mine.in) }).toEqual(row.hip);
    const theirs = hipKeysOf(keymatOf(row), row.cipher, fromHex(row.peerHit), fromHex(row.ownHit));
    expect({ out: hex(theirs.in), in: hex(theirs.out) }).toEqual(row.hip);
  });

  it("never goes back, and gives nothing past its end", () => {
    const keymat = keymatOf(KNOWN.keymat[0] ?? expect.fail());
    keymat.draw(40);
    keymat.skipTo(40);
    for (const index of [39, 0, -1, 40.5, Number.NaN, keymat.size + 1]) expect(() => keymat.skipTo(index)).toThrow(RangeError);
    for (const bytes of [-1, 0.5, Number.NaN, keymat.size - 39]) expect(() => keymat.draw(bytes)).toThrow(RangeError);
    expect(keymat.index).toBe(40);
    expect(keymat.draw(keymat.size - 40).length).toBe(keymat.size - 40);
  });

  it("gives HIP keys at its beginning only", () => {
    const row = KNOWN.keymat[0] ?? expect.fail();
    const keymat = keymatOf(row);
    hipKeysOf(keymat, row.cipher, fromHex(row.ownHit), fromHex(row.peerHit));
    expect(() => hipKeysOf(keymat, row.cipher, fromHex(row.ownHit), fromHex(row.peerHit))).toThrow(RangeError);
  });

  it("gives nothing once wiped, and leaves alone what it gave and what it was made of", () => {
    const row = KNOWN.keymat[0] ?? expect.fail();
    const kij = fromHex(row.kij);
    const keymat = new Keymat(row.rhash, kij, fromHex(row.i), fromHex(row.j), fromHex(row.ownHit), fromHex(row.peerHit));
    const drawn = keymat.draw(48);
    keymat.wipe();
    expect(toHex(drawn)).toBe(row.begin.slice(0, 96));
    expect(toHex(kij)).toBe(row.kij);
    expect(() => keymat.draw(1)).toThrow(RangeError);
    expect(() => keymat.draw(0)).toThrow(RangeError);
    expect(() => keymat.skipTo(100)).toThrow(RangeError);
  });

  it("is not made of parts of a wrong length, nor for a host with itself", () => {
    const hits = [new Uint8Array(16), new Uint8Array(16).fill(1)] as const;
    const kij = new Uint8Array(32);
    expect(new Keymat("sha256", kij, new Uint8Array(32), new Uint8Array(32), ...hits).index).toBe(0);
    for (const [i, j] of [[31, 32], [32, 33], [48, 48], [0, 0]] as const) {
      expect(() => new Keymat("sha256", kij, new Uint8Array(i), new Uint8Array(j), ...hits)).toThrow(RangeError);
    }
    for (const [a, b] of [[15, 16], [16, 17], [0, 0]] as const) expect(() => isGreaterHit(new Uint8Array(a), new Uint8Array(b).fill(1))).toThrow(RangeError);
    expect(() => new Keymat("sha256", kij, new Uint8Array(32), new Uint8Array(32), hits[0], new Uint8Array(16))).toThrow(RangeError);
  });

  it("orders HITs as unsigned numbers, first byte first", () => {
    const hit = (first: number, last: number): Uint8Array => new Uint8Array(16).fill(first, 0, 1).fill(last, 15);
    expect(isGreaterHit(hit(0x80, 0), hit(0x7f, 0xff))).toBe(true);
    expect(isGreaterHit(hit(0x7f, 0xff), hit(0x80, 0))).toBe(false);
    expect(isGreaterHit(hit(1, 0), hit(0, 1))).toBe(true);
    expect(isGreaterHit(hit(1, 2), hit(1, 1))).toBe(true);
  });

  it("has its keys wiped on request", () => {
    const row = KNOWN.keymat[1] ?? expect.fail();
    const keys = hipKeysOf(keymatOf(row), row.cipher, fromHex(row.ownHit), fromHex(row.peerHit));
    wipeKeys(keys);
    for (const { encryption, integrity } of [keys.in, keys.out]) {
      expect(encryption).toEqual(new Uint8Array(32));
      expect(integrity).toEqual(new Uint8Array(32));
    }
  });
});

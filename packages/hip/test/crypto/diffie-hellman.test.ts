import { randomBytes } from "node:crypto";

import { fromHex, toHex, WireError } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { dhKeyPair, isDhGroup, publicValueBytes, systemDhSource, type DhGroup } from "../../src/index.js";
import { KNOWN } from "./known-answers.js";

const CURVES = [7, 8, 9] as const;
const MODULI = [3, 11, 4] as const;

/** A source that yields these bytes in turn. */
function sourceOf(...parts: readonly string[]): (bytes: number) => Uint8Array {
  const left = [...parts];
  return (bytes) => {
    const part = fromHex(left.shift() ?? expect.fail("more randomness than expected"));
    expect(part.length).toBe(bytes);
    return part;
  };
}

const number = (value: bigint, bytes: number): Uint8Array => fromHex(value.toString(16).padStart(2 * bytes, "0"));

describe("Diffie-Hellman", () => {
  it.each(KNOWN.dh)("agrees with the other program: $name", ({ group, random, public: publicValue, peer, secret }) => {
    const pair = dhKeyPair(group, sourceOf(random));
    expect(pair.group).toBe(group);
    expect(toHex(pair.publicValue)).toBe(publicValue);
    expect(pair.publicValue.length).toBe(publicValueBytes(group));
    expect(toHex(pair.secret(fromHex(peer)))).toBe(secret);
    expect(toHex(pair.secret(fromHex(peer)))).toBe(secret);
  });

  it.each([...CURVES, ...MODULI])("of group %i gives both hosts one secret, and each exchange another", (group) => {
    const [a, b, c] = [systemDhSource(group), systemDhSource(group), systemDhSource(group)];
    const kij = a.secret(b.publicValue);
    expect(b.secret(a.publicValue)).toEqual(kij);
    expect(c.secret(a.publicValue)).not.toEqual(kij);
    expect(kij.length).toBe(publicValueBytes(group) / ((CURVES as readonly number[]).includes(group) ? 2 : 1));
    expect(Buffer.isBuffer(kij) || Buffer.isBuffer(a.publicValue)).toBe(false);
  });

  it.each(CURVES)("of group %i refuses points that are not on the curve", (group) => {
    const pair = systemDhSource(group);
    const { publicValue: good } = systemDhSource(group);
    const half = good.length / 2;
    const bad = [
      new Uint8Array(good.length), new Uint8Array(good.length).fill(0xff),
      Uint8Array.of(...good.subarray(half), ...good.subarray(0, half)),
      Uint8Array.of(...good.subarray(0, half), ...new Uint8Array(half)),
      ...Array.from({ length: half }, (_, at) => good.map((byte, other) => (other === half + at ? byte ^ (1 << (at & 7)) : byte))),
    ];
    expect(pair.secret(good).length).toBe(half);
    for (const point of bad) expect(() => pair.secret(point)).toThrow(WireError);
  });

  it("of P-256 refuses a point of another curve of that length, on which the secret could be guessed", () => {
    // Order 2: y = 0 on y^2 = x^3 - 3x + b' with b' = 3x - x^3.
    const point = Uint8Array.of(...number(5n, 32), ...number(0n, 32));
    expect(() => systemDhSource(7).secret(point)).toThrow(WireError);
  });

  it.each(CURVES)("of group %i refuses a coordinate that is not below the prime of the field", (group) => {
    // x = 0 is on every one of these curves; x = p is the same point, written otherwise.
    const primes = {
      7: { p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n, b: "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b", bytes: 32 },
      8: { p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n, b: "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef", bytes: 48 },
      9: { p: 2n ** 521n - 1n, b: "51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00", bytes: 66 },
    } as const;
    const { p, b, bytes } = primes[group];
    let root = 1n;
    for (let base = BigInt(`0x${b}`), power = (p + 1n) / 4n; power > 0n; power >>= 1n, base = (base * base) % p) if (power & 1n) root = (root * base) % p;
    const pair = systemDhSource(group);
    expect(pair.secret(Uint8Array.of(...number(0n, bytes), ...number(root, bytes))).length).toBe(bytes);
    expect(() => pair.secret(Uint8Array.of(...number(p, bytes), ...number(root, bytes)))).toThrow(WireError);
  });

  it.each(CURVES)("of group %i refuses values of any other length", (group) => {
    const pair = systemDhSource(group);
    const { publicValue } = systemDhSource(group);
    for (let length = 0; length < publicValue.length; length++) expect(() => pair.secret(publicValue.subarray(0, length))).toThrow(`${length} bytes`);
    for (const other of [Uint8Array.of(4, ...publicValue), Uint8Array.of(...publicValue, 0), Uint8Array.of(2, ...publicValue.subarray(0, publicValue.length / 2))]) {
      expect(() => pair.secret(other)).toThrow(WireError);
    }
  });

  it.each(MODULI)("of group %i refuses 0, 1, p - 1 and all from p on", (group) => {
    const p = BigInt(`0x${KNOWN.modp[group]}`);
    const bytes = publicValueBytes(group);
    const pair = systemDhSource(group);
    for (const value of [0n, 1n, p - 1n, p, p + 1n, 2n ** BigInt(8 * bytes) - 1n]) expect(() => pair.secret(number(value, bytes))).toThrow(WireError);
    for (const value of [2n, 3n, p - 2n]) expect(pair.secret(number(value, bytes)).length).toBe(bytes);
    for (const value of [new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(1), new Uint8Array(bytes + 1).fill(2, bytes)]) expect(() => pair.secret(value)).toThrow(WireError);
    // Greater than p to whoever compares it from its first byte on.
    expect(pair.secret(new Uint8Array(bytes - 1).fill(0xff)).length).toBe(bytes);
    // The prime is intact after that: the group still works.
    const other = systemDhSource(group);
    expect(other.secret(pair.publicValue)).toEqual(pair.secret(other.publicValue));
  });

  it("of a MODP group understands a peer that strips leading zeros", () => {
    const { random, public: padded } = KNOWN.dh.find(({ name }) => name.includes("public value with a leading zero")) ?? expect.fail();
    const other = systemDhSource(3);
    expect(padded.startsWith("00")).toBe(true);
    const expected = dhKeyPair(3, sourceOf(random)).secret(other.publicValue);
    expect(other.secret(fromHex(padded.slice(2)))).toEqual(expected);
    expect(other.secret(fromHex(padded))).toEqual(expected);
  });

  it.each([...CURVES, ...MODULI])("of group %i gives a value or a WireError for any bytes", (group) => {
    const pair = systemDhSource(group);
    const length = publicValueBytes(group);
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ minLength: length, maxLength: length }), fc.uint8Array({ maxLength: length + 2 })), (peer) => {
      try {
        expect(pair.secret(peer).some((byte) => byte !== 0)).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }), { seed: 1, numRuns: 50 });
  });
});

describe("a private key", () => {
  const ORDER = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
  const ONE = "00".repeat(31) + "01";

  it("of a curve is drawn again until it is from 1 to the order less 1", () => {
    const generator = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    expect(toHex(dhKeyPair(7, sourceOf("00".repeat(32), ORDER, "ff".repeat(32), ONE)).publicValue)).toBe(generator);
    const last = ORDER.slice(0, -2) + "50";
    // The order less 1 gives the generator's negative, with the same x.
    expect(toHex(dhKeyPair(7, sourceOf(last)).publicValue).slice(0, 64)).toBe(generator.slice(0, 64));
  });

  it("of P-521 takes 521 bits of 528", () => {
    const random = KNOWN.dh.find(({ group }) => group === 9)?.random ?? expect.fail();
    const first = Number.parseInt(random.slice(0, 2), 16);
    const noisy = (first | 0xfe).toString(16).padStart(2, "0") + random.slice(2);
    expect(dhKeyPair(9, sourceOf(noisy)).publicValue).toEqual(dhKeyPair(9, sourceOf(random)).publicValue);
  });

  it("is not waited for when the random source is broken", () => {
    for (const group of CURVES) expect(() => dhKeyPair(group, (bytes) => new Uint8Array(bytes))).toThrow(RangeError);
    for (const group of [...CURVES, ...MODULI]) expect(() => dhKeyPair(group, (bytes) => randomBytes(bytes - 1))).toThrow(RangeError);
  });

  it.each([...CURVES, ...MODULI])("of group %i leaves no copy in what the random source gave", (group) => {
    const given: Uint8Array[] = [];
    const pair = dhKeyPair(group, (bytes) => {
      given.push(randomBytes(bytes));
      return given.at(-1) ?? expect.fail();
    });
    expect(given.length).toBeGreaterThan(0);
    expect(given.at(-1)?.every((byte) => byte === 0)).toBe(true);
    expect(pair.secret(systemDhSource(group).publicValue).some((byte) => byte !== 0)).toBe(true);
  });
});

describe("the groups", () => {
  it("are these six", () => {
    const known: DhGroup[] = Array.from({ length: 300 }, (_, group) => group).filter(isDhGroup);
    expect(known.map((group) => [group, publicValueBytes(group)])).toEqual([[3, 192], [4, 384], [7, 64], [8, 96], [9, 132], [11, 256]]);
  });
});

import { createECDH, createPrivateKey } from "node:crypto";

import { fromHex, toHex, WireError } from "@i3/common";
import { loadNativeP256 } from "@i3/datapath/native-p256";
import { describe, expect, it } from "vitest";

import { dhKeyPair, generateHostIdentity, hostKeyFromHi, identityOf, signHip, verifyHip, withP256, type HostIdentity, type P256 } from "../../src/index.js";

const native: P256 = loadNativeP256();
const IMPLEMENTATIONS: readonly (readonly [name: string, p256: P256 | undefined])[] = [["node:crypto", undefined], ["the addon", native]];
const ECDSA = 7;
const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const hi = (point: Uint8Array): Uint8Array => Uint8Array.of(0, 1, ...point);
const changed = (bytes: Uint8Array, bit: number): Uint8Array => bytes.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));

/** RFC 5903 §8.1. */
const DH = {
  i: "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
  gi: "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
  r: "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
  gr: "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
  gir: "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
};

/** RFC 6979 §A.2.5, with SHA-384. */
const SIGNED = {
  scalar: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
  point: "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
  signatures: [
    ["sample", "0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef77194861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954"],
    ["test", "83910e8b48bb0c74244ebdf7f07a1c5413d61472bd941ef3920e623fbccebeb68ddbec54cf8cd5874883841d712142a56a8d0f218f5003cb0296b6b509619f2c"],
  ],
} as const;
const ORDER = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const point = fromHex(SIGNED.point);

function identity(p256: P256 | undefined): HostIdentity {
  const made = generateHostIdentity("ecdsa-p256");
  return p256 === undefined ? made : withP256(made, p256);
}

describe.each(IMPLEMENTATIONS)("P-256 of %s", (_name, p256) => {
  it("computes the secret of RFC 5903", () => {
    const pairs = [dhKeyPair(7, () => fromHex(DH.i), p256), dhKeyPair(7, () => fromHex(DH.r), p256)] as const;
    expect(pairs.map(({ publicValue }) => toHex(publicValue))).toEqual([DH.gi, DH.gr]);
    expect([toHex(pairs[0].secret(fromHex(DH.gr))), toHex(pairs[1].secret(fromHex(DH.gi)))]).toEqual([DH.gir, DH.gir]);
  });

  it("refuses a peer's value off the curve or of another length, and is good for the next one", () => {
    const pair = dhKeyPair(7, () => fromHex(DH.i), p256);
    const good = fromHex(DH.gr);
    for (const bad of [changed(good, 0), changed(good, 511), new Uint8Array(64), new Uint8Array(64).fill(0xff), good.subarray(1), Uint8Array.of(...good, 0)]) {
      expect(() => pair.secret(bad)).toThrow(WireError);
      expect(toHex(pair.secret(good))).toBe(DH.gir);
    }
  });

  it.each(SIGNED.signatures)("takes the signature of RFC 6979 over \"%s\", and none that differs by a bit", (words, hex) => {
    const key = hostKeyFromHi(ECDSA, hi(point), p256);
    const signature = fromHex(hex);
    expect(verifyHip(key, text(words), signature)).toBe(true);
    for (let bit = 0; bit < 512; bit++) expect(verifyHip(key, text(words), changed(signature, bit))).toBe(false);
    expect(verifyHip(key, text(`${words}.`), signature)).toBe(false);
    expect(verifyHip(hostKeyFromHi(ECDSA, hi(fromHex(DH.gi)), p256), text(words), signature)).toBe(false);
  });

  it("takes no signature of another length or out of range", () => {
    const key = hostKeyFromHi(ECDSA, hi(point), p256);
    const signature = fromHex(SIGNED.signatures[0][1]);
    const zero = "00".repeat(32);
    const outside = [zero + zero, ORDER + ORDER, toHex(signature.subarray(0, 32)) + zero, zero + toHex(signature.subarray(32)), "ff".repeat(64)].map(fromHex);
    for (const bad of [...outside, signature.subarray(1), Uint8Array.of(...signature, 0), new Uint8Array(0)]) expect(verifyHip(key, text("sample"), bad)).toBe(false);
  });

  it("signs what the other one verifies", () => {
    const own = identity(p256);
    for (const [, other] of IMPLEMENTATIONS) {
      for (const message of [text("i3"), new Uint8Array(0), new Uint8Array(2_000)]) expect(verifyHip(hostKeyFromHi(ECDSA, own.hi, other), message, signHip(own, message))).toBe(true);
    }
    expect(signHip(own, text("i3"))).not.toEqual(signHip(own, text("i3")));
  });

  it("refuses a host key off the curve, with the same words", () => {
    for (const bit of [0, 255, 256, 511]) expect(() => hostKeyFromHi(ECDSA, hi(changed(point, bit)), p256)).toThrow("the point is not on the curve");
    expect(() => hostKeyFromHi(ECDSA, hi(point.subarray(1)), p256)).toThrow("a point of 63 bytes");
  });

  it("shows the key to whoever wants node's form of it", () => {
    expect(hostKeyFromHi(ECDSA, hi(point), p256).publicKey.export({ format: "jwk" })).toEqual(hostKeyFromHi(ECDSA, hi(point)).publicKey.export({ format: "jwk" }));
  });
});

describe("P-256 of the addon", () => {
  it("opens no key out of range, and none whose point is another's", () => {
    for (const bad of ["00".repeat(32), ORDER, "ff".repeat(32)]) expect(() => native.openKey(fromHex(bad), point), bad).toThrow("EVP_PKEY");
    expect(() => native.openKey(fromHex(SIGNED.scalar), fromHex(DH.gi))).toThrow("EVP_PKEY");
    expect(native.openKey(fromHex(SIGNED.scalar), point).sign(text("sample")).length).toBe(64);
  });

  it("answers wrong lengths and kinds with TypeError", () => {
    const key = native.openKey(fromHex(SIGNED.scalar), point);
    const short = point.subarray(1);
    for (const call of [
      () => native.isPoint(short), () => native.verify(short, text(""), new Uint8Array(64)), () => native.verify(point, text(""), new Uint8Array(63)), () => key.secret(short),
      () => native.openKey(new Uint8Array(31), point), () => native.openKey(new Uint8Array(32), short), () => key.sign("x" as unknown as Uint8Array),
    ]) expect(call).toThrow(TypeError);
  });

  it("keeps the scalars of keys whose public half begins with a zero", () => {
    for (let tries = 0, found = 0; found < 2 && tries < 4_000; tries++) {
      const ecdh = createECDH("prime256v1");
      const publicValue = new Uint8Array(ecdh.generateKeys().subarray(1));
      const scalar = new Uint8Array(32);
      scalar.set(ecdh.getPrivateKey(), 32 - ecdh.getPrivateKey().length);
      if (scalar[0] !== 0 && publicValue[0] !== 0) continue;
      found++;
      const jwk = { kty: "EC", crv: "P-256", x: Buffer.from(publicValue.subarray(0, 32)).toString("base64url"), y: Buffer.from(publicValue.subarray(32)).toString("base64url"), d: Buffer.from(scalar).toString("base64url") };
      const own = withP256(identityOf(createPrivateKey({ key: jwk, format: "jwk" })), native);
      expect(verifyHip(hostKeyFromHi(ECDSA, hi(publicValue)), text("i3"), signHip(own, text("i3")))).toBe(true);
    }
  });
});

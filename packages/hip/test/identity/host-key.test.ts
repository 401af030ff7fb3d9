import { constants, sign, verify } from "node:crypto";

import { concatBytes, fromHex, I3Error, publicId, toHex, WireError } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  algorithmNumber, generateHostIdentity, HI_ALGORITHM, hitOfPublicKey, HOST_KEY_ALGORITHMS, hostIdentityFromPem, hostIdentityToPem, hostKeyFromHi,
  hostPublicKey, identityOf, rhashOf, signHip, signWithHost, verifyHip, verifyWithHost,
} from "../../src/index.js";
import { KNOWN_ANSWERS, knownAnswer } from "./known-answers.js";

const changedAt = (bytes: Uint8Array, at: number, change = 1): Uint8Array => {
  const out = bytes.slice();
  out[at] = (out[at] ?? 0) ^ change;
  return out;
};
const row256 = knownAnswer("ecdsa-p256");
const row384 = knownAnswer("ecdsa-p384");
const rowRsa = knownAnswer("rsa");

it("known answers are there for every algorithm, and for RSA of three sizes", () => {
  expect(KNOWN_ANSWERS.map(({ algorithm }) => algorithm)).toEqual([...HOST_KEY_ALGORITHMS, "rsa", "rsa"]);
});

describe.each(KNOWN_ANSWERS)("a host key of $name", (row) => {
  const identity = hostIdentityFromPem(row.pem);
  const peer = hostKeyFromHi(row.number, row.hi);

  it("is encoded and named as computed elsewhere", () => {
    for (const key of [identity, peer]) {
      expect(key.algorithm).toBe(row.algorithm);
      expect(toHex(key.hi)).toBe(toHex(row.hi));
      expect(toHex(key.hit)).toBe(row.hit);
      expect(key.hitSuite).toBe(row.suite);
      expect(algorithmNumber(key)).toBe(row.number);
      expect(key.publicKey.equals(identity.publicKey)).toBe(true);
      expect(toHex(publicId(key.hit))).toBe(row.publicId);
    }
    expect(toHex(hostPublicKey(identity))).toBe(toHex(row.publicKey));
    expect(toHex(hitOfPublicKey(row.algorithm, row.publicKey))).toBe(row.hit);
    expect(rhashOf(peer.hit)).toBe(row.algorithm === "rsa" ? "sha256" : "sha384");
    expect(toHex(identity.point)).toBe(row.algorithm === "ecdsa-p256" ? toHex(row.publicKey) : "");
  });

  it("verifies the signatures that were computed elsewhere", () => {
    expect(verifyHip(peer, row.message, row.hipSignature)).toBe(true);
    expect(verifyWithHost(row.publicKey, row.message, row.i3Signature, row.algorithm)).toBe(true);
    expect(verifyHip(peer, changedAt(row.message, 3), row.hipSignature)).toBe(false);
    expect(verifyWithHost(row.publicKey, changedAt(row.message, 3), row.i3Signature, row.algorithm)).toBe(false);
  });

  it("signs what it verifies", () => {
    const [hip, i3] = [signHip(identity, row.message), signWithHost(identity, row.message)];
    expect([hip.length, i3.length]).toEqual([row.hipSignature.length, row.i3Signature.length]);
    expect(verifyHip(peer, row.message, hip)).toBe(true);
    expect(verifyWithHost(row.publicKey, row.message, i3, row.algorithm)).toBe(true);
  });

  it("refuses signatures that were changed, cut or lengthened", () => {
    for (let bit = 0; bit < row.hipSignature.length * 8; bit += 37) {
      expect(verifyHip(peer, row.message, changedAt(row.hipSignature, bit >> 3, 1 << (bit & 7)))).toBe(false);
    }
    for (const bad of [row.hipSignature.subarray(1), concatBytes(row.hipSignature, Uint8Array.of(0)), concatBytes(Uint8Array.of(0), row.hipSignature), new Uint8Array(0), new Uint8Array(row.hipSignature.length)]) {
      expect(verifyHip(peer, row.message, bad)).toBe(false);
      expect(verifyWithHost(row.publicKey, row.message, bad, row.algorithm)).toBe(false);
    }
  });

  it("survives its PEM form", () => {
    expect(hostIdentityFromPem(hostIdentityToPem(identity)).hit).toEqual(identity.hit);
  });

  it("is refused after every truncation", () => {
    for (let length = 0; length < row.hi.length; length++) {
      // A modulus that lost its end may still be one, but of another host.
      try {
        expect(toHex(hostKeyFromHi(row.number, row.hi.subarray(0, length)).hit)).not.toBe(row.hit);
        expect(row.algorithm).toBe("rsa");
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
    }
    expect(() => hostKeyFromHi(row.number, concatBytes(row.hi, new Uint8Array(300)))).toThrow(WireError);
  });

  it("is refused or another host's after any change of one byte", () => {
    fc.assert(fc.property(fc.nat(row.hi.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      try {
        const key = hostKeyFromHi(row.number, changedAt(row.hi, at, change));
        expect(toHex(key.hit)).not.toBe(row.hit);
        expect(verifyHip(key, row.message, row.hipSignature)).toBe(false);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
    }), { numRuns: 200, seed: 7 });
  });

  it("is not one of another algorithm", () => {
    for (const number of [0, 3, 9, 13, 65_535, 12 - row.number]) expect(() => hostKeyFromHi(number, row.hi)).toThrow(WireError);
    for (const other of KNOWN_ANSWERS) {
      if (other.publicKey !== row.publicKey) expect(verifyWithHost(row.publicKey, other.message, other.i3Signature, other.algorithm)).toBe(false);
    }
  });

  it("keeps its bytes when the packet's change", () => {
    const packet = row.hi.slice();
    const key = hostKeyFromHi(row.number, packet);
    packet.fill(0);
    expect(toHex(key.hi)).toBe(toHex(row.hi));
  });
});

describe("Host Identity fields", () => {
  const rsa = (exponent: string, modulus: Uint8Array): Uint8Array => concatBytes(fromHex(exponent), modulus);
  const modulus = rowRsa.hi.subarray(4);

  it.each<readonly [string, number, Uint8Array, string]>([
    ["nothing", 7, new Uint8Array(0), "truncated"],
    ["half a curve", 7, Uint8Array.of(0), "truncated"],
    ["the reserved curve", 7, changedAt(row256.hi, 1, 1), "unknown curve 0"],
    ["a curve of a later time", 7, changedAt(row256.hi, 0, 1), "unknown curve 257"],
    ["P-384 with a point of P-256", 7, changedAt(row256.hi, 1, 3), "a point of 64 bytes"],
    ["P-256 with a point of P-384", 7, changedAt(row384.hi, 1, 3), "a point of 96 bytes"],
    ["a point off the curve", 7, changedAt(row256.hi, 65), "not on the curve"],
    ["a point of P-384 off the curve", 7, changedAt(row384.hi, 97), "not on the curve"],
    ["the point at infinity", 7, concatBytes(Uint8Array.of(0, 1), new Uint8Array(64)), "not on the curve"],
    ["a compressed point", 7, concatBytes(Uint8Array.of(0, 1, 2 + ((row256.hi[65] ?? 0) & 1)), row256.hi.subarray(2, 34)), "a point of 33 bytes"],
    ["a point in SEC 1's hybrid form", 7, concatBytes(Uint8Array.of(0, 1, 6 + ((row256.hi[65] ?? 0) & 1)), row256.hi.subarray(2)), "a point of 65 bytes"],
    ["no RSA key", 5, new Uint8Array(0), "exponent too long"],
    ["an RSA key without a modulus", 5, fromHex("03010001"), "an RSA modulus of"],
    ["an exponent in the long form", 5, rsa("000003010001", modulus), "exponent too long"],
    ["an exponent of five bytes", 5, rsa("050100000001", modulus), "exponent too long"],
    ["an exponent with a leading zero", 5, rsa("0400010001", modulus), "leading zeros"],
    ["a modulus with a leading zero", 5, rsa("0301000100", modulus), "leading zeros"],
    ["a modulus of 2,040 bits", 5, rsa("03010001", modulus.subarray(1).map((byte, i) => (i === 0 ? byte | 0x80 : byte))), "an RSA modulus of 2040 bits"],
    ["a modulus of 2,047 bits", 5, rsa("03010001", modulus.map((byte, i) => (i === 0 ? 0x7f : byte))), "an RSA modulus of 2047 bits"],
    ["a modulus of 4,097 bits", 5, rsa("03010001", concatBytes(Uint8Array.of(1), modulus, modulus)), "an RSA modulus of 4097 bits"],
    ["an even modulus", 5, changedAt(rowRsa.hi, rowRsa.hi.length - 1), "not an RSA key"],
    ["an even exponent", 5, rsa("03010000", modulus), "not an RSA key"],
    ["the exponent 1", 5, rsa("0101", modulus), "not an RSA key"],
  ])("refuse %s", (_, number, hi, why) => {
    expect(() => hostKeyFromHi(number, hi)).toThrow(WireError);
    expect(() => hostKeyFromHi(number, hi)).toThrow(why);
  });

  it.each([row256, row384])("are taken with the mark of an uncompressed point, under a HIT of its own ($algorithm)", (row) => {
    const hi = concatBytes(row.hi.subarray(0, 2), Uint8Array.of(4), row.hi.subarray(2));
    const key = hostKeyFromHi(7, hi);
    expect(key.hi).toEqual(hi);
    expect(toHex(key.hit)).not.toBe(row.hit);
    expect(verifyHip(key, row.message, row.hipSignature)).toBe(true);
  });

  it("give a key or a WireError, whatever the bytes", () => {
    const algorithm = fc.constantFrom<number>(HI_ALGORITHM.rsa, HI_ALGORITHM.ecdsa, 0, 3);
    const start = fc.constantFrom(new Uint8Array(0), Uint8Array.of(0, 1), Uint8Array.of(0, 2), Uint8Array.of(3, 1, 0, 1), Uint8Array.of(1, 3));
    const length = fc.constantFrom(0, 1, 63, 64, 65, 96, 97, 255, 256, 257, 512, 513);
    fc.assert(fc.property(algorithm, start, length.chain((n) => fc.uint8Array({ minLength: n, maxLength: n })), (number, head, tail) => {
      try {
        const key = hostKeyFromHi(number, concatBytes(head, tail));
        expect(key.hit.length).toBe(16);
        expect(verifyHip(key, tail, rowRsa.hipSignature)).toBe(false);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
    }), { numRuns: 300, seed: 11 });
  });
});

describe("RHASH", () => {
  it("is that of the suite in the HIT", () => {
    expect(rhashOf(fromHex("20010021" + "00".repeat(12)))).toBe("sha256");
    expect(rhashOf(fromHex("20010022" + "ff".repeat(12)))).toBe("sha384");
  });

  it.each(["", "20010022", "20010022" + "00".repeat(13), "20010020" + "00".repeat(12), "20010023" + "00".repeat(12), "20010032" + "00".repeat(12), "20010122" + "00".repeat(12), "20020022" + "00".repeat(12), "00".repeat(16)])(
    "is none of %s",
    (hit) => {
      expect(() => rhashOf(fromHex(hit))).toThrow(WireError);
    },
  );
});

describe("the hash of a signature", () => {
  it("is that of the HIT suite in HIP and that of the curve in i3, which differ for P-256", () => {
    expect(verifyHip(hostKeyFromHi(7, row256.hi), row256.message, row256.i3Signature)).toBe(false);
    expect(verifyWithHost(row256.publicKey, row256.message, row256.hipSignature)).toBe(false);
    expect(verifyHip(hostKeyFromHi(7, row384.hi), row384.message, row384.i3Signature)).toBe(true);
  });
});

describe("the padding of an RSA signature", () => {
  const { privateKey, publicKey } = hostIdentityFromPem(rowRsa.pem);
  const padding = constants.RSA_PKCS1_PSS_PADDING;

  it("has a salt of 32 bytes, and no other is taken", () => {
    const own = signHip(hostIdentityFromPem(rowRsa.pem), rowRsa.message);
    expect(verify("sha256", rowRsa.message, { key: publicKey, padding, saltLength: 32 }, own)).toBe(true);
    for (const saltLength of [0, 20, 31, 33, 222]) {
      const other = sign("sha256", rowRsa.message, { key: privateKey, padding, saltLength });
      expect(verifyHip(hostKeyFromHi(5, rowRsa.hi), rowRsa.message, other)).toBe(false);
    }
  });

  it("is not that of PKCS #1 v1.5, nor made with another hash", () => {
    const key = hostKeyFromHi(5, rowRsa.hi);
    expect(verifyHip(key, rowRsa.message, sign("sha256", rowRsa.message, privateKey))).toBe(false);
    expect(verifyHip(key, rowRsa.message, sign("sha384", rowRsa.message, { key: privateKey, padding, saltLength: 32 }))).toBe(false);
  });
});

describe("new identities", () => {
  it.each(HOST_KEY_ALGORITHMS)("of %s sign, and are no one else's", (algorithm) => {
    const identity = generateHostIdentity(algorithm);
    const message = Uint8Array.of(1, 2, 3);
    expect(identity.algorithm).toBe(algorithm);
    expect(toHex(identity.hit).slice(0, 8)).toBe(algorithm === "rsa" ? "20010021" : "20010022");
    expect(verifyHip(hostKeyFromHi(algorithmNumber(identity), identity.hi), message, signHip(identity, message))).toBe(true);
    if (algorithm === "rsa") expect(identity.publicKey.asymmetricKeyDetails?.modulusLength).toBe(3_072);
    else expect(generateHostIdentity(algorithm).hit).not.toEqual(identity.hit);
  });

  it("are not made of a public key or of one of another kind", () => {
    expect(() => identityOf(hostIdentityFromPem(row256.pem).publicKey)).toThrow();
    expect(() => hostIdentityFromPem(row384.pem.replace(/[A-Za-z0-9]/, "!"))).toThrow(I3Error);
  });
});

import { fromHex, I3Error, privatePrefix, toHex } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  certifyMember, generateTriggerKey, signWithTriggerKey, triggerKeyFromSeed, triggerKeySeed, verifyMembership, verifyWithTriggerKey, type Ed25519Verify,
} from "../src/index.js";
import { loadLibsodiumEd25519 } from "../src/libsodium.js";

// RFC 8032 §7.1, tests 1 to 3.
const ROWS = [
  {
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", key: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "", signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", key: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72", signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", key: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82", signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
] as const;

const libsodium = loadLibsodiumEd25519();
if (libsodium === null) throw new Error("no libsodium here");
const IMPLEMENTATIONS: readonly (readonly [name: string, ed25519: Ed25519Verify | undefined])[] = [["node:crypto", undefined], ["libsodium", libsodium]];

describe("trigger keys", () => {
  it.each(ROWS)("sign $message as RFC 8032 has it", ({ seed, key, message, signature }) => {
    const pair = triggerKeyFromSeed(fromHex(seed));
    expect(toHex(pair.publicKey)).toBe(key);
    expect(pair.prefix).toEqual(privatePrefix(fromHex(key)));
    expect(toHex(signWithTriggerKey(pair, fromHex(message)))).toBe(signature);
    expect(toHex(triggerKeySeed(pair))).toBe(seed);
  });

  it("survive as their secrets", () => {
    const pair = generateTriggerKey();
    const again = triggerKeyFromSeed(triggerKeySeed(pair));
    expect([again.publicKey, again.prefix]).toEqual([pair.publicKey, pair.prefix]);
    expect(triggerKeySeed(again).length).toBe(32);
  });

  it.each([0, 31, 33, 64])("are not made of %i bytes", (length) => {
    expect(() => triggerKeyFromSeed(new Uint8Array(length))).toThrow(I3Error);
  });
});

describe.each(IMPLEMENTATIONS)("Ed25519 of %s", (_name, ed25519) => {
  it.each(ROWS)("takes the signature of RFC 8032 over $message", ({ key, message, signature }) => {
    expect(verifyWithTriggerKey(fromHex(key), fromHex(message), fromHex(signature), ed25519)).toBe(true);
  });

  it("is who says whether a certificate holds", () => {
    const certificate = certifyMember(generateTriggerKey(), generateTriggerKey().publicKey, 1_900_000_000);
    expect(verifyMembership(certificate, ed25519)).toBe(true);
    expect(verifyMembership(certificate, () => false)).toBe(false);
    certificate[40] = (certificate[40] ?? 0) ^ 1;
    expect(verifyMembership(certificate, ed25519)).toBe(false);
  });

  it("refuses a signature with its second half raised by the order of the group", () => {
    const { key, message, signature } = ROWS[1];
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const raised = fromHex(signature);
    let value = order + BigInt(`0x${toHex(raised.slice(32).reverse())}`);
    for (let i = 32; i < 64; i++, value >>= 8n) raised[i] = Number(value & 255n);
    expect(verifyWithTriggerKey(fromHex(key), fromHex(message), raised, ed25519)).toBe(false);
  });

  it("never throws on what it checks", () => {
    const { key, message, signature } = ROWS[1];
    for (let bit = 0; bit < 512; bit += 5) {
      const changed = fromHex(signature);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(verifyWithTriggerKey(fromHex(key), fromHex(message), changed, ed25519)).toBe(false);
    }
    for (const bad of [signature.slice(2), `${signature}00`, ""]) expect(verifyWithTriggerKey(fromHex(key), fromHex(message), fromHex(bad), ed25519)).toBe(false);
    for (const bad of [key.slice(2), `${key}00`, "", "ff".repeat(32)]) expect(verifyWithTriggerKey(fromHex(bad), fromHex(message), fromHex(signature), ed25519)).toBe(false);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.uint8Array({ minLength: 64, maxLength: 64 }), (any, point, other) => {
      expect(verifyWithTriggerKey(any, any, other, ed25519)).toBe(false);
      expect(verifyWithTriggerKey(point, any, other, ed25519)).toBe(false);
    }), { numRuns: 200, seed: 1 });
  });
});

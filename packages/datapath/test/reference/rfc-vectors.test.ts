/**
 * Vectors of RFCs and of the draft that RFC 4106 has its examples in, as ESP packets. Typed in, and each found right by Python's `cryptography` 48. The native engine seals and opens the same
 * bytes as this one (../conformance, test/interop), with numbers of 32 bits and more.
 */
import { createHmac } from "node:crypto";

import { concatBytes, fromHex, toHex } from "@i3/common";
import { describe, expect, it } from "vitest";

import { makeCipher } from "../../src/reference/esp-transforms.js";

const counting = (length: number, first: number): Uint8Array => Uint8Array.from({ length }, (_, n) => first + n);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("AES-GCM with 64-bit sequence numbers (RFC 4106; draft-mcgrew-gcm-test-01, the first case)", () => {
  const cipher = makeCipher({ kind: "aes-gcm-16", key: fromHex("4c80cdefbb5d10da906ac73c3613a634"), salt: fromHex("2e443b68") });
  const sequence = 0x87654321_00000000n;
  // SPI, low half of the number, IV; text; ICV.
  const packet = (): Buffer => Buffer.from(
    "00004321" + "00000000" + "4956ed7e3b244cfe" +
    "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732" + "459018148f6cbe722fd04796562dfdb4", "hex");

  it("opens", () => {
    expect(cipher.open(packet(), sequence)?.toString("hex")).toBe(
      "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f756470037369700963796265726369747902646b000021000101020201");
  });

  it("does not open with another high half of its number, or with any byte changed", () => {
    expect(cipher.open(packet(), sequence + (1n << 32n))).toBeNull();
    for (let at = 0; at < packet().length; at++) {
      const changed = packet();
      changed[at] = (changed[at] ?? 0) ^ 1;
      // The low half of the number is the caller's, who read it from here.
      expect(cipher.open(changed, at >= 4 && at < 8 ? BigInt(changed.readUInt32BE(4)) | (sequence & ~0xffff_ffffn) : sequence)).toBeNull();
    }
  });
});

describe("AES-128-CBC (RFC 3602 section 4) behind HMAC-SHA-256-128 (RFC 4868)", () => {
  const rows = [
    ["case 1", "06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41", text("Single block msg"), "e353779c1079aeb82708942dbe77181a"],
    ["case 2", "c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58", counting(32, 0), "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"],
    ["case 3", "6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81", text("This is a 48-byte message (exactly 3 AES blocks)"),
      "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684"],
    ["case 4", "56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9", counting(64, 0xa0),
      "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55"],
  ] as const;

  it.each(rows)("%s", (_, key, iv, plain, ciphertext) => {
    const integrityKey = counting(32, 1);
    const cipher = makeCipher({ kind: "aes-cbc-hmac-sha-256", key: fromHex(key), integrityKey });
    const before = concatBytes(fromHex("0000432100000007"), fromHex(iv), fromHex(ciphertext));
    const icv = createHmac("sha256", integrityKey).update(before).update(fromHex("00000001")).digest().subarray(0, 16);
    const packet = (): Buffer => Buffer.from(concatBytes(before, icv));
    expect(toHex(cipher.open(packet(), 0x1_0000_0007n) ?? new Uint8Array(0))).toBe(toHex(plain));
    expect(cipher.open(packet(), 7n)).toBeNull();
  });
});

describe("NULL with HMAC-SHA-256-128 (RFC 4868 section 2.7.2.1)", () => {
  // Of the four only the data of AUTH256-3 and -4 is long enough for an ESP packet; their ICV covers 50 bytes, the last four of which are the high half of the number.
  it.each([["AUTH256-3", new Uint8Array(32).fill(0xaa), 0xdd, "cdcb1220d1ecccea91e53aba3092f962"], ["AUTH256-4", counting(32, 1), 0xcd, "372efcf9b40b35c2115b1346903d2ef4"]] as const)("%s", (_, integrityKey, value, icv) => {
    const half = BigInt(`0x${value.toString(16).repeat(4)}`);
    const cipher = makeCipher({ kind: "null-hmac-sha-256", integrityKey });
    const packet = (): Buffer => Buffer.from(concatBytes(new Uint8Array(46).fill(value), fromHex(icv)));
    expect(cipher.open(packet(), (half << 32n) | half)?.toString("hex")).toBe(value.toString(16).repeat(38));
    expect(cipher.open(packet(), half)).toBeNull();
  });
});

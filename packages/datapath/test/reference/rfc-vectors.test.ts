/**
 * Vectors of RFCs and of the draft that RFC 4106 has its examples in, as ESP packets. Typed in, and each found right by Python's `cryptography` 48. The native engine seals and opens the same
 * bytes as this one (../conformance, test/interop), with numbers of 32 bits and more. The checksum of the segment
 * in RFC 7401 C.3 is that of a sum of words in Python; the text of the appendix was not at hand.
 */
import { createHmac } from "node:crypto";

import { concatBytes, fromHex, toHex } from "@i3/common";
import { AES_128_CBC_ROWS, counting } from "@i3/common/testing";
import { describe, expect, it } from "vitest";

import { completeChecksum } from "../../src/reference/checksum-state.js";
import { sumWords } from "../../src/reference/checksum.js";
import { makeCipher } from "../../src/reference/esp-transforms.js";

describe("RFC 7401 appendix C.3: a TCP segment between HITs", () => {
  const hits = fromHex("20010020000000000000000000000001" + "20010020000000000000000000000002");
  // Ports 65,500 and 22, sequence number 1, SYN, window 65,535.
  const segment = fromHex("ffdc0016" + "00000001" + "00000000" + "5002ffff" + "00000000");
  const CHECKSUM_AT = 16;

  it("has 28,586, completed from what Linux hands over", () => {
    const pseudo = concatBytes(hits, fromHex("00000014" + "00000006"));
    const partial = sumWords(pseudo, 0, pseudo.length);
    const packet = Buffer.from(concatBytes(fromHex("6000000000140640"), hits, segment));
    packet.writeUInt16BE(partial, 40 + CHECKSUM_AT);
    completeChecksum(packet, 0, packet.length);
    expect(packet.readUInt16BE(40 + CHECKSUM_AT)).toBe(28_586);
    const whole = concatBytes(pseudo, packet.subarray(40));
    expect(sumWords(whole, 0, whole.length)).toBe(0xffff);
  });
});

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
  it.each(AES_128_CBC_ROWS)("%s", (_, key, iv, plain, ciphertext) => {
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

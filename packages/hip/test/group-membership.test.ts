import { fromHex, toHex, WireError } from "@i3/common";
import { describe, expect, it } from "vitest";

import { certifyMember, generateTriggerKey, readMembership, triggerKeyFromSeed, verifyMembership, verifyWithTriggerKey } from "../src/index.js";

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const group = triggerKeyFromSeed(filled(32, 7));
const member = triggerKeyFromSeed(filled(32, 8));
const certificate = certifyMember(group, member.publicKey, 1_900_000_000);

describe("a member's certificate", () => {
  it("is laid out and signed as docs/wire.md §2 says", () => {
    const fields = toHex(group.publicKey) + toHex(member.publicKey) + "00000000713fb300";
    expect(toHex(certificate.subarray(0, 72))).toBe(fields);
    const covered = fromHex(Buffer.from("i3/1 group member").toString("hex") + "00" + fields);
    expect(verifyWithTriggerKey(group.publicKey, covered, certificate.subarray(72))).toBe(true);
  });

  it("is read again", () => {
    expect(readMembership(certificate)).toEqual({ groupKey: group.publicKey, memberKey: member.publicKey, notAfterS: 1_900_000_000 });
    expect(verifyMembership(certificate)).toBe(true);
  });

  it("does not hold with any bit changed, and is no other key's", () => {
    for (let bit = 0; bit < certificate.length * 8; bit += 3) {
      const changed = certificate.map((byte, i) => (i === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte));
      expect(verifyMembership(changed), `bit ${bit}`).toBe(false);
    }
    const impostor = generateTriggerKey();
    const forged = certifyMember(impostor, impostor.publicKey, 1_900_000_000);
    expect(verifyMembership(Uint8Array.from([...group.publicKey, ...forged.subarray(32)]))).toBe(false);
  });

  it("of another length is none", () => {
    for (const length of [0, 135, 137]) {
      expect(verifyMembership(filled(length, 1))).toBe(false);
      expect(() => readMembership(filled(length, 1))).toThrow(WireError);
    }
  });

  it("is not made of what cannot be one", () => {
    expect(() => certifyMember(group, filled(31, 1), 1)).toThrow(RangeError);
    for (const notAfterS of [-1, 0.5, Infinity, Number.MAX_SAFE_INTEGER]) expect(() => certifyMember(group, member.publicKey, notAfterS)).toThrow(RangeError);
  });

  it("whose end no clock shows ends with the last that one can", () => {
    expect(readMembership(Uint8Array.from([...certificate.subarray(0, 64), ...filled(8, 0xff), ...certificate.subarray(72)])).notAfterS).toBe(9_007_199_254_740);
  });
});

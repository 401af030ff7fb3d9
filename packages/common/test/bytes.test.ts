import { describe, expect, it } from "vitest";

import { bytesKey, concatBytes, fromHex, sameBytes, samePrefix, toHex, u64Bytes } from "../src/index.js";

describe("bytes", () => {
  const view = Uint8Array.of(9, 0x00, 0x7f, 0x80, 0xff, 9).subarray(1, 5);

  it("pass through hex, also as a view", () => {
    expect(toHex(view)).toBe("007f80ff");
    expect(fromHex("007F80ff")).toEqual(Uint8Array.of(0, 0x7f, 0x80, 0xff));
    expect(fromHex("")).toEqual(new Uint8Array(0));
    for (const text of ["0", "0g", "0x00", " 00", "00\n", "000"]) expect(() => fromHex(text)).toThrow(RangeError);
  });

  it("are the same by content", () => {
    expect(sameBytes(view, fromHex("007f80ff"))).toBe(true);
    for (const other of ["", "007f80", "007f80fe", "007f80ff00"]) expect(sameBytes(view, fromHex(other))).toBe(false);
  });

  it.each([
    ["c0000201", "c0000201", 32, true], ["c0000201", "c0000200", 32, false], ["c0000201", "c0000200", 31, true], ["c0000201", "c0000281", 25, false], ["c0000201", "c0000281", 24, true],
    ["c0000201", "40000201", 1, false], ["c0000201", "3fffffff", 0, true], ["fd990001", "fd9a0001", 14, true], ["fd990001", "fd9a0001", 15, false],
  ] as const)("%s and %s have %i bits in common: %s", (a, b, bits, expected) => {
    expect(samePrefix(fromHex(a), fromHex(b), bits)).toBe(expected);
  });

  it("have keys that differ when they do", () => {
    const keys = Array.from({ length: 256 }, (_, byte) => bytesKey(Uint8Array.of(byte)));
    expect(new Set([...keys, bytesKey(new Uint8Array(0)), bytesKey(new Uint8Array(2))]).size).toBe(258);
    expect(bytesKey(view)).toBe(bytesKey(fromHex("007f80ff")));
    expect(bytesKey(view).length).toBe(4);
  });

  it("are joined", () => {
    expect(concatBytes()).toEqual(new Uint8Array(0));
    expect(toHex(concatBytes(view, new Uint8Array(0), Uint8Array.of(1)))).toBe("007f80ff01");
  });

  it("hold integers of eight bytes", () => {
    expect(toHex(u64Bytes(Number.MAX_SAFE_INTEGER))).toBe("001fffffffffffff");
    expect(toHex(u64Bytes(2n ** 64n - 1n))).toBe("ffffffffffffffff");
  });
});

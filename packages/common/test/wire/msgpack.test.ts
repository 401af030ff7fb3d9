import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { BodyReader, decodeBody, encodeBody, WireError, type BodyValue } from "../../src/index.js";
import { filled, hex } from "./control-rows.js";

const refuses = (body: Uint8Array): void => {
  const before = process.memoryUsage.rss();
  expect(() => decodeBody(body)).toThrow(WireError);
  expect(process.memoryUsage.rss() - before).toBeLessThan(16 * 2 ** 20);
};

describe("bodies that must not be decoded", () => {
  it.each<readonly [string, string]>([
    ["nothing", ""],
    ["no array", "01"],
    ["nil", "c0"],
    ["an array of 16 bits' length", "dc ffff"],
    ["an array of 32 bits' length", "dd ffffffff"],
    ["an empty array of 32 bits' length", "dd 00000000"],
    ["33 elements", `dc 0021 ${"c0".repeat(33)}`],
    ["16 elements that are not there", "dc 0010"],
    ["a half length", "dc 00"],
    ["an inner array of 32 bits' length", "91 dd 7fffffff"],
    ["an inner array of 16 bits' length", "91 dc ffff"],
    ["a map", "91 81 a1 61 01"],
    ["an empty map", "91 80"],
    ["a map as body", "81 a1 61 01"],
    ["a map of 16 bits' length", "91 de ffff"],
    ["a map of 32 bits' length", "91 df ffffffff"],
    ["a map with __proto__", `91 81 a9 ${Buffer.from("__proto__").toString("hex")} 81 a1 61 01`],
    ["binary of 32 bits' length", "91 c6 ffffffff"],
    ["short binary of 32 bits' length", "91 c6 00000001 00"],
    ["text of 32 bits' length", "91 db ffffffff"],
    ["binary of 8 bits' length, cut off", "91 c4 ff 00"],
    ["binary of 16 bits' length, cut off", "91 c5 ffff 00"],
    ["text of 8 bits' length, cut off", "91 d9 ff 61"],
    ["text of 16 bits' length, cut off", "91 da ffff 61"],
    ["short text, cut off", "91 bf 61"],
    ["float 32", "91 ca 3f800000"],
    ["float 64", "91 cb 3ff0000000000000"],
    ["the byte that is never used", "91 c1"],
    ["ext 1", "91 d4 00 00"],
    ["ext 2", "91 d5 00 0000"],
    ["ext 4, a time", "91 d6 ff 00000000"],
    ["ext 8, a time", "91 d7 ff 0000000000000000"],
    ["ext 16", `91 d8 01 ${"00".repeat(16)}`],
    ["ext of 8 bits' length", "91 c7 ff 72"],
    ["ext of 16 bits' length", "91 c8 ffff 72"],
    ["ext of 32 bits' length", "91 c9 ffffffff 72"],
    ["a record definition of msgpackr", "91 d4 72 40 91 a1 61 01"],
    ["four levels", "91 91 91 91 c0"],
    ["a thousand levels", "91".repeat(1_000)],
    ["a second value", "90 c0"],
    ["padding", "90 00"],
    ["text with a lone continuation byte", "91 a1 80"],
    ["text with an overlong slash", "91 a2 c0af"],
    ["text with a surrogate", "91 a3 eda080"],
    ["text beyond Unicode", "91 a4 f4908080"],
    ["text cut off within a character", "91 a2 e282"],
    ["long text that is not UTF-8", `91 d9 20 ${"61".repeat(31)} ff`],
    ["longer text that is not UTF-8", `91 da 0100 ff ${"61".repeat(255)}`],
  ])("%s", (_, body) => {
    refuses(hex(body));
  });

  it("are refused at every truncation", () => {
    const body = hex(`98 c0 c3 ff cd 0100 d3 8000000000000000 c403 010203 a3 e282ac 92 01 91 02`);
    expect(decodeBody(body).length).toBe(8);
    for (let length = 0; length < body.length; length++) refuses(body.subarray(0, length));
  });
});

describe("bodies", () => {
  it.each<readonly [string, string, readonly BodyValue[]]>([
    ["nothing", "90", []],
    ["an empty array of the long form", "dc 0000", []],
    ["small integers", "95 00 7f ff e0 40", [0, 127, -1, -32, 64]],
    ["unsigned integers", "94 cc ff cd ffff ce ffffffff cf 0000000000000001", [255, 65_535, 0xffff_ffff, 1n]],
    ["signed integers", "94 d0 80 d1 8000 d2 80000000 d3 ffffffffffffffff", [-128, -32_768, -2_147_483_648, -1n]],
    ["the largest integers", "92 cf ffffffffffffffff d3 8000000000000000", [2n ** 64n - 1n, -(2n ** 63n)]],
    ["truth values and nil", "93 c0 c2 c3", [null, false, true]],
    ["three levels", "91 91 91 c0", [[[null]]]],
    ["32 elements", `dc 0020 ${"c0".repeat(32)}`, Array.from({ length: 32 }, () => null)],
    ["text", "93 a3 e282ac a9 5f5f70726f746f5f5f d9 01 61", ["€", "__proto__", "a"]],
  ])("of %s", (_, body, elements) => {
    expect(decodeBody(Uint8Array.from([0xee, ...hex(body), 0xee]).subarray(1, -1))).toEqual(elements);
  });

  it("take every small integer, whatever msgpackr uses its bytes for", () => {
    for (let value = 0; value < 128; value++) expect(decodeBody(Uint8Array.of(0x91, value))).toEqual([value]);
  });

  it("decode to what was encoded", () => {
    const text = fc.oneof(fc.string({ maxLength: 40 }), fc.string({ unit: "grapheme", maxLength: 40 }), fc.constantFrom("__proto__", "constructor"));
    const bytes = fc.uint8Array({ maxLength: 300 });
    const integer = fc.oneof(fc.integer(), fc.maxSafeNat());
    const leaf = fc.oneof<fc.Arbitrary<BodyValue>[]>(fc.constantFrom(null, true, false), integer, bytes, text, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }));
    const elements = fc.array(fc.oneof(leaf, fc.array(fc.oneof(leaf, fc.array(leaf, { maxLength: 4 })), { maxLength: 4 })), { maxLength: 32 });
    /** Integers by value: eight bytes on the wire arrive as bigint. */
    const plain = (value: BodyValue): unknown => {
      if (typeof value === "number" || typeof value === "bigint") return BigInt(value);
      if (value instanceof Uint8Array) return Array.from(value).join();
      return Array.isArray(value) ? (value as readonly BodyValue[]).map(plain) : value;
    };
    fc.assert(fc.property(elements, (value) => {
      expect(decodeBody(encodeBody(value)).map(plain)).toEqual(value.map(plain));
    }), { numRuns: 300 });
  });

  it("give a value or a WireError for any bytes, and leave Object.prototype alone", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(0x91, 0x92, 0x9f, 0xdc, 0x81), (bytes, first) => {
      try {
        decodeBody(Uint8Array.from([first, ...bytes]));
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
    }), { numRuns: 2_000 });
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});

describe("reading a body", () => {
  const reader = (...elements: readonly BodyValue[]): BodyReader => new BodyReader("T", elements);

  it("takes integers in range, of both kinds", () => {
    for (const value of [0, 5, 5n]) expect(reader(value).uint("f", 5)).toBe(Number(value));
    expect(reader(BigInt(Number.MAX_SAFE_INTEGER)).uint("f")).toBe(Number.MAX_SAFE_INTEGER);
    for (const value of [-1, 6, -1n, 6n, 1.5, Number.NaN, 2n ** 53n, 2n ** 64n - 1n, -(2n ** 63n), "5", null, true, [5]]) {
      expect(() => reader(value).uint("f", 5)).toThrow(WireError);
    }
    for (const value of [2 ** 53, 2n ** 53n]) expect(() => reader(value).uint("f")).toThrow(WireError);
  });

  it("takes binary of the given lengths, as a copy", () => {
    const bytes = filled(4, 1);
    const taken = reader(bytes).bytes("f", 2, 4);
    bytes.fill(2);
    expect(taken).toEqual(filled(4, 1));
    for (const value of [filled(3, 1), "abcd", null, [1, 2, 3, 4]]) expect(() => reader(value).bytes("f", 2, 4)).toThrow(WireError);
  });

  it("takes nil only where it may stand", () => {
    expect(reader(null).bytesOrNull("f", 1)).toBe(null);
    expect(reader(null).arrayOrNull("f", 1)).toBe(null);
    expect(() => reader().bytesOrNull("f", 1)).toThrow(WireError);
    expect(() => reader(false).arrayOrNull("f", 1)).toThrow(WireError);
    expect(() => reader([1, 2]).arrayOrNull("f", 1)).toThrow(WireError);
    expect(() => reader(1).boolean("f")).toThrow(WireError);
  });

  it("names the field", () => {
    expect(() => reader(1).boolean("final")).toThrow("T.final: boolean expected");
    expect(() => reader().boolean("final")).toThrow("T.final: missing");
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { decodeLocator, encodeLocator, fromHex, locatorKey, locatorText, makeLocator, sameLocator, toHex, WireError } from "../src/index.js";

const ROWS = [
  { name: "IPv4", hex: "c000020715ea", address: "c0000207", port: 5610, text: "192.0.2.7:5610" },
  { name: "the smallest port", hex: "0a0000010001", address: "0a000001", port: 1, text: "10.0.0.1:1" },
  { name: "IPv6", hex: "20010db8000000000000000000000001ffff", address: "20010db8000000000000000000000001", port: 65_535, text: "[2001:db8::1]:65535" },
  { name: "almost mapped", hex: "00000000000000000000fffec000020715ea", address: "00000000000000000000fffec0000207", port: 5610, text: "[::fffe:c000:207]:5610" },
] as const;

describe("locators", () => {
  describe.each(ROWS)("$name", ({ hex, address, port, text }) => {
    const locator = makeLocator(fromHex(address), port);

    it("is written, read and printed", () => {
      expect(toHex(encodeLocator(locator))).toBe(hex);
      expect(decodeLocator(Uint8Array.from([0xee, ...fromHex(hex)]).subarray(1))).toEqual(locator);
      expect(locatorText(locator)).toBe(text);
    });

    it("is rejected at every other length", () => {
      const wire = Uint8Array.from([...fromHex(hex), ...new Uint8Array(20)]);
      for (let length = 0; length <= wire.length; length++) {
        if (length !== 6 && length !== 18) expect(() => decodeLocator(wire.subarray(0, length))).toThrow(WireError);
      }
    });
  });

  it("hold an IPv4-mapped address as IPv4", () => {
    const mapped = decodeLocator(fromHex("00000000000000000000ffffc000020715ea"));
    expect(toHex(encodeLocator(mapped))).toBe("c000020715ea");
    expect(sameLocator(mapped, makeLocator(fromHex("c0000207"), 5610))).toBe(true);
    expect(locatorKey(mapped)).toBe(locatorKey(makeLocator(fromHex("c0000207"), 5610)));
  });

  it.each([0, -1, 1.5, 65_536, Number.NaN])("have no port %d", (port) => {
    expect(() => makeLocator(fromHex("c0000207"), port)).toThrow(WireError);
  });

  it("refuse port 0 on the wire", () => {
    expect(() => decodeLocator(fromHex("c00002070000"))).toThrow(WireError);
  });

  it.each([0, 3, 5, 15, 17])("have no address of %i bytes", (length) => {
    expect(() => makeLocator(new Uint8Array(length), 1)).toThrow(WireError);
  });

  it("keep nothing of the bytes they were made of", () => {
    const wire = fromHex("c000020715ea");
    const locator = decodeLocator(wire);
    wire.fill(0);
    expect(locatorText(locator)).toBe("192.0.2.7:5610");
  });

  it("are the same exactly when their keys and encodings are", () => {
    const any = fc.tuple(fc.oneof(fc.constantFrom(fromHex("c0000207"), fromHex("c0000208")), fc.uint8Array({ minLength: 16, maxLength: 16 })), fc.integer({ min: 1, max: 3 }));
    fc.assert(fc.property(any, any, ([a, portA], [b, portB]) => {
      const [left, right] = [makeLocator(a, portA), makeLocator(b, portB)];
      expect(sameLocator(left, right)).toBe(toHex(encodeLocator(left)) === toHex(encodeLocator(right)));
      expect(locatorKey(left) === locatorKey(right)).toBe(sameLocator(left, right));
      expect(decodeLocator(encodeLocator(left))).toEqual(left);
    }));
  });
});

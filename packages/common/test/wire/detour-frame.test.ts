/** Rows of docs/wire.md §10, both ways; whatever is cut off or too long is refused. */
import { describe, expect, it } from "vitest";

import { decodeDetourFrame, encodeDetourFrame, makeLocator, MAX_DETOUR_FRAME_BYTES, WireError } from "../../src/index.js";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const ROWS = [
  { name: "IPv4", hex: "06 c0000201 15ea 11", value: { locator: makeLocator(hex("c0000201"), 5_610), bytes: hex("11") } },
  { name: "IPv6", hex: "12 20010db8000000000000000000000007 0001 1901ff", value: { locator: makeLocator(hex("20010db8000000000000000000000007"), 1), bytes: hex("1901ff") } },
];

describe.each(ROWS)("$name", ({ hex: text, value }) => {
  it("encodes and decodes, at another place of memory too", () => {
    expect(encodeDetourFrame(value)).toEqual(hex(text));
    const memory = Uint8Array.from([9, 9, 9, ...hex(text), 9]);
    expect(decodeDetourFrame(memory.subarray(3, memory.length - 1))).toEqual(value);
  });

  it("is refused when anything of the locator or the whole datagram is missing", () => {
    const whole = hex(text);
    const least = whole.length - value.bytes.length;
    for (let length = 0; length <= least; length += 1) expect(() => decodeDetourFrame(whole.subarray(0, length))).toThrow(WireError);
    expect(decodeDetourFrame(whole.subarray(0, least + 1)).bytes).toHaveLength(1);
  });
});

it.each(["00 11", "05 c0000201 15 11", "07 c0000201 15ea 00 11", "06 c0000201 0000 11", "ff 11"])("%s is no frame", (text) => {
  expect(() => decodeDetourFrame(hex(text))).toThrow(WireError);
});

it("takes no more than a datagram can be", () => {
  const frame = (bytes: number): Uint8Array => encodeDetourFrame({ locator: makeLocator(new Uint8Array(16).fill(1), 1), bytes: new Uint8Array(bytes) });
  expect(decodeDetourFrame(frame(65_507)).bytes).toHaveLength(65_507);
  expect(frame(65_507)).toHaveLength(MAX_DETOUR_FRAME_BYTES);
  expect(() => decodeDetourFrame(frame(65_508))).toThrow(WireError);
});

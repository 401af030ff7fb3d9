import { expect, it } from "vitest";

import { addressesOfAnswer } from "../../src/io/marked-lookup.js";

const record = (type: number, ...data: readonly number[]): readonly number[] => [0xc0, 12, type >> 8, type & 0xff, 0, 1, 0, 0, 0, 60, data.length >> 8, data.length & 0xff, ...data];
/** To a question for "a" without further records. */
const answer = (counts: readonly [number, number], ...records: readonly (readonly number[])[]): Uint8Array => Uint8Array.of(0, 1, 0x81, 0x80, 0, 1, 0, counts[0], 0, counts[1], 0, 0, 1, 97, 0, 0, 1, 0, 1, ...records.flat());
const END = 19;

it("addresses are those of the answer section, whatever CNAME led there, and of the right length", () => {
  const six = Array.from({ length: 16 }, (_, i) => i);
  expect(addressesOfAnswer(answer([4, 1], record(5, 1, 98, 0), record(1, 192, 0, 2, 1), record(28, ...six), record(1, 192, 0, 2), record(1, 192, 0, 2, 9)), END)).toEqual(["192.0.2.1", "1:203:405:607:809:a0b:c0d:e0f"]);
  expect(addressesOfAnswer(answer([0, 0]), END)).toEqual([]);
  expect(addressesOfAnswer(answer([2, 0], record(1, 192, 0, 2, 1)), END)).toBeNull();
});

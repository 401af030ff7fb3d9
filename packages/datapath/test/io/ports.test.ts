import { expect, it } from "vitest";
import { removeCutDatagrams } from "../../src/io/ports.js";
import { addressHex, datagramBatch, textOf } from "./batches.js";

it("removes datagrams that were cut; the others keep order, text and address", () => {
  const texts = ["cut", "one", "cut", "cut", "two", "three", "cut"];
  const batch = datagramBatch(texts.map((text, i) => ({ text, address: `10.0.0.${i}`, port: i + 1 })), 10);
  texts.forEach((text, i) => {
    if (text === "cut") batch.lengths[i] = 11;
  });
  expect(removeCutDatagrams(batch)).toBe(4);
  expect(batch.count).toBe(3);
  expect([0, 1, 2].map((i) => textOf(batch, i))).toEqual(["one", "two", "three"]);
  expect([0, 1, 2].map((i) => addressHex(batch, i).slice(-2))).toEqual(["01", "04", "05"]);
  expect([0, 1, 2].map((i) => batch.addresses[i * 18 + 17])).toEqual([2, 5, 6]);
});

it("leaves a batch without cut datagrams as it is", () => {
  const batch = datagramBatch([{ text: "full", address: "::1", port: 9 }], 4);
  expect(removeCutDatagrams(batch)).toBe(0);
  expect(textOf(batch, 0)).toBe("full");
});

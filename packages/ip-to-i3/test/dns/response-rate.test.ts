import { expect, it } from "vitest";

import { ResponseRate } from "../../src/dns/response-rate.js";

const from = (a: number, b: number): Uint8Array => Uint8Array.of(192, a, 2, b);

it("a network gets so many answers, then every second one cut, and others are as before", () => {
  const rate = new ResponseRate();
  const said = Array.from({ length: 400 }, (_, i) => rate.decide(0, from(0, i % 256)));
  expect(said.slice(0, 200).every((one) => one === "answer")).toBe(true);
  expect([said.slice(200).filter((one) => one === "cut").length, said.slice(200).filter((one) => one === "drop").length]).toEqual([100, 100]);
  expect(rate.decide(0, from(1, 1))).toBe("answer");
  expect(rate.decide(1_000, from(0, 9))).toBe("answer");
  expect(rate.counters).toEqual({ cut: 100, dropped: 100 });
});

it("a network that floods leaves to others what is theirs", () => {
  const rate = new ResponseRate();
  for (let i = 0; i < 100_000; i += 1) rate.decide(0, from(0, i % 256));
  expect(Array.from({ length: 18 }, (_, i) => Array.from({ length: 200 }, () => rate.decide(0, from(i + 1, 1)))).flat().every((one) => one === "answer")).toBe(true);
});

it("all together get no more than a bound, whoever they say they are", () => {
  const rate = new ResponseRate();
  const said = Array.from({ length: 10_000 }, (_, i) => rate.decide(0, Uint8Array.of(i >> 8, i & 0xff, 0, 1)));
  expect(said.filter((one) => one !== "drop")).toHaveLength(4_000);
  const six = Uint8Array.from({ length: 16 }, (_, i) => i);
  expect(rate.decide(60_000, six)).toBe("answer");
});

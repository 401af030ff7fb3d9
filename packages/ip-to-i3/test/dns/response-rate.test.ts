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

const madeUp = (i: number): Uint8Array => Uint8Array.of(i >> 8, i & 0xff, 0, 1);

it("all together get no more than a bound, then as many cut ones, whoever they say they are", () => {
  const rate = new ResponseRate();
  const said = Array.from({ length: 20_000 }, (_, i) => rate.decide(0, madeUp(i)));
  expect(["answer", "cut", "drop"].map((one) => said.filter((each) => each === one).length)).toEqual([4_000, 4_000, 12_000]);
  expect(said.slice(0, 8_000).every((one) => one !== "drop"), "a resolver hears at once that it is to come by TCP").toBe(true);
  const six = Uint8Array.from({ length: 16 }, (_, i) => i);
  expect(rate.decide(60_000, six)).toBe("answer");
});

it("a network that has come by TCP is answered whatever made-up sources do, for an hour, and no more than its own", () => {
  const rate = new ResponseRate();
  rate.saw(0, from(200, 1));
  for (let i = 0; i < 50_000; i += 1) rate.decide(1_000, madeUp(i));
  expect(Array.from({ length: 300 }, (_, i) => rate.decide(1_000, from(200, i % 256))).filter((one) => one === "answer")).toHaveLength(200);
  expect(rate.decide(1_000, from(201, 1))).toBe("drop");
  for (let i = 0; i < 50_000; i += 1) rate.decide(3_600_000, madeUp(i));
  expect(rate.decide(3_600_000, from(200, 1))).not.toBe("answer");
});

it("remembers no more networks than it has room for", () => {
  const rate = new ResponseRate();
  for (let i = 0; i <= 4_096; i += 1) rate.saw(0, madeUp(i));
  for (let i = 10_000; i < 60_000; i += 1) rate.decide(0, madeUp(i));
  expect([rate.decide(0, madeUp(0)), rate.decide(0, madeUp(1))]).toEqual(["drop", "answer"]);
});

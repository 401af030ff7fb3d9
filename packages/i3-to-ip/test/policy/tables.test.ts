/** Bounded tables of the gateway: rule sets, pairs, shares of questions. */
import { describe, expect, it } from "vitest";

import { LED_MS, LedClients, MOST_PER_CLIENT } from "../../src/policy/led-clients.js";
import { QuestionShares } from "../../src/policy/question-shares.js";
import { RuleSets } from "../../src/policy/rule-sets.js";

const hit = (n: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? n : 0x20));
const real = (n: number): Uint8Array => Uint8Array.of(10, 0, n >> 8, n & 0xff);
const verdict = (port: number) => [{ admits: true, service: { protocols: [6], ports: [{ first: port, last: port }] } }];

describe("rule sets", () => {
  it("have one number for the same verdicts, behind those of earlier runs", () => {
    const sets = new RuleSets(7);
    expect([sets.of(verdict(1))?.number, sets.of(verdict(2))?.number, sets.of(verdict(1))?.number, sets.last]).toEqual([8, 9, 8, 9]);
  });

  it("give a number again only when all others have been given, and nobody has it", () => {
    const sets = new RuleSets(65_534);
    const [first, second] = [sets.of(verdict(1)), sets.of(verdict(2))];
    expect([first?.number, second?.number]).toEqual([65_535, 1]);
    expect(sets.forgetOthers(new Set(second === null ? [] : [second]))).toEqual([first]);
    expect(sets.of(verdict(1))?.number).toBe(2);
    expect(new RuleSets(65_535).of(verdict(1))?.number).toBe(1);
  });
});

describe("clients that were led somewhere", () => {
  it("keep the names, the last eight of a server", () => {
    const led = new LedClients(100);
    for (let i = 0; i < 10; i += 1) led.lead(i, hit(1), real(1), `n${i}`);
    led.lead(11, hit(1), real(1), "n5");
    expect(led.of(hit(1)).map(({ names }) => names)).toEqual([["n2", "n3", "n4", "n6", "n7", "n8", "n9", "n5"]]);
    expect(led.size).toBe(1);
  });

  it("make room among their own alone, and not for what was asked just now", () => {
    const led = new LedClients(10_000);
    led.lead(0, hit(2), real(1), "other's");
    for (let i = 0; i < MOST_PER_CLIENT; i += 1) led.lead(i === 0 ? 0 : 100_000, hit(1), real(i), "n");
    expect(led.lead(119_999, hit(1), real(9_000), "n")).toBeNull();
    expect(led.lead(120_000, hit(1), real(9_000), "n")?.gone).toMatchObject({ hit: hit(1), real: real(0) });
    expect([led.size, led.of(hit(1)).length, led.of(hit(2)).length]).toEqual([MOST_PER_CLIENT + 1, MOST_PER_CLIENT, 1]);
  });

  it("are bounded in all", () => {
    const led = new LedClients(2);
    expect([led.lead(0, hit(1), real(1), "n"), led.lead(0, hit(2), real(1), "n"), led.lead(LED_MS, hit(3), real(1), "n")].map((one) => one === null)).toEqual([false, false, true]);
    expect(led.lead(200_000, hit(1), real(2), "n")?.gone).toMatchObject({ real: real(1) });
  });

  it("end when they have not asked for a day", () => {
    const led = new LedClients(100);
    led.lead(0, hit(1), real(1), "n");
    led.lead(5, hit(1), real(2), "n");
    led.lead(9, hit(1), real(1), "n");
    expect(led.takeEnded(LED_MS + 5).map(({ real: of }) => of)).toEqual([real(2)]);
    expect(led.takeEnded(LED_MS + 9)).toHaveLength(1);
    expect([led.size, led.of(hit(1))]).toEqual([0, []]);
  });

  it("come back from an earlier run", () => {
    const [led, next] = [new LedClients(100), new LedClients(2)];
    for (const n of [1, 2, 3]) led.lead(n, hit(n), real(n), "n");
    for (const one of led.all()) next.restore(one);
    expect([next.size, next.of(hit(1)), next.of(hit(3))]).toEqual([2, [{ hit: hit(1), real: real(1), names: ["n"], askedMs: 1 }], []]);
  });
});

describe("shares of questions", () => {
  it("bound what one client has on its way, and leave others theirs", () => {
    const shares = new QuestionShares();
    expect(Array.from({ length: 40 }, () => shares.begin(0, hit(1))).filter(Boolean)).toHaveLength(32);
    expect(shares.begin(0, hit(2))).toBe(true);
    shares.end(hit(1));
    expect([shares.begin(0, hit(1)), shares.begin(0, hit(1))]).toEqual([true, false]);
    expect(shares.counters.tooMany).toBe(9);
  });

  it("bound how fast one asks", () => {
    const shares = new QuestionShares();
    const ask = (nowMs: number): boolean => {
      const may = shares.begin(nowMs, hit(1));
      if (may) shares.end(hit(1));
      return may;
    };
    expect(Array.from({ length: 300 }, () => ask(0)).filter(Boolean)).toHaveLength(200);
    expect(Array.from({ length: 300 }, () => ask(1_000)).filter(Boolean)).toHaveLength(50);
    expect(shares.counters.tooFast).toBe(350);
  });

  it("bound all of them, and forget who is idle", () => {
    const shares = new QuestionShares();
    const key = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 0xff);
    expect(Array.from({ length: 5_000 }, (_, n) => shares.begin(0, key(n))).filter(Boolean)).toHaveLength(1_024);
    for (let n = 0; n < 1_024; n += 1) shares.end(key(n));
    expect(shares.begin(0, key(9_999))).toBe(true);
  });
});

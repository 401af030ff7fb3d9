/** Bounded tables of the gateway: rule sets, pairs, shares of questions. */
import { describe, expect, it } from "vitest";

import { LED_MS, LedClients, MOST_PER_CLIENT, type Called } from "../../src/policy/led-clients.js";
import { RuleSets } from "../../src/policy/rule-sets.js";

const hit = (n: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? n : 0x20));
const real = (n: number): Uint8Array => Uint8Array.of(10, 0, n >> 8, n & 0xff);
const virtual = (n: number): Uint8Array => Uint8Array.of(10, 77, n >> 8, n & 0xff);
const verdict = (port: number) => [{ admits: true, service: { protocols: [6], ports: [{ first: port, last: port }] } }];

describe("rule sets", () => {
  it("have one number for the same verdicts, in every run", () => {
    const [sets, later] = [new RuleSets(), new RuleSets()];
    const first = sets.of(verdict(1));
    expect(sets.of(verdict(1))).toBe(first);
    expect(sets.of(verdict(2))?.number).not.toBe(first?.number);
    later.of(verdict(3));
    expect(later.of(verdict(1))?.number).toBe(first?.number);
  });

  it("never share a number, and are bounded", () => {
    const sets = new RuleSets();
    const numbers = Array.from({ length: 16_384 }, (_, i) => sets.of(verdict(i))?.number ?? 0);
    expect([new Set(numbers).size, Math.min(...numbers) > 0, Math.max(...numbers) <= 65_535]).toEqual([16_384, true, true]);
    expect([sets.of(verdict(20_000)), sets.of(verdict(5))?.number]).toEqual([null, numbers[5]]);
  });
});

describe("clients that were led somewhere", () => {
  const clients = (most: number, isAnonymous?: (hit: Uint8Array) => boolean): LedClients => new LedClients(most, isAnonymous);
  const at = (led: LedClients, nowMs: number, who: number, to: number, name = "n", as = to): ReturnType<LedClients["lead"]> => led.lead(nowMs, hit(who), real(to), { virtual: virtual(as), inside: virtual(as) }, name);
  const goneOf = (result: ReturnType<LedClients["lead"]>): readonly Uint8Array[] | string => (typeof result === "string" ? result : result.gone.map((one) => one.real));

  it("keep the names, the last eight of a server", () => {
    const led = clients(100);
    for (let i = 0; i < 10; i += 1) at(led, i, 1, 1, `n${i}`);
    at(led, 11, 1, 1, "n5");
    expect(led.of(hit(1)).map(({ names }) => names)).toEqual([["n2", "n3", "n4", "n6", "n7", "n8", "n9", "n5"]]);
    expect(led.size).toBe(1);
  });

  it("have one virtual address for a server, the last, and one server there, each client for itself", () => {
    const led = clients(100);
    at(led, 0, 1, 1, "n", 7);
    expect(at(led, 1, 1, 2, "n", 7)).toBe("taken");
    expect(goneOf(at(led, 1, 2, 2, "n", 7))).toEqual([]);
    expect(at(led, 2, 1, 1, "n", 8)).toMatchObject({ led: { called: [{ virtual: virtual(8) }] }, gone: [{ called: [{ virtual: virtual(7) }] }] });
    expect(goneOf(at(led, 3, 1, 2, "n", 7))).toEqual([]);
    expect(led.size).toBe(3);
  });

  it("call a server in both families, and lose both with it", () => {
    const called = (v: Uint8Array, inside: Uint8Array): Called => ({ virtual: v, inside });
    const led = clients(100);
    const [four, six] = [called(virtual(1), virtual(1)), called(hit(9), virtual(2))];
    led.lead(0, hit(1), real(1), four, "a");
    expect(led.lead(1, hit(1), real(1), six, "b")).toMatchObject({ led: { called: [four, six], names: ["a", "b"] }, gone: [] });
    expect([led.size, led.calledBy(hit(1), real(1), hit(9)), led.calledBy(hit(1), real(1), virtual(2))]).toEqual([1, six, undefined]);
    // Of this client, by either name of it; another one has its own.
    for (const other of [four, six, called(virtual(2), virtual(2)), called(hit(8), virtual(1))]) {
      expect(led.lead(2, hit(1), real(2), other, "c")).toBe("taken");
      expect(led.lead(2, hit(2), real(2), other, "c")).toMatchObject({ led: { hit: hit(2) } });
      for (const one of led.of(hit(2))) led.remove(one);
    }
    expect(led.lead(3, hit(1), real(1), called(hit(7), virtual(3)), "a")).toMatchObject({ gone: [{ called: [six] }], led: { called: [four, { virtual: hit(7) }] } });
    for (const one of led.takeEnded(LED_MS + 3)) expect(one.called).toHaveLength(2);
    expect([led.size, led.lead(4, hit(1), real(2), six, "c")]).toMatchObject([0, { gone: [] }]);
  });

  it("make room among their own alone, and not for what was asked just now", () => {
    const led = clients(10_000);
    at(led, 0, 2, 1);
    for (let i = 0; i < MOST_PER_CLIENT; i += 1) at(led, i === 0 ? 0 : 100_000, 1, i);
    expect(at(led, 119_999, 1, 9_000)).toBe("full");
    expect(goneOf(at(led, 120_000, 1, 9_000))).toEqual([real(0)]);
    expect([led.size, led.of(hit(1)).length, led.of(hit(2)).length]).toEqual([MOST_PER_CLIENT + 1, MOST_PER_CLIENT, 1]);
  });

  it("are bounded in all: who has most makes room for others", () => {
    const led = clients(3);
    for (const [who, to] of [[1, 1], [1, 2], [2, 1]] as const) at(led, 0, who, to);
    expect(at(led, 119_999, 3, 1)).toBe("full");
    const made = at(led, 120_000, 3, 1);
    expect(typeof made === "string" ? made : made.gone.map((one) => [one.hit, one.real])).toEqual([[hit(1), real(1)]]);
    expect([led.size, led.of(hit(3)).length]).toEqual([3, 1]);
  });

  it("count as one when nothing names them: new keys are no way to more", () => {
    const led = clients(10_000, ([, , , , , , , , , , , , , , , last]) => (last ?? 0) >= 100);
    at(led, 0, 1, 1);
    for (let i = 0; i < MOST_PER_CLIENT; i += 1) at(led, i === 0 ? 0 : 100_000, 100 + (i % 100), i);
    expect(at(led, 119_999, 250, 9_000)).toBe("full");
    const made = at(led, 300_000, 250, 9_000);
    expect(typeof made === "string" ? made : made.gone.map((one) => (one.hit[15] ?? 0) >= 100)).toEqual([true]);
    expect([led.size, led.of(hit(1)).length, led.of(hit(250)).length]).toEqual([MOST_PER_CLIENT + 1, 1, 1]);
  });

  it("count so when somebody stops naming them, and for themselves when somebody does", () => {
    let least = 1_000;
    const led = clients(10_000, ([, , , , , , , , , , , , , , , last]) => (last ?? 0) >= least);
    for (let i = 0; i < MOST_PER_CLIENT; i += 1) at(led, 0, 100 + (i % 100), i);
    expect(goneOf(at(led, 1, 250, 9_000))).toEqual([]);
    least = 100;
    led.regrade();
    expect(at(led, 2, 251, 9_001)).toBe("full");
    least = 200;
    led.regrade();
    expect([goneOf(at(led, 3, 251, 9_001)), goneOf(at(led, 3, 101, 9_001)), led.size]).toEqual([[], [], MOST_PER_CLIENT + 3]);
  });

  it("make room for one that is named, when they are most together and it is most alone", () => {
    const led = clients(5, ([, , , , , , , , , , , , , , , last]) => (last ?? 0) >= 100);
    for (const [who, to] of [[1, 1], [1, 2], [101, 1], [102, 1], [103, 1]] as const) at(led, 0, who, to);
    const made = at(led, 120_000, 2, 1);
    expect(typeof made === "string" ? made : made.gone.map((one) => one.hit[15])).toEqual([101]);
  });

  it("end when they have not asked for a day", () => {
    const led = clients(100);
    for (const [nowMs, to] of [[0, 1], [5, 2], [9, 1]] as const) at(led, nowMs, 1, to);
    expect(led.takeEnded(LED_MS + 5).map(({ real: of }) => of)).toEqual([real(2)]);
    expect(led.takeEnded(LED_MS + 9)).toHaveLength(1);
    expect([led.size, led.of(hit(1))]).toEqual([0, []]);
  });

  it("come back from an earlier run", () => {
    const [led, next] = [clients(100), clients(2)];
    for (const n of [1, 2, 3]) at(led, n, n, n);
    for (const one of [...led.all(), ...led.all()]) next.restore(one);
    expect([next.size, next.of(hit(1)), next.of(hit(3))]).toEqual([2, [{ hit: hit(1), real: real(1), called: [{ virtual: virtual(1), inside: virtual(1) }], names: ["n"], askedMs: 1 }], []]);
  });
});

it("what an earlier run called a server stays so far as it can", () => {
  const led = new LedClients(10);
  const [four, six]: readonly Called[] = [{ virtual: virtual(1), inside: virtual(1) }, { virtual: hit(9), inside: virtual(2) }];
  if (four === undefined || six === undefined) throw new Error("none");
  led.lead(0, hit(1), real(5), { virtual: virtual(2), inside: virtual(2) }, "other");
  led.restore({ hit: hit(1), real: real(1), called: [four, six], names: ["n"], askedMs: 4 });
  led.restore({ hit: hit(1), real: real(2), called: [six], names: ["n"], askedMs: 4 });
  expect(led.of(hit(1)).map(({ real: of, called }) => [of, called])).toEqual([[real(5), [{ virtual: virtual(2), inside: virtual(2) }]], [real(1), [four]]]);
});

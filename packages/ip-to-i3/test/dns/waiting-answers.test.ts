import { expect, it } from "vitest";

import { WaitingAnswers } from "../../src/dns/waiting-answers.js";

const from = (network: number, host = 1): Uint8Array => Uint8Array.of(198, network >> 8, network & 0xff, host);
/** Never found. */
const never = (signal: AbortSignal): Promise<string> => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("left"))));

it("a host that is never found, asked for by everybody, leaves to others what is theirs", async () => {
  const waiting = new WaitingAnswers();
  const flood = Array.from({ length: 5_000 }, (_, i) => waiting.wait("slow.i3", from(i), never));
  const home = waiting.wait("home.i3", from(1), () => Promise.resolve("found"));
  expect([waiting.size, await home]).toEqual([1_024, "found"]);
  expect(waiting.counters.displaced).toBe(5_000 - 1_023);
  waiting.close();
  expect(new Set(await Promise.all(flood))).toEqual(new Set([null]));
  expect(waiting.size).toBe(0);
});

it("of one host, a resolver that asks much leaves to others theirs", async () => {
  const waiting = new WaitingAnswers();
  const answered = new Map<string, (found: string) => void>();
  const later = (name: string) => (signal: AbortSignal): Promise<string> => new Promise((resolve, reject) => {
    answered.set(name, resolve);
    signal.addEventListener("abort", () => reject(new Error("left")));
  });
  const home = waiting.wait("home.i3", from(7), later("home"));
  const flood = Array.from({ length: 2_000 }, (_, i) => waiting.wait("home.i3", from(8, i & 0xff), never));
  expect([waiting.size, waiting.counters.displaced]).toEqual([17, 1_984]);
  answered.get("home")?.("found");
  expect(await home).toBe("found");
  waiting.close();
  await Promise.all(flood);
});

it("what fails is said to have failed", async () => {
  await expect(new WaitingAnswers().wait("home.i3", from(1), () => Promise.reject(new Error("gone")))).rejects.toThrow("gone");
});

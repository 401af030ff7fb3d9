/** Whose clock is wrong, by majority. */
import { makeLocator } from "@i3/common";
import type { ServerClock } from "@i3/i3-client";
import { expect, it } from "vitest";

import { clockTrouble, isUndecided } from "../../src/policy/clock.js";

const MINUTE_MS = 60_000;
/** Of servers at 192.0.2.1, 192.0.2.2 and so on; null: has not answered. */
const clocks = (aheadMinutes: readonly (number | null)[]): readonly ServerClock[] =>
  aheadMinutes.map((minutes, i) => ({ server: makeLocator(Uint8Array.of(192, 0, 2, i + 1), 5_610), aheadMs: minutes === null ? null : minutes * MINUTE_MS }));
const at = (n: number): string => `192.0.2.${n}:5610`;

it.each<[what: string, aheadMinutes: readonly (number | null)[]]>([
  ["no answer", []], ["none yet", [null, null]], ["one that agrees", [0]], ["up to five minutes", [5, -5, 4.9]],
])("nothing is wrong with %s", (_, ahead) => {
  expect(clockTrouble(clocks(ahead))).toBe(null);
});

it.each<[what: string, aheadMinutes: readonly (number | null)[], why: string]>([
  ["the only one that has answered is ahead", [null, 60, null], `60 minutes behind the servers' (the only server that has answered: ${at(2)})`],
  ["two of three are ahead", [60, 0, 61], `60 minutes behind the servers' (2 of 3 servers: ${at(1)}, ${at(3)})`],
  ["both are behind", [-30, -6], `6 minutes ahead of the servers' (2 of 2 servers: ${at(1)}, ${at(2)})`],
  ["three of five are behind, and one is ahead", [-30, 30, -30, 0, -40], `30 minutes ahead of the servers' (3 of 5 servers: ${at(1)}, ${at(3)}, ${at(5)})`],
  ["many are", [9, 9, 9, 9, 9, 9], `9 minutes behind the servers' (6 of 6 servers: ${[1, 2, 3, 4].map(at).join(", ")} and 2 more)`],
])("this machine's is wrong when %s", (_, ahead, why) => {
  expect(clockTrouble(clocks(ahead))).toMatchObject({ isOwn: true, why: `this machine's clock is ${why}`, remedy: expect.stringMatching(/^Set it, for example: timedatectl set-ntp true/) as string });
});

it("who is contradicted by one server alone hears that the server's may be wrong", () => {
  expect(clockTrouble(clocks([60]))?.remedy).toMatch(/If it is right, that server's clock is to be set/);
});

it.each<[what: string, aheadMinutes: readonly (number | null)[], which: string]>([
  ["the first of three", [60, 0, 0], `${at(1)} is 60 minutes ahead`],
  ["one of two", [0, -60], `${at(2)} is 60 minutes behind`],
  ["both of two, and they do not agree", [60, -60], `${at(1)} is 60 minutes ahead, ${at(2)} is 60 minutes behind`],
  ["two of four", [60, 0, 60, 0, null], `${at(1)} is 60 minutes ahead, ${at(3)} is 60 minutes ahead`],
])("a server's is wrong: %s", (_, ahead, which) => {
  expect(clockTrouble(clocks(ahead))).toMatchObject({ isOwn: false, why: `servers' clocks differ from this machine's: ${which}`, remedy: expect.stringMatching(/nothing is to be done here/) as string });
});

it("more may come until all have answered", () => {
  expect([[], [0, 60], [0, null]].map((ahead) => isUndecided(clocks(ahead)))).toEqual([false, false, true]);
});

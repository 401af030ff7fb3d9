/** What the host is told of its load: rates since the last time, and how full the places for strangers are. */
import type { Datapath } from "@i3/datapath";
import { newHipCounters, type HipHost } from "@i3/hip";
import { expect, it } from "vitest";

import type { MappingTable } from "../../src/mappings/mapping-table.js";
import { HipLoad } from "../../src/setup/hip-load.js";

interface Told {
  readonly nowMs: number;
  readonly i1PerSecond: number;
  readonly i2PerSecond: number;
  readonly fullness: number;
}

function bed() {
  const told: Told[] = [];
  const seen = { hipAnswered: 0, strangersPart: 0 };
  const counters = newHipCounters();
  const hip = { counters, load: (nowMs: number, i1PerSecond: number, i2PerSecond: number, fullness: number) => told.push({ nowMs, i1PerSecond, i2PerSecond, fullness }) };
  const load = new HipLoad(hip as unknown as HipHost, { counters: () => ({ hipAnswered: seen.hipAnswered }) } as unknown as Datapath, seen as unknown as MappingTable);
  return { told, seen, counters, load };
}

it("tells rates a second, of what came since it told last, whenever that was", () => {
  const { told, seen, counters, load } = bed();
  [seen.hipAnswered, counters.i2Paid] = [3_000, 40];
  load.tell(1_000);
  [seen.hipAnswered, counters.i2Paid] = [8_000, 240];
  // Half a second late, as behind a long turn of the loop.
  load.tell(2_500);
  load.tell(3_500);
  expect(told).toEqual([
    { nowMs: 1_000, i1PerSecond: 3_000, i2PerSecond: 40, fullness: 0 },
    { nowMs: 2_500, i1PerSecond: 5_000 / 1.5, i2PerSecond: 200 / 1.5, fullness: 0 },
    { nowMs: 3_500, i1PerSecond: 0, i2PerSecond: 0, fullness: 0 },
  ]);
});

it("tells nothing before a second is over, and loses nothing by it", () => {
  const { told, seen, load } = bed();
  load.tell(1_000);
  expect(load.dueMs).toBe(2_000);
  seen.hipAnswered = 500;
  for (const nowMs of [1_000, 1_001, 1_999]) load.tell(nowMs);
  expect([told.length, load.dueMs]).toEqual([1, 2_000]);
  load.tell(2_000);
  expect([told.at(-1)?.i1PerSecond, load.dueMs]).toEqual([500, 3_000]);
});

it("tells how full the places for strangers are, which alone makes puzzles harder", () => {
  const { told, seen, load } = bed();
  seen.strangersPart = 0.9;
  load.tell(1_000);
  expect(told.at(-1)).toEqual({ nowMs: 1_000, i1PerSecond: 0, i2PerSecond: 0, fullness: 0.9 });
});

/** The packed table beside a plain map, through many inserts, refreshes, removals and ends. */
import { describe, expect, it } from "vitest";

import { makeLocator, toHex, type Locator } from "@i3/common";
import { Random } from "@i3/common/testing";
import type { Lease, Refreshed, TriggerEntry } from "@i3/datapath";

import { COUNTER_MEMORY_MS, TRIGGER_LIFE_MS } from "../../src/triggers/constants.js";
import { TriggerTable, type NewTrigger, type TriggerRecord } from "../../src/triggers/trigger-table.js";

const NAMES = 24;
const STEPS = 400;
const LOCATORS: readonly Locator[] = [makeLocator(Uint8Array.of(192, 0, 2, 1), 1_000), makeLocator(Uint8Array.of(192, 0, 2, 2), 65_535), makeLocator(new Uint8Array(16).fill(0x20), 77)];

/** Four ring keys; every fifth one is a group's member, every seventh leads on to ids. */
function trigger(random: Random, name: number, counter: number): NewTrigger {
  const id = new Uint8Array(32).fill(name % 4, 0, 16).fill(name, 16);
  const bytes = new Uint8Array(16).fill(random.below(256));
  return {
    id, target: LOCATORS[random.below(LOCATORS.length)] as Locator, stack: name % 7 === 0 ? [id, new Uint8Array(32).fill(9)] : null, counter, commitment: bytes, isClaim: false,
    member: name % 5 === 0 ? new Uint8Array(32).fill(name) : null, lastMs: Infinity, isReplica: false, shortcut: name % 3 === 0,
  };
}

const textOf = ({ id, member }: Pick<NewTrigger, "id" | "member">): string => toHex(id) + (member === null ? "" : toHex(member));
const entryOf = ({ id, stack, target }: TriggerRecord): TriggerEntry => ({ id, target: stack === null ? { kind: "locator", locator: target } : { kind: "stack", ids: stack } });

describe("the trigger table", () => {
  it.each([1, 2, 3])("holds what was put in, tells the engine, and forgets in time; seed %i", (seed) => {
    const random = new Random(seed);
    const told = new Map<string, readonly TriggerEntry[]>();
    const leases = new Map<string, Lease>();
    const refreshed: Refreshed[] = [];
    const table = new TriggerTable({
      setTriggers: (key, triggers) => void told.set(toHex(key), triggers),
      setLease: (id, lease) => void (lease === null ? leases.delete(toHex(id)) : leases.set(toHex(id), lease)),
      takeRefreshed: () => refreshed.splice(0, 2),
    }, { triggers: 1_000, perSource: 1_000 }, { serves: () => true, isNew: () => false, isHandingOver: () => false });
    const model = new Map<string, TriggerRecord>();
    let [nowMs, expired] = [0, 0];
    const put = (record: TriggerRecord): void => {
      model.delete(textOf(record));
      model.set(textOf(record), record);
    };
    for (let step = 0; step < STEPS; step += 1) {
      nowMs += random.below(1_500);
      // The engine has refreshed some of what it may, which the table hears before it ends anything.
      const some = [...leases].filter(([, { endMs }]) => endMs > nowMs && random.below(8) === 0);
      for (const [text, { index }] of some) {
        const renewed = { ...(model.get(text) as TriggerRecord), index: index + 1, token: new Uint8Array(16).fill(random.below(256)), endMs: nowMs + TRIGGER_LIFE_MS };
        model.set(text, renewed);
        leases.set(text, { ...(leases.get(text) as Lease), index: renewed.index, endMs: renewed.endMs });
        refreshed.push({ id: renewed.id, token: renewed.token, index: renewed.index, atMs: nowMs, times: 3 });
      }
      expect(table.learn(nowMs)).toBe(3 * some.length);
      for (const record of [...model.values()]) {
        if (record.live && record.endMs <= nowMs) {
          put({ ...record, live: false, token: record.commitment, index: 0, endMs: nowMs + COUNTER_MEMORY_MS });
          expired += 1;
        } else if (record.endMs <= nowMs) model.delete(textOf(record));
      }
      expired -= table.expire(nowMs);
      const made = trigger(random, random.below(NAMES), step);
      const old = model.get(textOf(made));
      const what = random.below(4);
      if (what === 0) {
        table.remove(nowMs, made);
        put({ ...made, live: false, token: made.commitment, index: 0, endMs: nowMs + COUNTER_MEMORY_MS });
      } else if (what === 1 && old?.live === true) {
        const renewed = { ...old, index: old.index + 1, token: made.commitment, endMs: nowMs + TRIGGER_LIFE_MS };
        expect(table.refresh(nowMs, table.get(old) as TriggerRecord, renewed.index, renewed.token)).toBe(renewed.endMs);
        model.set(textOf(old), renewed);
      } else {
        expect(table.insert(nowMs, made)).toBe(true);
        put({ ...made, live: true, token: made.commitment, index: 0, endMs: nowMs + TRIGGER_LIFE_MS });
      }
      expect(table.get(made)).toEqual(model.get(textOf(made)));
      const live = [...model.values()].filter((record) => record.live);
      expect([table.liveCount, expired]).toEqual([live.length, 0]);
      expect(new Map([...leases].map(([text, { owner, index, endMs }]) => [text, [owner, index, endMs]]))).toEqual(
        new Map(live.filter(({ member, index }) => member === null && index > 0).map((record) => [toHex(record.id), [record.target, record.index, record.endMs]])),
      );
      const key = toHex(made.id.subarray(0, 16));
      expect(told.get(key) ?? []).toEqual(live.filter(({ id }) => toHex(id.subarray(0, 16)) === key).map(entryOf));
      expect(table.deadlineMs()).toBe(Math.min(Infinity, ...[...model.values()].map(({ endMs }) => endMs)));
    }
  });
});

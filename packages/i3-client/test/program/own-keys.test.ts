/** Which key an id is of: no more than a server takes of one, and every id known again. */
import { groupId, ringKey, toHex } from "@i3/common";
import { triggerKeyFromSeed, type TriggerKey } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { World } from "../../../../test/sim/world.js";
import { OwnKeys } from "../../src/program/own-keys.js";
import { countingBytes, filled } from "../fake-ring.js";
import { Program } from "../program.js";

const SEED = filled(32, 7);
const open = (): OwnKeys => new OwnKeys(triggerKeyFromSeed(SEED), countingBytes());
const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
/** How many ids there are of each prefix, in order. */
const perPrefix = (ids: readonly Uint8Array[]): readonly number[] => [...ids.reduce((counts, id) => counts.set(toHex(ringKey(id)), (counts.get(toHex(ringKey(id))) ?? 0) + 1), new Map<string, number>()).values()];

describe("ids without a label", () => {
  it("are of further keys when one is full, drawn all at once or inserted one by one", () => {
    const [once, byOne] = [open(), open()];
    expect(perPrefix(times(1_024, () => once.draw()))).toEqual([112, 112, 112, 112, 112, 112, 112, 112, 112, 16]);
    const ids = times(1_024, () => {
      const id = byOne.draw();
      expect(byOne.take(id)).toBe(true);
      return id;
    });
    expect(perPrefix(ids)).toEqual([112, 112, 112, 112, 112, 112, 112, 112, 112, 16]);
  });

  it("are drawn again of a key whose triggers are gone, and that are drawn and never inserted take no place for ever", () => {
    const keys = open();
    const first = keys.draw();
    for (let i = 0; i < 5_000; i += 1) keys.draw();
    times(1_000, () => keys.take(keys.draw()));
    expect(keys.take(first)).toBe(true);
    const churning = open();
    const ids = times(500, () => {
      const id = churning.draw();
      churning.take(id);
      churning.free(id);
      return id;
    });
    expect(perPrefix(ids)).toEqual([500]);
  });

  it("are known again by the same first key, and nobody else's are", () => {
    const ids = times(1_024, ((keys) => () => keys.draw())(open()));
    const again = open();
    expect(ids.filter((id) => again.keyOf(id)?.prefix.join() !== ringKey(id).join())).toEqual([]);
    const other = new OwnKeys(triggerKeyFromSeed(filled(32, 8)), countingBytes());
    expect([again.keyOf(other.draw()), again.keyOf(other.labelled("a"))]).toEqual([undefined, undefined]);
  });
});

it("1,024 triggers at ids of one connection are all live in a ring of real servers", () => {
  const world = new World({ seed: "own keys" });
  const ring = world.ring(5);
  world.run(12_000);
  const program = new Program(world, "198.51.100.1", ring);
  world.run(2_000);
  const keys = new OwnKeys(triggerKeyFromSeed(SEED), world.random);
  const ids = [...times(128, (i) => keys.labelled(`box ${i}`)), ...times(896, () => keys.draw())];
  for (const id of ids) {
    expect(keys.take(id)).toBe(true);
    program.client.insertTrigger(world.nowMs, id, { kind: "private", key: keys.keyOf(id) as TriggerKey });
  }
  const live = (): number => program.client.triggers(world.nowMs).filter((trigger) => trigger.live).length;
  for (let left = 20; left > 0 && live() < ids.length; left -= 1) world.run(500);
  const refusals = program.client.triggers(world.nowMs).filter(({ refusal }) => refusal !== null).length;
  expect([live(), refusals]).toEqual([1_024, 0]);
}, 120_000);

describe("of one key", () => {
  it("128 triggers are taken, and another when one is gone; others' ids are not counted", () => {
    const keys = open();
    const ids = times(129, (i) => keys.labelled(`box ${i}`));
    expect(ids.map((id) => keys.take(id))).toEqual([...times(128, () => true), false]);
    keys.free(ids[3] as Uint8Array);
    expect(keys.take(ids[128] as Uint8Array)).toBe(true);
    expect(times(200, () => keys.take(groupId(filled(32, 3), filled(16, 1))))).not.toContain(false);
  });
});

describe("ids at the end of stacks that lead here", () => {
  it("are of keys that nothing else is of, as many as there can be stacks", () => {
    const keys = open();
    keys.addNear(triggerKeyFromSeed(filled(32, 100)));
    const others = [...times(1_024, () => keys.draw()), keys.labelled("box"), keys.drawNear() as Uint8Array].map((id) => toHex(ringKey(id)));
    const ids = times(512, () => {
      const id = keys.drawInner();
      expect(keys.take(id)).toBe(true);
      return id;
    });
    expect(perPrefix(ids)).toEqual([112, 112, 112, 112, 64]);
    expect(ids.filter((id) => others.includes(toHex(ringKey(id))))).toEqual([]);
    expect(ids.filter((id) => keys.keyOf(id)?.prefix.join() !== ringKey(id).join())).toEqual([]);
    ids.forEach((id) => keys.free(id));
    expect(perPrefix([...ids.slice(0, 1), keys.drawInner()])).toEqual([2]);
  });
});

describe("near ids", () => {
  it("need a near key first, and another for each 112 that are in use; of ten at most", () => {
    const keys = open();
    expect(keys.drawNear()).toBeNull();
    const ids: Uint8Array[] = [];
    for (let n = 1; n <= 10; n += 1) {
      keys.addNear(triggerKeyFromSeed(filled(32, 100 + n)));
      for (let id = keys.drawNear(); id !== null && ids.length < 2_000; id = keys.drawNear()) {
        keys.take(id);
        ids.push(id);
      }
    }
    expect(perPrefix(ids).slice(0, 9)).toEqual(times(9, () => 112));
    expect(ids.slice(0, 1_008).every((id) => keys.keyOf(id) !== undefined)).toBe(true);
    keys.addNear(triggerKeyFromSeed(filled(32, 99)));
    expect(perPrefix([...ids, keys.drawNear() as Uint8Array])).toHaveLength(10);
  });
});

import { expect, it } from "vitest";

import { Deadlines } from "../../src/exchange/deadlines.js";
import { Random } from "@i3/common/testing";

it("Deadlines: always the earliest of what is set, as a plain list has it", () => {
  const random = new Random(3);
  const deadlines = new Deadlines<{ readonly n: number }>();
  const items = Array.from({ length: 40 }, (_, n) => ({ n }));
  const expected = new Map<object, number>();
  let taken = 0;
  for (let turn = 0; turn < 20_000; turn++) {
    const item = items[random.below(items.length)] as { readonly n: number };
    const dueMs = random.below(1_000);
    if (random.below(3) > 0) {
      deadlines.set(item, dueMs);
      expected.set(item, dueMs);
    } else if (random.below(2) === 0) {
      deadlines.set(item, undefined);
      expected.delete(item);
    } else {
      const found = deadlines.take(dueMs);
      const earliest = Math.min(...expected.values());
      if (earliest > dueMs) expect(found).toBeUndefined();
      else {
        expect(expected.get(found as object)).toBe(earliest);
        expected.delete(found as object);
        taken++;
      }
    }
    expect(deadlines.next()).toBe(expected.size === 0 ? undefined : Math.min(...expected.values()));
  }
  expect(taken).toBeGreaterThan(1_000);
});

/** Work in turn. */
import { expect, it } from "vitest";

import { Turns } from "../../src/program/turns.js";

it("begins so much at once, the rest in order when something is done, and nothing that is not wanted any more", () => {
  const turns = new Turns(2);
  const begun: number[] = [];
  const done = [1, 2, 3, 4, 5].map((n) => turns.take(() => void begun.push(n)));
  expect(begun).toEqual([1, 2]);
  done[2]?.();
  done[1]?.();
  done[1]?.();
  expect(begun).toEqual([1, 2, 4]);
  done[0]?.();
  expect(begun).toEqual([1, 2, 4, 5]);
  done[3]?.();
  done[4]?.();
  turns.take(() => void begun.push(6));
  expect(begun).toEqual([1, 2, 4, 5, 6]);
});

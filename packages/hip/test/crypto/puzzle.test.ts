import { fromHex, toHex } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { checkSolution, PuzzleSearch, RHASH_BYTES, type Rhash } from "../../src/index.js";
import { KNOWN } from "./known-answers.js";

const rows = KNOWN.puzzle.map((row) => ({
  ...row, i: fromHex(row.i), hitI: fromHex(row.hitI), hitR: fromHex(row.hitR), start: fromHex(row.start), j: fromHex(row.j),
}));

describe("a puzzle", () => {
  it.each(rows)("of $difficulty bits under $rhash is solved as the other program solves it", ({ rhash, difficulty, i, hitI, hitR, start, j, tries }) => {
    const search = new PuzzleSearch(rhash, { difficulty, random: i }, hitI, hitR, start);
    let found: Uint8Array | null = null;
    while (found === null && search.tries < 2 * tries) found = search.step(1_000);
    expect(found).toEqual(j);
    expect(search.tries).toBe(tries);
    found?.fill(0); // the caller's own
    expect(search.step(1)).toEqual(j);
    expect(search.tries).toBe(tries);
  });

  it.each(rows)("of $difficulty bits under $rhash takes as many zero bits as there are and not one more", ({ rhash, i, hitI, hitR, j, zeroBits }) => {
    for (let bits = 0; bits <= zeroBits; bits++) expect(checkSolution(rhash, i, hitI, hitR, j, bits)).toBe(true);
    for (let bits = zeroBits + 1; bits <= RHASH_BYTES[rhash] * 8 + 1; bits++) expect(checkSolution(rhash, i, hitI, hitR, j, bits)).toBe(false);
  });

  it("is bound to both HITs in their roles, to #I and to #J", () => {
    for (const { rhash, difficulty, i, hitI, hitR, j } of rows.filter((row) => row.difficulty >= 12)) {
      const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 5 ? byte ^ 1 : byte));
      expect(checkSolution(rhash, i, hitR, hitI, j, difficulty)).toBe(false);
      expect(checkSolution(rhash, flipped(i), hitI, hitR, j, difficulty)).toBe(false);
      expect(checkSolution(rhash, i, flipped(hitI), hitR, j, difficulty)).toBe(false);
      expect(checkSolution(rhash, i, hitI, flipped(hitR), j, difficulty)).toBe(false);
      expect(checkSolution(rhash, i, hitI, hitR, flipped(j), difficulty)).toBe(false);
      expect(checkSolution(rhash, j, hitI, hitR, i, difficulty)).toBe(false);
    }
  });

  it.each(["sha256", "sha384"] as const)("under %s is searched in steps of any size to the same end", (rhash: Rhash) => {
    const row = rows.find((one) => one.rhash === rhash && one.difficulty === 9);
    if (row === undefined) throw new Error("no such row");
    for (const size of [1, 7, row.tries - 1, row.tries, row.tries + 1]) {
      const search = new PuzzleSearch(rhash, { difficulty: 9, random: row.i }, row.hitI, row.hitR, row.start);
      for (let done = size; done < row.tries; done += size) expect(search.step(size)).toBeNull();
      expect(search.step(size)).toEqual(row.j);
    }
  });

  it("is searched past the greatest number, without touching what it was given", () => {
    const { i, hitI, hitR } = rows[0] ?? expect.fail();
    const start = new Uint8Array(32).fill(0xff);
    const search = new PuzzleSearch("sha256", { difficulty: 6, random: i }, hitI, hitR, start);
    const found = search.step(100_000) ?? expect.fail();
    expect(checkSolution("sha256", i, hitI, hitR, found, 6)).toBe(true);
    expect(search.tries).toBeGreaterThan(1);
    expect(toHex(found)).toBe((BigInt(search.tries) - 2n).toString(16).padStart(64, "0"));
    expect(start).toEqual(new Uint8Array(32).fill(0xff));
  });

  it("is no solution in parts of a wrong length, or of an impossible difficulty", () => {
    const { i, hitI, hitR, j } = rows[0] ?? expect.fail();
    expect(checkSolution("sha256", i, hitI, hitR, j, 0)).toBe(true);
    expect(checkSolution("sha384", i, hitI, hitR, j, 0)).toBe(false);
    for (const difficulty of [-1, 0.5, Number.NaN, 257]) expect(checkSolution("sha256", i, hitI, hitR, j, difficulty)).toBe(false);
    const any = fc.uint8Array({ maxLength: 49 });
    fc.assert(fc.property(any, any, any, any, (a, b, c, d) => {
      fc.pre(a.length !== 32 || b.length !== 16 || c.length !== 16 || d.length !== 32);
      expect(checkSolution("sha256", a, b, c, d, 0)).toBe(false);
      expect(() => new PuzzleSearch("sha256", { difficulty: 0, random: a }, b, c, d)).toThrow(RangeError);
    }), { seed: 1 });
    for (const difficulty of [-1, 0.5, 257]) expect(() => new PuzzleSearch("sha256", { difficulty, random: i }, hitI, hitR, j)).toThrow(RangeError);
    for (const tries of [0, -1, 0.5, Number.POSITIVE_INFINITY]) expect(() => new PuzzleSearch("sha256", { difficulty: 1, random: i }, hitI, hitR, j).step(tries)).toThrow(RangeError);
  });
});

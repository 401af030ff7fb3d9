/** RFC 4303 §3.4.3 and appendix A2.2. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { REPLAY_WINDOW, ReplayWindow } from "../../src/reference/replay-window.js";

const W = BigInt(REPLAY_WINDOW);
const RANGE = 1n << 32n;
const low = (sequence: bigint): number => Number(BigInt.asUintN(32, sequence));

/** A window whose highest number is `highest`, alone. */
function windowAt(highest: bigint): ReplayWindow {
  const window = new ReplayWindow();
  if (highest > 0n) window.accept(highest);
  return window;
}

describe("the high half", () => {
  it.each<readonly [string, bigint, number, bigint | null]>([
    ["nothing came: the first", 0n, 1, 1n],
    ["nothing came: 0 is none", 0n, 0, null],
    ["nothing came: far ahead, but not below", 0n, low(-W), RANGE - W],
    ["nothing came: below 0", 0n, low(-W + 1n), null],
    ["low window, below 0", W - 2n, 0xffff_ffff, null],
    ["low window, its bottom is 0, which is none", W - 1n, 0, null],
    ["low window, top of the range is ahead now", W - 1n, 0xffff_ffff, RANGE - 1n],
    ["the bottom of the window", 20_000n, low(20_000n - W + 1n), 20_000n - W + 1n],
    ["below the window: the next round", 20_000n, low(20_000n - W), RANGE + 20_000n - W],
    ["just above", 20_000n, 20_001, 20_001n],
    ["itself", 20_000n, 20_000, null],
    ["the end of a round", RANGE - 2n, 0xffff_ffff, RANGE - 1n],
    ["over the end of a round", RANGE - 1n, 0, RANGE],
    ["far over it", RANGE - 1n, low(-W - 1n), 2n * RANGE - W - 1n],
    ["back over the start of a round", RANGE + 5n, 0xffff_ffff, RANGE - 1n],
    ["back over it, bottom", RANGE + 5n, low(RANGE + 5n - W + 1n), RANGE + 5n - W + 1n],
    ["back over it, below the bottom", RANGE + 5n, low(RANGE + 5n - W), 2n * RANGE + 5n - W],
    ["last number of all", (1n << 64n) - 2n, 0xffff_ffff, (1n << 64n) - 1n],
    ["beyond the last of all", (1n << 64n) - 1n, 0, null],
  ])("%s", (_, highest, given, expected) => {
    expect(windowAt(highest).infer(given)).toBe(expected);
  });
});

it("agrees with a set of all numbers that came", () => {
  const start = fc.constantFrom(0n, 5n, W, RANGE - 10n, RANGE + 3n, 7n * RANGE - W / 2n);
  const steps = fc.array(fc.bigInt(-W - 5n, W + 5n), { maxLength: 60 });
  fc.assert(
    fc.property(start, steps, (base, offsets) => {
      const window = windowAt(base);
      const came = new Set<bigint>([base]);
      let highest = base;
      for (const offset of offsets) {
        const sequence = highest + offset;
        const isFresh = sequence > 0n && sequence > highest - W && !came.has(sequence);
        const inferred = sequence > highest - W && sequence >= 0n ? window.infer(low(sequence)) : null;
        expect(inferred).toBe(isFresh ? sequence : null);
        if (!isFresh) continue;
        window.accept(sequence);
        came.add(sequence);
        if (sequence > highest) highest = sequence;
      }
    }),
    { numRuns: 300 },
  );
});

it.each([1n, 2n, 100n, W - 1n, W, W + 1n, 3n * W])("a jump of %d forgets what it passes, and nothing else", (jump) => {
  const window = windowAt(0n);
  for (let sequence = 1n; sequence <= W; sequence++) window.accept(sequence);
  const highest = W + jump;
  window.accept(highest);
  const cameBefore = (sequence: bigint): boolean => sequence <= W || sequence === highest;
  for (let sequence = highest - W + 1n; sequence <= highest; sequence++) expect(window.infer(low(sequence))).toBe(cameBefore(sequence) ? null : sequence);
});

import { expect, it, vi } from "vitest";

import { WakeWatch, watchWaking } from "../../src/io/wake-watch.js";

it("a sleep is noticed once, a busy moment and a clock that is set back are none", () => {
  const clocks = { wall: 1e12, monotonic: 500 };
  const watch = new WakeWatch({ wallMs: () => clocks.wall, monotonicMs: () => clocks.monotonic });
  const pass = (wallMs: number, monotonicMs: number): number => {
    clocks.wall += wallMs;
    clocks.monotonic += monotonicMs;
    return watch.look();
  };
  expect([pass(1_000, 1_000), pass(30_000, 30_000), pass(4_000, 1_000), pass(3_600_000, 1_000), pass(1_000, 1_000), pass(-7_200_000, 1_000), pass(8_000, 1_000)]).toEqual([0, 0, 0, 3_599_000, 0, 0, 7_000]);
});

it("who watches is told within a second of waking, once, for how long it was", () => {
  vi.useFakeTimers();
  try {
    const told: number[] = [];
    const watch = watchWaking((sleptMs) => void told.push(Math.round(sleptMs / 1_000)));
    vi.advanceTimersByTime(3_000);
    vi.setSystemTime(Date.now() + 60_000);
    vi.advanceTimersByTime(1_000);
    expect(told).toEqual([60]);
    vi.advanceTimersByTime(10_000);
    watch.close();
    vi.setSystemTime(Date.now() + 60_000);
    vi.advanceTimersByTime(2_000);
    expect(told).toEqual([60]);
  } finally {
    vi.useRealTimers();
  }
});

/** How long nothing came, and whose fault it was. */
import { describe, expect, it } from "vitest";

import { busySpans, lostOf, recoveryOf, stallOf, type Arrival } from "../src/handover/probe.js";

/** One each 5 ms that takes 10 ms, but for those that are lost or come later. */
const stream = (count: number, changes: Readonly<Record<number, Partial<Arrival> | null>> = {}): readonly Arrival[] =>
  Array.from({ length: count }, (_, number) => (changes[number] === null ? [] : [{ number, sentMs: number * 5, cameMs: number * 5 + 10, ...changes[number] }])).flat();
const window = { fromMs: 100, toMs: 500 };
const lost = (from: number, to: number): Record<number, null> => Object.fromEntries(Array.from({ length: to - from }, (_, i) => [from + i, null]));

describe("the stall of a stream", () => {
  it("is an interval where nothing happens", () => {
    expect(stallOf({ arrivals: stream(200) }, window)).toMatchObject({ gapMs: 5, ownGapMs: 5 });
  });

  it("is the time without what was lost", () => {
    const arrivals = stream(200, lost(40, 60));
    expect(stallOf({ arrivals }, window)).toEqual({ gapMs: 105, overAfterMs: 210, ownGapMs: 105 });
    expect([0, 150, 400].map((fromMs) => lostOf({ sent: 200, arrivals }, { fromMs }))).toEqual([20, 20, 0]);
  });

  it("goes on to the end of the window when nothing comes any more", () => {
    expect(stallOf({ arrivals: stream(40) }, window)).toMatchObject({ gapMs: 295, overAfterMs: 400, ownGapMs: 295 });
    expect(stallOf({ arrivals: [] }, window)).toMatchObject({ gapMs: 400 });
  });

  it("is not the sender's when it was late", () => {
    const late = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [40 + i, { sentMs: 250, cameMs: 260 }]));
    expect(stallOf({ arrivals: stream(200, late) }, window)).toMatchObject({ gapMs: 55, ownGapMs: 5 });
  });

  it("is not its own while other packets did not come either", () => {
    const stopped = { arrivals: stream(200, Object.fromEntries(Array.from({ length: 10 }, (_, i) => [40 + i, { cameMs: 260 }]))) };
    const busy = busySpans(stopped, window);
    expect(busy).toMatchObject([{ fromMs: 205, toMs: 260 }]);
    expect(stallOf(stopped, window, busy).ownGapMs).toBe(5);
    expect(stallOf({ arrivals: stream(200, lost(38, 60)) }, window, busy)).toMatchObject({ gapMs: 115, ownGapMs: 60 });
  });
});

describe("what comes back after an event", () => {
  const event = { fromMs: 200, toMs: 600 };
  it("is the first that was sent after it, and how even the stream is from then on", () => {
    expect(recoveryOf({ arrivals: stream(200, { ...lost(40, 60), ...lost(70, 90) }) }, event)).toEqual({ afterMs: 110, behindMs: 105 });
    // What was sent before the event says nothing.
    expect(recoveryOf({ arrivals: stream(200, { 38: { cameMs: 202 } }) }, event)).toEqual({ afterMs: 15, behindMs: 5 });
  });

  it("does not count the silence before the first packet as behind it", () => {
    expect(recoveryOf({ arrivals: stream(200, lost(38, 80)) }, event)).toEqual({ afterMs: 210, behindMs: 5 });
  });

  it("is silent to the end when nothing comes, or nothing more", () => {
    expect(recoveryOf({ arrivals: stream(40) }, event)).toEqual({ afterMs: 400, behindMs: 400 });
    expect(recoveryOf({ arrivals: stream(42) }, event)).toEqual({ afterMs: 15, behindMs: 385 });
  });
});

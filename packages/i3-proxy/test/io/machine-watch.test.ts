/** What the daemon tells its core of the machine that it runs on. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { watchMachine } from "../../src/io/machine-watch.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched() {
  const calls: unknown[] = [];
  const lines: unknown[] = [];
  let address = Uint8Array.of(192, 0, 2, 10);
  let changed = (): void => undefined;
  const watch = watchMachine({
    io: {
      listAddresses: (family) => (family === 4 ? [{ index: 2, name: "eth0", address, prefixBits: 24 }] : []),
      listRoutes: (family) => (family === 4 ? [{ type: "unicast", destination: new Uint8Array(4), prefixBits: 0, gateway: null, index: 2, table: 254, metric: 0, protocol: 2 }] : []),
      watchNetlink: (callback) => {
        changed = () => callback(["address"]);
        return { close: () => (changed = () => undefined) };
      },
    },
    tunIndex: 9, listen: new Uint8Array(16), log: (_level, event, fields) => void lines.push([event, fields]),
    run: (work) => work({ setPlaces: (nowMs, places) => void calls.push(["places", nowMs, ...places.flatMap(({ addresses }) => addresses.map((each) => each.at(-1)))]), awake: (nowMs) => void calls.push(["awake", nowMs]) }, 7),
  });
  return {
    calls, lines, watch,
    move: () => {
      address = Uint8Array.of(192, 0, 2, 11);
      changed();
    },
    sleep: () => void vi.setSystemTime(Date.now() + 60_000),
  };
}

it("the core hears at once from where this machine can send, when that changes, and when it has slept, until the watch is closed", () => {
  const { calls, lines, watch, move, sleep } = watched();
  expect(calls.splice(0)).toEqual([["places", 7, 10]]);
  vi.advanceTimersByTime(10_000);
  expect([calls, lines]).toEqual([[], []]);
  sleep();
  vi.advanceTimersByTime(1_000);
  expect([calls.splice(0), lines]).toEqual([[["awake", 7]], [["awake", { sleptS: 60 }]]]);
  move();
  vi.advanceTimersByTime(1_000);
  expect(calls.splice(0)).toEqual([["places", 7, 11]]);
  watch.close();
  sleep();
  move();
  vi.advanceTimersByTime(10_000);
  expect([calls, lines.length]).toEqual([[], 1]);
});

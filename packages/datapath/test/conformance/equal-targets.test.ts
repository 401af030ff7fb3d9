/** Triggers at one id that lead to the same place make one copy in both engines: to an address, or on with equal ids. */
import { makeLocator } from "@i3/common";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { LIMITS, type TriggerEntry } from "../../src/datapath.js";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { COPY_BUDGET } from "../../src/wire/data-header.js";
import { dataPacket } from "../reference/harness.js";
import { bytes, ip4, makeId } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";

const RING_BYTE = 9;
const RING_KEY = makeId(RING_BYTE).slice(0, 16);
const IDS = [makeId(RING_BYTE, 1), makeId(RING_BYTE, 2), makeId(RING_BYTE, 3)];
const ENDS = [makeId(0x31, 1), makeId(0x32, 1)] as const;
const address = (port: number): TriggerEntry["target"] => ({ kind: "locator", locator: makeLocator(ip4("192.0.2.1"), port) });
const stack = (...ids: readonly Uint8Array[]): TriggerEntry["target"] => ({ kind: "stack", ids });
const [X, Y] = ENDS;
/** Each makes one packet out. */
const TARGETS = [address(1), address(2), stack(X), stack(Y), stack(X, Y), stack(Y, X), stack(X, X)];
const from = (id: Uint8Array): RawDatagram => ({ bytes: dataPacket({ ids: [id] }, bytes(1)), segmentBytes: 0, endpoint: encodeEndpoint(makeLocator(ip4("192.0.2.66"), 4_000)), trafficClass: 0 });

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  pair.change("setResponsibility", (engine) => engine.setResponsibility({ kind: "all" }));
  for (const [i, end] of ENDS.entries()) pair.change("setTriggers", (engine) => engine.setTriggers(end.subarray(0, 16), [{ id: end, target: address(100 + i) }]));
});
afterEach(() => pair.close());
const set = (triggers: readonly TriggerEntry[]): void => void pair.change("setTriggers", (engine) => engine.setTriggers(RING_KEY, triggers));

it("whatever else is at this id and its neighbours, in any order", () => {
  const trigger = fc.record({ id: fc.nat(IDS.length - 1), target: fc.nat(TARGETS.length - 1) });
  fc.assert(
    fc.property(fc.array(trigger, { minLength: 1, maxLength: 12 }), (triggers) => {
      set(triggers.map(({ id, target }) => ({ id: IDS[id]!, target: TARGETS[target]! })));
      for (const at of new Set(triggers.map(({ id }) => id))) {
        const distinct = new Set(triggers.filter(({ id }) => id === at).map(({ target }) => target)).size;
        expect(pair.step(1, [], [from(IDS[at]!)], true)).toHaveLength(distinct);
      }
    }),
    { numRuns: 200 },
  );
});

it("a whole group that leads on to one id is one copy with all of the budget, and costs its source nothing", () => {
  set(Array.from({ length: LIMITS.triggersPerRingKey }, () => ({ id: IDS[0]!, target: stack(X) })));
  for (let i = 0; i < 400; i += 1) expect(pair.step(0, [], [from(IDS[0]!)], true).map((packet) => packet[3])).toEqual([COPY_BUDGET]);
  expect(pair.counters().drops.rate).toBe(0);
});

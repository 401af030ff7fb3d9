/** Both engines serve the triggers of one id, the nearest by XOR, also where several ids share equally many bits with the packet's. */
import { makeLocator } from "@i3/common";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { dataPacket } from "../reference/harness.js";
import { bytes, ip4, makeId } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";

const RING_BYTE = 9;
const RING_KEY = makeId(RING_BYTE).slice(0, 16);
/** Of few bits that differ, so that many are equally near by their prefixes. */
const suffix = fc.tuple(fc.constantFrom(0, 0x40, 0x80, 0xc0, 0xff), fc.nat(3), fc.constantFrom(0, 0x10, 0xf0));
const from = (ids: readonly Uint8Array[]): RawDatagram => ({ bytes: dataPacket({ ids }, bytes(1)), segmentBytes: 0, endpoint: encodeEndpoint(makeLocator(ip4("192.0.2.66"), 4_000)), trafficClass: 0 });

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  pair.change("setResponsibility", (engine) => engine.setResponsibility({ kind: "all" }));
});
afterEach(() => pair.close());

it("is one alone", () => {
  fc.assert(
    fc.property(fc.uniqueArray(suffix, { minLength: 1, maxLength: 12, selector: String }), fc.array(suffix, { minLength: 1, maxLength: 8 }), (suffixes, wanted) => {
      const triggers = suffixes.map((each, i) => ({ id: makeId(RING_BYTE, ...each), target: { kind: "locator", locator: makeLocator(ip4("192.0.2.1"), i + 1) } }) as const);
      pair.change("setTriggers", (engine) => engine.setTriggers(RING_KEY, triggers));
      const before = pair.counters().udpOut;
      pair.step(1, [], wanted.map((each) => from([makeId(RING_BYTE, ...each)])), true);
      expect(pair.counters().udpOut - before).toBe(wanted.length);
    }),
    { numRuns: 200 },
  );
});

/** Where sequence numbers end (docs/wire.md §7, "Sender"): both engines send nothing with a number that was used, whatever is set. */
import { afterEach, beforeEach, expect, it } from "vitest";

import { CHECKSUM } from "../../src/reference/step.js";
import { risen } from "../reference/harness.js";
import { OWN, PEER, udpTo, v4 } from "../reference/service-packets.js";
import { plainArrival } from "./arrival-recipes.js";
import { EnginePair } from "./engine-pair.js";
import { LOCATORS, NAMES, SPIS, TRANSFORMS } from "./pools.js";

const END = 1n << 64n;
const NAME = NAMES[0];

let pair: EnginePair;
beforeEach(() => (pair = new EnginePair()));
afterEach(() => pair.close());

it.each(TRANSFORMS.map((transform, i) => [`${i}: ${transform.kind}`, transform] as const))("transform %s", (_, transform) => {
  const association = { transform, spi: SPIS[0], beet: null, checksumState: false } as const;
  const set = (more: object): unknown => pair.change("setOutboundAssociation", (engine) => engine.setOutboundAssociation(NAME, { ...association, ...more }));
  const send = (count: number): readonly Uint8Array[] => pair.step(1, Array.from({ length: count }, (__, i) => plainArrival(v4(17, udpTo(1, 1 + i)), CHECKSUM.complete)), [], false);
  pair.change("setFlow", (engine) => engine.setFlow(PEER, { action: "esp", association: NAME, header: null, locator: LOCATORS[1]!, source: OWN }));
  set({ firstSequence: END - 3n });
  const before = pair.counters().drops;
  // SPI and the low half of the number.
  expect(send(5).map((packet) => Buffer.from(packet).readUInt32BE(4))).toEqual([0xffff_fffd, 0xffff_fffe, 0xffff_ffff]);
  expect(risen(before, pair.counters().drops)).toEqual({ sequence: 2 });
  for (const more of [{}, { firstSequence: 1n }, { spi: SPIS[1] }]) {
    set(more);
    expect(send(1)).toEqual([]);
  }
  expect(risen(before, pair.counters().drops)).toEqual({ sequence: 5 });
  // New keys begin anew.
  set({ transform: transform === TRANSFORMS[0] ? TRANSFORMS[1]! : TRANSFORMS[0]! });
  expect(send(1).map((packet) => Buffer.from(packet).readUInt32BE(4))).toEqual([1]);
});

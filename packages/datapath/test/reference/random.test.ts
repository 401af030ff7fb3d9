import fc from "fast-check";
import { describe, it } from "vitest";
import { RandomWorld } from "./random-world.js";

describe("random packets and tables", () => {
  it.each([
    ["one trigger an id: each input is counted exactly once as output, upcall, queue or drop", false],
    ["many triggers an id: each input has an end, and copies are bounded", true],
  ] as const)("never throw; %s", (_, multicast) => {
    fc.assert(
      fc.property(fc.nat(0x7fff_ffff), (seed) => {
        const world = new RandomWorld(seed, multicast);
        for (let turn = 0; turn < 150; turn++) world.turn();
      }),
      { numRuns: 40, endOnFailure: true },
    );
  });
});

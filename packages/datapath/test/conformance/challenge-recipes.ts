/** Requests for a challenge, good and otherwise, and what they are answered by, as fast-check makes them. */
import fc from "fast-check";
import { encodeControl } from "@i3/common";
import type { ChallengeAnswers, Responsibility } from "../../src/datapath.js";
import { data } from "../reference/packets.js";
import { damaged, damages, type Damage } from "./packet-recipes.js";
import { LOCATORS, nonceOf, ringKeyOf } from "./pools.js";

export const challengeAnswers = (ranges: fc.Arbitrary<Responsibility>): fc.Arbitrary<ChallengeAnswers | null> =>
  fc.option(
    fc.record({ range: ranges, secret: fc.nat(3).map((seed) => data(32, seed)), nodeKey: fc.nat(3).map((seed) => data(16, seed)), wallOffsetMs: fc.constantFrom(0, 60, 60_000, 4_294_960_000, 1_700_000_000_000, 1_700_000_000_000) }),
    { freq: 8 },
  );

export interface ChallengeRecipe {
  readonly ring: number;
  readonly from: number;
  readonly flags: number;
  readonly damage: Damage;
  /** So many bytes; null: as padded. */
  readonly length: number | null;
}

export const challengeRecipes: fc.Arbitrary<ChallengeRecipe> = fc.record({
  ring: fc.nat(3),
  from: fc.nat(LOCATORS.length - 1),
  flags: fc.constantFrom(0, 0, 0, 2, 2, 1, 3, 0x80, 0x102, 0xffff),
  damage: damages,
  length: fc.oneof({ arbitrary: fc.constant(null), weight: 3 }, { arbitrary: fc.integer({ min: 90, max: 112 }), weight: 1 }),
});

export function challengeRequestOf({ ring, flags, damage, length }: ChallengeRecipe): Uint8Array {
  const whole = encodeControl({ type: "CHALLENGE_REQUEST", ringKey: ringKeyOf(ring), flags }, nonceOf(flags & 0xff));
  return damaged(whole.subarray(0, length ?? whole.length), damage);
}

/** Leases, and refreshes of them, good and otherwise, as fast-check makes them. */
import fc from "fast-check";
import { domainHash, encodeControl, type Locator } from "@i3/common";
import type { Lease, RefreshAnswers, Responsibility } from "../../src/datapath.js";
import { damaged, damages, type Damage } from "./packet-recipes.js";
import { idOf, LOCATORS, nonceOf } from "./pools.js";

/** Long enough for what a program of random steps can reach: indexes of one, two and three bytes. */
const LAST = 330;
const CHAIN = (() => {
  const values = [new Uint8Array(16).fill(5)];
  for (let i = 0; i < LAST; i += 1) values.unshift(domainHash("refresh", values[0] as Uint8Array).slice(0, 16));
  return values;
})();
/** Of one chain for all leases; hashed once it is that of the number before. */
export const tokenAt = (index: number): Uint8Array => CHAIN[Math.min(LAST, index)] as Uint8Array;

const indexes = fc.oneof({ arbitrary: fc.constantFrom(0, 1, 60, 100, 127, 128, 190, 255, 256, 300), weight: 3 }, { arbitrary: fc.nat(LAST), weight: 1 });

export const leases: fc.Arbitrary<Lease | null> = fc.option(
  fc.record({ owner: fc.constantFrom(...LOCATORS), index: indexes, endMs: fc.constantFrom(1_500, 2_500, 10_000, 60_000), isReplica: fc.boolean() }).map((lease) => ({ ...lease, token: tokenAt(lease.index) })),
  { freq: 6 },
);

const [OF_IPV4, OF_IPV6] = [4, 16].map((bytes) => LOCATORS.filter(({ address }) => address.length === bytes)) as [Locator[], Locator[]];

export const refreshAnswers = (ranges: fc.Arbitrary<Responsibility>): fc.Arbitrary<RefreshAnswers | null> =>
  fc.option(fc.record({ range: ranges, replicas: fc.tuple(fc.subarray(OF_IPV4, { maxLength: 1 }), fc.subarray(OF_IPV6, { maxLength: 1 })).map((pair) => pair.flat()), lifeMs: fc.constantFrom(30_000, 30_000, 1_500, 100, 200, 65_535) }), { freq: 8 });

export interface RefreshRecipe {
  readonly id: number;
  readonly from: number;
  readonly index: number;
  /** What the token is of, beside the index. */
  readonly tokenOff: number;
  readonly isMembers: boolean;
  readonly damage: Damage;
  /** Without padding, and so many bytes less. */
  readonly cut: number | null;
}

export const refreshRecipes: fc.Arbitrary<RefreshRecipe> = fc.record({
  id: fc.oneof({ arbitrary: fc.nat(1), weight: 3 }, { arbitrary: fc.nat(9), weight: 1 }),
  from: fc.oneof({ arbitrary: fc.nat(1), weight: 3 }, { arbitrary: fc.nat(LOCATORS.length - 1), weight: 1 }),
  index: indexes,
  tokenOff: fc.oneof({ arbitrary: fc.constant(0), weight: 8 }, { arbitrary: fc.constantFrom(1, 2), weight: 1 }),
  isMembers: fc.oneof({ arbitrary: fc.constant(false), weight: 12 }, { arbitrary: fc.constant(true), weight: 1 }),
  damage: damages,
  cut: fc.option(fc.nat(4), { freq: 3 }).map((value) => value),
});

export function refreshOf({ id, index, tokenOff, isMembers, damage, cut }: RefreshRecipe): Uint8Array {
  const whole = encodeControl({ type: "REFRESH", id: idOf(id), index, token: tokenAt(index + tokenOff), member: isMembers ? new Uint8Array(32) : null }, nonceOf(index));
  const length = cut === null ? whole.length : 16 + (whole[5] ?? 0) - cut;
  return damaged(whole.subarray(0, length), damage);
}

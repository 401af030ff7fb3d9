import { expect, it } from "vitest";

import { makeLocator, type Locator } from "@i3/common";
import type { HipPath } from "@i3/hip";
import type { ServerStatus } from "@i3/i3-client";

import type { Mapping } from "../../src/mappings/mapping.js";
import { isStraightAllowed, witnesses } from "../../src/setup/straight-ways.js";

const OVER_I3: HipPath = { kind: "i3", id: new Uint8Array(32) };
const PAST_I3: HipPath = { kind: "udp", locator: { address: Uint8Array.of(198, 51, 100, 2), port: 10_500 } };

it.each([
  [true, true, OVER_I3, true], [false, true, OVER_I3, false], [true, false, OVER_I3, false], [true, true, PAST_I3, false],
] as const)("packets may go past i3 when our rules say %s, both flags say %s, and the way is %o: %s", (isByRules, shortcuts, path, isAllowed) => {
  expect(isStraightAllowed({ policy: { shortcut: isByRules } } as Mapping, { shortcuts, path })).toBe(isAllowed);
});

it("servers that were only heard of are asked where they see this host when no other lives: who named them may have named any that agrees with it", () => {
  const [one, two, three] = [1, 2, 3].map((last) => makeLocator(Uint8Array.of(192, 0, 2, last), 5_610)) as [Locator, Locator, Locator];
  const asked = (...alive: readonly (readonly [Locator, number])[]): readonly Locator[] =>
    witnesses({ configuredServers: () => [one, two], servers: () => alive.map(([locator, rttMs]) => ({ locator, rttMs, liveness: "alive" }) as ServerStatus) });
  expect(asked([three, 1], [one, 30], [two, 20])).toEqual([two, one]);
  expect(asked([three, 1], [one, 30])).toEqual([one]);
  expect(asked([three, 1])).toEqual([three]);
});

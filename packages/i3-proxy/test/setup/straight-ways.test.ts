import { expect, it } from "vitest";

import type { HipPath } from "@i3/hip";

import type { Mapping } from "../../src/mappings/mapping.js";
import { isStraightAllowed } from "../../src/setup/straight-ways.js";

const OVER_I3: HipPath = { kind: "i3", id: new Uint8Array(32) };
const PAST_I3: HipPath = { kind: "udp", locator: { address: Uint8Array.of(198, 51, 100, 2), port: 10_500 } };

it.each([
  [true, true, OVER_I3, true], [false, true, OVER_I3, false], [true, false, OVER_I3, false], [true, true, PAST_I3, false],
] as const)("packets may go past i3 when our rules say %s, both flags say %s, and the way is %o: %s", (isByRules, shortcuts, path, isAllowed) => {
  expect(isStraightAllowed({ policy: { shortcut: isByRules } } as Mapping, { shortcuts, path })).toBe(isAllowed);
});

/** What two hosts of ours make of each other's flags (docs/wire.md §9.3). */
import { expect, it } from "vitest";

import { agreed } from "../../src/exchange/i3-extras.js";

const preferences = (flags: number) => ({ flags, own4: new Uint8Array(4), own6: new Uint8Array(16), peer4: new Uint8Array(4), peer6: new Uint8Array(16) });

it.each([
  [0x0000, 0x000f, null, false, false],
  [0x0004, 0x0004, 4, false, false],
  [0x0008, 0x0008, 6, false, false],
  [0x000c, 0x000c, 4, false, false],
  [0x000c, 0x0008, 6, false, false],
  [0x0004, 0x0008, null, false, false],
  [0x0002, 0x0006, null, true, false],
  [0xfff2, 0xfff2, null, true, false],
  [0x0001, 0x0001, null, false, true],
])("flags %i and %i: BEET for family %o, state of checksums %o, shortcuts %o", (own, peer, beet, checksumState, shortcuts) => {
  for (const [a, b] of [[own, peer], [peer, own]] as const) expect(agreed(preferences(a), preferences(b))).toEqual({ beet, checksumState, shortcuts });
});

it("a host without preferences agrees to nothing", () => {
  const nothing = { beet: null, checksumState: false, shortcuts: false };
  expect([agreed(null, preferences(0xffff)), agreed(preferences(0xffff), null)]).toEqual([nothing, nothing]);
});

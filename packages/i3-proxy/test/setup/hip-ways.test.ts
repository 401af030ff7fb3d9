/** What packets of an association leave out, as both hosts agreed. */
import type { EstablishedEvent } from "@i3/hip";
import { expect, it } from "vitest";

import type { Mapping } from "../../src/mappings/mapping.js";
import { HipWays, type HipWaysEnvironment } from "../../src/setup/hip-ways.js";

const [own4, local4, six] = [Uint8Array.of(10, 0, 0, 1), Uint8Array.of(10, 0, 0, 2), new Uint8Array(16).fill(0x20)];

it.each([4, 6, null] as const)("headers of the family that was agreed: %o", (beet) => {
  const ways = new HipWays({ own4, identity: { hit: six } } as unknown as HipWaysEnvironment);
  const peerPreferences = { flags: 0, own4: local4, own6: six, peer4: own4, peer6: six };
  const event = { beet, checksumState: true, peerPreferences, peer: { hit: six } } as unknown as EstablishedEvent;
  expect(ways.formOf({ local4, local6: six } as unknown as Mapping, event)).toMatchObject({ beet, checksumState: true });
});

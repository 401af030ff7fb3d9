/** The lines of the journal, as a proxy of another version reads them. */
import { expect, it } from "vitest";

import { makeMapping, mappingFromJson, mappingKey, mappingToJson } from "../../src/mappings/mapping.js";
import { UNNAMED_POLICY } from "../../src/policy/policy.js";

/** As they are on disks. A field that goes, or means something else, loses programs their connections at an update: read the old one too, and add a line here. */
const LINE = {
  peerId: "11".repeat(32), peerHit: `20010022${"33".repeat(12)}`, name: "home.i3", local4: "0a010203", local6: `20010022${"33".repeat(12)}`, ownPrivateId: "44".repeat(32), ownSeed: null,
  peer: ["55".repeat(32), "0a000001", "0a000002", `20010022${"66".repeat(12)}`, `20010022${"77".repeat(12)}`], peerCounter: 7, lastCallCounter: 8, security: "esp", keyed: true, stranger: false, mayCall: true, ours: true, nameOnly: false,
  lastUseMs: 1_800_000_000_000,
};

it("a mapping is written and read under the names that journals have", () => {
  const mapping = mappingFromJson(LINE);
  expect(mappingToJson(mapping)).toEqual(LINE);
  expect(mapping).toMatchObject({
    name: "home.i3", local4: Uint8Array.of(10, 1, 2, 3), ownPrivateId: new Uint8Array(32).fill(0x44), peerCounter: 7, lastCallCounter: 8, security: "esp", isKeyed: true, isStranger: false, mayCall: true, isOurs: true, isNameOnly: false, lastUseMs: 1_800_000_000_000, state: "open",
    peer: { privateId: new Uint8Array(32).fill(0x55), own4: Uint8Array.of(10, 0, 0, 1), peer4: Uint8Array.of(10, 0, 0, 2) },
  });
});

it("a mapping that nothing has happened to has the same names", () => {
  const peerId = new Uint8Array(32).fill(1);
  const fresh = makeMapping({ key: mappingKey(peerId), peerId, peerHit: null, name: null, local4: Uint8Array.of(10, 0, 0, 1), local6: null, ownPrivateId: new Uint8Array(32), ownKey: null, policy: UNNAMED_POLICY, isStranger: true, isNameOnly: true, lastUseMs: 1 });
  expect(Object.keys(mappingToJson(fresh))).toEqual(Object.keys(LINE));
  expect(mappingToJson(fresh)).toMatchObject({ peer: null, keyed: false, stranger: true, nameOnly: true, mayCall: false, ours: false });
});

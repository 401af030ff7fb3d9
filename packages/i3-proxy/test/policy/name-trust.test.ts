/** Who has the last word about a name: the address book, its zone, or whoever was first. */
import { expect, it } from "vitest";

import { RECORD_KIND } from "@i3/common";
import { signRecord, triggerKeyFromSeed } from "@i3/hip";

import { NameTrust } from "../../src/policy/name-trust.js";
import { Pins } from "../../src/policy/pins.js";
import { ZoneNames } from "../../src/zones/zone-names.js";
import { bookOf, hitOf, rulesOf } from "./files.js";

const KEY = triggerKeyFromSeed(new Uint8Array(32).fill(1));
const [A, B] = [hitOf("2001:22::a"), hitOf("2001:22::b")];
const record = (label: string) => signRecord(KEY, { kind: RECORD_KIND.name, label, sequence: 1, notAfterS: 2_000_000_000, value: A });

it("the book's, then the zone's, then that of the first; a pin and a zone that differ silence the zone", () => {
  const pins = new Pins();
  pins.add("same.corp.i3", A, 0);
  pins.add("other.corp.i3", B, 0);
  pins.add("only.corp.i3", B, 0);
  const zones = new ZoneNames({
    zones: [{ suffix: "corp.i3", key: KEY.publicKey }], restored: ["zone", "same", "other", "book"].map(record),
    find: () => undefined, wallMs: () => 0, onChange: () => undefined, onKept: () => undefined, log: () => undefined,
  });
  const book = bookOf('name="book.corp.i3" hit="2001:22::b"');
  const trust = new NameTrust({ zones, pins, pinFile: "/s/pins", wallMs: () => 0, onPinned: () => undefined, log: () => undefined }, book, rulesOf('name=".*" go="i3" trust="first-use"'));
  const of = (label: string): readonly unknown[] => {
    const name = `${label}.corp.i3`;
    const entry = zones.lookup(name);
    return [trust.zoneEntryOf(name)?.hit, trust.isFirstUse(name), trust.pinOf(name)?.hit, trust.claimedIdOf(name) === null, entry === undefined ? undefined : trust.conflictOf(entry)?.hit];
  };
  expect(of("book")).toEqual([undefined, false, undefined, true, undefined]);
  expect(of("zone")).toEqual([A, false, undefined, true, undefined]);
  expect(of("same")).toEqual([A, false, undefined, true, undefined]);
  expect(of("other")).toEqual([undefined, true, B, false, B]);
  expect(of("only")).toEqual([undefined, true, B, false, undefined]);
  expect([trust.namesOf(A), trust.namesOf(B), trust.nameOf(A)]).toEqual([["zone.corp.i3", "same.corp.i3"], ["other.corp.i3", "only.corp.i3"], "zone.corp.i3"]);
  // Where the rules have no first use, a pin says nothing.
  trust.setRules(rulesOf('name=".*" go="i3"'));
  expect(of("other")).toEqual([A, false, undefined, true, undefined]);
});

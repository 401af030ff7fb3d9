import { publicId, toHex } from "@i3/common";
import { describe, expect, it } from "vitest";

import { AccessList } from "../../src/policy/access-list.js";
import { bookOf, config, hitOf } from "./files.js";

const [A, B, C, D] = ["2001:22::a", "2001:22::b", "2001:21::c", "2001:22::d"] as const;
const BOOK = bookOf(
  `name="a.i3" hit="${A}" group="family"`,
  `name="b.i3" hit="${B}" group="Guests"`,
  `name="b.home.i3" hit="${B}" group="family"`,
  `name="c.i3" id="${toHex(publicId(hitOf(C)))}" group="friends family"`,
  `name="d.i3" hit="${D}"`,
);
/** The first entry is on line 3. */
const list = (attributes: string, ...entries: readonly string[]): AccessList =>
  new AccessList(config(`<access${attributes}>`, ...entries.map((entry) => `<${entry}/>`), "</access>").access, BOOK);
/** Which of A B C D get in. */
const admitted = (access: AccessList): string => [A, B, C, D].map((hit, i) => (access.admits(hitOf(hit)) ? "ABCD"[i] : "-")).join("");

describe("an access list", () => {
  it.each([
    ["of nothing refuses everybody", list(""), "----"],
    ["of nothing but a default", list(' default="allow"'), "ABCD"],
    ["of one hit", list("", `allow hit="${D}"`), "---D"],
    ["without one hit", list(' default="allow"', `refuse hit="${D}"`), "ABC-"],
    ["of a group, whichever name is in it, and by id too", list("", 'allow group="family"'), "ABC-"],
    ["of a group in other letters", list("", 'allow group="GUESTS"'), "-B--"],
    ["of a second group of a host", list("", 'allow group="friends"'), "--C-"],
    ["whose first entry decides", list("", 'refuse group="guests"', 'allow group="family"'), "A-C-"],
    ["whose first entry decides, the other way", list("", 'allow group="family"', 'refuse group="guests"'), "ABC-"],
    ["with a hit before a group", list("", `refuse hit="${C}"`, 'allow group="family"'), "AB--"],
    ["of a group that nobody is in", list("", 'allow group="familly"'), "----"],
  ])("%s", (_, access, expected) => {
    expect(admitted(access)).toBe(expected);
  });

  it("that is not there admits everybody", () => {
    expect(admitted(new AccessList(undefined, BOOK))).toBe("ABCD");
  });

  it("says which line decided", () => {
    const access = list("", 'refuse group="guests"', `allow hit="${A}"`, 'allow group="family"');
    expect([A, B, C, D].map((hit) => access.decide(hitOf(hit)))).toEqual([
      { admits: true, line: 4 },
      { admits: false, line: 3 },
      { admits: true, line: 5 },
      { admits: false, line: null },
    ]);
  });

  it("refuses a host itself by an entry only, not by default", () => {
    const refused = (access: AccessList): string => [A, B, C, D].map((hit, i) => (access.refuses({ peerHit: hitOf(hit), peerId: null }) ? "ABCD"[i] : "-")).join("");
    expect(refused(list("", 'refuse group="guests"', `refuse hit="${A}"`, 'allow group="family"'))).toBe("AB--");
    expect(refused(list("", 'allow group="family"', 'refuse group="guests"', 'refuse group="friends"'))).toBe("----");
    expect([refused(list("")), refused(new AccessList(undefined, BOOK))]).toEqual(["----", "----"]);
  });

  it("refuses a host whose HIT is not known by its id: what entries say of that HIT, or of groups of the id", () => {
    const refused = (access: AccessList, hit: string): boolean => access.refuses({ peerHit: null, peerId: publicId(hitOf(hit)) });
    const both = list("", 'allow hit="2001:21::e"', `refuse hit="${D}"`, 'refuse group="friends"');
    expect([refused(both, C), refused(both, D), refused(both, A), refused(both, "2001:21::e")]).toEqual([true, true, false, false]);
    expect(both.refuses({ peerHit: null, peerId: null })).toBe(false);
  });

  it("names groups that nobody is in", () => {
    expect(list("", 'allow group="familly"', 'allow group="family"', 'refuse group="nobody"', `allow hit="${A}"`).emptyGroups()).toEqual(["familly", "nobody"]);
  });
});

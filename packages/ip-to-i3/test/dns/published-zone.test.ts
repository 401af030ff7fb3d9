/** Which name a question is about, with the records of RFC 4592 §2.2.1's kind. */
import { describe, expect, it } from "vitest";

import { PublishedZone, type ZoneEntry } from "../../src/dns/published-zone.js";
import { DOMAIN, published, WAYPOINT } from "./published.js";

const D = DOMAIN.name;
const at = (name: string): string => (name === "" ? D : `${name}.${D}`);
const zone = new PublishedZone(DOMAIN, [published(at("*")), published(at("host1")), published(at("a.sub")), published(at("*.sub"), WAYPOINT), published(at("x.y.deep")), published("*.example.net")]);
const found = (name: string): string => {
  const entry: ZoneEntry = zone.find(at(name));
  return typeof entry === "string" ? entry : entry.name;
};

describe("a wildcard", () => {
  it.each([["host3", "own"], ["foo.bar.host3", "own"], ["*", "own"], ["q.sub", at("*.sub")], ["r.q.sub", at("*.sub")], ["*.sub", at("*.sub")]])("stands for %s", (name, entry) => {
    expect(found(name)).toBe(entry);
  });

  it.each([
    ["host1", "own"], ["below.host1", "absent"], ["a.sub", "own"], ["below.a.sub", "absent"], ["sub", "empty"], ["deep", "empty"], ["y.deep", "empty"], ["z.deep", "absent"], ["z.y.deep", "absent"], ["", "apex"], ["ns1", "ns"], ["below.ns1", "absent"],
  ])("does not stand for %s, or what is below it, which exists", (name, entry) => {
    expect(found(name)).toBe(entry);
  });

  it("of another domain is no affair of this one's", () => {
    expect([zone.find("x.example.net"), zone.find("example.org"), zone.find(`x${D}`)]).toEqual(["outside", "outside", "outside"]);
    expect(new PublishedZone(DOMAIN, []).find(at("x"))).toBe("absent");
  });
});

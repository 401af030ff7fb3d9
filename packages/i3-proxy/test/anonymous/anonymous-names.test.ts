import { anonymousAsTheyAre, formatIpText, parseAddressBook, parseIpText, parseProxyConfig, publicId, type ProxyRule } from "@i3/common";
import { describe, expect, it } from "vitest";

import { anonymousTarget, asksForAnonymity, bookOf, rulesOf, targetKey } from "../../src/anonymous/anonymous-names.js";
import { policyFor } from "../../src/policy/policy.js";

const rulesFrom = (...rules: readonly string[]): readonly ProxyRule[] =>
  parseProxyConfig(`<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.1"/></servers><rules>${rules.map((rule) => `<rule ${rule}/>`).join("")}</rules></i3-proxy>`, "x.xml").rules;
const RULES = rulesFrom('name="plain\\.example|.*\\.anon\\.i3" go="anonymous" via="Exit.i3"', 'name=".*\\.relay\\.i3" go="anonymous"', 'name=".*\\.i3" go="i3"', 'name=".*" go="direct"');

describe("what a name stands for", () => {
  it.each([
    ["site.example.anon.i3", { name: "site.example", via: "exit.i3" }],
    ["plain.example", { name: "plain.example", via: "exit.i3" }],
    ["home.relay.i3", { name: "home.i3", via: null }],
    ["a.b.relay.i3", { name: "a.b.i3", via: null }],
    ["x.relay.i3.anon.i3", { name: "x.relay.i3", via: "exit.i3" }],
    ["home.i3", null], ["relay.i3", null], ["anon.i3", null], ["site.example", null], ["site.example.anon.i3.example", null],
  ])("%s", (name, target) => {
    expect(anonymousTarget(name, "i3", RULES)).toEqual(target);
  });

  it("is one thing for all names that mean the same, and another by another gateway", () => {
    const others = rulesFrom('name="site\\.example|.*\\.anon\\.i3" go="anonymous" via="a.i3"', 'name=".*\\.one\\.i3" go="anonymous"');
    const key = (name: string): string => targetKey(anonymousTarget(name, "i3", others) ?? { name: "", via: null });
    expect(key("site.example.anon.i3")).toBe(key("site.example"));
    expect(targetKey({ name: "site.example", via: "b.i3" })).not.toBe(key("site.example"));
  });

  it("is known for endings that ask for it, whatever the rules say", () => {
    expect(["site.example.anon.i3", "home.relay.i3", "relay.i3", "anon.i3", "home.i3", "a.relay.i3.example"].map((name) => asksForAnonymity(name, "i3"))).toEqual([true, true, false, false, false, false]);
  });
});

describe("names as they are", () => {
  it.each([
    [".*\\.anon\\.i3", true], ["(a|b)\\.ANON\\.i3$", true], ["a\\.anon\\.i3|[|)]\\.relay\\.i3", true],
    ["a\\.example|.*\\.anon\\.i3", false], [".*", false], [".*(\\.anon\\.i3)?", false], [".*.anon.i3", false], [".*\\.anon\\.i4", false], ["a\\\\.anon\\.i3", false], [".*\\.i3", false], ["a\\.anon\\.i3|", false], ["[(]|\\.anon\\.i3", false],
  ])("%s: only with an ending %s", (pattern, hasEnding) => {
    expect(anonymousAsTheyAre(rulesFrom(`name="${pattern}" go="anonymous"`), "i3") === undefined).toBe(hasEnding);
    expect(anonymousAsTheyAre(rulesFrom(`name="${pattern}" go="direct"`), "i3")).toBeUndefined();
  });
});

describe("what an instance knows", () => {
  const BOOK = parseAddressBook('<address-book version="1"><host name="home.i3" hit="2001:22::a" address="192.0.2.9" group="friends" note="at home"/><host name="twin.i3" hit="2001:22::a"/><host name="exit.i3" hit="2001:22::b"/></address-book>', "b.xml");
  const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;

  it("is one host of the book, at no address, by no other name", () => {
    const book = bookOf(BOOK, { name: "home.i3", via: null });
    expect(book.entries.map(({ line, ...entry }) => ({ ...entry, hit: formatIpText(entry.hit ?? new Uint8Array()), line: line > 0 }))).toEqual([{ name: "home.i3", hit: "2001:22::a", line: true }]);
    expect([book.lookup("Home.i3.")?.name, book.lookup("twin.i3"), book.lookup("exit.i3"), book.addressOf(ip("2001:22::a"))]).toEqual(["home.i3", undefined, undefined, undefined]);
    expect([book.reverse(ip("2001:22::a"))?.name, book.reverse(ip("2001:22::b")), book.reverse(publicId(ip("2001:22::a")))]).toEqual(["home.i3", undefined, undefined]);
    expect(bookOf(BOOK, { name: "site.example", via: "exit.i3" }).entries.map(({ name }) => name)).toEqual(["exit.i3"]);
    expect(bookOf(BOOK, { name: "nobody.i3", via: null }).entries).toEqual([]);
  });

  it("are rules for its own name alone: encrypted, by the ring", () => {
    const rules = rulesOf({ name: "a.b+c", via: "exit.i3" });
    expect(policyFor("exit.i3", rules)).toMatchObject({ services: [], rest: "esp", shortcut: false, trust: "book" });
    expect([policyFor("exitxi3", rules), policyFor("a.b+c", rules), policyFor("home.i3", rules)]).toEqual([null, null, null]);
    expect(rules.map(({ go, pattern }) => [go, pattern.expression.test("A.b+C"), pattern.expression.test("axb+c")])).toEqual([["i3", false, false], ["gateway", true, false]]);
    expect(rulesOf({ name: "home.i3", via: null }).map(({ go }) => go)).toEqual(["i3"]);
  });
});

import { readFileSync } from "node:fs";

import { parseAddressBook, parseProxyConfig } from "@i3/common";
import { describe, expect, it } from "vitest";

import { unruledNames, unruledText } from "../../src/policy/unruled-names.js";
import { bookOf, rulesOf } from "./files.js";

const HIT = 'hit="2001:22::1"';
const book = (...names: readonly string[]) => bookOf(...names.map((name) => `name="${name}" ${HIT}`));

const I3 = 'name=".*\\.i3" go="i3"';

describe("names of the address book without a rule", () => {
  it.each([
    ["none", ["home.i3"], [I3], null],
    ["one of another ending", ["home.i3", "hip.example.net"], [I3], "no rule matches hip.example.net of the address book: the proxy does not answer for it"],
    ["one that has its rule", ["hip.example.net"], [I3, 'name="hip\\.example\\.net" go="i3"'], null],
    ["one that is left to the network", ["www.example.net"], ['name=".*\\.net" go="direct"'], null],
    ["all, without rules", ["a.i3", "b.i3"], [], "no rule matches a.i3, b.i3 of the address book: the proxy does not answer for them"],
    [
      "many", Array.from({ length: 12 }, (_, i) => `h${i}.net`), [I3],
      "no rule matches h0.net, h1.net, h2.net, h3.net, h4.net and 7 more of the address book: the proxy does not answer for them",
    ],
  ] as const)("%s", (_, names, rules, text) => {
    expect(unruledText(unruledNames(book(...names), rulesOf(...rules)))).toBe(text);
  });

  it("are told of a part of a large book with many rules", () => {
    const rules = rulesOf(...Array.from({ length: 1_000 }, (_, i) => `name="r${i}\\.i3" go="i3"`));
    expect(unruledNames(book(...Array.from({ length: 500 }, (_, i) => `h${i}.net`)), rules).count).toBe(250);
  });

  it("are not in the examples", () => {
    const read = (name: string): Buffer => readFileSync(new URL(`../../../../deploy/examples/${name}`, import.meta.url));
    const { rules } = parseProxyConfig(read("i3-proxy.xml"), "p.xml");
    expect(unruledNames(parseAddressBook(read("address-book.xml"), "b.xml"), rules)).toEqual({ names: [], count: 0 });
  });
});

import { describe, expect, it } from "vitest";

import { SearchNames } from "../../src/dns/search-names.js";

/** Names of i3 and corp are ruled, those of lan are the network's; with `exit` all others are swept to it. */
function searches(exit: boolean, domains: readonly string[] = ["lan"]): SearchNames {
  return new SearchNames({ domains: () => domains, keeps: (name) => (/(?:^|\.)(?:i3|corp)$/.test(name) ? "named" : exit && !name.endsWith(".lan") ? "swept" : null) });
}

describe("names that libc makes of others", () => {
  it("do not exist where a rule or the suffix keeps the other, asked for before or not", () => {
    const names = searches(false);
    expect(["home.i3.lan", "wiki.corp.lan", "corp.lan", "home.i3", "printer.lan", "www.example.lan", "home.i3.wan", "lan"].map((name) => names.isSearched(0, name))).toEqual([true, true, true, false, false, false, false, false]);
    expect(searches(false, []).isSearched(0, "home.i3.lan")).toBe(false);
  });

  it("under a way out for everything do not exist when the other was asked for just now", () => {
    const names = searches(true);
    expect(names.isSearched(0, "www.example.lan")).toBe(false);
    expect(names.isSearched(1, "www.example")).toBe(false);
    expect(names.isSearched(2, "www.example.lan")).toBe(true);
    expect(names.isSearched(31_000, "www.example.lan")).toBe(false);
    // libc asks for a name without a dot last.
    names.isSearched(40_000, "printer");
    expect(names.isSearched(40_001, "printer.lan")).toBe(false);
  });

  it("forget the oldest of many", () => {
    const names = searches(true);
    for (let i = 0; i <= 1_024; i += 1) names.isSearched(i, `n${i}.example`);
    expect([names.isSearched(2_000, "n0.example.lan"), names.isSearched(2_000, "n1024.example.lan")]).toEqual([false, true]);
  });
});

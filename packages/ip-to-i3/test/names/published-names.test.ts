import type { PublishedName } from "@i3/common";
import { expect, it } from "vitest";

import { PublishedNames } from "../../src/names/published-names.js";

const entry = (name: string): PublishedName => ({ name, to: "home.i3", go: "i3" as const, waypoint: undefined, https: 443, http: 80, proxyProtocol: "none", line: 1 });
const names = new PublishedNames(["home.example.org", "*.home.example.org", "*.a.home.example.org", "www.home.example.org", "short"].map(entry));

it.each([
  ["home.example.org", "home.example.org"],
  ["www.home.example.org", "www.home.example.org"],
  ["any.home.example.org", "*.home.example.org"],
  ["two.labels.home.example.org", "*.home.example.org"],
  ["x.a.home.example.org", "*.a.home.example.org"],
  ["a.home.example.org", "*.home.example.org"],
  ["short", "short"],
  ["example.org", undefined],
  ["nothome.example.org", undefined],
  ["home.example.org.evil.net", undefined],
  ["*.home.example.org", undefined],
  ["*.a.home.example.org", undefined],
  ["", undefined],
  [".home.example.org", undefined],
])("%s is published as %s", (name, found) => {
  expect(names.find(name)?.name).toBe(found);
});

it("a name that leads nowhere here is not its wildcard's host", () => {
  const published = (name: string): PublishedName => ({ name, to: name === "home.example.org" ? "home.i3" : "shop.i3" }) as PublishedName;
  const names = new PublishedNames([published("*.example.org"), published("home.example.org")], ({ to }) => to !== "home.i3");
  expect([names.find("home.example.org"), names.find("other.example.org")?.to]).toEqual([undefined, "shop.i3"]);
});

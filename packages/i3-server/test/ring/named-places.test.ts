/** Which places a server may name to a host that sends from this machine. */
import { makeLocator, parseIpText, type Locator } from "@i3/common";
import { expect, it } from "vitest";

import { mayBeNamed } from "../../src/ring/named-places.js";

const at = (text: string, port = 5_610): Locator => makeLocator(parseIpText(text) ?? new Uint8Array(), port);

it.each<readonly [own: string, may: readonly string[], mayNot: readonly string[]]>([
  ["192.0.2.1", ["192.0.2.2", "172.32.0.1", "100.128.0.1", "2001:db8::1"], ["10.0.0.1", "172.31.0.1", "192.168.0.1", "100.127.0.1", "169.254.0.1", "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fd00::1", "fe80::1", "ff02::1"]],
  ["10.0.0.1", ["192.0.2.2", "10.0.0.2", "192.168.0.1"], ["127.0.0.1", "169.254.0.1", "fd00::1"]],
  ["127.0.0.1", ["127.0.0.1", "127.0.0.2", "10.0.0.2", "192.0.2.2"], ["224.0.0.1", "0.0.0.0", "::1"]],
  ["fd00::1", ["fd00::2", "2001:db8::1", "192.0.2.2"], ["fe80::1", "::1", "10.0.0.1"]],
  ["::1", ["::1", "fd00::2"], ["ff02::1", "127.0.0.1"]],
])("a server at %s", (own, may, mayNot) => {
  const isNamed = (text: string): boolean => mayBeNamed(at(text, 7_000), [at(own)]);
  expect([may.filter((text) => !isNamed(text)), mayNot.filter(isNamed)]).toEqual([[], []]);
});

it("another port of its own address is nobody's, unless all are on this machine", () => {
  const own = [at("192.0.2.1"), at("fd00::1")];
  expect([at("192.0.2.1"), at("192.0.2.1", 22), at("fd00::1"), at("fd00::1", 22), at("fd00::2", 22)].map((place) => mayBeNamed(place, own))).toEqual([true, false, true, false, true]);
});

import { parseAddressBook, parseGatewayProxyConfig, parseIpText, type AddressBook } from "@i3/common";
import { describe, expect, it } from "vitest";

import { Grants } from "../../src/policy/grants.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const [ANN, BOB, EVE] = [ip("2001:22::a"), ip("2001:22::b"), ip("2001:22::e")];
const BOOK: AddressBook = parseAddressBook('<address-book version="1"><host name="ann.i3" hit="2001:22::a" group="staff"/><host name="bob.i3" hit="2001:22::b" group="staff guests"/></address-book>', "book.xml");

const grants = (...entries: readonly string[]): Grants =>
  new Grants(parseGatewayProxyConfig(`<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.1"/></servers><gateway out="eth0">${entries.join("")}</gateway></i3-proxy>`, "x.xml").gateway, BOOK);
/** Of each verdict whether it admits, and its first port or "all". */
const shown = (list: Grants, hit: Uint8Array, name: string, real: string): string =>
  list.verdictsOf(hit, [name], ip(real)).map(({ admits, service }) => `${admits ? "+" : "-"}${service === undefined ? "all" : (service.ports[0]?.first ?? "any")}`).join(" ");

describe("what a client may reach", () => {
  it("is nothing for whom no entry names", () => {
    const list = grants('<allow group="staff" networks="internet"/>');
    expect([shown(list, ANN, "x", "8.8.8.8"), shown(list, EVE, "x", "8.8.8.8")]).toEqual(["+all", ""]);
    expect([list.admits(ANN), list.admits(EVE)]).toEqual([true, false]);
  });

  it("is the internet alone for an entry that names no network: a name of somebody else must not lead inside", () => {
    const list = grants('<allow group="staff" names=".*"/>');
    expect(["8.8.8.8", "2600::1"].map((real) => shown(list, ANN, "evil.example", real))).toEqual(["+all", "+all"]);
    expect(["10.0.0.5", "192.168.5.1", "100.64.0.1", "fd00::1"].map((real) => shown(list, ANN, "evil.example", real))).toEqual(["", "", "", ""]);
  });

  it("is within the prefixes, of the family, to the bit", () => {
    const list = grants('<allow group="staff" networks="192.168.4.0/23 fd00:5::/64"/>');
    expect(["192.168.4.0", "192.168.5.255", "fd00:5::9"].map((real) => shown(list, ANN, "x", real))).toEqual(["+all", "+all", "+all"]);
    expect(["192.168.3.255", "192.168.6.0", "fd00:5:0:1::", "8.8.8.8"].map((real) => shown(list, ANN, "x", real))).toEqual(["", "", "", ""]);
  });

  it("never is what can be no server, whatever the list says", () => {
    const list = grants('<allow group="staff" networks="0.0.0.0/0 ::/0"/>');
    expect(["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:10.0.0.1", "2001:22::9", "224.0.0.1"].map((real) => shown(list, ANN, "x", real))).toEqual(["", "", "", "", "", "", ""]);
    expect(shown(list, ANN, "x", "10.0.0.1")).toBe("+all");
    // 192.168.5.10: mapped, compatible, translated, NAT64 (both prefixes), 6to4, Teredo.
    expect(["::ffff:c0a8:50a", "::c0a8:50a", "::ffff:0:c0a8:50a", "64:ff9b::c0a8:50a", "64:ff9b:1::c0a8:50a", "2002:c0a8:50a::1", "2001:0:c0a8:50a::1", "2001:0:102:304:0:f000:3f57:faf5"].filter((real) => shown(list, ANN, "x", real) !== "")).toEqual([]);
  });

  it("is decided by the first entry, of its services; nothing stands behind one for all", () => {
    const list = grants(
      '<refuse group="guests" networks="192.168.5.9/32"/>', '<allow group="staff" names="wiki\\.corp" networks="192.168.5.0/24" protocol="tcp" ports="443"/>',
      '<refuse group="staff" networks="192.168.5.0/24" protocol="tcp" ports="22"/>', '<allow group="staff" networks="192.168.5.0/24"/>', '<allow group="staff" networks="0.0.0.0/0"/>',
    );
    expect(shown(list, ANN, "wiki.corp", "192.168.5.9")).toBe("+443 -22 +all");
    expect(shown(list, ANN, "other.corp", "192.168.5.9")).toBe("-22 +all");
    expect(shown(list, BOB, "wiki.corp", "192.168.5.9")).toBe("");
    expect(shown(list, BOB, "wiki.corp", "192.168.5.8")).toBe("+443 -22 +all");
  });

  it("holds for all names by which a client knows a server", () => {
    const list = grants('<allow hit="2001:22::a" names="a" networks="10.0.0.0/8" protocol="tcp" ports="1"/>', '<allow hit="2001:22::a" names="b" networks="10.0.0.0/8" protocol="tcp" ports="2"/>');
    expect(list.verdictsOf(ANN, ["b", "a"], ip("10.0.0.1")).map(({ service }) => service?.ports[0]?.first)).toEqual([1, 2]);
    expect(list.verdictsOf(ANN, ["c"], ip("10.0.0.1"))).toEqual([]);
  });

  it("is for whom nothing names what an entry for anonymous ones says, and never that for hosts which the book or the list names", () => {
    const list = grants('<refuse anonymous="yes" protocol="tcp" ports="25"/>', '<allow anonymous="yes" names=".*"/>', '<allow hit="2001:22::b" networks="10.0.0.0/8"/>');
    expect([ANN, BOB, EVE].map((hit) => list.isAnonymous(hit))).toEqual([false, false, true]);
    expect([ANN, BOB, EVE].map((hit) => shown(list, hit, "x", "8.8.8.8"))).toEqual(["", "", "-25 +all"]);
    expect([shown(list, EVE, "x", "10.0.0.5"), list.admits(EVE), list.mayAsk(EVE, "x"), list.mayAsk(ANN, "x")]).toEqual(["", true, true, false]);
    expect(shown(grants('<allow hit="2001:22::e" names="a"/>', '<allow anonymous="yes" names=".*"/>'), EVE, "x", "8.8.8.8"), "named by the list").toBe("");
  });

  it("is nothing when all verdicts refuse", () => {
    expect(shown(grants('<refuse group="guests"/>', '<allow group="staff" networks="internet"/>'), BOB, "x", "8.8.8.8")).toBe("");
    expect(shown(grants('<refuse group="staff" protocol="tcp"/>', '<allow hit="2001:22::e" networks="internet"/>'), BOB, "x", "8.8.8.8")).toBe("");
    expect(grants('<refuse/>', '<allow group="staff" networks="internet"/>').admits(ANN)).toBe(false);
  });

  it("by address, without a name, is by entries without names alone", () => {
    const list = grants('<allow group="staff" names=".*" networks="10.0.0.0/8"/>', '<refuse group="staff" networks="192.168.5.9/32"/>', '<allow group="staff" protocol="tcp" ports="22" networks="192.168.5.0/24"/>', '<refuse group="guests"/>', '<allow group="staff" networks="internet"/>');
    const text = (hit: Uint8Array): string => list.addressVerdictsOf(hit).map(({ admits, networks, service }) => `${admits ? "+" : "-"}${networks === undefined ? "anywhere" : networks.internet ? "internet" : (networks.prefixes[0]?.address.join(".") ?? "")}${service === undefined ? "" : ":22"}`).join(" ");
    expect(text(ANN)).toBe("-192.168.5.9 +192.168.5.0:22 +internet");
    expect(text(BOB)).toBe("-192.168.5.9 +192.168.5.0:22 -anywhere");
    expect([text(EVE), grants('<allow group="staff" names="x"/>').addressVerdictsOf(ANN).length]).toEqual(["", 0]);
  });

  it("tells of groups that nobody is in", () => {
    expect(grants('<allow group="staff" networks="internet"/>', '<refuse group="stuff"/>').emptyGroups()).toEqual(["stuff"]);
  });
});

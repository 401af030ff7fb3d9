/** What a host tells peers of where it is. */
import { describe, expect, it } from "vitest";

import { formatIpText, locatorText, makeLocator, parseIpText, type Locator } from "@i3/common";

import { OwnLocators, type MachinePlace } from "../../src/paths/own-locators.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const at = (text: string, port = 5_610): Locator => makeLocator(ip(text), port);
const place = (interfaceIndex: number, ...addresses: readonly string[]): MachinePlace =>
  ({ interfaceIndex, family: addresses[0]?.includes(":") === true ? 6 : 4, addresses: addresses.map(ip), gateway: null, prefixes: null });
const RANGE = { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 };
const [S1, S2, S3] = [at("192.0.2.1"), at("192.0.2.2"), at("192.0.2.3")];

describe("locators of a host", () => {
  it("are its addresses, then where servers see it; those of its first interface first, both families as good", () => {
    const own = new OwnLocators(5_610, RANGE);
    expect(own.setPlaces([place(2, "192.168.1.10"), place(2, "2001:db8::10"), place(3, "10.9.8.7")])).toBe("other");
    const [first, six, second] = own.places;
    expect([first?.rank, six?.rank, second?.rank]).toEqual([0, 0, 2]);
    expect(own.observed(0, first?.key ?? "", S1, at("198.51.100.6", 40_000))).toBe(true);
    expect(own.locators).toEqual([
      { kind: "host", rank: 0, locator: at("192.168.1.10") }, { kind: "server", rank: 0, locator: at("198.51.100.6", 40_000) },
      { kind: "host", rank: 0, locator: at("2001:db8::10") }, { kind: "host", rank: 2, locator: at("10.9.8.7") },
    ]);
  });

  it("have one port of each of the last two servers, and are news only when they change", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.168.1.10")]);
    const key = own.places[0]?.key ?? "";
    expect([own.observed(0, key, S1, at("198.51.100.6", 1)), own.observed(0, key, S1, at("198.51.100.6", 1)), own.observed(0, key, S2, at("198.51.100.6", 2)), own.observed(0, key, S3, at("198.51.100.6", 3))]).toEqual([true, false, true, true]);
    expect(own.locators.map(({ locator }) => locator.port)).toEqual([5_610, 2, 3]);
    expect(own.observed(0, key, S3, at("198.51.100.6", 4))).toBe(true);
    expect(own.locators.map(({ locator }) => locator.port)).toEqual([5_610, 2, 4]);
  });

  it("are its addresses alone while nothing gets out as far as servers, and all again afterwards", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.168.1.10"), place(2, "2001:db8::10"), place(3, "10.9.8.7")]);
    const key = own.places[0]?.key ?? "";
    own.observed(0, key, S1, at("198.51.100.6", 40_000));
    own.mapped(0, key, at("198.51.100.6"));
    const all = own.locators;
    own.setOutside(false);
    expect(own.locators.map(({ locator }) => locator)).toEqual([at("192.168.1.10"), at("2001:db8::10"), at("10.9.8.7")]);
    expect(own.places).toHaveLength(3);
    own.setOutside(true);
    expect(own.locators).toEqual(all);
  });

  it("leave by the first place of each family", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.168.1.10", "192.168.1.11"), place(3, "10.9.8.7"), place(3, "2001:db8::10")]);
    expect(own.firstAddresses).toEqual([ip("192.168.1.10"), ip("192.168.1.11"), ip("2001:db8::10")]);
  });

  it("are not told twice: a server sees a host without a NAT where it is", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.0.2.77")]);
    expect(own.observed(0, own.places[0]?.key ?? "", S1, at("192.0.2.77"))).toBe(false);
    expect(own.locators).toHaveLength(1);
  });

  it("are told where a NAT changes the port alone, until it does so no more", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.0.2.77")]);
    const key = own.places[0]?.key ?? "";
    const seen = (port: number): boolean => own.observed(0, key, S1, at("192.0.2.77", port));
    expect([seen(40_000), seen(40_000), own.locators.map(({ kind, locator }) => [kind, locator.port])]).toEqual([true, false, [["host", 5_610], ["server", 40_000]]]);
    expect([seen(5_610), seen(5_610), own.locators.map(({ locator }) => locator.port)]).toEqual([true, false, [5_610]]);
  });

  it("of an interface with another address are forgotten, and what comes late for it changes nothing", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.168.1.10")]);
    const key = own.places[0]?.key ?? "";
    own.observed(0, key, S1, at("198.51.100.6", 40_000));
    own.mapped(0, key, at("198.51.100.6"));
    expect(own.setPlaces([place(2, "192.168.7.10")])).toBe("other");
    expect([own.observed(0, key, S1, at("198.51.100.6", 1)), own.mapped(0, key, at("198.51.100.6"))]).toEqual([false, false]);
    expect(own.locators).toEqual([{ kind: "host", rank: 0, locator: at("192.168.7.10") }]);
  });

  it("of an interface with one address more stay what they are, and so they do when that goes again; not when the first goes", () => {
    const own = new OwnLocators(5_610, RANGE);
    const [old, more] = ["192.168.1.10", "192.168.1.200"];
    own.setPlaces([place(2, old), place(3, "10.9.8.7")]);
    const keys = own.places.map(({ key }) => key);
    own.observed(0, keys[0] ?? "", S1, at("198.51.100.6", 40_000));
    const now = (change: string, ...addresses: readonly string[]): void => {
      expect([own.setPlaces([place(2, ...addresses), place(3, "10.9.8.7")]), own.places.map(({ key }) => key)]).toEqual([change, keys]);
      expect(own.locators.filter(({ rank }) => rank === 0).map(({ locator }) => formatIpText(locator.address))).toEqual([old, ...addresses.filter((address) => address !== old), "198.51.100.6"]);
    };
    // Newer ones may be listed first.
    now("more", more, old);
    now("none", old, more);
    now("more", "192.168.1.201", more, old);
    now("other", "192.168.1.201", old);
    now("other", old);
    expect(own.setPlaces([place(2, more), place(3, "10.9.8.7")])).toBe("other");
    expect(own.places.map(({ key }) => key === keys[0])).toEqual([false, false]);
    expect(own.locators.map(({ kind }) => kind)).toEqual(["host", "host"]);
  });

  it.each<readonly [string, readonly MachinePlace[]]>([
    ["another interface", [place(2, "192.168.1.10", "192.168.1.11"), place(3, "10.9.8.7")]], ["another gateway", [{ ...place(2, "192.168.1.10", "192.168.1.11"), gateway: ip("192.168.1.1") }]],
  ])("with %s beside another address are others", (_what, places) => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.168.1.10")]);
    expect(own.setPlaces(places)).toBe("other");
  });

  it("have what a router opened before what servers see, until it is closed", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.168.1.10")]);
    const key = own.places[0]?.key ?? "";
    own.observed(0, key, S1, at("198.51.100.6", 40_000));
    expect([own.mapped(0, key, at("198.51.100.6")), own.mapped(0, key, at("198.51.100.6"))]).toEqual([true, false]);
    expect(own.locators.map(({ locator }) => locator.port)).toEqual([5_610, 5_610, 40_000]);
    expect(own.mapped(0, key, null)).toBe(true);
    expect(own.locators.map(({ locator }) => locator.port)).toEqual([5_610, 40_000]);
  });

  it("have what a router opened at another address than two servers see only while these do not agree, and a line of the log says so once an hour", () => {
    const lines: unknown[] = [];
    const own = new OwnLocators(5_610, RANGE, (_level, event, fields) => void lines.push([event, fields?.["gateway"], fields?.["why"]]));
    own.setPlaces([{ ...place(2, "192.168.1.10"), gateway: ip("192.168.1.1") }]);
    const key = own.places[0]?.key ?? "";
    const outside = (): readonly string[] => own.locators.filter(({ kind }) => kind === "server").map(({ locator }) => locatorText(locator));
    expect([own.mapped(0, key, at("203.0.113.9")), own.observed(0, key, S1, at("198.51.100.6", 1)), outside(), lines]).toEqual([true, true, ["203.0.113.9:5610", "198.51.100.6:1"], []]);
    expect([own.observed(0, key, S2, at("198.51.100.6", 1)), outside()]).toEqual([true, ["198.51.100.6:1"]]);
    const line = ["port-mapping-failed", "192.168.1.1", "at 203.0.113.9:5610, where two servers do not see this host"];
    expect(lines).toEqual([line]);
    // Whatever it says next, and with which port.
    for (const [i, text] of ["203.0.113.10", "203.0.113.11"].entries()) expect([own.mapped(i * 1_000, key, at(text)), own.mapped(i * 1_000, key, null)]).toEqual([false, false]);
    expect([own.mapped(3_600_000, key, at("203.0.113.9")), lines]).toEqual([false, [line, line]]);
    // That of the servers, at a port of its own.
    expect([own.mapped(3_600_000, key, at("198.51.100.6", 7)), outside()]).toEqual([true, ["198.51.100.6:7", "198.51.100.6:1"]]);
    // It was true: servers see it now.
    own.mapped(3_600_000, key, at("203.0.113.9"));
    own.observed(3_600_000, key, S1, at("203.0.113.9", 3));
    own.observed(3_600_000, key, S2, at("203.0.113.9", 3));
    expect(outside()).toEqual(["203.0.113.9:5610", "203.0.113.9:3"]);
  });

  it("are news when a server sees this host where the router has opened a port, and no more elsewhere", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.168.1.10")]);
    const key = own.places[0]?.key ?? "";
    own.mapped(0, key, at("198.51.100.6"));
    expect([own.observed(0, key, S1, at("198.51.100.6", 1)), own.observed(0, key, S1, at("198.51.100.6"))]).toEqual([true, true]);
    expect(own.locators).toHaveLength(2);
  });

  it("are 16 at most, of 8 places, whatever the machine has", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces(Array.from({ length: 40 }, (_, i) => place(i + 2, ...Array.from({ length: 9 }, (_each, j) => `10.1.${i}.${j + 1}`))));
    expect(own.places).toHaveLength(8);
    expect(own.locators).toHaveLength(16);
  });

  it("places stay the same objects while nothing changes", () => {
    const own = new OwnLocators(5_610, RANGE);
    own.setPlaces([place(2, "192.168.1.10")]);
    const { places } = own;
    expect(own.setPlaces([place(2, "192.168.1.10")])).toBe("none");
    expect(own.places).toBe(places);
  });
});

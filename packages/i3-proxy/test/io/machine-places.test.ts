/** Which interfaces a machine can send by, and in which order: from what netlink says, without asking the system. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { parseIpText } from "@i3/common";
import type { RouteEntry } from "@i3/datapath/native-io";

import { machinePlaces, MachinePlaces, type MachinePlacesOptions } from "../../src/io/machine-places.js";

const TUN = 9;
const ANY4 = new Uint8Array(4);
const ANY6 = new Uint8Array(16);
const ip = (text: string): Uint8Array => {
  const address = parseIpText(text);
  if (address === undefined) throw new Error(text);
  return address;
};

type Route = readonly [to: string, index: number, more?: Partial<RouteEntry> | undefined];

function ioOf(addresses: readonly (readonly [index: number, address: string])[], routes: readonly Route[]): MachinePlacesOptions["io"] & { change: () => void } {
  let changed: () => void = () => undefined;
  const isOf = (family: 4 | 6) => (address: Uint8Array): boolean => address.length === (family === 4 ? 4 : 16);
  return {
    listAddresses: (family) => addresses.map(([index, text]) => ({ index, name: `eth${index}`, address: ip(text), prefixBits: 24 })).filter(({ address }) => isOf(family)(address)),
    listRoutes: (family) => routes.map(([to, index, more]): RouteEntry => {
      const [network = "", bits = ""] = to.split("/");
      return { type: "unicast", destination: ip(network), prefixBits: Number(bits), gateway: null, index, table: 254, metric: 0, protocol: 2, ...more };
    }).filter(({ destination }) => isOf(family)(destination)),
    watchNetlink: (callback) => {
      changed = () => callback(["address"]);
      return { close: () => (changed = () => undefined) };
    },
    change: () => changed(),
  };
}

const ADDRESSES = [[1, "127.0.0.1"], [1, "::1"], [2, "192.0.2.10"], [2, "2001:db8::10"], [2, "fe80::10"], [3, "198.51.100.10"], [3, "169.254.3.3"], [TUN, "10.1.2.3"], [TUN, "2001:10::1"]] as const;
const via = (text: string, metric: number): Partial<RouteEntry> => ({ gateway: ip(text), metric });
const ROUTES: readonly Route[] = [
  ["0.0.0.0/0", 2, via("192.0.2.1", 200)], ["0.0.0.0/0", 3, via("198.51.100.1", 100)], ["::/0", 2, via("fe80::1", 150)],
  ["192.0.2.0/24", 2], ["198.51.100.0/24", 3], ["2001:db8::/64", 2], ["0.0.0.0/0", TUN], ["127.0.0.0/8", 1],
];
const shown = (routes: readonly Route[], addresses: Parameters<typeof ioOf>[0] = ADDRESSES, listen: Uint8Array = ANY6): readonly string[] =>
  machinePlaces({ io: ioOf(addresses, routes), tunIndex: TUN, listen }).map(({ interfaceIndex, family, prefixes }) => `${interfaceIndex} IPv${family}${prefixes === null ? "" : ` to ${prefixes.length}`}`);

it("those of the least metric of a default route come first, of whatever family; not loopback, link-local addresses, nor what is ours", () => {
  expect(shown(ROUTES)).toEqual(["3 IPv4", "2 IPv6", "2 IPv4"]);
});

it("each has its addresses, and the next hop of its best default route", () => {
  const places = machinePlaces({ io: ioOf([...ADDRESSES, [3, "198.51.100.11"]], [["0.0.0.0/0", 3, via("198.51.100.2", 300)], ...ROUTES]), tunIndex: TUN, listen: ANY6 });
  expect(places[0]).toEqual({ interfaceIndex: 3, family: 4, addresses: [ip("198.51.100.10"), ip("198.51.100.11")], gateway: ip("198.51.100.1"), prefixes: null });
});

it("of the same metric the interface that is older comes first, and its IPv4 before its IPv6", () => {
  const same = ROUTES.map(([to, index, more]): Route => [to, index, { ...more, metric: 100 }]);
  expect(shown(same)).toEqual(["2 IPv4", "2 IPv6", "3 IPv4"]);
});

it("without a default route they lead to their own networks, behind all that have one", () => {
  const routes = ROUTES.filter(([to, index]) => !(to === "0.0.0.0/0" && index === 3));
  expect(shown(routes)).toEqual(["2 IPv6", "2 IPv4", "3 IPv4 to 1"]);
  const [, , last] = machinePlaces({ io: ioOf(ADDRESSES, routes), tunIndex: TUN, listen: ANY6 });
  expect(last?.prefixes).toEqual([{ network: ip("198.51.100.0"), prefixBits: 24 }]);
});

it.each<readonly [string, Partial<RouteEntry>]>([["of another table", { table: 255 }], ["that refuses", { type: "unreachable" }], ["of no interface", { index: 0 }]])("a route %s counts for nothing", (_, more) => {
  expect(shown(ROUTES.map(([to, index, other]): Route => [to, index, index === 3 ? { ...other, ...more } : (other ?? {})]))).toEqual(["2 IPv6", "2 IPv4"]);
});

it.each<readonly [string, Uint8Array, readonly string[]]>([
  ["all of IPv4", ANY4, ["3 IPv4", "2 IPv4"]], ["one address", ip("192.0.2.10"), ["2 IPv4"]], ["one of IPv6", ip("2001:db8::10"), ["2 IPv6"]],
])("only what the main port listens on: %s", (_, listen, expected) => {
  expect(shown(ROUTES, ADDRESSES, listen)).toEqual(expected);
});

describe("changes", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("are told once, and only when they are other places", () => {
    const addresses: (readonly [number, string])[] = [...ADDRESSES];
    const io = ioOf(addresses, ROUTES);
    const told: number[] = [];
    const watch = new MachinePlaces({ io, tunIndex: TUN, listen: ANY6, onChange: (places) => told.push(places.flatMap((place) => place.addresses).length) });
    expect(told).toEqual([3]);
    vi.advanceTimersByTime(1_000);
    io.change();
    vi.advanceTimersByTime(1_000);
    expect(told).toEqual([3]);
    addresses.push([3, "198.51.100.11"]);
    for (let i = 0; i < 5; i += 1) io.change();
    vi.advanceTimersByTime(1_000);
    expect(told).toEqual([3, 4]);
    watch.close();
    addresses.push([3, "198.51.100.12"]);
    io.change();
    vi.advanceTimersByTime(1_000);
    expect(told).toEqual([3, 4]);
  });
});

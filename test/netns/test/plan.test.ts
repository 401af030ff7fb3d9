/** Addresses and routes follow from the declaration; impossible ones are refused before anything is built. */
import { describe, expect, test } from "vitest";
import { NetnsError } from "../src/index.js";
import { checkName, natSides, routesOf, type NodeKind, type SegmentPlan } from "../src/plan.js";
import { addressAt, containsAddress, parseSubnet } from "../src/subnet.js";

describe("subnets", () => {
  test.each([
    ["192.0.2.4/30", 1, "192.0.2.5"],
    ["192.0.2.4/30", 2, "192.0.2.6"],
    ["10.255.0.0/16", 256, "10.255.1.0"],
    ["2001:db8::/64", 1, "2001:db8::1"],
    ["2001:db8:1:2::/64", 0x1_0000, "2001:db8:1:2::1:0"],
    ["::/0", 16, "::10"],
  ])("%s: host %d is %s", (text, index, address) => {
    const subnet = parseSubnet(text);
    expect(subnet.text).toBe(text);
    expect(addressAt(subnet, index)).toBe(address);
    expect(containsAddress(subnet, address)).toBe(true);
  });

  test.each(["", "192.0.2.0", "192.0.2.0/33", "192.0.2.1/24", "192.0.2/24", "2001:db8::1/64", "2001:db8::/129", "x/8", "10.0.0.0/8/8"])("%j is refused", (text) => {
    expect(() => parseSubnet(text)).toThrow(NetnsError);
  });

  test("a full one is refused", () => {
    expect(() => addressAt(parseSubnet("192.0.2.4/30"), 3)).toThrow(/no room/);
  });

  test("other addresses and the other family are outside", () => {
    const subnet = parseSubnet("192.0.2.0/24");
    expect(["192.0.3.1", "2001:db8::1"].map((address) => containsAddress(subnet, address))).toEqual([false, false]);
  });
});

test.each(["", "Laptop", "1st", "a b", "a_b", "longer-than-12", "-a"])("the name %j is refused", (name) => {
  expect(() => checkName(name)).toThrow(NetnsError);
});

/** `gateway host host…` with addresses 10.N.0.1, .2… and fdN::1, ::2…, where N is the segment's number. */
function segment(number: number, gateway: string, ...others: string[]): SegmentPlan {
  const nodes = [gateway, ...others];
  return {
    name: `n${number}`,
    kind: "lan",
    subnet4: parseSubnet(`10.${number}.0.0/16`),
    subnet6: parseSubnet(`fd00:${number}::/64`),
    gateway,
    attachments: nodes.map((node, i) => ({ node, interfaceName: `to-n${number}`, address4: `10.${number}.0.${i + 1}`, address6: `fd00:${number}::${i + 1}` })),
  };
}

describe("routes", () => {
  //  server ─1─ core ─2─ edge ─3─ host        core ─4─ cgn ─5─ nat ─6─ laptop
  const segments = [segment(1, "core", "server"), segment(2, "core", "edge"), segment(3, "edge", "host"), segment(4, "core", "cgn"), segment(5, "cgn", "nat"), segment(6, "nat", "laptop")];
  const kinds = new Map<string, NodeKind>([
    ["core", "router"], ["edge", "router"], ["cgn", "nat"], ["nat", "nat"], ["server", "host"], ["host", "host"], ["laptop", "host"],
  ]);
  const routes = (node: string, family: 4 | 6): string[] =>
    routesOf(node, kinds, segments).filter((route) => route.family === family).map((route) => `${route.destination} ${route.via}`);

  test("hosts only have the default of their gateway", () => {
    expect(routes("server", 4)).toEqual(["default 10.1.0.1"]);
    expect(routes("laptop", 6)).toEqual(["default fd00:6::1"]);
  });

  test("IPv4 reaches behind routers and never behind a NAT", () => {
    expect(routes("core", 4)).toEqual(["10.3.0.0/16 10.2.0.2"]);
  });

  test("IPv6 reaches behind NATs, over several hops too", () => {
    expect(routes("core", 6)).toEqual(["fd00:3::/64 fd00:2::2", "fd00:5::/64 fd00:4::2", "fd00:6::/64 fd00:4::2"]);
  });

  test("what the default covers needs no route of its own", () => {
    expect(routes("nat", 4)).toEqual(["default 10.5.0.1"]);
    expect(routes("edge", 4)).toEqual(["default 10.2.0.1"]);
  });

  test("a NAT translates from where it is the gateway to where it is not", () => {
    expect(natSides("nat", segments)).toEqual({ inside: ["to-n6"], outside: "to-n5" });
    expect(() => natSides("nat", segments.slice(0, 5))).toThrow(/inside/);
    expect(() => natSides("nat", segments.slice(5))).toThrow(/outside/);
    expect(() => natSides("nat", [...segments, segment(7, "core", "nat")])).toThrow(/outside \(it has 2\)/);
  });
});

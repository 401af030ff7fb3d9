import type { Security } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { isEnough, policyFor, securitiesOf, securityOf, UNNAMED_POLICY, type PeerPolicy, type Service } from "../../src/policy/policy.js";
import { rulesOf } from "./files.js";

const of = (name: string, ...rules: readonly string[]): PeerPolicy => policyFor(name, rulesOf(...rules)) as PeerPolicy;

describe("the policy of a name", () => {
  const rules = rulesOf(
    'name="(nas|box)\\.i3" go="i3" protocol="tcp" ports="80-90,22" security="auth" trust="first-use" private-id="own"',
    'name="b[o]x\\.i3" go="direct"',
    'name="nas\\.i3|ping\\.i3" go="i3" protocol="icmp" security="none"',
    'name="n.*\\.i3" go="i3" protocol="udp"',
    'name=".*\\.i3" go="i3" security="none"',
    'name="plain" go="direct"',
  );
  const tcp: Service = { protocol: 6, ports: [{ first: 22, last: 22 }, { first: 80, last: 90 }], security: "auth" };
  const ping4: Service = { protocol: 1, ports: [], security: "none" };
  const ping6: Service = { ...ping4, protocol: 58 };

  it.each<[string, Partial<PeerPolicy> | null]>([
    ["nas.i3", { services: [tcp, ping4, ping6, { protocol: 17, ports: [], security: "esp" }], rest: "none", trust: "first-use", privateId: "own", cutOffAt: null }],
    ["NAS.i3.", { rest: "none", privateId: "own" }],
    ["ping.i3", { services: [ping4, ping6], rest: "none", trust: "book", privateId: "shared" }],
    // What a service leaves is not sent past the overlay.
    ["box.i3", { services: [tcp], rest: null, trust: "first-use", privateId: "own" }],
    ["other.i3", { services: [], rest: "none", trust: "book", privateId: "shared" }],
    ["plain", null],
    ["nobody", null],
    [`${"a".repeat(260)}.i3`, null],
  ])("for %s", (name, expected) => {
    const policy = policyFor(name, rules);
    if (expected === null) expect(policy).toBeNull();
    else expect(policy).toMatchObject(expected);
    expect(Object.isFrozen(policy)).toBe(true);
  });

  it("is esp for peers without one", () => {
    expect(UNNAMED_POLICY).toMatchObject({ services: [], rest: "esp" });
  });

  it("has at most 32 services, and refuses what those behind them are for", () => {
    // From different patterns, which the parser cannot compare.
    const ports = Array.from({ length: 31 }, (_, i) => `name="a{1,${i + 1}}" go="i3" protocol="tcp" ports="${i + 1}"`);
    const full = of("a", ...ports, 'name="a|b" go="i3" protocol="udp"', 'name="a|c" go="i3" protocol="sctp"', 'name="a|d" go="i3" security="none"');
    expect([full.services.length, full.rest, full.cutOffAt]).toEqual([32, null, 34]);
    expect(securityOf(full, { protocol: 17, ports: null })).toBe("esp");
    expect(securityOf(full, { protocol: 132, ports: null })).toBeNull();
    // icmp takes two places.
    const ping = of("a", ...ports, 'name="a|b" go="i3" protocol="icmp"', 'name="a|d" go="i3"');
    expect([ping.services.length, ping.rest, ping.cutOffAt]).toEqual([31, null, 33]);
    const fits = of("a", ...ports, 'name="a|b" go="i3" protocol="udp"', 'name="a|d" go="i3"');
    expect([fits.services.length, fits.rest, fits.cutOffAt]).toEqual([32, "esp", null]);
  });
});

describe("a packet", () => {
  const policy = of(
    "a",
    'name="a" go="i3" protocol="tcp" ports="20-30" security="auth"',
    'name="a" go="i3" protocol="tcp" ports="1-1024" security="none"',
    'name="a" go="i3" protocol="icmp" security="none"',
    'name="a" go="i3" protocol="udp" ports="53" security="none"',
    'name="a" go="i3" protocol="sctp" security="auth"',
    'name="a" go="i3" security="esp"',
  );
  const listOnly = of("a", 'name="a" go="i3" protocol="tcp" ports="22" security="auth"', 'name="a" go="i3" protocol="tcp" ports="23" security="none"');
  const bothKinds = of("a", 'name="a" go="i3" protocol="tcp" ports="22" security="auth"', 'name="a" go="i3" protocol="tcp" security="none"', 'name="a" go="i3" security="esp"');
  const ports = (source: number, destination: number): { source: number; destination: number } => ({ source, destination });

  it.each([
    ["of the first service", policy, 6, ports(5000, 20), "auth"],
    ["of its last port", policy, 6, ports(5000, 30), "auth"],
    ["that answers", policy, 6, ports(25, 5000), "auth"],
    ["behind its last port", policy, 6, ports(5000, 31), "none"],
    ["before its first port", policy, 6, ports(5000, 19), "none"],
    ["of two services", policy, 6, ports(80, 22), "auth"],
    ["of none", policy, 6, ports(5000, 5001), "esp"],
    ["of another protocol", policy, 17, ports(5000, 22), "esp"],
    ["of DNS", policy, 17, ports(53, 5000), "none"],
    ["of ICMP", policy, 1, null, "none"],
    ["of ICMPv6", policy, 58, null, "none"],
    ["of SCTP", policy, 132, ports(1, 2), "auth"],
    ["of SCTP, all of whose ports are one service", policy, 132, null, "auth"],
    ["of GRE", policy, 47, null, "esp"],
    ["of TCP without ports", policy, 6, null, "esp"],
    ["without ports, where less is for all that the first service leaves", bothKinds, 6, null, "auth"],
    ["of a service, where nothing else is admitted", listOnly, 6, ports(1, 22), "auth"],
    ["of nothing that is admitted", listOnly, 6, ports(1, 2), null],
    ["of another protocol than is admitted", listOnly, 17, ports(1, 22), null],
    ["without ports, where a service is admitted", listOnly, 6, null, "auth"],
  ] as const)("%s", (_, peer, protocol, ends, expected) => {
    expect(securityOf(peer, { protocol, ports: ends })).toBe(expected);
  });

  it("is asked for the same at both ends", () => {
    fc.assert(fc.property(fc.constantFrom(6, 17, 132, 33), fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 65_535 }), (protocol, a, b) => {
      expect(securityOf(policy, { protocol, ports: ports(a, b) })).toBe(securityOf(policy, { protocol, ports: ports(b, a) }));
    }));
  });
});

it.each<[Security, Security | null, boolean]>([
  ["esp", "esp", true], ["esp", "auth", true], ["esp", "none", true], ["auth", "auth", true], ["auth", "none", true], ["none", "none", true],
  ["auth", "esp", false], ["none", "esp", false], ["none", "auth", false], ["esp", null, false], ["none", null, false],
])("what came as %s is enough for %s: %s", (came, asked, enough) => {
  expect(isEnough(came, asked)).toBe(enough);
});

it("names the kinds of security of a peer, strongest first", () => {
  expect(securitiesOf(of("a", 'name="a" go="i3" protocol="tcp" security="none"', 'name="a" go="i3" protocol="udp" security="none"', 'name="a" go="i3" security="esp"'))).toEqual(["esp", "none"]);
  expect(securitiesOf(of("a", 'name="a" go="i3" protocol="icmp" security="none"', 'name="a" go="i3" protocol="udp" security="auth"'))).toEqual(["auth", "none"]);
});

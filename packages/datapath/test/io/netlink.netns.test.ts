/** What the addon tells the kernel, as iproute2 sees it, and what it reads, beside what iproute2 reads. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { loadNativeIo, ROUTE_PROTOCOL, type NetlinkEvent, type RouteOptions, type RuleOptions } from "@i3/datapath/native-io";
import { turns, until } from "./batches.js";
import { ip, ipJson, makeTun, requireOwnNamespace } from "./namespace.js";

const io = loadNativeIo();
const TABLE = 7_777;
let tun = { fd: -1, index: -1 };
beforeAll(() => {
  requireOwnNamespace(io);
  tun = makeTun(io, "i3n0", 1);
});
afterAll(() => io.closeFd(tun.fd));

const V6 = Uint8Array.of(0xfd, 0x69, 0x33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5);
const V6_FRESH = V6.with(15, 6);

const route = (more: Partial<RouteOptions> = {}): RouteOptions => ({
  type: "unicast", destination: Uint8Array.of(10, 98, 0, 5), prefixBits: 32, index: tun.index, table: TABLE, metric: 0, source: null, ...more,
});
const rule = (more: Partial<RuleOptions> = {}): RuleOptions => ({ family: 4, priority: 500, table: TABLE, from: null, to: null, ...more });

const routes = (family: 4 | 6 = 4): readonly Record<string, unknown>[] => ipJson(`-${family}`, "route", "show", "table", `${TABLE}`);
const rules = (family: 4 | 6 = 4): readonly Record<string, unknown>[] => ipJson(`-${family}`, "rule", "show", "priority", "500");

describe("setLink and addAddress", () => {
  it("sets MTU and state", () => {
    io.setLink({ index: tun.index, up: true, mtu: 1_400 });
    expect(ipJson("link", "show", "i3n0")[0]).toMatchObject({ mtu: 1_400, flags: expect.arrayContaining(["UP"]) });
    io.setLink({ index: tun.index, up: false, mtu: 0 });
    expect(ipJson("link", "show", "i3n0")[0]).toMatchObject({ mtu: 1_400, flags: expect.not.arrayContaining(["UP"]) });
    io.setLink({ index: tun.index, up: true, mtu: 1_360 });
  });

  it("sets how long trains may be", () => {
    for (const [segments, bytes] of [[44, 60_864], [65_535, 65_536]] as const) {
      io.setTrains({ index: tun.index, segments, bytes });
      expect(ipJson("-d", "link", "show", "i3n0")[0]).toMatchObject({ gso_max_segs: segments, gso_max_size: bytes, flags: expect.arrayContaining(["UP"]) });
    }
    expect(() => io.setTrains({ index: tun.index, segments: 0, bytes: 65_536 })).toThrow(/segments/);
  });

  it("adds addresses, twice without complaint, IPv6 usable at once", () => {
    for (let i = 0; i < 2; i++) {
      io.addAddress({ index: tun.index, address: Uint8Array.of(10, 98, 7, 1), prefixBits: 32 });
      io.addAddress({ index: tun.index, address: V6, prefixBits: 128 });
    }
    const [shown] = ipJson("address", "show", "i3n0") as readonly { addr_info: readonly Record<string, unknown>[] }[];
    expect(shown?.addr_info).toContainEqual(expect.objectContaining({ local: "10.98.7.1", prefixlen: 32 }));
    const six = shown?.addr_info.find(({ local }) => local === "fd69:3300::5");
    expect(six).toMatchObject({ prefixlen: 128 });
    expect(six).not.toHaveProperty("tentative");
  });

  // Bound in the next call: whoever asks later may find what the kernel has mended meanwhile.
  it("adds IPv6 addresses to which a program can bind at once, on fresh devices", () => {
    const unusable: string[] = [];
    for (let i = 0; i < 200; i++) {
      const fresh = io.openTun({ name: "i3n1", kind: "tun" });
      try {
        const index = io.interfaceIndex("i3n1");
        io.setLink({ index, up: true, mtu: 1_360 });
        io.addAddress({ index, address: V6_FRESH, prefixBits: 128 });
        io.closeFd(io.openUdp({ family: 6, address: "fd69:3300::6", port: 0, mark: 0, bufferBytes: 0 }).fd);
      } catch (error) {
        unusable.push(`device ${i}: ${String(error)}`);
      } finally {
        io.closeFd(fresh.fd);
      }
    }
    expect(unusable).toEqual([]);
  });

  it("says what is wrong", () => {
    expect(() => io.setLink({ index: 0x7fff_ffff, up: true, mtu: 0 })).toThrow(expect.objectContaining({ code: "ENODEV", syscall: "RTM_NEWLINK" }));
    expect(() => io.setLink({ index: tun.index, up: true, mtu: 10 })).toThrow("mtu less than device minimum");
    expect(() => io.interfaceIndex("i3none")).toThrow(expect.objectContaining({ code: "ENODEV" }));
  });
});

describe("routes", () => {
  it.each([4, 6] as const)("sets, replaces by unreachable and back, and removes IPv%s", (family) => {
    const destination = family === 4 ? Uint8Array.of(10, 98, 0, 5) : V6;
    const dst = family === 4 ? "10.98.0.5" : "fd69:3300::5";
    const own = { destination, prefixBits: family === 4 ? 32 : 128 };
    io.setRoute(route(own));
    io.setRoute(route(own));
    expect(routes(family)).toEqual([expect.objectContaining({ dst, dev: "i3n0", protocol: `${ROUTE_PROTOCOL}` })]);
    io.setRoute(route({ ...own, type: "unreachable", index: 0 }));
    expect(routes(family)).toEqual([expect.objectContaining({ type: "unreachable", dst })]);
    io.setRoute(route(own));
    expect(routes(family)).toEqual([expect.objectContaining({ dst, dev: "i3n0" })]);
    io.removeRoute(route(own));
    io.removeRoute(route(own));
    expect(routes(family)).toEqual([]);
  });

  it("keeps metrics apart", () => {
    io.setRoute(route({ metric: 10 }));
    io.setRoute(route({ metric: 20, type: "unreachable", index: 0 }));
    expect(routes().map(({ metric, type }) => [metric, type])).toEqual([[10, undefined], [20, "unreachable"]]);
    io.removeRoute(route({ metric: 10 }));
    expect(routes().map(({ metric }) => metric)).toEqual([20]);
    io.removeRoute(route({ metric: 20, type: "unreachable", index: 0 }));
    expect(routes()).toEqual([]);
  });

  it("sets the preferred source", () => {
    io.setRoute(route({ source: Uint8Array.of(10, 99, 1, 1) }));
    expect(routes()[0]).toMatchObject({ prefsrc: "10.99.1.1" });
    io.removeRoute(route());
  });

  it("has tables below and above 255", () => {
    io.setRoute(route({ table: 100 }));
    expect(ipJson("route", "show", "table", "100")).toHaveLength(1);
    io.removeRoute(route({ table: 100 }));
    expect(ipJson("route", "show", "table", "100")).toEqual([]);
  });

  it("does not mind removing through an interface that is gone", () => {
    expect(() => io.removeRoute(route({ index: 0x7fff_ffff }))).not.toThrow();
  });

  it("gives the kernel's own words", () => {
    expect(() => io.setRoute(route({ prefixBits: 24 }))).toThrow(/EINVAL: Invalid argument, RTM_NEWROUTE .*[Pp]refix/);
    expect(() => io.setRoute(route({ index: 0x7fff_ffff }))).toThrow(expect.objectContaining({ code: "ENODEV" }));
  });

  it("refuses what cannot be meant", () => {
    expect(() => io.setRoute(route({ index: 0 }))).toThrow(TypeError);
    expect(() => io.setRoute(route({ prefixBits: 33 }))).toThrow(TypeError);
    expect(() => io.setRoute(route({ source: V6 }))).toThrow(TypeError);
    expect(() => io.setRoute(route({ table: 0 }))).toThrow(TypeError);
  });
});

describe("rules", () => {
  it("sets one once, finds it by all its parts, and removes it", () => {
    const from = { address: Uint8Array.of(10, 98, 0, 0), prefixBits: 16 };
    expect([io.setRule(rule({ from })), io.setRule(rule({ from }))]).toEqual([true, false]);
    expect(rules()).toEqual([expect.objectContaining({ src: "10.98.0.0", srclen: 16, table: `${TABLE}` })]);
    io.removeRule(rule({ from: { ...from, prefixBits: 17 } }));
    expect(rules()).toHaveLength(1);
    expect([io.removeRule(rule({ from })), io.removeRule(rule({ from }))]).toEqual([true, false]);
    expect(rules()).toEqual([]);
  });

  it("selects by destination, mark and family", () => {
    const six = rule({ family: 6, to: { address: V6, prefixBits: 128 }, mark: 0x33 });
    io.setRule(six);
    expect(rules(6)).toEqual([expect.objectContaining({ dst: "fd69:3300::5", fwmark: "0x33" })]);
    expect(rules(4)).toEqual([]);
    io.removeRule(six);
    expect(rules(6)).toEqual([]);
  });

  it.each([4, 6] as const)("selects what is not so, and passes over routes of short prefixes: family %i", (family) => {
    const not = rule({ family, mark: 0x33, invert: true, suppressPrefixBits: 23 });
    io.setRule(not);
    expect(rules(family)).toEqual([expect.objectContaining({ not: null, fwmark: "0x33", suppress_prefixlen: 23 })]);
    io.removeRule({ ...not, suppressPrefixBits: 22 });
    expect(rules(family)).toHaveLength(1);
    io.removeRule(not);
    expect(rules(family)).toEqual([]);
    io.setRule(rule({ family, suppressPrefixBits: 0 }));
    expect(rules(family)).toEqual([expect.objectContaining({ suppress_prefixlen: 0 })]);
    io.removeRule(rule({ family, suppressPrefixBits: 0 }));
    expect(() => io.setRule(rule({ family, suppressPrefixBits: 129 }))).toThrow(/suppressPrefixBits/);
  });
});

describe("listRoutes and listAddresses", () => {
  it("says what `ip route` says", () => {
    ip("route", "add", "198.51.100.0/24", "via", "10.99.1.7", "metric", "50");
    ip("route", "add", "blackhole", "203.0.113.0/24");
    // It has no interface whose end would take it along, and other files share the sandbox.
    onTestFinished(() => void ip("route", "delete", "blackhole", "203.0.113.0/24"));
    ip("route", "add", "default", "via", "10.99.1.8");
    ip("-6", "route", "add", "2001:db8::/32", "via", "fd69:3300::9", "dev", "i3n0", "onlink");
    const listed = io.listRoutes(4).filter(({ table }) => table === 254);
    expect(listed).toContainEqual({ type: "unicast", destination: Uint8Array.of(198, 51, 100, 0), prefixBits: 24, gateway: Uint8Array.of(10, 99, 1, 7), index: tun.index, table: 254, metric: 50, protocol: 3 });
    expect(listed).toContainEqual(expect.objectContaining({ type: "blackhole", destination: Uint8Array.of(203, 0, 113, 0), gateway: null, index: 0 }));
    expect(listed).toContainEqual(expect.objectContaining({ destination: Uint8Array.of(0, 0, 0, 0), prefixBits: 0, gateway: Uint8Array.of(10, 99, 1, 8) }));
    expect(listed).toHaveLength(ipJson("route", "show", "table", "main").length);
    const gateway = expect.objectContaining({ 0: 0xfd, 15: 9 });
    expect(io.listRoutes(6)).toContainEqual(expect.objectContaining({ destination: expect.objectContaining({ 0: 0x20, 1: 1, 2: 0x0d, 3: 0xb8 }), prefixBits: 32, gateway, index: tun.index }));
  });

  it("takes the first of several next hops", () => {
    ip("route", "add", "198.18.0.0/15", "nexthop", "via", "10.99.1.3", "nexthop", "via", "10.99.1.4");
    expect(io.listRoutes(4)).toContainEqual(expect.objectContaining({ destination: Uint8Array.of(198, 18, 0, 0), prefixBits: 15, gateway: Uint8Array.of(10, 99, 1, 3), index: tun.index }));
  });

  it("reads thousands of routes over many messages", () => {
    for (let i = 0; i < 3_000; i++) io.setRoute(route({ destination: Uint8Array.of(10, 97, i >> 8, i & 0xff) }));
    const ours = io.listRoutes(4).filter(({ table, protocol }) => table === TABLE && protocol === ROUTE_PROTOCOL);
    expect(new Set(ours.map(({ destination }) => destination.join("."))).size).toBe(3_000);
    ip("route", "flush", "table", `${TABLE}`);
  });

  it("lists addresses with their interface", () => {
    expect(io.listAddresses(4)).toContainEqual({ index: tun.index, name: "i3n0", address: Uint8Array.of(10, 99, 1, 1), prefixBits: 24 });
    expect(io.listAddresses(4)).toContainEqual({ index: 1, name: "lo", address: Uint8Array.of(127, 0, 0, 1), prefixBits: 8 });
    expect(io.listAddresses(6)).toContainEqual(expect.objectContaining({ name: "i3n0", address: V6, prefixBits: 128 }));
  });

  it("names our own address, not the peer's, on point-to-point links", () => {
    ip("address", "add", "10.96.0.1", "peer", "10.96.0.2/32", "dev", "i3n0");
    expect(io.listAddresses(4)).toContainEqual(expect.objectContaining({ address: Uint8Array.of(10, 96, 0, 1) }));
  });
});

describe("watchNetlink", () => {
  it("tells each kind of change, and nothing after close", async () => {
    const seen: NetlinkEvent[][] = [];
    const watch = io.watchNetlink((events) => seen.push([...events]));
    const next = async (): Promise<NetlinkEvent[]> => {
      await until(() => seen.length > 0, "an event");
      await turns();
      return [...new Set(seen.splice(0).flat())].sort();
    };
    io.setRoute(route());
    expect(await next()).toEqual(["route"]);
    ip("link", "set", "i3n0", "mtu", "1300");
    expect(await next()).toEqual(["link"]);
    ip("address", "add", "10.95.0.1/32", "dev", "i3n0");
    expect(await next()).toEqual(expect.arrayContaining(["address"]));
    for (const family of [4, 6] as const) {
      io.setRule(rule({ family }));
      expect(await next()).toEqual(["rule"]);
      io.removeRule(rule({ family }));
      expect(await next()).toEqual(["rule"]);
    }
    let told = 0;
    const other = io.watchNetlink(() => (told += 1));
    watch.close();
    io.removeRoute(route());
    await until(() => told > 0, "the event at another watch");
    await turns();
    other.close();
    expect(seen).toEqual([]);
  });

  it("survives more changes than its buffer holds", async () => {
    let calls = 0;
    const seen = new Set<NetlinkEvent>();
    const watch = io.watchNetlink((events) => {
      calls += 1;
      for (const event of events) seen.add(event);
    });
    for (let i = 0; i < 5_000; i++) io.setRoute(route({ destination: Uint8Array.of(10, 97, i >> 8, i & 0xff) }));
    await until(() => seen.size === 4, "everything may have changed");
    expect(calls).toBeLessThan(1_000);
    watch.close();
    ip("route", "flush", "table", `${TABLE}`);
  });
});

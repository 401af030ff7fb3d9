/** The parts of io/ that only read or make text. */
import { bytesKey, parseIpText } from "@i3/common";
import type { AddressEntry, RouteEntry } from "@i3/datapath/native-io";
import { describe, expect, test } from "vitest";
import { dnsFrame, DnsFrameReader } from "../../src/io/dns-port-frames.js";
import { parsePort53Uids, parseResolvConf, parseSearchDomains, resolverText } from "../../src/io/dns-upstream-resolvers.js";
import { guardRules } from "../../src/io/guard.js";
import { tableName } from "../../src/io/interception-nft.js";
import { interceptionRules, type InterceptionState } from "../../src/io/interception-rules.js";
import { localAddresses } from "../../src/io/live-sockets.js";
import { intersects, overlapText, SystemView } from "../../src/io/system-view.js";

const bytes = (text: string): Uint8Array => {
  const address = parseIpText(text);
  if (address === undefined) throw new RangeError(text);
  return address;
};
const prefix = (text: string): { network: Uint8Array; prefixBits: number } => {
  const [address = "", bits = ""] = text.split("/");
  return { network: bytes(address), prefixBits: Number(bits) };
};
const RANGE = prefix("10.0.0.0/8");

describe("resolv.conf", () => {
  test.each([
    ["nameserver 192.0.2.1\nnameserver 192.0.2.2\n", ["192.0.2.1", "192.0.2.2"]],
    ["# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nsearch example\noptions edns0", []],
    ["nameserver\t2001:DB8::53 # home\nnameserver fe80::1%eth0", ["2001:db8::53", "fe80::1%eth0"]],
    ["nameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver 192.0.2.300\nnameserver resolver.example", ["192.0.2.1"]],
    [" nameserver 192.0.2.1", []],
  ])("%j", (text, expected) => {
    expect(parseResolvConf(text).map(resolverText)).toEqual(expected);
  });

  test.each([
    ["nameserver 192.0.2.1\nsearch Lan. corp.example lan # home\n", "laptop", ["lan", "corp.example"]],
    ["search one\ndomain two\n", "laptop", ["two"]],
    ["nameserver 192.0.2.1", "laptop.home.lan", ["home.lan"]],
    ["search .\n", "laptop.home.lan", []],
    ["#search lan", "laptop", []],
  ])("search domains of %j on %s", (text, host, expected) => {
    expect(parseSearchDomains(text, host)).toEqual(expected);
  });

  test("who serves port 53: not who only asks, not other ports", () => {
    const text = [
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops",
      "  100: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 24310 2 0000000000000000 0",
      "  101: 0100007F:0035 0100007F:9999 01 00000000:00000000 00:00000000 00000000   102        0 24310 2 0000000000000000 0",
      "  102: 0100007F:1435 00000000:0000 07 00000000:00000000 00:00000000 00000000   103        0 24310 2 0000000000000000 0",
      "  103: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0",
    ].join("\n");
    expect(parsePort53Uids(text)).toEqual([101, 0]);
  });
});

test("addresses that programs have connections from: both orders of bytes, IPv4 in IPv6 sockets, none that wait for nobody", () => {
  const lines = ["  sl  local_address rem_address   st …"];
  for (const [local, state] of [["0100120A:1F90", "01"], ["0200120A:1F90", "02"], ["0300120A:1F90", "0A"], ["0400120A:0016", "06"], ["0000000000000000FFFF00000500120A:0016", "08"], ["short:1", "01"], ["0600120A:0035", "07"]] as const) lines.push(`  1: ${local} 0100007F:9999 ${state} 0 0`);
  const keys = (...texts: readonly string[]): ReadonlySet<string> => new Set(texts.map((text) => bytesKey(bytes(text))));
  expect(localAddresses(lines.join("\n"), true)).toEqual(keys("10.18.0.1", "10.18.0.2", "10.18.0.5"));
  expect(localAddresses(lines.join("\n"), false)).toEqual(keys("1.0.18.10", "2.0.18.10", "5.0.18.10"));
  expect(localAddresses("", true)).toEqual(new Set());
});

describe("the rules", () => {
  const settings = { tunName: "i3", mark: 0x6933, range: RANGE };
  const quiet: InterceptionState = { dns: null, resolvers: [], refuse4: false, refuse6: false };
  const dns = { ports: [{ address: "192.0.2.1", port: 5300 }, { address: "2001:db8::53", port: 5301 }], otherPort: 5300, exemptUids: [101], ipv6: true };

  test("our own questions pass before everything else, listed resolvers come before exempt users, the rest last", () => {
    const rules = interceptionRules(settings, { ...quiet, dns });
    const order = ["meta mark 26931 return", "ip daddr 192.0.2.1 ", "ip6 daddr 2001:db8::53 ", "meta skuid { 101 } return", "redirect to :5300; }"].map((part) => rules.lastIndexOf(part));
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(rules).toContain("flags owner");
    expect(rules).not.toContain("\n");
  });

  test("a server behind the TUN is asked itself by a virtual address, or in a network that a rule names, and not because everything goes there", () => {
    const networks = ["0.0.0.0/0", "192.168.5.0/24", "fd00:5::/64"].map((text) => ({ address: prefix(text).network, bits: prefix(text).prefixBits }));
    const rules = interceptionRules({ ...settings, networks }, { ...quiet, dns });
    expect(Array.from(rules.matchAll(/oifname "i3" (ip6? daddr \S+ )?return/g), ([, match]) => match)).toEqual(["ip daddr 10.0.0.0/8 ", "ip daddr 192.168.5.0/24 ", "ip6 daddr 2001:20::/28 ", "ip6 daddr fd00::/8 ", "ip6 daddr fd00:5::/64 "]);
    expect(interceptionRules({ ...settings, networks: networks.slice(1) }, { ...quiet, dns })).toContain('oifname "i3" return;');
  });

  test("without ::1 no IPv6 question is redirected; without a port for others none of theirs", () => {
    const rules = interceptionRules(settings, { ...quiet, dns: { ...dns, ipv6: false } });
    expect(rules).not.toContain("ip6 daddr");
    expect(rules).toContain("meta nfproto ipv4 meta l4proto { tcp, udp } redirect to :5300");
    expect(interceptionRules(settings, { ...quiet, dns: { ...dns, otherPort: null } }).match(/redirect/g)).toHaveLength(2);
  });

  test("nothing is refused unless it is said, and only new connections", () => {
    expect(interceptionRules(settings, quiet)).not.toContain("reject");
    const rules = interceptionRules(settings, { ...quiet, refuse4: true, refuse6: true, resolvers: ["10.0.0.53"] });
    const refusals = rules.split(";").filter((rule) => rule.includes("reject"));
    expect(refusals).toHaveLength(4);
    for (const rule of refusals) expect(rule).toContain("ct state new ct direction original");
    expect(rules.indexOf("ip daddr 10.0.0.53 accept")).toBeLessThan(rules.indexOf("reject"));
    expect(rules).not.toContain("drop");
  });

  test("the guard knows addresses, never ranges", () => {
    const rules = guardRules({ tunName: "i3", own: [bytes("10.9.9.9"), bytes("2001:25::9")] }, [bytes("10.1.2.3"), bytes("2001:25::3")]);
    expect(rules).toContain("set allocated4 { type ipv4_addr; elements = { 10.1.2.3 }; }");
    expect(rules).toContain("set own6 { type ipv6_addr; elements = { 2001:25::9 }; }");
    expect(rules).not.toContain("/");
    expect(rules).not.toContain("owner");
  });

  test("table names hold any interface's name", () => {
    expect(tableName("dns", "i3")).toBe("i3_dns_i3");
    expect(tableName("dns", "my-tun.0")).toBe("i3_dns_my_2dtun_2e0");
  });
});

describe("what the machine uses", () => {
  const route = (destination: string, more: Partial<RouteEntry> = {}): RouteEntry => {
    const { network, prefixBits } = prefix(destination);
    return { type: "unicast", destination: network, prefixBits, gateway: null, index: 2, table: 254, metric: 0, protocol: 3, ...more };
  };
  const viewOf = (routes: readonly RouteEntry[], addresses: readonly AddressEntry[], resolvers: readonly string[] = []): SystemView =>
    new SystemView({
      io: {
        listRoutes: (family) => routes.filter(({ destination }) => destination.length === (family === 4 ? 4 : 16)),
        listAddresses: (family) => addresses.filter(({ address }) => address.length === (family === 4 ? 4 : 16)),
        watchNetlink: () => ({ close: () => undefined }),
      },
      tunIndex: () => 7,
      resolvers: () => resolvers.map(bytes),
    });
  const eth0: AddressEntry = { index: 2, name: "eth0", address: bytes("10.5.0.2"), prefixBits: 16 };

  test("addresses, routes and resolvers in the range, in words", () => {
    const view = viewOf([route("0.0.0.0/0"), route("10.5.0.0/16"), route("192.168.0.0/16"), route("10.7.7.7/32", { type: "unreachable", index: 0, table: 100 })], [eth0], ["10.0.0.53", "192.0.2.1"]);
    expect(view.findOverlaps(RANGE).map(overlapText)).toEqual([
      "address 10.5.0.2 (interface eth0) lies in the range of virtual addresses", "route 10.5.0.0/16 (table 254 by eth0) lies in the range of virtual addresses",
      "route 10.7.7.7/32 (table 100, unreachable) lies in the range of virtual addresses", "resolver 10.0.0.53 (resolv.conf) lies in the range of virtual addresses",
    ]);
    expect(["10.5.200.1", "10.0.0.53", "10.7.7.7", "10.6.0.1"].map((address) => view.isTaken(bytes(address)))).toEqual([true, true, true, false]);
  });

  test("not what is ours, default routes and their halves", () => {
    const view = viewOf([route("0.0.0.0/1"), route("10.1.2.3/32", { index: 7 }), route("10.1.2.4/32", { protocol: 105, index: 0 })], [{ ...eth0, index: 7, address: bytes("10.9.9.9") }]);
    expect(view.findOverlaps(RANGE)).toEqual([]);
  });

  test("a route that takes the whole range says so", () => {
    const [overlap] = viewOf([route("10.0.0.0/8")], []).findOverlaps(RANGE);
    expect(overlap?.coversRange).toBe(true);
    expect(viewOf([route("10.0.0.0/8")], []).findOverlaps(prefix("10.64.0.0/16"))[0]?.coversRange).toBe(true);
  });

  test.each([
    ["10.0.0.0/8", "10.255.0.0/16", true], ["10.255.0.0/16", "10.0.0.0/8", true], ["10.0.0.0/9", "10.128.0.0/9", false], ["10.128.0.0/9", "10.200.0.0/15", true],
    ["2001:20::/28", "2001:2f::1/128", true], ["2001:20::/28", "2001:30::1/128", false], ["10.0.0.0/8", "2001:20::/28", false],
  ])("%s and %s: %s", (a, b, expected) => {
    expect(intersects(prefix(a), prefix(b))).toBe(expected);
  });
});

test("messages in a TCP stream, however it is cut", () => {
  const messages = [Buffer.from("a"), Buffer.alloc(0), Buffer.alloc(300, 7), Buffer.from("last")];
  const stream = Buffer.concat(messages.map(dnsFrame));
  for (const step of [1, 2, 3, 7, 1_000]) {
    const reader = new DnsFrameReader();
    const read: Buffer[] = [];
    for (let at = 0; at < stream.length; at += step) read.push(...reader.push(stream.subarray(at, at + step)));
    expect(read.map((message) => message.toString("hex"))).toEqual(messages.map((message) => message.toString("hex")));
  }
});

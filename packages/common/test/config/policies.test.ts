import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { exitOf, parseAddressBook, parseIpText, parseProxyConfig, parseServerConfig, prefixText, renderAddressBook, type BookEntry, type ProxyRule } from "../../src/index.js";
import { book, proxy } from "./bad-documents.js";

const rulesOf = (...lines: readonly string[]): readonly ProxyRule[] =>
  parseProxyConfig(proxy("<rules>", ...lines.map((attributes) => `<rule ${attributes}/>`), "</rules>"), "x.xml").rules;
const bytes = (text: string): Uint8Array => parseIpText(text) ?? new Uint8Array();

describe("a rule over i3", () => {
  it.each([
    ["", { security: "esp", trust: "book", privateId: "shared" }],
    ['security="auth"', { security: "auth" }],
    ['security="none"', { security: "none" }],
    ['trust="first-use" private-id="own"', { security: "esp", trust: "first-use", privateId: "own" }],
    ['protocol="tcp"', { service: { protocols: [6], ports: [] } }],
    ['protocol="udp" ports="65535"', { service: { protocols: [17], ports: [{ first: 65_535, last: 65_535 }] } }],
    ['protocol="132" ports="80-90,22"', { service: { protocols: [132], ports: [{ first: 22, last: 22 }, { first: 80, last: 90 }] } }],
    ['protocol="icmp"', { service: { protocols: [1, 58], ports: [] } }],
    ['protocol="58"', { service: { protocols: [58], ports: [] } }],
    ['protocol="254"', { service: { protocols: [254], ports: [] } }],
    // Something else of the name may be worth a key.
    ['protocol="icmp" security="none" trust="first-use"', { security: "none", trust: "first-use" }],
  ])("with %j", (attributes, expected) => {
    const [rule] = rulesOf(`name="a" go="i3" ${attributes}`);
    expect(rule).toMatchObject({ go: "i3", line: 4, ...expected });
    if (!attributes.includes("protocol")) expect(rule).toHaveProperty("service", undefined);
    expect(Object.isFrozen(rule)).toBe(true);
  });
});

describe("rules that have their use", () => {
  it.each([
    ["services of a name, then the rest", ['name="a" go="i3" protocol="tcp" ports="22"', 'name="a" go="i3" protocol="tcp"', 'name="a" go="i3"']],
    ["the same port of another protocol", ['name="a" go="i3" protocol="tcp" ports="22"', 'name="a" go="i3" protocol="udp" ports="22"']],
    ["ports of which some are left", ['name="a" go="i3" protocol="tcp" ports="1-9"', 'name="a" go="i3" protocol="tcp" ports="9-10"']],
    ["a number that is half of icmp", ['name="a" go="i3" protocol="1"', 'name="a" go="i3" protocol="icmp"']],
    ["a name before its ending", ['name="a\\.i3" go="direct"', 'name=".*\\.i3" go="i3"']],
    ["an ending before a shorter one", ['name=".*\\.b\\.i3" go="i3"', 'name=".*\\.i3" go="direct"']],
    ["another name", ['name="a\\.i3" go="i3"', 'name="b\\.i3" go="direct"']],
    ["another ending", ['name=".*\\.a\\.i3" go="i3"', 'name=".*\\.b\\.i3" go="direct"']],
    ["an ending that is itself a name", ['name=".+i3" go="i3"', 'name=".*i3" go="direct"']],
    ["an ending behind a name that has it", ['name="x\\.i3" go="i3"', 'name=".*\\.i3" go="direct"']],
    ["an ending whose shortest name an earlier one has", ['name=".{0,4}\\.i3" go="direct"', 'name=".*\\.i3" go="i3"']],
    ["patterns that cannot be compared", ['name="(a|b).*" go="i3"', 'name="ab?c" go="direct"']],
    ["patterns in other letters, which may be classes", ['name="\\D+" go="i3"', 'name="\\d+" go="direct"']],
    ["the same trust again", ['name="a" go="i3" protocol="tcp" trust="first-use"', 'name="a" go="i3" trust="first-use"']],
    ["no trust on the later rule", ['name="a" go="i3" protocol="tcp" trust="first-use"', 'name="a" go="i3"']],
    ["32 services", [...Array.from({ length: 32 }, (_, i) => `name="a" go="i3" protocol="tcp" ports="${i + 1}"`), 'name="a" go="i3"']],
  ])("are taken: %s", (_, lines) => {
    expect(rulesOf(...lines)).toHaveLength(lines.length);
  });
});

describe("a rule for a gateway", () => {
  it.each([
    ["a name of the book", ['name=".*\\.corp" go="gateway" via="Office.I3"', 'name=".*\\.i3" go="i3"']],
    ["with services, of which one is in cleartext", ['name=".*\\.corp" go="gateway" via="office.i3"', 'name="office\\.i3" go="i3" security="none" protocol="icmp"', 'name=".*\\.i3" go="i3"']],
    ["whose rule comes first", ['name="office\\.i3" go="i3" security="auth"', 'name=".*" go="gateway" via="office.i3"']],
  ])("with a via: %s", (_, lines) => {
    const rule = rulesOf(...lines).find(({ go }) => go === "gateway");
    expect(rule).toMatchObject({ go: "gateway", via: "office.i3" });
    expect(Object.isFrozen(rule)).toBe(true);
  });
});

describe("a rule by address", () => {
  const of = (...lines: readonly string[]): ReturnType<typeof parseProxyConfig> => parseProxyConfig(proxy("<rules>", ...[...lines, 'name=".*\\.i3" go="i3"'].map((attributes) => `<rule ${attributes}/>`), "</rules>"), "x.xml");

  it("is no rule of names, and refuses while its gateway is down unless it says otherwise", () => {
    const { rules, addressRules } = of('address="192.168.5.0/24 fd00:5::/64" go="gateway" via="Office.i3"', 'address="0.0.0.0/0" go="gateway" via="exit.i3" when-down="direct"', 'address="192.168.0.0/16" go="gateway" via="exit.i3"');
    expect(rules.map(({ go }) => go)).toEqual(["i3"]);
    expect(addressRules.map(({ prefixes, ...rest }) => [prefixes.map(prefixText), rest])).toEqual([
      [["192.168.5.0/24", "fd00:5::/64"], { via: "office.i3", whenDown: "refuse", line: 4 }], [["0.0.0.0/0"], { via: "exit.i3", whenDown: "direct", line: 5 }], [["192.168.0.0/16"], { via: "exit.i3", whenDown: "refuse", line: 6 }],
    ]);
    expect(exitOf(addressRules)?.via).toBe("exit.i3");
    expect(Object.isFrozen(addressRules)).toBe(true);
  });

  it("for everything, of each family one, has its names asked at the gateway of IPv4", () => {
    expect(exitOf(of('address="::/0" go="gateway" via="six.i3"', 'address="0.0.0.0/0" go="gateway" via="four.i3"').addressRules)?.via).toBe("four.i3");
    expect(exitOf(of('address="::/0" go="gateway" via="six.i3"').addressRules)?.via).toBe("six.i3");
    expect(exitOf(of('address="0.0.0.0/1" go="gateway" via="half.i3"').addressRules)).toBeUndefined();
  });
});

it("1,024 rules are compared in a moment", () => {
  const lines = Array.from({ length: 1_023 }, (_, i) => `name="host-${i}\\.i3" go="i3"`);
  const startMs = performance.now();
  expect(rulesOf(...lines, 'name=".*\\.i3" go="direct"')).toHaveLength(1_024);
  expect(performance.now() - startMs).toBeLessThan(5_000); // half a second on a busy machine
});

describe("an access list", () => {
  it("keeps the common order of its entries, on one line too", () => {
    const text = proxy('<access default="allow"><refuse group="Guests"/><allow hit="2001:22::1"/><refuse hit="2001:21::2"/>', '<allow group="family"/></access>');
    const { access } = parseProxyConfig(text, "x.xml");
    expect(access).toEqual({
      default: "allow",
      entries: [
        { admits: false, group: "guests", line: 3 },
        { admits: true, hit: bytes("2001:22::1"), line: 3 },
        { admits: false, hit: bytes("2001:21::2"), line: 3 },
        { admits: true, group: "family", line: 4 },
      ],
    });
    expect([access, access?.entries, ...(access?.entries ?? [])].every(Object.isFrozen)).toBe(true);
  });

  it("refuses everybody when it is empty", () => {
    expect(parseProxyConfig(proxy("<access/>"), "x.xml").access).toEqual({ default: "refuse", entries: [] });
  });
});

describe("a host of the address book", () => {
  it.each([
    ['address="192.0.2.1"', { at: { protocol: "udp", address: bytes("192.0.2.1"), port: 10_500 } }],
    ['address="2001:db8::1" protocol="udp" port="1"', { at: { protocol: "udp", address: bytes("2001:db8::1"), port: 1 } }],
    ['address="192.0.2.1" protocol="ip"', { at: { protocol: "ip", address: bytes("192.0.2.1") } }],
    ['group=" Family&#9;admins "', { groups: ["family", "admins"] }],
  ] as const)("may have %s", (attributes, expected) => {
    const { entries } = parseAddressBook(book(`<host name="a.i3" hit="2001:22::1" ${attributes}/>`), "b.xml");
    const host = { name: "a.i3", hit: bytes("2001:22::1"), ...expected };
    expect(entries).toEqual([{ ...host, line: 2 }]);
    expect(Object.values(entries[0] ?? {}).every((value) => ArrayBuffer.isView(value) || Object.isFrozen(value))).toBe(true);
    expect(parseAddressBook(renderAddressBook([host]), "b.xml").entries).toEqual([{ ...host, line: 3 }]);
  });

  it("may be in a group before such hosts are reached, and by its id", () => {
    const [host] = parseAddressBook(book(`<host name="a.i3" id="${"ab".repeat(32)}" group="family"/>`), "b.xml").entries;
    expect(host?.groups).toEqual(["family"]);
  });

  it.each([
    [{ at: { protocol: "udp", address: bytes("192.0.2.1"), port: 0 } }, 'host[1]/@port: "0" is out of range'],
    [{ at: { protocol: "ip", address: bytes("0.0.0.0") } }, 'host[1]/@address: "0.0.0.0" is not the address of one host'],
    [{ hit: undefined, id: new Uint8Array(32), at: { protocol: "ip", address: bytes("192.0.2.1") } }, "host[1]/@address: given without hit"],
    [{ groups: ["c", "a b"] }, 'host[1]/@group: "a b" is not the name of a group'],
    [{ groups: ["a,b"] }, 'host[1]/@group: "a,b" is not the name of a group'],
    [{ groups: [] }, 'host[1]/@group: "" is empty'],
  ] as const)("is not written if it could not be read: %j", (more, message) => {
    const host = { name: "a.i3", hit: bytes("2001:22::1"), ...more } as unknown as BookEntry;
    expect(() => renderAddressBook([host])).toThrow(message);
  });
});

describe("names that a host publishes", () => {
  const published = (...names: readonly string[]): readonly string[] =>
    parseProxyConfig(proxy("<published-names>", ...names.map((name) => `<publish name="${name}"/>`), "</published-names>"), "x.xml").publishedNames;

  it("are kept in lower case, at most 16, and none unless there are some", () => {
    expect(published("Box.try.i3", "b.try.i3")).toEqual(["box.try.i3", "b.try.i3"]);
    expect(parseProxyConfig(proxy(), "x.xml").publishedNames).toEqual([]);
    expect(published(...Array.from({ length: 16 }, (_, i) => `n${i}.i3`))).toHaveLength(16);
    expect(() => published(...Array.from({ length: 17 }, (_, i) => `n${i}.i3`))).toThrow(/at most 16/);
  });

  it.each([["box", "box"], ["a b.i3", "a b.i3"], ["10.0.0.1", "10.0.0.1"]])("are DNS names of two labels: %j", (name) => {
    expect(() => published(name)).toThrow(`"${name}"`);
  });

  it("are each there once", () => {
    expect(() => published("a.i3", "A.i3")).toThrow(/published-names\/publish\[2\]/);
  });
});

it("trust on first use is heeded by this version", () => {
  expect(parseProxyConfig(proxy('<rules><rule name="a" go="i3" trust="first-use"/></rules>'), "x.xml").rules).toMatchObject([{ trust: "first-use" }]);
});

it("claims of names are taken when a server's configuration says how many", () => {
  const claims = (limits: string): number => parseServerConfig(`<i3-server version="1"><identity key-file="k"/>${limits}</i3-server>`, "x.xml").limits.claimsPerName;
  expect([claims(""), claims("<limits/>"), claims('<limits claims-per-name="8"/>')]).toEqual([0, 0, 8]);
  expect(() => claims('<limits claims-per-name="9"/>')).toThrow("out of range");
  expect(() => claims('<limits records="10" records-per-source="11"/>')).toThrow("more than records");
});

it("without a word, a configuration is read as this version has it", () => {
  const encrypted = proxy('<rules><rule name="a" go="i3"/></rules>');
  expect(parseProxyConfig(encrypted, "x.xml")).toMatchObject({ rules: [{ security: "esp" }] });
});

describe("what the examples show", () => {
  const example = (name: string): string => readFileSync(new URL(`../../../../deploy/examples/${name}.xml`, import.meta.url), "utf8");

  it("is a configuration", () => {
    const { rules, access } = parseProxyConfig(example("i3-proxy"), "x.xml");
    expect(rules.map((rule) => (rule.go !== "i3" ? rule.go : [rule.security, rule.service?.ports[0]?.first, rule.trust]))).toEqual([
      "direct",
      ["auth", 2049, "book"],
      ["esp", undefined, "book"],
      ["esp", undefined, "first-use"],
      ["none", undefined, "book"],
      "gateway",
      "anonymous",
      "anonymous",
      ["esp", undefined, "book"],
      ["esp", undefined, "book"],
    ]);
    expect(access).toMatchObject({ default: "refuse", entries: [{ admits: false, group: "guests" }, { admits: true, group: "family" }, { admits: true, line: expect.any(Number) as number }] });
  });

  it("is an address book", () => {
    const { entries } = parseAddressBook(example("address-book"), "b.xml");
    expect(entries.map(({ at }) => at?.protocol)).toEqual([undefined, undefined, undefined, "udp", "ip"]);
    expect(entries[0]?.groups).toEqual(["family", "admins"]);
  });
});

it("the documents of docs/policy.md are read", () => {
  const text = readFileSync(new URL("../../../../docs/policy.md", import.meta.url), "utf8");
  const [config = "", hosts = "", direct = "", ...others] = Array.from(text.matchAll(/```xml\n([^]*?)```/g), (match) => match[1] ?? "");
  expect(parseProxyConfig(config, "policy.md").rules).toHaveLength(5);
  expect(parseAddressBook(hosts, "policy.md").entries).toHaveLength(3);
  expect(parseProxyConfig(direct, "policy.md").servers).toEqual([]);
  expect(others).toEqual([]);
});

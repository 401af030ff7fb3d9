import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { findRule, formatIpText, OFFLOAD_NAMES, parseProxyConfig, parsePublishingProxyConfig, parseServerConfig, type ProxyConfig } from "../../src/index.js";
import { proxy, server } from "./bad-documents.js";

const EXAMPLES = new URL("../../../../deploy/examples/", import.meta.url);
const example = (name: string): Uint8Array => readFileSync(new URL(name, EXAMPLES));

function expectFrozen(value: unknown): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || value instanceof RegExp) return;
  expect(Object.isFrozen(value)).toBe(true);
  for (const part of Object.values(value)) expectFrozen(part);
}

const withRules = (...rules: readonly string[]): ProxyConfig => parseProxyConfig(proxy("<rules>", ...rules, "</rules>"), "x.xml");

describe("proxy configuration", () => {
  it("has defaults for everything that is not required", () => {
    expect(parseProxyConfig(proxy(), "x.xml")).toEqual({
      identity: { keyFile: "k", algorithm: "ecdsa-p256" },
      state: { directory: "s" },
      servers: [{ host: { kind: "ipv4", text: "192.0.2.1", bytes: Uint8Array.of(192, 0, 2, 1) }, port: 5610, tcp: undefined }],
      listen: { host: { kind: "ipv6", text: "::", bytes: new Uint8Array(16) }, port: 5610 },
      tun: { name: "i3", mtu: 1360 },
      virtualAddresses: { range: { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 }, unallocated: "auto" },
      dns: { suffix: "i3", port: 5335, intercept: true, resolvers: [] },
      addressBook: undefined,
      zones: [],
      mappings: { lifetimeS: 7200, unprovenLifetimeS: 120, max: 65_536, maxUnproven: 256 },
      publishedNames: [],
      rules: [],
      anonymous: { max: 32, idleS: 300, renewAfterS: 3600, range: { network: Uint8Array.of(198, 18, 0, 0), prefixBits: 15 } },
      addressRules: [],
      access: undefined,
      hip: undefined,
      shortcuts: { strangers: false, portMapping: true },
      esp: { rekeyAfterS: 3600 },
      gateway: undefined,
      publish: undefined,
      control: undefined,
      log: { level: "info", format: "json" },
      engine: { workers: 1, without: [] },
    });
  });

  it("reads every setting of the example, which shows the defaults", () => {
    const config = parseProxyConfig(example("i3-proxy.xml"), "/etc/i3/i3-proxy.xml");
    const { listen, tun, virtualAddresses, mappings, esp, log, engine } = parseProxyConfig(proxy(), "x.xml");
    expect(config).toMatchObject({ listen, tun, virtualAddresses, mappings, esp, log, engine });
    expect(config.serverList).toMatchObject({ file: "/etc/i3/servers.list", label: "", publish: false });
    expect(config.serverList?.key).toHaveLength(32);
    expect(config.zones.map(({ suffix, key, records }) => [suffix, key[0], records])).toEqual([["corp.i3", 0xb2, [{ file: "/etc/i3/laptop.record" }]], ["lab.corp.i3", 0xc2, []]]);
    expect(config.servers.map(({ host, port }) => [host.kind, host.text, port])).toEqual([
      ["ipv4", "192.0.2.10", 5610],
      ["ipv6", "2001:db8::10", 5610],
      ["name", "i3.example.net", 5610],
    ]);
    expect(config.servers.map(({ tcp }) => [tcp?.port, tcp?.pin?.length])).toEqual([[undefined, undefined], [443, undefined], [443, 32]]);
    expect(config.dns).toMatchObject({ suffix: "i3", port: 5335, intercept: true });
    expect(config.dns.resolvers.map(({ host, port }) => [host.text, port])).toEqual([["192.0.2.53", 53]]);
    expect(config.rules.map(({ pattern, line, ...how }) => [pattern.source, how])).toEqual([
      ["(www\\.)?example\\.i3", { go: "direct" }],
      ["nas\\.i3", { go: "i3", security: "auth", trust: "book", privateId: "shared", shortcut: true, service: expect.objectContaining({ ports: [{ first: 2_049, last: 2_049 }] }) as unknown }],
      ["nas\\.i3", { go: "i3", security: "esp", trust: "book", privateId: "shared", shortcut: true }],
      [".*\\.try\\.i3", { go: "i3", security: "esp", trust: "first-use", privateId: "shared", shortcut: true }],
      [".*\\.friends\\.i3", { go: "i3", security: "none", trust: "book", privateId: "own", shortcut: true }],
      [".*\\.corp\\.example", { go: "gateway", via: "office.i3" }],
      [".*\\.anon\\.i3", { go: "anonymous", via: "exit.i3" }],
      [".*\\.relay\\.i3", { go: "anonymous", via: undefined }],
      [".*\\.i3", { go: "i3", security: "esp", trust: "book", privateId: "shared", shortcut: true }],
      ["(hip|old)\\.example\\.net", { go: "i3", security: "esp", trust: "book", privateId: "shared", shortcut: true }],
    ]);
    expect(config.access).toMatchObject({ default: "refuse", entries: [{ admits: false }, { admits: true }, { admits: true }] });
    expect([config.addressBook?.file, config.control?.socket]).toEqual(["/etc/i3/address-book.xml", "/run/i3-proxy/control.sock"]);
    expect(config.hip).toEqual({ udpPort: 10_500, ipProtocol: false });
  });

  it("reads what the example of ip-to-i3 publishes", () => {
    const { publish } = parsePublishingProxyConfig(example("ip-to-i3.xml"), "x.xml");
    expect(publish.listen.map(({ text }) => text)).toEqual(["192.0.2.5", "2001:db8::5"]);
    expect(publish.shared).toMatchObject([{ port: 443, by: "sni", forwarded: false }, { port: 80, by: "host", forwarded: true }]);
    expect(publish.ports).toMatchObject([{ listen: 2222, to: "home.i3", port: 22, proxyProtocol: "none" }, { listen: 2525, to: "mail.i3", port: 25, proxyProtocol: "v2" }]);
    expect(publish.names).toMatchObject([
      { name: "home.example.org", to: "home.i3", go: "i3", waypoint: undefined, https: 443, http: 80, proxyProtocol: "none" }, { name: "*.shop.example.org", to: "shop.i3", https: 8443, http: 8080, proxyProtocol: "v2" },
      { name: "wiki.example.org", to: "wiki.corp.example", go: "gateway" },
      { name: "home.i3.example.org", waypoint: [{ protocol: "tcp", ports: [{ first: 22, last: 22 }, { first: 8_000, last: 8_080 }] }, { protocol: "udp", ports: [{ first: 53, last: 53 }] }, { protocol: "ping", ports: [] }] },
    ]);
    expect(publish.domain).toMatchObject({ name: "i3.example.org", ns: "ns1.i3.example.org", listen: publish.listen, nsAddresses: publish.listen, addresses: publish.listen });
    expect([publish.waypoints?.claimMs, publish.waypoints?.restS, publish.waypoints?.addresses.map(formatIpText)]).toEqual([1_000, 60, [...Array.from({ length: 8 }, (_, i) => `198.51.100.${8 + i}`), ...Array.from({ length: 8 }, (_, i) => (i === 0 ? "2001:db8:9::" : `2001:db8:9::${i}`))]]);
    expectFrozen(publish);
    const least = parsePublishingProxyConfig(proxy('<rules><rule name="a" go="i3"/></rules><publish><shared port="80" by="host" forwarded="no"/><name name="B.c" to="A"/></publish>'), "x.xml").publish;
    expect([least.listen.map(({ text }) => text), least.shared[0]?.forwarded, least.names[0]]).toMatchObject([["::"], false, { name: "b.c", to: "a" }]);
  });

  it("reads values other than the defaults", () => {
    const lines = [
      '<listen address="192.0.2.9" port="1"/><tun name="tun-9.x_" mtu="9000"/>',
      '<virtual-addresses range="172.16.32.0/20" unallocated="pass"/>',
      '<dns suffix="Over.Lay" port="65535" intercept="false"><resolver address="::1" port="54"/><resolver address="192.0.2.3"/></dns>',
      '<mappings lifetime-s="60" unproven-lifetime-s="60" max="1" max-unproven="0"/><esp rekey-after-s="5"/><log level="error" format="text"/>',
      '<engine workers="16" without=" tunTcp4\tudpSegment "/>',
    ];
    expect(parseProxyConfig(proxy(...lines), "x.xml")).toMatchObject({
      listen: { host: { kind: "ipv4", text: "192.0.2.9" }, port: 1 },
      tun: { name: "tun-9.x_", mtu: 9000 },
      virtualAddresses: { range: { network: Uint8Array.of(172, 16, 32, 0), prefixBits: 20 }, unallocated: "pass" },
      dns: {
        suffix: "over.lay",
        port: 65_535,
        intercept: false,
        resolvers: [
          { host: { text: "::1" }, port: 54 },
          { host: { text: "192.0.2.3" }, port: 53 },
        ],
      },
      mappings: { lifetimeS: 60, unprovenLifetimeS: 60, max: 1, maxUnproven: 0 },
      esp: { rekeyAfterS: 5 },
      log: { level: "error", format: "text" },
      engine: { workers: 16, without: ["tunTcp4", "udpSegment"] },
    });
  });

  it("needs no servers beside hip", () => {
    const text = '<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><hip ip-protocol="true"/></i3-proxy>';
    expect(parseProxyConfig(text, "x.xml")).toMatchObject({ servers: [], hip: { udpPort: undefined, ipProtocol: true } });
  });

  it("takes relative file names from its own directory", () => {
    const files = (file: string): readonly unknown[] => {
      const { identity, state, addressBook, control } = parseProxyConfig(
        proxy('<address-book file="../b.xml"/><control socket="/run/c"/>'),
        file,
      );
      return [identity.keyFile, state.directory, addressBook?.file, control?.socket];
    };
    expect(files("/etc/i3/p.xml")).toEqual(["/etc/i3/k", "/etc/i3/s", "/etc/b.xml", "/run/c"]);
    expect(files("p.xml")).toEqual(["k", "s", "../b.xml", "/run/c"]);
  });

  it.each(["i3-proxy.xml", "minimal"])("is frozen through and through (%s)", (name) => {
    expectFrozen(parseProxyConfig(name === "minimal" ? proxy() : example(name), "x.xml"));
  });

  it("may name its schema for editors", () => {
    const attributes =
      'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="../schema/i3-proxy.xsd" version="1"';
    expect(parseProxyConfig(proxy().replace('version="1"', attributes), "x.xml")).toEqual(parseProxyConfig(proxy(), "x.xml"));
  });

  it("reads references, either quote, comments and blanks as XML does", () => {
    const text = `<?xml version='1.0' encoding='utf-8' standalone="yes"?>\n<!-- a -->${proxy(
      "<rules><rule name = 'a&amp;&#98;&#x63;\"' go\n=\"direct\"></rule ></rules>",
    )}\n<!-- z -->\n`;
    expect(parseProxyConfig(text, "x.xml").rules[0]?.pattern.source).toBe('a&bc"');
  });

  it.each([
    ["byte order mark", `\uFEFF${proxy()}`],
    ["CRLF", proxy().replaceAll("\n", "\r\n")],
  ])("reads a file with %s", (_, text) => {
    expect(parseProxyConfig(Buffer.from(text), "x.xml")).toEqual(parseProxyConfig(proxy(), "x.xml"));
    expect(parseProxyConfig(text, "x.xml")).toEqual(parseProxyConfig(proxy(), "x.xml"));
  });
});

describe("rules", () => {
  const { rules } = withRules(
    '<rule name="a\\.i3|b\\.i3" go="direct"/>',
    '<rule name=".\\.i3" go="i3" security="none"/>',
    '<rule name=".*long.*" go="direct"/>',
  );

  it.each([
    ["a.i3", 4],
    ["A.I3", 4],
    ["b.i3.", 4],
    ["c.i3", 5],
    ["xa.i3", undefined],
    ["a.i3.example", undefined],
    ["a.i3..", undefined],
    ["a.i3\n", undefined],
    ["", undefined],
    [`long${"a".repeat(249)}`, 6],
    [`long${"a".repeat(250)}`, undefined],
  ])("for %s is that of line %s", (name, line) => {
    expect(findRule(rules, name)?.line).toBe(line);
    // Twice: a pattern keeps no state.
    expect(findRule(rules, name)?.line).toBe(line);
  });
});

it.each(["ecdsa-p256", "ecdsa-p384", "rsa"])("an identity may be of %s, in both formats", (algorithm) => {
  const identity = { keyFile: "k", algorithm };
  const written = (text: string): string => text.replace('key-file="k"', `key-file="k" algorithm="${algorithm}"`);
  expect(parseProxyConfig(written(proxy('<rules><rule name="x" go="direct"/></rules>')), "x.xml").identity).toEqual(identity);
  expect(parseServerConfig(written(server()), "x.xml").identity).toEqual(identity);
});

describe("server configuration", () => {
  it("has defaults for everything that is not required", () => {
    expect(parseServerConfig(server(), "x.xml")).toEqual({
      identity: { keyFile: "k", algorithm: "ecdsa-p256" },
      listen: { host: { kind: "ipv6", text: "::", bytes: new Uint8Array(16) }, port: 5610 },
      advertise: undefined,
      advertiseOther: undefined,
      ring: undefined,
      fallback: undefined,
      limits: { triggers: 1_000_000, triggersPerSource: 4096, claimsPerName: 0, records: 16_384, recordsPerSource: 256 },
      log: { level: "info", format: "json" },
      engine: { kind: "auto", workers: 1, without: [] },
    });
  });

  it("reads every setting of the example, which shows the defaults", () => {
    const config = parseServerConfig(example("i3-server.xml"), "/etc/i3/s.xml");
    const { listen, limits, log, engine } = parseServerConfig(server(), "x.xml");
    expect(config).toMatchObject({ listen, limits, log, engine });
    expect(config.ring?.members.map(({ host, port }) => [host.kind, host.text, port])).toEqual([
      ["ipv4", "192.0.2.11", 5610],
      ["ipv4", "192.0.2.12", 5610],
      ["name", "s3.i3.example.net", 5610],
    ]);
    expect(config.fallback).toEqual({ port: 443, certificateFile: "/etc/i3/server.crt", keyFile: "/etc/i3/server-tls.key" });
    expect(config.ring?.credentialFile).toBe("/etc/i3/server.credential");
    expect([config.advertise, config.advertiseOther].map((at) => [at?.host.text, at?.port])).toEqual([["192.0.2.10", 5610], ["2001:db8::10", 5610]]);
    expectFrozen(config);
  });

  it.each([
    ['<engine kind="reference"/>', { kind: "reference", workers: 1, without: [] }],
    ['<engine kind="native" workers="4" without="trafficClass"/>', { kind: "native", workers: 4, without: ["trafficClass"] }],
    [`<engine without="${OFFLOAD_NAMES.join(" ")}"/>`, { kind: "auto", workers: 1, without: OFFLOAD_NAMES }],
  ])("may choose the engine: %s", (element, engine) => {
    const config = parseServerConfig(server(element), "x.xml");
    expect(config.engine).toEqual(engine);
    expectFrozen(config);
  });

  it("may be in a ring without members to join through", () => {
    expect(parseServerConfig(server('<ring credential-file="/r"/>'), "x.xml").ring).toEqual({ credentialFile: "/r", members: [] });
  });
});

/** Documents that must be refused, with the whole message: `{file}` stands for the file's name. */
import type { AddressBook, ProxyConfig, ServerConfig } from "../../src/index.js";
import { parseAddressBook, parseGatewayProxyConfig, parseProxyConfig, parsePublishingProxyConfig, parseServerConfig } from "../../src/index.js";

export const FORMATS: Readonly<
  Record<string, (input: string | Uint8Array, file: string) => ProxyConfig | ServerConfig | AddressBook>
> = {
  "i3-proxy": parseProxyConfig,
  "i3-to-ip": parseGatewayProxyConfig,
  "ip-to-i3": parsePublishingProxyConfig,
  "i3-server": parseServerConfig,
  "address-book": parseAddressBook,
};

/** Root and schema of a format, where they have another name. */
export const rootOf = (format: string): string => (format === "i3-to-ip" || format === "ip-to-i3" ? "i3-proxy" : format);

export interface BadDocument {
  readonly what: string;
  readonly format: keyof typeof FORMATS & string;
  readonly input: string | Uint8Array;
  /** Behind the file's name. */
  readonly message: string;
  readonly remedy?: string;
  /** XSD 1.0 cannot say it, or an XML parser has other words for bytes. */
  readonly schemaAccepts?: true;
}

const HIT = "2001:22::1";
const ID = "ab".repeat(32);

/** A proxy's configuration whose third line and those after it are given; the required elements stand on line 2. */
export const proxy = (...lines: readonly string[]): string =>
  [
    '<i3-proxy version="1">',
    '<identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.1"/></servers>',
    ...lines,
    "</i3-proxy>",
  ].join("\n");

export const server = (...lines: readonly string[]): string =>
  ['<i3-server version="1">', '<identity key-file="k"/>', ...lines, "</i3-server>"].join("\n");

export const book = (...lines: readonly string[]): string => ['<address-book version="1">', ...lines, "</address-book>"].join("\n");

const rule = (attributes: string): string => proxy("<rules>", `<rule ${attributes}/>`, "</rules>");

const WELL_FORMED = "expected well-formed XML";
const HIT_EXPECTED = "expected a host identity tag: an IPv6 address within 2001:20::/28 of suite 1 or 2 (2001:21:… or 2001:22:…)";
const ID_EXPECTED = "expected an id: 64 hexadecimal digits";
const NAME_EXPECTED =
  "expected a DNS name of at least 2 labels, such as home.i3 (letters, digits and hyphens; at most 253 characters, labels of at most 63)";
const PORT_EXPECTED = "expected a whole number from 1 to 65535";
const OFFLOADS_EXPECTED = "expected some of tunChecksum tunTcp4 tunTcp6 tunUdp udpSegment udpReceive trafficClass";
const FILE_EXPECTED = "expected the name of a file (at most 4095 bytes)";
const ELEMENTS =
  "expected <identity>, <state>, <servers>, <server-list>, <listen>, <tun>, <virtual-addresses>, <dns>, <address-book>, <zones>, <mappings>, <published-names>, <rules>, <anonymous>, <access>, <hip>, <shortcuts>, <esp>, <site>, <gateway>, <publish>, <control>, <log>, <engine>";

const proxyRow = (what: string, lines: readonly string[], message: string, more: Partial<BadDocument> = {}): BadDocument => ({
  what,
  format: "i3-proxy",
  input: proxy(...lines),
  message,
  ...more,
});
const bookRow = (what: string, lines: readonly string[], message: string, more: Partial<BadDocument> = {}): BadDocument => ({
  what,
  format: "address-book",
  input: book(...lines),
  message,
  ...more,
});
const raw = (what: string, input: string | Uint8Array, message: string, more: Partial<BadDocument> = {}): BadDocument => ({
  what,
  format: "i3-proxy",
  input,
  message,
  ...more,
});

const MALFORMED: readonly BadDocument[] = [
  raw("an empty file", "", ":1: /: the file is empty; expected an XML document"),
  raw("blanks only", "\n \t\r\n", ":1: /: the file is empty; expected an XML document"),
  raw("binary garbage", Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0xff, 0xfe, 0), ":1: /: bytes that are not UTF-8; expected XML text in UTF-8"),
  raw("a zero byte", proxy("\0"), ":3: /: character U+0000, which XML does not allow; expected XML text in UTF-8"),
  raw("a lone surrogate's bytes", Uint8Array.of(0x3c, 0xed, 0xa0, 0x80), ":1: /: bytes that are not UTF-8; expected XML text in UTF-8"),
  raw(
    "UTF-16",
    Buffer.concat([Uint8Array.of(0xff, 0xfe), Buffer.from("<a/>", "utf16le")]),
    ":1: /: bytes that are not UTF-8; expected XML text in UTF-8",
  ),
  raw("plain text", "hello", `:1: /: non-whitespace before first tag; ${WELL_FORMED}`),
  raw("a comment only", "<!-- a -->\n", ":1: /: no root element; expected well-formed XML"),
  raw("another encoding", '<?xml version="1.0" encoding="latin1"?><a/>', ':1: /: encoding "latin1"; expected UTF-8'),
  raw(
    "XML 1.1",
    '<?xml version="1.1"?>\n<a/>',
    ':1: /: an XML declaration that cannot be read; expected <?xml version="1.0" encoding="UTF-8"?>',
  ),
  ...['version="1.0" a="b"', 'encoding="UTF-8"', 'version="1.0"encoding="UTF-8"', 'version="1.0" encoding=UTF-8', 'version="1.0" x'].map((body) =>
    raw(
      `an XML declaration with ${body}`,
      `<?xml ${body}?>\n${proxy()}`,
      ':1: /: an XML declaration that cannot be read; expected <?xml version="1.0" encoding="UTF-8"?>',
    ),
  ),
  raw(
    "a late XML declaration",
    '\n<?xml version="1.0"?><a/>',
    ":2: /: processing instruction <?xml?>; expected an XML declaration at the very beginning, or none",
  ),
  raw(
    "a processing instruction",
    '<?xml version="1.0"?>\n<?xml-stylesheet href="a"?><a/>',
    ":2: /: processing instruction <?xml-stylesheet?>; expected an XML declaration at the very beginning, or none",
  ),
  raw(
    "two XML declarations",
    '<?xml version="1.0"?>\n<?xml version="1.0"?><a/>',
    ":2: /: processing instruction <?xml?>; expected an XML declaration at the very beginning, or none",
  ),
  raw(
    "a processing instruction that begins like a declaration",
    '<?xml-model version="1.0"?><a/>',
    ":1: /: processing instruction <?xml-model?>; expected an XML declaration at the very beginning, or none",
  ),
  raw(
    "a document type with an external entity",
    '<?xml version="1.0"?>\n<!DOCTYPE a [\n<!ENTITY x SYSTEM "file:///etc/passwd">\n]>\n<a>&x;</a>',
    ":2: /: a document type or declaration; expected no <!…> except comments",
  ),
  proxyRow("a declaration", ["<!ELEMENT a", "ANY>"], ":3: /i3-proxy: a document type or declaration; expected no <!…> except comments"),
  proxyRow("an entity of one's own", ['<log level="&x;"/>'], `:3: /i3-proxy: invalid character entity; ${WELL_FORMED}`),
  proxyRow(
    "an entity of HTML",
    ['<tun name="&eacute;"/>'],
    ':3: /i3-proxy/tun: unknown entity "&eacute;"; expected &amp; &lt; &gt; &quot; &apos; or &#NUMBER;',
  ),
  proxyRow("a bare ampersand", ['<tun name="a&b"/>'], `:3: /i3-proxy: invalid character in entity name; ${WELL_FORMED}`),
  proxyRow("a < in a value", ['<tun\nname="a<b"/>'], ":4: /i3-proxy/tun: < in the value of attribute name; expected &lt;"),
  proxyRow("an attribute twice", ["<log", ' level="info"', ' level="info"/>'], `:5: /i3-proxy/log: attribute level is given twice; ${WELL_FORMED}`),
  proxyRow("an attribute called __proto__", ['<log __proto__="a"/>'], `:3: /i3-proxy/log: attribute "__proto__" cannot be read; ${WELL_FORMED}`),
  proxyRow("an unquoted value", ["<log level=info/>"], `:3: /i3-proxy: unquoted attribute value; ${WELL_FORMED}`),
  proxyRow("an attribute without value", ["<log level/>"], `:3: /i3-proxy: invalid attribute name; ${WELL_FORMED}`),
  proxyRow("a blank before the name of an end tag", ["<rules>", "< /rules>"], `:4: /i3-proxy/rules: white space between < and the end of an element; ${WELL_FORMED}`),
  proxyRow("a blank before a name", ["< log/>"], `:3: /i3-proxy/log: white space between < and the element's name; ${WELL_FORMED}`),
  proxyRow("crossed tags", ["<servers>", "<server>", "</servers>", "</server>"], `:5: /i3-proxy/servers/server: </servers> where <server> of line 4 is open; ${WELL_FORMED}`),
  proxyRow("two hyphens in a comment", ["<!-- a -- b -->"], `:3: /i3-proxy: malformed comment; ${WELL_FORMED}`),
  raw("an open element", '<i3-proxy version="1">\n<servers>\n', `:2: /i3-proxy/servers: <servers> is never closed; ${WELL_FORMED}`),
  raw("half a tag", '<i3-proxy\nversion="1', `:2: /: unexpected end; ${WELL_FORMED}`),
  raw("text behind the root", `${proxy()}\n\nbye`, `:5: /: text data outside of root node; ${WELL_FORMED}`),
  raw("two roots", `${proxy()}\n<i3-proxy version="1"/>`, ":4: /i3-proxy: a second root element <i3-proxy>; expected one root element"),
  raw("deep nesting", `<i3-proxy version="1">${"<a>\n".repeat(100)}`, ":16: /i3-proxy/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a: nested too deeply; expected at most 16 levels"),
];

const STRUCTURE: readonly BadDocument[] = [
  raw("a wrong root", "\n<parameters/>", ':2: /parameters: wrong root element; expected <i3-proxy version="1">'),
  raw("a misspelt root", '<i3proxy version="1"/>', ':1: /i3proxy: wrong root element; expected <i3-proxy version="1">', {
    remedy: "Did you mean i3-proxy?",
  }),
  raw("no version", "<i3-proxy/>", ':1: /i3-proxy/@version: missing; expected version="1"'),
  raw(
    "a later version",
    '<i3-proxy\n version="2"><hologram/></i3-proxy>',
    ':2: /i3-proxy/@version: unknown version "2"; expected version="1"',
  ),
  raw(
    "a namespace of its own",
    '<i3-proxy version="1" xmlns="urn:x"/>',
    ":1: /i3-proxy/@xmlns: unknown attribute; expected none",
  ),
  proxyRow("an unknown element", ["<hologram/>"], `:3: /i3-proxy/hologram: unknown element; ${ELEMENTS}`),
  proxyRow("a misspelt element", ["", "<mapings/>"], `:4: /i3-proxy/mapings: unknown element; ${ELEMENTS}`, {
    remedy: "Did you mean <mappings>?",
  }),
  proxyRow("an element called constructor", ["<constructor/>"], `:3: /i3-proxy/constructor: unknown element; ${ELEMENTS}`),
  proxyRow("an attribute called constructor", ['<log constructor="a"/>'], ":3: /i3-proxy/log/@constructor: unknown attribute; expected level, format"),
  proxyRow("an element where none may be", ["<log>", "<file/>", "</log>"], ":4: /i3-proxy/log/file: unknown element; expected none"),
  proxyRow("an unknown attribute", ['<log file="x"/>'], ":3: /i3-proxy/log/@file: unknown attribute; expected level, format"),
  proxyRow(
    "a misspelt attribute on its own line",
    ["<mappings", '  max="1"', '  life-time-s="7200"/>'],
    ":5: /i3-proxy/mappings/@life-time-s: unknown attribute; expected lifetime-s, unproven-lifetime-s, max, max-unproven",
    { remedy: "Did you mean lifetime-s?" },
  ),
  proxyRow("an attribute in capitals", ['<log LEVEL="info"/>'], ":3: /i3-proxy/log/@LEVEL: unknown attribute; expected level, format", {
    remedy: "Did you mean level?",
  }),
  proxyRow("text", ["<log>", "<!-- a\n -->", "debug</log>"], ':6: /i3-proxy/log: text "debug"; expected elements and attributes only'),
  proxyRow("CDATA", ["<log><![CDATA[x]]></log>"], ':3: /i3-proxy/log: text "x"; expected elements and attributes only'),
  proxyRow("text before an element", ["<rules>", "one\n<rule/></rules>"], ':4: /i3-proxy/rules: text "one"; expected elements and attributes only'),
  proxyRow("an element twice", ["<log/>", "<log/>"], ":4: /i3-proxy/log[2]: already given on line 3; expected at most one <log>"),
  raw(
    "a missing element",
    '<i3-proxy version="1">\n<identity key-file="k"/>\n</i3-proxy>',
    ':1: /i3-proxy/state: missing; expected exactly one <state directory="…">',
  ),
  raw(
    "a missing element with an attribute",
    '<i3-proxy version="1"/>',
    ':1: /i3-proxy/identity: missing; expected exactly one <identity key-file="…">',
  ),
  raw(
    "an algorithm nobody knows",
    '<i3-proxy version="1">\n<identity key-file="k" algorithm="ed25519"/></i3-proxy>',
    ':2: /i3-proxy/identity/@algorithm: "ed25519" is not known; expected ecdsa-p256, ecdsa-p384 or rsa',
  ),
  ...["ecdsa-p384", "rsa"].map((algorithm) => ({
    ...raw(
      `an identity of ${algorithm} with security="none"`,
      proxy("<rules>", '<rule name="a" go="direct"/>', '<rule name="b" go="i3" security="none"/>', "</rules>").replace('key-file="k"', `key-file="k" algorithm="${algorithm}"`),
      `:1: /i3-proxy: security="none" on line 5, with an identity of algorithm="${algorithm}"; expected algorithm="ecdsa-p256" with security="none"`,
    ),
    schemaAccepts: true as const,
  })),
  raw(
    "an empty list",
    '<i3-proxy version="1">\n<identity key-file="k"/><state directory="s"/>\n<servers/></i3-proxy>',
    ':3: /i3-proxy/servers/server: missing; expected 1 to 64 <server address="…">',
  ),
  {
    ...raw(
      "a pin without a TCP port", proxy().replace('address="192.0.2.1"', `address="192.0.2.1" tls-pin="${"ab".repeat(32)}"`),
      `:2: /i3-proxy/servers/server[1]/@tls-pin: there is no TLS without a TCP port; expected tcp-port="443" beside tls-pin`,
    ),
    schemaAccepts: true as const,
  },
  raw("a pin that is none", proxy().replace('address="192.0.2.1"', 'address="192.0.2.1" tcp-port="443" tls-pin="ab"'), ':2: /i3-proxy/servers/server[1]/@tls-pin: "ab" is not 64 hexadecimal digits; expected the SHA-256 of a public key (SubjectPublicKeyInfo): 64 hexadecimal digits'),
  raw(
    "65 servers",
    `<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><servers>${'\n<server address="192.0.2.1"/>'.repeat(65)}</servers></i3-proxy>`,
    ":66: /i3-proxy/servers/server[65]: one too many; expected 1 to 64 <server>",
  ),
  {
    what: "a second address of the same family",
    format: "i3-server",
    input: server('<advertise address="192.0.2.1"/>', '<advertise-other address="192.0.2.2"/>'),
    message: ":1: /i3-server/advertise-other: of the same family as <advertise>; expected an address of the other one",
    schemaAccepts: true,
  },
  {
    what: "a second address of a family that nobody listens for",
    format: "i3-server",
    input: server('<listen address="0.0.0.0"/>', '<advertise-other address="2001:db8::1"/>'),
    message: ':1: /i3-server/advertise-other: nothing of its family arrives at <listen address="0.0.0.0">; expected listen address="::", which is for both',
    schemaAccepts: true,
  },
  {
    what: "33 members",
    format: "i3-server",
    input: server('<ring credential-file="s">', ...Array.from({ length: 33 }, () => '<member address="a"/>'), "</ring>"),
    message: ":36: /i3-server/ring/member[33]: one too many; expected at most 32 <member>",
  },
  {
    what: "a ring's shared secret",
    format: "i3-server",
    input: server('<ring secret-file="s"/>'),
    message: ':3: /i3-server/ring/@secret-file: "s" is a secret that all servers of a ring share, which none does any more; expected credential-file="…" in its place, for each server another file, made with: i3-server ring admit',
  },
  {
    what: "a ring without a credential",
    format: "i3-server",
    input: server("<ring/>"),
    message: `:3: /i3-server/ring/@credential-file: missing; ${FILE_EXPECTED}`,
  },
  {
    what: "an attribute of a ring that nobody knows",
    format: "i3-server",
    input: server('<ring authority-file="s"/>'),
    message: ":3: /i3-server/ring/@authority-file: unknown attribute; expected credential-file",
  },
  proxyRow("a missing attribute", ["<address-book/>"], `:3: /i3-proxy/address-book/@file: missing; ${FILE_EXPECTED}`),
];

const VALUES: readonly BadDocument[] = [
  ...["", "-1", "1.5", "0x10", "1e3", "007", " 1", "many"].map((port) =>
    proxyRow(`port ${JSON.stringify(port)}`, [`<dns port="${port}"/>`], `:3: /i3-proxy/dns/@port: "${port}" is not a whole number; ${PORT_EXPECTED}`, {
      ...(port === " 1" && { schemaAccepts: true }),
    }),
  ),
  ...["0", "65536", "99999999999999999999"].map((port) =>
    proxyRow(`port ${port}`, [`<dns port="${port}"/>`], `:3: /i3-proxy/dns/@port: "${port}" is out of range; ${PORT_EXPECTED}`),
  ),
  proxyRow("an mtu too small for IPv6", ['<tun mtu="1279"/>'], ':3: /i3-proxy/tun/@mtu: "1279" is out of range; expected a whole number from 1280 to 9000'),
  proxyRow(
    "an interface name too long",
    ['<tun name="abcdefghijklmnop"/>'],
    ':3: /i3-proxy/tun/@name: "abcdefghijklmnop" is not an interface name; expected the name of an interface (at most 15 letters, digits, "-", "_", ".")',
  ),
  proxyRow(
    "an interface name that is a directory",
    ['<tun name=".."/>'],
    ':3: /i3-proxy/tun/@name: ".." is not an interface name; expected the name of an interface (at most 15 letters, digits, "-", "_", ".")',
    { schemaAccepts: true },
  ),
  proxyRow("a boolean of another tongue", ['<dns intercept="yes"/>'], ':3: /i3-proxy/dns/@intercept: "yes" is neither; expected true or false'),
  proxyRow(
    "a value that steers terminals",
    ['<log level="&#x9b;2J&#x202e;&#10;"/>'],
    ':3: /i3-proxy/log/@level: "\\u{9b}2J\\u{202e}\\n" is not known; expected info, debug, warn or error',
  ),
  proxyRow("a misspelt word", ['<log level="wran"/>'], ':3: /i3-proxy/log/@level: "wran" is not known; expected info, debug, warn or error', {
    remedy: "Did you mean warn?",
  }),
  ...(
    [
      ["10.0.0.0", "is not an IPv4 prefix"],
      ["10.0.0.0/08", "is not an IPv4 prefix"],
      ["10.0.0.0/8/8", "is not an IPv4 prefix"],
      ["2001:db8::/16", "is not an IPv4 prefix"],
      ["10.0.0.0/7", "is too wide or too narrow"],
      ["10.0.0.0/25", "is too wide or too narrow"],
      ["10.1.0.0/8", "has bits behind the first 8"],
      ["127.0.0.0/8", "is not a range for hosts"],
      ["224.0.0.0/8", "is not a range for hosts"],
      ["0.0.0.0/8", "is not a range for hosts"],
    ] as const
  ).map(([range, why]) =>
    proxyRow(
      `range ${range}`,
      [`<virtual-addresses range="${range}"/>`],
      `:3: /i3-proxy/virtual-addresses/@range: "${range}" ${why}; expected an IPv4 prefix from /8 to /24, such as 10.0.0.0/8`,
      { ...(/bits|hosts/.test(why) && { schemaAccepts: true }) },
    ),
  ),
  proxyRow("a listen address that is a name", ['<listen address="localhost"/>'], ':3: /i3-proxy/listen/@address: "localhost" is not an IP address; expected an IPv4 or IPv6 address, such as "::"'),
  ...(
    [
      ["10.0.0.256", "is neither address nor name"],
      ["a..b", "is neither address nor name"],
      ["-a.b", "is neither address nor name"],
      ["host.", "is neither address nor name"],
      ["höst", "is neither address nor name"],
      ["fe80::1%eth0", "is neither address nor name"],
      ["10.77.5.12:5611", 'has a port, which goes into port="5611"'],
      ["[2001:db8::1]:5611", 'has a port, which goes into port="5611"'],
      ["s1.example.net:5611", 'has a port, which goes into port="5611"'],
      ["0.0.0.0", "is not the address of one host"],
      ["ff02::1", "is not the address of one host"],
      ["255.255.255.255", "is not the address of one host"],
    ] as const
  ).map(
    ([address, why]): BadDocument => ({
      what: `server ${address}`,
      format: "i3-server",
      input: server('<ring credential-file="s">', `<member address="${address}"/>`, "</ring>"),
      message: `:4: /i3-server/ring/member[1]/@address: "${address}" ${why}; expected an IPv4 address, an IPv6 address or a host name`,
      ...(why.includes("one host") && { schemaAccepts: true }),
    }),
  ),
  proxyRow("a resolver that is a name", ["<dns>", '<resolver address="dns.example"/>', "</dns>"], ':4: /i3-proxy/dns/resolver[1]/@address: "dns.example" is not an IP address; expected the IPv4 or IPv6 address of one host'),
  proxyRow("an empty file name", ['<address-book file=" "/>'], `:3: /i3-proxy/address-book/@file: " " is empty; ${FILE_EXPECTED}`),
  proxyRow("a file name too long", [`<address-book file="${"a".repeat(5000)}"/>`], `:3: /i3-proxy/address-book/@file: "${"a".repeat(60)}…" is too long; ${FILE_EXPECTED}`),
  proxyRow(
    "a socket name too long",
    [`<control socket="${"a".repeat(120)}"/>`],
    `:3: /i3-proxy/control/@socket: "${"a".repeat(60)}…" is too long; expected the name of a file (at most 107 bytes)`,
    { schemaAccepts: true },
  ),
  proxyRow(
    "unproven mappings that outlive the others",
    ["<mappings", 'lifetime-s="60"', 'unproven-lifetime-s="61"/>'],
    ":5: /i3-proxy/mappings/@unproven-lifetime-s: 61 is longer than lifetime-s; expected at most 60",
    { schemaAccepts: true },
  ),
  proxyRow(
    "more unproven mappings than mappings",
    ['<mappings max="100"/>'],
    ":3: /i3-proxy/mappings/@max-unproven: 256 is more than max; expected at most 100",
    { schemaAccepts: true },
  ),
  ...[
    { of: "i3-server" as const, document: server },
    { of: "i3-proxy" as const, document: proxy },
  ].flatMap(({ of: format, document }): readonly BadDocument[] => [
    { what: "no workers", format, input: document('<engine workers="0"/>'), message: `:3: /${format}/engine/@workers: "0" is out of range; expected a whole number from 1 to 16` },
    { what: "too many workers", format, input: document('<engine workers="17"/>'), message: `:3: /${format}/engine/@workers: "17" is out of range; expected a whole number from 1 to 16` },
    {
      what: "an unknown offload",
      format,
      input: document('<engine without="tunUdp tunTCP4"/>'),
      message: `:3: /${format}/engine/@without: "tunUdp tunTCP4" has a word that is not known; ${OFFLOADS_EXPECTED}`,
      remedy: "Did you mean tunTcp4?",
    },
    {
      what: "an offload twice",
      format,
      input: document('<engine without="tunUdp tunUdp"/>'),
      message: `:3: /${format}/engine/@without: "tunUdp tunUdp" names one twice; ${OFFLOADS_EXPECTED}`,
      schemaAccepts: true,
    },
  ]),
  proxyRow("another engine", ['<engine kind="reference"/>'], ":3: /i3-proxy/engine/@kind: unknown attribute; expected workers, without"),
  {
    what: "an engine of an earlier version",
    format: "i3-server",
    input: server('<engine kind="dgram"/>'),
    message: ':3: /i3-server/engine/@kind: "dgram" is not known; expected auto, native or reference',
  },
  {
    what: "workers of the reference engine",
    format: "i3-server",
    input: server('<engine kind="reference" workers="2"/>'),
    message: ':3: /i3-server/engine/@workers: not for kind="reference"; expected 1',
    schemaAccepts: true,
  },
  {
    what: "offloads of the reference engine",
    format: "i3-server",
    input: server('<engine kind="reference" without="tunUdp"/>'),
    message: ':3: /i3-server/engine/@without: not for kind="reference"; expected no attribute without',
    schemaAccepts: true,
  },
  {
    what: "more triggers than the packet engine holds",
    format: "i3-server",
    input: server('<limits triggers="1048577"/>'),
    message: ':3: /i3-server/limits/@triggers: "1048577" is out of range; expected a whole number from 1 to 1048576',
  },
  {
    what: "more triggers of one source than the packet engine holds",
    format: "i3-server",
    input: server('<limits triggers-per-source="1048577"/>'),
    message: ':3: /i3-server/limits/@triggers-per-source: "1048577" is out of range; expected a whole number from 1 to 1048576',
  },
  {
    what: "more triggers of one source than triggers",
    format: "i3-server",
    input: server('<limits triggers="10"/>'),
    message: ":3: /i3-server/limits/@triggers-per-source: 4096 is more than triggers; expected at most 10",
    schemaAccepts: true,
  },
];

const PATTERN_EXPECTED = "expected a regular expression for whole names (at most 256 characters)";
const ruleRow = (what: string, attributes: string, message: string, more: Partial<BadDocument> = {}): BadDocument =>
  raw(what, rule(attributes), `:4: /i3-proxy/rules/rule[1]${message}`, more);

const RULES: readonly BadDocument[] = [
  ruleRow(
    "a pattern that does not compile",
    'name="a)|(b" go="direct"',
    `/@name: "a)|(b" does not compile (Invalid regular expression: /a)|(b/: Unmatched ')'); ${PATTERN_EXPECTED}`,
    { schemaAccepts: true },
  ),
  ruleRow(
    "a pattern with a control character that does not compile",
    'name="(&#x9b;" go="direct"',
    `/@name: "(\\u{9b}" does not compile (Invalid regular expression: /(\\u{9b}/: Unterminated group); ${PATTERN_EXPECTED}`,
    { schemaAccepts: true },
  ),
  ruleRow(
    "a pattern of a shell",
    'name="*.a.i3" go="i3"',
    `/@name: "*.a.i3" does not compile (Invalid regular expression: /*.a.i3/: Nothing to repeat); did you mean ".*\\.a\\.i3"; ${PATTERN_EXPECTED}`,
    { schemaAccepts: true },
  ),
  ruleRow("an empty pattern", 'name="" go="direct"', `/@name: "" is empty; ${PATTERN_EXPECTED}`),
  ruleRow("a long pattern", `name="${"a".repeat(257)}" go="direct"`, `/@name: "${"a".repeat(60)}…" is too long; ${PATTERN_EXPECTED}`),
  ruleRow("neither pattern nor prefix", 'go="direct"', ": neither name nor address; expected one of name and address", { schemaAccepts: true }),
  ruleRow("security of an anonymous way", 'name="a" go="anonymous" security="esp"', '/@security: not for go="anonymous"; expected no attribute security', { schemaAccepts: true }),
  ruleRow("go by another word", 'name="a" go="I3"', '/@go: "I3" is not known; expected i3, direct, gateway or anonymous', { remedy: "Did you mean i3?" }),
  ruleRow(
    "security of a direct way",
    'name="a" go="direct" security="none"',
    '/@security: not for go="direct"; expected no attribute security',
    { schemaAccepts: true },
  ),
  ruleRow(
    "a private id of a direct way",
    'name="a" go="direct" private-id="own"',
    '/@private-id: not for go="direct"; expected no attribute private-id',
    { schemaAccepts: true },
  ),
];

const BOOKS: readonly BadDocument[] = [
  bookRow(
    "a name twice",
    [`<host name="home.i3" hit="${HIT}"/>`, "", `<host`, ` name="home.i3" id="${ID}"/>`],
    ':5: /address-book/host[2]/@name: "home.i3" is already given on line 2; expected every name once',
  ),
  bookRow(
    "a name twice in other letters",
    [`<host name="home.i3" hit="${HIT}"/>`, `<host name="Home.I3" hit="${HIT}"/>`],
    ':3: /address-book/host[2]/@name: "home.i3" is already given on line 2; expected every name once',
    { schemaAccepts: true },
  ),
  bookRow("neither hit nor id", ['<host name="a.i3"/>'], ":2: /address-book/host[1]: neither hit nor id; expected exactly one of hit and id", {
    schemaAccepts: true,
  }),
  bookRow(
    "both hit and id",
    [`<host name="a.i3" hit="${HIT}"`, `id="${ID}"/>`],
    ":3: /address-book/host[1]/@id: given beside hit; expected exactly one of hit and id",
    { schemaAccepts: true },
  ),
  ...(
    [
      ["192.0.2.1", "is not an IPv6 address"],
      ["2001:22:1", "is not an IPv6 address"],
      ["2001:db8::1", "is outside of 2001:20::/28"],
      ["2001:32::1", "is outside of 2001:20::/28"],
      ["2001:122::1", "is outside of 2001:20::/28"],
      ["2001:23::1", "is of the unknown suite 3"],
      ["2001:20::1", "is of the unknown suite 0"],
      ["2001:2f::1", "is of the unknown suite 15"],
    ] as const
  ).map(([hit, why]) =>
    bookRow(`hit ${hit}`, [`<host name="a.i3" hit="${hit}"/>`], `:2: /address-book/host[1]/@hit: "${hit}" ${why}; ${HIT_EXPECTED}`, {
      ...(hit === "2001:22:1" && { schemaAccepts: true }),
    }),
  ),
  bookRow("a short id", ['<host name="a.i3" id="abcd"/>'], `:2: /address-book/host[1]/@id: "abcd" has 4 digits; ${ID_EXPECTED}`),
  bookRow("an id that is not hexadecimal", [`<host name="a.i3" id="${"xy".repeat(32)}"/>`], `:2: /address-book/host[1]/@id: "${"xy".repeat(30)}…" is not hexadecimal; ${ID_EXPECTED}`),
  ...(
    [
      ["home", "has too few labels"],
      ["home.i3.", "ends in a dot"],
      [".i3", "is not a DNS name"],
      ["a b.i3", "is not a DNS name"],
      ["-a.i3", "is not a DNS name"],
      ["10.0.0.1", "is not a DNS name"],
      [`${"a".repeat(64)}.i3`, "is not a DNS name"],
    ] as const
  ).map(([name, why]) =>
    bookRow(
      `name ${name}`,
      [`<host name="${name}" hit="${HIT}"/>`],
      `:2: /address-book/host[1]/@name: "${name.length > 60 ? `${name.slice(0, 60)}…` : name}" ${why}; ${NAME_EXPECTED}`,
    ),
  ),
  bookRow(
    "a name too long",
    [`<host name="${"abcdefghi.".repeat(25)}abcd" hit="${HIT}"/>`],
    `:2: /address-book/host[1]/@name: "${"abcdefghi.".repeat(6)}…" is too long; ${NAME_EXPECTED}`,
  ),
  ...['address="192.0.2.2"', 'address="192.0.2.1" port="5610"', 'address="192.0.2.1" protocol="ip"'].map((other) =>
    bookRow(
      `another address for a hit: ${other}`,
      [`<host name="a.i3" hit="${HIT}" address="192.0.2.1"/>`, `<host name="b.i3" hit="${HIT}"/>`, `<host name="c.i3" hit="${HIT}" ${other}/>`],
      ":4: /address-book/host[3]/@address: another than the same hit has on line 2; expected one address, protocol and port for all names of a host",
      { schemaAccepts: true },
    ),
  ),
  bookRow("a note too long", [`<host name="a.i3" hit="${HIT}" note="${"a".repeat(1025)}"/>`], `:2: /address-book/host[1]/@note: "${"a".repeat(60)}…" is too long; expected at most 1024 characters on one line`),
  bookRow("a note with a line end", [`<host name="a.i3" hit="${HIT}" note="a&#10;b"/>`], ':2: /address-book/host[1]/@note: "a\\nb" has control characters; expected at most 1024 characters on one line', {
    schemaAccepts: true,
  }),
];

const serverless = (...lines: readonly string[]): string => proxy(...lines).replace(/<servers>.*<.servers>/, "");
const WITHOUT_SERVERS: readonly BadDocument[] = [
  raw("neither servers nor hip", serverless(), ':1: /i3-proxy: neither servers nor hip; expected <servers>, or <hip udp-port="10500"/>', {
    remedy: "Without servers this machine is reached at its address only, and that needs <hip>.",
    schemaAccepts: true,
  }),
  raw("published names without servers", serverless('<hip udp-port="10500"/>', '<published-names><publish name="a.i3"/></published-names>'), ":1: /i3-proxy: published-names without servers; expected <servers>, where names are claimed", { schemaAccepts: true }),
  raw("zones without servers", serverless('<hip udp-port="10500"/>', `<zones><zone suffix="corp.i3" key="${"ab".repeat(32)}"/></zones>`), ":1: /i3-proxy: zones without servers; expected <servers>, where names of zones are looked for", { schemaAccepts: true }),
  raw(
    "first use without servers",
    serverless('<hip udp-port="10500"/>', '<rules><rule name="a" go="i3"/>', '<rule name="b" go="i3" trust="first-use"/></rules>'),
    ':1: /i3-proxy: trust="first-use" on line 5, without servers; expected <servers>, where names are claimed',
    { schemaAccepts: true },
  ),
];

const HIP_PORT_TWICE = { remedy: "The main port takes HIP too; the other one is for hosts that expect 10500." } as const;
const HIP_DOCUMENTS: readonly BadDocument[] = [
  { format: "i3-proxy", what: "hip that opens nothing", input: proxy("<hip/>"), message: ':3: /i3-proxy/hip: it opens nothing; expected udp-port="10500", ip-protocol="true", or no element hip', schemaAccepts: true },
  { format: "i3-proxy", what: "a word for ip-protocol", input: proxy('<hip ip-protocol="yes"/>'), message: ':3: /i3-proxy/hip/@ip-protocol: "yes" is neither; expected true or false' },
  { format: "i3-proxy", what: "hip on the main port", input: proxy('<hip udp-port="5610"/>'), message: ':1: /i3-proxy: udp-port="5610" of hip is the port of listen too; expected two ports', schemaAccepts: true, ...HIP_PORT_TWICE },
  ...[["0", "out of range"], ["4", "out of range"], ["86401", "out of range"], ["1e3", "not a whole number"], ["5.5", "not a whole number"]].map(([text = "", why = ""]): BadDocument => (
    { format: "i3-proxy", what: `keys that are replaced after ${text} s`, input: proxy(`<esp rekey-after-s="${text}"/>`), message: `:3: /i3-proxy/esp/@rekey-after-s: "${text}" is ${why}; expected a whole number from 5 to 86400` })),
];

const LIST_KEY = "ab".repeat(32);
const SERVER_LISTS: readonly BadDocument[] = [
  { format: "i3-proxy", what: "a server list without a key", input: proxy('<server-list file="l"/>'), message: ":3: /i3-proxy/server-list/@key: missing; expected an Ed25519 public key: 64 hexadecimal digits" },
  { format: "i3-proxy", what: "a short key of a server list", input: proxy('<server-list key="abcd"/>'), message: ':3: /i3-proxy/server-list/@key: "abcd" is not 64 hexadecimal digits; expected an Ed25519 public key: 64 hexadecimal digits' },
  { format: "i3-proxy", what: "a label in capitals", input: proxy(`<server-list key="${LIST_KEY}" label="A"/>`), message: ':3: /i3-proxy/server-list/@label: "A" is no label of a record; expected at most 63 of a-z, 0-9, _ . -' },
  { format: "i3-proxy", what: "publishing without a file", input: proxy(`<server-list key="${LIST_KEY}" publish="true"/>`), message: ':3: /i3-proxy/server-list/@publish: there is no file to publish; expected file="…" beside publish="true"', schemaAccepts: true },
  raw("a server list without servers", serverless('<hip udp-port="10500"/>', `<server-list key="${LIST_KEY}"/>`), ':1: /i3-proxy: server-list without servers and without a file; expected <servers>, or file="…" of server-list', { schemaAccepts: true, remedy: "A list that has no file is looked for in the ring." }),
];

export const BAD_DOCUMENTS: readonly BadDocument[] = [...SERVER_LISTS, ...MALFORMED, ...STRUCTURE, ...VALUES, ...RULES, ...BOOKS, ...WITHOUT_SERVERS, ...HIP_DOCUMENTS];

/** Rules, access lists and address books that must be refused. */
import { book, proxy, type BadDocument } from "./bad-documents.js";

const HIT = "2001:22::1";
const ID = "ab".repeat(32);

type More = Partial<BadDocument>;
const row = (format: BadDocument["format"], what: string, input: string, message: string, more: More = {}): BadDocument => ({ format, what, input, message, ...more });
const quiet = { schemaAccepts: true } as const;

const rules = (...lines: readonly string[]): string => proxy("<rules>", ...lines.map((attributes) => `<rule ${attributes}/>`), "</rules>");
/** One rule, on line 4. */
const ruleRow = (what: string, attributes: string, message: string, more: More = {}): BadDocument =>
  row("i3-proxy", what, rules(attributes), `:4: /i3-proxy/rules/rule[1]${message}`, more);
/** Rules on line 4 and those after it, of which the last is refused. */
const rulesRow = (what: string, lines: readonly string[], message: string, more: More = {}): BadDocument =>
  row("i3-proxy", what, rules(...lines), `:${3 + lines.length}: /i3-proxy/rules/rule[${lines.length}]: ${message}`, { ...quiet, ...more });
const accessRow = (what: string, lines: readonly string[], message: string, more: More = {}): BadDocument =>
  row("i3-proxy", what, proxy(...lines), message, more);
const hostRow = (what: string, attributes: string, message: string, more: More = {}): BadDocument =>
  row("address-book", what, book(`<host name="a.i3" ${attributes}/>`), `:2: /address-book/host[1]${message}`, more);

const PROTOCOL_EXPECTED = "expected tcp, udp, icmp, sctp, dccp, udplite or the number of an IP protocol";
const PORTS_EXPECTED = "expected at most 16 ports or ranges of ports from 1 to 65535, each port once, such as 22,8000-8080";
const BESIDE_PORTS = "expected protocol tcp, udp, sctp, dccp or udplite beside ports";
const NEVER_USED = (line: number): string => `never used, because the rule on line ${line} matches first; expected no rule behind one that takes everything from it`;
const NARROWER = { remedy: "Put the narrower rule first." } as const;

const OF_GATEWAY = 'name=".*\\.corp" go="gateway" via="office.i3"';
const VIA_EXPECTED = 'expected a via that has a rule with go="i3" and security="esp" or "auth"';
/** Rules of which the first, on line 4, is refused because of its via. */
const viaRow = (what: string, lines: readonly string[], message: string, remedy: string): BadDocument =>
  row("i3-proxy", what, rules(...lines), `:4: /i3-proxy/rules/rule[1]: its via, office.i3, ${message}; ${VIA_EXPECTED}`, { ...quiet, remedy });

const GATEWAYS: readonly BadDocument[] = [
  ruleRow("a gateway without via", 'name="a" go="gateway"', '/@via: required for go="gateway"; expected via="office.i3", the name of the gateway', quiet),
  ruleRow("via of an overlay rule", 'name="a" go="i3" via="b.i3"', '/@via: not for go="i3"; expected no attribute via, or go="gateway"', quiet),
  ruleRow("via of a direct way", 'name="a" go="direct" via="b.i3"', '/@via: not for go="direct"; expected no attribute via, or go="gateway"', quiet),
  ruleRow("via that is an address", 'name="a" go="gateway" via="192.0.2.1"', '/@via: "192.0.2.1" is not a DNS name; expected a DNS name (letters, digits and hyphens; at most 253 characters, labels of at most 63)'),
  ...['security="esp"', 'private-id="own"', 'shortcut="no"', 'protocol="tcp"', 'protocol="tcp" ports="22"', 'trust="book"'].map((attributes) => {
    const [attribute = ""] = attributes.split("=");
    return ruleRow(`a gateway with ${attributes}`, `${OF_GATEWAY} ${attributes}`, `/@${attribute}: not for go="gateway"; expected no attribute ${attribute}`, { ...quiet, remedy: "It stands on the rule for the gateway's own name, and holds for all that goes by it." });
  }),
  row("i3-proxy", "a via without a rule", rules(OF_GATEWAY, 'name="home\\.i3" go="i3"'), `:4: /i3-proxy/rules/rule[1]: no rule matches its via, office.i3; ${VIA_EXPECTED}`, { ...quiet, remedy: 'Add <rule name="office\\.i3" go="i3"/> before rules that are for it too.' }),
  viaRow("a via that goes direct", [OF_GATEWAY, 'name="office.*" go="direct"', 'name=".*\\.i3" go="i3"'], 'is matched first by line 5, which has go="direct"', 'Put <rule name="office\\.i3" go="i3"/> before that line.'),
  viaRow("a via behind itself", ['name=".*(corp|i3)" go="gateway" via="office.i3"', 'name="o.*" go="i3"'], 'is matched first by line 4, which has go="gateway"', 'Put <rule name="office\\.i3" go="i3"/> before that line.'),
  viaRow("a via in cleartext", [OF_GATEWAY, 'name="o.*" go="i3" security="none"', 'name=".*\\.i3" go="i3"'], 'has security="none" on line 5', "A gateway takes nothing in cleartext to send it on."),
  rulesRow("a name behind those of a gateway", ['name="office\\.i3" go="i3"', OF_GATEWAY, 'name="a\\.corp" go="i3"'], NEVER_USED(5), NARROWER),
  rulesRow("a gateway behind a rule over i3", ['name=".*" go="i3"', OF_GATEWAY], NEVER_USED(4), NARROWER),
  rulesRow("a gateway beside a service", ['name=".*" go="i3" protocol="tcp"', OF_GATEWAY], 'go="gateway" for names that have a service over i3 by line 4; expected one go for a name: go="i3" for the rest of its packets, or no rule for them'),
];

const ANONYMOUS_REMEDY = 'Give <anonymous range="…"/> another one.';
const ANONYMOUS: readonly BadDocument[] = [
  row("i3-proxy", "too few addresses for anonymous names", proxy('<anonymous range="198.18.0.0/17"/>'), ':3: /i3-proxy/anonymous/@range: has room for 16 names, max is 32; expected a wider prefix, or a smaller max', quiet),
  row("i3-proxy", "anonymous names among the others", proxy('<virtual-addresses range="198.19.0.0/16"/><rules><rule name="a" go="anonymous"/></rules>'), ":1: /i3-proxy: anonymous names, by line 3, with addresses that virtual-addresses has too; expected two ranges that have nothing in common", { ...quiet, remedy: ANONYMOUS_REMEDY }),
  row("i3-proxy", "names that are anonymous as they are, and asked elsewhere", proxy('<dns intercept="false"/><rules><rule name="a" go="anonymous"/></rules>'), ':1: /i3-proxy: names are anonymous as they are, by line 3, and dns has intercept="false"; expected intercept="true", or names that end in .anon or .relay and the suffix', { ...quiet, remedy: "Programs that ask another server would reach them in the ordinary way." }),
  row("i3-proxy", "a resolver at an address of the link", proxy('<site interface="lan0" listen="192.168.1.1 fe80::1" networks="192.168.1.0/24 fe80::/64"/>'), ":3: /i3-proxy/site/@listen: an address that is of the link alone; expected addresses of this machine in the site's networks, such as fd00:1::1", { ...quiet, remedy: "A router that tells its link-local address as resolver (RFC 8106, RDNSS) has to tell another one." }),
  row("i3-proxy", "anonymous names in a network", proxy('<rules><rule name="a" go="anonymous"/><rule name=".*\\.i3" go="i3"/><rule address="0.0.0.0/0 198.18.4.0/24" go="gateway" via="office.i3"/></rules>'), ":1: /i3-proxy: anonymous names, by line 3, with addresses of the rule on line 3; expected another range for one of them", { ...quiet, remedy: ANONYMOUS_REMEDY }),
];

const OFFICE = 'go="gateway" via="office.i3"';
const OVER_I3 = 'name=".*\\.i3" go="i3"';
const addressRow = (what: string, address: string, why: string, more: More = {}): BadDocument =>
  ruleRow(what, `address="${address}" ${OFFICE}`, `/@address: "${address}" ${why}; expected prefixes with blanks between, such as "192.168.5.0/24 fd00:5::/64", or "0.0.0.0/0 ::/0" for everything (at most 64)`, more);
const BY_ADDRESS: readonly BadDocument[] = [
  addressRow("no prefix", " ", "is empty"),
  addressRow("a word for a prefix", "internet", "has something else than prefixes"),
  addressRow("an address for a prefix", "192.168.5.1", "has something else than prefixes"),
  addressRow("bits behind a prefix", "192.168.5.1/24", "has 192.168.5.1/24, with bits behind the first 24", quiet),
  ...["127.0.0.0/8", "169.254.169.254/32", "224.0.0.0/4", "2001:22::/32", "fe80::/64", "ff02::/16"].map((prefix) => addressRow(`a rule for ${prefix}`, prefix, `has ${prefix}, where no server can be`, quiet)),
  ruleRow("a name and an address", `name="a" address="192.168.5.0/24" ${OFFICE}`, "/@address: given beside name; expected one of name and address", quiet),
  ruleRow("addresses over i3", 'address="192.168.5.0/24" go="i3"', '/@go: "i3" of addresses; expected go="gateway" beside address', { ...quiet, remedy: "What no rule sends to a gateway goes the ordinary way." }),
  ruleRow("addresses without via", 'address="192.168.5.0/24" go="gateway"', '/@via: required for go="gateway"; expected via="office.i3", the name of the gateway', quiet),
  ruleRow("when-down of names", `${OF_GATEWAY} when-down="direct"`, "/@when-down: given without address; expected no attribute when-down, or address instead of name", { ...quiet, remedy: "Names of a gateway that cannot be reached fail." }),
  ruleRow("another when-down", `address="::/0" ${OFFICE} when-down="drop"`, '/@when-down: "drop" is not known; expected refuse or direct'),
  ruleRow("ports of addresses", `address="::/0" ${OFFICE} protocol="tcp"`, '/@protocol: not for go="gateway"; expected no attribute protocol', { ...quiet, remedy: "It stands on the rule for the gateway's own name, and holds for all that goes by it." }),
  rulesRow("addresses by a name that has no rule", [`address="::/0" ${OFFICE}`], `no rule matches its via, office.i3; ${VIA_EXPECTED}`, { remedy: 'Add <rule name="office\\.i3" go="i3"/> before rules that are for it too.' }),
  ...[["two ways out", "0.0.0.0/0", "0.0.0.0/0 ::/0"], ["two networks with the same addresses", "10.0.0.0/24", "10.0.1.0/24 10.0.0.0/24"]].map(([what = "", first = "", second = ""]) =>
    row("i3-proxy", what, rules(OVER_I3, `address="${first}" ${OFFICE}`, `address="${second}" go="gateway" via="other.i3"`), `:6: /i3-proxy/rules/rule[3]/@address: ${first} is of office.i3 on line 5 already; expected every prefix once`, { ...quiet, remedy: 'Two networks with the same addresses are told apart by names: <rule name="…" go="gateway" via="…"/> for each, whose servers get addresses that differ.' })),
  row("i3-proxy", "one prefix twice", rules(OVER_I3, `address="::/0 ::/0" ${OFFICE}`), ":5: /i3-proxy/rules/rule[2]/@address: ::/0 is of office.i3 on line 5 already; expected every prefix once", quiet),
  row("i3-proxy", "more prefixes than there is room for", rules(OVER_I3, ...Array.from({ length: 5 }, (_, i) => `address="${Array.from({ length: 64 }, (__, j) => `10.${i}.${j}.0/24`).join(" ")}" ${OFFICE}`)), ":8: /i3-proxy/rules/rule[5]/@address: 256 prefixes with those of the rules before; expected at most 250 prefixes in all rules", quiet),
  row("i3-proxy", "a way out for everything but names", proxy(`<dns intercept="false"/><rules><rule ${OVER_I3}/><rule address="0.0.0.0/0" ${OFFICE}/></rules>`), ':1: /i3-proxy: everything goes by office.i3 on line 3, but for names: dns has intercept="false"; expected intercept="true" beside such a rule', { ...quiet, remedy: "Otherwise programs ask the resolver of the network where they are." }),
  { format: "i3-to-ip", what: "a gateway behind a gateway", input: proxy(`<gateway out="eth0"><allow group="a" networks="internet"/></gateway><rules><rule ${OVER_I3}/><rule address="192.168.5.0/24" ${OFFICE}/></rules>`), message: ":1: /i3-proxy: a rule by address on line 3; expected no such rule for i3-to-ip", remedy: "What it answers and passes on for others would take that way. They are for i3-proxy, on the machines that use a gateway.", ...quiet },
];

const SERVICES: readonly BadDocument[] = [
  ...(
    [
      ["TCP", "is not known", "Did you mean tcp?"],
      ["http", "is not known", undefined],
      ["", "is not known", undefined],
      ["0", "is not known", undefined],
      ["06", "is not known", undefined],
      ["255", "is out of range", undefined],
      ["44", "is an extension header", undefined],
    ] as const
  ).map(([protocol, why, remedy]) =>
    ruleRow(`protocol "${protocol}"`, `name="a" go="i3" protocol="${protocol}"`, `/@protocol: "${protocol}" ${why}; ${PROTOCOL_EXPECTED}`, {
      ...(remedy !== undefined && { remedy }),
      ...(protocol === "44" && quiet),
    }),
  ),
  ...(
    [
      ["", "is not a list of ports"],
      ["ssh", "is not a list of ports"],
      ["0", "is not a list of ports"],
      ["22,", "is not a list of ports"],
      ["22, 23", "is not a list of ports"],
      ["022", "is not a list of ports"],
      ["1-2-3", "is not a list of ports"],
      ["65536", "is out of range"],
      ["1-99999", "is out of range"],
      ["90-80", "has a range that ends before it begins"],
      ["22,20-22", "names a port twice"],
      ["80,80", "names a port twice"],
      [Array.from({ length: 17 }, (_, i) => i + 1).join(","), "has too many parts"],
    ] as const
  ).map(([ports, why]) =>
    ruleRow(`ports "${ports}"`, `name="a" go="i3" protocol="tcp" ports="${ports}"`, `/@ports: "${ports}" ${why}; ${PORTS_EXPECTED}`, {
      ...(/range|twice/.test(why) && quiet),
    }),
  ),
  ruleRow("ports of no protocol", 'name="a" go="i3" ports="22"', `/@ports: given without protocol; ${BESIDE_PORTS}`, quiet),
  ...["icmp", "47"].map((protocol) =>
    ruleRow(`ports of ${protocol}`, `name="a" go="i3" protocol="${protocol}" ports="22"`, `/@ports: given with a protocol that has none; ${BESIDE_PORTS}`, quiet),
  ),
  ...(["security", "protocol", "trust"] as const).map((attribute) =>
    ruleRow(
      `${attribute} of a direct way, with associations`,
      `name="a" go="direct" ${attribute}="${{ security: "esp", protocol: "tcp", trust: "book" }[attribute]}"`,
      `/@${attribute}: not for go="direct"; expected no attribute ${attribute}`,
      quiet,
    ),
  ),
  ruleRow("security by another word", 'name="a" go="i3" security="ssl"', '/@security: "ssl" is not known; expected esp, auth or none'),
  ruleRow("trust by another word", 'name="a" go="i3" trust="tofu"', '/@trust: "tofu" is not known; expected book or first-use'),
  ruleRow("a key to remember that nobody proves", 'name="a" go="i3" security="none" trust="first-use"', '/@trust: first-use with security="none"; expected security="esp" or "auth"', {
    ...quiet,
    remedy: "In cleartext nobody proves a key that could be remembered",
  }),
];

const ORDER: readonly BadDocument[] = [
  rulesRow("a rule twice", ['name="a\\.i3" go="i3"', 'name="a\\.i3" go="i3" security="auth"'], NEVER_USED(4), NARROWER),
  rulesRow("a name behind everything", ['name=".*" go="direct"', 'name="a\\.i3" go="i3"'], NEVER_USED(4), NARROWER),
  rulesRow("a name behind its ending", ['name=".+\\.I3" go="i3"', 'name="a\\.i3" go="direct"'], NEVER_USED(4), NARROWER),
  rulesRow("an ending behind a shorter one", ['name="x" go="direct"', 'name="^.*\\.i3$" go="i3"', 'name=".+\\.b\\.i3" go="i3"'], NEVER_USED(5), NARROWER),
  rulesRow("a name in other letters", ['name="A\\.i3" go="i3"', 'name="a\\.I3" go="direct"'], NEVER_USED(4), NARROWER),
  rulesRow("an ending behind the same, written otherwise", ['name="^.+\\.i3$" go="i3"', 'name=".+\\.i3" go="direct"'], NEVER_USED(4), NARROWER),
  rulesRow("a name behind a choice", ['name="(a|b)\\.i3" go="i3"', 'name="b\\.i3" go="i3"'], NEVER_USED(4), NARROWER),
  rulesRow("everything behind everything", ['name=".+" go="i3"', 'name=".*" go="direct"'], NEVER_USED(4), NARROWER),
  rulesRow("a service behind the whole name", ['name="a" go="i3"', 'name="a" go="i3" protocol="tcp"'], NEVER_USED(4), NARROWER),
  rulesRow("a service behind its protocol", ['name="a" go="i3" protocol="tcp"', 'name="a" go="i3" protocol="6" ports="22"'], NEVER_USED(4), NARROWER),
  rulesRow("ports behind wider ones", ['name="a" go="i3" protocol="tcp" ports="1-9,20-30"', 'name="a" go="i3" protocol="tcp" ports="22,5-9"'], NEVER_USED(4), NARROWER),
  rulesRow(
    "a direct way beside a service",
    ['name=".*\\.i3" go="i3" protocol="tcp"', 'name="a\\.i3" go="direct"'],
    'go="direct" for names that have a service over i3 by line 4; expected one go for a name: go="i3" for the rest of its packets, or no rule for them',
  ),
  rulesRow(
    "two kinds of trust for a name",
    ['name="a" go="i3" protocol="tcp"', 'name="a" go="i3" trust="first-use"'],
    'trust="first-use", where line 4 has book for the same names; expected trust on the first rule for a name',
  ),
  rulesRow(
    "two private ids for a name",
    ['name="a" go="i3" protocol="tcp" private-id="own"', 'name="a" go="i3" private-id="shared"'],
    'private-id="shared", where line 4 has own for the same names; expected private-id on the first rule for a name',
  ),
  rulesRow(
    "too many services",
    Array.from({ length: 33 }, (_, i) => `name="a" go="i3" protocol="tcp" ports="${i + 1}"`),
    "one service too many for a name; expected at most 32 rules with a protocol for a name",
  ),
];

const HIT_EXPECTED = "expected a host identity tag: an IPv6 address within 2001:20::/28 of suite 1 or 2 (2001:21:… or 2001:22:…)";
const GROUP_EXPECTED = 'expected the name of a group (at most 32 letters, digits, "-", "_")';

const ACCESS: readonly BadDocument[] = [
  accessRow("a default by another word", ['<access default="deny"/>'], ':3: /i3-proxy/access/@default: "deny" is not known; expected allow or refuse'),
  accessRow("an entry for nobody", ["<access>", "<allow/></access>"], ":4: /i3-proxy/access/allow[1]: neither hit nor group; expected exactly one of hit and group", quiet),
  accessRow("an entry for two", ["<access>", `<refuse hit="${HIT}"`, 'group="a"/></access>'], ":5: /i3-proxy/access/refuse[1]/@group: given beside hit; expected exactly one of hit and group", quiet),
  accessRow("a hit that is none", ['<access><allow hit="2001:db8::1"/></access>'], `:3: /i3-proxy/access/allow[1]/@hit: "2001:db8::1" is outside of 2001:20::/28; ${HIT_EXPECTED}`),
  ...["", "a b", "a".repeat(33), "ä"].map((group) =>
    accessRow(`group "${group}"`, [`<access><allow group="${group}"/></access>`], `:3: /i3-proxy/access/allow[1]/@group: "${group}" is not the name of a group; ${GROUP_EXPECTED}`),
  ),
  accessRow(
    "a hit twice",
    ["<access>", `<refuse hit="${HIT}"/><allow group="a"/>`, `<allow hit="2001:22:0::1"/></access>`],
    ":5: /i3-proxy/access/allow[2]: never used, because line 4 decides; expected every hit once",
    quiet,
  ),
  accessRow(
    "a group twice",
    ["<access>", '<allow group="a"/>', '<allow group="A"/></access>'],
    ":5: /i3-proxy/access/allow[2]: never used, because line 4 decides; expected every group once",
    quiet,
  ),
];

const GROUPS_EXPECTED = `${GROUP_EXPECTED}, or up to 16 with blanks between`;
const HOSTS: readonly BadDocument[] = [
  hostRow("no group", `hit="${HIT}" group=" "`, `/@group: " " is empty; ${GROUPS_EXPECTED}`),
  hostRow("a group twice", `hit="${HIT}" group="a A"`, `/@group: "a A" names one twice; ${GROUPS_EXPECTED}`, quiet),
  hostRow("groups with commas", `hit="${HIT}" group="a,b"`, `/@group: "a,b" has something else than names of groups; ${GROUPS_EXPECTED}`),
  hostRow("too many groups", `hit="${HIT}" group="a b c d e f g h i j k l m n o p q"`, `/@group: "a b c d e f g h i j k l m n o p q" has too many groups; ${GROUPS_EXPECTED}`),
  hostRow("an address that is a name", `hit="${HIT}" address="a.example"`, '/@address: "a.example" is not an IP address; expected the IPv4 or IPv6 address of one host'),
  hostRow("an address for many", `hit="${HIT}" address="ff02::1"`, '/@address: "ff02::1" is not the address of one host; expected the IPv4 or IPv6 address of one host', quiet),
  hostRow("an address of an id", `id="${ID}" address="192.0.2.1"`, "/@address: given beside id; expected hit beside address", {
    ...quiet,
    remedy: "A host without i3 is known by its host identity tag",
  }),
  hostRow("a protocol of no address", `hit="${HIT}" protocol="udp"`, "/@protocol: given without address; expected address beside protocol", quiet),
  hostRow("a port of no address", `hit="${HIT}" port="1"`, "/@port: given without address; expected address beside port", quiet),
  hostRow("a port of a protocol without ports", `hit="${HIT}" address="192.0.2.1" protocol="ip" port="10500"`, '/@port: given beside protocol="ip"; expected no port, or protocol udp', quiet),
  hostRow("a protocol by another word", `hit="${HIT}" address="192.0.2.1" protocol="tcp"`, '/@protocol: "tcp" is not known; expected udp or ip'),
];

const KEY = (digits: string): string => digits.repeat(32);
const zonesRow = (what: string, zones: readonly string[], message: string, more: More = {}): BadDocument => row("i3-proxy", what, proxy("<zones>", ...zones, "</zones>"), message, more);
const RECORDS = (count: number, name: string): string => Array.from({ length: count }, (_, i) => `<record file="${name}${i}"/>`).join("");

const ZONES: readonly BadDocument[] = [
  zonesRow("a zone without a key", ['<zone suffix="corp.i3"/>'], ":4: /i3-proxy/zones/zone[1]/@key: missing; expected an Ed25519 public key: 64 hexadecimal digits"),
  zonesRow("a zone without a suffix", [`<zone key="${KEY("ab")}"/>`], ":4: /i3-proxy/zones/zone[1]/@suffix: missing; expected a DNS name (letters, digits and hyphens; at most 253 characters, labels of at most 63)"),
  zonesRow("a suffix that begins with a dot", [`<zone suffix=".corp.i3" key="${KEY("ab")}"/>`], ':4: /i3-proxy/zones/zone[1]/@suffix: ".corp.i3" is not a DNS name; expected a DNS name (letters, digits and hyphens; at most 253 characters, labels of at most 63)'),
  zonesRow("a short key of a zone", ['<zone suffix="corp.i3" key="abcd"/>'], ':4: /i3-proxy/zones/zone[1]/@key: "abcd" is not 64 hexadecimal digits; expected an Ed25519 public key: 64 hexadecimal digits'),
  zonesRow("one suffix twice", [`<zone suffix="corp.i3" key="${KEY("ab")}"/>`, `<zone suffix="CORP.i3" key="${KEY("cd")}"/>`], ':5: /i3-proxy/zones/zone[2]/@suffix: "corp.i3" is already given on line 4; expected every suffix once', quiet),
  zonesRow("one key for two zones", [`<zone suffix="corp.i3" key="${KEY("ab")}"/>`, `<zone suffix="org.i3" key="${KEY("AB")}"/>`], ":5: /i3-proxy/zones/zone[2]/@key: the key of the zone corp.i3 on line 4; expected another key for each zone", quiet),
  zonesRow("one file twice", [`<zone suffix="corp.i3" key="${KEY("ab")}">`, '<record file="r"/><record file="./r"/></zone>'], ':5: /i3-proxy/zones/zone[1]/record[2]/@file: "r" is already given on line 5; expected every file once', quiet),
  zonesRow("a record without a file", [`<zone suffix="corp.i3" key="${KEY("ab")}"><record/></zone>`], ":4: /i3-proxy/zones/zone[1]/record[1]/@file: missing; expected the name of a file (at most 4095 bytes)"),
  zonesRow("too many records", [`<zone suffix="corp.i3" key="${KEY("ab")}">${RECORDS(20, "a")}</zone>`, `<zone suffix="org.i3" key="${KEY("cd")}">${RECORDS(13, "b")}</zone>`], ":5: /i3-proxy/zones/zone[2]: 33 records with those of the zones before; expected at most 32 records in all zones", quiet),
  zonesRow("too many zones", Array.from({ length: 33 }, (_, i) => `<zone suffix="z${i}.i3" key="${KEY(String(i + 10))}"/>`), ":36: /i3-proxy/zones/zone[33]: one too many; expected at most 32 <zone>"),
];

export const BAD_POLICIES: readonly BadDocument[] = [...ANONYMOUS, ...ZONES, ...GATEWAYS, ...BY_ADDRESS, ...SERVICES, ...ORDER, ...ACCESS, ...HOSTS];

/** Gateways and sites that must be refused. */
import { proxy, type BadDocument } from "./bad-documents.js";

type More = Partial<BadDocument>;
const quiet = { schemaAccepts: true } as const;
/** On line 3. */
const gatewayRow = (what: string, inside: string, message: string, more: More = {}): BadDocument =>
  ({ format: "i3-to-ip", what, input: proxy(`<gateway out="eth0">${inside}</gateway>`), message: `:3: /i3-proxy/gateway${message}`, ...more });
const outRow = (what: string, out: string, why: string, more: More = {}): BadDocument =>
  ({ format: "i3-to-ip", what, input: proxy(`<gateway out="${out}"><allow hit="2001:22::1" networks="internet"/></gateway>`), message: `:3: /i3-proxy/gateway/@out: "${out}" ${why}; expected names of at most 16 interfaces, with blanks between`, ...more });
const networksRow = (what: string, networks: string, why: string, more: More = {}): BadDocument =>
  gatewayRow(what, `<allow hit="2001:22::1" networks="${networks}"/>`, `/allow[1]/@networks: "${networks}" ${why}; expected internet, or prefixes with blanks between, such as "192.168.5.0/24 fd00:5::/64" (at most 64)`, more);

const siteRow = (what: string, attributes: string, message: string, more: More = {}): BadDocument => ({ format: "i3-proxy", what, input: proxy(`<site interface="lan0" ${attributes}/>`), message: `:3: /i3-proxy/site${message}`, ...more });

export const BAD_GATEWAYS: readonly BadDocument[] = [
  { format: "i3-proxy", what: "a gateway of another daemon", input: proxy('<gateway out="eth0"><allow hit="2001:22::1" networks="internet"/></gateway>'), message: ":1: /i3-proxy: the element gateway is not for i3-proxy; expected no element gateway", remedy: "The command that reads it is i3-to-ip, which is a proxy as well.", ...quiet },
  { format: "i3-to-ip", what: "no gateway", input: proxy(), message: ":1: /i3-proxy: no element gateway; expected <gateway>, which i3-to-ip is for", remedy: "Without it the command is i3-proxy.", ...quiet },
  gatewayRow("a list of nobody", '<refuse hit="2001:22::1"/>', ": it lets nobody in; expected an <allow> at least", quiet),
  gatewayRow("an entry for everybody", '<allow networks="internet"/>', "/allow[1]: neither hit nor group; expected exactly one of hit and group", { ...quiet, remedy: "A gateway lets in only whom its list names." }),
  gatewayRow("an entry for anywhere", '<allow group="staff"/>', '/allow[1]: neither names nor networks; expected names="…", networks="…" or both', { ...quiet, remedy: 'networks="internet" is everything but private networks.'  }),
  gatewayRow("both kinds of hosts", '<allow hit="2001:22::1" group="staff" names="x"/>', "/allow[1]/@group: given beside hit; expected at most one of hit and group", quiet),
  gatewayRow("a group of whom nothing names", '<allow group="staff" anonymous="yes" names="x"/>', "/allow[1]/@anonymous: given beside hit or group; expected one of hit, group and anonymous", quiet),
  gatewayRow("not anonymous", '<allow anonymous="no" names="x"/>', '/allow[1]/@anonymous: "no" is not known; expected yes'),
  gatewayRow("ports of no protocol", '<allow group="a" names="x" ports="22"/>', "/allow[1]/@ports: given without protocol; expected protocol tcp, udp, sctp, dccp or udplite beside ports", quiet),
  gatewayRow("ports of icmp", '<allow group="a" names="x" protocol="icmp" ports="22"/>', "/allow[1]/@ports: given with a protocol that has none; expected protocol tcp, udp, sctp, dccp or udplite beside ports", quiet),
  gatewayRow("a helper that nobody knows", '<allow group="a" names="x"/><helper protocol="irc"/>', '/helper[1]/@protocol: "irc" is not known; expected ftp, tftp, sip, pptp, snmp, h323-ras or h323-q931'),
  gatewayRow("one helper twice", '<allow group="a" names="x"/><helper protocol="ftp"/><helper protocol="ftp" ports="2121"/>', '/helper[2]/@protocol: "ftp" is already given on line 3; expected every protocol once', quiet),
  siteRow("nobody to listen to", 'listen="192.168.1.1" networks=" "', '/@networks: " " is empty; expected prefixes with blanks between, such as "192.168.5.0/24 fd00:5::/64" (at most 64)'),
  siteRow("the internet for a site", 'listen="192.168.1.1" networks="internet"', '/@networks: "internet" has something else than prefixes; expected prefixes with blanks between, such as "192.168.5.0/24 fd00:5::/64" (at most 64)'),
  siteRow("an address outside a site", 'listen="192.168.2.1" networks="192.168.1.0/24"', "/@listen: it is in none of the networks; expected addresses of this machine in the site's networks", quiet),
  siteRow("one address of a site twice", 'listen="fd00::1 fd00:0::1" networks="fd00::/64"', '/@listen: "fd00::1 fd00:0::1" names one twice; expected addresses with blanks between (at most 4)', quiet),
  siteRow("a name for an address", 'listen="lan" networks="fd00::/64"', '/@listen: "lan" has something else than addresses; expected addresses with blanks between (at most 4)'),
  { format: "i3-to-ip", what: "a site of another daemon", input: proxy('<gateway out="eth0"><allow hit="2001:22::1" networks="internet"/></gateway>', '<site interface="a" listen="fd00::1" networks="fd00::/64"/>'), message: ":1: /i3-proxy: the element site is not for i3-to-ip; expected no element site", remedy: "The command that reads it is i3-proxy, which is a proxy as well.", ...quiet },
  gatewayRow("no connections at all", '<limits connections-per-client="0"/><allow group="a" names="x"/>', '/limits/@connections-per-client: "0" is out of range; expected a whole number from 1 to 1048576'),
  gatewayRow("two limits", '<limits/><limits/><allow group="a" names="x"/>', "/limits[2]: already given on line 3; expected at most one <limits>", quiet),
  outRow("no interface", " ", "is empty"),
  outRow("an interface with a slash", "eth0 a/b", "has something else than names of interfaces"),
  outRow("one interface twice", "eth0 eth0", "names one twice", quiet),
  networksRow("no network", "", "is empty"),
  networksRow("an address without a length", "192.0.2.1", "has something else than prefixes"),
  networksRow("a name", "example.org", "has something else than prefixes"),
  networksRow("a prefix too long", "192.0.2.0/33", "has 192.0.2.0/33, which is too long a prefix", quiet),
  networksRow("bits behind the prefix", "192.0.2.1/24", "has 192.0.2.1/24, with bits behind the first 24", quiet),
  gatewayRow("too many prefixes", `<allow hit="2001:22::1" networks="${"::/0 ".repeat(65)}"/>`, `/allow[1]/@networks: "${"::/0 ".repeat(12)}…" has too many parts; expected internet, or prefixes with blanks between, such as "192.168.5.0/24 fd00:5::/64" (at most 64)`, quiet),
];

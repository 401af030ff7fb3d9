/** What cannot be published. */
import { proxy, type BadDocument } from "./bad-documents.js";

type More = Partial<BadDocument>;
const quiet = { schemaAccepts: true } as const;
const RULES = '<rules><rule name=".*\\.corp\\.example" go="gateway" via="home.i3"/><rule name="away\\.i3" go="direct"/><rule name=".*\\.i3" go="i3"/></rules>';
const SNI = '<shared port="443" by="sni"/>';
const NAME = '<name name="a.example" to="home.i3"/>';
const PORT_EXPECTED = "expected a whole number from 1 to 65535";
const NAME_EXPECTED = 'expected a DNS name, such as home.example.org, or every name below one of at least two labels, such as "*.home.example.org"';
const LISTEN_EXPECTED = 'expected one to 8 IPv4 or IPv6 addresses of this machine with blanks between, each once, such as "192.0.2.5 2001:db8::5"; without it all';
const OVERLAY = { remedy: "Only hosts of the overlay are published." } as const;

/** On lines 4 and on. */
const row = (what: string, lines: readonly string[], message: string, more: More = {}): BadDocument =>
  ({ format: "ip-to-i3", what, input: proxy(RULES, "<publish>", ...lines, "</publish>"), message, ...more });
/** One element, on line 5. */
const one = (what: string, inside: string, message: string, more: More = {}): BadDocument => row(what, [inside], `:5: /i3-proxy/publish/${message}`, more);
const listenRow = (what: string, listen: string, why: string, more: More = {}): BadDocument =>
  ({ format: "ip-to-i3", what, input: proxy(RULES, `<publish listen="${listen}">${SNI}${NAME}</publish>`), message: `:4: /i3-proxy/publish/@listen: "${listen}" ${why}; ${LISTEN_EXPECTED}`, ...more });
const nameRow = (what: string, name: string, why: string, more: More = {}): BadDocument =>
  one(what, `${SNI}<name name="${name}" to="home.i3"/>`, `name[1]/@name: "${name}" ${why}; ${NAME_EXPECTED}`, more);

const DOMAIN = '<domain name="d.example" listen="192.0.2.5" addresses="192.0.2.5" ns="ns.d.example"/>';
const WAYPOINTS = '<waypoints addresses="198.51.100.8/29"/>';
const SERVICES_EXPECTED = 'expected what is reached, such as "tcp/22,8000-8080 udp/53 ping", each protocol once';
const POINTS_EXPECTED = 'expected addresses and prefixes with blanks between, of at most 1024 addresses, such as "198.51.100.8/29 2001:db8:9::/120"';
const BEHIND = { remedy: 'If everybody may reach that server of the gateway, write go="gateway" here too.' } as const;
const wayRow = (what: string, name: string, waypoint: string, message: string, more: More = {}): BadDocument =>
  one(what, `${DOMAIN}${WAYPOINTS}<name name="${name}" to="home.i3" waypoint="${waypoint}"/>`, message, more);
const pointsRow = (what: string, addresses: string, why: string, more: More = {}): BadDocument =>
  one(what, `${DOMAIN}<waypoints addresses="${addresses}"/><name name="a.d.example" to="home.i3" waypoint="tcp/22"/>`, `waypoints/@addresses: "${addresses}" ${why}; ${POINTS_EXPECTED}`, more);

export const BAD_PUBLICATIONS: readonly BadDocument[] = [
  { format: "i3-proxy", what: "what another daemon publishes", input: proxy(RULES, `<publish>${SNI}${NAME}</publish>`), message: ":1: /i3-proxy: the element publish is not for i3-proxy; expected no element publish", remedy: "The command that reads it is ip-to-i3, which is a proxy as well.", ...quiet },
  { format: "ip-to-i3", what: "no element publish", input: proxy(), message: ":1: /i3-proxy: no element publish; expected <publish>, which ip-to-i3 is for", remedy: "Without it the command is i3-proxy.", ...quiet },
  row("nothing", [], ":4: /i3-proxy/publish: it publishes nothing; expected <shared> and <name>, <port>, or no element publish", quiet),
  one("a name without a port", NAME, 'name[1]: no shared port; expected <shared port="443" by="sni"/> or <shared port="80" by="host"/> beside <name>', quiet),
  one("a port without a name", SNI, 'shared[1]: no name; expected <name name="home.example.org" to="home.i3"/> beside <shared>', { ...quiet, remedy: "Only names that are listed are published." }),
  one("a port by nothing", '<shared port="443"/>', "shared[1]/@by: missing; expected sni or host"),
  one("a port by something else", '<shared port="443" by="SNI"/>', 'shared[1]/@by: "SNI" is not known; expected sni or host', { remedy: "Did you mean sni?" }),
  one("port 0", '<shared port="0" by="sni"/>', `shared[1]/@port: "0" is out of range; ${PORT_EXPECTED}`),
  one("what cannot be written into TLS", '<shared port="443" by="sni" forwarded="yes"/>', 'shared[1]/@forwarded: given with by="sni"; expected forwarded only with by="host"', {
    ...quiet, remedy: 'Nobody can write into what TLS protects. proxy-protocol="v2" of <name> tells the host who connects.',
  }),
  one("forwarded by another word", '<shared port="80" by="host" forwarded="true"/>', 'shared[1]/@forwarded: "true" is not known; expected yes or no'),
  row("a port twice", [SNI, '<shared port="443" by="host"/>', NAME], ":6: /i3-proxy/publish/shared[2]/@port: 443 is taken by line 5; expected every port once", quiet),
  row("a port that is shared", [SNI, '<port listen="443" to="home.i3" port="22"/>', NAME], ":6: /i3-proxy/publish/port[1]/@listen: 443 is taken by line 5; expected every port once", quiet),
  one("a port to nowhere", '<port listen="2222" port="22"/>', "port[1]/@to: missing; expected a DNS name (letters, digits and hyphens; at most 253 characters, labels of at most 63)"),
  one("a port to an address", '<port listen="2222" to="192.0.2.1" port="22"/>', 'port[1]/@to: "192.0.2.1" is not a DNS name; expected a DNS name (letters, digits and hyphens; at most 253 characters, labels of at most 63)'),
  one("a port to no port", '<port listen="2222" to="home.i3"/>', `port[1]/@port: missing; ${PORT_EXPECTED}`),
  one("another PROXY protocol", '<port listen="2222" to="home.i3" port="22" proxy-protocol="v1"/>', 'port[1]/@proxy-protocol: "v1" is not known; expected none or v2', { remedy: "Did you mean v2?" }),
  one("a port to a host that is not of the overlay", '<port listen="2222" to="away.i3" port="22"/>', 'port[1]/@to: the rule on line 3 has go="direct" for away.i3; expected a name that a rule with go="i3" matches first', { ...quiet, ...OVERLAY }),
  one("a name of a host without a rule", `${SNI}<name name="a.example" to="www.example.org"/>`, 'name[1]/@to: no rule matches www.example.org; expected a name that a rule with go="i3" matches first', { ...quiet, ...OVERLAY }),
  row("a name twice", [SNI, NAME, '<name name="A.example" to="other.i3"/>'], ':7: /i3-proxy/publish/name[2]/@name: "a.example" is already given on line 6; expected every name once', quiet),
  one("a port of TLS that there is not", `<shared port="80" by="host"/><name name="a.example" to="home.i3" https="8443"/>`, 'name[1]/@https: there is no <shared by="sni">; expected <shared port="…" by="sni"/>, or no attribute https', quiet),
  one("a port of HTTP that there is not", `${SNI}<name name="a.example" to="home.i3" http="8080"/>`, 'name[1]/@http: there is no <shared by="host">; expected <shared port="…" by="host"/>, or no attribute http', quiet),
  one("a name behind a gateway", `${SNI}<name name="a.example" to="wiki.corp.example"/>`, 'name[1]/@to: the rule on line 3 has go="gateway" for wiki.corp.example; expected a name that a rule with go="i3" matches first', { ...quiet, ...BEHIND }),
  one("a host of the overlay behind a gateway", `${SNI}<name name="a.example" to="home.i3" go="gateway"/>`, 'name[1]/@to: the rule on line 3 has go="i3" for home.i3; expected a name that a rule with go="gateway" matches first', {
    ...quiet, remedy: "The server is looked up by the gateway of that rule, which must let this machine reach it.",
  }),
  one("another way", '<port listen="1" to="away.i3" go="direct" port="1"/>', 'port[1]/@go: "direct" is not known; expected i3 or gateway'),
  one("a waypoint without a domain", `${WAYPOINTS}<name name="a.d.example" to="home.i3" waypoint="tcp/22"/>`, 'name[1]/@waypoint: there is no domain; expected <domain name="…" …/> beside <name>', { ...quiet, remedy: "A name gets its waypoint when it is asked for, so this machine must answer for it." }),
  one("a waypoint without waypoints", `${DOMAIN}<name name="a.d.example" to="home.i3" waypoint="tcp/22"/>`, 'name[1]/@waypoint: there are no waypoints; expected <waypoints addresses="…"/> beside <name>', quiet),
  one("waypoints for nobody", `${DOMAIN}${WAYPOINTS}<port listen="1" to="home.i3" port="1"/>`, 'waypoints: no name has one; expected waypoint="…" of a <name>, or no element waypoints', quiet),
  wayRow("a waypoint of a name of another domain", "a.e.example", "tcp/22", "name[1]/@waypoint: a.e.example is not in d.example; expected a name below d.example", quiet),
  wayRow("a waypoint of the domain itself", "d.example", "tcp/22", "name[1]/@waypoint: d.example is the domain itself; expected a name below d.example", quiet),
  wayRow("a name that is the server's", "ns.d.example", "tcp/22", "name[1]/@name: ns.d.example is the domain's ns; expected another name", quiet),
  wayRow("nothing by a waypoint", "a.d.example", " ", `name[1]/@waypoint: " " is empty; ${SERVICES_EXPECTED}`),
  wayRow("everything by a waypoint", "a.d.example", "all", `name[1]/@waypoint: "all" has something else than tcp/…, udp/… and ping; ${SERVICES_EXPECTED}`),
  wayRow("a protocol twice", "a.d.example", "tcp/1 tcp/2", `name[1]/@waypoint: "tcp/1 tcp/2" names a protocol twice; ${SERVICES_EXPECTED}`, quiet),
  wayRow("port 0 by a waypoint", "a.d.example", "udp/0", `name[1]/@waypoint: "udp/0" is not a list of ports; ${SERVICES_EXPECTED}`, quiet),
  one("a waypoint with a port of TLS", `${SNI}${DOMAIN}${WAYPOINTS}<name name="a.d.example" to="home.i3" waypoint="tcp/22" https="8443"/>`, "name[1]/@https: given beside waypoint; expected waypoint alone, or https without it", {
    ...quiet, remedy: "What comes by a waypoint goes to the ports that it came for, as it is.",
  }),
  pointsRow("an address twice", "198.51.100.8/29 198.51.100.9", "names 198.51.100.9 twice", quiet),
  pointsRow("bits behind the prefix", "198.51.100.9/29", "has 198.51.100.9/29, with bits behind the first 29", quiet),
  pointsRow("too many", "198.51.96.0/21", "has too many addresses", quiet),
  pointsRow("loopback", "127.0.0.0/30", "has 127.0.0.0/30, which is no host's", quiet),
  row("a waypoint that is the server's own address", [DOMAIN, '<waypoints addresses="192.0.2.0/29"/>', '<name name="a.d.example" to="home.i3" waypoint="tcp/22"/>'], ":6: /i3-proxy/publish/waypoints/@addresses: 192.0.2.5 is an address of this machine's own services; expected addresses for waypoints alone", quiet),
  one("a domain without addresses", `${SNI}<domain name="d.example" listen="192.0.2.5" ns="ns.d.example"/>${NAME}`, 'domain: its names have no addresses; expected addresses="…", where everybody reaches this machine', { ...quiet, remedy: "Without it they would be those of <publish listen>, which is left out here." }),
  one("a server of every address", `${SNI}<domain name="d.example" listen="::" ns="ns.d.example"/>${NAME}`, 'domain/@listen: "::" is not the address of one host; expected one to 8 IPv4 or IPv6 addresses of this machine, with blanks between, each once', quiet),
  one("a top level", `${SNI}<domain name="example" listen="192.0.2.5" ns="ns.example"/>${NAME}`, 'domain/@name: "example" has too few labels; expected a DNS name of at least 2 labels, such as home.i3 (letters, digits and hyphens; at most 253 characters, labels of at most 63)', quiet),
  nameRow("every name", "*", "is not a DNS name"),
  nameRow("every name of a top level", "*.org", "has too few labels"),
  nameRow("a star in the middle", "a.*.example.org", "is not a DNS name"),
  nameRow("a star in a label", "*a.example.org", "is not a DNS name"),
  nameRow("a name with a dot at its end", "a.example.org.", "ends in a dot"),
  nameRow("an address", "192.0.2.1", "is not a DNS name"),
  listenRow("nowhere", " ", "is empty"),
  listenRow("a name to listen on", "eth0", "is not an IP address"),
  listenRow("an address twice", "192.0.2.1 192.0.2.1", "names one twice", quiet),
  listenRow("all and one", ":: 192.0.2.1", "has all addresses and others beside", quiet),
  listenRow("too many addresses", Array.from({ length: 9 }, (_, i) => `::${i + 1}`).join(" "), "has too many addresses"),
];

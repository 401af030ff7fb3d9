/**
 * `<publish>`: which hosts of the overlay hosts without i3 reach by way of this one, and how: TLS by the name in its ClientHello and HTTP by its Host on
 * ports that all share, or a port for one host. Read by ip-to-i3. What is not listed is not published.
 */
import { checkDomain, DOMAIN, WAYPOINT_SERVICES, WAYPOINTS, type PublishedDomain, type WaypointsConfig, type WaypointService } from "./publish-domain.js";
import { findRule, type ProxyRule } from "./rules.js";
import { element, list, maybe, optional, Refusal, required, withDefault, type Site, type ValueType } from "./schema.js";
import { dnsName, LISTEN_ADDRESS, PORT, word, wordsOf, type IpHost } from "./value-types.js";

const MAX_ADDRESSES = 8;
const MAX_SHARED = 16;
const MAX_PORTS = 256;
const MAX_NAMES = 4_096;
const HTTPS_PORT = 443;
const HTTP_PORT = 80;
const STAR = "*.";

/** none: the host sees the gateway; v2: a header before all else tells it who connects. */
export type ProxyProtocol = "none" | "v2";

/** i3: a host of the overlay; gateway: a plain server behind a gateway of it. What the rule of the name must say too. */
export type PublishedWay = "i3" | "gateway";

/** A port for all published names. */
export interface SharedPort {
  readonly port: number;
  /** sni: TLS, passed on as it is; host: HTTP/1.x, request by request. */
  readonly by: "sni" | "host";
  /** Of `host`: whether each request tells who asks (X-Forwarded-For, -Proto, -Host), and no client may say so itself. */
  readonly forwarded: boolean;
  /** In the file. */
  readonly line: number;
}

/** A port for one port of one host. */
export interface FixedPort {
  readonly listen: number;
  /** Name of a host of the overlay, lower case. */
  readonly to: string;
  readonly go: PublishedWay;
  readonly port: number;
  readonly proxyProtocol: ProxyProtocol;
  readonly line: number;
}

export interface PublishedName {
  /** Lower case; `*.home.example.org` is every name below home.example.org, but not that one. */
  readonly name: string;
  /** Name of a host of the overlay, lower case. */
  readonly to: string;
  readonly go: PublishedWay;
  /** What of the host is reached at an address that is the name's for as long as it is used; undefined: the name is for the shared ports. */
  readonly waypoint: readonly WaypointService[] | undefined;
  /** Port there of what comes by `sni`. */
  readonly https: number;
  /** Port there of what comes by `host`. */
  readonly http: number;
  readonly proxyProtocol: ProxyProtocol;
  readonly line: number;
}

export interface PublishConfig {
  /** Addresses of this machine; `::` alone is all of both families. */
  readonly listen: readonly IpHost[];
  readonly shared: readonly SharedPort[];
  readonly ports: readonly FixedPort[];
  /** No name twice. */
  readonly names: readonly PublishedName[];
  /** Whose names this machine answers for; undefined: none. */
  readonly domain: PublishedDomain | undefined;
  /** With `domain` only. */
  readonly waypoints: WaypointsConfig | undefined;
}

const ADDRESSES: ValueType<readonly IpHost[]> = {
  expected: `one to ${MAX_ADDRESSES} IPv4 or IPv6 addresses of this machine with blanks between, each once, such as "192.0.2.5 2001:db8::5"; without it all`,
  parse: (text, file) => {
    const hosts: IpHost[] = [];
    for (const part of wordsOf(text)) {
      const host = LISTEN_ADDRESS.parse(part, file);
      if (host instanceof Refusal) return host;
      hosts.push(host);
    }
    if (hosts.length === 0) return new Refusal("is empty");
    if (hosts.length > MAX_ADDRESSES) return new Refusal("has too many addresses");
    if (new Set(hosts.map((host) => host.text)).size < hosts.length) return new Refusal("names one twice");
    // A second socket could not be opened beside it.
    if (hosts.length > 1 && hosts.some((host) => host.bytes.every((byte) => byte === 0))) return new Refusal("has all addresses and others beside");
    return Object.freeze(hosts);
  },
};

const ALL: readonly IpHost[] = Object.freeze([Object.freeze({ kind: "ipv6", text: "::", bytes: new Uint8Array(16) })]);

const PLAIN_NAME = dnsName(1);
/** Two labels behind the star: nobody has all names below `org`. */
const BELOW_STAR = dnsName(2);

/** What plain clients ask for. */
const PUBLIC_NAME: ValueType<string> = {
  expected: 'a DNS name, such as home.example.org, or every name below one of at least two labels, such as "*.home.example.org"',
  parse: (text, file) => {
    if (!text.startsWith(STAR)) return PLAIN_NAME.parse(text, file);
    const parent = BELOW_STAR.parse(text.slice(STAR.length), file);
    return typeof parent === "string" ? `${STAR}${parent}` : parent;
  },
};

const OVERLAY_NAME = dnsName(1);
const PROXY_PROTOCOL = word(["none", "v2"]);
const WAY = word(["i3", "gateway"]);

const SHARED = element(
  { port: required(PORT), by: required(word(["sni", "host"])), forwarded: optional(word(["yes", "no"])) },
  {},
  ({ port, by, forwarded }, site): SharedPort => {
    if (by === "sni" && forwarded !== undefined) {
      site.fail("forwarded", 'given with by="sni"', 'forwarded only with by="host"', 'Nobody can write into what TLS protects. proxy-protocol="v2" of <name> tells the host who connects.');
    }
    return { port, by, forwarded: by === "host" && forwarded !== "no", line: site.line };
  },
);

const FIXED = element(
  { listen: required(PORT), to: required(OVERLAY_NAME), go: withDefault(WAY, "i3"), port: required(PORT), "proxy-protocol": withDefault(PROXY_PROTOCOL, "none") },
  {},
  (fixed, { line }): FixedPort => ({ ...fixed, line }),
);

interface PlacedName {
  readonly published: PublishedName;
  /** For the schema, which refuses a name that comes twice. */
  readonly name: string;
  readonly https: number | undefined;
  readonly http: number | undefined;
}

const NAME = element(
  {
    name: required(PUBLIC_NAME), to: required(OVERLAY_NAME), go: withDefault(WAY, "i3"), waypoint: optional(WAYPOINT_SERVICES), https: optional(PORT), http: optional(PORT),
    "proxy-protocol": optional(PROXY_PROTOCOL),
  },
  {},
  ({ name, to, go, waypoint, https, http, proxyProtocol }, site): PlacedName => {
    if (waypoint !== undefined) {
      const odd = https !== undefined ? "https" : http !== undefined ? "http" : proxyProtocol !== undefined ? "proxy-protocol" : undefined;
      if (odd !== undefined) site.fail(odd, "given beside waypoint", `waypoint alone, or ${odd} without it`, "What comes by a waypoint goes to the ports that it came for, as it is.");
    }
    return { published: Object.freeze({ name, to, go, waypoint, https: https ?? HTTPS_PORT, http: http ?? HTTP_PORT, proxyProtocol: proxyProtocol ?? "none", line: site.line }), name, https, http };
  },
);

/** Refuses a child by its element, its place among those, and its line. */
type Refuse = (below: string, line: number, problem: string, expected: string, remedy?: string) => never;

function checkPorts(shared: readonly SharedPort[], ports: readonly FixedPort[], refuse: Refuse): void {
  const lines = new Map<number, number>();
  const take = (port: number, line: number, below: string): void => {
    const first = lines.get(port);
    if (first !== undefined) refuse(below, line, `${port} is taken by line ${first}`, "every port once");
    lines.set(port, line);
  };
  for (const [i, { port, line }] of shared.entries()) take(port, line, `shared[${i + 1}]/@port`);
  for (const [i, { listen, line }] of ports.entries()) take(listen, line, `port[${i + 1}]/@listen`);
}

/** What was written and would have no effect is refused. */
function checkUses(shared: readonly SharedPort[], names: readonly PlacedName[], refuse: Refuse): void {
  const at = names.findIndex(({ published }) => published.waypoint === undefined);
  const first = names[at];
  if (first !== undefined && shared.length === 0) refuse(`name[${at + 1}]`, first.published.line, "no shared port", '<shared port="443" by="sni"/> or <shared port="80" by="host"/> beside <name>');
  const [port] = shared;
  if (port !== undefined && first === undefined) refuse("shared[1]", port.line, "no name", '<name name="home.example.org" to="home.i3"/> beside <shared>', "Only names that are listed are published.");
  for (const [attribute, by] of [["https", "sni"], ["http", "host"]] as const) {
    if (shared.some((each) => each.by === by)) continue;
    const odd = names.findIndex((each) => each[attribute] !== undefined);
    const name = names[odd];
    if (name !== undefined) refuse(`name[${odd + 1}]/@${attribute}`, name.published.line, `there is no <shared by="${by}">`, `<shared port="…" by="${by}"/>, or no attribute ${attribute}`);
  }
}

export const PUBLISH = element(
  { listen: withDefault(ADDRESSES, ALL) },
  { shared: list(SHARED, 0, MAX_SHARED), port: list(FIXED, 0, MAX_PORTS), name: list(NAME, 0, MAX_NAMES, "name"), domain: maybe(DOMAIN), waypoints: maybe(WAYPOINTS) },
  ({ listen, shared, port: ports, name: placed, domain, waypoints }, site): PublishConfig => {
    const refuse: Refuse = (below, line, problem, expected, remedy) => site.failInside(below, line, problem, expected, remedy);
    const names = Object.freeze(placed.map(({ published }) => published));
    if (shared.length + ports.length + names.length === 0) site.fail(undefined, "it publishes nothing", "<shared> and <name>, <port>, or no element publish");
    checkPorts(shared, ports, refuse);
    checkUses(shared, placed, refuse);
    return { listen, shared, ports, names, waypoints, domain: checkDomain({ listen, names, domain, waypoints }, refuse) };
  },
);

const EXPECTED_WAY: Readonly<Record<PublishedWay, readonly [string, string]>> = {
  i3: ["Only hosts of the overlay are published.", 'a name that a rule with go="i3" matches first'],
  gateway: ["The server is looked up by the gateway of that rule, which must let this machine reach it.", 'a name that a rule with go="gateway" matches first'],
};

/** Refuses what is published of names that the rules do not lead where it says. @param site of what contains `<publish>` and `<rules>` */
export function checkPublishedRules({ ports, names }: PublishConfig, rules: readonly ProxyRule[], site: Site): void {
  for (const [tag, targets] of [["port", ports], ["name", names]] as const) {
    for (const [i, { to, go, line }] of targets.entries()) {
      const rule = findRule(rules, to);
      if (rule?.go === go) continue;
      const [remedy, expected] = EXPECTED_WAY[go];
      const why = rule === undefined ? "no rule matches" : `the rule on line ${rule.line} has go="${rule.go}" for`;
      site.failInside(`publish/${tag}[${i + 1}]/@to`, line, `${why} ${to}`, expected, rule?.go === "gateway" ? 'If everybody may reach that server of the gateway, write go="gateway" here too.' : remedy);
    }
  }
}

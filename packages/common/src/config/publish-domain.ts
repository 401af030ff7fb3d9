/**
 * `<domain>` and `<waypoints>` of `<publish>`: the domain whose names this machine answers for in everybody's DNS, and addresses that stand for hosts of the overlay, each for one at a time, for programs that
 * say no name when they connect (docs/gateways.md, "Waypoints").
 */
import { isInNetwork, networkOf, type Network } from "./networks.js";
import { formatIpText } from "./ip-text.js";
import { element, optional, Refusal, required, withDefault, type ValueType } from "./schema.js";
import { PORTS, type PortRange } from "./services.js";
import { dnsName, IP_ADDRESS, wholeNumber, wordsOf, type IpHost } from "./value-types.js";

const MAX_ADDRESSES = 8;
/** Of both families together. */
const MAX_WAYPOINTS = 1_024;
const MAX_PREFIXES = 64;
const MAX_SERVICES = 16;
const MAX_CLAIM_MS = 10_000;
const [MIN_REST_S, MAX_REST_S] = [5, 3_600] as const;

export interface PublishedDomain {
  /** At least two labels, lower case. */
  readonly name: string;
  /** Of this machine, where questions come to, port 53. */
  readonly listen: readonly IpHost[];
  /** What the domain is delegated to. */
  readonly ns: string;
  /** Of `ns`, if that is in the domain. */
  readonly nsAddresses: readonly IpHost[];
  /** Of names that need no waypoint, and of the domain itself. */
  readonly addresses: readonly IpHost[];
  readonly line: number;
}

export interface WaypointsConfig {
  /** Of this machine, or routed to it; 4 or 16 bytes, at most 1,024, each once. */
  readonly addresses: readonly Uint8Array[];
  /** After an answer whoever connects belongs to it for so long, where there are more hosts than waypoints. */
  readonly claimMs: number;
  /** Unused for so long a waypoint may be another host's. */
  readonly restS: number;
  readonly line: number;
}

/** Ports of TCP or UDP; of `ping` none. */
export interface WaypointService {
  readonly protocol: "tcp" | "udp" | "ping";
  readonly ports: readonly PortRange[];
}

export const WAYPOINT_SERVICES: ValueType<readonly WaypointService[]> = {
  expected: 'what is reached, such as "tcp/22,8000-8080 udp/53 ping", each protocol once',
  parse: (text, file) => {
    const words = wordsOf(text);
    if (words.length === 0) return new Refusal("is empty");
    if (words.length > MAX_SERVICES) return new Refusal("has too many parts");
    const services: WaypointService[] = [];
    for (const one of words) {
      const [, protocol, list] = /^(tcp|udp)\/(.*)$/.exec(one) ?? [];
      if (one !== "ping" && list === undefined) return new Refusal("has something else than tcp/…, udp/… and ping");
      const ports = list === undefined ? [] : PORTS.parse(list, file);
      if (ports instanceof Refusal) return ports;
      services.push(Object.freeze({ protocol: protocol === "tcp" || protocol === "udp" ? protocol : "ping", ports: Object.freeze(ports) }));
    }
    return new Set(services.map(({ protocol }) => protocol)).size < services.length ? new Refusal("names a protocol twice") : Object.freeze(services);
  },
};

const hosts = (what: string): ValueType<readonly IpHost[]> => ({
  expected: `one to ${MAX_ADDRESSES} IPv4 or IPv6 addresses ${what}, with blanks between, each once`,
  parse: (text, file) => {
    const found: IpHost[] = [];
    for (const part of wordsOf(text)) {
      const host = IP_ADDRESS.parse(part, file);
      if (host instanceof Refusal) return host;
      found.push(host);
    }
    if (found.length === 0) return new Refusal("is empty");
    if (found.length > MAX_ADDRESSES) return new Refusal("has too many addresses");
    return new Set(found.map(({ text: one }) => one)).size < found.length ? new Refusal("names one twice") : Object.freeze(found);
  },
});

const PREFIXES: ValueType<readonly Uint8Array[]> = {
  expected: `addresses and prefixes with blanks between, of at most ${MAX_WAYPOINTS} addresses, such as "198.51.100.8/29 2001:db8:9::/120"`,
  parse: (text) => {
    const words = wordsOf(text);
    if (words.length === 0) return new Refusal("is empty");
    if (words.length > MAX_PREFIXES) return new Refusal("has too many parts");
    const networks: Network[] = [];
    for (const one of words) {
      const network = networkOf(one.includes("/") ? one : `${one}/${one.includes(":") ? 128 : 32}`);
      if (network instanceof Refusal) return network;
      if (networks.some((other) => isInNetwork(other, network.address) || isInNetwork(network, other.address))) return new Refusal(`names ${one} twice`);
      const first = network.address[0] ?? 0;
      if (network.address.length === 4 ? first === 0 || first === 127 || first >= 224 : first === 0 || first === 0xff) return new Refusal(`has ${one}, which is no host's`);
      networks.push(network);
    }
    const count = networks.reduce((sum, { address, bits }) => sum + 2 ** (address.length * 8 - bits), 0);
    return count > MAX_WAYPOINTS ? new Refusal("has too many addresses") : Object.freeze(networks.flatMap(addressesIn));
  },
};

function addressesIn({ address, bits }: Network): readonly Uint8Array[] {
  return Array.from({ length: 2 ** (address.length * 8 - bits) }, (_, i) => {
    const one = address.slice();
    // At most 1,024 of them: the last two bytes say which.
    const low = (((one.at(-2) ?? 0) << 8) | (one.at(-1) ?? 0)) + i;
    one.set([low >> 8, low & 0xff], one.length - 2);
    return one;
  });
}

interface PlacedDomain extends Omit<PublishedDomain, "nsAddresses" | "addresses"> {
  readonly nsAddresses: readonly IpHost[] | undefined;
  readonly addresses: readonly IpHost[] | undefined;
}

const OWN = "of this machine";
const PUBLIC = "that everybody reaches this machine at";

export const DOMAIN = element(
  {
    name: required(dnsName(2)), listen: required(hosts(OWN)), ns: required(dnsName(2)),
    "ns-addresses": optional(hosts(PUBLIC)), addresses: optional(hosts(PUBLIC)),
  },
  {},
  (domain, { line }): PlacedDomain => ({ ...domain, line }),
);

export const WAYPOINTS = element(
  { addresses: required(PREFIXES), "claim-ms": withDefault(wholeNumber(100, MAX_CLAIM_MS), 1_000), "rest-s": withDefault(wholeNumber(MIN_REST_S, MAX_REST_S), 60) },
  {},
  (waypoints, { line }): WaypointsConfig => ({ ...waypoints, line }),
);

/** Refuses a child by its element, its place among those, and its line. */
type Refuse = (below: string, line: number, problem: string, expected: string, remedy?: string) => never;

const isAll = ({ bytes }: IpHost): boolean => bytes.every((byte) => byte === 0);
export const isBelow = (name: string, domain: string): boolean => name === domain || name.endsWith(`.${domain}`);

interface Published {
  readonly listen: readonly IpHost[];
  readonly names: readonly { readonly name: string; readonly waypoint: readonly WaypointService[] | undefined; readonly line: number }[];
  readonly domain: PlacedDomain | undefined;
  readonly waypoints: WaypointsConfig | undefined;
}

/** The domain with what follows from the rest of `<publish>`; refuses what could not act. */
export function checkDomain({ listen, names, domain, waypoints }: Published, refuse: Refuse): PublishedDomain | undefined {
  const at = names.findIndex(({ waypoint }) => waypoint !== undefined);
  const first = names[at];
  if (waypoints !== undefined && first === undefined) refuse("waypoints", waypoints.line, "no name has one", 'waypoint="…" of a <name>, or no element waypoints');
  if (first !== undefined && waypoints === undefined) refuse(`name[${at + 1}]/@waypoint`, first.line, "there are no waypoints", '<waypoints addresses="…"/> beside <name>');
  if (domain === undefined) {
    if (first !== undefined) refuse(`name[${at + 1}]/@waypoint`, first.line, "there is no domain", '<domain name="…" …/> beside <name>', "A name gets its waypoint when it is asked for, so this machine must answer for it.");
    return undefined;
  }
  for (const [i, { name, waypoint, line }] of names.entries()) {
    if (waypoint !== undefined && !isBelow(name.replace(/^\*\./, ""), domain.name)) refuse(`name[${i + 1}]/@waypoint`, line, `${name} is not in ${domain.name}`, `a name below ${domain.name}`);
    if (waypoint !== undefined && name === domain.name) refuse(`name[${i + 1}]/@waypoint`, line, `${name} is the domain itself`, `a name below ${domain.name}`);
    if (name === domain.ns) refuse(`name[${i + 1}]/@name`, line, `${name} is the domain's ns`, "another name");
  }
  const addresses = domain.addresses ?? listen;
  if (addresses.some(isAll)) refuse("domain", domain.line, "its names have no addresses", 'addresses="…", where everybody reaches this machine', "Without it they would be those of <publish listen>, which is left out here.");
  const nsAddresses = domain.nsAddresses ?? domain.listen;
  const services = new Set([...listen, ...domain.listen, ...addresses, ...nsAddresses].map(({ text }) => text));
  const waypoint = waypoints?.addresses.find((one) => services.has(formatIpText(one)));
  if (waypoints !== undefined && waypoint !== undefined) refuse("waypoints/@addresses", waypoints.line, `${formatIpText(waypoint)} is an address of this machine's own services`, "addresses for waypoints alone");
  return Object.freeze({ ...domain, addresses, nsAddresses });
}

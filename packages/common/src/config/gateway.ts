/** `<gateway>`: what of this machine's networks hosts of the overlay may reach, and who of them (docs/gateways.md; read by i3-to-ip alone). The first entry that matches decides; without one nobody may. */
import { NETWORKS, type Network } from "./networks.js";
import { element, implied, list, optional, Refusal, required, withDefault, type Site, type ValueType } from "./schema.js";
import { PORTS, PROTOCOL, serviceOf, type PortRange, type ServiceSelector } from "./services.js";
import { GROUP, HIT, INTERFACE_NAME, NAME_PATTERN, wholeNumber, word, wordsOf, type NamePattern } from "./value-types.js";

/** Of each kind. */
const MAX_ENTRIES = 1024;
const MAX_INTERFACES = 16;

/** internet: every address that is not of somebody's own network. */
export interface Networks {
  readonly internet: boolean;
  readonly prefixes: readonly Network[];
}

export interface GatewayEntry {
  readonly admits: boolean;
  /** Exactly one of these three, or none: everybody whose key is proven (of an entry that refuses). 16 bytes; lower case. */
  readonly hit?: Uint8Array;
  readonly group?: string;
  /** Instead of these: everybody whose key is proven, and whom neither the address book nor a `hit` of the list names. Whoever makes a new key is one of them. */
  readonly anonymous?: true;
  /** Of servers, as clients ask for them; undefined: any. */
  readonly names: NamePattern | undefined;
  /** Where servers are; undefined: the internet alone for an entry that admits, anywhere for one that refuses. */
  readonly networks: Networks | undefined;
  /** Undefined: all packets. */
  readonly service: ServiceSelector | undefined;
  readonly line: number;
}

/** Protocols that name addresses and ports inside, and what their first connection is: the kernel's helpers follow them. */
export const HELPERS = {
  ftp: { type: "ftp", transport: "tcp", ports: [21] }, tftp: { type: "tftp", transport: "udp", ports: [69] }, sip: { type: "sip", transport: "udp", ports: [5060] },
  pptp: { type: "pptp", transport: "tcp", ports: [1723] }, snmp: { type: "snmp", transport: "udp", ports: [161] },
  "h323-ras": { type: "RAS", transport: "udp", ports: [1719] }, "h323-q931": { type: "Q.931", transport: "tcp", ports: [1720] },
} as const;

export interface GatewayHelper {
  readonly protocol: keyof typeof HELPERS;
  /** Of servers. */
  readonly ports: readonly PortRange[];
}

/** Of each client's addresses, one for each family, by itself. */
export interface GatewayLimits {
  /** Through the gateway at once. */
  readonly connectionsPerClient: number;
  readonly newPerSecond: number;
  /** Of all clients together that nothing here names, over both families, beside what is said of each. */
  readonly anonymousConnections: number;
  readonly anonymousNewPerSecond: number;
}

export interface GatewayConfig {
  /** Interfaces by which servers are reached. */
  readonly out: readonly string[];
  /** Servers that virtual addresses are kept for. */
  readonly maxServers: number;
  /** Whether servers of one family are given addresses of the other too. */
  readonly translates: boolean;
  readonly limits: GatewayLimits;
  /** In the order of the file. */
  readonly entries: readonly GatewayEntry[];
  /** Each protocol at most once; none unless it is asked for: a helper lets servers and clients open ways that only they know. */
  readonly helpers: readonly GatewayHelper[];
}

const PLACES: ValueType<Networks> = {
  expected: `internet, or ${NETWORKS.expected}`,
  parse: (text, file) => {
    const words = wordsOf(text);
    const prefixes = words.filter((one) => one !== "internet");
    if (words.length > 0 && prefixes.length === 0) return Object.freeze({ internet: true, prefixes: Object.freeze([]) });
    const networks = NETWORKS.parse(prefixes.join(" "), file);
    return networks instanceof Refusal ? networks : Object.freeze({ internet: prefixes.length < words.length, prefixes: networks });
  },
};

const INTERFACES: ValueType<readonly string[]> = {
  expected: `names of at most ${MAX_INTERFACES} interfaces, with blanks between`,
  parse: (text, file) => {
    const names = wordsOf(text);
    if (names.length === 0) return new Refusal("is empty");
    if (names.length > MAX_INTERFACES) return new Refusal("has too many names");
    if (names.some((name) => INTERFACE_NAME.parse(name, file) instanceof Refusal)) return new Refusal("has something else than names of interfaces");
    return new Set(names).size < names.length ? new Refusal("names one twice") : Object.freeze(names);
  },
};

interface PlacedEntry {
  readonly entry: GatewayEntry;
  readonly position: number;
}

const entryElement = (admits: boolean) =>
  element(
    { hit: optional(HIT), group: optional(GROUP), anonymous: optional(word(["yes"])), names: optional(NAME_PATTERN), networks: optional(PLACES), protocol: optional(PROTOCOL), ports: optional(PORTS) },
    {},
    ({ hit, group, anonymous, names, networks, protocol: protocols, ports }, site): PlacedEntry => {
      const { line, position } = site;
      if (anonymous !== undefined && (hit !== undefined || group !== undefined)) site.fail("anonymous", "given beside hit or group", "one of hit, group and anonymous");
      if (hit !== undefined && group !== undefined) site.fail("group", "given beside hit", "at most one of hit and group");
      if (admits && hit === undefined && group === undefined && anonymous === undefined) site.fail(undefined, "neither hit nor group", "exactly one of hit and group", "A gateway lets in only whom its list names.");
      if (admits && names === undefined && networks === undefined) site.fail(undefined, "neither names nor networks", 'names="…", networks="…" or both', 'networks="internet" is everything but private networks.');
      const service = serviceOf(protocols, ports, site);
      return { entry: Object.freeze({ admits, ...(hit === undefined ? {} : { hit }), ...(group === undefined ? {} : { group }), ...(anonymous === undefined ? {} : { anonymous: true as const }), names, networks, service, line }), position };
    },
  );

function inOrder(placed: readonly PlacedEntry[], site: Site): readonly GatewayEntry[] {
  if (!placed.some(({ entry }) => entry.admits)) site.fail(undefined, "it lets nobody in", "an <allow> at least");
  return Object.freeze([...placed].sort((a, b) => a.position - b.position).map(({ entry }) => entry));
}

const HELPER = element(
  { protocol: required(word(Object.keys(HELPERS) as (keyof typeof HELPERS)[])), ports: optional(PORTS) },
  {},
  ({ protocol, ports }): GatewayHelper => Object.freeze({ protocol, ports: ports ?? Object.freeze(HELPERS[protocol].ports.map((port) => Object.freeze({ first: port, last: port }))) }),
);

const LIMITS = element(
  {
    "connections-per-client": withDefault(wholeNumber(1, 1_048_576), 4_096), "new-per-second": withDefault(wholeNumber(1, 100_000), 200),
    "anonymous-connections": withDefault(wholeNumber(1, 1_048_576), 8_192), "anonymous-new-per-second": withDefault(wholeNumber(1, 100_000), 400),
  },
  {},
  (limits): GatewayLimits => Object.freeze(limits),
);

export const GATEWAY = element(
  { out: required(INTERFACES), "max-servers": withDefault(wholeNumber(1, 65_536), 16_384), translate: withDefault(word(["yes", "no"]), "no") },
  { limits: implied(LIMITS), allow: list(entryElement(true), 0, MAX_ENTRIES), refuse: list(entryElement(false), 0, MAX_ENTRIES), helper: list(HELPER, 0, Object.keys(HELPERS).length, "protocol") },
  ({ out, maxServers, translate, limits, allow, refuse, helper: helpers }, site): GatewayConfig => Object.freeze({ out, maxServers, translates: translate === "yes", limits, entries: inOrder([...allow, ...refuse], site), helpers }),
);

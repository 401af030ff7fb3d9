/** `<i3-proxy>`: the configuration of the laptop daemon. deploy/examples/i3-proxy.xml explains every line. */
import { samePrefix } from "../bytes.js";
import type { AddressRange } from "../ids.js";
import { ACCESS, type AccessConfig } from "./access.js";
import { exitOf, type AddressRule } from "./address-rules.js";
import { ENGINE_ATTRIBUTES, I3_PORT, IDENTITY, LISTEN, LOG, MAX_CONFIG_BYTES, ipEndpoint } from "./common-elements.js";
import type { Endpoint, EngineConfig, IdentityConfig, IpEndpoint, LogConfig } from "./common-elements.js";
import { GATEWAY, type GatewayConfig } from "./gateway.js";
import { checkPublishedRules, PUBLISH, type PublishConfig } from "./publish.js";
import { anonymousAsTheyAre, RULES, type ProxyRule } from "./rules.js";
import { SITE, type SiteConfig } from "./site.js";
import { element, implied, list, maybe, one, optional, readDocument, required, withDefault, type Site } from "./schema.js";
import { BOOLEAN, FILE, HOST, INTERFACE_NAME, KEY_PIN, PORT, PUBLIC_KEY, RECORD_LABEL, SOCKET_FILE } from "./value-types.js";
import { addressRange, dnsName, wholeNumber, word } from "./value-types.js";
import { ZONES, type ZoneConfig } from "./zones.js";

const MAX_SERVERS = 64;
const MAX_RESOLVERS = 8;
/** Each costs a trigger that is kept alive. */
export const MAX_PUBLISHED_NAMES = 16;
const DNS_PORT = 53;
/** Above every DNS answer and key file, far below what a table of ours can hold. */
const MAX_MAPPINGS = 1_048_576;
const MAX_LIFETIME_S = 30 * 86_400;
/** A peer takes a few rekeys a minute without complaint, and keeps the keys before them for 30 s. */
const MIN_REKEY_S = 5;
const MAX_REKEY_S = 86_400;
/** Each is an engine with a thread and some 8 MB. */
const MAX_ANONYMOUS = 64;
/** As large a prefix of its addresses has each of them: a thousand. Wider ones would be too few. */
export const ANONYMOUS_PART_BITS = 22;
/** Parts for each: while one is in use, others rest. */
const ANONYMOUS_PARTS_EACH = 2;
/** Shorter ones would end between two packets of a program. */
const MIN_ANONYMOUS_S = 5;
const DEFAULT_RANGE: AddressRange = Object.freeze({ network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 });
/** For measurements (RFC 2544): nobody's in a network that is in use. */
const DEFAULT_ANONYMOUS_RANGE: AddressRange = Object.freeze({ network: Uint8Array.of(198, 18, 0, 0), prefixBits: 15 });

export interface HipConfig {
  /** UDP, of every address; undefined: not opened. */
  readonly udpPort: number | undefined;
  /** Whether IP protocols 139 and 50 are opened. */
  readonly ipProtocol: boolean;
}

export interface EspConfig {
  /** Keys of a pair of ESP associations are replaced when they are so old, 5 to 86,400. */
  readonly rekeyAfterS: number;
}

export interface ServerListConfig {
  /** Ed25519, 32 bytes: who signs the list. */
  readonly key: Uint8Array;
  /** Its origin; undefined: the ring itself. */
  readonly file: string | undefined;
  /** Tells several lists of one key apart. */
  readonly label: string;
  /** Whether this host keeps the list of `file` in the ring, for those who have no file. */
  readonly publish: boolean;
}

/** Ways past i3, for hosts that rules allow them to. */
export interface ShortcutsConfig {
  /** Whether hosts that no rule names may send straight to us, and so learn our address. */
  readonly strangers: boolean;
  /** Whether routers are asked to open a port for us (NAT-PMP, UPnP-IGD). */
  readonly portMapping: boolean;
}

/** Destinations of rules with go="anonymous": each has a key, an engine, a port and a TUN of its own. */
export interface AnonymousConfig {
  /** At once. */
  readonly max: number;
  /** Unused for so long, one ends; the next question for its name begins another one. */
  readonly idleS: number;
  /** When one is so old, a question begins another one; what is open goes on by the old one until that is idle. */
  readonly renewAfterS: number;
  /** Of their addresses; with such rules nothing of it is in the range of virtual addresses. */
  readonly range: AddressRange;
}

/** Where a server takes WebSockets over TLS, for networks that let no UDP through. */
export interface TcpEntry {
  readonly port: number;
  /** SHA-256 of the only public key (SubjectPublicKeyInfo) that it may have; undefined: any. */
  readonly pin: Uint8Array | undefined;
}

export interface ServerEndpoint extends Endpoint {
  /** Undefined: it is reached over UDP only. */
  readonly tcp: TcpEntry | undefined;
}

export interface ProxyConfig {
  readonly identity: IdentityConfig;
  readonly state: { readonly directory: string };
  /** At most 64; none: hosts are reached by address only, and `hip` is there. */
  readonly servers: readonly ServerEndpoint[];
  /** A signed list of more servers. */
  readonly serverList: ServerListConfig | undefined;
  readonly listen: IpEndpoint;
  readonly tun: { readonly name: string; /** Bytes of an inner packet. */ readonly mtu: number };
  readonly virtualAddresses: {
    readonly range: AddressRange;
    /** What happens to packets for addresses of the range that nobody was given. */
    readonly unallocated: "auto" | "refuse" | "pass";
  };
  readonly dns: {
    /** Lower case, without dots at its ends. */
    readonly suffix: string;
    /** UDP and TCP, on loopback. */
    readonly port: number;
    readonly intercept: boolean;
    /** Empty: the system's own. */
    readonly resolvers: readonly IpEndpoint[];
  };
  readonly addressBook: { readonly file: string } | undefined;
  /** At most 32, no suffix and no key twice; for names that the address book does not have. */
  readonly zones: readonly ZoneConfig[];
  readonly mappings: {
    readonly lifetimeS: number;
    readonly unprovenLifetimeS: number;
    readonly max: number;
    readonly maxUnproven: number;
  };
  /** Names that this host claims in the ring, for those who trust on first use: lower case, at most {@link MAX_PUBLISHED_NAMES}. */
  readonly publishedNames: readonly string[];
  /** Of names: first match wins. */
  readonly rules: readonly ProxyRule[];
  readonly anonymous: AnonymousConfig;
  /** The longest prefix wins; no prefix is in two. Of i3-proxy alone. */
  readonly addressRules: readonly AddressRule[];
  /** Who may connect to this host; undefined: everybody. */
  readonly access: AccessConfig | undefined;
  /** What is opened for hosts without i3, beside the main port; undefined: nothing. */
  readonly hip: HipConfig | undefined;
  readonly shortcuts: ShortcutsConfig;
  readonly esp: EspConfig;
  /** Of i3-proxy alone. */
  readonly site: SiteConfig | undefined;
  /** Of i3-to-ip alone. */
  readonly gateway: GatewayConfig | undefined;
  /** Of ip-to-i3 alone. */
  readonly publish: PublishConfig | undefined;
  readonly control: { readonly socket: string } | undefined;
  readonly log: LogConfig;
  readonly engine: EngineConfig;
}

const MAPPINGS = element(
  {
    "lifetime-s": withDefault(wholeNumber(60, MAX_LIFETIME_S), 7200),
    "unproven-lifetime-s": withDefault(wholeNumber(1, MAX_LIFETIME_S), 120),
    max: withDefault(wholeNumber(1, MAX_MAPPINGS), 65_536),
    "max-unproven": withDefault(wholeNumber(0, MAX_MAPPINGS), 256),
  },
  {},
  (mappings, site) => {
    const { lifetimeS, unprovenLifetimeS, max, maxUnproven } = mappings;
    if (unprovenLifetimeS > lifetimeS) {
      site.fail("unproven-lifetime-s", `${unprovenLifetimeS} is longer than lifetime-s`, `at most ${lifetimeS}`);
    }
    if (maxUnproven > max) site.fail("max-unproven", `${maxUnproven} is more than max`, `at most ${max}`);
    return mappings;
  },
);

const HIP = element({ "udp-port": optional(PORT), "ip-protocol": withDefault(BOOLEAN, false) }, {}, (hip, site): HipConfig => {
  if (hip.udpPort === undefined && !hip.ipProtocol) site.fail(undefined, "it opens nothing", 'udp-port="10500", ip-protocol="true", or no element hip');
  return hip;
});

const SERVER = element(
  { address: required(HOST), port: withDefault(PORT, I3_PORT), "tcp-port": optional(PORT), "tls-pin": optional(KEY_PIN) },
  {},
  ({ address, port, tcpPort, tlsPin }, site): ServerEndpoint => {
    if (tlsPin !== undefined && tcpPort === undefined) site.fail("tls-pin", "there is no TLS without a TCP port", 'tcp-port="443" beside tls-pin');
    return { host: address, port, tcp: tcpPort === undefined ? undefined : Object.freeze({ port: tcpPort, pin: tlsPin }) };
  },
);

const SERVER_LIST = element(
  { key: required(PUBLIC_KEY), file: optional(FILE), label: withDefault(RECORD_LABEL, ""), publish: withDefault(BOOLEAN, false) },
  {},
  (list, site): ServerListConfig => {
    if (list.publish && list.file === undefined) site.fail("publish", "there is no file to publish", 'file="…" beside publish="true"');
    return list;
  },
);

const ANONYMOUS = element(
  {
    max: withDefault(wholeNumber(1, MAX_ANONYMOUS), 32), "idle-s": withDefault(wholeNumber(MIN_ANONYMOUS_S, 86_400), 300), "renew-after-s": withDefault(wholeNumber(MIN_ANONYMOUS_S, 86_400), 3_600),
    range: withDefault(addressRange(8, 20), DEFAULT_ANONYMOUS_RANGE),
  },
  {},
  (anonymous, site): AnonymousConfig => {
    const most = 2 ** (ANONYMOUS_PART_BITS - anonymous.range.prefixBits) / ANONYMOUS_PARTS_EACH;
    if (anonymous.max > most) site.fail("range", `has room for ${most} names, max is ${anonymous.max}`, "a wider prefix, or a smaller max");
    return anonymous;
  },
);

/** What needs the ring could never act. */
function checkWithoutServers({ hip, rules, publishedNames, serverList, zones }: Pick<ProxyConfig, "hip" | "rules" | "publishedNames" | "serverList" | "zones">, site: Site): void {
  if (serverList?.file !== undefined) return;
  if (serverList !== undefined) site.fail(undefined, "server-list without servers and without a file", '<servers>, or file="…" of server-list', "A list that has no file is looked for in the ring.");
  if (hip === undefined) {
    site.fail(undefined, "neither servers nor hip", '<servers>, or <hip udp-port="10500"/>', "Without servers this machine is reached at its address only, and that needs <hip>.");
  }
  if (publishedNames.length > 0) site.fail(undefined, "published-names without servers", "<servers>, where names are claimed");
  if (zones.length > 0) site.fail(undefined, "zones without servers", "<servers>, where names of zones are looked for");
  const firstUse = rules.find((rule) => rule.go === "i3" && rule.trust === "first-use");
  if (firstUse !== undefined) site.fail(undefined, `trust="first-use" on line ${firstUse.line}, without servers`, "<servers>, where names are claimed");
}

/** The daemons that are a proxy, and the element that only one of them reads. */
const PARTS = { "i3-proxy": "site", "i3-to-ip": "gateway", "ip-to-i3": "publish" } as const;

function checkAddressRules(daemon: keyof typeof PARTS, rules: readonly AddressRule[], { intercept }: Pick<ProxyConfig["dns"], "intercept">, site: Site): void {
  const [first] = rules;
  if (first === undefined) return;
  if (daemon !== "i3-proxy") site.fail(undefined, `a rule by address on line ${first.line}`, `no such rule for ${daemon}`, "What it answers and passes on for others would take that way. They are for i3-proxy, on the machines that use a gateway.");
  const exit = exitOf(rules);
  if (exit !== undefined && !intercept) site.fail(undefined, `everything goes by ${exit.via} on line ${exit.line}, but for names: dns has intercept="false"`, 'intercept="true" beside such a rule', "Otherwise programs ask the resolver of the network where they are.");
}

/** If both had addresses of one range, what a gateway may name to the one would tell of the other. */
function checkAnonymousRules({ rules, addressRules, anonymous: { range }, virtualAddresses, dns }: Pick<ProxyConfig, "rules" | "addressRules" | "anonymous" | "virtualAddresses" | "dns">, site: Site): void {
  const rule = rules.find(({ go }) => go === "anonymous");
  if (rule === undefined) return;
  const remedy = 'Give <anonymous range="…"/> another one.';
  const { network, prefixBits } = virtualAddresses.range;
  if (samePrefix(range.network, network, Math.min(range.prefixBits, prefixBits))) site.fail(undefined, `anonymous names, by line ${rule.line}, with addresses that virtual-addresses has too`, "two ranges that have nothing in common", remedy);
  const inside = addressRules.find(({ prefixes }) => prefixes.some(({ address, bits }) => address.length === 4 && bits >= range.prefixBits && samePrefix(range.network, address, range.prefixBits)));
  const asTheyAre = anonymousAsTheyAre(rules, dns.suffix);
  if (asTheyAre !== undefined && !dns.intercept) {
    site.fail(undefined, `names are anonymous as they are, by line ${asTheyAre.line}, and dns has intercept="false"`, 'intercept="true", or names that end in .anon or .relay and the suffix', "Programs that ask another server would reach them in the ordinary way.");
  }
  if (inside !== undefined) site.fail(undefined, `anonymous names, by line ${rule.line}, with addresses of the rule on line ${inside.line}`, "another range for one of them", remedy);
}

const proxyOf = (daemon: keyof typeof PARTS) => element(
  {},
  {
    identity: one(IDENTITY),
    state: one(element({ directory: required(FILE) })),
    servers: maybe(element({}, { server: list(SERVER, 1, MAX_SERVERS) })),
    "server-list": maybe(SERVER_LIST),
    listen: implied(LISTEN),
    tun: implied(element({ name: withDefault(INTERFACE_NAME, "i3"), mtu: withDefault(wholeNumber(1280, 9000), 1360) })),
    "virtual-addresses": implied(
      element({
        range: withDefault(addressRange(8, 24), DEFAULT_RANGE),
        unallocated: withDefault(word(["auto", "refuse", "pass"]), "auto"),
      }),
    ),
    dns: implied(
      element(
        {
          suffix: withDefault(dnsName(1), "i3"),
          port: withDefault(PORT, 5335),
          intercept: withDefault(BOOLEAN, true),
        },
        { resolver: list(ipEndpoint(DNS_PORT), 0, MAX_RESOLVERS) },
        ({ resolver: resolvers, ...dns }) => ({ ...dns, resolvers }),
      ),
    ),
    "address-book": maybe(element({ file: required(FILE) })),
    zones: implied(ZONES),
    mappings: implied(MAPPINGS),
    "published-names": implied(
      element({}, { publish: list(element({ name: required(dnsName(2)) }), 0, MAX_PUBLISHED_NAMES, "name") }, ({ publish }) => Object.freeze(publish.map(({ name }) => name))),
    ),
    rules: implied(RULES),
    anonymous: implied(ANONYMOUS),
    access: maybe(ACCESS),
    hip: maybe(HIP),
    shortcuts: implied(element({ strangers: withDefault(BOOLEAN, false), "port-mapping": withDefault(BOOLEAN, true) })),
    esp: implied(element({ "rekey-after-s": withDefault(wholeNumber(MIN_REKEY_S, MAX_REKEY_S), 3600) })),
    site: maybe(SITE),
    gateway: maybe(GATEWAY),
    publish: maybe(PUBLISH),
    control: maybe(element({ socket: required(SOCKET_FILE) })),
    log: implied(LOG),
    engine: implied(element(ENGINE_ATTRIBUTES)),
  },
  ({ servers, rules: { names: rules, addresses: addressRules }, ...config }, site): ProxyConfig => {
    const part = PARTS[daemon];
    if (daemon !== "i3-proxy" && config[part] === undefined) site.fail(undefined, `no element ${part}`, `<${part}>, which ${daemon} is for`, "Without it the command is i3-proxy.");
    for (const [other, name] of Object.entries(PARTS)) {
      if (name !== part && config[name] !== undefined) site.fail(undefined, `the element ${name} is not for ${daemon}`, `no element ${name}`, `The command that reads it is ${other}, which is a proxy as well.`);
    }
    if (config.publish !== undefined) checkPublishedRules(config.publish, rules, site);
    checkAddressRules(daemon, addressRules, config.dns, site);
    checkAnonymousRules({ ...config, rules, addressRules }, site);
    const { hip, listen } = config;
    if (hip?.udpPort !== undefined && hip.udpPort === listen.port) {
      site.fail(undefined, `udp-port="${hip.udpPort}" of hip is the port of listen too`, "two ports", "The main port takes HIP too; the other one is for hosts that expect 10500.");
    }
    const plain = rules.find((rule) => rule.go === "i3" && rule.security === "none");
    const { algorithm } = config.identity;
    // Its INIT has room for one kind of key (docs/wire.md §6).
    if (plain !== undefined && algorithm !== "ecdsa-p256") {
      site.fail(undefined, `security="none" on line ${plain.line}, with an identity of algorithm="${algorithm}"`, 'algorithm="ecdsa-p256" with security="none"');
    }
    if (servers === undefined) checkWithoutServers({ ...config, rules }, site);
    return { ...config, servers: servers?.server ?? Object.freeze([]), rules, addressRules };
  },
);

const [PROXY, GATEWAY_PROXY, PUBLISHING_PROXY] = [proxyOf("i3-proxy"), proxyOf("i3-to-ip"), proxyOf("ip-to-i3")];

/**
 * Parses the configuration of a proxy.
 * @param input text, or bytes in UTF-8; at most 1 MiB
 * @param file its name: for errors, and what relative file names in it are relative to
 * @throws ConfigError, and nothing else
 */
export const parseProxyConfig = (input: string | Uint8Array, file: string): ProxyConfig =>
  readDocument({ root: "i3-proxy", element: PROXY, maxBytes: MAX_CONFIG_BYTES }, input, file);

export type GatewayProxyConfig = ProxyConfig & { readonly gateway: GatewayConfig };

/** As {@link parseProxyConfig}, of i3-to-ip: a proxy with `<gateway>`. */
export const parseGatewayProxyConfig = (input: string | Uint8Array, file: string): GatewayProxyConfig =>
  readDocument({ root: "i3-proxy", element: GATEWAY_PROXY, maxBytes: MAX_CONFIG_BYTES }, input, file) as GatewayProxyConfig;

export type PublishingProxyConfig = ProxyConfig & { readonly publish: PublishConfig };

/** As {@link parseProxyConfig}, of ip-to-i3: a proxy with `<publish>`. */
export const parsePublishingProxyConfig = (input: string | Uint8Array, file: string): PublishingProxyConfig =>
  readDocument({ root: "i3-proxy", element: PUBLISHING_PROXY, maxBytes: MAX_CONFIG_BYTES }, input, file) as PublishingProxyConfig;

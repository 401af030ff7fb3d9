/**
 * The gateway's nftables table, as text. It stays when the gateway ends, for what its NAT no longer knows the gateway's own system would answer with a reset (docs/gateways.md, K1).
 *
 *     lead    from the TUN to a virtual address of a server: to its real one
 *     arrive  from the TUN to another local address than the gateway's own virtual ones: dropped (A4)
 *     begin   of each client's flows so many at once, and so many new ones in a second (A5, A6); so too of all anonymous clients' together
 *     pass    between the TUN and the servers' interfaces: by `granted`, client and server → what the list says of them; what the TUN, when it is gone, no longer takes goes nowhere else
 *     follow  protocols with a helper
 *     leave   to servers: from the gateway's own address
 *
 * What a rule set has let through carries its number in the upper half of the conntrack mark, which related flows inherit (FTP's data, ICMP errors); another set, or none, judges it anew (A9).
 */
import { formatIpText, hasPorts, HELPERS, prefixText, protocolName, type GatewayHelper, type GatewayLimits, type Network, type PortRange } from "@i3/common";
import { closedTableRules, JUDGED_HERE, tableName } from "@i3/i3-proxy";

import { SPECIAL_PREFIXES } from "../dns/reach.js";
import type { RuleSet } from "../policy/rule-sets.js";
import type { Verdict } from "../policy/grants.js";

/** Before those of others, who may still refuse what this one lets through. */
const PRIORITY = { lead: -105, follow: -6, filter: -5, closed: -4, leave: 95 } as const;
/** Of the conntrack mark: ours, and others'. */
const OURS = "0xffff0000";
const OTHERS = "0x0000ffff";
const [ICMP, ICMPV6] = [1, 58] as const;
const ORIGINAL = { 4: "ct original ip daddr", 6: "ct original ip6 daddr" } as const;
const outside = (of: 4 | 6, prefixes: readonly string[]): string => `${ORIGINAL[of]} != { ${prefixes.filter((one) => one.includes(":") === (of === 6)).join(", ")} } `;
const NO_SERVER = { 4: outside(4, SPECIAL_PREFIXES.nowhere), 6: outside(6, SPECIAL_PREFIXES.nowhere) } as const;

export interface TableSettings {
  readonly tunName: string;
  /** Interfaces by which servers are reached. */
  readonly out: readonly string[];
  /** The gateway's own virtual addresses. */
  readonly own4: Uint8Array;
  readonly own6: Uint8Array;
  /** Families whose packets this system passed on before it was a gateway: what others send through it is theirs then. */
  readonly routed: readonly (4 | 6)[];
  readonly helpers: readonly GatewayHelper[];
  readonly limits: GatewayLimits;
  /** Of NFLOG, for each decision on a new flow. */
  readonly logGroup: number;
}

/** Prefixes of what is logged: short, for nft itself dies of long ones (docs/gateways.md, K3). */
export const LOGGED = { allowed: "i3+", refused: "i3-", "too-fast": "i3f", "too-many": "i3m" } as const;

export interface TableElement {
  readonly set: string;
  readonly key: string;
  readonly value: string;
}

export const gatewayTable = (tunName: string): string => tableName("gateway", tunName);

/** Where a virtual address leads, of one client: none can have what is another's, nor take the place of a real address that another one uses. */
export const serverElement = (client: Uint8Array, virtual: Uint8Array, real: Uint8Array): TableElement => ({ set: `servers${family(real)}`, key: `${formatIpText(client)} . ${formatIpText(virtual)}`, value: formatIpText(real) });

/** A network in which the gateway itself is: no part of the internet, whatever its addresses are. */
export const insideElement = (network: Network): TableElement => ({ set: `inside${family(network.address)}`, key: prefixText(network), value: "" });

/** What a client may send to a server. @param client its virtual address here, of the server's family */
export const grantElement = (client: Uint8Array, real: Uint8Array, set: RuleSet): TableElement =>
  ({ set: `granted${family(real)}`, key: `${formatIpText(client)} . ${formatIpText(real)}`, value: verdictOf(set) });

/** A client that is one of the anonymous. @param client its virtual address here */
export const anonymousElement = (client: Uint8Array): TableElement => ({ set: `anonymous${family(client)}`, key: formatIpText(client), value: "" });

/** What a client may send to addresses that no name has led to. @param client its virtual address here */
export const placeElement = (client: Uint8Array, set: RuleSet): TableElement => ({ set: `places${family(client)}`, key: formatIpText(client), value: verdictOf(set) });

const family = ({ length }: Uint8Array): 4 | 6 => (length === 4 ? 4 : 6);
/** The value of elements by which a rule set judges. */
export const verdictOf = (set: RuleSet): string => `goto ${chainOf(set)}`;
const chainOf = ({ number }: RuleSet): string => `set_${number}`;

/** What stands between the table's braces. */
export function tableBody({ tunName, out, own4, own6, routed, helpers, limits, logGroup }: TableSettings, sets: Iterable<RuleSet>, elements: readonly TableElement[]): string {
  const tun = `"${tunName}"`;
  const outside = `{ ${out.map((name) => `"${name}"`).join(", ")} }`;
  const holding = (name: string, declared: string): string => {
    const found = elements.filter(({ set }) => set === name).map(({ key, value }) => (value === "" ? key : `${key} : ${value}`));
    return `${declared}${found.length === 0 ? "" : ` elements = { ${found.join(", ")} };`} };`;
  };
  const map = (name: string, type: string): string => holding(name, `map ${name} { type ${type};`);
  const inside = (name: string, type: string): string => holding(name, `set ${name} { type ${type}; flags interval; auto-merge;`);
  const set = (name: string, type: string): string => holding(name, `set ${name} { type ${type};`);
  return [
    map("servers4", "ipv4_addr . ipv4_addr : ipv4_addr"), map("servers6", "ipv6_addr . ipv6_addr : ipv6_addr"), inside("inside4", "ipv4_addr"), inside("inside6", "ipv6_addr"),
    ...LINES.flatMap((what) => lineRules(what, logGroup)),
    `chain refused { iifname ${tun} jump ${lineChain("refused")}; meta l4proto tcp counter reject with tcp reset; counter reject with icmpx admin-prohibited; };`,
    ...[...sets].map((set) => `chain ${chainOf(set)} { ${rulesOf(set).join("; ")}; };`),
    map("places4", "ipv4_addr : verdict"), map("places6", "ipv6_addr : verdict"), map("granted4", "ipv4_addr . ipv4_addr : verdict"), map("granted6", "ipv6_addr . ipv6_addr : verdict"),
    `chain lead { type nat hook prerouting priority ${PRIORITY.lead}; policy accept; iifname != ${tun} return; dnat ip to ip saddr . ip daddr map @servers4; dnat ip6 to ip6 saddr . ip6 daddr map @servers6; };`,
    `chain arrive { type filter hook input priority ${PRIORITY.filter}; policy accept; iifname != ${tun} return; ${JUDGED_HERE}; ip daddr ${formatIpText(own4)} return; ip6 daddr ${formatIpText(own6)} return; counter drop; };`,
    "chain to_places { ip saddr vmap @places4; ip6 saddr vmap @places6; counter reject with icmpx host-unreachable; };",
    set("anonymous4", "ipv4_addr"), set("anonymous6", "ipv6_addr"), ...limitRules(limits, logGroup),
    `chain from_clients { ct status & confirmed == 0 jump begin; oifname ${tun} counter reject with icmpx admin-prohibited; oifname != ${outside} counter reject with icmpx host-unreachable;`,
    // A virtual address that is no server's any more must not lead to a real host that has it.
    "ct status & dnat == 0 goto to_places; ip saddr . ip daddr vmap @granted4; ip6 saddr . ip6 daddr vmap @granted6; goto refused; };",
    // An error of a router on the way is about a flow that a set has let through.
    // Servers begin nothing but what belongs to a flow of a client's.
    `chain to_clients { ct state new counter drop; ip daddr . ip saddr vmap @granted4; ip6 daddr . ip6 saddr vmap @granted6; ip daddr vmap @places4; ip6 daddr vmap @places6; meta l4proto { icmp, ipv6-icmp } ct state related ct mark & ${OURS} != 0 accept; counter drop; };`,
    `chain pass { type filter hook forward priority ${PRIORITY.filter}; policy accept; ${passRules(tunName, routed).join("; ")}; };`,
    ...helperRules(tun, helpers),
    `chain leave { type nat hook postrouting priority ${PRIORITY.leave}; policy accept; iifname ${tun} oifname ${outside} masquerade; };`,
  ].join(" ");
}

/** Of a client's packets. */
const CLIENT_KEYS = [{ of: 4, key: "ip saddr", type: "ipv4_addr" }, { of: 6, key: "ip6 saddr", type: "ipv6_addr" }] as const;

// Ours:
/** Addresses that clients have had since the table was made, or for the others in a minute. */
const MOST_CLIENTS = 65_536;
/** New flows at once, in seconds' worth: pages of a browser begin many. */
const BURST_S = 5;

/**
 * For packets that the kernel has no flow of yet, before the list is asked. A flow whose packets nobody answers is no new one with each.
 * What is refused here stays in no table of the kernel's: a flow is confirmed when its first packet has left.
 */
function limitRules({ connectionsPerClient, newPerSecond, anonymousConnections, anonymousNewPerSecond }: GatewayLimits, logGroup: number): readonly string[] {
  const over = (why: "too-fast" | "too-many"): string => why.replace("-", "_");
  const chain = (why: "too-fast" | "too-many"): string =>
    `chain ${over(why)} { ${CLIENT_KEYS.map(({ of, key }) => `update @told${of} { ${key} limit rate 1/second } log prefix "${LOGGED[why]}" group ${logGroup};`).join(" ")} meta l4proto tcp counter reject with tcp reset; counter reject with icmpx admin-prohibited; };`;
  return [
    ...CLIENT_KEYS.flatMap(({ of, type }) => [
      `set connections${of} { type ${type}; size ${MOST_CLIENTS}; flags dynamic; };`, ...["pace", "told"].map((name) => `set ${name}${of} { type ${type}; size ${MOST_CLIENTS}; flags dynamic,timeout; timeout 1m; };`),
    ]),
    chain("too-fast"), chain("too-many"),
    `chain begin_anonymous { limit rate over ${anonymousNewPerSecond}/second burst ${anonymousNewPerSecond * BURST_S} packets goto too_fast; ct count over ${anonymousConnections} goto too_many; };`,
    `chain begin { ${CLIENT_KEYS.map(({ of, key }) => `update @pace${of} { ${key} limit rate over ${newPerSecond}/second burst ${newPerSecond * BURST_S} packets } goto too_fast; add @connections${of} { ${key} ct count over ${connectionsPerClient} } goto too_many;`).join(" ")} ${CLIENT_KEYS.map(({ of, key }) => `${key} @anonymous${of} goto begin_anonymous;`).join(" ")} };`,
  ];
}

/** What the TUN, when it is gone, no longer takes goes nowhere else. */
const passRules = (tunName: string, routed: readonly (4 | 6)[]): readonly string[] => [
  `iifname "${tunName}" ${JUDGED_HERE}`, `oifname "${tunName}" ${JUDGED_HERE}`,
  // Behind a window, or of a flow that the kernel has forgotten: an answer to it would end the flow of whoever sent it in vain.
  `iifname "${tunName}" ct state invalid counter drop`, `iifname "${tunName}" goto from_clients`, `oifname "${tunName}" goto to_clients`, `ct mark & ${OURS} != 0 counter drop`,
  ...([4, 6] as const).filter((of) => !routed.includes(of)).map((of) => `meta nfproto ipv${of} counter drop`),
];

/** Beside the table, for as long as the gateway runs: where somebody clears all tables nothing passes until this one is made anew. */
export const closeBehind = (tunName: string): string => closedTableRules(tunName, PRIORITY.closed);

/** The table without a gateway: what others send through this system, which may be a router by then, is not its affair any more. */
export const leaveTable = (tunName: string): string =>
  [`flush chain inet ${gatewayTable(tunName)} pass;`, ...passRules(tunName, [4, 6]).map((rule) => `add rule inet ${gatewayTable(tunName)} pass ${rule};`)].join(" ");

/** Fails when the table is not there: whoever cleared all tables cleared this too. */
export const seekTable = (tunName: string): string => `list chain inet ${gatewayTable(tunName)} pass`;

/** Connections whose contents the kernel reads, before they are confirmed. */
function helperRules(tun: string, helpers: readonly GatewayHelper[]): readonly string[] {
  if (helpers.length === 0) return [];
  const named = helpers.map(({ protocol, ports }) => ({ ...HELPERS[protocol], name: `follow_${protocol.replace("-", "_")}`, list: portsText(ports) }));
  return [
    ...named.map(({ name, type, transport }) => `ct helper ${name} { type "${type}" protocol ${transport}; };`),
    `chain follow { type filter hook forward priority ${PRIORITY.follow}; policy accept; iifname != ${tun} return; ${named.map(({ name, transport, list }) => `ct state new ${transport} dport ${list} ct helper set "${name}";`).join(" ")} };`,
  ];
}

const portsText = (ports: readonly PortRange[]): string => `{ ${ports.map(({ first, last }) => (first === last ? first : `${first}-${last}`)).join(", ")} }`;

/** Adds the chain of a set that the table does not have yet. */
export const addSet = (tunName: string, set: RuleSet): string =>
  [`add chain inet ${gatewayTable(tunName)} ${chainOf(set)};`, ...rulesOf(set).map((rule) => `add rule inet ${gatewayTable(tunName)} ${chainOf(set)} ${rule};`)].join(" ");

export const removeSet = (tunName: string, set: RuleSet): string => `delete chain inet ${gatewayTable(tunName)} ${chainOf(set)};`;

const LINES = ["allowed", "refused"] as const;
/** Of a flood the log needs no more than shows it; and no client, nor a few, may hide in theirs what others do. */
const LINE_LIMITS = { allowed: { each: "limit rate 100/second burst 200 packets", all: "limit rate 2000/second burst 4000 packets" }, refused: { each: "limit rate 20/second burst 100 packets", all: "limit rate 1000/second burst 2000 packets" } } as const;
const lineChain = (what: (typeof LINES)[number]): string => `tell_${what}`;

function lineRules(what: (typeof LINES)[number], group: number): readonly string[] {
  const { each, all } = LINE_LIMITS[what];
  return [
    ...CLIENT_KEYS.map(({ of, type }) => `set lines_${what}${of} { type ${type}; size ${MOST_CLIENTS}; flags dynamic,timeout; timeout 1m; };`),
    `chain ${lineChain(what)} { ${CLIENT_KEYS.map(({ of, key }) => `update @lines_${what}${of} { ${key} ${each} } ${all} log prefix "${LOGGED[what]}" group ${group};`).join(" ")} };`,
  ];
}

function rulesOf({ number, verdicts }: RuleSet): readonly string[] {
  const mark = `0x${(number * 0x10000).toString(16)}`;
  const accept = `ct mark set ct mark & ${OTHERS} | ${mark} accept`;
  return [`ct mark & ${OURS} == ${mark} accept`, ...verdicts.flatMap((verdict) => placesOf(verdict).flatMap((place) => matchesOf(verdict).flatMap((match) => (verdict.admits ? [`${place}${match}jump ${lineChain("allowed")}`, `${place}${match}${accept}`] : [`${place}${match}goto refused`])))), "goto refused"];
}

/** By the address that the flow was begun to, which is the same both ways. What can be no server's is none of these. */
function placesOf({ networks }: Verdict): readonly string[] {
  if (networks === undefined) return [""];
  const listed = ([4, 6] as const).flatMap((of) => {
    const prefixes = networks.prefixes.filter(({ address }) => family(address) === of).map(prefixText);
    return prefixes.map((prefix) => `${NO_SERVER[of]}${ORIGINAL[of]} ${prefix} `);
  });
  return networks.internet ? [...listed, ...([4, 6] as const).map((of) => `${ORIGINAL[of]} != @inside${of} ${outside(of, [...SPECIAL_PREFIXES.nowhere, ...SPECIAL_PREFIXES.private])}`)] : listed;
}

/** What stands before the verdict: for each way of a flow, and for each protocol. */
function matchesOf({ service }: Verdict): readonly string[] {
  if (service === undefined) return [""];
  const { protocols, ports } = service;
  return protocols.flatMap((protocol) => {
    // Its errors are about other flows, and related to them; only what asks and answers is a flow of its own.
    if (protocol === ICMP) return ["icmp type { echo-request, echo-reply } "];
    if (protocol === ICMPV6) return ["icmpv6 type { echo-request, echo-reply } "];
    if (!hasPorts(protocol) || ports.length === 0) return [`meta l4proto ${protocol} `];
    const [name, list] = [protocolName(protocol), portsText(ports)];
    return [`ct direction original ${name} dport ${list} `, `ct direction reply ${name} sport ${list} `];
  });
}

/**
 * The nftables table of waypoints, as text. It stays when the gateway ends, so that connections live through a restart: what its NAT no longer knows the system itself would answer with a reset.
 *
 *     lead     for a waypoint, and whoever sends may: to the host's virtual address
 *     refuse   for a waypoint still: refused, whatever listens on this machine
 *     pass     of flows that began at a waypoint: to the TUN what the name publishes, and back; where this system was no router before, nothing else
 *     leave    to hosts: from the gateway's own virtual address
 *
 * Who may: everybody while `always` has the waypoint; whom `open` or `near` has for a moment; and `claimed`, a client whose TCP connection to the host that has the waypoint now came about: the host has sent more
 * than its SYN, and no reset, in a connection that is assured. The kernel alone takes an ACK within 66,000 of the right number for one, so somebody who guesses could claim for another; the host answers all but
 * the right number with a reset. No address that somebody makes up is in there, nor in `known`: those, for an hour, have a share of new flows of their own, so that a flood of made-up SYNs does not keep them out.
 */
import { formatIpText, prefixText, type WaypointService } from "@i3/common";
import { tableName } from "@i3/i3-proxy";

import type { Tenure } from "./tenures.js";
import type { Window } from "./windows.js";

/** Before those of others, who may still refuse what this one lets through; `refuse` behind `lead`. */
const PRIORITY = { lead: -105, refuse: -95, filter: -5, leave: 95 } as const;
/** Of one IPv4 address or IPv6 /64: new flows, and flows at once. And new ones of one waypoint. */
const LIMITS = { perSource: "50/second burst 200 packets", perWaypoint: "300/second burst 600 packets", refusals: "200/second burst 400 packets", flows: 256 } as const;
const MOST_KEPT = 65_535;
/** So long a source counts as one that is there, behind the last packet that a host has sent it. */
const KNOWN_S = 3_600;
/** Longer than a pace takes to have its burst again. */
const PACE_S = 10;
/** Flows that came to nothing are forgotten so soon, in seconds. */
const UNANSWERED_S = 10;
const FAMILIES = [
  { of: 4, ip: "ip", type: "ipv4_addr", source: "ip saddr" },
  { of: 6, ip: "ip6", type: "ipv6_addr", source: "ip6 saddr and ffff:ffff:ffff:ffff::" },
] as const;

export interface WaypointTableSettings {
  readonly tunName: string;
  readonly waypoints: readonly Uint8Array[];
  /** The gateway's own virtual addresses. */
  readonly own4: Uint8Array;
  readonly own6: Uint8Array;
  /** Families whose packets this system passed on before: what others send through it is theirs then. */
  readonly routed: readonly (4 | 6)[];
  readonly restS: number;
}

export interface TableElement {
  readonly set: string;
  readonly key: string;
  readonly value: string;
}

export const waypointTable = (tunName: string): string => tableName("waypoints", tunName);

const family = ({ length }: Uint8Array): 4 | 6 => (length === 4 ? 4 : 6);

/** What the table has of a waypoint that leads somewhere. @param isEnough it never was another host's, so that whoever comes means this one */
export function tenureElements({ waypoint, virtual }: Tenure, services: readonly WaypointService[], isEnough: boolean): readonly TableElement[] {
  if (virtual === null) return [];
  const of = family(waypoint);
  const [from, to] = [formatIpText(waypoint), formatIpText(virtual)];
  return [
    { set: `owners${of}`, key: from, value: to }, { set: `owned${of}`, key: `${from} . ${to}`, value: "" }, ...(isEnough ? [{ set: `always${of}`, key: from, value: "" }] : []),
    ...services.flatMap(({ protocol, ports }) => (protocol === "ping" ? [{ set: `pinged${of}`, key: from, value: "" }] : ports.map(({ first, last }) => ({ set: `services${of}`, key: `${from} . ${protocol} . ${first}-${last}`, value: "" })))),
  ];
}

/** Commands that open windows, whether or not they are open already. */
export const openWindows = (tunName: string, windows: readonly Window[]): string => windows.map(({ waypoint, site, forMs }) => {
  const of = family(waypoint);
  const [set, key] = site === null ? [`open${of}`, formatIpText(waypoint)] : [`near${of}`, `${prefixText(site)} . ${formatIpText(waypoint)}`];
  const [table, ends] = [`inet ${waypointTable(tunName)} ${set}`, `timeout ${forMs}ms`];
  // An element that is there keeps its end: it goes first, and to go it must be there.
  return `add element ${table} { ${key} ${ends} }; delete element ${table} { ${key} }; add element ${table} { ${key} ${ends} };`;
}).join(" ");

/** Nobody has a claim to anything. */
export const forgetClaims = (tunName: string): string => FAMILIES.map(({ of }) => `flush set inet ${waypointTable(tunName)} claimed${of};`).join(" ");

/** Fails when the table is not there. */
export const seekTable = (tunName: string): string => `list chain inet ${waypointTable(tunName)} pass`;

/** What stands between the table's braces. */
export function tableBody(settings: WaypointTableSettings, elements: readonly TableElement[]): string {
  const { tunName, waypoints, own4, own6, routed, restS } = settings;
  const tun = `"${tunName}"`;
  const holding = (name: string, declared: string): string => {
    const found = elements.filter(({ set }) => set === name).map(({ key, value }) => (value === "" ? key : `${key} : ${value}`));
    return `${declared}${found.length === 0 ? "" : ` elements = { ${found.join(", ")} };`} };`;
  };
  const sets = FAMILIES.flatMap(({ of, type }) => {
    const all = waypoints.filter((one) => family(one) === of).map(formatIpText);
    return [
      `set waypoints${of} { type ${type};${all.length === 0 ? "" : ` elements = { ${all.join(", ")} };`} };`, holding(`owners${of}`, `map owners${of} { type ${type} : ${type};`),
      holding(`owned${of}`, `set owned${of} { type ${type} . ${type};`), holding(`always${of}`, `set always${of} { type ${type};`), holding(`pinged${of}`, `set pinged${of} { type ${type};`),
      holding(`services${of}`, `set services${of} { type ${type} . inet_proto . inet_service; flags interval;`), `set open${of} { type ${type}; flags timeout; };`,
      `set near${of} { type ${type} . ${type}; flags interval, timeout; };`, `set claimed${of} { type ${type} . ${type}; flags dynamic, timeout; timeout ${restS}s; size ${MOST_KEPT}; };`,
      ...["paces", "floods", "known_paces", "known_floods"].map((name) => `set ${name}${of} { type ${type}; flags dynamic, timeout; timeout ${PACE_S}s; size ${MOST_KEPT}; };`),
      `set known${of} { type ${type}; flags dynamic, timeout; timeout ${KNOWN_S}s; size ${MOST_KEPT}; };`, `set held${of} { type ${type}; flags dynamic; size ${MOST_KEPT}; };`,
      `ct timeout tcp${of} { protocol tcp; l3proto ${of === 4 ? "ip" : "ip6"}; policy = { syn_sent : ${UNANSWERED_S}, syn_recv : ${UNANSWERED_S} }; };`,
      `ct timeout udp${of} { protocol udp; l3proto ${of === 4 ? "ip" : "ip6"}; policy = { unreplied : ${UNANSWERED_S} }; };`,
    ];
  });
  const refused = "meta l4proto tcp counter reject with tcp reset; counter reject with icmpx port-unreachable;";
  const each = (rules: (one: (typeof FAMILIES)[number]) => string): string => FAMILIES.map(rules).join(" ");
  return [
    ...sets,
    ...FAMILIES.flatMap(({ of, ip, source }) => {
      const paced = (kind: string): string => `update @${kind}paces${of} { ${source} limit rate over ${LIMITS.perSource} } counter drop; update @${kind}floods${of} { ${ip} daddr limit rate over ${LIMITS.perWaypoint} } counter drop; goto led${of}; };`;
      return [
        `chain led${of} { add @held${of} { ${source} ct count over ${LIMITS.flows} } counter drop; dnat ${ip} to ${ip} daddr map @owners${of}; };`,
        `chain begin_known${of} { ${paced("known_")}`, `chain begin${of} { ${source} @known${of} goto begin_known${of}; ${paced("")}`,
      ];
    }),
    `chain lead { type nat hook prerouting priority ${PRIORITY.lead}; policy accept; iifname ${tun} return;`,
    // What begins in the middle would be kept for minutes.
    "meta l4proto tcp tcp flags & (fin | syn | rst | ack) != syn return;",
    each(({ of, ip }) => `${ip} daddr @always${of} goto begin${of}; ${ip} daddr @open${of} goto begin${of}; ${ip} saddr . ${ip} daddr @near${of} goto begin${of}; ${ip} saddr . ${ip} daddr @claimed${of} goto begin${of};`), "};",
    `chain answer { limit rate over ${LIMITS.refusals} counter drop; ${refused} };`,
    `chain refuse { type filter hook prerouting priority ${PRIORITY.refuse}; policy accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } return; ct direction reply return;`,
    each(({ of, ip }) => `${ip} daddr @waypoints${of} goto answer; ct state new ct original ${ip} daddr @waypoints${of} meta l4proto tcp ct timeout set "tcp${of}"; ct state new ct original ${ip} daddr @waypoints${of} meta l4proto udp ct timeout set "udp${of}";`), "};",
    // What the host sends once it has taken the client's number for right, to whom it is there now.
    ...FAMILIES.map(({ of, ip, source }) => `chain proven${of} { update @known${of} { ${source.replace("saddr", "daddr")} }; ct original ${ip} daddr . ${ip} saddr @owned${of} update @claimed${of} { ${ip} daddr . ct original ${ip} daddr }; };`),
    `chain ours { ct state invalid counter drop; tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu;`,
    each(({ of }) => `meta nfproto ipv${of} iifname ${tun} tcp flags & (syn | rst | ack) == ack ct status assured ct direction reply jump proven${of};`), `iifname ${tun} ct state established,related accept; oifname != ${tun} counter drop; ct state established,related accept;`,
    each(({ of, ip }) => `ct original ${ip} daddr . meta l4proto . th dport @services${of} accept;`), "icmp type echo-request ct original ip daddr @pinged4 accept; icmpv6 type echo-request ct original ip6 daddr @pinged6 accept;", `${refused} };`,
    `chain pass { type filter hook forward priority ${PRIORITY.filter}; policy accept; ${passRules(routed).join("; ")}; };`,
    `chain leave { type nat hook postrouting priority ${PRIORITY.leave}; policy accept; oifname != ${tun} return; ct original ip daddr @waypoints4 snat ip to ${formatIpText(own4)}; ct original ip6 daddr @waypoints6 snat ip6 to ${formatIpText(own6)}; };`,
  ].join(" ");
}

const passRules = (routed: readonly (4 | 6)[]): readonly string[] => [
  ...FAMILIES.map(({ of, ip }) => `ct original ${ip} daddr @waypoints${of} goto ours`), ...FAMILIES.filter(({ of }) => !routed.includes(of)).map(({ of }) => `meta nfproto ipv${of} counter drop`),
];

/** The table without a gateway: what others send through this system, which may be a router by then, is not its affair any more. */
export const leaveTable = (tunName: string): string => {
  const name = waypointTable(tunName);
  return [`flush chain inet ${name} pass;`, ...passRules([4, 6]).map((rule) => `add rule inet ${name} pass ${rule};`)].join(" ");
};

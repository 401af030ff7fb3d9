/**
 * The nftables ruleset of a NAT box, in the terms of RFC 4787.
 *
 *   kind              mapping (§4.1)         filtering (§5)                     how
 *   port-restricted   endpoint-independent   address and port dependent         @binding, conntrack
 *   full-cone         endpoint-independent   endpoint-independent               @binding, @owner (DNAT of unmatched inbound UDP)
 *   symmetric         address and port dep.  address and port dependent         masquerade fully-random, conntrack
 *
 * Linux's own masquerade keeps the source port while the resulting 5-tuple is free, and so is endpoint-independent only until two
 * inside hosts use one source port towards one server. Here the first packet of a UDP flow writes its mapping into `@binding`
 * (inside address and port → outside address and port); every later flow of the same inside socket is translated from there, and
 * an outside port in `@taken` is given to nobody else. So UDP mapping is endpoint-independent without that limit.
 *
 * Limits: UDP only (TCP is plain masquerade, whatever the kind, except that symmetric also draws random ports); mappings live
 * `udpTimeoutS` after their last packet in either direction (REQ-5 wants 120 s or more); no hairpinning (REQ-9); no port parity
 * (REQ-3a is met: a port ≥ 1024 stays ≥ 1024). IPv6 is never translated: every kind is a plain stateful firewall for it.
 *
 * Unsolicited packets to the box itself are dropped *in the input hook*, before conntrack confirms them: otherwise a peer's early
 * packet would occupy the 5-tuple that the inside host is about to use, and hole punching would see its port change.
 */

export type NatKind = "port-restricted" | "full-cone" | "symmetric";

export interface NatRulesetOptions {
  readonly kind: NatKind;
  /** Names of the interfaces to the private side, at least one. */
  readonly inside: readonly string[];
  /** Name of the one interface to the public side. */
  readonly outside: string;
  readonly udpTimeoutS: number;
}

/** No home network of a test has more mappings than this; beyond it new flows fall back to plain masquerade. */
const MAPPINGS_MAX = 65_535;
/** Where a mapping goes whose own port is taken: above the ports that programs choose, below none that matter. */
const SPARE_PORTS = "20000-60999";

/** The text for `nft -f`. Pure; interface names are trusted to be `[a-z0-9-]` (the planner made them). */
export function natRuleset(options: NatRulesetOptions): string {
  return [natTable(options), filterTable(options)].join("\n");
}

/** The maps of `table ip nat` that hold learned mappings, to be flushed when the box "reboots". */
export function learnedSets(kind: NatKind): readonly string[] {
  if (kind === "symmetric") return [];
  return kind === "full-cone" ? ["map ip nat binding", "set ip nat taken", "map ip nat owner"] : ["map ip nat binding", "set ip nat taken"];
}

function quoted(names: readonly string[]): string {
  return `{ ${names.map((name) => `"${name}"`).join(", ")} }`;
}

function natTable(options: NatRulesetOptions): string {
  if (options.kind === "symmetric") {
    return `table ip nat {
  chain source {
    type nat hook postrouting priority srcnat
    oifname "${options.outside}" masquerade fully-random
  }
}`;
  }
  return `table ip nat {
${learned("map binding", "ipv4_addr . inet_service : ipv4_addr . inet_service", options)}
${learned("set taken", "inet_service", options)}
${options.kind === "full-cone" ? fullConeInbound(options) : ""}
  chain source {
    type nat hook postrouting priority srcnat
    oifname "${options.outside}" snat ip to ip saddr . udp sport map @binding
    oifname "${options.outside}" udp sport @taken masquerade to :${SPARE_PORTS} fully-random
    oifname "${options.outside}" masquerade
  }
${learnChain(options)}
}`;
}

function learned(declaration: string, type: string, options: NatRulesetOptions): string {
  return `  ${declaration} {
    type ${type}
    flags dynamic,timeout
    timeout ${options.udpTimeoutS}s
    size ${MAPPINGS_MAX}
  }`;
}

function fullConeInbound(options: NatRulesetOptions): string {
  return `${learned("map owner", "inet_service : ipv4_addr . inet_service", options)}
  chain inbound {
    type nat hook prerouting priority dstnat
    iifname "${options.outside}" meta l4proto udp dnat ip to udp dport map @owner
  }`;
}

/**
 * Runs after translation, for every outgoing UDP packet: `udp sport` is the outside port already. In flows that began outside
 * (full-cone) the inside socket stands in the reply tuple.
 */
function learnChain({ kind, inside, outside }: NatRulesetOptions): string {
  const rule = (direction: "original" | "reply"): string => {
    const other = direction === "original" ? "reply" : "original";
    const match = `oifname "${outside}" iifname ${quoted(inside)} meta l4proto udp ct direction ${direction}`;
    const socket = `ct ${direction} ip saddr . ct ${direction} proto-src`;
    const binding = `${match} update @binding { ${socket} : ct ${other} ip daddr . ct ${other} proto-dst }`;
    const owner = kind === "full-cone" ? `\n    ${match} update @owner { udp sport : ${socket} }` : "";
    return `    ${binding}\n    ${match} update @taken { udp sport }${owner}`;
  };
  return `  chain learn {
    type filter hook postrouting priority srcnat + 1
${rule("original")}
${rule("reply")}
  }`;
}

function filterTable({ kind, inside, outside }: NatRulesetOptions): string {
  const translated = kind === "full-cone" ? `\n    iifname "${outside}" ct status dnat accept` : "";
  return `table inet filter {
  chain forward {
    type filter hook forward priority filter; policy drop
    ct state invalid drop
    ct state established,related accept
    iifname ${quoted(inside)} accept${translated}
    meta l4proto ipv6-icmp accept
  }
  chain input {
    type filter hook input priority filter; policy accept
    iifname "${outside}" ct state established,related accept
    iifname "${outside}" meta l4proto { icmp, ipv6-icmp } accept
    iifname "${outside}" drop
  }
}
`;
}

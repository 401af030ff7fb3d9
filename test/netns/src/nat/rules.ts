/**
 * The nftables ruleset of a NAT box, for each mapping (RFC 4787 §4.1) with each filtering (§5).
 *
 *   inside X:x ── new flow to R:r ──▶ snat to @binding[key], else to a port of its own ──▶ written into the sets below ──▶ outside
 *
 *   @binding     key → outside socket; the key is X:x (ei) or X:x and R (ad). With apd the flow itself (conntrack) is the mapping.
 *   @taken       outside ports in use; with ei a port is given to nobody else
 *   @owner       outside port → X:x
 *   @session     outside port, R:r: conntrack knows the way back
 *   @permitted   outside port, R: filtering ad lets these in
 *
 *   R:r ── to an outside port ──▶ in @session? by conntrack
 *                                 else let in (ei: @taken, ad: @permitted)? dnat to @owner, in a conntrack zone of that port
 *                                 else dropped
 *
 * The zone keeps what strangers begin apart from what the inside begins: an answer gets the mapping that belongs to its
 * destination, whichever mapping the question came through, and the stranger's port never changes because of a clash.
 *
 * Linux's own masquerade keeps the source port while the resulting 5-tuple is free, and so is endpoint-independent only until two
 * inside hosts use one source port towards one server; `@binding` has no such limit. Filtering is per mapping: a port lets in
 * those who were sent to through it.
 *
 * Limits: UDP only (TCP is plain masquerade, at random ports under mapping ad and apd); mappings live `udpTimeoutS` after their
 * last packet (REQ-5 wants 120 s or more); no port parity (REQ-3a is met: a port ≥ 1024 stays ≥ 1024); a random port is drawn
 * without asking @taken, so of N mappings two share a port with a chance of about N²/130,000. IPv6 is never translated: every
 * kind is a plain stateful firewall for it.
 *
 * Unsolicited packets to the box itself are dropped *in the input hook*, before conntrack confirms them: otherwise a peer's early
 * packet would occupy the 5-tuple that the inside host is about to use, and hole punching would see its port change.
 */
import { isIPv6 } from "node:net";
import type { Behaviour, Dependence } from "./kinds.js";

/**
 * "no-udp" drops UDP both ways. "tcp-443" lets the inside send nothing but TCP to port 443, and DNS to the topology's resolvers;
 * what does not answer to that stays out.
 */
export const EGRESS = ["all", "no-udp", "tcp-443"] as const;
export type Egress = (typeof EGRESS)[number];

export interface NatRulesetOptions extends Behaviour {
  /** Names of the interfaces to the private side, at least one. */
  readonly inside: readonly string[];
  /** Name of the one interface to the public side. */
  readonly outside: string;
  /** IPv4 address of that interface; without one IPv4 is not translated. */
  readonly outsideAddress: string | undefined;
  readonly udpTimeoutS: number;
  /** A packet from inside to a mapped outside port goes to its owner (REQ-9). Filtering does not apply to it. */
  readonly hairpin: boolean;
  /** Draws all ports at random from this range, "61000-61999", in place of keeping the inside's. */
  readonly ports?: string | undefined;
  /** Lets in what another table has translated. */
  readonly mapsPorts: boolean;
  readonly egress: Egress;
  /** Addresses of both families. */
  readonly resolvers: readonly string[];
}

/** No home network of a test has more mappings than this; beyond it new flows fall back to plain masquerade. */
const MAPPINGS_MAX = 65_535;
/** Where a mapping goes whose own port is taken: above the ports that programs choose, below none that matter. */
const SPARE_PORTS = "20000-60999";
/** Conntrack zones are 16 bits; 0 is everybody's. */
const ZONE = "jhash udp dport mod 65535 offset 1";

/** The text for `nft -f`. Pure; interface names are trusted to be `[a-z0-9-]` (the planner made them). */
export function natRuleset(options: NatRulesetOptions): string {
  return [natTable(options), filterTable(options)].join("\n");
}

/** Forgets all rules and what the sets have learned, and forwards nothing. */
export const WITHOUT_POWER = `add table ip nat
delete table ip nat
add table inet filter
delete table inet filter
table inet filter {
  chain forward {
    type filter hook forward priority filter; policy drop
  }
}
`;

/** Ends `WITHOUT_POWER`; to be followed by a ruleset in the same transaction. */
export const POWER_BACK = "delete table inet filter\n";

function quoted(names: readonly string[]): string {
  return `{ ${names.map((name) => `"${name}"`).join(", ")} }`;
}

/** Whether anything but conntrack may let a packet through to an inside host. */
function letsStrangersIn({ filtering, mapping }: Behaviour): boolean {
  return mapping !== "none" && filtering !== "apd";
}

function natTable(options: NatRulesetOptions): string {
  if (options.mapping === "none" || options.outsideAddress === undefined) return "";
  return `table ip nat {
${sets(options)}
${letsStrangersIn(options) || options.hairpin ? inboundChains(options) : ""}${sourceChain(options)}
${learnChain(options)}}
`;
}

const KEY_TYPES: Readonly<Record<Dependence, string>> = { ei: "ipv4_addr . inet_service", ad: "ipv4_addr . inet_service . ipv4_addr", apd: "" };

/** The sets and maps that a behaviour needs, and how a packet that leaves writes itself into each (after translation). */
function learned(options: NatRulesetOptions): { name: string; declaration: string; element: string; outsideOnly?: boolean }[] {
  const socket = "ct original ip saddr . ct original proto-src";
  const isStateful = letsStrangersIn(options) || options.hairpin;
  const binding = {
    name: "binding",
    declaration: `map binding {\n    type ${KEY_TYPES[options.mapping as Dependence]} : ipv4_addr . inet_service`,
    element: `${socket}${options.mapping === "ad" ? " . ct original ip daddr" : ""} : ct reply ip daddr . ct reply proto-dst`,
  };
  const taken = { name: "taken", declaration: "set taken {\n    type inet_service", element: "udp sport" };
  const owner = { name: "owner", declaration: "map owner {\n    type inet_service : ipv4_addr . inet_service", element: `udp sport : ${socket}` };
  const session = {
    name: "session",
    declaration: "set session {\n    type inet_service . ipv4_addr . inet_service",
    element: "udp sport . ip daddr . udp dport",
    outsideOnly: true,
  };
  const permitted = { name: "permitted", declaration: "set permitted {\n    type inet_service . ipv4_addr", element: "udp sport . ip daddr", outsideOnly: true };
  return [
    ...(options.mapping === "apd" ? [] : [binding]),
    ...(options.mapping === "ei" || isStateful ? [taken] : []),
    ...(isStateful ? [owner] : []),
    ...(letsStrangersIn(options) ? [session] : []),
    ...(options.filtering === "ad" ? [permitted] : []),
  ];
}

function sets(options: NatRulesetOptions): string {
  const limits = `flags dynamic,timeout\n    timeout ${options.udpTimeoutS}s\n    size ${MAPPINGS_MAX}\n  }`;
  return learned(options).map(({ declaration }) => `  ${declaration}\n    ${limits}`).join("\n");
}

/** Who comes in without conntrack: into the zone of the port first, and in that zone to the port's owner. */
function inboundChains({ filtering, hairpin, inside, outside, outsideAddress, mapping }: NatRulesetOptions): string {
  const isLetIn = filtering === "ei" ? "udp dport @taken" : "udp dport . ip saddr @permitted";
  const stranger = `
    iifname "${outside}" udp dport . ip saddr . udp sport @session update @session { udp dport . ip saddr . udp sport } return
    iifname "${outside}" ip daddr ${outsideAddress} ${isLetIn} ct zone set ${ZONE}`;
  const own = `\n    iifname ${quoted(inside)} ip daddr ${outsideAddress} udp dport @taken ct zone set ${ZONE}`;
  return `  chain zone {
    type filter hook prerouting priority raw${letsStrangersIn({ filtering, mapping }) ? stranger : ""}${hairpin ? own : ""}
  }
  chain inbound {
    type nat hook prerouting priority dstnat
    ct zone != 0 meta l4proto udp dnat ip to udp dport map @owner
  }
`;
}

function sourceChain({ hairpin, inside, outside, outsideAddress, mapping, ports }: NatRulesetOptions): string {
  const turned = hairpin ? `\n    iifname ${quoted(inside)} oifname ${quoted(inside)} ct zone != 0 jump translate` : "";
  const key = mapping === "ei" ? "ip saddr . udp sport" : "ip saddr . udp sport . ct original ip daddr";
  const bound = mapping === "apd" ? "" : `\n    snat ip to ${key} map @binding`;
  const isRandom = mapping !== "ei" || ports !== undefined;
  const random = isRandom ? " fully-random" : "";
  const spare = isRandom ? "" : `\n    udp sport @taken snat ip to ${outsideAddress}:${SPARE_PORTS} fully-random`;
  const fresh = ports === undefined ? "" : `\n    meta l4proto udp snat ip to ${outsideAddress}:${ports} fully-random`;
  return `  chain translate {${bound}${spare}${fresh}
    oifname "${outside}" masquerade${random}${hairpin ? `\n    snat ip to ${outsideAddress}${random}` : ""}
  }
  chain source {
    type nat hook postrouting priority srcnat
    oifname "${outside}" jump translate${turned}
  }`;
}

/** Runs after translation, for every outgoing UDP packet: `udp sport` is the outside port already. */
function learnChain(options: NatRulesetOptions): string {
  const { hairpin, inside, outside } = options;
  const rules = (match: string, isTurned: boolean): string =>
    learned(options)
      .filter(({ outsideOnly }) => !isTurned || outsideOnly !== true)
      .map(({ name, element }) => `    ${match} meta l4proto udp ct direction original update @${name} { ${element} }\n`)
      .join("");
  const turned = hairpin ? rules(`oifname ${quoted(inside)} iifname ${quoted(inside)} ct zone != 0`, true) : "";
  return `  chain learn {
    type filter hook postrouting priority srcnat + 1
${rules(`oifname "${outside}" iifname ${quoted(inside)}`, false)}${turned}  }
`;
}

function egressRules({ egress, inside, outside, resolvers }: NatRulesetOptions): string {
  if (egress === "all") return "";
  if (egress === "no-udp") return "    meta l4proto udp drop\n";
  const inner = `iifname ${quoted(inside)}`;
  const dns = resolvers.map((address) => `    ${inner} ${isIPv6(address) ? "ip6" : "ip"} daddr ${address} meta l4proto { tcp, udp } th dport 53 accept\n`);
  return `    ${inner} tcp dport 443 accept\n${dns.join("")}    ${inner} oifname "${outside}" drop\n`;
}

/** The text for `nft -f` of the table that decides what passes. */
export function filterTable(options: NatRulesetOptions): string {
  const { inside, outside } = options;
  const translated = letsStrangersIn(options) || options.mapsPorts ? `\n    iifname "${outside}" ct status dnat accept` : "";
  return `table inet filter {
  chain forward {
    type filter hook forward priority filter; policy drop
${egressRules(options)}    ct state invalid drop
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

/**
 * nftables rules beside the routes of networks behind gateways, as text. The table stays when the proxy dies, as the routes do.
 *
 *     keep    what the proxy itself sends is known by its connection …
 *     back    … so that strict reverse path filtering (rp_filter=1, with src_valid_mark) looks for the way of its answers where it sends; so too what others begin to its own ports.
 *             From the TUN nobody is heard in the name of an address that is reached by another interface; routers' errors may be anybody's, the engine looks at what they quote
 *     shut    what leaves by another interface than the TUN to where a rule with when-down="refuse" leads, without our mark, is refused: of programs that bind to an interface, and of all when somebody
 *             has removed our routes. The longest prefix decides as in the routes (network-routes.ts); the local network is what the machine's own table had at last
 *     names   questions that no longer come to the proxy are refused, if a way out for everything is to be closed while it is down
 */
import { exitOf, isInNetwork, prefixText, type Network } from "@i3/common";
import type { RouteEntry } from "@i3/datapath/native-io";

import type { NetworkWay } from "../gateways/gateway-networks.js";
import { removeTable, replaceTable, tableName } from "./interception-nft.js";
import { MAIN_TABLE } from "./network-routes.js";

export interface NetworkTable {
  readonly tunName: string;
  readonly tunIndex: number;
  /** What the names of TUNs that anonymous names have begin with. */
  readonly anonymousTuns: string;
  /** SO_MARK of what goes past the TUN; 16 bits. */
  readonly mark: number;
  /** UDP ports at which anybody may call. */
  readonly ports: readonly number[];
  /** Whether HIP and ESP as IP protocols are open. */
  readonly hasIpProtocols: boolean;
  readonly ways: readonly NetworkWay[];
  /** Of the machine. */
  readonly routes: readonly RouteEntry[];
}

const PRIORITY = { mangle: -150, names: 61, shut: 62 } as const;
/** Ours: of each family. What a machine has beyond that is no local network while the way is shut; the shortest prefixes are kept. */
const MAX_LOCAL = 512;
/** Of the conntrack mark; the others are other people's. */
const OURS = "0x0000ffff";
const OTHERS = "0xffff0000";
const NO_ERRORS = "meta l4proto != { icmp, ipv6-icmp }";

export const networkTable = (tunName: string): string => tableName("networks", tunName);

/** One line for nft. */
export function networkRules(settings: NetworkTable): string {
  const { tunName, mark, ports, hasIpProtocols, ways } = settings;
  const tun = `"${tunName}"`;
  const rules = ways.map(({ rule }) => rule);
  return replaceTable(networkTable(tunName), [
    `chain keep { type filter hook output priority ${PRIORITY.mangle}; policy accept; meta mark ${mark} ct mark set ct mark & ${OTHERS} | ${mark}; };`,
    `chain back { type filter hook prerouting priority ${PRIORITY.mangle}; policy accept; iifname ${tun} ${NO_ERRORS} fib saddr . iif oif missing counter drop; iifname ${tun} return;`,
    `ct direction reply ct mark & ${OURS} == ${mark} meta mark set ${mark}; fib daddr type local udp dport { ${ports.join(", ")} } meta mark set ${mark}; ${hasIpProtocols ? `fib daddr type local meta l4proto { 50, 139 } meta mark set ${mark};` : ""} };`,
    ...(rules.some(({ whenDown }) => whenDown === "refuse") ? shutChains(settings) : []),
    ...(exitOf(rules)?.whenDown === "refuse" ? [namesChain(tun, mark)] : []),
  ].join(" "));
}

/** What is redirected to this machine, whose interface a chain is told as it was before; what is said to the link (RFC 5771, 919, 3927; 4291); and DHCP, whose servers need not be on it. */
const OF_THE_LINK = "ip daddr { 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4, 255.255.255.255 } accept; ip6 daddr { ::1, fe80::/10, ff00::/8 } accept; udp sport 68 udp dport 67 accept; udp sport 546 udp dport 547 accept;";

function shutChains({ tunName, anonymousTuns, mark, ways, tunIndex, routes }: NetworkTable): readonly string[] {
  const local = localNetworks(routes, tunIndex, ways);
  const refused = ways.filter(({ rule }) => rule.whenDown === "refuse").flatMap(({ rule }) => rule.prefixes);
  const direct = ways.filter(({ rule }) => rule.whenDown === "direct").flatMap(({ rule }) => rule.prefixes);
  const verdicts = ([4, 16] as const).flatMap((size) => Array.from({ length: 8 * size + 1 }, (_, i) => 8 * size - i).flatMap((bits) => {
    const of = (prefixes: readonly Network[], verdict: string): string => {
      const some = prefixes.filter((prefix) => prefix.address.length === size && prefix.bits === bits).map(prefixText);
      if (some.length === 0) return "";
      const match = bits === 0 ? `meta nfproto ${size === 4 ? "ipv4" : "ipv6"}` : `${size === 4 ? "ip" : "ip6"} daddr { ${some.join(", ")} }`;
      return `${match} ${verdict}; `;
    };
    return of(local, "accept") + of(refused, "goto refuse") + of(direct, "accept");
  })).join("");
  return [
    "chain refuse { meta l4proto tcp counter reject with tcp reset; counter reject with icmpx host-unreachable; };",
    `chain shut { oifname { "lo", "${tunName}" } accept; oifname "${anonymousTuns}*" accept; meta mark ${mark} accept; ${OF_THE_LINK} ${verdicts} };`,
    ...["output", "forward"].map((hook) => `chain shut_${hook} { type filter hook ${hook} priority ${PRIORITY.shut}; policy accept; goto shut; };`),
  ];
}

/** Of the machine's own table, but for the default route; left out where another one contains it and no rule's is between. */
function localNetworks(routes: readonly RouteEntry[], tunIndex: number, ways: readonly NetworkWay[]): readonly Network[] {
  const ruled = ways.flatMap(({ rule }) => rule.prefixes);
  const found = new Map(routes.filter(({ table, type, prefixBits, index }) => table === MAIN_TABLE && type === "unicast" && prefixBits > 0 && index !== tunIndex).map(({ destination, prefixBits }) => {
    const network = { address: destination, bits: prefixBits };
    return [prefixText(network), network] as const;
  }));
  const kept: Network[] = [];
  for (const network of [...found.values()].sort((a, b) => a.bits - b.bits)) {
    const isContained = kept.some((other) => other.bits < network.bits && isInNetwork(other, network.address) && !ruled.some(({ address, bits }) => bits > other.bits && isInNetwork(other, address)));
    if (!isContained && kept.filter(({ address }) => address.length === network.address.length).length < MAX_LOCAL) kept.push(network);
  }
  return kept;
}

/** Behind the redirect, which is gone with the proxy. */
const namesChain = (tun: string, mark: number): string => [
  `chain names { type filter hook output priority ${PRIORITY.names}; policy accept; meta mark ${mark} accept; oifname { "lo", ${tun} } accept; ip daddr 127.0.0.0/8 accept; ip6 daddr ::1 accept;`,
  "tcp dport 53 counter reject with tcp reset; udp dport 53 counter reject with icmpx admin-prohibited; };",
].join(" ");

/** Fails when the table is not there. */
export const seekNetworkRules = (tunName: string): string => `list chain inet ${networkTable(tunName)} back`;

export const removeNetworkRules = (tunName: string): string => removeTable(networkTable(tunName));

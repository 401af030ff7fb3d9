/**
 * nftables rules beside the routes of networks behind gateways, as text. The table stays when the proxy dies, as the routes do.
 *
 *     keep    what the proxy itself sends is known by its connection …
 *     back    … so that strict reverse path filtering (rp_filter=1, with src_valid_mark) looks for the way of its answers where it sends; so too what others begin to its own ports.
 *             From the TUN nobody is heard in the name of an address that is reached by another interface; routers' errors may be anybody's, the engine looks at what they quote
 *     names   questions that no longer come to the proxy are refused, if a way out for everything is to be closed while it is down
 */
import { removeTable, replaceTable, tableName } from "./interception-nft.js";

export interface NetworkTable {
  readonly tunName: string;
  /** SO_MARK of what goes past the TUN; 16 bits. */
  readonly mark: number;
  /** UDP ports at which anybody may call. */
  readonly ports: readonly number[];
  /** Whether HIP and ESP as IP protocols are open. */
  readonly hasIpProtocols: boolean;
  readonly refusesNames: boolean;
}

const PRIORITY = { mangle: -150, names: 61 } as const;
/** Of the conntrack mark; the others are other people's. */
const OURS = "0x0000ffff";
const OTHERS = "0xffff0000";
const NO_ERRORS = "meta l4proto != { icmp, ipv6-icmp }";

export const networkTable = (tunName: string): string => tableName("networks", tunName);

/** One line for nft. */
export function networkRules({ tunName, mark, ports, hasIpProtocols, refusesNames }: NetworkTable): string {
  const tun = `"${tunName}"`;
  return replaceTable(networkTable(tunName), [
    `chain keep { type filter hook output priority ${PRIORITY.mangle}; policy accept; meta mark ${mark} ct mark set ct mark & ${OTHERS} | ${mark}; };`,
    `chain back { type filter hook prerouting priority ${PRIORITY.mangle}; policy accept; iifname ${tun} ${NO_ERRORS} fib saddr . iif oif missing counter drop; iifname ${tun} return;`,
    `ct direction reply ct mark & ${OURS} == ${mark} meta mark set ${mark}; fib daddr type local udp dport { ${ports.join(", ")} } meta mark set ${mark}; ${hasIpProtocols ? `fib daddr type local meta l4proto { 50, 139 } meta mark set ${mark};` : ""} };`,
    ...(refusesNames ? [namesChain(tun, mark)] : []),
  ].join(" "));
}

/** Behind the redirect, which is gone with the proxy. */
const namesChain = (tun: string, mark: number): string => [
  `chain names { type filter hook output priority ${PRIORITY.names}; policy accept; meta mark ${mark} accept; oifname { "lo", ${tun} } accept; ip daddr 127.0.0.0/8 accept; ip6 daddr ::1 accept;`,
  "tcp dport 53 counter reject with tcp reset; udp dport 53 counter reject with icmpx admin-prohibited; };",
].join(" ");

/** Fails when the table is not there. */
export const seekNetworkRules = (tunName: string): string => `list chain inet ${networkTable(tunName)} back`;

export const removeNetworkRules = (tunName: string): string => removeTable(networkTable(tunName));

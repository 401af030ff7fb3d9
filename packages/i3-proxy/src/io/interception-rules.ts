/**
 * The nftables rules that live and die with the proxy: DNS questions of local programs come to us, and new connections to virtual
 * addresses that nobody was given are refused at once. Only text is made here.
 *
 *     program ── 192.0.2.1:53 ──► output hook ── redirect ──► 127.0.0.1:port     (first resolver of resolv.conf)
 *                                                             127.0.0.1:port+1   (second …)
 *     our questions to resolvers carry SO_MARK and pass
 */
import { isIPv6 } from "node:net";

import { prefixText, type Network } from "@i3/common";

import { replaceOwnedTable, tableName } from "./interception-nft.js";
import { HIT_RANGE, rangeText, SERVER_RANGE } from "./system-view.js";

export interface InterceptionSettings {
  readonly tunName: string;
  /** What the names of TUNs that anonymous names have begin with. @default there are none */
  readonly anonymousTuns?: string | undefined;
  /** SO_MARK of our own sockets. */
  readonly mark: number;
  readonly range: { readonly network: Uint8Array; readonly prefixBits: number };
  /** Networks behind gateways. @default none */
  readonly networks?: readonly Network[];
}

export interface DnsRedirect {
  /** Where questions to each resolver go. */
  readonly ports: readonly { readonly address: string; readonly port: number }[];
  /** Where all other questions go; null leaves them alone, for a local resolver asks them under a user id that is also others'. */
  readonly otherPort: number | null;
  /** Users under which local DNS servers run: what these ask of servers that are not in `ports` is left alone. */
  readonly exemptUids: readonly number[];
  /** Whether IPv6 questions can be redirected: ::1 exists. */
  readonly ipv6: boolean;
}

export interface InterceptionState {
  /** Null: nothing is redirected. */
  readonly dns: DnsRedirect | null;
  /** Addresses of resolvers, which are never refused. */
  readonly resolvers: readonly string[];
  /** Refuse new connections to never-allocated addresses of the range and of the HIT prefix. */
  readonly refuse4: boolean;
  readonly refuse6: boolean;
}

/** dstnat. */
const NAT_PRIORITY = -100;
/** After every address translation in the output hook. */
const REFUSE_PRIORITY = 50;
const TCP_OR_UDP = "meta l4proto { tcp, udp }";

export const interceptionTable = (tunName: string): string => tableName("dns", tunName);

/** One line for nft. */
export function interceptionRules(settings: InterceptionSettings, state: InterceptionState): string {
  const chains = [state.dns === null ? "" : dnsChains(settings, state.dns), refuseChain(settings, state)];
  return replaceOwnedTable(interceptionTable(settings.tunName), chains.filter((chain) => chain !== "").join(" "));
}

const toAddress = (address: string): string => `${isIPv6(address) ? "ip6" : "ip"} daddr ${address}`;

const inside = ({ tunName, anonymousTuns }: InterceptionSettings): readonly string[] => [tunName, ...(anonymousTuns === undefined ? [] : [`${anonymousTuns}*`])];

/** A DNS server in the overlay, asked by its virtual address, or in a network that a rule names. What only a way out for everything leads to is a server of the internet, which is not asked for our names. */
function answersItself({ tunName, anonymousTuns, range, networks = [] }: InterceptionSettings): string {
  const theirs = anonymousTuns === undefined ? "" : `oifname "${anonymousTuns}*" return;`;
  const parts = networks.filter(({ bits }) => bits > 0);
  if (parts.length === networks.length) return `oifname "${tunName}" return; ${theirs}`;
  const of = (size: number, ranges: readonly string[]): string => [...ranges, ...parts.filter(({ address }) => address.length === size).map(prefixText)].map((prefix) => `oifname "${tunName}" ${size === 4 ? "ip" : "ip6"} daddr ${prefix} return;`).join(" ");
  return `${of(4, [rangeText(range)])} ${of(16, [rangeText(HIT_RANGE), rangeText(SERVER_RANGE)])} ${theirs}`;
}

function dnsChains(settings: InterceptionSettings, { ports, otherPort, exemptUids, ipv6 }: DnsRedirect): string {
  const listed = ports.filter(({ address }) => ipv6 || !isIPv6(address)).map(({ address, port }) => `${toAddress(address)} ${TCP_OR_UDP} redirect to :${port};`);
  const exempt = exemptUids.length === 0 ? "" : `meta skuid { ${exemptUids.join(", ")} } return;`;
  const others = otherPort === null ? "" : `${exempt} ${ipv6 ? "" : "meta nfproto ipv4 "}${TCP_OR_UDP} redirect to :${otherPort};`;
  return [
    `chain ask { meta mark ${settings.mark} return; ${listed.join(" ")} ${answersItself(settings)} ${others} };`,
    `chain output_dns { type nat hook output priority ${NAT_PRIORITY}; policy accept; ${TCP_OR_UDP} th dport 53 goto ask; };`,
  ].join(" ");
}

/** Never silent, never about what is established or comes from outside. Allocated addresses leave by the TUN, which is let through. */
function refuseChain(settings: InterceptionSettings, { refuse4, refuse6, resolvers }: InterceptionState): string {
  if (!refuse4 && !refuse6) return "";
  const { mark, range } = settings;
  const rules = [
    ...["lo", ...inside(settings)].map((name) => `oifname "${name}" accept;`),
    `meta mark ${mark} accept;`,
    ...resolvers.map((address) => `${toAddress(address)} accept;`),
    ...(refuse4 ? refusals(`ip daddr ${rangeText(range)}`, "icmp host-unreachable") : []),
    ...(refuse6 ? refusals(`ip6 daddr ${rangeText(HIT_RANGE)}`, "icmpv6 addr-unreachable") : []),
  ];
  return `chain output_refuse { type filter hook output priority ${REFUSE_PRIORITY}; policy accept; ${rules.join(" ")} };`;
}

/**
 * New connections only. TCP gets a reset: the kernel takes an ICMP error for a socket that is busy connecting for a hint only, and
 * connect() would fail a second later, at the first retransmission.
 */
const refusals = (destination: string, unreachable: string): string[] =>
  [`meta l4proto tcp counter reject with tcp reset;`, `counter reject with ${unreachable};`].map((verdict) => `${destination} ct state new ct direction original ${verdict}`);

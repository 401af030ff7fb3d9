/**
 * The nftables table of a site (docs/gateways.md, "A site"), as text. It stays when the proxy ends, for what its translation no longer knew the system itself would answer with a reset.
 *
 *     ask     to our DNS server: of the site's hosts alone, of each so many, and of all
 *     pass    from the site to the TUN: to addresses that names lead to; from the TUN to the site: what belongs to that; from the site elsewhere: nothing that a virtual address is or was of
 *     leave   into the TUN: from our own virtual addresses
 */
import { formatIpText, prefixText, type SiteConfig } from "@i3/common";

import { removeTable, replaceTable, tableName } from "./interception-nft.js";
import { HIT_RANGE, rangeText } from "./system-view.js";

const DNS_PORT = 53;
/** Before those of others, who may still refuse what this one lets through. */
const PRIORITY = { filter: -5, leave: 95 } as const;
// Ours:
/** Of one host. */
const QUESTIONS = "limit rate over 200/second burst 400 packets";
/** Whoever takes the place of many has a share of this. */
const ALL_QUESTIONS = "limit rate over 4000/second burst 8000 packets";
const MAX_ASKING = 4_096;
/** TCP connections for questions that one host has at once; those that have ended do not count. */
const MAX_CONNECTIONS_EACH = 16;

export interface SiteTableSettings {
  readonly tunName: string;
  readonly site: SiteConfig;
  /** Our own virtual addresses. */
  readonly own4: Uint8Array;
  readonly own6: Uint8Array;
}

/** What changes while the proxy runs. */
export interface SiteContent {
  /** Addresses of 4 and 16 bytes that names lead to. */
  readonly named: readonly Uint8Array[];
  /** Prefixes of virtual IPv4 addresses that are nobody's real ones: nothing for them leaves but by the TUN. */
  readonly virtual: { readonly range: string; readonly except: readonly string[] } | null;
  /** Of servers behind gateways. */
  readonly behind6: readonly string[];
}

export const siteTable = (tunName: string): string => tableName("site", tunName);

/** The set of addresses that names lead to, for one of 4 or 16 bytes. */
export const namedSet = (address: Uint8Array): string => `named${familyOf(address)}`;

const FAMILIES = [4, 6] as const;
const familyOf = ({ length }: Uint8Array): 4 | 6 => (length === 4 ? 4 : 6);
const fieldOf = (family: 4 | 6): string => (family === 4 ? "ip" : "ip6");

/** A match for each family that the site has, on who sends: its hosts. */
export function fromSite({ interface: name, networks }: SiteConfig): readonly { readonly family: 4 | 6; readonly match: string }[] {
  return FAMILIES.flatMap((family) => {
    const own = networks.filter(({ address }) => familyOf(address) === family);
    return own.length === 0 ? [] : [{ family, match: `iifname "${name}" ${fieldOf(family)} saddr { ${own.map(prefixText).join(", ")} }` }];
  });
}

/** One line for nft. */
export function siteRules({ tunName, site, own4, own6 }: SiteTableSettings, { named, virtual, behind6 }: SiteContent): string {
  const hosts = fromSite(site);
  const to = (family: 4 | 6): string => {
    const places = site.listen.filter((address) => familyOf(address) === family).map(formatIpText);
    return places.length === 0 ? "" : `${fieldOf(family)} daddr { ${places.join(", ")} } meta l4proto { tcp, udp } th dport ${DNS_PORT} goto ask_us;`;
  };
  const body = FAMILIES.flatMap((family) => {
    const type = `ipv${family}_addr`;
    const elements = named.filter((address) => familyOf(address) === family).map(formatIpText);
    return [`set named${family} { type ${type};${elements.length === 0 ? "" : ` elements = { ${elements.join(", ")} };`} };`];
  });
  const refuse = (match: string): string => `${match} counter reject with icmpx admin-prohibited;`;
  const passing = hosts.map(({ family, match }) => `${match} ${fieldOf(family)} daddr @named${family} accept;`);
  const translated = hosts.map(({ family, match }) => `oifname "${tunName}" ${match} snat ${fieldOf(family)} to ${formatIpText(family === 4 ? own4 : own6)};`);
  return replaceTable(siteTable(tunName), [
    ...body,
    `set real4 { type ipv4_addr; flags interval; auto-merge;${virtual === null || virtual.except.length === 0 ? "" : ` elements = { ${virtual.except.join(", ")} };`} };`,
    // By the sender's card, since a host has as many IPv6 addresses as it likes.
    `set asking { type ether_addr; size ${MAX_ASKING}; flags dynamic; timeout 1m; };`,
    `set talking { type ether_addr; size ${MAX_ASKING}; flags dynamic; };`,
    `chain asking_host { meta l4proto tcp ct state new add @talking { ether saddr ct count over ${MAX_CONNECTIONS_EACH} } counter reject with tcp reset; update @asking { ether saddr ${QUESTIONS} } counter drop; ${ALL_QUESTIONS} counter drop; accept; };`,
    `chain ask_us { iifname "lo" accept; ${hosts.map(({ match }) => `${match} goto asking_host;`).join(" ")} counter drop; };`,
    // What was on its way when its address ended, and what still holds one that is nobody's any more.
    `chain past_tun { ${refuse(`ct reply ip daddr ${formatIpText(own4)}`)} ${refuse(`ct reply ip6 daddr ${formatIpText(own6)}`)} ${virtual === null ? "" : refuse(`ip daddr ${virtual.range} ip daddr != @real4`)} ${refuse(`ip6 daddr { ${[rangeText(HIT_RANGE), ...behind6].join(", ")} }`)} };`,
    `chain ask { type filter hook input priority ${PRIORITY.filter}; policy accept; ${FAMILIES.map(to).join(" ")} };`,
    `chain to_tun { ct state invalid counter drop; ${passing.join(" ")} counter reject with icmpx admin-prohibited; };`,
    `chain from_tun { oifname "${site.interface}" ct state established,related accept; counter drop; };`,
    `chain pass { type filter hook forward priority ${PRIORITY.filter}; policy accept; oifname "${tunName}" goto to_tun; iifname "${tunName}" goto from_tun; iifname "${site.interface}" goto past_tun; };`,
    `chain leave { type nat hook postrouting priority ${PRIORITY.leave}; policy accept; ${translated.join(" ")} };`,
  ].join(" "));
}

/** The table without a proxy: whoever answers questions at these addresses then does so by rules of his own. */
export const leaveSite = (tunName: string): string => `flush chain inet ${siteTable(tunName)} ask`;

/** Fails when the table is not there. */
export const seekSite = (tunName: string): string => `list chain inet ${siteTable(tunName)} pass`;

/** For those who mean to be without. */
export const removeSite = (tunName: string): string => removeTable(siteTable(tunName));

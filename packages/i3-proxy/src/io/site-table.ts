/**
 * The nftables table of a site (docs/gateways.md, "A site"), as text. It stays when the proxy ends, for what its translation no longer knew the system itself would answer with a reset.
 *
 *     ask     to our DNS server: of the site's hosts alone, and of each so many
 *     pass    from the site to the TUN: to addresses that names lead to; from the TUN to the site: what belongs to that
 *     leave   into the TUN: from our own virtual addresses
 */
import { formatIpText, type Network, type SiteConfig } from "@i3/common";

import { replaceTable, tableName } from "./interception-nft.js";

const DNS_PORT = 53;
/** Before those of others, who may still refuse what this one lets through. */
const PRIORITY = { filter: -5, leave: 95 } as const;
// Ours:
/** Of one host. */
const QUESTIONS = "limit rate over 200/second burst 400 packets";
const MAX_ASKING = 4_096;

export interface SiteTableSettings {
  readonly tunName: string;
  readonly site: SiteConfig;
  /** Our own virtual addresses. */
  readonly own4: Uint8Array;
  readonly own6: Uint8Array;
}

export const siteTable = (tunName: string): string => tableName("site", tunName);

/** The set of addresses that names lead to, for one of 4 or 16 bytes. */
export const namedSet = (address: Uint8Array): string => `named${familyOf(address)}`;

const FAMILIES = [4, 6] as const;
const familyOf = ({ length }: Uint8Array): 4 | 6 => (length === 4 ? 4 : 6);
const fieldOf = (family: 4 | 6): string => (family === 4 ? "ip" : "ip6");
const networkText = ({ address, bits }: Network): string => `${formatIpText(address)}/${bits}`;

/** A match for each family that the site has, on who sends: its hosts. */
export function fromSite({ interface: name, networks }: SiteConfig): readonly { readonly family: 4 | 6; readonly match: string }[] {
  return FAMILIES.flatMap((family) => {
    const own = networks.filter(({ address }) => familyOf(address) === family);
    return own.length === 0 ? [] : [{ family, match: `iifname "${name}" ${fieldOf(family)} saddr { ${own.map(networkText).join(", ")} }` }];
  });
}

/** One line for nft. @param named addresses of 4 and 16 bytes that names lead to */
export function siteRules({ tunName, site, own4, own6 }: SiteTableSettings, named: readonly Uint8Array[]): string {
  const hosts = fromSite(site);
  const to = (family: 4 | 6): string => {
    const places = site.listen.filter((address) => familyOf(address) === family).map(formatIpText);
    return places.length === 0 ? "" : `${fieldOf(family)} daddr { ${places.join(", ")} } meta l4proto { tcp, udp } th dport ${DNS_PORT} goto ask${family};`;
  };
  const body = FAMILIES.flatMap((family) => {
    const type = `ipv${family}_addr`;
    const elements = named.filter((address) => familyOf(address) === family).map(formatIpText);
    const matches = hosts.filter((one) => one.family === family).map(({ match }) => match);
    return [
      `set named${family} { type ${type};${elements.length === 0 ? "" : ` elements = { ${elements.join(", ")} };`} };`,
      `set asking${family} { type ${type}; size ${MAX_ASKING}; flags dynamic; timeout 1m; };`,
      `chain ask${family} { iifname "lo" accept; update @asking${family} { ${fieldOf(family)} saddr ${QUESTIONS} } counter drop; ${matches.map((match) => `${match} accept;`).join(" ")} counter drop; };`,
    ];
  });
  const passing = hosts.map(({ family, match }) => `${match} ${fieldOf(family)} daddr @named${family} accept;`);
  const translated = hosts.map(({ family, match }) => `oifname "${tunName}" ${match} snat ${fieldOf(family)} to ${formatIpText(family === 4 ? own4 : own6)};`);
  return replaceTable(siteTable(tunName), [
    ...body,
    `chain ask { type filter hook input priority ${PRIORITY.filter}; policy accept; ${FAMILIES.map(to).join(" ")} };`,
    `chain to_tun { ct state invalid counter drop; ${passing.join(" ")} counter reject with icmpx admin-prohibited; };`,
    `chain from_tun { oifname "${site.interface}" ct state established,related accept; counter drop; };`,
    `chain pass { type filter hook forward priority ${PRIORITY.filter}; policy accept; oifname "${tunName}" goto to_tun; iifname "${tunName}" goto from_tun; };`,
    `chain leave { type nat hook postrouting priority ${PRIORITY.leave}; policy accept; ${translated.join(" ")} };`,
  ].join(" "));
}

/** The table without a proxy: whoever answers questions at these addresses then does so by rules of his own. */
export const leaveSite = (tunName: string): string => `flush chain inet ${siteTable(tunName)} ask`;

/** Fails when the table is not there. */
export const seekSite = (tunName: string): string => `list chain inet ${siteTable(tunName)} pass`;

/** For those who mean to be without. */
export const removeSite = (tunName: string): string => `add table inet ${siteTable(tunName)}; delete table inet ${siteTable(tunName)}`;

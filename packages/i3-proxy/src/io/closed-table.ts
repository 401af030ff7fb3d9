/**
 * A table of nftables beside one that judges packets between the TUN and others, and that stays when its daemon ends: owned by the child `nft`, so that nobody else's `nft flush ruleset` takes it along.
 * While the other one is gone what it did not judge goes nowhere, and connections that its NAT knows go on being translated, so that the system itself does not answer for them.
 *
 *     arrive, pass    behind the other table's: from and to the TUN what it has not marked is dropped; the mark is taken off
 *     keep_…          empty: a chain of NAT keeps the kernel translating, as that of the DNS redirect does where there is one
 */
import { replaceOwnedTable, tableName } from "./interception-nft.js";

/** Of the packet's mark; there from one chain to the next of one hook alone. */
const JUDGED = "0x20000000";
const OTHERS = "0xdfffffff";

/** A statement: it was judged, here and now. */
export const JUDGED_HERE = `meta mark set meta mark | ${JUDGED}`;

/** Of whom it judges for. */
export const closedTable = (tunName: string): string => tableName("closed", tunName);

/** One line for nft. @param priority of filter chains: behind those that judge */
export function closedTableRules(tunName: string, priority: number): string {
  const tun = `"${tunName}"`;
  const chains = [
    `chain judged { meta mark & ${JUDGED} == 0 counter drop; meta mark set meta mark & ${OTHERS}; };`,
    `chain arrive { type filter hook input priority ${priority}; policy accept; iifname ${tun} goto judged; };`,
    `chain pass { type filter hook forward priority ${priority}; policy accept; iifname ${tun} goto judged; oifname ${tun} goto judged; };`,
    ...["prerouting", "postrouting"].map((hook) => `chain keep_${hook} { type nat hook ${hook} priority 0; policy accept; };`),
  ];
  return replaceOwnedTable(closedTable(tunName), chains.join(" "));
}

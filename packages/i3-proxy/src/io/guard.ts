/**
 * The guard: nftables rules that outlive the proxy (docs/host-changes.md: virtual addresses mean something only on the TUN).
 *
 *     arrive   on another interface than lo and the TUN, from or for a virtual address: dropped
 *     leave    by another interface than lo and the TUN, to an allocated address: refused; also what hosts of a site send there
 *
 * It knows exactly the addresses that were given out and our own, never a range, so that it can lock nobody out. It stays after our
 * death, since programs still hold those addresses: nothing for them may leave in clear, and no neighbour may answer for them.
 */
import { formatIpText, parseIpText, type I3Error, type SiteConfig } from "@i3/common";
import { type NftRunner, removeTable, replaceTable, tableName } from "./interception-nft.js";
import { NftElements } from "./nft-elements.js";
import { fromSite } from "./site-table.js";

export interface GuardSettings {
  readonly tunName: string;
  /** Our own virtual addresses. */
  readonly own: readonly Uint8Array[];
  /** Whose hosts' packets for virtual addresses take the TUN. */
  readonly site?: SiteConfig | undefined;
  /** nft refused a later change: the guard is out of date until the next one succeeds. */
  readonly onError: (error: I3Error) => void;
}

/** Before connection tracking, which must never learn of such packets. */
const ARRIVE_PRIORITY = -310;
const LEAVE_PRIORITY = 60;
/** A burst of names makes one command. */
const COALESCE_MS = 20;
/** Their program would notice an ICMP error only at the first retransmission (see interception-rules.ts); what is established goes on waiting. */
const CONNECTING = "tcp flags & (fin | syn | rst | ack) == syn";

export const guardTable = (tunName: string): string => tableName("guard", tunName);

/** One line for nft. */
export function guardRules({ tunName, own, site }: Omit<GuardSettings, "onError">, allocated: readonly Uint8Array[]): string {
  const inside = `{ "lo", "${tunName}" }`;
  const hosts = site === undefined ? [] : fromSite(site);
  const drop = (field: string, family: 4 | 6): string =>
    ["allocated", "own"].map((set) => `${family === 4 ? "ip" : "ip6"} ${field} @${set}${family} counter drop;`).join(" ");
  const body = [
    setOf("allocated4", "ipv4_addr", allocated.filter(isV4)),
    setOf("allocated6", "ipv6_addr", allocated.filter(isV6)),
    setOf("own4", "ipv4_addr", own.filter(isV4)),
    setOf("own6", "ipv6_addr", own.filter(isV6)),
    `chain arrive { type filter hook prerouting priority ${ARRIVE_PRIORITY}; policy accept; iifname ${inside} accept; ${hosts.map(({ family, match }) => `${match} ${family === 4 ? "ip" : "ip6"} daddr @allocated${family} accept;`).join(" ")}`,
    `${drop("saddr", 4)} ${drop("daddr", 4)} ${drop("saddr", 6)} ${drop("daddr", 6)} };`,
    `chain leave { type filter hook output priority ${LEAVE_PRIORITY}; policy accept; oifname ${inside} accept;`,
    `ip daddr @allocated4 ${CONNECTING} counter reject with tcp reset;`,
    "ip daddr @allocated4 counter reject with icmp host-unreachable;",
    `ip6 daddr @allocated6 ${CONNECTING} counter reject with tcp reset;`,
    "ip6 daddr @allocated6 counter reject with icmpv6 addr-unreachable; };",
    // What a site sends when the TUN is gone.
    ...(hosts.length === 0 ? [] : [`chain pass { type filter hook forward priority ${LEAVE_PRIORITY}; policy accept; oifname ${inside} accept; ip daddr @allocated4 counter reject with icmp host-unreachable; ip6 daddr @allocated6 counter reject with icmpv6 addr-unreachable; };`]),
  ];
  return replaceTable(guardTable(tunName), body.join(" "));
}

const isV4 = (address: Uint8Array): boolean => address.length === 4;
const isV6 = (address: Uint8Array): boolean => address.length === 16;

function setOf(name: string, type: string, addresses: readonly Uint8Array[]): string {
  const elements = addresses.length === 0 ? "" : ` elements = { ${addresses.map(formatIpText).join(", ")} };`;
  return `set ${name} { type ${type};${elements} };`;
}

export class Guard {
  readonly #nft: NftRunner;
  readonly #settings: GuardSettings;
  readonly #elements: NftElements;

  private constructor(nft: NftRunner, settings: GuardSettings) {
    this.#nft = nft;
    this.#settings = settings;
    this.#elements = new NftElements(nft, { table: guardTable(settings.tunName), coalesceMs: COALESCE_MS, onError: settings.onError });
  }

  /** Replaces, in one transaction, the guard that an earlier run left behind. Throws I3Error (nft missing, no permission). */
  static async start(nft: NftRunner, settings: GuardSettings, allocated: readonly Uint8Array[]): Promise<Guard> {
    const guard = new Guard(nft, settings);
    await nft.run(guardRules(settings, allocated));
    for (const address of allocated) guard.#elements.told(setFor(address), formatIpText(address));
    return guard;
  }

  /** A virtual address (4 or 16 bytes) was given out. Takes effect within some 20 ms, in the background. */
  add(address: Uint8Array): void {
    this.#elements.set(setFor(address), formatIpText(address));
  }

  remove(address: Uint8Array): void {
    this.#elements.set(setFor(address), formatIpText(address), null);
  }

  /** Whoever cleared all tables cleared this one too: made anew. Rejects with I3Error. */
  async look(): Promise<void> {
    const { tunName } = this.#settings;
    try {
      await this.#nft.run(`list chain inet ${guardTable(tunName)} arrive`);
    } catch {
      const told = this.#elements.wanted();
      await this.#nft.run(guardRules(this.#settings, told.flatMap(({ key }) => parseIpText(key) ?? [])));
      this.#elements.restart(told, this.#elements.wanted());
    }
  }

  /** Resolves when everything asked for so far is in force; rejects when nft refused it. */
  async settled(): Promise<void> {
    await this.#elements.settled();
  }

  /** Ends when there is nothing left to guard; with addresses that are still given out it stays. Rejects with I3Error. */
  async close(): Promise<void> {
    await this.settled().catch(() => undefined);
    if (this.#elements.size === 0) await removeGuard(this.#nft, this.#settings.tunName);
  }
}

const setFor = (address: Uint8Array): string => (isV4(address) ? "allocated4" : "allocated6");

/** Removes the guard of a TUN name, for those who mean to be without: until then it outlives the proxy. */
export async function removeGuard(nft: NftRunner, tunName: string): Promise<void> {
  await nft.run(removeTable(guardTable(tunName)));
}

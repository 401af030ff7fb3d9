/**
 * The guard: nftables rules that outlive the proxy (docs/host-changes.md: virtual addresses mean something only on the TUN).
 *
 *     arrive   on another interface than lo and the TUN, from or for a virtual address: dropped
 *     leave    by another interface than lo and the TUN, to an allocated address: refused
 *
 * It knows exactly the addresses that were given out and our own, never a range, so that it can lock nobody out. It stays after our
 * death, since programs still hold those addresses: nothing for them may leave in clear, and no neighbour may answer for them.
 */
import { bytesKey, formatIpText, type I3Error } from "@i3/common";
import { type NftRunner, replaceTable, tableName } from "./interception-nft.js";

export interface GuardSettings {
  readonly tunName: string;
  /** Our own virtual addresses. */
  readonly own: readonly Uint8Array[];
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
/** Elements a command carries at most, so that a line stays well below what nft reads at once. */
const BATCH_ELEMENTS = 512;

export const guardTable = (tunName: string): string => tableName("guard", tunName);

/** One line for nft. */
export function guardRules(tunName: string, own: readonly Uint8Array[], allocated: readonly Uint8Array[]): string {
  const inside = `{ "lo", "${tunName}" }`;
  const drop = (field: string, family: 4 | 6): string =>
    ["allocated", "own"].map((set) => `${family === 4 ? "ip" : "ip6"} ${field} @${set}${family} counter drop;`).join(" ");
  const body = [
    setOf("allocated4", "ipv4_addr", allocated.filter(isV4)),
    setOf("allocated6", "ipv6_addr", allocated.filter(isV6)),
    setOf("own4", "ipv4_addr", own.filter(isV4)),
    setOf("own6", "ipv6_addr", own.filter(isV6)),
    `chain arrive { type filter hook prerouting priority ${ARRIVE_PRIORITY}; policy accept; iifname ${inside} accept;`,
    `${drop("saddr", 4)} ${drop("daddr", 4)} ${drop("saddr", 6)} ${drop("daddr", 6)} };`,
    `chain leave { type filter hook output priority ${LEAVE_PRIORITY}; policy accept; oifname ${inside} accept;`,
    `ip daddr @allocated4 ${CONNECTING} counter reject with tcp reset;`,
    "ip daddr @allocated4 counter reject with icmp host-unreachable;",
    `ip6 daddr @allocated6 ${CONNECTING} counter reject with tcp reset;`,
    "ip6 daddr @allocated6 counter reject with icmpv6 addr-unreachable; };",
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
  /** What nft was told, and what it should know. */
  readonly #told = new Map<string, Uint8Array>();
  readonly #wanted = new Map<string, Uint8Array>();
  /** Keys that may differ between the two; never more than the addresses there are. */
  readonly #changed = new Set<string>();
  #running: Promise<void> | null = null;

  private constructor(nft: NftRunner, settings: GuardSettings) {
    this.#nft = nft;
    this.#settings = settings;
  }

  /** Replaces, in one transaction, the guard that an earlier run left behind. Throws I3Error (nft missing, no permission). */
  static async start(nft: NftRunner, settings: GuardSettings, allocated: readonly Uint8Array[]): Promise<Guard> {
    const guard = new Guard(nft, settings);
    await nft.run(guardRules(settings.tunName, settings.own, allocated));
    for (const address of allocated) {
      guard.#told.set(bytesKey(address), address);
      guard.#wanted.set(bytesKey(address), address);
    }
    return guard;
  }

  /** A virtual address (4 or 16 bytes) was given out. Takes effect within some 20 ms, in the background. */
  add(address: Uint8Array): void {
    const key = bytesKey(address);
    this.#wanted.set(key, address.slice());
    this.#note(key);
  }

  remove(address: Uint8Array): void {
    const key = bytesKey(address);
    this.#wanted.delete(key);
    this.#note(key);
  }

  /** Resolves when everything asked for so far is in force; rejects when nft refused it. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
    if (this.#changed.size > 0) await this.#flush();
  }

  /** Ends when there is nothing left to guard; with addresses that are still given out it stays. Rejects with I3Error. */
  async close(): Promise<void> {
    await this.settled().catch(() => undefined);
    if (this.#wanted.size === 0) await removeGuard(this.#nft, this.#settings.tunName);
  }

  #note(key: string): void {
    if (this.#wanted.has(key) === this.#told.has(key)) this.#changed.delete(key);
    else this.#changed.add(key);
    if (this.#running !== null || this.#changed.size === 0) return;
    // One command at a time: what changes meanwhile goes into the next.
    this.#running = this.#drain().finally(() => {
      this.#running = null;
    });
  }

  async #drain(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, COALESCE_MS));
    while (this.#changed.size > 0) {
      try {
        await this.#flush();
      } catch (error) {
        this.#settings.onError(error as I3Error);
        return;
      }
    }
  }

  async #flush(): Promise<void> {
    const keys = [...this.#changed].slice(0, BATCH_ELEMENTS);
    const adding = keys.flatMap((key) => this.#wanted.get(key) ?? []);
    const removing = keys.flatMap((key) => (this.#wanted.has(key) ? [] : (this.#told.get(key) ?? [])));
    for (const key of keys) this.#changed.delete(key);
    try {
      await this.#nft.run(this.#commands(adding, removing));
    } catch (error) {
      for (const key of keys) this.#changed.add(key);
      throw error;
    }
    for (const address of adding) this.#told.set(bytesKey(address), address);
    for (const address of removing) this.#told.delete(bytesKey(address));
    // Asked for while nft was at work: the difference to what it has been told now counts.
    for (const key of keys) if (this.#wanted.has(key) !== this.#told.has(key)) this.#changed.add(key);
  }

  #commands(adding: readonly Uint8Array[], removing: readonly Uint8Array[]): string {
    const table = guardTable(this.#settings.tunName);
    const change = (verb: string, set: string, addresses: readonly Uint8Array[]): string =>
      addresses.length === 0 ? "" : `${verb} element inet ${table} ${set} { ${addresses.map(formatIpText).join(", ")} };`;
    return [
      change("delete", "allocated4", removing.filter(isV4)),
      change("delete", "allocated6", removing.filter(isV6)),
      change("add", "allocated4", adding.filter(isV4)),
      change("add", "allocated6", adding.filter(isV6)),
    ].join(" ");
  }
}

/** Removes the guard of a TUN name, for those who mean to be without: until then it outlives the proxy. */
export async function removeGuard(nft: NftRunner, tunName: string): Promise<void> {
  await nft.run(`add table inet ${guardTable(tunName)}; delete table inet ${guardTable(tunName)}`);
}

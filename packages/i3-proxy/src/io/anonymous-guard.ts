/**
 * nftables for the TUNs of anonymous names, all in one table that outlives the proxy as the guard does (guard.ts):
 *
 *     arrive   on another interface, from or for a virtual address of theirs: dropped
 *     enter    by one of them: answers to what programs here have begun, and errors about it, alone. The far end reaches no service of this machine, which would tell it whose it is.
 *              To the UDP ports of their engines: from servers of the ring alone, to which these have sent before. Otherwise whoever knows the HIT of an anonymous name, or has its keys, could
 *              ask at an address whether it is there: HIP and ESP are answered by whoever is meant
 *     pass     to or from one of them and another machine: dropped
 *     leave    by another interface, to or from such an address: refused, dropped; to one of their range too, that of another TUN as well: a program may have it from before
 *     asked    (ARP) who has such an address, on any interface: not answered. Linux answers for every address that it has, wherever it is asked, and so tells the card of whoever has it
 */
import { formatIpText, type I3Error } from "@i3/common";
import { removeTable, replaceTable, tableName, type NftRunner } from "./interception-nft.js";
import { NftElements, type NftElement } from "./nft-elements.js";

// As of the guard:
const ARRIVE_PRIORITY = -310;
const LEAVE_PRIORITY = 60;
const COALESCE_MS = 20;
/** Of a name of an interface (IFNAMSIZ), without the number. */
const PREFIX_CHARACTERS = 10;

/** What the names of these TUNs begin with; a number of two digits at most follows. */
export const anonymousTuns = (tunName: string): string => `${tunName.slice(0, PREFIX_CHARACTERS)}-an`;

const tableOf = (tuns: string): string => tableName("anonymous", tuns);

/** One line for nft. @param range of all of their addresses, and conditions without what is real there, all of `ip daddr`; null: nothing is left of it */
export function anonymousGuardRules(tuns: string, range: string | null): string {
  const theirs = `"${tuns}*"`;
  const refused = [...(range === null ? [] : [range]), "@addresses"].map((place) => `ip daddr ${place} tcp flags & (fin | syn | rst | ack) == syn counter reject with tcp reset; ip daddr ${place} counter reject with icmp host-unreachable;`);
  return replaceTable(tableOf(tuns), [
    "set addresses { type ipv4_addr; }; set ports { type inet_service; };",
    `chain arrive { type filter hook prerouting priority ${ARRIVE_PRIORITY}; policy accept; iifname "lo" accept; iifname ${theirs} accept; ip saddr @addresses counter drop; ip daddr @addresses counter drop; };`,
    `chain enter { type filter hook input priority 0; policy accept; udp dport @ports ct state != established counter drop; iifname != ${theirs} accept; ct state { established, related } accept; counter drop; };`,
    `chain pass { type filter hook forward priority 0; policy accept; iifname ${theirs} counter drop; oifname ${theirs} counter drop; };`,
    `chain leave { type filter hook output priority ${LEAVE_PRIORITY}; policy accept; oifname "lo" accept; oifname ${theirs} accept; ip saddr @addresses counter drop;`,
    `${refused.join(" ")} };`,
  ].join(" "));
}

/** One line for nft: of another family, since no inet table sees ARP. */
export const anonymousArpRules = (tuns: string): string => replaceTable(tableOf(tuns), [
  "set addresses { type ipv4_addr; };", "chain asked { type filter hook input priority 0; policy accept; arp daddr ip @addresses counter drop; };",
  "chain asks { type filter hook output priority 0; policy accept; arp saddr ip @addresses counter drop; };",
].join(" "), "arp");

/** Rejects with I3Error. */
export const removeAnonymousGuard = (nft: NftRunner, tuns: string): Promise<void> =>
  nft.run(`${removeTable(tableOf(tuns))}; ${removeTable(tableOf(tuns), "arp")}`);

export class AnonymousGuard {
  readonly #nft: NftRunner;
  readonly #tuns: string;
  readonly #elements: NftElements;
  readonly #arp: NftElements;
  /** By set and text. */
  readonly #wanted = new Map<string, NftElement>();
  #opening: Promise<void> | null = null;
  readonly #range: () => string | null;
  #made: string | null = null;

  /** @param range of {@link anonymousGuardRules}, as it is now @param onError nft refused a later change: it is tried again with the next one */
  constructor(nft: NftRunner, tuns: string, range: () => string | null, onError: (error: I3Error) => void) {
    this.#nft = nft;
    this.#tuns = tuns;
    this.#range = range;
    this.#elements = new NftElements(nft, { table: tableOf(tuns), coalesceMs: COALESCE_MS, onError });
    this.#arp = new NftElements(nft, { table: tableOf(tuns), family: "arp", coalesceMs: COALESCE_MS, onError });
  }

  /** The table is there from the first time on. Rejects with I3Error. */
  async open(): Promise<void> {
    this.#opening ??= this.#make();
    try {
      await this.#opening;
    } catch (error) {
      this.#opening = null;
      throw error;
    }
  }

  /** Makes the table anew if somebody has removed it (`nft flush ruleset`), or its range is another. Rejects with I3Error when it is not there and cannot be made. */
  async check(): Promise<void> {
    if (this.#opening === null) return;
    const isThere = await this.#nft.run(`list chain inet ${tableOf(this.#tuns)} enter; list chain arp ${tableOf(this.#tuns)} asked`).then(() => true, () => false);
    if (isThere && this.#made === this.#range()) return;
    await this.#make();
    this.#elements.restart([], [...this.#wanted.values()]);
    this.#arp.restart([], [...this.#wanted.values()].filter(({ set }) => set === "addresses"));
    await this.settled();
  }

  async #make(): Promise<void> {
    await this.#nft.run(anonymousArpRules(this.#tuns));
    const range = this.#range();
    await this.#nft.run(anonymousGuardRules(this.#tuns, range));
    this.#made = range;
  }

  /** An address of a TUN, or a virtual one behind it; 4 bytes. In the background, as is what follows. */
  add(address: Uint8Array): void {
    this.#set("addresses", formatIpText(address), true);
  }

  remove(address: Uint8Array): void {
    this.#set("addresses", formatIpText(address), false);
  }

  /** The UDP port of an engine. */
  addPort(port: number): void {
    this.#set("ports", String(port), true);
  }

  removePort(port: number): void {
    this.#set("ports", String(port), false);
  }

  /** Resolves when everything asked for so far is in force; rejects when nft refused it. */
  async settled(): Promise<void> {
    await this.#arp.settled();
    await this.#elements.settled();
  }

  #set(set: "addresses" | "ports", key: string, isThere: boolean): void {
    if (isThere) this.#wanted.set(`${set} ${key}`, { set, key, value: "" });
    else this.#wanted.delete(`${set} ${key}`);
    this.#elements.set(set, key, isThere ? "" : null);
    if (set === "addresses") this.#arp.set(set, key, isThere ? "" : null);
  }

  /** With addresses that programs may still hold it stays. Rejects with I3Error. */
  async close(): Promise<void> {
    await this.settled().catch(() => undefined);
    if (this.#elements.size === 0) await removeAnonymousGuard(this.#nft, this.#tuns);
  }
}

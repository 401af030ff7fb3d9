/**
 * Keeps the gateway's table of nftables as it should be: changes at once, one after the other; and when nft refuses one, dies, or somebody clears all tables, the whole of it anew, so that nothing
 * that was revoked comes back and nothing passes that the list does not let.
 */
import { errorLine, type Log } from "@i3/common";
import { NftElements, NftSession, replaceTable } from "@i3/i3-proxy";

import { addSet, closeBehind, gatewayTable, leaveTable, removeSet, seekTable, tableBody, type TableElement, type TableSettings } from "../nat/gateway-table.js";
import type { Table } from "../nat/packet-filter.js";
import type { RuleSet } from "../policy/rule-sets.js";

// Ours:
const SEEK_MS = 1_000;

export interface NatOptions {
  readonly settings: TableSettings;
  /** What the table should hold now. */
  readonly content: () => { readonly sets: readonly RuleSet[]; readonly elements: readonly TableElement[] };
  readonly log: Log;
}

export class Nat implements Table {
  readonly #options: NatOptions;
  readonly #name: string;
  readonly #nft: NftSession;
  readonly #elements: NftElements;
  /** There is a table, and changes go to it. */
  #isUp = false;
  /** The table is not what it should be, and is to be made anew. */
  #isWrong = false;
  #making: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: NatOptions) {
    this.#options = options;
    this.#name = gatewayTable(options.settings.tunName);
    this.#nft = new NftSession({ log: options.log });
    this.#elements = new NftElements(this.#nft, { table: this.#name, coalesceMs: 0, onError: (error) => this.#tell("nftables refused a change", error) });
  }

  /** Makes the table. Rejects with I3Error. */
  async open(): Promise<void> {
    this.#nft.onRestart = () => this.#tell("nft was started again", null);
    await this.#make();
    this.#isUp = true;
    this.#timer = setInterval(() => void this.#look(), SEEK_MS);
  }

  addSet(set: RuleSet): void {
    // A chain that the table is made with stands in its body.
    if (this.#isUp) void this.#nft.run(addSet(this.#options.settings.tunName, set)).catch((error: unknown) => this.#tell("nftables refused a chain", error));
  }

  add({ set, key, value }: TableElement): void {
    if (this.#isUp) this.#elements.set(set, key, value);
  }

  remove({ set, key }: TableElement): void {
    if (this.#isUp) this.#elements.set(set, key, null);
  }

  /** Chains that no element names any more. */
  removeSets(sets: readonly RuleSet[]): void {
    if (sets.length === 0 || !this.#isUp) return;
    const run = (): Promise<void> => this.#nft.run(sets.map((set) => removeSet(this.#options.settings.tunName, set)).join(" "));
    void this.#elements.settled().then(run).catch((error: unknown) => this.#tell("nftables refused to remove a chain", error));
  }

  /** Resolves when everything asked for so far is in force. Rejects with I3Error. */
  async settled(): Promise<void> {
    if (this.#isWrong) await this.#look();
    await this.#elements.settled();
  }

  /** What stands in the table beside elements of clients has changed. */
  remake(): void {
    this.#isWrong = true;
    void this.#look();
  }

  /** The table stays, for what its NAT no longer knew the system itself would answer; it lets others' packets alone from now on. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#making?.catch(() => undefined);
    await this.#elements.settled().catch(() => undefined);
    if (this.#isUp) await this.#nft.run(leaveTable(this.#options.settings.tunName)).catch((error: unknown) => this.#options.log("warn", "nft", { error: errorLine(error) }));
    this.#isUp = false;
    await this.#nft.close();
  }

  #tell(why: string, error: unknown): void {
    this.#isWrong = true;
    this.#options.log("warn", "nft", { why, ...(error === null ? {} : { error: errorLine(error) }), remedy: "The gateway's table is made anew; clients hear of no new servers until that has worked." });
  }

  async #look(): Promise<void> {
    if (!this.#isWrong) await this.#nft.run(seekTable(this.#options.settings.tunName)).catch((error: unknown) => this.#tell("the gateway's table is gone", error));
    if (this.#isWrong && this.#isUp) await this.#make().catch((error: unknown) => this.#options.log("error", "nft", { error: errorLine(error) }));
  }

  /** One at a time; whoever comes meanwhile waits for it. */
  async #make(): Promise<void> {
    this.#making ??= this.#makeTable().finally(() => {
      this.#making = null;
    });
    await this.#making;
  }

  async #makeTable(): Promise<void> {
    const { settings, content } = this.#options;
    const { sets, elements } = content();
    await this.#nft.run(`${replaceTable(this.#name, tableBody(settings, sets, elements))}; ${closeBehind(settings.tunName)}`);
    this.#isWrong = false;
    // What changed meanwhile is told now: the chains first.
    const known = new Set(sets);
    const now = content();
    const added = now.sets.filter((set) => !known.has(set)).map((set) => this.#nft.run(addSet(settings.tunName, set)));
    this.#elements.restart(elements, now.elements);
    await Promise.all(added);
    await this.#elements.settled();
  }
}

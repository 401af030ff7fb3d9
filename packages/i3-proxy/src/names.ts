/**
 * What a name means on this machine (paper §3.1, §3.2; architecture §6.1, §7): rules first, then the address book. Asking for a
 * host's name makes its mapping, so that an address is only ever given out together with its way.
 */
import { findRule, publicId, sameBytes, type AddressBook, type BookEntry, type Log, type ProxyRule } from "@i3/common";

import type { NameAddresses, NameSource } from "./dns/dns-core.js";
import type { Mapping } from "./mappings/mapping.js";
import type { MappingTable } from "./mappings/mapping-table.js";

export interface NamesEnvironment {
  readonly suffix: string;
  readonly rules: readonly ProxyRule[];
  readonly own: { readonly id: Uint8Array; readonly v4: Uint8Array; readonly v6: Uint8Array };
  readonly mappings: MappingTable;
  readonly wallMs: () => number;
  readonly onCreated: (mapping: Mapping) => void;
  readonly log: Log;
}

const entryId = (entry: BookEntry): Uint8Array => entry.id ?? publicId(entry.hit as Uint8Array);

export class Names implements NameSource {
  readonly #env: NamesEnvironment;
  #book: AddressBook;

  constructor(environment: NamesEnvironment, book: AddressBook) {
    this.#env = environment;
    this.#book = book;
  }

  /** A new address book: mappings stay, their names follow it. */
  setBook(book: AddressBook): void {
    this.#book = book;
    for (const mapping of this.#env.mappings.all()) mapping.name = mapping.peerId === null ? null : this.#nameOf(mapping.peerId, mapping.peerHit);
  }

  resolve(name: string): NameAddresses | "unknown" | "elsewhere" | "unavailable" {
    const { suffix } = this.#env;
    if (name === suffix) return { v4: null, v6: null };
    const isOurs = name.endsWith(`.${suffix}`);
    const rule = findRule(this.#env.rules, name);
    if (rule?.go === "direct") return "elsewhere";
    // A name of our suffix that no rule admits never leaves this machine.
    if (rule === undefined) return isOurs ? "unknown" : "elsewhere";
    const entry = this.#book.lookup(name);
    if (entry === undefined) return isOurs ? "unknown" : "elsewhere";
    return this.#addressesOf(name, entry);
  }

  reverse(address: Uint8Array): string | null {
    const { own, mappings } = this.#env;
    if (sameBytes(address, own.v4) || sameBytes(address, own.v6)) return this.#nameOf(own.id, own.v6);
    const mapping = mappings.byAddress(address);
    return mapping?.name ?? null;
  }

  /** Name of a host in the address book, by its HIT. */
  nameOfHit(hit: Uint8Array): string | null {
    return this.#nameOf(publicId(hit), hit);
  }

  /** Whether the rules want a trigger of its own for a peer (null: a stranger). */
  wantsOwnTrigger(name: string | null): boolean {
    if (name === null) return false;
    const rule = findRule(this.#env.rules, name);
    return rule?.go === "i3" && rule.privateId === "own";
  }

  #addressesOf(name: string, entry: BookEntry): NameAddresses | "unavailable" {
    const { own, mappings, wallMs, onCreated, log } = this.#env;
    const id = entryId(entry);
    if (sameBytes(id, own.id)) return { v4: own.v4, v6: own.v6 };
    let mapping = mappings.byPeer(id);
    if (mapping === undefined) {
      const created = mappings.create(wallMs(), {
        peerId: id, peerHit: entry.hit ?? null, privateId: null, name, ownTrigger: this.wantsOwnTrigger(name), wanted: true,
      });
      if (created === null) {
        log("warn", "mappings-full", { name, mappings: mappings.size, remedy: "Raise <mappings max> or widen <virtual-addresses range>." });
        return "unavailable";
      }
      onCreated(created);
      mapping = created;
    }
    mappings.want(mapping);
    mapping.lastUseMs = wallMs();
    mapping.name ??= name;
    return { v4: mapping.local4, v6: mapping.local6 };
  }

  #nameOf(id: Uint8Array, hit: Uint8Array | null): string | null {
    return ((hit === null ? undefined : this.#book.reverse(hit)) ?? this.#book.reverse(id))?.name ?? null;
  }
}

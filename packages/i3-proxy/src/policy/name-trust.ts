/**
 * Who says which host a name is (docs/policy.md, "Which key a name stands for"): the address book, then the name's zone, then whoever was first. The rules, the
 * address book and the zones' records of the moment, and the pins of all time. Without I/O.
 */
import { findRule, formatIpText, nameId, normalName, sameBytes, type AddressBook, type Log, type ProxyRule } from "@i3/common";

import type { ZoneEntry, ZoneNames } from "../zones/zone-names.js";
import type { Pin, Pins } from "./pins.js";
import { judgeKey, type TrustVerdict } from "./trust.js";

export interface NameTrustEnvironment {
  readonly zones: ZoneNames;
  readonly pins: Pins;
  /** Where they are kept, for messages. */
  readonly pinFile: string;
  readonly wallMs: () => number;
  /** There is a new one, to be written. */
  readonly onPinned: () => void;
  readonly log: Log;
}

export class NameTrust {
  readonly #env: NameTrustEnvironment;
  #book: AddressBook;
  #rules: readonly ProxyRule[];

  constructor(environment: NameTrustEnvironment, book: AddressBook, rules: readonly ProxyRule[]) {
    this.#env = environment;
    this.#book = book;
    this.#rules = rules;
  }

  setBook(book: AddressBook): void {
    this.#book = book;
  }

  setRules(rules: readonly ProxyRule[]): void {
    this.#rules = rules;
  }

  /** What its zone says of a name that the book does not have; undefined too where a pinned key says otherwise. */
  zoneEntryOf(name: string): ZoneEntry | undefined {
    const entry = this.#env.zones.lookup(name);
    return entry === undefined || this.#book.lookup(name) !== undefined || this.#contradicts(entry) ? undefined : entry;
  }

  /** The pin that contradicts what a zone says of a name, of which neither is believed until a person decides. */
  conflictOf(entry: ZoneEntry): Pin | undefined {
    return this.#contradicts(entry) ? this.#env.pins.get(entry.name) : undefined;
  }

  #contradicts({ name, hit }: ZoneEntry): boolean {
    const pin = this.#env.pins.get(name);
    return pin !== undefined && !sameBytes(pin.hit, hit) && this.#mayBeFirst(name);
  }

  /** Names that zones have for a host. */
  zoneNamesOf(hit: Uint8Array): readonly string[] {
    return this.#env.zones.namesOf(hit).filter((name) => this.zoneEntryOf(name) !== undefined);
  }

  /** Whether the rules let a name keep its first key, when nothing else says what it is. */
  #mayBeFirst(name: string): boolean {
    const rule = findRule(this.#rules, name);
    return rule?.go === "i3" && rule.trust === "first-use" && normalName(name) !== undefined && this.#book.lookup(name) === undefined;
  }

  /** Whether a name is one that keeps its first key: the rules say so, and neither the book nor its zone has it. */
  isFirstUse(name: string): boolean {
    return this.#mayBeFirst(name) && this.zoneEntryOf(name) === undefined;
  }

  /** The key that such a name has had before. */
  pinOf(name: string): Pin | undefined {
    return this.isFirstUse(name) ? this.#env.pins.get(name) : undefined;
  }

  /** Where whoever claims a pinned name is reached when its host is not; null: not by its name. */
  claimedIdOf(name: string | null): Uint8Array | null {
    return name === null || this.pinOf(name) === undefined ? null : nameId(name);
  }

  /** Name of a host that the book does not have. */
  nameOf(hit: Uint8Array): string | null {
    return this.zoneNamesOf(hit)[0] ?? this.pinnedNamesOf(hit)[0] ?? null;
  }

  /** All names of a host that the book does not have. */
  namesOf(hit: Uint8Array): readonly string[] {
    return [...this.zoneNamesOf(hit), ...this.pinnedNamesOf(hit)];
  }

  /** All names that are pinned to a key. */
  pinnedNamesOf(hit: Uint8Array): readonly string[] {
    return this.#env.pins.namesOf(hit).filter((name) => this.isFirstUse(name));
  }

  /** Keys of all names that the book does not have. */
  *hits(): Iterable<Uint8Array> {
    yield* this.#env.zones.hits();
    for (const { name, hit } of this.#env.pins.all()) if (this.isFirstUse(name)) yield hit;
  }

  /** @param hit of the host key that answered */
  judge(name: string, hit: Uint8Array): TrustVerdict {
    const { pins, pinFile } = this.#env;
    return judgeKey({ book: this.#book, zoneEntry: (asked) => this.zoneEntryOf(asked), pins, pinFile }, name, this.isFirstUse(name) ? "first-use" : "book", hit);
  }

  /** An exchange has proven that the name's host has this key: no other is trusted from now on. */
  pin(name: string, hit: Uint8Array): void {
    const { pins, pinFile, wallMs, onPinned, log } = this.#env;
    if (!pins.add(name, hit, wallMs())) return;
    log("info", "key-pinned", { name, hit: formatIpText(hit), file: pinFile });
    onPinned();
  }
}

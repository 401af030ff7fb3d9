/**
 * Names that are trusted on first use (docs/policy.md, "Which key a name stands for"): which they are, and what keys they have. The rules and the address book
 * of the moment, and the pins of all time. Without I/O.
 */
import { findRule, formatIpText, nameId, normalName, type AddressBook, type Log, type ProxyRule } from "@i3/common";

import type { Pin, Pins } from "./pins.js";
import { judgeKey, type TrustVerdict } from "./trust.js";

export interface NameTrustEnvironment {
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

  /** Whether a name is one that keeps its first key: the rules say so, and the book does not have it. */
  isFirstUse(name: string): boolean {
    const rule = findRule(this.#rules, name);
    return rule?.go === "i3" && rule.trust === "first-use" && normalName(name) !== undefined && this.#book.lookup(name) === undefined;
  }

  /** The key that such a name has had before. */
  pinOf(name: string): Pin | undefined {
    return this.isFirstUse(name) ? this.#env.pins.get(name) : undefined;
  }

  /** Where whoever claims a pinned name is reached when its host is not; null: not by its name. */
  claimedIdOf(name: string | null): Uint8Array | null {
    return name === null || this.pinOf(name) === undefined ? null : nameId(name);
  }

  /** Name of a host that is known by its pin alone. */
  nameOf(hit: Uint8Array): string | null {
    return this.namesOf(hit)[0] ?? null;
  }

  /** All names that are pinned to a key. */
  namesOf(hit: Uint8Array): readonly string[] {
    return this.#env.pins.namesOf(hit).filter((name) => this.isFirstUse(name));
  }

  /** Keys of all names that are pinned. */
  *pinnedHits(): Iterable<Uint8Array> {
    for (const { name, hit } of this.#env.pins.all()) if (this.isFirstUse(name)) yield hit;
  }

  /** @param hit of the host key that answered */
  judge(name: string, hit: Uint8Array): TrustVerdict {
    const { pins, pinFile } = this.#env;
    return judgeKey({ book: this.#book, pins, pinFile }, name, this.isFirstUse(name) ? "first-use" : "book", hit);
  }

  /** An exchange has proven that the name's host has this key: no other is trusted from now on. */
  pin(name: string, hit: Uint8Array): void {
    const { pins, pinFile, wallMs, onPinned, log } = this.#env;
    if (!pins.add(name, hit, wallMs())) return;
    log("info", "key-pinned", { name, hit: formatIpText(hit), file: pinFile });
    onPinned();
  }
}

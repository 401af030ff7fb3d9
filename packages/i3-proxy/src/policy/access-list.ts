/**
 * Who may connect to this host: asked with the HIT of an I1 or I2 before any state is made. Without I/O. Of associations that this
 * host begins, which carry packets both ways, only {@link AccessList.refuses} is asked: there the default says nothing.
 */
import { bytesKey, publicId, type AccessConfig, type AccessEntry, type AddressBook } from "@i3/common";

import { BookGroups } from "./book-groups.js";

export interface AccessDecision {
  readonly admits: boolean;
  /** Line of the entry that decided; null: the default did. */
  readonly line: number | null;
}

/** What a peer that proves no key is asked about with. */
const NO_HIT = new Uint8Array(16);

/** @param line of the entry that refuses; null: none lets it in */
export const whyText = (line: number | null): string => (line === null ? "no entry of <access> lets it in" : `line ${line} of the configuration`);

/** Every answer is that of one configuration and one address book: another list is made when either changes. */
export class AccessList {
  readonly #entries: readonly AccessEntry[];
  readonly #default: boolean;
  readonly #groups: BookGroups;

  /** @param access undefined: everybody may */
  constructor(access: AccessConfig | undefined, book: AddressBook) {
    this.#entries = access?.entries ?? [];
    this.#default = access === undefined || access.default === "allow";
    this.#groups = new BookGroups(this.#entries.flatMap(({ group }) => group ?? []), book);
  }

  /** @param hit 16 bytes */
  admits(hit: Uint8Array): boolean {
    return this.decide(hit).admits;
  }

  /**
   * Whether an entry refuses this very host, by HIT or group: it neither connects nor is called.
   * @param peer of a host whose HIT is not known (null) the public id is asked about
   */
  refuses(peer: { readonly peerHit: Uint8Array | null; readonly peerId: Uint8Array | null }): boolean {
    if (peer.peerHit === null && peer.peerId === null) return false;
    const { admits, line } = this.#decideOf(peer);
    return !admits && line !== null;
  }

  /** As {@link admits}, with the reason, for logs. */
  decide(hit: Uint8Array): AccessDecision {
    const key = bytesKey(hit);
    const isIn = this.#groups.of(hit);
    for (const { admits, line, hit: of, group } of this.#entries) {
      if (of === undefined ? isIn(group ?? "") : bytesKey(of) === key) return { admits, line };
    }
    return { admits: this.#default, line: null };
  }

  /** Why a host is not let in, and what to do if it should be, for the log. A peer that proves no key is asked about with the HIT `::`. */
  reasonFor(peer: { readonly peerHit: Uint8Array | null; readonly peerId: Uint8Array | null }): { readonly why: string; readonly remedy: string } {
    const { line } = this.#decideOf(peer);
    return {
      why: whyText(line), remedy: line === null ? 'If it may connect, write <allow hit="…"/> or <allow group="…"/> for it into <access>.' : "If it may connect, take that entry away, or put an <allow> for it in front.",
    };
  }

  #decideOf({ peerHit, peerId }: { readonly peerHit: Uint8Array | null; readonly peerId: Uint8Array | null }): AccessDecision {
    return peerHit === null && peerId !== null ? this.#decideById(peerId) : this.decide(peerHit ?? NO_HIT);
  }

  #decideById(id: Uint8Array): AccessDecision {
    const key = bytesKey(id);
    const isIn = this.#groups.ofId(id);
    const found = this.#entries.find(({ hit, group }) => (hit === undefined ? isIn(group ?? "") : bytesKey(publicId(hit)) === key));
    return found === undefined ? { admits: this.#default, line: null } : { admits: found.admits, line: found.line };
  }

  /** What was probably not meant: a list that lets nobody in, and entries that change nothing. A sentence each. */
  oddities(): readonly string[] {
    if (!this.#default && !this.#entries.some(({ admits }) => admits)) return ["<access> has no <allow>, and its default is refuse: nobody may connect to this machine"];
    if (!this.#default) return [];
    const last = this.#entries.findLastIndex(({ admits }) => !admits);
    return this.#entries.slice(last + 1).map(({ line }) => `the <allow> on line ${line} of <access> changes nothing: the default is allow, and no <refuse> follows it`);
  }

  /** Groups that entries name and no host is in, each once: probably a typing error, for the log. */
  emptyGroups(): readonly string[] {
    const inUse = this.#groups.inUse();
    return this.#entries.flatMap(({ group }) => (group === undefined || inUse.has(group) ? [] : group));
  }
}

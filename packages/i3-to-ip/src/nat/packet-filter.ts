/**
 * What the gateway's table should hold, from who has been led where and what the list says of it: elements for each client that has an address here, and a chain for each list of verdicts. Without
 * I/O: it tells a {@link Table} of changes.
 */
import { formatIpText } from "@i3/common";

import type { Verdict } from "../policy/grants.js";
import type { Led } from "../policy/led-clients.js";
import { RuleSets, type RuleSet } from "../policy/rule-sets.js";
import { anonymousElement, grantElement, placeElement, serverElement, verdictOf, type TableElement } from "./gateway-table.js";

export interface Table {
  /** Before any element that names it. */
  readonly addSet: (set: RuleSet) => void;
  readonly add: (element: TableElement) => void;
  readonly remove: (element: TableElement) => void;
}

/** For what only the key of an element is asked. */
const NO_SET: RuleSet = { number: 0, verdicts: [] };

export class PacketFilter {
  readonly #table: Table;
  readonly #sets = new RuleSets();
  /** That the table has. */
  readonly #chains = new Set<RuleSet>();
  /** By client address, then by set and key. */
  readonly #byClient = new Map<string, Map<string, TableElement>>();

  constructor(table: Table) {
    this.#table = table;
  }

  /** Chains of the table. */
  get sets(): readonly RuleSet[] {
    return [...this.#chains];
  }

  *elements(): Generator<TableElement> {
    for (const elements of this.#byClient.values()) yield* elements.values();
  }

  /** Whether a client address has anything here. */
  has(client: Uint8Array): boolean {
    return this.#byClient.has(formatIpText(client));
  }

  /** What a client, at an address of the server's family, may send to a server. False: nothing. */
  judge(client: Uint8Array, led: Led, verdicts: readonly Verdict[]): boolean {
    const set = this.#setOf(verdicts);
    if (set === null) {
      this.forget(client, led);
      return false;
    }
    for (const { inside } of led.called) this.#put(client, serverElement(client, inside, led.real));
    this.#put(client, grantElement(client, led.real, set));
    return true;
  }

  /** The server is the client's no more, or not at these virtual addresses. */
  forget(client: Uint8Array, { called, real }: Led): void {
    for (const { inside } of called) this.#take(client, serverElement(client, inside, real));
    this.#take(client, grantElement(client, real, NO_SET));
  }

  /** What a client may send to servers' own addresses. False: nothing. */
  judgePlaces(client: Uint8Array, verdicts: readonly Verdict[]): boolean {
    const set = this.#setOf(verdicts);
    if (set === null) this.#take(client, placeElement(client, NO_SET));
    else this.#put(client, placeElement(client, set));
    return set !== null;
  }

  /** Whether a client's flows count with those of all anonymous ones too. */
  share(client: Uint8Array, isAnonymous: boolean): void {
    if (isAnonymous) this.#put(client, anonymousElement(client));
    else this.#take(client, anonymousElement(client));
  }

  /** A client address is nobody's any more. */
  release(client: Uint8Array): void {
    const elements = this.#byClient.get(formatIpText(client));
    this.#byClient.delete(formatIpText(client));
    for (const element of elements?.values() ?? []) this.#table.remove(element);
  }

  /** Chains that no element names any more, which the table may lose behind what named them. */
  takeUnused(): readonly RuleSet[] {
    const named = new Set([...this.elements()].map(({ value }) => value));
    const unused = [...this.#chains].filter((set) => !named.has(verdictOf(set)));
    for (const set of unused) this.#chains.delete(set);
    return unused;
  }

  #setOf(verdicts: readonly Verdict[]): RuleSet | null {
    const set = verdicts.length === 0 ? null : this.#sets.of(verdicts);
    if (set !== null && !this.#chains.has(set)) {
      this.#chains.add(set);
      this.#table.addSet(set);
    }
    return set;
  }

  #put(client: Uint8Array, element: TableElement): void {
    const text = formatIpText(client);
    const elements = this.#byClient.get(text) ?? new Map<string, TableElement>();
    this.#byClient.set(text, elements.set(idOf(element), element));
    this.#table.add(element);
  }

  #take(client: Uint8Array, element: TableElement): void {
    const elements = this.#byClient.get(formatIpText(client));
    if (elements?.delete(idOf(element)) !== true) return;
    if (elements.size === 0) this.#byClient.delete(formatIpText(client));
    this.#table.remove(element);
  }
}

const idOf = ({ set, key }: TableElement): string => `${set} ${key}`;

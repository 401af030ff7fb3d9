/** What stands under each name of the domain that this machine answers for. */
import type { PublishedDomain, PublishedName } from "@i3/common";

import { PublishedNames } from "../names/published-names.js";

const STAR = "*.";

/** own: this machine's addresses; empty: something is below it; absent: nothing is (NXDOMAIN); outside: of another domain. */
export type ZoneEntry = "apex" | "ns" | "own" | "empty" | "absent" | "outside" | PublishedName;

export class PublishedZone {
  readonly domain: PublishedDomain;
  readonly #names: PublishedNames;
  /** Names that have some below them, as RFC 4592 §2.2.2 calls empty non-terminals. */
  readonly #parents: ReadonlySet<string>;

  constructor(domain: PublishedDomain, names: readonly PublishedName[]) {
    this.domain = domain;
    this.#names = new PublishedNames(names);
    this.#parents = new Set([domain.ns, ...names.map(({ name }) => name)].filter((name) => this.#isInside(name)).flatMap((name) => this.#above(name)));
  }

  /** @param name lower case, without a dot at its end */
  find(name: string): ZoneEntry {
    const { domain } = this;
    if (name === domain.name) return "apex";
    if (!this.#isInside(name)) return "outside";
    if (name === domain.ns) return "ns";
    const found = this.#names.find(name);
    if (found !== undefined) return found.waypoint === undefined ? "own" : found;
    return this.#parents.has(name) ? "empty" : "absent";
  }

  #isInside(name: string): boolean {
    return name.endsWith(`.${this.domain.name}`);
  }

  #above(name: string): readonly string[] {
    const labels = (name.startsWith(STAR) ? `x.${name.slice(STAR.length)}` : name).split(".");
    return labels.slice(1).map((_, i) => labels.slice(i + 1).join(".")).filter((above) => this.#isInside(above));
  }
}

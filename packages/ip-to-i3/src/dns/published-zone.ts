/** What stands under each name of the domain that this machine answers for, wildcards as RFC 4592 has them: below a name that exists only its own `*.` counts. */
import type { PublishedDomain, PublishedName } from "@i3/common";

const STAR = "*.";

/** own: this machine's addresses; empty: something is below it; absent: nothing is (NXDOMAIN); outside: of another domain. */
export type ZoneEntry = "apex" | "ns" | "own" | "empty" | "absent" | "outside" | PublishedName;

export class PublishedZone {
  readonly domain: PublishedDomain;
  /** Wildcards by their `*.`, as they are asked for by it too. */
  readonly #names: ReadonlyMap<string, PublishedName>;
  /** Names that have some below them, which RFC 4592 §2.2.2 calls empty non-terminals where they have nothing else. */
  readonly #parents: ReadonlySet<string>;

  constructor(domain: PublishedDomain, names: readonly PublishedName[]) {
    this.domain = domain;
    this.#names = new Map(names.filter(({ name }) => this.#isInside(name)).map((each) => [each.name, each]));
    this.#parents = new Set([domain.name, ...[domain.ns, ...this.#names.keys()].filter((name) => this.#isInside(name)).flatMap((name) => this.#above(name))]);
  }

  /** @param name lower case, without a dot at its end */
  find(name: string): ZoneEntry {
    const { domain } = this;
    if (name === domain.name) return "apex";
    if (!this.#isInside(name)) return "outside";
    if (name === domain.ns) return "ns";
    const found = this.#names.get(name);
    if (found !== undefined) return entryOf(found);
    if (this.#parents.has(name)) return "empty";
    // The longest name above it that exists (§3.3.1); the domain itself does.
    const closest = parentsOf(name).find((above) => above === domain.ns || this.#names.has(above) || this.#parents.has(above));
    const star = this.#names.get(`${STAR}${closest}`);
    return star === undefined ? "absent" : entryOf(star);
  }

  #isInside(name: string): boolean {
    return name.endsWith(`.${this.domain.name}`);
  }

  #above(name: string): readonly string[] {
    return parentsOf(name).filter((above) => this.#isInside(above));
  }
}

const entryOf = (found: PublishedName): ZoneEntry => (found.waypoint === undefined ? "own" : found);

function parentsOf(name: string): readonly string[] {
  const labels = name.split(".");
  return labels.slice(1).map((_, i) => labels.slice(i + 1).join("."));
}

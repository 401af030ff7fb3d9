/**
 * Names that a resolver library makes of others. When NAME fails, libc asks for NAME.SEARCH, with each search domain of resolv.conf; with options ndots even before. Where NAME is not the local network's
 * to answer, NAME.SEARCH is not either: whoever runs the network would otherwise only have to wait until a gateway does not answer. Without I/O.
 */

// Ours:
/** A resolver that asks three servers in turn, twice, needs up to 30 s. */
const ASKED_MS = 30_000;
const MAX_ASKED = 1_024;

export interface SearchNamesEnvironment {
  /** Lower case, without a dot at the end. */
  readonly domains: () => readonly string[];
  /**
   * Whether a name is kept from the system's resolvers: `named` by the suffix or by a rule for it, `swept` by a rule that `beside` matches too, or by a way out for everything; null: it is not.
   * Asks for nothing.
   */
  readonly keeps: (name: string, beside: string) => "named" | "swept" | null;
}

export class SearchNames {
  readonly #env: SearchNamesEnvironment;
  /** Names that were asked for, the oldest first. */
  readonly #asked = new Map<string, number>();

  constructor(environment: SearchNamesEnvironment) {
    this.#env = environment;
  }

  /** Whether a name stands for another one that is kept: if it would go to the system's resolvers, it does not exist. To be told each name that is asked for. @param name lower case */
  isSearched(nowMs: number, name: string): boolean {
    const found = this.#env.domains().some((domain) => name.endsWith(`.${domain}`) && this.#isKept(nowMs, name.slice(0, -domain.length - 1), name));
    this.#remember(nowMs, name);
    return found;
  }

  /** Where everything is swept to a gateway, `nas.home.lan` may be meant as it is: only what has been asked for just now was tried. */
  #isKept(nowMs: number, name: string, whole: string): boolean {
    const kept = this.#env.keeps(name, whole);
    if (kept !== "swept") return kept === "named";
    const askedMs = this.#asked.get(name);
    return name.includes(".") && askedMs !== undefined && nowMs - askedMs < ASKED_MS;
  }

  #remember(nowMs: number, name: string): void {
    if (this.#env.domains().length === 0) return;
    this.#asked.delete(name);
    if (this.#asked.size >= MAX_ASKED) this.#asked.delete(this.#asked.keys().next().value as string);
    this.#asked.set(name, nowMs);
  }
}

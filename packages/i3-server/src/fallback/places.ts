/**
 * What hosts by TCP have at servers, where all of them are one source and would share one account. A place is kept as long as the server may keep what was
 * sent. A host has another while it has fewer than are left of its network's at that server, and its network while it has fewer than are left at that
 * server, and in all (as in fair-rate.ts): so no host, and no network, keeps the others out.
 */
export interface PlaceLimits {
  readonly perServer: number;
  readonly perNetwork: number;
  readonly inAll: number;
}

export interface Holder {
  /** Unique among hosts. */
  readonly host: number;
  readonly network: string;
}

interface Place {
  readonly holders: readonly string[];
  readonly endMs: number;
}

export class Places {
  /** Those that end first are first. */
  readonly #places = new Map<string, Place>();
  readonly #counts = new Map<string, number>();

  constructor(
    private readonly limits: PlaceLimits,
    private readonly lifeMs: number,
  ) {}

  get size(): number {
    return this.#places.size;
  }

  /** Whether there is a place at that server for what is called so; it is kept, or kept on, then. */
  take(nowMs: number, server: string, name: string, holder: Holder): boolean {
    this.#expire(nowMs);
    if (this.keep(nowMs, server, name, holder)) return true;
    const { perServer, perNetwork, inAll } = this.limits;
    const [all, ofNetwork, at, ofNetworkAt, ofHostAt] = holdersOf(server, holder);
    const mayHave = (one: string, among: string, limit: number): boolean => this.#count(one) < limit - this.#count(among);
    if (!mayHave(ofHostAt, ofNetworkAt, perNetwork) || !mayHave(ofNetworkAt, at, perServer) || !mayHave(ofNetwork, all, inAll)) return false;
    this.#put(nowMs, server + name, [all, ofNetwork, at, ofNetworkAt, ofHostAt]);
    return true;
  }

  /** A place that there is, whoever had it: it is this one's now. False: there is none. */
  keep(nowMs: number, server: string, name: string, holder: Holder): boolean {
    const [key, old] = [server + name, this.#places.get(server + name)];
    if (old === undefined || old.endMs <= nowMs) return false;
    this.#drop(key, old);
    this.#put(nowMs, key, holdersOf(server, holder));
    return true;
  }

  #put(nowMs: number, key: string, holders: readonly string[]): void {
    this.#places.set(key, { holders, endMs: nowMs + this.lifeMs });
    for (const one of holders) this.#counts.set(one, this.#count(one) + 1);
  }

  #drop(key: string, { holders }: Place): void {
    this.#places.delete(key);
    for (const one of holders) {
      const left = this.#count(one) - 1;
      if (left === 0) this.#counts.delete(one);
      else this.#counts.set(one, left);
    }
  }

  #expire(nowMs: number): void {
    for (const [key, place] of this.#places) {
      if (place.endMs > nowMs) return;
      this.#drop(key, place);
    }
  }

  #count(one: string): number {
    return this.#counts.get(one) ?? 0;
  }
}

type Holders = readonly [all: string, ofNetwork: string, at: string, ofNetworkAt: string, ofHostAt: string];

const holdersOf = (server: string, { host, network }: Holder): Holders => ["", `n${network}`, `s${server}`, `a${server}${network}`, `h${host} ${server}`];

/** Names as a site's hosts ask for them: an answer waits until packets to its addresses pass. */
import { bytesKey } from "@i3/common";

import type { NameAddresses, NameSource, NameVerdict } from "../dns/dns-core.js";

export interface SiteNamesOptions {
  readonly names: NameSource;
  /** Whether an address is our own, which no host of the site can reach. */
  readonly isOwn: (address: Uint8Array) => boolean;
  /** Whether the site has hosts with IPv6. */
  readonly hasIpv6: boolean;
  /** Packets of the site's hosts are to pass to these; resolves when they do. */
  readonly pass: (addresses: readonly Uint8Array[]) => Promise<void>;
}

/** Of names whose way was just made: more wait for the next question. */
const MAX_PENDING = 256;

export class SiteNames implements NameSource {
  readonly #options: SiteNamesOptions;
  readonly #passing = new Set<string>();
  readonly #pending = new Map<string, Promise<void>>();

  constructor(options: SiteNamesOptions) {
    this.#options = options;
  }

  resolve(name: string): NameVerdict {
    const verdict = this.#options.names.resolve(name);
    if (typeof verdict === "string") return verdict;
    const { hasIpv6, isOwn } = this.#options;
    const isReached = (address: Uint8Array | null): boolean => address !== null && !isOwn(address);
    const found: NameAddresses = { v4: isReached(verdict.v4) ? verdict.v4 : null, v6: hasIpv6 && isReached(verdict.v6) ? verdict.v6 : null };
    const addresses = [found.v4, found.v6].filter((one) => one !== null);
    if (addresses.every((one) => this.#passing.has(bytesKey(one)))) return found;
    if (this.#pending.size >= MAX_PENDING) return "unavailable";
    // The way there exists before the table names it.
    for (const address of addresses) this.#options.names.told?.(address);
    this.#pending.set(name, this.#options.pass(addresses).then(() => {
      for (const address of addresses) this.#passing.add(bytesKey(address));
    }, () => undefined).finally(() => this.#pending.delete(name)));
    return "looking";
  }

  gatewayOf(name: string): string | null {
    return this.#options.names.gatewayOf?.(name) ?? null;
  }

  isKept(name: string): boolean {
    return this.#options.names.isKept?.(name) === true;
  }

  isSearched(name: string): boolean {
    return this.#options.names.isSearched?.(name) === true;
  }

  /** A host of the site gets none: they are this machine's programs'. */
  isAnonymous(name: string): boolean {
    return this.#options.names.isAnonymous?.(name) === true;
  }

  hides(address: Uint8Array): boolean {
    return this.#options.names.hides?.(address) === true;
  }

  whenKnown(name: string, done: () => void): () => void {
    const pending = this.#pending.get(name);
    if (pending === undefined) return this.#options.names.whenKnown?.(name, done) ?? (() => undefined);
    let isWanted = true;
    void pending.then(() => {
      if (isWanted) done();
    });
    return () => {
      isWanted = false;
    };
  }

  reverse(address: Uint8Array): string | null {
    return this.#options.names.reverse(address);
  }

  told(address: Uint8Array): void {
    this.#options.names.told?.(address);
  }

  /** Nothing passes for certain: every answer waits once more. */
  forget(): void {
    this.#passing.clear();
  }

  /** A virtual address is nobody's any more. */
  released(address: Uint8Array): void {
    this.#passing.delete(bytesKey(address));
  }
}

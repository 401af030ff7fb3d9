/**
 * Where this host can be reached, for peers who may know (docs/wire.md §9.7): the addresses of its interfaces, as servers see them from outside, and what routers have opened.
 * Without I/O.
 */
import { bytesKey, locatorKey, sameBytes, sameLocator, type Locator } from "@i3/common";
import type { PathPlace } from "@i3/hip";

/** What peers are told of one locator. */
export interface SaidLocator {
  /** Of an interface; or as who is outside sees it. */
  readonly kind: "host" | "server";
  /** That of its place. */
  readonly rank: number;
  readonly locator: Locator;
}

/** What one interface has of one family. */
export interface MachinePlace {
  readonly interfaceIndex: number;
  readonly family: 4 | 6;
  readonly addresses: readonly Uint8Array[];
  /** The next hop of its default route; null: there is none. */
  readonly gateway: Uint8Array | null;
  /** Where packets can go from here; null: everywhere, there is a default route. */
  readonly prefixes: readonly { readonly network: Uint8Array; readonly prefixBits: number }[] | null;
}

export type OwnPlace = PathPlace & Pick<MachinePlace, "addresses" | "gateway">;

// Ours:
/** As many servers see one place; behind some NATs each sees another port. */
const MAX_OBSERVED = 2;
/** Of one interface; of all at most 16 are told. */
const MAX_ADDRESSES = 4;
const MAX_PLACES = 8;
const MAX_LOCATORS = 16;

interface Seen {
  /** By the server that says so, the last to be heard of last. */
  readonly observed: Map<string, Locator>;
  mapped: Locator | null;
}

const keyOf = ({ interfaceIndex, family, addresses }: MachinePlace): string => `${interfaceIndex} ${family} ${addresses.map(bytesKey).sort().join(" ")}`;

export class OwnLocators {
  readonly #port: number;
  #places: readonly OwnPlace[] = [];
  #isOutside = true;
  /** By the place's key. */
  readonly #seen = new Map<string, Seen>();

  /** @param port the UDP port that this host listens on */
  constructor(port: number) {
    this.#port = port;
  }

  /** Where packets can leave, those used first first; another array when it has changed. */
  get places(): readonly OwnPlace[] {
    return this.#places;
  }

  /** Of each family, those of the place that is used first. */
  get firstAddresses(): readonly Uint8Array[] {
    return ([4, 6] as const).flatMap((family) => this.#places.find((place) => place.family === family)?.addresses ?? []);
  }

  /** Whether packets get out, as far as servers: otherwise peers are not told how it looks from there. */
  setOutside(isOutside: boolean): void {
    this.#isOutside = isOutside;
  }

  /** What peers are told, the best first. */
  get locators(): readonly SaidLocator[] {
    const found: SaidLocator[] = [];
    for (const { key, rank, addresses } of this.#places) {
      const { mapped, observed } = (this.#isOutside ? this.#seen.get(key) : undefined) ?? NOTHING;
      const own = addresses.slice(0, MAX_ADDRESSES).map((address): SaidLocator => ({ kind: "host", rank, locator: { address, port: this.#port } }));
      const outside = [...(mapped === null ? [] : [mapped]), ...observed.values()].map((locator): SaidLocator => ({ kind: "server", rank, locator }));
      for (const said of [...own, ...outside]) if (!found.some(({ locator }) => sameLocator(locator, said.locator))) found.push(said);
    }
    return found.slice(0, MAX_LOCATORS);
  }

  /** Whether it is other places than before. @param machine those used first first */
  setPlaces(machine: readonly MachinePlace[]): boolean {
    const places = machine.slice(0, MAX_PLACES).map((place, rank) => {
      const { interfaceIndex, family, addresses, prefixes, gateway } = place;
      // IPv4 and IPv6 of one interface are as good.
      const first = machine.findIndex((other) => other.interfaceIndex === interfaceIndex);
      return { key: keyOf(place), interfaceIndex, family, addresses, prefixes, gateway, rank: Math.min(rank, first) };
    });
    if (JSON.stringify(places) === JSON.stringify(this.#places)) return false;
    this.#places = places;
    for (const key of this.#seen.keys()) if (!places.some((place) => place.key === key)) this.#seen.delete(key);
    return true;
  }

  /** A server has seen us there, from a place. Whether that is news. */
  observed(key: string, server: Locator, locator: Locator): boolean {
    const place = this.#places.find((each) => each.key === key);
    if (place === undefined || place.addresses.some((address) => sameBytes(address, locator.address))) return false;
    const { observed } = this.#seenAt(key);
    const name = locatorKey(server);
    const old = observed.get(name);
    observed.delete(name);
    observed.set(name, locator);
    for (const first of observed.keys()) {
      if (observed.size <= MAX_OBSERVED) break;
      observed.delete(first);
    }
    return old === undefined || !sameLocator(old, locator);
  }

  /** A router has opened this for us, or closed it: null. Whether that is news. */
  mapped(key: string, locator: Locator | null): boolean {
    if (!this.#places.some((place) => place.key === key)) return false;
    const seen = this.#seenAt(key);
    if ((seen.mapped === null ? "" : locatorKey(seen.mapped)) === (locator === null ? "" : locatorKey(locator))) return false;
    seen.mapped = locator;
    return true;
  }

  #seenAt(key: string): Seen {
    let seen = this.#seen.get(key);
    if (seen === undefined) {
      seen = { observed: new Map(), mapped: null };
      this.#seen.set(key, seen);
    }
    return seen;
  }
}

const NOTHING: Readonly<Seen> = Object.freeze({ observed: new Map<string, Locator>(), mapped: null });

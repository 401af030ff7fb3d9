/**
 * Where this host can be reached, for peers who may know (docs/wire.md §9.7): the addresses of its interfaces, as servers see them from outside, and what routers have opened.
 * Without I/O.
 */
import { bytesKey, formatIpText, inRange, locatorKey, locatorText, sameBytes, sameLocator, type AddressRange, type Locator, type Log } from "@i3/common";
import { canBeOneHosts, type PathPlace } from "@i3/hip";

import { Observed } from "./observed.js";

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
/** Of one interface; of all at most 16 are told. */
const MAX_ADDRESSES = 4;
const MAX_PLACES = 8;
const MAX_LOCATORS = 16;
/** Between two lines of the log about routers that are not believed: who is on the link can forge what they say. */
const QUIET_MS = 3_600_000;

interface Seen {
  readonly observed: Observed;
  mapped: Locator | null;
}

/** Of an interface and a family; the first address is the one that it is known by. */
const interfaceOf = ({ interfaceIndex, family }: Pick<MachinePlace, "interfaceIndex" | "family">): string => `${interfaceIndex} ${family}`;
const keyOf = (place: MachinePlace): string => `${interfaceOf(place)} ${place.addresses.slice(0, 1).map(bytesKey).join("")}`;

/** `more`: nothing but more addresses at the same places. */
export type PlaceChange = "none" | "more" | "other";

function changeOf(before: readonly OwnPlace[], now: readonly OwnPlace[]): PlaceChange {
  if (JSON.stringify(before) === JSON.stringify(now)) return "none";
  const withoutAddresses = (places: readonly OwnPlace[]): string => JSON.stringify(places.map((place) => ({ ...place, addresses: [] })));
  const isMore = withoutAddresses(before) === withoutAddresses(now) && before.every(({ addresses }, i) => addresses.every((old) => now[i]?.addresses.some((address) => sameBytes(address, old)) === true));
  return isMore ? "more" : "other";
}

export class OwnLocators {
  /** What servers said of us that cannot be. */
  refused = 0;
  readonly #port: number;
  readonly #range: AddressRange;
  readonly #log: Log;
  #places: readonly OwnPlace[] = [];
  #isOutside = true;
  #quietUntilMs = -Infinity;
  /** By the place's key. */
  readonly #seen = new Map<string, Seen>();

  /** @param port the UDP port that this host listens on @param range of virtual addresses @param log @default nothing is written */
  constructor(port: number, range: AddressRange, log: Log = () => undefined) {
    this.#port = port;
    this.#range = range;
    this.#log = log;
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
      const seen = this.#isOutside ? this.#seen.get(key) : undefined;
      const own = addresses.slice(0, MAX_ADDRESSES).map((address): SaidLocator => ({ kind: "host", rank, locator: { address, port: this.#port } }));
      const outside = (seen === undefined ? [] : outsideOf(seen)).map((locator): SaidLocator => ({ kind: "server", rank, locator }));
      for (const said of [...own, ...outside]) if (!found.some(({ locator }) => sameLocator(locator, said.locator))) found.push(said);
    }
    return found.slice(0, MAX_LOCATORS);
  }

  /**
   * What has changed. A place stays the same while it has the address that it was known by, whichever others come and go. @param machine those used first first
   */
  setPlaces(machine: readonly MachinePlace[]): PlaceChange {
    const places = machine.slice(0, MAX_PLACES).map((place, rank) => {
      const { interfaceIndex, family, prefixes, gateway } = place;
      // IPv4 and IPv6 of one interface are as good.
      const first = machine.findIndex((other) => other.interfaceIndex === interfaceIndex);
      const addresses = this.#asBefore(place);
      return { key: keyOf({ ...place, addresses }), interfaceIndex, family, addresses, prefixes, gateway, rank: Math.min(rank, first) };
    });
    const change = changeOf(this.#places, places);
    if (change === "none") return change;
    this.#places = places;
    for (const key of this.#seen.keys()) if (!places.some((place) => place.key === key)) this.#seen.delete(key);
    return change;
  }

  /** Its addresses, the one that it was known by first if it is still there. */
  #asBefore(place: MachinePlace): readonly Uint8Array[] {
    const [known] = this.#places.find((own) => interfaceOf(own) === interfaceOf(place))?.addresses ?? [];
    const kept = place.addresses.filter((address) => known !== undefined && sameBytes(address, known));
    return kept.length === 0 ? place.addresses : [...kept, ...place.addresses.filter((address) => !kept.includes(address))];
  }

  /** A server has seen us there, from a place. Whether what peers are told has changed. */
  observed(nowMs: number, key: string, server: Locator, locator: Locator): boolean {
    const place = this.#places.find((each) => each.key === key);
    if (place === undefined) return false;
    const { address } = locator;
    if (address[0] === 0 || !canBeOneHosts(address) || inRange(this.#range, address)) {
      this.refused += 1;
      return false;
    }
    const seen = this.#seenAt(key);
    const before = outsideOf(seen);
    const isOurs = place.addresses.some((own) => sameBytes(own, address));
    seen.observed.add(nowMs, server, locator, !isOurs ? null : locator.port === this.#port ? "address and port" : "address");
    this.#look(nowMs, place, seen);
    return isOther(before, outsideOf(seen));
  }

  /** Whether some server says of a place what no other confirms. */
  isDisputed(key: string): boolean {
    return this.#seen.get(key)?.observed.isDisputed === true;
  }

  /** A router has opened this for us, or closed it: null. Whether what peers are told has changed: not of another address than two servers see. */
  mapped(nowMs: number, key: string, locator: Locator | null): boolean {
    const place = this.#places.find((each) => each.key === key);
    if (place === undefined) return false;
    const seen = this.#seenAt(key);
    const before = outsideOf(seen);
    seen.mapped = locator;
    this.#look(nowMs, place, seen);
    return isOther(before, outsideOf(seen));
  }

  /** Says so when a router is not believed. */
  #look(nowMs: number, { gateway }: OwnPlace, { mapped, observed }: Seen): void {
    if (mapped === null || !observed.contradicts(mapped) || nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + QUIET_MS;
    this.#log("info", "port-mapping-failed", { ...(gateway !== null && { gateway: formatIpText(gateway) }), why: `at ${locatorText(mapped)}, where two servers do not see this host` });
  }

  #seenAt(key: string): Seen {
    let seen = this.#seen.get(key);
    if (seen === undefined) {
      seen = { observed: new Observed(), mapped: null };
      this.#seen.set(key, seen);
    }
    return seen;
  }
}

/** The best first; each may be there twice. */
const outsideOf = ({ mapped, observed }: Seen): readonly Locator[] => [...(mapped === null || observed.contradicts(mapped) ? [] : [mapped]), ...observed.told];

function isOther(before: readonly Locator[], now: readonly Locator[]): boolean {
  const [old, keys] = [new Set(before.map(locatorKey)), new Set(now.map(locatorKey))];
  return old.size !== keys.size || [...keys].some((key) => !old.has(key));
}

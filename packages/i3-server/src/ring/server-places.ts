/** Where servers of the ring are: who has proven to be one, and whom those name. For what goes to nobody else (fallback/). */
import { bytesKey, locatorKey, remember, type Locator } from "@i3/common";


// Ours:
const MAX_PROVEN_MEMBERS = 8_192;
/** Longer than a host goes on with a server that it was told of. */
const PLACE_MS = 600_000;
/** Where a member has proven to be: there, and where it was before it moved. A member that forges sources proves whatever it says. */
export const PROVEN_OF_ONE = 2;
/** Where a member is said to be and has not proven it: in each family, and once more when it has just moved. */
export const NAMED_OF_ONE = 4;
/** Of all. Nearly all servers prove where they are. */
export const MAX_NAMED = 1_024;

export class ServerPlaces {
  /** By member, who was heard last at the end: when each of its places ends, the oldest first. */
  readonly #provenOf = new Map<string, Map<string, number>>();
  /** Place → the members that have proven to be there. */
  readonly #provenAt = new Map<string, Set<string>>();
  /** When each ends. */
  readonly #named = new Map<string, number>();
  /** By member, the oldest first. */
  readonly #namedOf = new Map<string, Set<string>>();

  /** A member says so, and has sent from there. */
  note(nowMs: number, nodeKey: Uint8Array, locator: Locator): void {
    const [member, place] = [bytesKey(nodeKey), locatorKey(locator)];
    const places = this.#provenOf.get(member) ?? new Map<string, number>();
    places.delete(place);
    places.set(place, nowMs + PLACE_MS);
    this.#provenAt.set(place, (this.#provenAt.get(place) ?? new Set<string>()).add(member));
    this.#keepLast(member, places, PROVEN_OF_ONE);
    this.#provenOf.delete(member);
    this.#provenOf.set(member, places);
    for (const [oldest, its] of this.#provenOf) {
      if (this.#provenOf.size <= MAX_PROVEN_MEMBERS) break;
      this.#keepLast(oldest, its, 0);
      this.#provenOf.delete(oldest);
    }
  }

  #keepLast(member: string, places: Map<string, number>, count: number): void {
    for (const oldest of places.keys()) {
      if (places.size <= count) break;
      places.delete(oldest);
      const members = this.#provenAt.get(oldest);
      if (members?.delete(member) === true && members.size === 0) this.#provenAt.delete(oldest);
    }
  }

  /** One of them says that a member is there, most often that member itself: it could be anybody's address, so a few at a time. */
  noteNamed(nowMs: number, nodeKey: Uint8Array, locator: Locator): void {
    const [member, place] = [bytesKey(nodeKey), locatorKey(locator)];
    const places = this.#namedOf.get(member) ?? new Set<string>();
    places.delete(place);
    places.add(place);
    for (const oldest of places) {
      if (places.size <= NAMED_OF_ONE) break;
      places.delete(oldest);
      if (!this.#isNamedOfAny(oldest)) this.#named.delete(oldest);
    }
    remember(this.#namedOf, member, places, MAX_NAMED);
    remember(this.#named, place, nowMs + PLACE_MS, MAX_NAMED);
  }

  has(nowMs: number, locator: Locator): boolean {
    const place = locatorKey(locator);
    return (this.#named.get(place) ?? -Infinity) > nowMs || this.#isProven(nowMs, place);
  }

  #isProven(nowMs: number, place: string): boolean {
    for (const member of this.#provenAt.get(place) ?? []) if ((this.#provenOf.get(member)?.get(place) ?? -Infinity) > nowMs) return true;
    return false;
  }

  #isNamedOfAny(place: string): boolean {
    for (const places of this.#namedOf.values()) if (places.has(place)) return true;
    return false;
  }
}

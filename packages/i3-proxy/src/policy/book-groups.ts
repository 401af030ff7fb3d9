/** Which hosts of the address book are in which groups, by HIT or by id. Without I/O. */
import { bytesKey, publicId, type AddressBook } from "@i3/common";

export class BookGroups {
  /** By HIT and by id. */
  readonly #groups = new Map<string, Set<string>>();
  readonly #hasIds: boolean;

  /** @param wanted the groups that will be asked about, lower case */
  constructor(wanted: Iterable<string>, book: AddressBook) {
    const named = new Set(wanted);
    let hasIds = false;
    for (const { hit, id, groups } of named.size === 0 ? [] : book.entries) {
      const key = hit ?? id;
      const found = groups?.filter((group) => named.has(group)) ?? [];
      if (key === undefined || found.length === 0) continue;
      hasIds ||= hit === undefined;
      const all = this.#groups.get(bytesKey(key)) ?? new Set();
      for (const group of found) all.add(group);
      this.#groups.set(bytesKey(key), all);
    }
    this.#hasIds = hasIds;
  }

  /** Of a host by its HIT, 16 bytes. */
  of(hit: Uint8Array): (group: string) => boolean {
    const byHit = this.#groups.get(bytesKey(hit));
    // A host that the book knows by its id: that is a hash of the HIT.
    const byId = this.#hasIds ? this.#groups.get(bytesKey(publicId(hit))) : undefined;
    return (group) => byHit?.has(group) === true || byId?.has(group) === true;
  }

  /** Of a host of which only the id is known, 32 bytes. */
  ofId(id: Uint8Array): (group: string) => boolean {
    const groups = this.#groups.get(bytesKey(id));
    return (group) => groups?.has(group) === true;
  }

  /** Those that some host is in. */
  inUse(): ReadonlySet<string> {
    return new Set([...this.#groups.values()].flatMap((groups) => [...groups]));
  }
}

/** Virtual addresses of one family ↔ addresses of the other that they stand for (docs/datapath.md, "Translation"). */
import { LIMITS } from "../datapath.js";
import { tableFull } from "../errors.js";
import { addressKey, addressKeyAt, type AddressKey } from "./keys.js";
import { ownBuffer, requireLength } from "./octets.js";

/** What the peers of a gateway send to, and what that is to its system. */
export interface Translation {
  readonly from: Buffer;
  readonly to: Buffer;
}

export class TranslationTable {
  readonly #byFrom = new Map<AddressKey, Translation>();
  readonly #byTo = new Map<AddressKey, Translation>();

  get isEmpty(): boolean {
    return this.#byFrom.size === 0;
  }

  findFrom(address: Buffer): Translation | undefined {
    return this.#byFrom.get(addressKeyAt(address, 0, address.length));
  }

  findTo(address: Buffer): Translation | undefined {
    return this.#byTo.get(addressKeyAt(address, 0, address.length));
  }

  /** Sets, replaces or removes. Throws DatapathError ERR_I3_TABLE_FULL, RangeError. */
  set(from: Uint8Array, to: Uint8Array | null): void {
    const key = addressKey(from);
    const before = this.#byFrom.get(key);
    if (to === null) return this.#remove(key, before);
    requireFamilies(from, to);
    const taken = this.#byTo.get(addressKey(to));
    if (taken !== undefined && taken !== before) throw takenTranslation();
    if (before === undefined && this.#byFrom.size >= LIMITS.translations) throw tableFull("translation", LIMITS.translations);
    this.#remove(key, before);
    const made = { from: ownBuffer(from), to: ownBuffer(to) };
    this.#byFrom.set(key, made);
    this.#byTo.set(addressKey(to), made);
  }

  #remove(key: AddressKey, entry: Translation | undefined): void {
    if (entry === undefined) return;
    this.#byFrom.delete(key);
    this.#byTo.delete(addressKey(entry.to));
  }
}

/** Throws RangeError. */
export function requireFamilies(one: Uint8Array, other: Uint8Array): void {
  requireLength("address", other, 4, 16);
  if (one.length === other.length) throw new RangeError("two addresses of one family");
}

export const takenTranslation = (): RangeError => new RangeError("a translation to an address that another one leads to");

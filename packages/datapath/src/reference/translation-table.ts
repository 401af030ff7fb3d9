/** Of each peer: virtual addresses of one family ↔ addresses of the other that they stand for (docs/datapath.md, "Translation"). */
import { LIMITS } from "../datapath.js";
import { tableFull } from "../errors.js";
import { addressKey, addressKeyAt, type AddressKey } from "./keys.js";
import { ownBuffer, requireLength } from "./octets.js";

/** What a peer of a gateway sends to, and what that is to the gateway's system. */
export interface Translation {
  readonly from: Buffer;
  readonly to: Buffer;
}

/** Of one peer's flow. */
interface OfFlow {
  readonly byFrom: Map<AddressKey, Translation>;
  readonly byTo: Map<AddressKey, Translation>;
}

export class TranslationTable {
  readonly #byFlow = new Map<AddressKey, OfFlow>();
  #size = 0;

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** `flow`: of the family of the address. */
  findFrom(flow: AddressKey, address: Buffer): Translation | undefined {
    return this.#byFlow.get(flow)?.byFrom.get(addressKeyAt(address, 0, address.length));
  }

  /** `flow`: of the other family than the address. */
  findTo(flow: AddressKey, address: Buffer): Translation | undefined {
    return this.#byFlow.get(flow)?.byTo.get(addressKeyAt(address, 0, address.length));
  }

  /** Sets, replaces or removes. Throws DatapathError ERR_I3_TABLE_FULL, RangeError. */
  set(flow: Uint8Array, from: Uint8Array, to: Uint8Array | null): void {
    requireTranslation(flow, from, to);
    const [flowKey, key] = [addressKey(flow), addressKey(from)];
    const known = this.#byFlow.get(flowKey);
    const before = known?.byFrom.get(key);
    if (to === null) return this.#remove(flowKey, key);
    const taken = known?.byTo.get(addressKey(to));
    if (taken !== undefined && taken !== before) throw takenTranslation();
    if (before === undefined && this.#size >= LIMITS.translations) throw tableFull("translation", LIMITS.translations);
    this.#remove(flowKey, key);
    const all = this.#byFlow.get(flowKey) ?? { byFrom: new Map<AddressKey, Translation>(), byTo: new Map<AddressKey, Translation>() };
    const made = { from: ownBuffer(from), to: ownBuffer(to) };
    this.#byFlow.set(flowKey, all);
    all.byFrom.set(key, made);
    all.byTo.set(addressKey(to), made);
    this.#size += 1;
  }

  #remove(flow: AddressKey, key: AddressKey): void {
    const all = this.#byFlow.get(flow);
    const entry = all?.byFrom.get(key);
    if (all === undefined || entry === undefined) return;
    all.byFrom.delete(key);
    all.byTo.delete(addressKey(entry.to));
    if (all.byFrom.size === 0) this.#byFlow.delete(flow);
    this.#size -= 1;
  }
}

/** Throws RangeError. */
export function requireTranslation(flow: Uint8Array, from: Uint8Array, to: Uint8Array | null): void {
  requireLength("address", from, 4, 16);
  if (flow.length !== from.length) throw new RangeError("a translation of a flow of the other family");
  if (to !== null) requireFamilies(from, to);
}

/** Throws RangeError. */
export function requireFamilies(one: Uint8Array, other: Uint8Array): void {
  requireLength("address", other, 4, 16);
  if (one.length === other.length) throw new RangeError("two addresses of one family");
}

export const takenTranslation = (): RangeError => new RangeError("a translation to an address that another one of the flow leads to");

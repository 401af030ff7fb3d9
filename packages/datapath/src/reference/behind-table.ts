/** Addresses of hosts behind peers → the peer's flow (docs/datapath.md, "Behind a peer"). */
import { isPrefix, samePrefix } from "@i3/common";
import { LIMITS } from "../datapath.js";
import { tableFull } from "../errors.js";
import { addressKey, type AddressKey } from "./keys.js";

export interface BehindEntry {
  readonly address: Uint8Array;
  readonly bits: number;
  readonly flow: AddressKey;
  /** ms. */
  lastUse: number | undefined;
}

export class BehindTable {
  readonly #hosts = new Map<AddressKey, BehindEntry>();
  /** The longest first. */
  #prefixes: readonly BehindEntry[] = [];

  /** The entry of the longest prefix for the address of `length` bytes at `at`. */
  at(bytes: Uint8Array, at: number, length: number): BehindEntry | undefined {
    if (this.#hosts.size === 0 && this.#prefixes.length === 0) return undefined;
    const address = bytes.subarray(at, at + length);
    return this.#hosts.get(addressKey(address)) ?? this.#prefixes.find((prefix) => prefix.address.length === length && samePrefix(prefix.address, address, prefix.bits));
  }

  /** Of a single address. */
  host(key: AddressKey): BehindEntry | undefined {
    return this.#hosts.get(key);
  }

  /** Sets, replaces or removes; the last use stays. Throws DatapathError ERR_I3_TABLE_FULL, RangeError. */
  set(address: Uint8Array, bits: number, flow: Uint8Array | null): void {
    const key = addressKey(address);
    requirePrefix(address, bits, flow);
    if (bits < address.length * 8) return this.#setPrefix(address, bits, flow);
    const before = this.#hosts.get(key);
    if (flow === null) return void this.#hosts.delete(key);
    if (before === undefined && this.#hosts.size >= LIMITS.behind) throw tableFull(...behindBound(address, bits));
    this.#hosts.set(key, entryOf(address, bits, flow, before));
  }

  #setPrefix(address: Uint8Array, bits: number, flow: Uint8Array | null): void {
    const before = this.#prefixes.find((prefix) => prefix.bits === bits && Buffer.compare(prefix.address, address) === 0);
    const others = this.#prefixes.filter((prefix) => prefix !== before);
    if (flow !== null && before === undefined && others.length >= LIMITS.behindPrefixes) throw tableFull(...behindBound(address, bits));
    this.#prefixes = flow === null ? others : [...others, entryOf(address, bits, flow, before)].sort((a, b) => b.bits - a.bits);
  }
}

const entryOf = (address: Uint8Array, bits: number, flow: Uint8Array, before: BehindEntry | undefined): BehindEntry => ({ address: Uint8Array.from(address), bits, flow: addressKey(flow), lastUse: before?.lastUse });

/** What is full, and how many there may be. */
export const behindBound = (address: Uint8Array, bits: number): readonly [what: string, limit: number] =>
  bits < address.length * 8 ? ["prefix behind a peer", LIMITS.behindPrefixes] : ["host behind a peer", LIMITS.behind];

/** Throws RangeError. */
export function requirePrefix(address: Uint8Array, bits: number, flow: Uint8Array | null): void {
  if (!Number.isInteger(bits) || bits < 0 || bits > address.length * 8) throw new RangeError(`prefix of ${bits} bits`);
  if (!isPrefix(address, bits)) throw new RangeError(`prefix of ${bits} bits with more behind them`);
  if (flow !== null && flow.length !== address.length) throw new RangeError("hosts behind a flow of the other family");
}

/** The parts of `<anonymous range>` that instances have their addresses from. Without I/O. */
import { ANONYMOUS_PART_BITS, type AddressRange } from "@i3/common";

/**
 * Each instance has a part of its own, drawn at random, in which nobody else on this machine ever has an address: so nothing is in the way of what a gateway names there, and its answers to
 * one identity of this machine tell nothing of another one.
 */
export class AddressParts {
  readonly #range: AddressRange;
  readonly #randomBytes: (length: number) => Uint8Array;
  readonly #taken = new Set<number>();

  constructor(range: AddressRange, randomBytes: (length: number) => Uint8Array) {
    this.#range = range;
    this.#randomBytes = randomBytes;
  }

  /** One that is nobody's; null: there is none. @param isReal whether something real of this machine, or that it reaches, has addresses there */
  take(isReal: (part: AddressRange) => boolean): AddressRange | null {
    const free = Array.from({ length: 2 ** (ANONYMOUS_PART_BITS - this.#range.prefixBits) }, (_, i) => i).filter((i) => !this.#taken.has(i) && !isReal(this.#part(i)));
    const drawn = free.length === 0 ? undefined : free[new DataView(this.#randomBytes(4).slice().buffer).getUint32(0) % free.length];
    if (drawn === undefined) return null;
    this.#taken.add(drawn);
    return this.#part(drawn);
  }

  /** Nobody holds addresses of it any more. */
  give({ network }: AddressRange): void {
    this.#taken.delete(new DataView(network.slice().buffer).getUint32(0) % 2 ** (32 - this.#range.prefixBits) / PART_SIZE);
  }

  #part(index: number): AddressRange {
    const network = this.#range.network.slice();
    const view = new DataView(network.buffer);
    view.setUint32(0, view.getUint32(0) + index * PART_SIZE);
    return { network, prefixBits: ANONYMOUS_PART_BITS };
  }
}

const PART_SIZE = 2 ** (32 - ANONYMOUS_PART_BITS);

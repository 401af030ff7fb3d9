/**
 * Draws virtual addresses: `10.H24(id)` and the HIT where they are free, so that both ends see the same headers (paper §3.3);
 * otherwise a random one. An address that the machine uses for something real is never given out.
 */
import { addressInRange, bytesKey, concatBytes, virtualAddress, type AddressRange } from "@i3/common";

/** Where random IPv6 addresses come from, for peers that have not proved a HIT. */
const RANDOM6_PREFIX = Uint8Array.of(0xfd, 0x69, 0x33, 0x00);
/** A range that is this hard to find a free address in is full. */
const MAX_DRAWS = 128;
const MAX_PREPARED = 4_096;

export interface AddressSource {
  readonly range: AddressRange;
  /** Whether a real route, interface or resolver of this machine has the address. */
  readonly isTaken: (address: Uint8Array) => boolean;
  readonly randomBytes: (length: number) => Uint8Array;
}

export class VirtualAddresses {
  readonly #source: AddressSource;
  readonly #given = new Set<string>();
  /** Addresses that belong to ids, computed beforehand. */
  readonly #wanted = new Map<string, Uint8Array>();

  constructor(source: AddressSource) {
    this.#source = source;
  }

  /** Computes the address of an id that is likely to be asked for. At most 4,096 are kept. */
  prepare(id: Uint8Array): void {
    if (this.#wanted.size < MAX_PREPARED) this.#wanted.set(bytesKey(id), virtualAddress(this.#source.range, id));
  }

  /** The address that belongs to an id, or a free random one; null when the range is full. 4 bytes. */
  draw4(id: Uint8Array | null): Uint8Array | null {
    if (id !== null) {
      const wanted = this.#wanted.get(bytesKey(id))?.slice() ?? virtualAddress(this.#source.range, id);
      if (this.take(wanted)) return wanted;
    }
    const hosts = 2 ** (32 - this.#source.range.prefixBits);
    for (let i = 0; i < MAX_DRAWS; i += 1) {
      const random = new DataView(this.#source.randomBytes(4).slice().buffer).getUint32(0) % hosts;
      const address = addressInRange(this.#source.range, random);
      if (random !== 0 && random !== hosts - 1 && this.take(address)) return address;
    }
    return null;
  }

  /** The HIT, or a random address when it is not known or given to somebody else. 16 bytes. */
  draw6(hit: Uint8Array | null): Uint8Array {
    if (hit !== null && this.take(hit)) return hit.slice();
    for (;;) {
      const address = concatBytes(RANDOM6_PREFIX, this.#source.randomBytes(12));
      if (this.take(address)) return address;
    }
  }

  /** Takes one address (4 or 16 bytes) if it is free. */
  take(address: Uint8Array): boolean {
    const key = bytesKey(address);
    if (this.#given.has(key) || this.#source.isTaken(address)) return false;
    this.#given.add(key);
    return true;
  }

  give(address: Uint8Array): void {
    this.#given.delete(bytesKey(address));
  }
}

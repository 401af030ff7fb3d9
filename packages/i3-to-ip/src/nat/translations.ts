/**
 * Virtual addresses of servers that have only the other family (RFC 7915; docs/datapath.md, "Translation"): what the TUN has in the place of each. The engine translates for all clients alike, so an address
 * that is translated is nobody's otherwise: neither what another client calls a server of that family, nor what stands for another one.
 *
 *     IPv4 → IPv6: fd | H("gateway", HIT)[5] | 0 0 | H("gateway translation", HIT, virtual 4, try 1)[8]
 *     IPv6 → IPv4: in the gateway's own virtual range, H24 of H("gateway translation", HIT, virtual 16, try 1); on the TUN alone, so that a real network may have it
 */
import { bytesKey, concatBytes, domainHash, MAX_TRY, serverPrefix6, virtualAddress, type AddressRange } from "@i3/common";

import type { Called, Translating } from "../policy/led-clients.js";

export interface TranslationsInit {
  /** Without, nothing is translated. */
  readonly isOn: boolean;
  /** Of the gateway, 16 bytes. */
  readonly hit: Uint8Array;
  readonly range: AddressRange;
  /** To this host, or to a client. */
  readonly isGiven: (address: Uint8Array) => boolean;
  /** In the engine; null: no more. */
  readonly set: (from: Uint8Array, to: Uint8Array | null) => void;
}

interface Translation extends Called {
  /** Of clients who call a server so. */
  count: number;
}

export class Translations implements Translating {
  readonly #init: TranslationsInit;
  readonly #byVirtual = new Map<string, Translation>();
  readonly #byInside = new Map<string, Translation>();
  /** Of addresses that are not translated: so many clients have them. */
  readonly #plain = new Map<string, number>();

  constructor(init: TranslationsInit) {
    this.#init = init;
  }

  get size(): number {
    return this.#byVirtual.size;
  }

  /** What the TUN would have for a server at a virtual address. Null: nothing may, at this one. */
  calledFor(virtual: Uint8Array, real: Uint8Array): Called | null {
    if (virtual.length === real.length) return { virtual, inside: virtual };
    const known = this.#byVirtual.get(bytesKey(virtual));
    if (known !== undefined) return known;
    for (let tries = 0; tries <= MAX_TRY; tries += 1) {
      const called = { virtual, inside: this.#insideOf(virtual, tries) };
      if (this.takes(called)) return called;
    }
    return null;
  }

  takes(called: Called): boolean {
    const [virtual, inside] = [bytesKey(called.virtual), bytesKey(called.inside)];
    if (virtual === inside) return !this.#byVirtual.has(virtual) && !this.#byInside.has(virtual);
    const known = this.#byVirtual.get(virtual);
    if (known !== undefined || this.#byInside.has(inside)) return known !== undefined && known === this.#byInside.get(inside);
    return this.#init.isOn && [virtual, inside].every((key) => !this.#plain.has(key)) && !this.#byInside.has(virtual) && !this.#byVirtual.has(inside) && !this.#init.isGiven(called.inside);
  }

  added(called: Called): void {
    const [virtual, inside] = [bytesKey(called.virtual), bytesKey(called.inside)];
    if (virtual === inside) return void this.#plain.set(virtual, (this.#plain.get(virtual) ?? 0) + 1);
    const known = this.#byVirtual.get(virtual);
    if (known !== undefined) return void (known.count += 1);
    const translation = { ...called, count: 1 };
    this.#byVirtual.set(virtual, translation);
    this.#byInside.set(inside, translation);
    this.#init.set(called.virtual, called.inside);
  }

  removed(called: Called): void {
    const virtual = bytesKey(called.virtual);
    const [plain, known] = [this.#plain.get(virtual), this.#byVirtual.get(virtual)];
    if (known === undefined) {
      if (plain === 1) this.#plain.delete(virtual);
      else if (plain !== undefined) this.#plain.set(virtual, plain - 1);
      return;
    }
    known.count -= 1;
    if (known.count > 0) return;
    this.#byVirtual.delete(virtual);
    this.#byInside.delete(bytesKey(called.inside));
    this.#init.set(called.virtual, null);
  }

  #insideOf(virtual: Uint8Array, tries: number): Uint8Array {
    const { hit, range } = this.#init;
    const id = domainHash("gateway translation", hit, virtual, Uint8Array.of(tries));
    return virtual.length === 4 ? concatBytes(serverPrefix6(hit), id.subarray(0, 8)) : virtualAddress(range, id);
  }
}

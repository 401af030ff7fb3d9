/**
 * Virtual addresses of servers that have only the other family (RFC 7915; docs/datapath.md, "Translation"): what the TUN has in the place of each, and what the engine was told of it. Each client has its own: what
 * one calls a server is nothing to another. Without I/O.
 *
 *     IPv4 → IPv6: fd | H("gateway", HIT)[5] | 0 0 | H("gateway translation", HIT, virtual 4, try 1)[8]
 *     IPv6 → IPv4: in the gateway's own virtual range, H24 of H("gateway translation", HIT, virtual 16, try 1); on the TUN alone, so that a real network or another client may have it
 */
import { bytesKey, concatBytes, domainHash, MAX_TRY, sameBytes, serverPrefix6, virtualAddress, type AddressRange } from "@i3/common";

import type { Called, Led } from "../policy/led-clients.js";

export interface TranslationsInit {
  /** Without, nothing is translated. */
  readonly isOn: boolean;
  /** Of the gateway, 16 bytes. */
  readonly hit: Uint8Array;
  readonly range: AddressRange;
  /** This host's own, which sends by itself to clients. */
  readonly isOwn: (address: Uint8Array) => boolean;
  /** In the engine; null: no more. @param client its virtual address here, of the family of `from` */
  readonly set: (client: Uint8Array, from: Uint8Array, to: Uint8Array | null) => void;
}

export class Translations {
  readonly #init: TranslationsInit;
  /** What the engine has: by client address, then by virtual one. */
  readonly #told = new Map<string, { readonly client: Uint8Array; readonly byVirtual: Map<string, Called> }>();
  #size = 0;

  constructor(init: TranslationsInit) {
    this.#init = init;
  }

  /** That the engine has. */
  get size(): number {
    return this.#size;
  }

  /** What the TUN would have for a server at a virtual address, whoever else is there. Null: nothing may. */
  calledFor(virtual: Uint8Array, real: Uint8Array): Called | null {
    if (virtual.length === real.length) return { virtual, inside: virtual };
    for (let tries = 0; tries <= MAX_TRY; tries += 1) {
      const called = { virtual, inside: this.#insideOf(virtual, tries) };
      if (this.takes(called)) return called;
    }
    return null;
  }

  takes(called: Called): boolean {
    return !isTranslated(called) || (this.#init.isOn && !this.#init.isOwn(called.inside));
  }

  /** A client that is here, at these addresses, has been led to a server. Only what differs is told. */
  tell(client: readonly Uint8Array[], { called }: Led): void {
    for (const one of called.filter(isTranslated)) this.#tell(atFamily(client, one), one);
  }

  /** The server is the client's no more, or not at these virtual addresses. */
  forget(client: readonly Uint8Array[], { called }: Led): void {
    for (const one of called.filter(isTranslated)) this.#untell(atFamily(client, one), one);
  }

  /** A client address is nobody's any more. */
  release(client: Uint8Array): void {
    for (const called of this.#told.get(bytesKey(client))?.byVirtual.values() ?? []) this.#untell(client, called);
  }

  #tell(client: Uint8Array | undefined, called: Called): void {
    if (client === undefined) return;
    const [key, virtual] = [bytesKey(client), bytesKey(called.virtual)];
    const told = this.#told.get(key) ?? { client: client.slice(), byVirtual: new Map<string, Called>() };
    const before = told.byVirtual.get(virtual);
    if (before !== undefined && sameBytes(before.inside, called.inside)) return;
    this.#init.set(client, called.virtual, called.inside);
    if (before === undefined) this.#size += 1;
    told.byVirtual.set(virtual, called);
    this.#told.set(key, told);
  }

  #untell(client: Uint8Array | undefined, { virtual }: Called): void {
    const told = client === undefined ? undefined : this.#told.get(bytesKey(client));
    if (told?.byVirtual.delete(bytesKey(virtual)) !== true) return;
    this.#size -= 1;
    if (told.byVirtual.size === 0) this.#told.delete(bytesKey(told.client));
    this.#init.set(told.client, virtual, null);
  }

  #insideOf(virtual: Uint8Array, tries: number): Uint8Array {
    const { hit, range } = this.#init;
    const id = domainHash("gateway translation", hit, virtual, Uint8Array.of(tries));
    return virtual.length === 4 ? concatBytes(serverPrefix6(hit), id.subarray(0, 8)) : virtualAddress(range, id);
  }
}

const isTranslated = ({ virtual, inside }: Called): boolean => virtual.length !== inside.length;
const atFamily = (client: readonly Uint8Array[], { virtual }: Called): Uint8Array | undefined => client.find(({ length }) => length === virtual.length);

/**
 * Virtual addresses of servers that have only the other family (RFC 7915; docs/datapath.md, "Translation"): what the TUN has in the place of each, and what the engine was told of it. Each client has its own: what
 * one calls a server is nothing to another. Without I/O.
 *
 *     IPv4 → IPv6: fd | H("gateway", HIT)[5] | 0 0 | H("gateway translation", secret, HIT, virtual 4)[8]
 *     IPv6 → IPv4: in 240.0.0.0/8, H24 of H("gateway translation", secret, HIT, virtual 16); on the TUN alone
 *
 * No real host has either: what a client sends by address to a host never meets a server that a name has led it to, and the other way round, whatever servers somebody has names for.
 */
import { bytesKey, concatBytes, domainHash, inRange, sameBytes, serverPrefix6, virtualAddress, type AddressRange } from "@i3/common";

import type { AddressKey } from "../dns/server-address.js";
import type { Called, Led } from "../policy/led-clients.js";

/** Reserved (RFC 1112 §4), and refused as an address of a server: reach.ts. */
export const INSIDE_RANGE: AddressRange = { network: Uint8Array.of(240, 0, 0, 0), prefixBits: 8 };

export interface TranslationsInit {
  /** Without, nothing is translated. */
  readonly isOn: boolean;
  readonly key: AddressKey;
  /** {@link INSIDE_RANGE} */
  readonly range: AddressRange;
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

  /** What the TUN would have for a server at a virtual address, whoever else is there. Null: nothing is translated. */
  calledFor(virtual: Uint8Array, real: Uint8Array): Called | null {
    if (virtual.length === real.length) return { virtual, inside: virtual };
    return this.#init.isOn ? { virtual, inside: this.#insideOf(virtual) } : null;
  }

  /** Of an earlier run, which may have been of another kind. */
  takes(called: Called): boolean {
    return !isTranslated(called) || (this.#init.isOn && (called.inside.length === 16 || inRange(this.#init.range, called.inside)));
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

  #insideOf(virtual: Uint8Array): Uint8Array {
    const { key: { hit, secret }, range } = this.#init;
    const id = domainHash("gateway translation", secret, hit, virtual);
    return virtual.length === 4 ? concatBytes(serverPrefix6(hit), id.subarray(0, 8)) : virtualAddress(range, id);
  }
}

const isTranslated = ({ virtual, inside }: Called): boolean => virtual.length !== inside.length;
const atFamily = (client: readonly Uint8Array[], { virtual }: Called): Uint8Array | undefined => client.find(({ length }) => length === virtual.length);

/**
 * Who gets what arrives. An id of ours must be named exactly, as at every host (docs/wire.md §3); a member that is chosen by anycast also
 * takes the other anycast ids of its group, since a packet keeps the id that its sender has named.
 */
import { bytesKey } from "@i3/common";

import { ANYCAST_PREFIX_BYTES } from "./group.js";

export type Receiver<M> = (message: M) => void;

const prefixKey = (id: Uint8Array): string => bytesKey(id.subarray(0, ANYCAST_PREFIX_BYTES));

export class Receivers<M> {
  readonly #exact = new Map<string, Receiver<M>>();
  readonly #anycast = new Map<string, Receiver<M>>();

  /** `id` 32 bytes. */
  set(id: Uint8Array, receiver: Receiver<M>): void {
    this.#exact.set(bytesKey(id), receiver);
  }

  /** All anycast ids of the group that `id` is of. False: there is one already. */
  setAnycast(id: Uint8Array, receiver: Receiver<M>): boolean {
    if (this.#anycast.has(prefixKey(id))) return false;
    this.#anycast.set(prefixKey(id), receiver);
    return true;
  }

  /** Whichever of the two it was. */
  delete(id: Uint8Array, receiver: Receiver<M>): void {
    if (this.#exact.get(bytesKey(id)) === receiver) this.#exact.delete(bytesKey(id));
    if (this.#anycast.get(prefixKey(id)) === receiver) this.#anycast.delete(prefixKey(id));
  }

  find(id: Uint8Array): Receiver<M> | undefined {
    return this.#exact.get(bytesKey(id)) ?? this.#anycast.get(prefixKey(id));
  }
}

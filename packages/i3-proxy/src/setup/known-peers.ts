/**
 * Tells the packet engine where peers are that this host speaks with, or calls, without i3: so that a flood from elsewhere does not take the
 * place of their HIP packets.
 */
import type { Datapath } from "@i3/datapath";
import type { HipPath } from "@i3/hip";

import { addressCalled, type Link } from "./hip-link.js";

const addressOf = (path: HipPath | null): Uint8Array | null => (path === null || path.kind === "i3" ? null : path.kind === "ip" ? path.address : path.locator.address);

export class KnownPeers {
  readonly #datapath: Pick<Datapath, "setKnownSource">;
  readonly #known = new Map<Link, readonly Uint8Array[]>();

  constructor(datapath: Pick<Datapath, "setKnownSource">) {
    this.#datapath = datapath;
  }

  /** After a link's association, its place or its call has changed. */
  update(link: Link): void {
    const addresses = [link.association === null ? null : (link.locator?.address ?? null), addressOf(addressCalled(link))];
    this.#set(link, addresses.filter((address) => address !== null));
  }

  forget(link: Link): void {
    this.#set(link, []);
  }

  #set(link: Link, now: readonly Uint8Array[]): void {
    const before = this.#known.get(link) ?? [];
    // Those of now first: an address that stays is not forgotten in between.
    for (const address of now) this.#datapath.setKnownSource(address, true);
    for (const address of before) this.#datapath.setKnownSource(address, false);
    if (now.length === 0) this.#known.delete(link);
    else this.#known.set(link, now);
  }
}

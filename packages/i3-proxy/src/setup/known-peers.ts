/**
 * Peers that this host speaks with, or calls, without i3. The packet engine is told where they are, so that a flood from elsewhere does not take the
 * place of their HIP packets; and a byte goes to each now and then, so that NATs before either keep what they know (docs/wire.md §1).
 */
import type { ViaLocator } from "@i3/common";
import type { Datapath } from "@i3/datapath";
import type { HipPath } from "@i3/hip";

import { addressCalled, type Link } from "./hip-link.js";

/**
 * RFC 9028 §4.10: every 15 s. DEVIATION: the byte of RFC 3948 §2.3, which any ESP peer takes and drops, in place of a HIP packet that some peers do not know; and it
 * goes whether or not something else did.
 */
export const KEEP_ALIVE_MS = 15_000;
const KEEP_ALIVE = Uint8Array.of(0xff);

const addressOf = (path: HipPath | null): Uint8Array | null => (path === null || path.kind === "i3" ? null : path.kind === "ip" ? path.address : path.locator.address);

export class KnownPeers {
  readonly #datapath: Pick<Datapath, "setKnownSource" | "send">;
  readonly #nowMs: () => number;
  readonly #known = new Map<Link, readonly Uint8Array[]>();
  /** When the next byte goes to each, the soonest first. */
  readonly #kept = new Map<Link, number>();

  constructor(datapath: Pick<Datapath, "setKnownSource" | "send">, nowMs: () => number) {
    this.#datapath = datapath;
    this.#nowMs = nowMs;
  }

  get dueMs(): number {
    const [dueMs] = this.#kept.values();
    return dueMs ?? Infinity;
  }

  /** After a link's association, its place or its call has changed. */
  update(link: Link): void {
    const addresses = [link.association === null ? null : (link.locator?.address ?? null), addressOf(addressCalled(link))];
    this.#set(link, addresses.filter((address) => address !== null));
    if (keptPlace(link) === null) this.#kept.delete(link);
    else if (!this.#kept.has(link)) this.#kept.set(link, this.#nowMs() + KEEP_ALIVE_MS);
  }

  forget(link: Link): void {
    this.#set(link, []);
    this.#kept.delete(link);
  }

  handleTimer(nowMs: number): void {
    for (const [link, dueMs] of this.#kept) {
      if (dueMs > nowMs) break;
      this.#kept.delete(link);
      const locator = keptPlace(link);
      if (locator === null) continue;
      this.#kept.set(link, nowMs + KEEP_ALIVE_MS);
      this.#datapath.send([{ locator, bytes: KEEP_ALIVE.slice() }]);
    }
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

/** Where a peer is whose association goes in UDP. */
const keptPlace = ({ association, locator }: Link): ViaLocator | null => (association === null || locator === null || locator.via === "ip" ? null : locator);

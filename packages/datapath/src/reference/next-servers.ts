/** Ring key → the server where packets for it go next, and the packets that wait for one. */
import { LIMITS } from "../datapath.js";
import type { Locator } from "@i3/common";
import { tableFull } from "../errors.js";
import { encodeEndpoint } from "./endpoints.js";
import { PacketQueue, type QueueBudget, type Queued } from "./queues.js";
import { SourceShares, sourceKeyAt } from "./source-shares.js";

/** Ring keys for which packets wait (ours: a server asks for each; a flood of random ids must not make it ask for millions). */
export const MAX_WAITING_ROUTES = 4_096;
/** Of them, and of the bytes that wait for a route, what one source may hold (ours: an eighth, so that one flood leaves room for others). */
export const MAX_WAITING_ROUTES_PER_SOURCE = MAX_WAITING_ROUTES / 8;
export const MAX_WAITING_BYTES_PER_SOURCE = LIMITS.queuedBytes / 8;

/** A datagram as it will be looked at again. `replaced`: this server has put another stack into it. */
export interface WaitingDatagram extends Queued {
  readonly from: Buffer;
  readonly trafficClass: number;
  readonly replaced: boolean;
}

export class NextServers {
  readonly #table = new Map<string, Uint8Array>();
  #fallback: Uint8Array | null = null;

  /** The endpoint, the default server's when the key is not in the table, or null. */
  lookup(key: string): Uint8Array | null {
    return this.#table.get(key) ?? this.#fallback;
  }

  /** Throws DatapathError ERR_I3_TABLE_FULL. */
  set(key: string, locator: Locator | null): void {
    if (locator === null) {
      this.#table.delete(key);
      return;
    }
    if (!this.#table.has(key) && this.#table.size >= LIMITS.nextServers) throw tableFull("next-server", LIMITS.nextServers);
    this.#table.set(key, encodeEndpoint(locator));
  }

  setDefault(locator: Locator | null): void {
    this.#fallback = locator === null ? null : encodeEndpoint(locator);
  }
}

interface WaitingRoute {
  readonly queue: PacketQueue<WaitingDatagram>;
  /** Whose share the key is. */
  readonly source: string;
}

export class WaitingRoutes {
  readonly #routes = new Map<string, WaitingRoute>();
  readonly #keyShares = new SourceShares(MAX_WAITING_ROUTES_PER_SOURCE);
  readonly #byteShares = new SourceShares(MAX_WAITING_BYTES_PER_SOURCE);
  readonly #budget: QueueBudget;

  constructor(budget: QueueBudget) {
    this.#budget = budget;
  }

  keys(): readonly string[] {
    return [...this.#routes.keys()];
  }

  /** The key does not wait and could, as far as there is room, of all and of this source. */
  mayOpen(key: string, source: string): boolean {
    return !this.#routes.has(key) && this.#routes.size < MAX_WAITING_ROUTES && this.#keyShares.hasRoom(source, 1);
  }

  /** A key that {@link mayOpen}. */
  open(key: string, source: string): void {
    this.#keyShares.take(source, 1);
    this.#routes.set(key, { queue: new PacketQueue<WaitingDatagram>(LIMITS.queuedPacketsPerRoute, this.#budget), source });
  }

  /** Queues a packet of `bytes` bytes for an opened key; `make` copies it. False when there is no room. */
  push(key: string, source: string, bytes: number, make: () => WaitingDatagram): boolean {
    const route = this.#routes.get(key);
    if (route === undefined || !this.#byteShares.take(source, bytes)) return false;
    if (route.queue.push(bytes, make)) return true;
    this.#byteShares.give(source, bytes);
    return false;
  }

  /** What waits for the key, which waits no longer. */
  take(key: string): readonly WaitingDatagram[] {
    const route = this.#routes.get(key);
    if (route === undefined) return [];
    this.#routes.delete(key);
    this.#keyShares.give(route.source, 1);
    const packets = route.queue.takeAll();
    for (const { from, bytes } of packets) this.#byteShares.give(sourceKeyAt(from, 0), bytes.length);
    return packets;
  }
}

/** Ring key → the server where packets for it go next, and the packets that wait for one. */
import { LIMITS } from "../datapath.js";
import type { Locator } from "@i3/common";
import { tableFull } from "../errors.js";
import { encodeEndpoint } from "./endpoints.js";
import { PacketQueue, type QueueBudget, type Queued } from "./queues.js";

/** Ring keys for which packets wait (ours: a server asks for each; a flood of random ids must not make it ask for millions). */
export const MAX_WAITING_ROUTES = 4_096;

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

export class WaitingRoutes {
  readonly #queues = new Map<string, PacketQueue<WaitingDatagram>>();
  readonly #budget: QueueBudget;

  constructor(budget: QueueBudget) {
    this.#budget = budget;
  }

  keys(): readonly string[] {
    return [...this.#queues.keys()];
  }

  /** `open`: it now waits and the control plane must be asked; `waits`: it does already; `full`: there are too many. */
  open(key: string): "open" | "waits" | "full" {
    if (this.#queues.has(key)) return "waits";
    if (this.#queues.size >= MAX_WAITING_ROUTES) return "full";
    this.#queues.set(key, new PacketQueue<WaitingDatagram>(LIMITS.queuedPacketsPerRoute, this.#budget));
    return "open";
  }

  /** Queues a packet of `bytes` bytes for an opened key; `make` copies it. False when there is no room. */
  push(key: string, bytes: number, make: () => WaitingDatagram): boolean {
    return this.#queues.get(key)?.push(bytes, make) ?? false;
  }

  /** What waits for the key, which waits no longer. */
  take(key: string): readonly WaitingDatagram[] {
    const queue = this.#queues.get(key);
    this.#queues.delete(key);
    return queue?.takeAll() ?? [];
  }
}

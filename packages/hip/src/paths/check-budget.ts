/** How many checks go to machines that have not answered any: who says that he is reached there may lie (docs/wire.md §9.7). One for all associations of a host. */
import { KeyedBuckets, sourceKey, TokenBucket } from "@i3/common";

import {
  CHECKS_BURST, CHECKS_PER_MACHINE_BURST, CHECKS_PER_MACHINE_PER_SECOND, CHECKS_PER_SECOND, MACHINE_SHARE, MAX_MACHINES, MAX_PEERS, PEER_CHECKS_BURST, PEER_CHECKS_PER_SECOND, STRANGERS_SHARE,
} from "./constants.js";

/** Of one peer. */
export interface CheckShare {
  /** @param address 4 or 16 bytes */
  readonly take: (nowMs: number, address: Uint8Array) => boolean;
}

export class CheckBudget {
  readonly #all = new TokenBucket(CHECKS_PER_SECOND, CHECKS_BURST);
  readonly #strangers = new TokenBucket(CHECKS_PER_SECOND * STRANGERS_SHARE, CHECKS_BURST * STRANGERS_SHARE);
  readonly #peers = new KeyedBuckets({ perSecond: PEER_CHECKS_PER_SECOND, burst: PEER_CHECKS_BURST, maxKeys: MAX_PEERS });
  readonly #machines = new KeyedBuckets({ perSecond: CHECKS_PER_MACHINE_PER_SECOND, burst: CHECKS_PER_MACHINE_BURST, maxKeys: MAX_MACHINES });
  /** Of each machine's, by peer; strangers together. */
  readonly #shares = new KeyedBuckets({ perSecond: CHECKS_PER_MACHINE_PER_SECOND * MACHINE_SHARE, burst: CHECKS_PER_MACHINE_BURST * MACHINE_SHARE, maxKeys: MAX_MACHINES });
  /** Times that a check was not let out. */
  refused = 0;

  /** The same for all associations with a peer, those that are over too. @param peer its key's name @param isStranger it makes as many keys as it likes */
  share(peer: string, isStranger: boolean): CheckShare {
    return { take: (nowMs, address) => this.#take(nowMs, peer, isStranger, sourceKey(address)) };
  }

  /** What one bound refuses costs nothing of another, and makes nobody remembered. */
  #take(nowMs: number, peer: string, isStranger: boolean, machine: string): boolean {
    const part = `${isStranger ? "" : peer} ${machine}`;
    const isAllowed = this.#peers.has(nowMs, peer) && this.#all.has(nowMs) && (!isStranger || this.#strangers.has(nowMs)) && this.#shares.has(nowMs, part) && this.#machines.has(nowMs, machine);
    if (!isAllowed) {
      this.refused += 1;
      return false;
    }
    this.#peers.take(nowMs, peer);
    this.#all.take(nowMs);
    if (isStranger) this.#strangers.take(nowMs);
    this.#shares.take(nowMs, part);
    return this.#machines.take(nowMs, machine);
  }
}

/** How many checks go to machines that have not answered any: who says that he is reached there may lie (docs/wire.md §9.7). One for all associations of a host. */
import { KeyedBuckets, sourceKey, TokenBucket } from "@i3/common";

import {
  ASSOCIATION_CHECKS_BURST, ASSOCIATION_CHECKS_PER_SECOND, CHECKS_BURST, CHECKS_PER_MACHINE_BURST, CHECKS_PER_MACHINE_PER_SECOND, CHECKS_PER_SECOND, MACHINE_SHARE, MAX_MACHINES,
} from "./constants.js";

/** Of one association. */
export interface CheckShare {
  /** @param address 4 or 16 bytes */
  readonly take: (nowMs: number, address: Uint8Array) => boolean;
}

export class CheckBudget {
  readonly #all = new TokenBucket(CHECKS_PER_SECOND, CHECKS_BURST);
  readonly #machines = new KeyedBuckets({ perSecond: CHECKS_PER_MACHINE_PER_SECOND, burst: CHECKS_PER_MACHINE_BURST, maxKeys: MAX_MACHINES });
  /** Of each machine's, by association. */
  readonly #shares = new KeyedBuckets({ perSecond: CHECKS_PER_MACHINE_PER_SECOND * MACHINE_SHARE, burst: CHECKS_PER_MACHINE_BURST * MACHINE_SHARE, maxKeys: MAX_MACHINES });
  #associations = 0;
  /** Times that a check was not let out. */
  refused = 0;

  /** For one more association. */
  share(): CheckShare {
    const name = this.#associations++;
    const own = new TokenBucket(ASSOCIATION_CHECKS_PER_SECOND, ASSOCIATION_CHECKS_BURST);
    return { take: (nowMs, address) => this.#take(nowMs, own, `${name} `, sourceKey(address)) };
  }

  /** What one bound refuses costs nothing of another, and makes no machine remembered. */
  #take(nowMs: number, own: TokenBucket, prefix: string, machine: string): boolean {
    const isAllowed = own.has(nowMs) && this.#all.has(nowMs) && this.#shares.has(nowMs, prefix + machine) && this.#machines.has(nowMs, machine);
    if (!isAllowed) {
      this.refused += 1;
      return false;
    }
    own.take(nowMs);
    this.#all.take(nowMs);
    this.#shares.take(nowMs, prefix + machine);
    return this.#machines.take(nowMs, machine);
  }
}

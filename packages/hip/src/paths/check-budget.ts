/** How many checks go to machines that have not answered any: who says that he is reached there may lie (docs/wire.md §9.7). One for all associations of a host. */
import { SourceBuckets, TokenBucket } from "@i3/common";

import { CHECKS_BURST, CHECKS_PER_MACHINE_BURST, CHECKS_PER_MACHINE_PER_SECOND, CHECKS_PER_SECOND, MAX_MACHINES } from "./constants.js";

export class CheckBudget {
  readonly #all = new TokenBucket(CHECKS_PER_SECOND, CHECKS_BURST);
  readonly #machines = new SourceBuckets({ perSecond: CHECKS_PER_MACHINE_PER_SECOND, burst: CHECKS_PER_MACHINE_BURST, maxSources: MAX_MACHINES });
  /** Checks that were not sent. */
  refused = 0;

  /** @param address 4 or 16 bytes */
  take(nowMs: number, address: Uint8Array): boolean {
    const isAllowed = this.#machines.take(nowMs, address) && this.#all.take(nowMs);
    if (!isAllowed) this.refused += 1;
    return isAllowed;
  }
}

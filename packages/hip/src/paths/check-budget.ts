/** How many checks go to machines that have not answered any: who says that he is reached there may lie (docs/wire.md §9.7). One for all associations of a host. */
import { bytesKey, TokenBucket } from "@i3/common";

import { CHECKS_BURST, CHECKS_PER_MACHINE_BURST, CHECKS_PER_MACHINE_PER_SECOND, CHECKS_PER_SECOND, MAX_MACHINES } from "./constants.js";

const IPV6_SITE_BYTES = 8;

export class CheckBudget {
  readonly #all = new TokenBucket(CHECKS_PER_SECOND, CHECKS_BURST);
  /** The one that was checked longest ago first. Forgetting one gives it a new burst, but there are {@link CHECKS_PER_SECOND} in all. */
  readonly #machines = new Map<string, TokenBucket>();
  /** Checks that were not sent. */
  refused = 0;

  /** @param address 4 or 16 bytes */
  take(nowMs: number, address: Uint8Array): boolean {
    const machine = bytesKey(address.length === 4 ? address : address.subarray(0, IPV6_SITE_BYTES));
    const bucket = this.#machines.get(machine) ?? new TokenBucket(CHECKS_PER_MACHINE_PER_SECOND, CHECKS_PER_MACHINE_BURST);
    this.#machines.delete(machine);
    this.#machines.set(machine, bucket);
    for (const first of this.#machines.keys()) {
      if (this.#machines.size <= MAX_MACHINES) break;
      this.#machines.delete(first);
    }
    const isAllowed = bucket.take(nowMs) && this.#all.take(nowMs);
    if (!isAllowed) this.refused += 1;
    return isAllowed;
  }
}

/** Questions about names that are being looked for (paper §3.2, "Global Resolution"): they wait a while, and are then answered again or fail. */
import type { NameSource } from "../dns/dns-core.js";
import { HostShares } from "../dns/host-shares.js";

// Ours:
/** Resolvers of programs ask again after 5 s; a ring answers in a few round trips. */
const WAIT_MS = 2_000;
const MAX_WAITING = 256;

export interface WaitingCounters {
  /** Questions that have waited. */
  waited: number;
  /** Of them, those that were not answered in time. */
  late: number;
  /** Those that failed because too many did. */
  full: number;
}

export class WaitingQuestions {
  readonly counters: WaitingCounters = { waited: 0, late: 0, full: 0 };
  readonly #names: Pick<NameSource, "whenKnown">;
  /** What ends each without a word, and what it is told then. */
  readonly #waiting = new HostShares<() => void>();
  readonly #failed = new Map<() => void, () => void>();

  constructor(names: Pick<NameSource, "whenKnown">) {
    this.#names = names;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Calls one of them once: `known` when the name may be known, `failed` after two seconds, or when one more waits than there is room for and this one is the oldest of the host with most.
   * @param host who asks
   */
  add(name: string, known: () => void, failed: () => void, host = ""): void {
    if (this.#names.whenKnown === undefined) {
      this.counters.full += 1;
      return failed();
    }
    if (this.#waiting.size >= MAX_WAITING) this.#displace();
    this.counters.waited += 1;
    let takeBack = (): void => undefined;
    const end = (): void => {
      this.#waiting.delete(end);
      this.#failed.delete(end);
      clearTimeout(timer);
      takeBack();
    };
    const timer = setTimeout(() => {
      end();
      this.counters.late += 1;
      failed();
    }, WAIT_MS).unref();
    this.#waiting.add(host, end);
    this.#failed.set(end, failed);
    takeBack = this.#names.whenKnown(name, () => {
      end();
      known();
    });
  }

  close(): void {
    for (const end of this.#waiting.all()) end();
  }

  #displace(): void {
    const end = this.#waiting.first();
    const failed = end === undefined ? undefined : this.#failed.get(end);
    end?.();
    this.counters.full += 1;
    failed?.();
  }
}

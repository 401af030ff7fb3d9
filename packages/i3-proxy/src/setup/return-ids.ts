/**
 * Ids to which the answers to our calls come (architecture §6.2): each under a key of its own and used for one call, so that the one who is called, and the
 * servers on the way, cannot tell that two calls are of one host. Their triggers are inserted ahead, so that a call waits for none.
 */
import { bytesKey, privateId, SUFFIX_BYTES } from "@i3/common";
import { triggerKeyFromSeed } from "@i3/hip";

/** Ours: calls that may begin at once; each costs a trigger that is kept alive. */
const SPARE = 4;
/**
 * With fewer left a call makes new ones at once; otherwise they wait until it is over. A trigger takes five packets, a signature and a chain of hashes: with a
 * program's first packet waiting, that work would come between R1 and I2.
 */
const SPARE_MIN = 2;
const SEED_BYTES = 32;

export interface ReturnIdEnvironment {
  readonly randomBytes: (length: number) => Uint8Array;
  /** Inserts a trigger and lets what comes for the id go up. */
  readonly open: (id: Uint8Array, key: ReturnType<typeof triggerKeyFromSeed>) => void;
  readonly close: (id: Uint8Array) => void;
}

export class ReturnIds {
  readonly #env: ReturnIdEnvironment;
  readonly #spare = new Map<string, Uint8Array>();
  readonly #live = new Set<string>();
  readonly #used = new Set<string>();

  constructor(environment: ReturnIdEnvironment) {
    this.#env = environment;
  }

  /** Makes new ones in place of those that were used. */
  fill(): void {
    while (this.#spare.size < SPARE) {
      const key = triggerKeyFromSeed(this.#env.randomBytes(SEED_BYTES));
      const id = privateId(key.prefix, this.#env.randomBytes(SUFFIX_BYTES));
      this.#spare.set(bytesKey(id), id);
      this.#env.open(id, key);
    }
  }

  /** Its trigger is in the ring. */
  handleLive(id: Uint8Array): void {
    if (this.#spare.has(bytesKey(id))) this.#live.add(bytesKey(id));
  }

  /** Whether an id is one of these. */
  has(id: Uint8Array): boolean {
    return this.#spare.has(bytesKey(id)) || this.#used.has(bytesKey(id));
  }

  get hasLive(): boolean {
    return this.#live.size > 0;
  }

  /** For one call, until {@link give}. One that is not in the ring yet when no other is: the call's repetitions will find it there. */
  take(): Uint8Array {
    this.fill();
    const wanted: string | undefined = this.#live.values().next().value;
    const [key, id] = [...this.#spare].find(([spare]) => wanted === undefined || spare === wanted) as [string, Uint8Array];
    this.#spare.delete(key);
    this.#live.delete(key);
    this.#used.add(key);
    if (this.#spare.size < SPARE_MIN) this.fill();
    return id;
  }

  /** The call is over. */
  give(id: Uint8Array): void {
    if (!this.#used.delete(bytesKey(id))) return;
    this.#env.close(id);
    this.fill();
  }
}

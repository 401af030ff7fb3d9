/** How many questions each of many clients may have on their way, and how fast it may ask, so that one cannot keep others from being answered (docs/gateways.md, A7). Without I/O. */
import { TokenBucket } from "@i3/common";

// Ours:
const MOST_REMEMBERED = 4_096;

export interface QuestionSharesOptions {
  /** Of one client. */
  readonly perSecond: number;
  readonly burst: number;
  /** On their way at once. */
  readonly mostOfOne: number;
  readonly mostOfAll: number;
}

interface Share {
  readonly bucket: TokenBucket;
  asked: number;
}

export class QuestionShares {
  readonly counters = { tooFast: 0, tooMany: 0 };
  readonly #options: QuestionSharesOptions;
  /** Asked last is last. */
  readonly #byClient = new Map<string, Share>();
  #asked = 0;

  constructor(options: QuestionSharesOptions) {
    this.#options = options;
  }

  /** A question of a client begins; false: not now. Whoever gets true calls {@link end} once. @param key who asks */
  begin(nowMs: number, key: string): boolean {
    const { mostOfOne, mostOfAll } = this.#options;
    const share = this.#byClient.get(key) ?? this.#remember(key);
    if (share === null || !share.bucket.take(nowMs)) {
      this.counters.tooFast += 1;
      return false;
    }
    this.#byClient.delete(key);
    this.#byClient.set(key, share);
    if (share.asked >= mostOfOne || this.#asked >= mostOfAll) {
      this.counters.tooMany += 1;
      return false;
    }
    share.asked += 1;
    this.#asked += 1;
    return true;
  }

  end(key: string): void {
    const share = this.#byClient.get(key);
    if (share !== undefined) share.asked -= 1;
    this.#asked -= 1;
  }

  /** The one that has been idle longest is forgotten for it; null: all are busy. */
  #remember(key: string): Share | null {
    if (this.#byClient.size >= MOST_REMEMBERED) {
      const idle = [...this.#byClient].find(([, { asked }]) => asked === 0);
      if (idle === undefined) return null;
      this.#byClient.delete(idle[0]);
    }
    const share = { bucket: new TokenBucket(this.#options.perSecond, this.#options.burst), asked: 0 };
    this.#byClient.set(key, share);
    return share;
  }
}

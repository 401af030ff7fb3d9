/** How many questions each client may have on their way, and how fast it may ask: by identity, so that one host cannot keep others from being answered (docs/gateways.md, A7). Without I/O. */
import { bytesKey, TokenBucket } from "@i3/common";

// Ours:
const PER_SECOND = 50;
const BURST = 200;
const MOST_OF_ONE = 32;
const MOST_OF_ALL = 1_024;
const MOST_REMEMBERED = 4_096;

interface Share {
  readonly bucket: TokenBucket;
  asked: number;
}

export class QuestionShares {
  readonly counters = { tooFast: 0, tooMany: 0 };
  /** Asked last is last. */
  readonly #byClient = new Map<string, Share>();
  #asked = 0;

  /** A question of a client begins; false: not now. Whoever gets true calls {@link end} once. @param hit 16 bytes; of all clients that nothing names one */
  begin(nowMs: number, hit: Uint8Array): boolean {
    const key = bytesKey(hit);
    const share = this.#byClient.get(key) ?? this.#remember(key);
    if (share === null || !share.bucket.take(nowMs)) {
      this.counters.tooFast += 1;
      return false;
    }
    this.#byClient.delete(key);
    this.#byClient.set(key, share);
    if (share.asked >= MOST_OF_ONE || this.#asked >= MOST_OF_ALL) {
      this.counters.tooMany += 1;
      return false;
    }
    share.asked += 1;
    this.#asked += 1;
    return true;
  }

  end(hit: Uint8Array): void {
    const share = this.#byClient.get(bytesKey(hit));
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
    const share = { bucket: new TokenBucket(PER_SECOND, BURST), asked: 0 };
    this.#byClient.set(key, share);
    return share;
  }
}

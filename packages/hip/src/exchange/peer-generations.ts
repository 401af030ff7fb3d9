/** R1 generation counters of peers (RFC 7401 §4.1.4): what each said last, so that an older R1 is known for a replay. */
import { bytesKey } from "@i3/common";

import { MAX_R1_COUNTERS, R1_COUNTER_MS } from "./limits.js";

export class PeerGenerations {
  /** By HIT; newest last. */
  readonly #known = new Map<string, { readonly generation: bigint; readonly atMs: number }>();

  /** An R1 of this peer has at least this generation; 0 when nothing is remembered of it. */
  least(nowMs: number, peerHit: Uint8Array): bigint {
    const found = this.#known.get(bytesKey(peerHit));
    return found !== undefined && nowMs - found.atMs < R1_COUNTER_MS ? found.generation : 0n;
  }

  /** Of more than {@link MAX_R1_COUNTERS} peers the one heard longest ago is forgotten. */
  remember(nowMs: number, peerHit: Uint8Array, generation: bigint): void {
    const key = bytesKey(peerHit);
    this.#known.delete(key);
    this.#known.set(key, { generation, atMs: nowMs });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_R1_COUNTERS) break;
      this.#known.delete(oldest);
    }
  }
}

/** Who sent the packets that asked for CACHE lately, by the packets' nonce: so NOT_PRESENT finds its way back to them. */
import { bytesKey, sameBytes, type Locator } from "@i3/common";

import { MAX_SENDERS, NOT_PRESENT_PAUSE_MS, SENDER_MEMORY_MS } from "./constants.js";

interface Sender {
  readonly from: Locator;
  readonly ringKey: Uint8Array;
  /** Length of the packet: no answer to it may be larger. */
  readonly requestBytes: number;
  readonly endMs: number;
  readonly toldMs: number;
}

export class RecentSenders {
  readonly #senders = new Map<string, Sender>();

  remember(nowMs: number, nonce: Uint8Array, sender: Pick<Sender, "from" | "ringKey" | "requestBytes">): void {
    const key = bytesKey(nonce);
    const toldMs = this.#senders.get(key)?.toldMs ?? -Infinity;
    this.#senders.delete(key);
    this.#senders.set(key, { ...sender, endMs: nowMs + SENDER_MEMORY_MS, toldMs });
    this.#trim(nowMs);
  }

  /** The sender to tell about a key, at most once in NOT_PRESENT_PAUSE_MS; undefined when there is none. */
  take(nowMs: number, nonce: Uint8Array, ringKey: Uint8Array): Pick<Sender, "from" | "requestBytes"> | undefined {
    const key = bytesKey(nonce);
    const sender = this.#senders.get(key);
    if (sender === undefined || sender.endMs <= nowMs || !sameBytes(sender.ringKey, ringKey)) return undefined;
    if (nowMs - sender.toldMs < NOT_PRESENT_PAUSE_MS) return undefined;
    this.#senders.set(key, { ...sender, toldMs: nowMs });
    return sender;
  }

  #trim(nowMs: number): void {
    for (const [key, { endMs }] of this.#senders) {
      if (endMs > nowMs && this.#senders.size <= MAX_SENDERS) return;
      this.#senders.delete(key);
    }
  }
}

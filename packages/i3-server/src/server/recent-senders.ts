/** Who sent the packets that asked for CACHE lately, by the packets' nonce: so NOT_PRESENT finds its way back to them. */
import { bytesKey, sameBytes, sameLocator, type Locator } from "@i3/common";

import { MAX_CREDIT_BYTES, MAX_SENDERS, NOT_PRESENT_PAUSE_MS, SENDER_MEMORY_MS } from "./constants.js";

interface Sender {
  readonly from: Locator;
  readonly ringKey: Uint8Array;
  /** Length of the packets less that of what was answered: all answers together may not be larger. */
  readonly creditBytes: number;
  readonly endMs: number;
  readonly toldMs: number;
}

export class RecentSenders {
  readonly #senders = new Map<string, Sender>();

  /** A packet of `requestBytes` bytes came. */
  remember(nowMs: number, nonce: Uint8Array, { from, ringKey, requestBytes }: Pick<Sender, "from" | "ringKey"> & { readonly requestBytes: number }): void {
    const key = bytesKey(nonce);
    const old = this.#senders.get(key);
    const isSame = old !== undefined && sameLocator(old.from, from);
    this.#senders.delete(key);
    const creditBytes = Math.min(MAX_CREDIT_BYTES, (isSame ? old.creditBytes : 0) + requestBytes);
    this.#senders.set(key, { from, ringKey, creditBytes, endMs: nowMs + SENDER_MEMORY_MS, toldMs: old?.toldMs ?? -Infinity });
    this.#trim(nowMs);
  }

  /** `bytes` bytes were answered to a packet with this nonce. */
  spend(nonce: Uint8Array, bytes: number): void {
    const key = bytesKey(nonce);
    const sender = this.#senders.get(key);
    if (sender !== undefined) this.#senders.set(key, { ...sender, creditBytes: Math.max(0, sender.creditBytes - bytes) });
  }

  /** The sender to tell about a key, at most once in NOT_PRESENT_PAUSE_MS; undefined when there is none. */
  take(nowMs: number, nonce: Uint8Array, ringKey: Uint8Array): Pick<Sender, "from" | "creditBytes"> | undefined {
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

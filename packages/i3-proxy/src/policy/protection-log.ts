/** Packets that were dropped for what the rules ask, for people: once a minute how many, and of whom as far as that is known. Without I/O. */
import { TokenBucket, type Log } from "@i3/common";

import { selectorOfPacket, selectorText } from "./packet-selector.js";

// Ours:
const LINES_PER_SECOND = 1 / 60;
const MAX_NAMED = 5;

export class ProtectionLog {
  readonly #log: Log;
  readonly #judged: () => Iterable<string>;
  readonly #lines = new TokenBucket(LINES_PER_SECOND, 1);
  #told = 0;
  #last: { readonly peer: string; readonly packet: Uint8Array } | null = null;

  /** @param judged hosts whose packets the packet engine looks at one by one. It counts what it drops, and says no more */
  constructor(log: Log, judged: () => Iterable<string>) {
    this.#log = log;
    this.#judged = judged;
  }

  /** A packet that came up in cleartext, where the rules want more. @param packet IP, kept until the next line */
  came(peer: string, packet: Uint8Array): void {
    this.#last = { peer, packet: packet.slice(0, 64) };
  }

  /** @param dropped packets that were dropped for what the rules ask, since the start */
  look(nowMs: number, dropped: number): void {
    if (dropped <= this.#told || !this.#lines.take(nowMs)) return;
    this.#log("warn", "too-little-protection", {
      packets: dropped - this.#told, ...this.#whose(), why: "they came with less protection than the rules here ask for, or no rule takes them, whether a peer or a program here sent them",
      remedy: "Compare the rules of both machines for the protocols and ports in use: each must ask for at least the security that the other one does.",
    });
    this.#told = dropped;
    this.#last = null;
  }

  #whose(): Readonly<Record<string, unknown>> {
    if (this.#last === null) return { among: [...this.#judged()].slice(0, MAX_NAMED) };
    const { peer, packet } = this.#last;
    const selector = selectorOfPacket(packet);
    return { peer, ...(selector === null ? {} : selectorText(selector)) };
  }
}

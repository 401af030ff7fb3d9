/**
 * Notices that another machine has this host's key: both put the trigger of the one public id to themselves, and each finds the other's at its next refresh, every 5 s.
 * A server that has forgotten a trigger looks the same, but once; a host that moves is seen at another address. Without I/O.
 */
import { formatIpText, type Log } from "@i3/common";

// Ours:
/** So many in {@link WINDOW_MS}: no server restarts as often. */
const LEAST = 3;
const WINDOW_MS = 60_000;
const AGAIN_MS = 600_000;

export class SameKeyLog {
  readonly #log: Log;
  readonly #hit: Uint8Array;
  /** The last few. */
  #replacedMs: readonly number[] = [];
  #toldMs = -Infinity;

  /** @param hit of this host, 16 bytes */
  constructor(log: Log, hit: Uint8Array) {
    this.#log = log;
    this.#hit = hit;
  }

  /** The trigger of the public id was gone from its server, and we have not moved. */
  replaced(nowMs: number): void {
    this.#replacedMs = [...this.#replacedMs, nowMs].slice(-LEAST);
    const [first = nowMs] = this.#replacedMs;
    if (this.#replacedMs.length < LEAST || nowMs - first > WINDOW_MS || nowMs - this.#toldMs < AGAIN_MS) return;
    this.#toldMs = nowMs;
    this.#log("warn", "same-key-elsewhere", {
      hit: formatIpText(this.#hit), why: "another machine takes this host's place in the ring again and again: callers reach now this one, now the other",
      remedy: "A key belongs to one machine. On the other one stop i3-proxy, move its state directory away (what it remembers is of this key, and --identity refuses another beside it), write another <identity key-file>, make its key with i3-proxy --config FILE --identity, put that HIT into the address books, and start it.",
    });
  }
}

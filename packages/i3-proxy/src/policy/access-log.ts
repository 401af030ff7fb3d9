/** Who was turned away by the access list, for people: each once a minute, and few, for whoever calls need not be who it says. Without I/O. */
import { bytesKey, formatIpText, TokenBucket, type Log } from "@i3/common";

import type { AccessList } from "./access-list.js";

// Ours:
const AGAIN_MS = 60_000;
const MAX_REMEMBERED = 256;
const PER_SECOND = 1;
const BURST = 10;

export class AccessLog {
  readonly #log: Log;
  readonly #nameOf: (hit: Uint8Array) => string | null;
  readonly #told = new Map<string, number>();
  readonly #lines = new TokenBucket(PER_SECOND, BURST);

  constructor(log: Log, nameOf: (hit: Uint8Array) => string | null) {
    this.#log = log;
    this.#nameOf = nameOf;
  }

  /** @param hit what it says to be; null: it says nothing */
  refused(nowMs: number, hit: Uint8Array | null, list: AccessList): void {
    const key = hit === null ? "" : bytesKey(hit);
    const toldMs = this.#told.get(key);
    if (toldMs !== undefined && nowMs - toldMs < AGAIN_MS) return;
    if (!this.#lines.take(nowMs)) return;
    this.#told.delete(key);
    if (this.#told.size >= MAX_REMEMBERED) this.#told.delete(this.#told.keys().next().value as string);
    this.#told.set(key, nowMs);
    const line = hit === null ? null : list.decide(hit).line;
    const name = hit === null ? null : this.#nameOf(hit);
    this.#log("info", "access-refused", {
      ...(name === null ? {} : { peer: name }), hit: hit === null ? "none" : formatIpText(hit), why: line === null ? "no entry of <access> lets it in" : `line ${line} of the configuration`,
    });
  }

  /** Groups that entries of a list name and no host is in. */
  emptyGroups(list: AccessList): void {
    for (const group of list.emptyGroups()) this.#log("warn", "empty-group", { group, remedy: "No host of the address book is in this group, so its entry in <access> does nothing. Is it written right?" });
  }
}

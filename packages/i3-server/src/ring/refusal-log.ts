/** Names servers that are kept out in the log, seldom: who calls can make up the address it calls from. */
import { locatorText, remember, toHex, TokenBucket, type Locator, type Log } from "@i3/common";

import { MAX_REFUSED_LOGGED, REFUSED_LOG_PAUSE_MS, REFUSED_LOGS_AT_ONCE, REFUSED_LOGS_PER_SECOND } from "./constants.js";
import type { Credential } from "./credential.js";

export type Refusal = "foreign-ring" | "credential-ended";

const SAY: Readonly<Record<Refusal, { readonly message: string; readonly remedy: string }>> = {
  "foreign-ring": { message: "a server with a credential of another authority", remedy: "If it is to be in this ring, give it a credential of this ring's authority, with: i3-server ring admit." },
  "credential-ended": { message: "a server whose credential has ended", remedy: "Give it another one, with: i3-server ring admit; if it has not ended, see whether this machine's clock is right." },
};

export class RefusalLog {
  readonly #log: Log;
  readonly #bucket = new TokenBucket(REFUSED_LOGS_PER_SECOND, REFUSED_LOGS_AT_ONCE);
  /** Reason and address → when it was said. */
  readonly #said = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  say(nowMs: number, refusal: Refusal, from: Locator, { authority, nodeKey }: Credential): void {
    const key = `${refusal} ${locatorText(from)}`;
    if (nowMs - (this.#said.get(key) ?? -Infinity) < REFUSED_LOG_PAUSE_MS || !this.#bucket.take(nowMs)) return;
    remember(this.#said, key, nowMs, MAX_REFUSED_LOGGED);
    this.#log("warn", refusal, { from: locatorText(from), node: toHex(nodeKey), authority: toHex(authority), ...SAY[refusal] });
  }
}

/** Callers whose security the rules here do not take, for people: each once a minute, and few. Without I/O. */
import { formatIpText, type Log, type Security } from "@i3/common";

import { FewLines } from "./few-lines.js";
import { securitiesOf, type PeerPolicy } from "./policy.js";

export class SecurityLog {
  readonly #log: Log;
  readonly #nameOf: (hit: Uint8Array) => string | null;
  readonly #policyOf: (name: string | null) => PeerPolicy;
  readonly #lines = new FewLines();

  constructor(log: Log, nameOf: (hit: Uint8Array) => string | null, policyOf: (name: string | null) => PeerPolicy) {
    this.#log = log;
    this.#nameOf = nameOf;
    this.#policyOf = policyOf;
  }

  /**
   * @param hit what it says to be; null: it says nothing
   * @param asked what it wants to go by
   */
  refused(nowMs: number, hit: Uint8Array | null, asked: Security): void {
    if (!this.#lines.take(nowMs, hit)) return;
    const name = hit === null ? null : this.#nameOf(hit);
    this.#log("warn", "security-refused", {
      ...(name === null ? {} : { peer: name }), hit: hit === null ? "none" : formatIpText(hit), asked, allowed: securitiesOf(this.#policyOf(name)).join(" "),
      remedy: "The rules here and those of the caller ask for different security. Change one of them: the host that is called must have the caller's strongest kind in its rules for the caller's name.",
    });
  }
}

/** Who was turned away by the access list, for people: each once a minute, and few, for whoever calls need not be who it says. Without I/O. */
import { formatIpText, type Log } from "@i3/common";

import type { Mapping } from "../mappings/mapping.js";
import { whyText, type AccessList } from "./access-list.js";
import { FewLines } from "./few-lines.js";

export class AccessLog {
  readonly #log: Log;
  readonly #nameOf: (hit: Uint8Array) => string | null;
  readonly #lines = new FewLines();
  /** A caller that was refused leaves a line for our own calls. */
  readonly #own = new FewLines();

  constructor(log: Log, nameOf: (hit: Uint8Array) => string | null) {
    this.#log = log;
    this.#nameOf = nameOf;
  }

  /** @param hit what it says to be; null: it says nothing */
  refused(nowMs: number, hit: Uint8Array | null, list: AccessList): void {
    if (!this.#lines.take(nowMs, hit)) return;
    const line = hit === null ? null : list.decide(hit).line;
    const name = hit === null ? null : this.#nameOf(hit);
    this.#log("info", "access-refused", {
      ...(name === null ? {} : { peer: name }), hit: hit === null ? "none" : formatIpText(hit), why: whyText(line),
    });
  }

  /** A program here calls a host that an entry refuses. It hears host unreachable. */
  refusedOwn(nowMs: number, peer: string, { peerHit, peerId }: Pick<Mapping, "peerHit" | "peerId">, list: AccessList): void {
    if (!this.#own.take(nowMs, peerHit ?? peerId)) return;
    const { why, remedy } = list.reasonFor({ peerHit, peerId });
    this.#log("warn", "access-refused", { peer, ...(peerHit === null ? {} : { hit: formatIpText(peerHit) }), caller: "a program of this machine", why, remedy });
  }

  /** Of a list that comes into use. */
  oddities(list: AccessList): void {
    for (const why of list.oddities()) this.#log("warn", "access-list", { why, remedy: "See docs/policy.md, \"Who may connect\". Without <access> everybody may." });
  }

  /** Groups that entries of a list name and no host is in. */
  emptyGroups(list: AccessList): void {
    for (const group of list.emptyGroups()) this.#log("warn", "empty-group", { group, remedy: "No host of the address book is in this group, so its entry in <access> does nothing. Is it written right?" });
  }
}

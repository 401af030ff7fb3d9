/** Tells that another machine has this host's key: both put the trigger of the one public id to themselves. */
import { formatIpText, type Log } from "@i3/common";
import { Replacements } from "@i3/i3-client";

export class SameKeyLog {
  readonly #log: Log;
  readonly #hit: Uint8Array;
  readonly #replacements = new Replacements();

  /** @param hit of this host, 16 bytes */
  constructor(log: Log, hit: Uint8Array) {
    this.#log = log;
    this.#hit = hit;
  }

  /** The trigger of the public id was gone from its server, and we have not moved. */
  replaced(nowMs: number): void {
    if (!this.#replacements.add(nowMs)) return;
    this.#log("warn", "same-key-elsewhere", {
      hit: formatIpText(this.#hit), why: "another machine takes this host's place in the ring again and again: callers reach now this one, now the other",
      remedy: "A key belongs to one machine. On the other one stop i3-proxy, move its state directory away (what it remembers is of this key, and --identity refuses another beside it), write another <identity key-file>, make its key with i3-proxy --config FILE --identity, put that HIT into the address books, and start it.",
    });
  }
}

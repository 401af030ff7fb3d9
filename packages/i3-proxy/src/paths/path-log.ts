/** What people are told of the ways of associations: lines `path` and `path-mtu` (docs/logs.md). Without I/O. */
import { locatorText, type Log } from "@i3/common";
import type { PathChoice } from "@i3/hip";

// Ours:
/** As long as another path is usually found in: a host that moves is over i3 meanwhile, and nobody wants to read it. */
const RELAYED_MS = 3_000;

export interface PathLogPeer {
  readonly peer: string;
  readonly level: "info" | "debug";
}

interface Told extends PathLogPeer {
  readonly to: string;
  readonly mtu: number | null;
  /** When people are told that packets go over i3; Infinity: they do not, or it is told. */
  relayedAtMs: number;
}

export class PathLog {
  readonly #log: Log;
  readonly #told = new Map<number, Told>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Packets of an association go another way now. One on credit people hear of when it is proven. */
  changed(nowMs: number, association: number, { peer, level }: PathLogPeer, choice: PathChoice): void {
    const before = this.#told.get(association);
    if (choice.kind === "relay") {
      if (before !== undefined && before.to !== "i3") before.relayedAtMs = Math.min(before.relayedAtMs, nowMs + RELAYED_MS);
      return;
    }
    if (choice.creditBytes !== null) return;
    const to = locatorText(choice.locator);
    const { mtu } = choice;
    const isNew = before?.to !== to;
    if (isNew) this.#log(level, "path", { peer, to });
    if (mtu !== null && (isNew || before.mtu !== mtu)) this.#log(level, "path-mtu", { peer, to, bytes: mtu });
    this.#told.set(association, { peer, level, to, mtu: mtu ?? (isNew ? null : before.mtu), relayedAtMs: Infinity });
  }

  forget(association: number): void {
    this.#told.delete(association);
  }

  handleTimer(nowMs: number): void {
    for (const [association, { peer, level, relayedAtMs }] of this.#told) {
      if (relayedAtMs > nowMs) continue;
      this.#log(level, "path", { peer, to: "i3" });
      this.#told.set(association, { peer, level, to: "i3", mtu: null, relayedAtMs: Infinity });
    }
  }

  nextDeadlineMs(): number {
    let dueMs = Infinity;
    for (const { relayedAtMs } of this.#told.values()) dueMs = Math.min(dueMs, relayedAtMs);
    return dueMs;
  }
}

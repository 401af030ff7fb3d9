/** What people are told of the ways of associations: lines `path` and `path-mtu` (docs/logs.md). Without I/O. */
import { locatorText, type Log } from "@i3/common";
import type { PathChoice } from "@i3/hip";

// Ours:
/** As long as another path is usually found in: a host that moves is over i3 meanwhile, and nobody wants to read it. */
const RELAYED_MS = 3_000;
/** Lines `path` of one association that may follow each other at once, and then one in so long: a peer may go to and fro as it likes. */
const LINES_AT_ONCE = 4;
const LINE_EVERY_MS = 10_000;

const NONE_FOUND = "no way past the servers has answered";
const LOST = "the way past the servers answers no more";

export interface PathLogPeer {
  readonly peer: string;
  readonly level: "info" | "debug";
}

/** `to`: "i3", or an address and port. */
interface Way {
  readonly to: string;
  readonly mtu: number | null;
}

interface Told extends PathLogPeer {
  /** As people know it; null: nothing yet. */
  way: Way | null;
  /** What they do not know yet, and when they hear of it. */
  next: (Way & { readonly atMs: number }) | null;
  /** When as many lines may follow each other at once as in the beginning. */
  restedMs: number;
}

export class PathLog {
  readonly #log: Log;
  readonly #told = new Map<number, Told>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Packets of an association go over i3 for now, and a way past it is looked for. */
  opened(nowMs: number, association: number, { peer, level }: PathLogPeer): void {
    this.#told.set(association, { way: null, next: { to: "i3", mtu: null, atMs: nowMs + RELAYED_MS }, restedMs: -Infinity, peer, level });
  }

  /** They stay there. */
  stays({ peer, level }: PathLogPeer, why: string): void {
    this.#log(level, "path", { peer, to: "i3", why });
  }

  /** Packets of an association go another way now. One on credit people hear of when it is proven. */
  changed(nowMs: number, association: number, { peer, level }: PathLogPeer, choice: PathChoice): void {
    const before = this.#told.get(association);
    if (choice.kind === "relay") {
      if (before !== undefined) relayed(nowMs, before);
      return;
    }
    if (choice.creditBytes !== null) return;
    const to = locatorText(choice.locator);
    const { mtu } = choice;
    const told: Told = { way: before?.way ?? null, next: null, restedMs: before?.restedMs ?? -Infinity, peer, level };
    this.#told.set(association, told);
    if (told.way?.to !== to) {
      told.next = { to, mtu, atMs: Math.max(nowMs, freeMs(told)) };
      this.#tell(nowMs, told);
    } else if (mtu !== null && told.way.mtu !== mtu) this.#tellWay(told, { to, mtu });
  }

  forget(association: number): void {
    this.#told.delete(association);
  }

  handleTimer(nowMs: number): void {
    for (const told of this.#told.values()) this.#tell(nowMs, told);
  }

  nextDeadlineMs(): number {
    let dueMs = Infinity;
    for (const { next } of this.#told.values()) dueMs = Math.min(dueMs, next?.atMs ?? Infinity);
    return dueMs;
  }

  #tell(nowMs: number, told: Told): void {
    const { next, peer, level } = told;
    if (next === null || nowMs < next.atMs) return;
    told.next = null;
    told.restedMs = Math.max(told.restedMs, nowMs) + LINE_EVERY_MS;
    this.#log(level, "path", { peer, to: next.to, ...(next.to === "i3" && { why: told.way === null ? NONE_FOUND : LOST }) });
    this.#tellWay(told, { to: next.to, mtu: next.mtu });
  }

  #tellWay(told: Told, way: Way): void {
    told.way = way;
    if (way.mtu !== null) this.#log(told.level, "path-mtu", { peer: told.peer, to: way.to, bytes: way.mtu });
  }
}

const freeMs = ({ restedMs }: Told): number => restedMs - (LINES_AT_ONCE - 1) * LINE_EVERY_MS;

function relayed(nowMs: number, told: Told): void {
  if (told.next?.to === "i3") return;
  told.next = told.way?.to === "i3" ? null : { to: "i3", mtu: null, atMs: Math.max(nowMs + RELAYED_MS, freeMs(told)) };
}

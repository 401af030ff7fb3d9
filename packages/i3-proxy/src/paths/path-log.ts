/** What people are told of the ways of associations: lines `path` and `path-mtu` (docs/logs.md). Without I/O. */
import { locatorText, remember, type Log } from "@i3/common";
import type { PathChoice } from "@i3/hip";

// Ours:
/** As long as another path is usually found in: a host that moves is over i3 meanwhile, and nobody wants to read it. */
const RELAYED_MS = 3_000;
/** Lines `path` about one peer that may follow each other at once, and then one in so long: it may go to and fro, and make its keys anew, as it likes. Of lines `path-mtu` alone as many. */
const LINES_AT_ONCE = 4;
const LINE_EVERY_MS = 10_000;
const MAX_REMEMBERED = 2_048;

const NONE_FOUND = "no way past the servers has answered";
const LOST = "the way past the servers answers no more";

export interface PathLogPeer {
  readonly peer: string;
  /** Names its key: what is written of all its associations is bounded together. */
  readonly hit: string;
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
}

export class PathLog {
  readonly #log: Log;
  /** By association. */
  readonly #told = new Map<number, Told>();
  /** By peer, and whether of its length alone: when as many lines may follow each other at once as in the beginning. Who was written of last is last. */
  readonly #restedMs = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Packets of an association go over i3 for now, and a way past it is looked for. */
  opened(nowMs: number, association: number, { peer, hit, level }: PathLogPeer): void {
    this.#told.set(association, { way: null, next: { to: "i3", mtu: null, atMs: nowMs + RELAYED_MS }, peer, hit, level });
  }

  /** They stay there. One too many about a peer is for who looks closer. */
  stays(nowMs: number, { peer, hit, level }: PathLogPeer, why: string): void {
    const isMany = nowMs < this.#freeMs(hit);
    if (!isMany) this.#spend(nowMs, hit);
    this.#log(isMany ? "debug" : level, "path", { peer, to: "i3", why });
  }

  /** Packets of an association go another way now. One on credit people hear of when it is proven. */
  changed(nowMs: number, association: number, { peer, hit, level }: PathLogPeer, choice: PathChoice): void {
    const before = this.#told.get(association);
    if (choice.kind === "relay") {
      if (before !== undefined) relayed(nowMs, before);
      return;
    }
    if (choice.creditBytes !== null) return;
    const to = locatorText(choice.locator);
    const { mtu } = choice;
    const told: Told = { way: before?.way ?? null, next: null, peer, hit, level };
    this.#told.set(association, told);
    if (told.way?.to === to && (mtu === null || told.way.mtu === mtu)) return;
    told.next = { to, mtu, atMs: nowMs };
    this.#tell(nowMs, told);
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
    const { next, way, peer, hit, level } = told;
    if (next === null || nowMs < next.atMs) return;
    const about = next.to === way?.to ? `${hit} mtu` : hit;
    const freeMs = this.#freeMs(about);
    if (nowMs < freeMs) {
      told.next = { ...next, atMs: freeMs };
      return;
    }
    this.#spend(nowMs, about);
    const { to, mtu } = next;
    [told.way, told.next] = [{ to, mtu }, null];
    if (way?.to !== to) this.#log(level, "path", { peer, to, ...(to === "i3" && { why: way === null ? NONE_FOUND : LOST }) });
    if (mtu !== null) this.#log(level, "path-mtu", { peer, to, bytes: mtu });
  }

  /** When the next line may be written. */
  #freeMs(about: string): number {
    return (this.#restedMs.get(about) ?? -Infinity) - (LINES_AT_ONCE - 1) * LINE_EVERY_MS;
  }

  #spend(nowMs: number, about: string): void {
    const restedMs = Math.max(this.#restedMs.get(about) ?? -Infinity, nowMs) + LINE_EVERY_MS;
    remember(this.#restedMs, about, restedMs, MAX_REMEMBERED);
  }
}

function relayed(nowMs: number, told: Told): void {
  if (told.next?.to === "i3") return;
  told.next = told.way?.to === "i3" ? null : { to: "i3", mtu: null, atMs: nowMs + RELAYED_MS };
}

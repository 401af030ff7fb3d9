/** Which nodes are known to live or to be dead, and when each was last heard. */
import { bytesKey, remember, type Locator, type RingNode } from "@i3/common";

import { LEAVING_AGAIN_MS, LEAVING_TIMES, MAX_HEARD, MAX_TOMBSTONES, MAX_WATCHED, TOMBSTONE_MS } from "./constants.js";

interface LastHeard {
  atMs: number;
  /** Null: it is only known by what others say, and `atMs` is when it was asked for. */
  at: Locator | null;
}

export class Liveness {
  /** Node key → end of the tombstone, ms. */
  readonly #dead = new Map<string, number>();
  /** Of neighbours and nodes in `#watched`. */
  readonly #heard = new Map<string, LastHeard>();
  readonly #watched = new Map<string, RingNode>();
  /** Node key → how often it counted that it leaves, in the time up to `endMs`. */
  readonly #left = new Map<string, { times: number; readonly endMs: number }>();

  /** `node` sent an authenticated message. Returns whether it was buried, however long ago. */
  heard(nowMs: number, node: RingNode, isNeighbour: boolean): boolean {
    const key = bytesKey(node.key);
    const wasBuried = this.#dead.size > 0 && this.#dead.delete(key);
    const isWatched = this.#watched.size > 0 && this.#watched.has(key);
    if (isNeighbour || isWatched) this.#note(key, nowMs, node.locator);
    else this.#heard.delete(key);
    if (isWatched) this.#watched.set(key, node);
    return wasBuried;
  }

  /** When the node was last heard; `nowMs` (and remembered) when it was not met before. */
  lastHeardMs(nowMs: number, node: RingNode): number {
    const key = bytesKey(node.key);
    const heard = this.#heard.get(key);
    if (heard === undefined) this.#note(key, nowMs, null);
    return heard?.atMs ?? nowMs;
  }

  /** Where a neighbour or watched node was heard last; null when it was not, and may be made up. */
  heardAt(node: RingNode): Locator | null {
    return this.#heard.get(bytesKey(node.key))?.at ?? null;
  }

  #note(key: string, atMs: number, at: Locator | null): void {
    const heard = this.#heard.get(key);
    if (heard === undefined) return remember(this.#heard, key, { atMs, at }, MAX_HEARD);
    heard.atMs = atMs;
    heard.at = at;
  }

  bury(nowMs: number, node: RingNode): void {
    const key = bytesKey(node.key);
    remember(this.#dead, key, nowMs + TOMBSTONE_MS, MAX_TOMBSTONES);
    this.#heard.delete(key);
    this.#watched.delete(key);
  }

  /**
   * `node` says that it leaves. Returns whether that counts: not when it is dead, nor more than LEAVING_TIMES in LEAVING_AGAIN_MS. Once would not do: what
   * it said before may arrive behind the first copy.
   */
  leaves(nowMs: number, node: RingNode): boolean {
    if (this.isDead(nowMs, node)) return false;
    const key = bytesKey(node.key);
    const known = this.#left.get(key);
    if (known === undefined || known.endMs <= nowMs) remember(this.#left, key, { times: 1, endMs: nowMs + LEAVING_AGAIN_MS }, MAX_TOMBSTONES);
    else if (known.times < LEAVING_TIMES) known.times += 1;
    else return false;
    return true;
  }

  isDead(nowMs: number, node: RingNode): boolean {
    return this.#dead.size > 0 && (this.#dead.get(bytesKey(node.key)) ?? -Infinity) > nowMs;
  }

  /** False when too many are watched already. */
  watch(node: RingNode): boolean {
    if (this.#watched.size >= MAX_WATCHED && !this.#watched.has(bytesKey(node.key))) return false;
    this.#watched.set(bytesKey(node.key), node);
    return true;
  }

  unwatch(node: RingNode): void {
    this.#watched.delete(bytesKey(node.key));
  }

  /** No neighbour any more: its last sign of life is forgotten unless it is watched. */
  forget(node: RingNode): void {
    if (!this.#watched.has(bytesKey(node.key))) this.#heard.delete(bytesKey(node.key));
  }

  watched(): readonly RingNode[] {
    return [...this.#watched.values()];
  }
}

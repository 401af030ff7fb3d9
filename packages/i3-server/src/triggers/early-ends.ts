/** Triggers that end before their 30 s are over, because a certificate or token does: found when they end, without a walk through all. */
const ROUND_MS = 1_000;

export class EarlyEnds {
  /** End, ms → keys. Ends are whole seconds, so there are at most as many as a trigger lives. */
  readonly #keys = new Map<number, Set<string>>();

  /** When a trigger whose certificate ends at `endMs` does: up to 1 s before. */
  static round(endMs: number): number {
    return Math.floor(endMs / ROUND_MS) * ROUND_MS;
  }

  add(endMs: number, key: string): void {
    const keys = this.#keys.get(endMs);
    if (keys === undefined) this.#keys.set(endMs, new Set([key]));
    else keys.add(key);
  }

  remove(endMs: number, key: string): void {
    const keys = this.#keys.get(endMs);
    if (keys?.delete(key) === true && keys.size === 0) this.#keys.delete(endMs);
  }

  /** Those that have ended. */
  due(nowMs: number): readonly string[] {
    return [...this.#keys].flatMap(([endMs, keys]) => (endMs <= nowMs ? [...keys] : []));
  }

  deadlineMs(): number {
    return Math.min(Infinity, ...this.#keys.keys());
  }
}

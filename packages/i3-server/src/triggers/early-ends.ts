/** Triggers that end before their 30 s are over, because a certificate or token does: found when they end, without a walk through all. */
const ROUND_MS = 1_000;

export class EarlyEnds {
  /** End, ms → slots of triggers. Ends are whole seconds, so there are at most as many as a trigger lives. */
  readonly #slots = new Map<number, Set<number>>();

  /** When a trigger whose certificate ends at `endMs` does: up to 1 s before. */
  static round(endMs: number): number {
    return Math.floor(endMs / ROUND_MS) * ROUND_MS;
  }

  add(endMs: number, slot: number): void {
    const slots = this.#slots.get(endMs);
    if (slots === undefined) this.#slots.set(endMs, new Set([slot]));
    else slots.add(slot);
  }

  remove(endMs: number, slot: number): void {
    const slots = this.#slots.get(endMs);
    if (slots?.delete(slot) === true && slots.size === 0) this.#slots.delete(endMs);
  }

  /** Those that have ended. */
  due(nowMs: number): readonly number[] {
    if (this.#slots.size === 0) return [];
    return [...this.#slots].flatMap(([endMs, slots]) => (endMs <= nowMs ? [...slots] : []));
  }

  deadlineMs(): number {
    let deadline = Infinity;
    for (const endMs of this.#slots.keys()) deadline = Math.min(deadline, endMs);
    return deadline;
  }
}

/**
 * Whom we ask whether a shortcut leads to them (docs/wire.md §5.1). A server may name anybody's address: so one machine is asked about one id at a
 * time, and not again for a while when it has not answered, whatever ids it is named for.
 */
import { sourceKey, type Locator } from "@i3/common";

// Ours:
const PAUSE_MS = 60_000;
/** When the check was broken off. */
const LEFT_PAUSE_MS = 10_000;
const MAX_CHECKS = 8;
const MAX_PAUSED = 256;

const machineOf = ({ address }: Locator): string => sourceKey(address);

export class ShortcutTargets {
  /** Machine → since when. */
  readonly #asked = new Map<string, number>();
  /** Machine → until when; the one that failed first is first. */
  readonly #paused = new Map<string, number>();

  /** `now`: and it counts as asked until one of the calls below. `soon`: others are asked. `later`: it has not answered lately. */
  begin(nowMs: number, target: Locator): "now" | "soon" | "later" {
    const machine = machineOf(target);
    if ((this.#paused.get(machine) ?? 0) > nowMs) return "later";
    if (this.#asked.size >= MAX_CHECKS || this.#asked.has(machine)) return "soon";
    this.#asked.set(machine, nowMs);
    return "now";
  }

  prove(target: Locator): void {
    this.#asked.delete(machineOf(target));
  }

  /** Its answer is not waited for any more. */
  leave(target: Locator): void {
    const sinceMs = this.#asked.get(machineOf(target));
    if (sinceMs !== undefined) this.#pause(machineOf(target), sinceMs + LEFT_PAUSE_MS);
  }

  /** It did not answer. */
  fail(nowMs: number, target: Locator): void {
    this.#pause(machineOf(target), nowMs + PAUSE_MS);
  }

  #pause(machine: string, untilMs: number): void {
    this.#asked.delete(machine);
    this.#paused.delete(machine);
    this.#paused.set(machine, untilMs);
    for (const first of this.#paused.keys()) {
      if (this.#paused.size <= MAX_PAUSED) return;
      this.#paused.delete(first);
    }
  }
}

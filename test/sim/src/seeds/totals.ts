/** What many runs come to. */
import { CLIENT_ACTIONS, type EventKind } from "./events.js";
import type { Outcome } from "./run-seed.js";
import { CHECKED } from "./trace.js";

export class Totals {
  seeds = 0;
  events = 0;
  failed = 0;
  readonly #counts = new Map<EventKind, number>();
  readonly #checks = new Map<string, number>();
  /** Checker → seeds in which it fired. */
  readonly #fired = new Map<string, string[]>();

  add({ seed, events, counts, checks, failure }: Outcome): void {
    this.seeds += 1;
    this.events += events;
    for (const [kind, count] of counts) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count);
    for (const [what, count] of checks) this.#checks.set(what, (this.#checks.get(what) ?? 0) + count);
    if (failure === null) return;
    this.failed += 1;
    this.#fired.set(failure.checker, [...(this.#fired.get(failure.checker) ?? []), seed]);
  }

  /** Lines, the last of which counts runs, events and failures. */
  text(): string {
    const list = (isAction: boolean): string =>
      [...this.#counts].filter(([kind]) => CLIENT_ACTIONS.includes(kind) === isAction).sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, count]) => `${kind} ${count}`).join(", ");
    const checks = CHECKED.map((what) => `${what} ${this.#checks.get(what) ?? 0}`).join(", ");
    const fired = [...this.#fired].sort(([a], [b]) => (a < b ? -1 : 1)).map(([checker, seeds]) => `checker ${checker} fired in ${seeds.length}: seeds ${seeds.join(", ")}`);
    const kinds = [["faults", list(false)], ["clients", list(true)], ["checked", this.seeds === 0 ? "" : checks]].flatMap(([what, counts = ""]) => (counts === "" ? [] : [`${what}: ${counts}`]));
    return [...kinds, ...fired, `${this.seeds} seeds, ${this.events} events, ${this.failed} failed`].join("\n");
  }
}

export function failureText({ seed, failure, endMs, digest }: Outcome, events: number): string {
  return [
    ...(failure?.lines ?? []),
    `seed ${seed}: ${failure?.checker} at ${(endMs / 1_000).toFixed(3)} s of virtual time: ${failure?.message}`,
    `digest ${digest}`, `replay: npm run sim -- --seed ${seed} --events ${events}`,
  ].join("\n");
}

/**
 * Numbers for lists of verdicts: what one of them lets through carries its number as conntrack mark, so that another list judges it anew (docs/gateways.md, A9). A list has the same number in
 * every run, by a hash of it, so that connections that outlive a restart are not taken for those of another list; two lists of one run never have the same. Without I/O.
 */
import { domainHash } from "@i3/common";

import type { Verdict } from "./grants.js";

// Ours: half of the mark is others'. 0 is no mark.
const NUMBERS = 65_535;
/** More make one wait for the next start: lists are made by people. */
const MOST = 16_384;

export interface RuleSet {
  /** 1 to 65,535. */
  readonly number: number;
  readonly verdicts: readonly Verdict[];
}

export class RuleSets {
  /** All of this run, those too that nobody has any more: their marks may still be on connections. */
  readonly #byText = new Map<string, RuleSet>();
  readonly #taken = new Set<number>();

  /** The set of these verdicts; null: there are too many sets. */
  of(verdicts: readonly Verdict[]): RuleSet | null {
    const text = JSON.stringify(verdicts);
    const known = this.#byText.get(text);
    if (known !== undefined || this.#byText.size >= MOST) return known ?? null;
    let number = numberOf(text);
    while (this.#taken.has(number)) number = (number % NUMBERS) + 1;
    this.#taken.add(number);
    const set = { number, verdicts };
    this.#byText.set(text, set);
    return set;
  }
}

function numberOf(text: string): number {
  const [first = 0, second = 0] = domainHash("gateway rule set", new TextEncoder().encode(text));
  return (((first << 8) | second) % NUMBERS) + 1;
}

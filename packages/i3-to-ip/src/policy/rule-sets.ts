/** Numbers for lists of verdicts: what one of them lets through carries its number as conntrack mark, so that another list judges it anew (docs/gateways.md, A9). Without I/O. */
import type { Verdict } from "./grants.js";

// Ours: half of the mark is others'.
const MOST = 65_535;

export interface RuleSet {
  /** 1 to 65,535. */
  readonly number: number;
  readonly verdicts: readonly Verdict[];
}

export class RuleSets {
  readonly #byText = new Map<string, RuleSet>();
  #last: number;

  /** @param last number of an earlier run, whose marks are still on connections; 0: none */
  constructor(last: number) {
    this.#last = last;
  }

  /** The number given last. */
  get last(): number {
    return this.#last;
  }

  all(): Iterable<RuleSet> {
    return this.#byText.values();
  }

  /** The set of these verdicts; null: there are too many sets. */
  of(verdicts: readonly Verdict[]): RuleSet | null {
    const text = JSON.stringify(verdicts);
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    if (this.#byText.size >= MOST) return null;
    const taken = new Set([...this.#byText.values()].map(({ number }) => number));
    do this.#last = (this.#last % MOST) + 1;
    while (taken.has(this.#last));
    const set = { number: this.#last, verdicts };
    this.#byText.set(text, set);
    return set;
  }

  /** Sets that nobody has any more: their numbers are given again when all others have been. */
  forgetOthers(inUse: ReadonlySet<RuleSet>): readonly RuleSet[] {
    const gone = [...this.#byText].filter(([, set]) => !inUse.has(set));
    for (const [text] of gone) this.#byText.delete(text);
    return gone.map(([, set]) => set);
  }
}

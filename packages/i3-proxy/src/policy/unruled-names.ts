/** Names of the address book, and zones, that no rule matches: the proxy does not answer for them. */
import { findRule, type AddressBook, type ProxyRule, type ZoneConfig } from "@i3/common";

// Ours:
/** Names in a warning. */
const MAX_SHOWN = 5;
/** Of a name against a rule: a large book and many rules are looked at in part. */
const MAX_TESTS = 250_000;

export interface UnruledNames {
  /** The first few, in the order of the book. */
  readonly names: readonly string[];
  /** Of all that were looked at. */
  readonly count: number;
}

export function unruledNames({ entries }: AddressBook, rules: readonly ProxyRule[]): UnruledNames {
  const unruled = entries.slice(0, Math.floor(MAX_TESTS / Math.max(1, rules.length))).filter(({ name }) => findRule(rules, name) === undefined);
  return { names: unruled.slice(0, MAX_SHOWN).map(({ name }) => name), count: unruled.length };
}

/** One line for people; null: every name has a rule. */
export function unruledText({ names, count }: UnruledNames): string | null {
  if (count === 0) return null;
  const more = count > names.length ? ` and ${count - names.length} more` : "";
  return `no rule matches ${names.join(", ")}${more} of the address book: the proxy does not answer for ${count === 1 ? "it" : "them"}`;
}

/** Zones of which no rule sends a name like any other over i3, a line for people each. Rules for single names of them are not found. */
export const unruledZones = (zones: readonly Pick<ZoneConfig, "suffix">[], rules: readonly ProxyRule[]): readonly string[] =>
  zones.filter(({ suffix }) => findRule(rules, `x.${suffix}`)?.go !== "i3").map(({ suffix }) => `no rule sends names of the zone ${suffix} over i3, such as x.${suffix}`);

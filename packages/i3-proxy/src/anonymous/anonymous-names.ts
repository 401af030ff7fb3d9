/** Which names are reached anonymously, and what they stand for (docs/anonymity.md): by rule, and by their endings (paper §3.1). Without I/O. */
import { ANONYMOUS_LABELS, findRule, normalName, sameBytes, type AddressBook, type BookEntry, type NamePattern, type ProxyRule } from "@i3/common";

/** Of what an instance is for. */
export interface AnonymousTarget {
  /** That is meant, without the ending that asks for anonymity. */
  readonly name: string;
  /** The gateway that leads there; null: the name is a host of the overlay. */
  readonly via: string | null;
}

/** Whether a name asks for anonymity itself, `site.example.anon.i3` or `home.relay.i3`: without a rule for that it has no way at all. @param name lower case */
export const asksForAnonymity = (name: string, suffix: string): boolean => ANONYMOUS_LABELS.some((label) => name.endsWith(`.${label}.${suffix}`));

/** What a name stands for; null: no rule wants it anonymous. */
export function anonymousTarget(name: string, suffix: string, rules: readonly ProxyRule[]): AnonymousTarget | null {
  const rule = findRule(rules, name);
  if (rule?.go !== "anonymous") return null;
  return { name: withoutEnding(name, suffix), via: rule.via ?? null };
}

function withoutEnding(name: string, suffix: string): string {
  const [anon = "", relay = ""] = ANONYMOUS_LABELS.map((label) => `.${label}.${suffix}`);
  if (name.endsWith(anon)) return name.slice(0, -anon.length);
  return name.endsWith(relay) ? `${name.slice(0, -relay.length)}.${suffix}` : name;
}

/** Instances have it by this. */
export const targetKey = ({ name, via }: AnonymousTarget): string => `${via ?? ""} ${name}`;

/** The rules of an instance: its own name, by servers of the ring alone, and nothing else. */
export function rulesOf({ name, via }: AnonymousTarget): readonly ProxyRule[] {
  const overlay: ProxyRule = { pattern: exactly(via ?? name), line: 0, go: "i3", service: undefined, security: "esp", trust: "book", privateId: "shared", shortcut: false };
  return via === null ? [overlay] : [overlay, { pattern: exactly(name), line: 0, go: "gateway", via }];
}

function exactly(name: string): NamePattern {
  const source = name.replaceAll(/[^a-z0-9]/gi, "\\$&");
  return { source, expression: new RegExp(`^(?:${source})$`, "i") };
}

/** The book of an instance: the one host that it calls, and never at an address, where packets would go straight. */
export function bookOf(book: AddressBook, { name, via }: AnonymousTarget): AddressBook {
  const found = book.lookup(via ?? name);
  const entry = found === undefined ? undefined : withoutAddress(found);
  return {
    entries: entry === undefined ? [] : [entry],
    lookup: (asked) => (normalName(asked) === entry?.name ? entry : undefined),
    reverse: (hitOrId) => (entry !== undefined && sameBytes(entry.hit ?? entry.id ?? NO_HOST, hitOrId) ? entry : undefined),
    addressOf: () => undefined,
  };
}

const NO_HOST = new Uint8Array();

const withoutAddress = ({ name, hit, id, line }: BookEntry): BookEntry => ({ name, ...(hit === undefined ? {} : { hit }), ...(id === undefined ? {} : { id }), line });
